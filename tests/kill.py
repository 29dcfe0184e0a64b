#!/usr/bin/env python3
"""Kills runs and lets their machine fail, and demands that nothing is lost or wrong afterwards.

    tests/kill.py target/release/bridle-bench                 every kind of trial, for 50 seconds
    tests/kill.py PROGRAM --seconds 3600 --seed 7             for an hour, other moments
    tests/kill.py PROGRAM --product                           every method, phase, protocol and backend, killed
    tests/kill.py PROGRAM --product --seconds 20              as many of them as fit
    tests/kill.py PROGRAM --ranks 2                           40 runs of two processes under mpirun, killed

Trials, in turn:

    write    SIGKILL at the n-th call that changes a file (needs strace)
    moment   SIGKILL at a random moment, up to three times in a row
    signal   SIGINT, SIGTERM or SIGHUP at a random moment: heard within two seconds, with its exit code
    fault    the n-th such call fails once: disk full, or an error of the disk (needs strace); exit code 1
    replace  SIGKILL while a finished run is replaced by the same run with --fresh

With --product: each method with each protocol that fits it, on each backend, on sound and on speech, is killed in
each of its phases, and in what follows them, at KILLS random writes (needs strace) and at a random moment.

With --ranks N: runs of N processes under mpirun; SIGKILL at a random moment to one of them or to all, in turn. Half
of them resume with N and end as one that nobody disturbed; the others resume with another number: losses within
CLOSE, predictions as many, and a record that says the number.

After each, the same command with --resume ends with exit code 0. Its record, predictions and logs are
those of a run that nobody disturbed, bit for bit but for times, and no temporary file is left. Between
two tries a record, if there is one, is whole and belongs to its predictions.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the checkout stays clean
from disturb import (LONG, SMALL, Case, Failed, Place, backends, cases, check_end, check_records, finish, last_lines,
                     outcome, phases, records_of, require_nothing_left, start, undisturbed)

# three phases of 20, 10 and 20 steps, then a linear probe: a second or two
CASE = Case("sound", tuple((
    f"{SMALL} --task synthetic --quantizer rq --subset 40 --set data.frames=128 --set quantizer.codes=64 "
    "--set probe.epochs=20 --set model.estimator.depth=1 "
    "--set model.decoder.dim=32 --set model.decoder.depth=1 --set pretrain.encoder.epochs=2"
).split()))
# the calls that change a file
CALLS = "openat,write,rename,renameat,renameat2,fsync,unlink,unlinkat,mkdir,mkdirat,ftruncate"
# the most writes of each phase at which the product kills a run
KILLS = 4
HEARD = 2.0  # seconds within which a signal is heard
# how far losses may be apart that another number of ranks has trained, as a share: rounding, and what training makes of it
CLOSE = 1e-3
MPIRUN = ["mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n"]


def trace(call, when, effect):
    """The program under strace, with this effect on the `when`-th call of its main thread."""
    inject = f"inject={call}:{effect}:when={when}"
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject]


class Run:
    """A case that was run once without being disturbed, and once to count its calls."""

    def __init__(self, program, place, case, traced):
        self.program, self.place, self.case = program, place, case
        folder = place.fresh(case)
        self.ends, self.seconds = self.watched(folder)
        self.expected = undisturbed(program, folder, case, "--resume")
        self.stages = [*phases((folder / "err").read_text()), "protocol"]
        shutil.rmtree(folder)
        self.calls = self.counted() if traced else []

    def watched(self, folder):
        """The seconds at which phases end, and the run."""
        begun, ends = time.monotonic(), []
        child = start(self.program, folder, self.case)
        while child.poll() is None and time.monotonic() - begun < LONG:
            ended = len(phases((folder / "err").read_text()))
            ends += [time.monotonic() - begun] * (ended - len(ends))
            time.sleep(0.001)
        if finish(child) != 0:
            raise Failed(f"a run that nobody disturbed fails:\n{last_lines(folder)}")
        seconds = time.monotonic() - begun
        return [*ends, seconds], seconds

    def counted(self):
        """Calls of the main thread that change a file: stage, name, and which of its kind it is."""
        folder = self.place.fresh(self.case)
        before = ["strace", "-f", "-qq", "-s", "80", "-o", str(folder / "calls"), "-e", f"trace={CALLS}"]
        finish(start(self.program, folder, self.case, before=before))
        counts, stage, found = collections.Counter(), 0, []
        lines = (folder / "calls").read_text(errors="replace").splitlines()
        main = lines[0].split()[0]
        for line in lines:
            thread, call = line.split(maxsplit=1)
            name = re.match(r"(\w+)\(", call)
            if thread != main or not name:
                continue
            counts[name[1]] += 1
            # reading changes nothing, and neither do the calls of the dynamic loader
            if name[1] != "openat" or "O_CREAT" in call:
                found.append((stage, name[1], counts[name[1]]))
            stage += len(phases(call.removeprefix('write(2, "')))
        shutil.rmtree(folder)
        return found

    def draw_write(self, draw, stage=None):
        """One of all calls that change a file: its name, and which of its kind it is."""
        return draw.choice([call[1:] for call in self.calls if stage in (None, call[0])])

    def killed_at_write(self, folder, draw, stage=None):
        call, when = self.draw_write(draw, stage)
        code = finish(start(self.program, folder, self.case, before=trace(call, when, "signal=SIGKILL")))
        return f"killed at {call} {when}: {code}"

    def killed_at_moment(self, folder, draw, stage):
        """SIGKILL while this stage lasts."""
        begin = self.ends[stage - 1] if stage else 0.0
        child = start(self.program, folder, self.case)
        deadline = time.monotonic() + LONG
        while len(phases((folder / "err").read_text())) < stage and child.poll() is None:
            time.sleep(0.001)
            if time.monotonic() > deadline:
                raise Failed(f"{self.stages[stage - 1]} has not ended after {LONG} s")
        time.sleep(draw.uniform(0, self.ends[stage] - begin))
        child.kill()
        return f"killed in {self.stages[stage]}: {finish(child)}"

    def check_end(self, folder):
        pairs = list(check_records(folder))
        check_end(self.program, folder, self.case, self.expected)
        return "" if all(pairs) else " (a mixed pair, mended)"


def kill_at_write(run, folder, draw):
    return run.killed_at_write(folder, draw)


def kill_at_moment(run, folder, draw):
    kills = draw.randrange(1, 4)
    for _ in range(kills):
        child = start(run.program, folder, run.case, "--resume")
        time.sleep(draw.uniform(0, run.seconds))
        child.kill()
        finish(child)
    return f"killed {kills} times"


def signal_at_moment(run, folder, draw):
    sent, expected = draw.choice([(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    child = start(run.program, folder, run.case, "--resume")
    # before the program listens, a signal ends it as the system does
    time.sleep(draw.uniform(0.05, run.seconds))
    begun = time.monotonic()
    child.send_signal(sent)
    code, took = finish(child), time.monotonic() - begun
    if code not in (expected, -sent, 0):
        raise Failed(f"{sent.name} ends with exit code {code}")
    if took > HEARD and code != 0:
        raise Failed(f"{sent.name} was heard after {took:.1f} s")
    return f"{sent.name} after {took:.2f} s: {code}"


def fail_at_write(run, folder, draw):
    (call, when), error = run.draw_write(draw), draw.choice(["ENOSPC", "EIO"])
    code = finish(start(run.program, folder, run.case, before=trace(call, when, f"error={error}")))
    # what costs only time or tidiness may fail, and a folder of records that cannot be written is wrong use
    if code not in (0, 1, 2):
        raise Failed(f"{error} at {call} {when} ends with exit code {code}")
    return f"{error} at {call} {when}: {code}"


def kill_a_replacement(run, folder, draw):
    undisturbed(run.program, folder, run.case)
    call = draw.choice(["rename", "fsync"])
    last = max(when for _, name, when in run.calls if name == call)
    when = draw.randrange(max(1, last - 3), last + 1)
    before = trace(call, when, "signal=SIGKILL")
    code = finish(start(run.program, folder, run.case, "--fresh", before=before))
    return f"killed at {call} {when} of a replacement: {code}"


def several_kinds(program, place, draw, options, traced):
    """Every kind of trial on one case, in turn."""
    trials = [kill_at_moment, signal_at_moment]
    if traced:
        trials = [kill_at_write, kill_at_moment, fail_at_write, signal_at_moment, kill_a_replacement]
    run, begun, done = Run(program, place, CASE, traced), time.monotonic(), 0
    while done < len(trials) or time.monotonic() - begun < (options.seconds or 50):
        trial = trials[done % len(trials)]
        told = attempt(run, f"trial {done} of seed {options.seed}", lambda folder: trial(run, folder, draw))
        print(told, flush=True)
        done += 1
    print(f"kill: {done} trials hold, {len(run.calls)} writes a run, {run.seconds:.1f} s a run, seed {options.seed}")


def product(program, place, draw, options, traced):
    """Every method, phase, protocol and backend: killed at writes, and at a moment."""
    begun, done, late, places, visited = time.monotonic(), 0, 0, 0, 0
    chosen = list(cases(options.backend or backends(program)))
    draw.shuffle(chosen)
    for case in chosen:
        if options.seconds and time.monotonic() - begun > options.seconds:
            break
        run = Run(program, place, case, traced)
        # of each case its own moments, whatever was drawn before
        own = random.Random(f"{options.seed} {case.name}")
        for stage, name in enumerate(run.stages):
            for kind in [Run.killed_at_moment] + [Run.killed_at_write] * KILLS * traced:
                told = attempt(run, f"{case.name}, {name}, seed {options.seed}",
                               lambda folder: kind(run, folder, own, stage))
                killed = told.partition(" (")[0].endswith("-9")
                done, late = done + killed, late + (not killed)
        places, visited = places + len(run.stages), visited + 1
        print(f"{visited} of {len(chosen)}: {case.name}: {', '.join(run.stages)}; {done} kills", flush=True)
    print(f"kill product: {done} kills hold in {places} phases of {visited} of {len(chosen)} cases; {late} more came "
          f"too late; {time.monotonic() - begun:.0f} s, seed {options.seed}")


def launched(program, folder, ranks, *options):
    """The run in several processes, or in one."""
    before = [*MPIRUN, str(ranks)] if ranks > 1 else []
    return start(program, folder, CASE, *options, before=before)


def ranks_of(launcher, program):
    """The processes of the program below this one."""
    own, found = os.path.realpath(program), []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == launcher and os.readlink(stat.with_name("exe")) == own:
                found.append(int(stat.parent.name))
        except OSError:
            continue  # it has ended
    return sorted(found)


def losses(found):
    return [line["loss"] for log in found["log"].values() for line in log]


def several_ranks(program, place, draw, options, _):
    """Runs of several processes, of which one or all are killed, resumed with the same number of them or another."""
    count, folder, begun = options.ranks, place.fresh(CASE), time.monotonic()
    if finish(launched(program, folder, count)) != 0:
        raise Failed(f"a run of {count} ranks that nobody disturbed fails:\n{last_lines(folder)}")
    expected, seconds, kinds = outcome(folder), time.monotonic() - begun, collections.Counter()
    begun, done, late = time.monotonic(), 0, 0
    while done < 40 and (done < 4 or not options.seconds or time.monotonic() - begun < options.seconds):
        who, resumed = ("one", "all")[done % 2], (count, 1, count, count + 1)[done // 2 % 4]
        folder = place.fresh(CASE)
        child = launched(program, folder, count)
        time.sleep(draw.uniform(0.1, seconds))
        ranks = ranks_of(child.pid, program)
        for process in ranks if who == "all" else ranks and [draw.choice(ranks)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        code, told = finish(child), f"trial {done} of seed {options.seed}: {who} of {count} ranks, resumed with {resumed}"
        list(check_records(folder))
        if code == 0:  # it came before the ranks, or after their end
            late += 1
            if late > 20 + 2 * done:
                raise Failed(f"{late} kills of {late + done} did not hit a rank")
            shutil.rmtree(folder)
            continue
        if finish(launched(program, folder, resumed, "--resume")) != 0:
            sys.exit(f"kill: {told}: --resume fails\n{last_lines(folder)}")
        found = outcome(folder)
        require_nothing_left(folder)
        said = json.loads(records_of(folder)[0].read_text())["machine"].get("ranks", {"count": 1})["count"]
        complete = "already complete" in (folder / "err").read_text()
        if said != (count if complete else resumed):
            sys.exit(f"kill: {told}: the record says {said} ranks")
        if resumed == count and found != expected:
            sys.exit(f"kill: {told}: another {[name for name in found if found[name] != expected[name]]}")
        pairs = list(zip(losses(expected), losses(found)))
        apart = max(abs(a - b) / max(abs(a), 1) for a, b in pairs)
        if len(losses(found)) != len(pairs) or apart > CLOSE:
            sys.exit(f"kill: {told}: losses differ by {apart}")
        print(f"{told}: exit code {code}, losses within {apart:.1e}", flush=True)
        kinds[resumed == count] += 1
        shutil.rmtree(folder)
        done += 1
    print(f"kill: {done} kills of {count} ranks hold, {kinds[True]} resumed with as many and equal to the bit, {kinds[False]} "
          f"with another number; {late} more did not hit; {seconds:.1f} s a run, "
          f"{time.monotonic() - begun:.0f} s, seed {options.seed}")


def attempt(run, name, disturb):
    """Disturbs a run in a fresh folder and checks how it ends. Gives what was done."""
    folder, told = run.place.fresh(run.case), name
    try:
        told = disturb(folder)
        mended = run.check_end(folder)
    except (Failed, OSError, ValueError, KeyError) as error:
        sys.exit(f"kill: {name}: {told}: {error}\n{last_lines(folder)}")
    shutil.rmtree(folder)
    return f"{told}{mended}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--seconds", type=float, help="50 by default, the whole product with --product")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--product", action="store_true")
    parser.add_argument("--ranks", type=int, help="runs of so many processes under mpirun, at least 2")
    parser.add_argument("--backend", action="append", help="of --product; every one that runs here by default")
    options = parser.parse_args()
    traced = shutil.which("strace") is not None
    if not traced:
        print("kill: no strace, so that no write is hit exactly")
    with tempfile.TemporaryDirectory() as scratch:
        way = several_ranks if options.ranks else product if options.product else several_kinds
        way(options.program, Place(options.program, scratch), random.Random(options.seed), options, traced)


if __name__ == "__main__":
    main()
