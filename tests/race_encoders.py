"""Races `features --init` against transformers' own forward pass: an AST of base size with random weights.

    eval "$(backends/setup-libtorch)"
    python3 -m pip install torch==2.9.0 transformers==4.57.6 numpy safetensors
    cargo build --release --features tch
    python3 tests/race_encoders.py --threads 2

Both read the same sounds and write the mean of two tokens of each. Every round runs each contestant once on few and once
on all sounds, one after another, so that a noisy minute affects all of them. A contestant's time is that of all less that
of few, over the sounds between, so that starting, importing and reading the weights cancel out; its number is the median
over rounds. A ratio is transformers' time over ours, above 1 if ours is faster, with the range of the rounds' ratios.
transformers gets the filterbank's output from a file, ours has it in its cache. Peak memory is that of the whole process
on all sounds. The vectors of both are compared.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import wave

ROOT = pathlib.Path(__file__).resolve().parent.parent
RATE = 16_000
MOST_OFF = 1e-3


def peer(options):
    """transformers on inputs that were made before; a batch of as many sounds as ours has."""
    import numpy
    import torch
    import transformers

    torch.set_num_threads(int(options.threads))
    model = transformers.ASTModel.from_pretrained(options.peer).eval()
    inputs = numpy.load(pathlib.Path(options.peer) / "inputs.npy", mmap_mode="r")[: int(options.sounds)]
    vectors = []
    with torch.inference_mode():
        for first in range(0, len(inputs), options.batch):
            x = torch.from_numpy(numpy.array(inputs[first : first + options.batch]))
            vectors.append(model(x).pooler_output.numpy())
    numpy.save(options.to, numpy.concatenate(vectors))


def make(folder, options):
    """The model with random weights, the sounds, and transformers' inputs of them."""
    import numpy
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.ASTConfig(max_length=options.frames, num_hidden_layers=options.blocks)
    model = transformers.ASTModel(config)
    model.save_pretrained(folder / "model")
    extractor = transformers.ASTFeatureExtractor(max_length=options.frames)
    extractor.save_pretrained(folder / "model")
    noise = numpy.random.default_rng(0)
    rows = []
    for count in [options.few, options.all]:
        (folder / f"sounds-{count}").mkdir()
    for number in range(options.all):
        samples = (3_000 * noise.standard_normal(options.frames * RATE // 100)).clip(-30_000, 30_000).astype("<i2")
        for count in [options.few, options.all]:
            if number < count:
                with wave.open(str(folder / f"sounds-{count}" / f"{number:04}.wav"), "wb") as file:
                    file.setnchannels(1), file.setsampwidth(2), file.setframerate(RATE)
                    file.writeframes(samples.tobytes())
        made = extractor(samples.astype("float32") / 32_768, sampling_rate=RATE, return_tensors="np")
        rows.append(made["input_values"][0])
    numpy.save(folder / "model" / "inputs.npy", numpy.stack(rows).astype("float32"))


def timed(command, options):
    """Seconds and peak memory of one process in the folder."""
    environment = dict(os.environ, OMP_NUM_THREADS=options.threads, MKL_NUM_THREADS=options.threads)
    with tempfile.TemporaryFile() as talk:
        begun = time.monotonic()
        process = subprocess.Popen(command, stdout=talk, stderr=talk, env=environment, cwd=options.folder)
        # only wait4 reports the peak of this process
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            talk.seek(0)
            sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}\n{talk.read().decode()}")
    unit = 1 if sys.platform == "darwin" else 1024
    return seconds, usage.ru_maxrss * unit


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "target/release/bridle-bench")
    parser.add_argument("--backends", default="tch", help="of ours, separated by commas")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=512, help="of 10 ms; 512 are ESC-50's, 1024 AudioSet's")
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--few", type=int, default=16)
    parser.add_argument("--all", type=int, default=48)
    parser.add_argument("--batch", type=int, default=16, help="of transformers; ours has 16")
    parser.add_argument("--out", help="JSON of each round")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--sounds", help=argparse.SUPPRESS)
    parser.add_argument("--to", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return peer(options)
    import numpy

    with tempfile.TemporaryDirectory() as place:
        options.folder = folder = pathlib.Path(place)
        make(folder, options)
        contestants = ["transformers"] + [f"ours {backend}" for backend in options.backends.split(",")]

        def command(contestant, count):
            if contestant == "transformers":
                own = [sys.executable, pathlib.Path(__file__).resolve(), "--peer", folder / "model", "--sounds", str(count)]
                return own + ["--threads", options.threads, "--batch", str(options.batch), "--to", folder / "theirs.npy"]
            backend = contestant.split()[1]
            own = [pathlib.Path(options.program).resolve(), "features", "--init", "model", "--files", f"sounds-{count}"]
            return own + ["--to", "ours.npz", "--backend", backend, "--threads", options.threads]

        # fills the cache of inputs, and shows that both do the same work
        for contestant in contestants:
            for count in [options.few, options.all]:
                timed(command(contestant, count), options)
            if contestant != "transformers":
                found, expected = numpy.load(folder / "ours.npz")["embeddings"], numpy.load(folder / "theirs.npy")
                off = numpy.abs(found - expected).max()
                if not off < MOST_OFF:
                    sys.exit(f"{contestant}: vectors are off by {off}")
                print(f"{contestant}: vectors are those of transformers, off by {off:.1e} at most")
        rounds = []
        for number in range(options.rounds):
            row = {"load": os.getloadavg()[0]}
            for contestant in contestants:
                few, _ = timed(command(contestant, options.few), options)
                whole, peak = timed(command(contestant, options.all), options)
                row[contestant] = {"seconds": (whole - few) / (options.all - options.few), "peak_bytes": peak}
            rounds.append(row)
            print(f"round {number + 1} of {options.rounds}: {row}", file=sys.stderr)
    print(f"\n{options.frames} frames, {options.blocks} blocks, {options.threads} threads, medians of {options.rounds} rounds")
    theirs = [row["transformers"]["seconds"] for row in rounds]
    for contestant in contestants:
        seconds = [row[contestant]["seconds"] for row in rounds]
        peak = statistics.median(row[contestant]["peak_bytes"] for row in rounds)
        ratios = [a / b for a, b in zip(theirs, seconds)]
        print(
            f"{contestant:16} {1e3 * statistics.median(seconds):8.0f} ms a sound, {peak / 2**20:6.0f} MiB, "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    print(f"load from {min(row['load'] for row in rounds):.1f} to {max(row['load'] for row in rounds):.1f}")
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(rounds, indent=1))


if __name__ == "__main__":
    main()
