#!/usr/bin/env python3
"""Lets each of the first system calls of a run fail, and demands an error with a name and nothing half-written.

    tests/faults.py target/release/bridle-bench               every call with every error: half an hour
    tests/faults.py PROGRAM --seconds 20 --seed 7             as many of them as fit, in another order
    tests/faults.py PROGRAM --only fsync --case speech        a part of them
    tests/faults.py PROGRAM --only limits                     too little memory, too few files, files that are too small

Needs strace. A run is stopped as soon as the program's own code begins, at its first call for a handler of SIGXFSZ,
so that no call of the dynamic loader is counted. From there the n-th call of one kind fails in every thread that
gets so far, for n from 1 to the last one, at most 200. The run must then

    end with exit code 1 and an error that names the file or the thing, without a panic and without an abort;
    or with exit code 2 where the folder of --out refuses to be written at the start, which is wrong use;
    or do without what failed and give the same record, where TOLERATED says so.

Beside calls, limits of the system are set at that point: for each of LIMITS, STEPS values up to what the run uses.

In each case it leaves no temporary file, a record that can be seen is whole, and the same command with --resume
gives the record, the predictions and the logs of a run that nobody disturbed.
"""

import argparse
import collections
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the checkout stays clean
from disturb import (CALLS, ERRORS, Failed, Place, case, check_end, check_records, last_lines, outcome,
                     finish, require_nothing_left, run_failing, run_traced, start_stopped, undisturbed)

