"""Small runs of the program that tests disturb, and what must hold afterwards; for kill.py, faults.py and soak.py.

A run takes a part of a second. Its data are synthetic sounds, or spoken "words" that are tones, made here.
"""

import dataclasses
import functools
import hashlib
import json
import math
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import time
import wave

# what may differ between two runs of one plan; see results/record/differences.rs
VARYING = {"id", "machine", "peak_memory_bytes", "started", "finished", "seconds", "input_wait_seconds",
           "samples_per_second", "reused_from"}
LONG = 300  # seconds after which a run hangs
# calls that are let fail, by their names for strace
CALLS = {"open": "open,openat", "write": "write", "rename": "rename,renameat,renameat2", "fsync": "fsync",
         "mmap": "mmap", "clone": "clone,clone3"}
ERRORS = ["ENOSPC", "EIO", "EMFILE", "EACCES", "EAGAIN"]
# a phase, when it ends
PHASE = re.compile(r"^((?:encoder|tokenizer|joint)-\d+): \d+ epochs, loss", re.MULTILINE)
# values that a plan has for the methods that pretrain, and for each protocol
SMALL = "--preset smoke --threads 1 --checkpoint-every 0"
SOUND = f"{SMALL} --task synthetic --subset 20 --set data.frames=64"
SPEECH = f"{SMALL} --task tones.toml --set data.mels=24 --set model.dim=16"
CODES = "--set quantizer.codes=16"
VALUES = {
    ("sound", "pretraining"): f"{CODES} --set pretrain.encoder.epochs=1",
    ("sound", "bridle"): "--set quantizer.levels=2 --set model.decoder.dim=32 --set model.decoder.depth=1 "
                         "--set model.estimator.depth=1",
    ("sound", "linear-probe"): "--set probe.epochs=5",
    ("sound", "finetune"): "--set finetune.epochs=1",
    ("sound", "attentive-probe"): "--set attentive.epochs=1",
    ("speech", "pretraining"): f"{CODES} --set quantizer.code_dim=8 --set pretrain.batch=8",
    ("speech", "linear-probe"): "--set probe.epochs=1 --set probe.utterances=none",
    ("speech", "finetune"): "--set finetune.epochs=1 --set finetune.warmup_epochs=0 --set finetune.utterances=none "
                            "--set finetune.batch=8",
    ("speech", "attentive-probe"): "--set attentive.epochs=1 --set attentive.utterances=none",
}
PROTOCOLS = {"sound": ["linear-probe", "knn", "finetune", "attentive-probe"],
             "speech": ["linear-probe", "finetune", "attentive-probe"]}
METHODS = {"sound": ["bridle", "bridle-joint", "best-rq", "birq", "random-init", "scratch", "init"],
           "speech": ["bridle", "best-rq", "birq", "relabel", "random-init", "scratch"]}


class Failed(Exception):
    """A law that does not hold."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A run that can be repeated: what it is called, its options, and the files that it needs."""

    name: str
    options: tuple
    files: object = None  # puts them into a folder


def cases(backends, speech=True):
    """Every method with every protocol that fits it, on sound and on speech, on these backends."""
    for backend in backends:
        for kind in ["sound", "speech"] if speech else ["sound"]:
            for method in METHODS[kind]:
                for protocol in PROTOCOLS[kind]:
                    trains = protocol == "finetune"
                    if (method == "scratch" and not trains) or (method == "random-init" and trains):
                        continue
                    yield case(kind, method, [protocol], backend)


def case(kind, method, protocols, backend="flex"):
    controls = ["random-init", "scratch", "init"]
    words = [SOUND if kind == "sound" else SPEECH]
    words.append("--init given.safetensors" if method == "init" else f"--method {method}")
    if method not in controls:
        words.append(VALUES[kind, "pretraining"])
    if method.startswith("bridle"):
        words.append(VALUES.get((kind, "bridle"), ""))
    words += [VALUES.get((kind, protocol), "") for protocol in protocols]
    words.append(f"--protocol {','.join(protocols)} --backend {backend}")
    files = write_tones if kind == "speech" else None
    return Case(f"{kind} {method} {'+'.join(protocols)} {backend}", tuple(" ".join(words).split()), files)


