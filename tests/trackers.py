#!/usr/bin/env python3
"""The lines of Python in suite/README.md that bring metrics.jsonl into trackio and TensorBoard.

    pip install -r .ci/python.txt
    tests/trackers.py FOLDER        # any folder with the work files of a run below it

Each block is run as it stands, in a folder that holds a copy of the log. Then the tracker's own reader must
have every number of the log, under its name and step.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "suite/README.md"


def blocks():
    """The page's blocks of three lines, by the tracker that they import."""
    code = [part.split("```")[0] for part in PAGE.read_text().split("```python\n")[1:]]
    found = {name: block for name in ("trackio", "tensorboard") for block in code if name in block}
    assert len(found) == 2, f"{PAGE} has blocks for {list(found)}"
    for name, block in found.items():
        assert len(block.strip().splitlines()) == 3, f"{name} takes more than three lines:\n{block}"
    return found


def logged(log):
    """{name: {step: value}} of every number in the log."""
    numbers = {}
    for line in map(json.loads, log.read_text().splitlines()):
        for name, value in line.items():
            if isinstance(value, float):
                numbers.setdefault(name, {})[line["step"]] = value
    assert {"loss", "rate", "epoch", "samples_per_second"} <= set(numbers), list(numbers)
    return numbers


def of_tensorboard():
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator("tensorboard/my-run", size_guidance={"tensors": 0})
    events.Reload()
    return {
        tag: {event.step: float(make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)}
        for tag in events.Tags()["tensors"]
    }


def of_trackio():
    from trackio.sqlite_storage import SQLiteStorage

    numbers = {}
    for line in SQLiteStorage.get_logs("bridle-bench", "my-run"):
        for name, value in line.items():
            if isinstance(value, float):
                numbers.setdefault(name, {})[line["step"]] = value
    return numbers


def main():
    [folder] = sys.argv[1:]
    log = next(iter(sorted(Path(folder).rglob("metrics.jsonl"))), None)
    assert log, f"no metrics.jsonl below {folder}"
    wanted = logged(log)
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "metrics.jsonl").write_bytes(log.read_bytes())
        os.chdir(work)
        os.environ["TRACKIO_DIR"] = str(Path(work) / "trackio")
        for name, block in blocks().items():
            subprocess.run([sys.executable, "-c", block], check=True, timeout=60)
            found = {"tensorboard": of_tensorboard, "trackio": of_trackio}[name]()
            # TensorBoard keeps 32-bit floats
            close = lambda a, b: abs(a - b) <= 1e-6 * max(abs(a), abs(b))
            for metric, values in wanted.items():
                have = found.get(metric, {})
                assert set(have) == set(values), f"{name}: {metric}: steps {sorted(set(values) ^ set(have))[:5]}"
                assert all(close(have[step], value) for step, value in values.items()), f"{name}: {metric}"
            print(f"{name}: {len(wanted)} metrics, {sum(map(len, wanted.values()))} numbers, as in the log")


if __name__ == "__main__":
    main()
