"""Mean and deviation over time of a log-mel spectrogram: a vector for each sound, without any training.

    pip install numpy soundfile
    python baselines/log_mel.py FOLDER log-mel.npz      # every sound file in FOLDER
    bridle-bench judge --task esc50 --embeddings log-mel.npz --name log-mel --protocol linear-probe,knn --folds all
"""

import pathlib
import sys

import numpy as np
import soundfile

BANDS, WINDOW, HOP = 128, 0.025, 0.010  # bands, seconds, seconds


def filters(rate, size):
    """Triangles of equal width on the mel scale from 20 Hz to half the rate, [BANDS, size / 2 + 1]."""
    mel = lambda hertz: 1127 * np.log1p(hertz / 700)
    centres = np.linspace(mel(20), mel(rate / 2), BANDS + 2)
    bins = mel(np.fft.rfftfreq(size, 1 / rate))
    low, centre, high = centres[:-2, None], centres[1:-1, None], centres[2:, None]
    return np.clip(np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)), 0, None)


def vector(path):
    """Mean and deviation of each band, [2 * BANDS]."""
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    window, hop = round(WINDOW * rate), round(HOP * rate)
    size = 1 << (window - 1).bit_length()
    frames = np.lib.stride_tricks.sliding_window_view(sound.mean(axis=1), window)[::hop] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames, size)) ** 2
    log_mel = np.log(power @ filters(rate, size).T + 1e-7)
    return np.concatenate([log_mel.mean(axis=0), log_mel.std(axis=0)]).astype(np.float32)


folder, to = map(pathlib.Path, sys.argv[1:])
paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".wav", ".flac", ".ogg"))
np.savez(to, ids=np.array([path.stem for path in paths]), embeddings=np.stack([vector(path) for path in paths]))