def write_tones(folder, sentences=16):
    """A task of speech: sentences of three "words", each of which is a tone."""
    words = {"LOW": 300, "MID": 800, "HIGH": 1700, "TOP": 3400}
    rows = ["path,text,split,speaker"]
    for number in range(sentences):
        draw, sound = random.Random(number), []
        said = draw.choices(list(words), k=3)
        for word in said:
            sound += [0.3 * math.sin(math.tau * words[word] * i / 16000) for i in range(draw.randrange(2400, 4000))]
            sound += [0.0] * draw.randrange(960, 2240)
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(b"".join(struct.pack("<h", int(32000 * value)) for value in sound))
        split = "train" if number < sentences * 3 // 4 else "test"
        rows.append(f"{number}.wav,{' '.join(said)},{split},voice-{number % 2}")
    (folder / "tones.csv").write_text("\n".join(rows) + "\n")
    (folder / "tones.toml").write_text('name = "tones"\nmodality = "speech"\ncsv = "tones.csv"\n')


def backends(program):
    """The backends of this build that run here."""
    listed = subprocess.run([program, "list", "backends", "--format", "json"], capture_output=True, check=True)
    return [entry["name"] for entry in json.loads(listed.stdout) if entry["state"] == "ready"]


class Place:
    """Makes fresh folders with the files of a case."""

    def __init__(self, program, scratch):
        self.program, self.scratch, self.made, self.given = program, pathlib.Path(scratch), 0, {}

    def fresh(self, case):
        self.made += 1
        folder = self.scratch / f"{self.made}"
        (folder / "tmp").mkdir(parents=True)
        if case.files:
            case.files(folder)
        if "--init" in case.options:
            shutil.copy(self.encoder(), folder / "given.safetensors")
        return folder

    def encoder(self):
        """An encoder file, as `export` writes it."""
        path = self.scratch / "given.safetensors"
        if not path.exists():
            one = case("sound", "bridle", ["knn"])
            folder = self.fresh(one)
            undisturbed(self.program, folder, one)
            record = records_of(folder)[0].relative_to(folder)
            subprocess.run([self.program, "export", record, "--to", path], cwd=folder, check=True, capture_output=True)
        return path


def start(program, folder, case, *options, before=(), **how):
    """Starts the run in `folder`, in a session of its own; its temporary files are in `folder` too."""
    err = open(folder / "err", "ab")
    return subprocess.Popen([*before, program, "run", *case.options, *options], cwd=folder, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=err, start_new_session=True,
                            env={**os.environ, "TMPDIR": str(folder / "tmp")}, **how)


def finish(child):
    """The exit code; minus the signal's number if a signal ended it."""
    try:
        return child.wait(timeout=LONG)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        raise Failed(f"still running after {LONG} s") from None


def undisturbed(program, folder, case, *options):
    """Runs to the end, and gives what must come out of every disturbed run too."""
    code = finish(start(program, folder, case, *options))
    if code != 0:
        raise Failed(f"a run that nobody disturbed ends with exit code {code}")
    return outcome(folder)


def stripped(value):
    if isinstance(value, dict):
        return {name: stripped(part) for name, part in value.items() if name not in VARYING}
    return [stripped(part) for part in value] if isinstance(value, list) else value


