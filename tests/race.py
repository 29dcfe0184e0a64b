"""Races this program against its PyTorch twin: both in turn, one process per task, and a table of ratios.

    eval "$(backends/setup-libtorch)"           torch 2.9.0 for both, its python3 first in PATH
    python3 -m pip install numpy                needed by the peer besides torch
    cargo build --release --features tch
    python3 tests/race.py --peer ../shared/peer/bridle_torch.py

Every round runs each contestant once per size and task, one after another, so that a noisy minute affects
all of them. A contestant's number is the median of its rounds' medians. A ratio is the peer's time over
ours, above 1 if ours is faster, with the range of the rounds' ratios. Another table compares our fastest
with the peer's fastest, of any number type, compiled or not. Peak memory is that of the whole process, with
our check against the plain form. --out writes the numbers of each round as JSON.

    --sizes small --contestants "tch fp32,tch bf16,eager fp32,compile bf16"      a shorter race
    --threads 1,2                                        both in each round, and the speed-up of the second
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

TASKS = ["encoder_step", "tokenizer_step", "tokenise", "features", "quantize"]
ROOT = pathlib.Path(__file__).resolve().parent.parent

# name: (whose, options)
CONTESTANTS = {
    "tch fp32": ("ours", ["--backend", "tch", "--dtype", "fp32"]),
    "flex fp32": ("ours", ["--backend", "flex", "--dtype", "fp32"]),
    "tch bf16": ("ours", ["--backend", "tch", "--dtype", "bf16"]),
    "flex bf16": ("ours", ["--backend", "flex", "--dtype", "bf16"]),
    "eager fp32": ("peer", ["--dtype", "fp32"]),
    "compile fp32": ("peer", ["--dtype", "fp32", "--compile"]),
    "eager bf16": ("peer", ["--dtype", "bf16"]),
    "compile bf16": ("peer", ["--dtype", "bf16", "--compile"]),
}
DEFAULT = ",".join(CONTESTANTS)


def run(arguments, options, contestant, size, task, threads):
    """One process: seconds (median, least, most) and peak memory in bytes."""
    whose, own = CONTESTANTS[contestant]
    command = [options.python, options.peer] if whose == "peer" else [options.program, "bench", "--format", "json"]
    command += arguments + own + ["--size", size, "--tasks", task, "--threads", threads]
    environment = dict(os.environ, OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads)
    with tempfile.TemporaryFile() as talk:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=talk, env=environment)
        text = process.stdout.read()
        # only wait4 reports the peak of this process
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            talk.seek(0)
            sys.exit(f"{contestant}: {' '.join(map(str, command))} ended with {process.returncode}\n{talk.read().decode()}")
    report = json.loads(text)
    row = report["results"][task]
    # Linux counts in kibibytes, macOS in bytes
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "contestant": contestant, "size": size, "task": task, "threads": threads,
        "config": report["config"], "load": os.getloadavg()[0],
        "median_s": row["median_s"], "min_s": row["min_s"], "max_s": row["max_s"], "peak_bytes": usage.ru_maxrss * unit,
    }  # fmt: skip


def same_work(rows):
    """Stops if two contestants of a size did not do the same work."""
    counted = {"encoder_parameters", "tokenizer_parameters"}
    for size in {row["size"] for row in rows}:
        found = [row["config"] for row in rows if row["size"] == size]
        configs = [{k: v for k, v in config.items() if k not in counted} for config in found]
        for config in configs:
            different = [key for key in configs[0] if config.get(key) != configs[0][key]]
            if different:
                sys.exit(f"{size}: not the same work: {', '.join(different)}")


def medians(rows, contestant, size, task, key="median_s"):
    found = [row for row in rows if (row["contestant"], row["size"], row["task"]) == (contestant, size, task)]
    return [row[key] for row in found]


def spread(here, there):
    """How many times faster `here` is than `there`, by medians over rounds, with the range over rounds."""
    rounds = [y / x for x, y in zip(here, there)]
    return f"{statistics.median(there) / statistics.median(here):.2f} ({min(rounds):.2f}-{max(rounds):.2f})"


def tables(rows, names, sizes, tasks, threads):
    lines = []
    for size in sizes:
        for count in threads:
            told = f"{size}, {count} thread" + ("" if count == "1" else "s")
            lines += comparison([row for row in rows if row["threads"] == count], told, names, size, tasks)
        if len(threads) > 1:
            lines += scaling(rows, names, size, tasks, threads[0], threads[-1])
    return "\n".join(lines)


def comparison(rows, told, names, size, tasks):
    same_work(rows)
    ours = [name for name in names if CONTESTANTS[name][0] == "ours"]
    peers = [name for name in names if CONTESTANTS[name][0] == "peer"]
    lines = [f"\n{told}: seconds (least to most over the rounds' medians)", head(["task"] + names)]
    for task in tasks:
        times = [medians(rows, name, size, task) for name in names]
        lines.append(line([task] + [f"{statistics.median(t):.4f} ({min(t):.4f}-{max(t):.4f})" for t in times]))
    lines += [f"\n{told}: times faster than the peer (least to most over rounds)"]
    pairs = [(a, b) for a in ours for b in peers]
    lines.append(head(["task"] + [f"{a} / {b}" for a, b in pairs]))
    for task in tasks:
        both = [(medians(rows, a, size, task), medians(rows, b, size, task)) for a, b in pairs]
        lines.append(line([task] + [spread(here, there) for here, there in both]))
    if ours and peers:
        lines += best(rows, told, ours, peers, size, tasks)
    lines += [f"\n{told}: peak memory of the process, MiB (most over rounds)", head(["task"] + names)]
    for task in tasks:
        peaks = [max(medians(rows, name, size, task, "peak_bytes")) for name in names]
        lines.append(line([task] + [f"{peak / 2**20:.0f}" for peak in peaks]))
    return lines


def scaling(rows, names, size, tasks, few, many):
    """How many times faster each contestant is with more threads."""
    title = f"\n{size}: times faster with {many} threads than with {few} (least to most over rounds)"
    lines = [title, head(["task"] + names)]
    here, there = ([row for row in rows if row["threads"] == count] for count in (many, few))
    for task in tasks:
        both = [[medians(found, name, size, task) for found in (here, there)] for name in names]
        lines.append(line([task] + [spread(*pair) for pair in both]))
    return lines


def best(rows, told, ours, peers, size, tasks):
    """Our fastest against the peer's fastest, of any number type, each by its median over rounds."""
    title = f"\n{told}: best of ours against best of the peer (least to most over rounds)"
    lines = [title, head(["task", "ours", "peer", "times faster"])]
    for task in tasks:
        def fastest(names):
            return min(names, key=lambda name: statistics.median(medians(rows, name, size, task)))

        a, b = fastest(ours), fastest(peers)
        here, there = medians(rows, a, size, task), medians(rows, b, size, task)
        times = [f"{name} {statistics.median(t):.4f}" for name, t in ((a, here), (b, there))]
        lines.append(line([task, *times, spread(here, there)]))
    return lines


