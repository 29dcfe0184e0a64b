"""The filterbank of `sound.rs` in turn with torchaudio's `kaldi.fbank`, on the same clips in memory, in one thread each.

    pip install torch==2.9.0 torchaudio==2.9.0 numpy && BRIDLE_DATA=DIR python tasks/benches/sound.py

needs ffmpeg and esc50 in DIR. Ends with an error if the numbers differ, or if Rust is not three times as fast.
"""
import os, pathlib, statistics, subprocess, sys, tempfile, time

import numpy, torch
from torchaudio.compliance import kaldi

CLIP, ROUNDS, AT_LEAST = 80_000, 15, 3.0
torch.set_num_threads(1)


def clip(path):
    decode = ["ffmpeg", "-v", "error", "-i", path, "-ac", "1", "-ar", "16000", "-f", "f32le", "-"]
    return numpy.frombuffer(subprocess.run(decode, capture_output=True, check=True).stdout, numpy.float32)[:CLIP]


def energies(wave):
    return kaldi.fbank(wave - wave.mean(), htk_compat=True, sample_frequency=16000, use_energy=False,
                       window_type="hanning", num_mel_bins=128, dither=0.0, frame_shift=10)


files = sorted((pathlib.Path(os.environ["BRIDLE_DATA"]) / "esc50/audio").iterdir())[::50]
clips = [wave for wave in map(clip, files) if len(wave) == CLIP]
waves = [torch.from_numpy(wave.copy())[None] for wave in clips]
with tempfile.TemporaryDirectory() as folder:
    numpy.stack(clips).tofile(f"{folder}/clips")
    rust = subprocess.Popen(["cargo", "bench", "-q", "-p", "bridle-tasks", "--bench", "sound"], text=True,
                            env=os.environ | {"BRIDLE_RACE": folder}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ours, theirs = [], []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        for wave in waves:
            energies(wave)
        theirs.append(time.perf_counter() - begun)
        rust.stdin.write("\n")
        rust.stdin.flush()
        ours.append(float(rust.stdout.readline()))
    rust.stdin.close()
    rust.wait()
    found = numpy.fromfile(f"{folder}/energies", numpy.float32).reshape(len(waves), -1, 128)
apart = max(float((torch.from_numpy(mine) - energies(wave)).abs().max()) for mine, wave in zip(found, waves))
# the first round warms up
ours, theirs = (statistics.median(times[1:]) for times in (ours, theirs))
seconds = len(waves) * CLIP / 16_000
for name, median in [("kaldi.fbank", theirs), ("this suite", ours)]:
    print(f"{name}: {1e3 * median:.1f} ms for {len(waves)} clips of 5 s, {seconds / median:.0f} times as fast as they play")
print(f"ratio {theirs / ours:.2f}, numbers at most {apart:.4f} apart")
sys.exit(apart > 0.05 or theirs / ours < AT_LEAST)
