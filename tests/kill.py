#!/usr/bin/env python3
"""Kills runs and lets their machine fail, and demands that nothing is lost or wrong afterwards.

    tests/kill.py target/release/bridle-bench                 every kind of trial, for 50 seconds
    tests/kill.py PROGRAM --seconds 3600 --seed 7             for an hour, other moments

Trials, in turn:

    write    SIGKILL at the n-th call that changes a file (needs strace)
    moment   SIGKILL at a random moment, up to three times in a row
    signal   SIGINT, SIGTERM or SIGHUP at a random moment: heard within two seconds, with its exit code
    fault    the n-th such call fails once: disk full, or an error of the disk (needs strace); exit code 1
    replace  SIGKILL while a finished run is replaced by the same run with --fresh

After each, the same command with --resume ends with exit code 0. Its record, predictions and log are
those of a run that nobody disturbed, bit for bit but for times, and no temporary file is left. Between
two tries a record, if there is one, is whole and belongs to its predictions.
"""

import argparse
import collections
import hashlib
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

# three phases of 20, 10 and 20 steps, then a linear probe: a second or two
PLAN = (
    "run --task synthetic --quantizer rq --preset smoke --subset 40 --threads 1 --checkpoint-every 0 "
    "--set data.frames=128 --set quantizer.codes=64 --set model.estimator.depth=1 --set probe.epochs=20 "
    "--set model.decoder.dim=32 --set model.decoder.depth=1 --set pretrain.encoder.epochs=2"
).split()
# what may differ between two runs of one plan; see results/record/differences.rs
VARYING = {"id", "machine", "peak_memory_bytes", "started", "finished", "seconds", "input_wait_seconds",
           "samples_per_second", "reused_from"}
CALLS = "rename,renameat,renameat2,fsync,unlink,unlinkat,mkdir,mkdirat,ftruncate"
HEARD = 2.0  # seconds within which a signal is heard
LONG = 300  # seconds after which a run hangs


class Failed(Exception):
    """A law that does not hold."""


def start(program, folder, *options, before=()):
    """Starts the run in `folder`, in a session of its own."""
    err = open(folder / "err", "ab")
    return subprocess.Popen([*before, program, *PLAN, *options], cwd=folder, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=err, start_new_session=True)


def finish(child):
    """The exit code; minus the signal's number if a signal ended it."""
    try:
        return child.wait(timeout=LONG)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        raise Failed(f"still running after {LONG} s") from None


def stripped(value):
    if isinstance(value, dict):
        return {name: stripped(part) for name, part in value.items() if name not in VARYING}
    return [stripped(part) for part in value] if isinstance(value, list) else value


def outcome(folder):
    """Record, predictions and log of the one run of `folder`."""
    records = sorted(folder.glob("results/records/**/*.json"))
    logs = sorted(folder.glob("runs/synthetic/**/metrics.jsonl"))
    if len(records) != 1 or len(logs) != 1:
        raise Failed(f"{len(records)} records and {len(logs)} logs instead of one")
    record = json.loads(records[0].read_text())
    plan = record.pop("plan")
    predictions = records[0].with_name(record["predictions"]).read_bytes()
    return {"plan": plan, **stripped(record)}, predictions, logs[0].read_text()


def check_records(folder):
    """A record that can be seen is whole, and its predictions are its own."""
    for path in folder.glob("results/records/**/*.json"):
        record = json.loads(path.read_text())
        predictions = path.with_name(record["predictions"]).read_bytes()
        yield hashlib.sha256(predictions).hexdigest() == record["predictions_sha256"]


def check_end(program, folder, expected):
    """The run resumes, ends, and is the one that nobody disturbed."""
    code = finish(start(program, folder, "--resume"))
    if code != 0:
        raise Failed(f"--resume ends with exit code {code}")
    for name, found, wanted in zip(("record", "predictions", "log"), outcome(folder), expected):
        if found != wanted:
            raise Failed(f"another {name}")
    left = [str(path) for path in folder.rglob("*.tmp")] + [str(path) for path in folder.rglob("*.damaged")]
    if left:
        raise Failed(f"left behind: {left}")


def trace(call, when, effect):
    """The program under strace, with this effect on the `when`-th call of its main thread."""
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{effect}:when={when}"]


def draw_write(draw, calls):
    """One of all calls that change a file: its name, and which of its kind it is."""
    call = draw.choices(list(calls), weights=list(calls.values()))[0]
    return call, draw.randrange(1, calls[call] + 1)


