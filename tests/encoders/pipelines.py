"""Makes tests/encoders/pipelines/: inputs of encoders as other people's code computes them.

    pip install transformers==4.57.1 pillow==13.0.0 numpy==2.4.6 safetensors==0.8.0 soundfile==0.14.0
    python tests/encoders/pipelines.py core FIXTURES    # of a folder of fixtures, what tests of pipelines need
    python tests/encoders/pipelines.py golden DATA      # golden.json: transformers on patterns and on real files of ESC-50

`core` keeps sounds, pictures and the inputs made of them. `golden` uses transformers without PyTorch: its processors of
pictures on Pillow, and its own filterbank in NumPy, which shares no code with torchaudio's. Pillow before 13 resizes
upright pictures in another order, and gives other bytes.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
import soundfile
import transformers
from PIL import Image
from safetensors.numpy import load_file, save_file
from transformers.audio_utils import spectrogram

OUT = pathlib.Path(__file__).parent / "pipelines"
CORE = ["ast-hf", "beats-pt", "beit-hf", "bestrq-speechbrain", "dinov2-hf", "mae-hf", "videomae-hf", "vit-hf", "w2v-bert-hf"]
KEPT = ["wave", "image", "frames", "input"]
SOUNDS = ["1-110389-A-0.flac", "1-116765-A-41.flac"]
NUMBERS = 64


def core(fixtures):
    for name in CORE:
        source, target = fixtures / name, OUT / name
        target.mkdir(parents=True, exist_ok=True)
        manifest = json.loads((source / "manifest.json").read_text())
        values = {key: values for key, values in load_file(source / "values.safetensors").items() if key in KEPT}
        save_file(values, target / "values.safetensors")
        about = {key: manifest["values"][key] for key in values}
        manifest = {"about": manifest["about"], "values": about}
        (target / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        beside = source / "model" / "preprocessor_config.json"
        if beside.exists():
            (target / "preprocessor_config.json").write_text(beside.read_text().strip() + "\n")


def pattern(width, height):
    """As in tasks/media/image/reference.py."""
    y, x = np.mgrid[0:height, 0:width]
    red = (x * 7 + y * 3) % 256
    green = (x * x + y * y) // 5 % 256
    blue = np.where((x // 5 + y // 4) % 2 == 0, 220, 30)
    return Image.fromarray(np.stack([red, green, blue], 2).astype(np.uint8))


def pictures():
    sizes = [(61, 40), (40, 61), (33, 33), (9, 7), (300, 20), (20, 301), (1, 1), (1, 50), (224, 224), (640, 427), (75, 100)]
    processors = [("ViT", {"size": {"height": 24, "width": 31}, "resample": resample}) for resample in (2, 3)]
    for resample in (2, 3):
        processors += [
            ("Bit", {"size": {"shortest_edge": 46}, "crop_size": {"height": 42, "width": 37}, "resample": resample}),
            ("Beit", {"size": {"height": 20, "width": 33}, "crop_size": {"height": 25, "width": 32}, "resample": resample})]
    processors += [("Bit", {"do_resize": False, "crop_size": {"height": 30, "width": 45}}),
                   ("VideoMAE", {"size": {"shortest_edge": 17}, "crop_size": {"height": 17, "width": 17}})]
    cases = []
    for width, height in sizes:
        for kind, settings in processors:
            # bytes, so that they are compared without rounding
            settings = {**settings, "do_rescale": False, "do_normalize": False}
            made = getattr(transformers, kind + "ImageProcessor")(**settings)(pattern(width, height), input_data_format="channels_last")["pixel_values"][0]
            made = np.asarray(made).reshape(-1, *np.asarray(made).shape[-2:])
            assert made.dtype == np.uint8 and made.shape[0] == 3
            cases.append({"size": [width, height], "config": {"image_processor_type": kind + "ImageProcessor", **settings},
                          "shape": made.shape, "sha256": hashlib.sha256(made.tobytes()).hexdigest()})
    return cases


def ast(extractor, wave):
    """The extractor without PyTorch, which it needs for rows of 0."""
    energies = spectrogram(
        wave, extractor.window, frame_length=400, hop_length=160, fft_length=512, power=2.0, center=False, preemphasis=0.97,
        mel_filters=extractor.mel_filters, log_mel="log", mel_floor=2.0**-23, remove_dc_offset=True).T
    rows = np.zeros((extractor.max_length, energies.shape[1]))
    heard = min(len(rows), len(energies))
    rows[:heard] = energies[:heard]
    return {"input_features": [extractor.normalize(rows)], "attention_mask": np.ones(heard)}


def sounds(data):
    cases = []
    for name in SOUNDS:
        wave, rate = soundfile.read(data / "esc50" / "audio" / name, dtype="float32")
        assert rate == 16_000
        for samples in (80_000, 20_300):
            extractors = [
                (transformers.ASTFeatureExtractor(max_length=128, num_mel_bins=64), 1e-3),
                (transformers.ASTFeatureExtractor(), 1e-3),
                (transformers.SeamlessM4TFeatureExtractor(padding_value=1), 5e-3),
                (transformers.Wav2Vec2FeatureExtractor(do_normalize=True), 1e-5)]
            for extractor, tolerance in extractors:
                if isinstance(extractor, transformers.ASTFeatureExtractor):
                    made = ast(extractor, wave[:samples])
                else:
                    made = extractor(wave[:samples], sampling_rate=rate, return_tensors="np", return_attention_mask=True)
                values = made.get("input_features", made.get("input_values"))[0].astype(np.float64)
                mask = made.get("attention_mask")
                config = json.loads(extractor.to_json_string())
                flat = values.reshape(-1)
                chosen = flat[np.arange(NUMBERS) * len(flat) // NUMBERS]
                cases.append({"file": name, "samples": samples, "config": config, "tolerance": tolerance,
                              "shape": list(values.shape) if values.ndim == 2 else [1, len(flat)],
                              "mean": round(flat.mean(), 7), "std": round(flat.std(), 7),
                              "numbers": [round(number, 6) for number in chosen],
                              **({"heard": int(mask.sum())} if mask is not None else {})})
    return cases


def golden(data):
    OUT.mkdir(exist_ok=True)
    cases = {"pictures": pictures(), "sounds": sounds(data)}
    lines = [f' "{kind}": [\n' + ",\n".join("  " + json.dumps(case) for case in of) + "\n ]" for kind, of in cases.items()]
    (OUT / "golden.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    {"core": core, "golden": golden}[sys.argv[1]](pathlib.Path(sys.argv[2]))
