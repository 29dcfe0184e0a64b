"""The race against PyTorch: the peer and this program in turn, one process for each task, and a table of ratios.

    eval "$(backends/setup-libtorch)"           torch 2.9.0 for both, its python3 first in PATH
    python3 -m pip install numpy                what the peer needs besides torch
    cargo build --release --features tch
    python3 tests/race.py --peer ../shared/peer/bridle_torch.py

Every round runs each contestant once for each size and task, one after another, so that a noisy minute meets all of them. A
contestant's number is the median of its rounds' medians; a ratio is the peer's time over ours, above 1 where ours is
faster. Beside it stands the span of the ratios of the rounds. Another table sets the fastest of ours against the fastest of
the peer's, each of any number type, compiled or not. Peak memory is that of the whole process, our check against the plain
form included. The numbers of each round go to --out as JSON.

    --sizes small --contestants "tch fp32,tch bf16,eager fp32,compile bf16"      a shorter race

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


def run(arguments, options, contestant, size, task):
    """One process: seconds (median, least, most) and peak memory in bytes."""
    whose, own = CONTESTANTS[contestant]
    command = [options.python, options.peer] if whose == "peer" else [options.program, "bench", "--format", "json"]
    command += arguments + own + ["--size", size, "--tasks", task]
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads), MKL_NUM_THREADS=str(options.threads))
    with tempfile.TemporaryFile() as talk:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=talk, env=environment)
        text = process.stdout.read()
        # wait4 alone tells this process's own peak
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
        "contestant": contestant, "size": size, "task": task, "config": report["config"], "load": os.getloadavg()[0],
        "median_s": row["median_s"], "min_s": row["min_s"], "max_s": row["max_s"], "peak_bytes": usage.ru_maxrss * unit,
    }  # fmt: skip


def same_work(rows):
    """Stops if two contestants of a size did not do the same work."""
    counted = {"encoder_parameters", "tokenizer_parameters"}
    for size in {row["size"] for row in rows}:
        configs = [{k: v for k, v in row["config"].items() if k not in counted} for row in rows if row["size"] == size]
        for config in configs:
            different = [key for key in configs[0] if config.get(key) != configs[0][key]]
            if different:
                sys.exit(f"{size}: not the same work: {', '.join(different)}")


def medians(rows, contestant, size, task, key="median_s"):
    found = [row for row in rows if (row["contestant"], row["size"], row["task"]) == (contestant, size, task)]
    return [row[key] for row in found]


def tables(rows, names, sizes, tasks):
    same_work(rows)
    lines = []
    ours = [name for name in names if CONTESTANTS[name][0] == "ours"]
    peers = [name for name in names if CONTESTANTS[name][0] == "peer"]
    for size in sizes:
        lines += [f"\n{size}: seconds (least to most over the rounds' medians)", head(["task"] + names)]
        for task in tasks:
            times = [medians(rows, name, size, task) for name in names]
            lines.append(line([task] + [f"{statistics.median(t):.4f} ({min(t):.4f}-{max(t):.4f})" for t in times]))
        lines += [f"\n{size}: times faster than the peer (least to most over rounds)"]
        pairs = [(a, b) for a in ours for b in peers]
        lines.append(head(["task"] + [f"{a} / {b}" for a, b in pairs]))
        for task in tasks:
            cells = []
            for a, b in pairs:
                here, there = medians(rows, a, size, task), medians(rows, b, size, task)
                rounds = [y / x for x, y in zip(here, there)]
                ratio = statistics.median(there) / statistics.median(here)
                cells.append(f"{ratio:.2f} ({min(rounds):.2f}-{max(rounds):.2f})")
            lines.append(line([task] + cells))
        if ours and peers:
            lines += best(rows, ours, peers, size, tasks)
        lines += [f"\n{size}: peak memory of the process, MiB (most over rounds)", head(["task"] + names)]
        for task in tasks:
            peaks = [max(medians(rows, name, size, task, "peak_bytes")) for name in names]
            lines.append(line([task] + [f"{peak / 2**20:.0f}" for peak in peaks]))
    return "\n".join(lines)


def best(rows, ours, peers, size, tasks):
    """The fastest of ours against the fastest of the peer's, whatever the number type; each by its median over rounds."""
    title = f"\n{size}: best of ours against best of the peer (least to most over rounds)"
    lines = [title, head(["task", "ours", "peer", "times faster"])]
    for task in tasks:
        def fastest(names):
            return min(names, key=lambda name: statistics.median(medians(rows, name, size, task)))

        a, b = fastest(ours), fastest(peers)
        here, there = medians(rows, a, size, task), medians(rows, b, size, task)
        rounds = [y / x for x, y in zip(here, there)]
        ratio = statistics.median(there) / statistics.median(here)
        cell = f"{ratio:.2f} ({min(rounds):.2f}-{max(rounds):.2f})"
        times = [f"{name} {statistics.median(t):.4f}" for name, t in ((a, here), (b, there))]
        lines.append(line([task, *times, cell]))
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
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, help="every round's numbers, as JSON")
    options = parser.parse_args()
    names, sizes, tasks = (text.split(",") for text in (options.contestants, options.sizes, options.tasks))
    for name in names:
        if name not in CONTESTANTS:
            sys.exit(f"unknown contestant {name}; known: {', '.join(CONTESTANTS)}")
    passed = ("batch", "input", "threads", "warmup", "repeats")
    arguments = [word for key in passed for word in (f"--{key}", str(getattr(options, key)))]
    rows = []
    for number in range(options.rounds):
        for size in sizes:
            for task in tasks:
                for name in names:
                    row = run(arguments, options, name, size, task)
                    rows.append({"round": number, **row})
                    told = f"round {number + 1} of {options.rounds}, {size} {task}, {name}: {row['median_s']:.4f} s"
                    print(told, file=sys.stderr, flush=True)
        # a race that is broken off leaves what it has
        if options.out:
            options.out.write_text(json.dumps(rows, indent=1))
    print(tables(rows, names, sizes, tasks))


if __name__ == "__main__":
    main()
