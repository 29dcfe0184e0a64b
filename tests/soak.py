#!/usr/bin/env python3
"""Runs of all tasks, methods and protocols for hours, with kills, signals, faults and damaged files between them.

    tests/soak.py target/release/bridle-bench --hours 2 --state soak.json > soak.log
    tests/soak.py PROGRAM --hours 0.01 --seed 7                a short one, in another order

Needs strace. Each case has a folder of its own that is never cleaned, so that what is left over adds up. A round
on a case, drawn at random:

    0 to 3 times   a run that is killed, gets a signal, or in which a system call fails; or no run
                   then up to two files that the program wrote get flipped bits or are cut off
    at the end     the same command with --resume ends with exit code 0, record and predictions are those of a run
                   that nobody disturbed, and no file is left over; the logs are the same too, unless one of them was
                   damaged, or --fresh was stopped while it replaced them
    every 4th time, and where logs are not the same: --fresh and undisturbed, whose peak of memory is kept

At the end the peak of memory of each case is compared: the median of the last quarter of its rounds with that of the
first, at most 5 % more. Data of ESC-50, spoken digits, ImageNet and Kinetics are used where $BRIDLE_DATA has them.
`--state` is a file that always holds the totals so far.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the checkout stays clean
from disturb import (CALLS, ERRORS, SMALL, Case, Failed, Place, backends, cases, check_end, finish, last_lines, outcome,
                     records_of, run_failing, start, undisturbed)

TINY = f"{SMALL} --set quantizer.codes=16 --set pretrain.encoder.epochs=1"
# options of tasks of pictures and videos, and of real data with their folders in $BRIDLE_DATA
TASKS = {
    "synthetic-image": "--subset 20 --protocol linear-probe,finetune",
    "synthetic-video": "--subset 10 --protocol knn,attentive-probe",
    "esc50": "--data {data}/esc50 --subset 5 --set data.frames=64 --protocol linear-probe,knn",
    "digits": "--data {data}/fsdd --subset 2 --method best-rq --protocol finetune,linear-probe",
    "imagenet": "--data {data}/imagenet-mini --allow-different-data --subset 4 --protocol linear-probe,finetune",
    "kinetics": "--data {data}/kinetics-mini --allow-different-data --subset 2 --protocol linear-probe",
}
FOLDERS = {"esc50": "esc50", "digits": "fsdd", "imagenet": "imagenet-mini", "kinetics": "kinetics-mini"}
FLAT = 0.05


def all_cases(program):
    """The cases of kill.py, and those of TASKS, on each backend."""
    data, found = os.environ.get("BRIDLE_DATA", ""), list(cases(backends(program)))
    for task, options in TASKS.items():
        if task in FOLDERS and not (data and (pathlib.Path(data) / FOLDERS[task]).is_dir()):
            print(f"soak: no {task} in $BRIDLE_DATA, which is left out")
            continue
        for backend in backends(program):
            words = f"--task {task} {options.format(data=data)} {TINY} --backend {backend}"
            found.append(Case(f"{task} {backend}", tuple(words.split())))
    return found


class Home:
    """A case, its folder, and how its undisturbed run ended there."""

    def __init__(self, program, place, case):
        self.program, self.case, self.folder = program, case, place.fresh(case)
        begun = time.monotonic()
        self.expected = undisturbed(program, self.folder, case)
        self.seconds, self.files, self.rounds = time.monotonic() - begun, self.listing(), 0
        self.memory = [self.peak()]

    def peak(self):
        record = records_of(self.folder)[0]
        return json.loads(record.read_text())["peak_memory_bytes"]["host"]

    def listing(self):
        """All files; of checkpoints, whose names differ from run to run, only their folders."""
        files = (str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())
        return {re.sub(r"checkpoint-\d+-[0-9a-f]+", "checkpoint", name) for name in files}

    def disturb(self, draw):
        """Something happens to a run. Gives what it was."""
        option = draw.choice(["--resume", "--resume", "--fresh"])
        kind = draw.choice(["kill", "kill", "signal", "fault", "nothing"])
        if kind == "nothing":
            return "nothing"
        if kind == "fault":
            name, error = draw.choice(list(CALLS)), draw.choice(ERRORS)
            number = draw.randrange(1, 60 if name in ("open", "write") else 30)
            code, hit = run_failing(self.program, self.folder, self.case, [option], CALLS[name], error, number)
            told = f"{option} with {error} at {name} {number}: {code}"
            refused = error == "EACCES" and "results/records" in "".join(hit)
            if code not in (0, 1) and not (code == 2 and refused):
                raise Failed(f"{told} after {hit}")
            return told
        child = start(self.program, self.folder, self.case, option)
        sent = draw.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]) if kind == "signal" else signal.SIGKILL
        time.sleep(draw.uniform(0, self.seconds))
        child.send_signal(sent)
        code = finish(child)
        # before the program listens, a signal ends it as the system does
        if code not in (0, 128 + sent, -sent):
            raise Failed(f"{sent.name} ends with exit code {code}")
        return f"{option} with {sent.name}: {code}"

    def damage(self, draw):
        """One file that the program wrote is not what it was. Gives its name."""
        files = [path for place in ["runs", "results"] for path in self.folder.joinpath(place).rglob("*")
                 if path.is_file() and path.stat().st_size]
        if not files:
            return None
        path = draw.choice(sorted(files))
        content = bytearray(path.read_bytes())
        if draw.random() < 0.5:
            del content[draw.randrange(len(content)):]
        for _ in range(draw.randrange(1, 9)):
            if content:
                content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        return str(path.relative_to(self.folder))

    def round(self, draw):
        """Gives what happened, and the damaged files."""
        self.rounds += 1
        happened, damaged = [], []
        if draw.random() < 0.5:
            # from nothing, or from the features alone
            for place in draw.choice([["runs", "results"], ["results", "runs/synthetic", "runs/pretrained"]]):
                shutil.rmtree(self.folder / place, ignore_errors=True)
            happened.append("cleared")
        for _ in range(draw.randrange(4)):
            happened.append(self.disturb(draw))
            for _ in range(draw.randrange(3)):
                damaged.append(self.damage(draw))
        damaged = [name for name in damaged if name]
        for aside in self.folder.rglob("*.damaged"):
            aside.unlink()
        # where --fresh is stopped, a finished run keeps its record, but not its logs
        logs = not any(".jsonl" in name or "--fresh" in name for name in damaged + happened)
        check_end(self.program, self.folder, self.case, self.expected, logs=logs, aside=bool(damaged))
        for aside in self.folder.rglob("*.damaged"):
            aside.unlink()
        self.require_no_more_files()
        if self.rounds % 4 == 0 or not logs:
            if undisturbed(self.program, self.folder, self.case, "--fresh") != self.expected:
                raise Failed("another outcome with --fresh")
            self.memory.append(self.peak())
            self.require_no_more_files()
        return happened, damaged

    def require_no_more_files(self):
        more = self.listing() - self.files - {"err"}
        if more:
            raise Failed(f"left over: {sorted(more)}")

    def growth(self):
        """By what share the peak of memory has grown."""
        part = max(1, len(self.memory) // 4)
        return statistics.median(self.memory[-part:]) / statistics.median(self.memory[:part]) - 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=pathlib.Path, help="a file for the totals so far")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder to which the folders of failures are moved")
    options = parser.parse_args()
    begun, draw, homes, totals = time.monotonic(), random.Random(options.seed), {}, collections.Counter()
    # first each task once, then whatever is drawn
    chosen = all_cases(options.program)
    first = [case for case in chosen if case.name.split()[0] in TASKS]
    draw.shuffle(first)
    with tempfile.TemporaryDirectory() as scratch:
        place = Place(options.program, scratch)
        while time.monotonic() - begun < 3600 * options.hours:
            case = first.pop() if first else draw.choice(chosen)
            number, happened, damaged = totals["rounds"], [], []
            try:
                home = homes.get(case.name) or Home(options.program, place, case)
                homes[case.name] = home
                (home.folder / "err").unlink(missing_ok=True)
                happened, damaged = home.round(random.Random(f"{options.seed} {number}"))
                told = f"{', '.join(happened) or 'nothing'}; damaged: {', '.join(damaged) or 'nothing'}"
            except (Failed, OSError, ValueError, KeyError) as failure:
                totals["failures"] += 1
                told = f"WRONG: {failure}"
                if case.name in homes:
                    folder = homes.pop(case.name).folder
                    told += f"\n{last_lines(folder)}"
                    if options.keep:
                        shutil.move(folder, options.keep / f"{options.seed}-{number}")
            totals["rounds"] += 1
            totals["disturbed"] += len([one for one in happened if one not in ("nothing", "cleared")])
            totals["damaged files"] += len(damaged)
            print(f"{time.monotonic() - begun:.0f} s, round {number}, {case.name}: {told}", flush=True)
            report(options, begun, homes, totals)
        word = report(options, begun, homes, totals)
        print(f"soak: {word}")
    sys.exit(bool(totals["failures"] or grown(homes)))


def grown(homes):
    return [name for name, home in homes.items() if home.growth() > FLAT]


def report(options, begun, homes, totals):
    """The totals in a line; also as a file."""
    growth = {name: home.growth() for name, home in homes.items() if len(home.memory) > 1}
    most = max(growth, key=growth.get, default=None)
    word = (f"{totals['rounds']} rounds of {len(homes)} cases in {(time.monotonic() - begun) / 3600:.2f} h, "
            f"{totals['disturbed']} disturbed runs, {totals['damaged files']} damaged files, {totals['failures']} "
            f"failures; memory grew by {100 * growth[most] if most else 0:.1f} % at most ({most}), in "
            f"{len(grown(homes))} of {len(growth)} cases by more than 5 %; seed {options.seed}")
    if options.state:
        state = {"totals": totals, "line": word, "memory": {name: home.memory for name, home in homes.items()}}
        part = options.state.with_suffix(".part")
        part.write_text(json.dumps(state, indent=1))
        part.rename(options.state)
    return word


if __name__ == "__main__":
    main()