def kill_at_write(program, folder, draw, calls, _seconds):
    call, when = draw_write(draw, calls)
    code = finish(start(program, folder, before=trace(call, when, "signal=SIGKILL")))
    return f"killed at {call} {when}: {code}"


def kill_at_moment(program, folder, draw, _calls, seconds):
    kills = draw.randrange(1, 4)
    for _ in range(kills):
        child = start(program, folder, "--resume")
        time.sleep(draw.uniform(0, seconds))
        child.kill()
        finish(child)
    return f"killed {kills} times"


def signal_at_moment(program, folder, draw, _calls, seconds):
    sent, expected = draw.choice([(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    child = start(program, folder, "--resume")
    # before the program listens, a signal ends it as the system does
    time.sleep(draw.uniform(0.05, seconds))
    begun = time.monotonic()
    child.send_signal(sent)
    code, took = finish(child), time.monotonic() - begun
    if code not in (expected, -sent, 0):
        raise Failed(f"{sent.name} ends with exit code {code}")
    if took > HEARD and code != 0:
        raise Failed(f"{sent.name} was heard after {took:.1f} s")
    return f"{sent.name} after {took:.2f} s: {code}"


def fail_at_write(program, folder, draw, calls, _seconds):
    (call, when), error = draw_write(draw, calls), draw.choice(["ENOSPC", "EIO"])
    code = finish(start(program, folder, before=trace(call, when, f"error={error}")))
    # what costs only time or tidiness may fail, and a folder of records that cannot be written is wrong use
    if code not in (0, 1, 2):
        raise Failed(f"{error} at {call} {when} ends with exit code {code}")
    return f"{error} at {call} {when}: {code}"


def kill_a_replacement(program, folder, draw, calls, _seconds):
    if finish(start(program, folder)) != 0:
        raise Failed("a run that nobody disturbed fails")
    call = draw.choice(["rename", "fsync"])
    when = draw.randrange(max(1, calls[call] - 4), calls[call] + 1)
    code = finish(start(program, folder, "--fresh", before=trace(call, when, "signal=SIGKILL")))
    return f"killed at {call} {when} of a replacement: {code}"


def count_calls(program, folder):
    """Calls that change a file in an undisturbed run, by their names."""
    counts = folder / "calls"
    before = ["strace", "-f", "-qq", "-o", str(counts), "-e", f"trace={CALLS}"]
    finish(start(program, folder, before=before))
    found = re.findall(r"^\d+\s+(\w+)\(", counts.read_text(), re.MULTILINE)
    return dict(sorted(collections.Counter(found).items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--seconds", type=float, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    program, begun, draw = options.program, time.monotonic(), random.Random(options.seed)
    traced = shutil.which("strace") is not None
    trials = [kill_at_moment, signal_at_moment]
    if traced:
        trials = [kill_at_write, kill_at_moment, fail_at_write, signal_at_moment, kill_a_replacement]
    else:
        print("kill: no strace, so that no write is hit exactly")

    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)

        def fresh(name):
            folder = scratch / name
            folder.mkdir()
            return folder

        folder = fresh("undisturbed")
        start_time = time.monotonic()
        if finish(start(program, folder)) != 0:
            sys.exit(f"kill: the run fails:\n{(folder / 'err').read_text()}")
        seconds, expected = time.monotonic() - start_time, outcome(folder)
        calls = count_calls(program, fresh("counted")) if traced else {}
        done = 0
        while done < len(trials) or time.monotonic() - begun < options.seconds:
            trial, folder = trials[done % len(trials)], fresh(f"trial-{done}")
            told = trial.__name__
            try:
                told = trial(program, folder, draw, calls, seconds)
                pairs = list(check_records(folder))
                check_end(program, folder, expected)
                if not all(check_records(folder)):
                    raise Failed("a record beside the predictions of another run")
            except (Failed, OSError, ValueError, KeyError) as error:
                sys.exit(f"kill: trial {done} of seed {options.seed}: {told}: {error}\n{(folder / 'err').read_text()}")
            print(f"{told}{'' if all(pairs) else ' (a mixed pair, mended)'}", flush=True)
            shutil.rmtree(folder)
            done += 1
        print(f"kill: {done} trials hold, {sum(calls.values())} writes a run, {seconds:.1f} s a run")


if __name__ == "__main__":
    main()
