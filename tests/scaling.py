#!/usr/bin/env python3
"""Times training steps of one process and of several ranks with as many threads in all, in turn.

    cargo build --release                                  or with --features tch, for --backends flex,tch
    tests/scaling.py target/release/bridle-bench           two ranks of one thread against one process of two
    tests/scaling.py PROGRAM --backends flex,tch --sizes tiny,small --rounds 5 --out scaling.json

Every round runs each size, backend and step once on one process and once on the ranks, so that a noisy minute
affects both. Numbers are medians over rounds. A ratio is the ranks' samples per second over those of one
process, with the range of the rounds' ratios. `in sums` is the share of a step that rank 0 spends in
exchanges, waiting for the other ranks included. The second table has sums alone: in the fixed order that
training uses, and as the MPI library adds. The last line says what processor it was, and its load.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

LAUNCHERS = {
    "mpirun.openmpi": ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"],
    "mpiexec.hydra": [],
}


def measured(options, ranks, size, backend):
    """One process or several ranks: the JSON of `bench`."""
    threads = options.threads // ranks
    command = [options.program, "bench", "--format", "json", "--tasks", options.tasks, "--size", size]
    command += ["--backend", backend, "--threads", str(threads), "--batch", str(options.batch)]
    command += ["--repeats", str(options.repeats), "--warmup", "1"]
    if ranks > 1:
        command = [options.launcher, *LAUNCHERS[options.launcher], "-n", str(ranks), *command]
    # threads of LibTorch that spin while they wait would take the core from the other rank
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="PASSIVE")
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stderr}")
    return {"size": size, "backend": backend, "ranks": ranks, "load": os.getloadavg()[0], **json.loads(done.stdout)}


def spread(ratios, digits=2):
    return f"{statistics.median(ratios):.{digits}f} ({min(ratios):.{digits}f}-{max(ratios):.{digits}f})"


def tables(rows, options):
    many = options.ranks
    lines = [f"| size | backend | step | one process, samples/s | {many} ranks, samples/s | ratio | in sums |", "|---" * 7 + "|"]
    for size in options.sizes.split(","):
        for backend in options.backends.split(","):
            for task in options.tasks.split(","):
                one, several = ([row["results"][task] for row in rows
                                 if (row["size"], row["backend"], row["ranks"]) == (size, backend, ranks)]
                                for ranks in (1, many))
                ratios = [b["per_s"] / a["per_s"] for a, b in zip(one, several)]
                shares = [row["sums_s"] / row["median_s"] for row in several]
                speeds = [f"{statistics.median(row['per_s'] for row in found):.2f}" for found in (one, several)]
                lines.append(f"| {size} | {backend} | {task} | {speeds[0]} | {speeds[1]} | {spread(ratios)} | "
                             f"{100 * statistics.median(shares):.0f} % |")
    lines += ["", f"| bytes over {many} ranks | fixed order, s | MPI's own, s | ratio |", "|---" * 4 + "|"]
    shared = [row for row in rows if row["ranks"] > 1]
    for place, sum_of in enumerate(shared[0]["sums"]):
        found = [row["sums"][place] for row in shared]
        fixed, own = ([row[key] for row in found] for key in ("median_s", "engine_s"))
        ratios = [a / b for a, b in zip(fixed, own)]
        lines.append(f"| {sum_of['bytes']} | {statistics.median(fixed):.6f} | {statistics.median(own):.6f} | {spread(ratios)} |")
    runtime, loads = shared[0]["runtime"], [row["load"] for row in rows]
    lines += ["", f"{runtime['cpu']}, {os.cpu_count()} cores; {runtime['ranks']['engine']}; {options.threads} threads in all, "
                  f"batch {options.batch}; {options.rounds} rounds of medians of {options.repeats}; "
                  f"load {min(loads):.1f} to {max(loads):.1f}"]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--sizes", default="tiny,small")
    parser.add_argument("--backends", default="flex")
    parser.add_argument("--tasks", default="encoder_step,tokenizer_step")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="over all ranks")
    parser.add_argument("--batch", type=int, default=8, help="over all ranks")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--launcher", choices=list(LAUNCHERS), default="mpirun.openmpi")
    parser.add_argument("--out", type=pathlib.Path, help="every round's numbers, as JSON")
    options = parser.parse_args()
    if options.ranks < 2 or options.threads % options.ranks:
        parser.error("--ranks is at least 2, and --threads a multiple of it")
    rows = []
    for number in range(options.rounds):
        for size in options.sizes.split(","):
            for backend in options.backends.split(","):
                for ranks in (1, options.ranks):
                    rows.append(measured(options, ranks, size, backend))
                    print(f"round {number + 1} of {options.rounds}: {size}, {backend}, {ranks} ranks", file=sys.stderr, flush=True)
        # an interrupted run keeps its finished rounds
        if options.out:
            options.out.write_text(json.dumps(rows, indent=1))
    print(tables(rows, options))


if __name__ == "__main__":
    main()