def timeless(log):
    """The lines of a training log, without the moment and the speed, which no two runs share."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in ("time", "samples_per_second")} for line in lines]


def records_of(folder):
    """Paths of records, but for the control that a run on own data has beside it."""
    found = sorted(folder.glob("results/records/**/*.json"))
    return [path for path in found if path.parent.name != "random-init"] or found


def outcome(folder):
    """Record, predictions and logs of the one run of `folder`."""
    records = records_of(folder)
    if len(records) != 1:
        raise Failed(f"{len(records)} records instead of one")
    record = json.loads(records[0].read_text())
    plan = record.pop("plan")
    predictions = records[0].with_name(record["predictions"]).read_bytes()
    record["program"].pop("command", None)
    logs = {str(path.relative_to(folder)): timeless(path) for path in folder.glob("runs/**/*.jsonl")}
    return {"record": {"plan": plan, **stripped(record)}, "predictions": predictions, "log": logs}


def check_records(folder):
    """A record that can be seen is whole, and its predictions are its own."""
    for path in folder.glob("results/records/**/*.json"):
        record = json.loads(path.read_text())
        predictions = path.with_name(record["predictions"]).read_bytes()
        yield hashlib.sha256(predictions).hexdigest() == record["predictions_sha256"]


def check_end(program, folder, case, expected, *, logs=True, aside=False):
    """The run resumes, ends, and is the one that nobody disturbed: its logs too, unless they were damaged; damaged
    files may have been moved `aside`."""
    code = finish(start(program, folder, case, "--resume"))
    if code != 0:
        raise Failed(f"--resume ends with exit code {code}")
    if not all(check_records(folder)):
        raise Failed("a record beside the predictions of another run")
    found = outcome(folder)
    for name, wanted in expected.items():
        if found[name] != wanted and (logs or name != "log"):
            raise Failed(f"another {name}")
    require_nothing_left(folder, aside)


def require_nothing_left(folder, aside=False):
    patterns = ["*.tmp", "*.part", "tmp/*"] + ["*.damaged"] * (not aside)
    left = [str(path) for pattern in patterns for path in folder.rglob(pattern)]
    if left:
        raise Failed(f"left behind: {left}")


def phases(text):
    """The phases that have ended according to these messages."""
    return PHASE.findall(text)


def last_lines(folder, count=12):
    """The newest messages of the run in this folder."""
    return "\n".join((folder / "err").read_text(errors="replace").splitlines()[-count:])


def run_failing(program, folder, case, options, calls, error, number):
    """A run in which the `number`-th of these calls fails in every thread that gets so far: exit code, and the calls
    that failed."""
    code, trace = run_traced(program, folder, case, options, "-e", f"trace={calls}", "-e",
                             f"inject={calls}:error={error}:when={number}")
    begun, hit = {}, []
    for line in trace.splitlines():
        thread, call = line.split(maxsplit=1)
        if call.endswith("<unfinished ...>"):
            begun[thread] = call.removesuffix("<unfinished ...>")
        elif "(INJECTED)" in call:
            hit.append(re.sub(r"^<\.\.\. \w+ resumed>", lambda _: begun[thread], call))
    return code, hit


def run_traced(program, folder, case, options, *traced):
    """A run under strace from its first own call on: exit code and trace."""
    child, trace = start_stopped(program, folder, case, *options), folder / "tmp" / "trace"
    try:
        tracer = subprocess.Popen(["strace", "-f", "-qq", "-y", "-s", "400", "-o", str(trace), *traced, "-p",
                                   str(child.pid)])
        until(lambda: tracer_of(child) == tracer.pid)
        child.send_signal(signal.SIGCONT)
        code = finish(child)
        finish(tracer)
        return code, trace.read_text(errors="replace")
    finally:
        child.kill()
        trace.unlink(missing_ok=True)


def start_stopped(program, folder, case, *options):
    """Starts a run and stops it at the first call of the program's own code, after those of the dynamic loader; to be
    continued by SIGCONT."""
    mark = folder / "tmp" / "mark"
    child = start(program, folder, case, *options, before=[
        "strace", "-D", "-qq", "-o", str(mark), "-e", "trace=rt_sigaction",
        "-e", f"inject=rt_sigaction:signal=SIGSTOP:when={first_own_call(program)}"])
    until(lambda: mark.exists() and "stopped by SIGSTOP" in mark.read_text())
    os.kill(tracer_of(child), signal.SIGKILL)
    until(lambda: tracer_of(child) == 0)
    mark.unlink()
    return child


@functools.cache
def first_own_call(program):
    """Which of all calls of rt_sigaction is the program's first for SIGXFSZ."""
    command = ["strace", "-qq", "-e", "trace=rt_sigaction", program, "list", "tasks"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    calls = [line for line in found.splitlines() if line.startswith("rt_sigaction")]
    return next(number for number, line in enumerate(calls, 1) if "SIGXFSZ" in line)


def tracer_of(child):
    return int(re.search(r"TracerPid:\t(\d+)", pathlib.Path(f"/proc/{child.pid}/status").read_text())[1])


def until(condition):
    deadline = time.monotonic() + LONG
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"strace does nothing for {LONG} s")
        time.sleep(0.001)