def line(cells):
    return "| " + " | ".join(cells) + " |"


def head(cells):
    return line(cells) + "\n" + "|---" * len(cells) + "|"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="bridle_torch.py")
    parser.add_argument("--program", default=ROOT / "target/release/bridle-bench")
    parser.add_argument("--python", default="python3", help="with torch 2.9.0 and numpy")
    parser.add_argument("--contestants", default=DEFAULT, help=", ".join(CONTESTANTS))
    parser.add_argument("--sizes", default="tiny,small")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--input", default="audio-512")
    parser.add_argument("--threads", default="2", help="or several numbers, separated by commas")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, help="every round's numbers, as JSON")
    options = parser.parse_args()
    chosen = (options.contestants, options.sizes, options.tasks, options.threads)
    names, sizes, tasks, threads = (text.split(",") for text in chosen)
    for name in names:
        if name not in CONTESTANTS:
            sys.exit(f"unknown contestant {name}; known: {', '.join(CONTESTANTS)}")
    passed = ("batch", "input", "warmup", "repeats")
    arguments = [word for key in passed for word in (f"--{key}", str(getattr(options, key)))]
    rows = []
    every = [(size, task, count, name) for size in sizes for task in tasks for count in threads for name in names]
    for number in range(options.rounds):
        for size, task, count, name in every:
            row = run(arguments, options, name, size, task, count)
            rows.append({"round": number, **row})
            told = f"round {number + 1} of {options.rounds}, {size} {task}, {name}, threads {count}: {row['median_s']:.4f} s"
            print(told, file=sys.stderr, flush=True)
        # an interrupted race keeps its finished rounds
        if options.out:
            options.out.write_text(json.dumps(rows, indent=1))
    print(tables(rows, names, sizes, tasks, threads))


if __name__ == "__main__":
    main()
