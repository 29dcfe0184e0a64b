#!/usr/bin/env python3
"""Two runs of one plan, in folders of their own, that began with the same losses; for gpus.sh.

    tests/same_losses.py FOLDER OTHER [--steps 10] [--within 1e-4]

Compares the training logs below `runs` over the first steps. Exit code 1 if they are farther apart than the
given share of the loss.
"""

import argparse
import itertools
import json
import pathlib
import sys


def losses(folder, steps):
    logs = list((folder / "runs").glob("**/metrics.jsonl"))
    if len(logs) != 1:
        sys.exit(f"{len(logs)} training logs below {folder}/runs, not one")
    with logs[0].open() as lines:
        return [json.loads(line)["loss"] for line in itertools.islice(lines, steps)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("other", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--within", type=float, default=1e-4)
    options = parser.parse_args()
    one, other = (losses(folder, options.steps) for folder in (options.folder, options.other))
    if len(one) < options.steps or len(other) < options.steps:
        sys.exit(f"{len(one)} and {len(other)} steps, not {options.steps}")
    apart = max(abs(a - b) / max(abs(a), 1) for a, b in zip(one, other))
    print(f"losses of {options.steps} steps within {apart:.1e}")
    sys.exit(int(not apart <= options.within))


if __name__ == "__main__":
    main()