MOST = 200
# limits of the system, the least and the most that is tried, and how an error may call what has run out
MIB = 1 << 20
LIMITS = {"memory": (resource.RLIMIT_AS, 0, 128 * MIB, ["memory", "thread"]),
          "open files": (resource.RLIMIT_NOFILE, 3, 43, ["Too many open files"]),
          "size of a file": (resource.RLIMIT_FSIZE, 4096, MIB // 2, ["File too large"])}
STEPS = 40
# what a run does without: the call, and why
TOLERATED = [
    (r'"/(sys|proc)\b|</(sys|proc)\b', "facts of the machine, which decide no number"),
    (r'"/etc/ld.so.cache"|"[^"]*\.so[.\d]*"|"/usr/(lib|share)/locale/|/gconv/gconv-modules', "libraries of `lscpu`, which is asked for such facts"),
    (r"\.hashes\"|/features/\S*\.part", "what would be remembered of files"),
    (r'"(runs|/tmp|results)[^"]*", \S*O_DIRECTORY', "a look for what killed runs left"),
    (r"^write\(2<", "messages"),
    (r'\.predictions\.csv", O_RDONLY\S*\) = -1 EACCES', "predictions, where tables say whose interval they print"),
    (r"^clone", "a thread of several"),
    (r"^mmap", "memory that is found elsewhere"),
]


class Faults:
    """A case, and the calls that its run makes once the program's own code has begun."""

    def __init__(self, program, place, case):
        self.program, self.place, self.case = program, place, case
        folder = place.fresh(case)
        self.expected = undisturbed(program, folder, case)
        shutil.rmtree(folder)

    def trials(self, kinds):
        """Which calls to let fail: kind, number, error. Of calls on facts of the machine one error each, of others
        all."""
        folder = self.place.fresh(self.case)
        code, trace = run_traced(self.program, folder, self.case, [], "-e", f"trace={','.join(CALLS.values())}")
        shutil.rmtree(folder)
        if code != 0:
            raise Failed(f"a run that is only watched ends with exit code {code}")
        main = trace.split(maxsplit=1)[0]
        threads = {main, *re.findall(r"CLONE_THREAD.*=> \{parent_tid=\[(\d+)\]", trace)}
        counts, found = collections.Counter(), {}
        for thread, name, rest in re.findall(r"^(\d+) +(\w+)(\(.*)", trace, re.MULTILINE):
            kind = next((kind for kind, names in CALLS.items() if name in names.split(",")), None)
            if kind in kinds and thread in threads:
                counts[thread, kind] += 1
                is_fact = re.search(TOLERATED[0][0], rest) is not None
                key = kind, counts[thread, kind]
                found[key] = found.get(key, True) and is_fact
        return [(self, kind, number, error) for (kind, number), is_fact in found.items() if number <= MOST
                for error in (ERRORS[number % len(ERRORS):][:1] if is_fact else ERRORS)]

    def fail(self, folder, calls, number, error):
        """Lets one call fail, and judges how the run ends. Gives a word for it."""
        code, hit = run_failing(self.program, folder, self.case, [], calls, error, number)
        where = "; ".join(hit)
        if not hit:
            return "no such call"
        left_out = [line for line in hit if error == "EACCES" and re.search(r'"\d+\.wav"', line)]
        if code == 0 and left_out and "left out: " in (folder / "err").read_text():
            # other data, and another record; what follows is about the data as they are
            for place in ["results", "runs/tones"]:
                shutil.rmtree(folder / place)
            return "exit code 0, a sample that may not be read is left out and named"
        reasons = [next((why for call, why in TOLERATED if re.search(call, line)), None) for line in hit]
        if code == 0 and None in reasons:
            raise Failed(f"exit code 0 although this failed: {where}")
        # a folder of records that may not be written is wrong use, data that may not be read are wrong data
        theirs = 2 if "results/records" in where else 3 if re.search(r"tones|\.wav", where) else 1
        refused = error == "EACCES" and code == theirs
        word = self.judge(folder, code, where, [name for line in hit for name in names(line)], refused)
        return f"{word}, done without {reasons[0]}" if code == 0 else word

    def limit(self, folder, what, step):
        """Sets a limit of the system, and judges how the run ends. Gives a word for it."""
        kind, least, most, called = LIMITS[what]
        value = least + (most - least) * step // STEPS
        child = start_stopped(self.program, folder, self.case)
        if kind == resource.RLIMIT_AS:
            # beyond what the program and its libraries take
            value += os.sysconf("SC_PAGE_SIZE") * int(pathlib.Path(f"/proc/{child.pid}/statm").read_text().split()[0])
        resource.prlimit(child.pid, kind, (value, value))
        child.send_signal(signal.SIGCONT)
        return f"{what}: {self.judge(folder, finish(child), f'{what} of {value}', called)}"

    def judge(self, folder, code, why, called, refused=False):
        said = (folder / "err").read_text(errors="replace")
        if code not in (0, 1) and not refused:
            raise Failed(f"exit code {code} after {why}")
        if "internal fault" in said or "panicked" in said:
            raise Failed(f"a panic after {why}")
        # an allocation that fails has no other words
        error = said[max(said.rfind("error: "), said.rfind("memory allocation of")):]
        if code != 0 and not any(name in error for name in called):
            raise Failed(f"an error that names nothing of {called} after {why}")
        if code == 0 and outcome(folder) != self.expected:
            raise Failed(f"exit code 0 and another outcome after {why}")
        if not all(check_records(folder)):
            raise Failed(f"a record beside the predictions of another run after {why}")
        # a program without memory or threads ends at once, and the next run removes what it left
        if not re.search("memory allocation of|starts no more threads", said):
            require_nothing_left(folder)
        return f"exit code {code}"


def names(call):
    """What an error may call the thing that a call worked on."""
    if call.startswith("clone"):
        return ["thread"]
    if call.startswith("mmap"):
        return ["memory", "thread"]
    if call.startswith("write(1<"):
        return ["stdout"]
    path = re.search(r'^rename\w*\(.*"([^"]+)"\)|^open\w*\(.*?"([^"]+)"|^\w+\(\d+<([^>]+)>', call)
    path = pathlib.Path(path[1] or path[2] or path[3])
    # a temporary file is named as what it becomes, one that proves that it can be written as its folder
    name = re.sub(r"^\.(.*)\.\d+(?:-\d+)?\.tmp$", r"\1", path.name)
    return [path.parent.name] if name == "writable" else [name]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[*CALLS, "limits"], action="append", help="these calls")
    parser.add_argument("--case", choices=["sound", "speech"], action="append", help="on these data")
    parser.add_argument("--backend", default="flex")
    parser.add_argument("--keep-going", action="store_true", help="tell all failures instead of the first one")
    options = parser.parse_args()
    begun, draw, words, failures = time.monotonic(), random.Random(options.seed), collections.Counter(), 0
    with tempfile.TemporaryDirectory() as scratch:
        place = Place(options.program, scratch)
        trials = []
        for kind in options.case or ["sound", "speech"]:
            faults = Faults(options.program, place, case(kind, "bridle", ["linear-probe", "finetune"], options.backend))
            kinds = options.only or [*CALLS, "limits"]
            trials += faults.trials(kinds)
            if "limits" in kinds:
                trials += [(faults, what, step) for what in LIMITS for step in range(STEPS)]
        draw.shuffle(trials)
        for faults, name, number, *error in trials:
            if options.seconds and time.monotonic() - begun > options.seconds:
                break
            folder = place.fresh(faults.case)
            try:
                word = (faults.fail(folder, CALLS[name], number, *error) if error
                        else faults.limit(folder, name, number))
                check_end(faults.program, folder, faults.case, faults.expected)
            except (Failed, OSError, ValueError, KeyError) as failure:
                told = f"faults: {faults.case.name}: {' '.join(error)} at {name} {number}: {failure}"
                told = f"{told}\n{last_lines(folder)}"
                failures += 1
                if not options.keep_going:
                    sys.exit(told)
                print(told, flush=True)
                word = "WRONG"
            words[word] += 1
            shutil.rmtree(folder)
            if sum(words.values()) % 100 == 0:
                print(f"{sum(words.values())} of {len(trials)}, {failures} wrong", flush=True)
        for word, count in sorted(words.items()):
            print(f"{count:5} {word}")
        print(f"faults: {sum(words.values()) - failures} of {len(trials)} hold, {failures} do not; "
              f"{time.monotonic() - begun:.0f} s, seed {options.seed}")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
