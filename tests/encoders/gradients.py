"""Makes gradients.safetensors and gradients.json of two fixtures: one step of fine-tuning as PyTorch differentiates it.

    pip install torch==2.9.0 transformers==4.57.6 safetensors==0.8.0 numpy
    python tests/encoders/gradients.py

The model is transformers' own with the fixture's weights, in 64-bit numbers. Its pooled vectors go through a layer norm
and a linear map to CLASSES classes, whose weights are sines; the loss is the cross-entropy against soft targets.
`gradients.safetensors` has the gradient of every tensor of the checkpoint under its name, so that it can be read as a
checkpoint is; a normed weight is one weight, without its norm. What has no gradient has zeros. `gradients.json` has
loss, logits, and the gradients of norm and map.
"""

import json
import pathlib

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn.utils import parametrize

HERE = pathlib.Path(__file__).parent
CLASSES = 3


def sines(count, factor, base=0.0):
    return base + torch.sin(factor * torch.arange(1, count + 1, dtype=torch.float64)) * 0.5


def ast(folder):
    """Half the sum of the two tokens of two spectrograms: the fixture's, and the same turned around in time."""
    model = transformers.ASTModel.from_pretrained(folder / "model").double().eval()
    x = load_file(folder / "values.safetensors")["input"].double().reshape(1, 64, 64)
    x = torch.cat([x, x.flip(1)])
    pooled = lambda: model(x).last_hidden_state[:, :2].mean(1)
    return model, "audio_spectrogram_transformer.", pooled


def wav2vec2(folder):
    """Means over the frames of two sounds of different lengths, each by itself."""
    model = transformers.Wav2Vec2Model.from_pretrained(folder / "model", torch_dtype=torch.float32).double().eval()
    parametrize.remove_parametrizations(model.encoder.pos_conv_embed.conv, "weight")
    values = load_file(folder / "values.safetensors")
    # as the processor makes them: less the mean, over the root of the variance
    waves = [values[f"wave.{name}"].double().reshape(1, -1) / 32768 for name in "ab"]
    config = json.loads((folder / "model" / "preprocessor_config.json").read_text())
    if config["do_normalize"]:
        waves = [(wave - wave.mean()) / (wave.var(unbiased=False) + 1e-7).sqrt() for wave in waves]
    pooled = lambda: torch.cat([model(wave).last_hidden_state.mean(1) for wave in waves])
    return model, "", pooled


for name, make in [("ast-hf", ast), ("wav2vec2-large-hf", wav2vec2)]:
    folder = HERE / name
    model, prefix, pooled = make(folder)
    dim = model.config.hidden_size
    scale, shift = sines(dim, 0.3, 1.0), sines(dim, 0.7)
    weight, bias = sines(dim * CLASSES, 0.9).reshape(dim, CLASSES), sines(CLASSES, 1.1)
    own = [scale, shift, weight, bias]
    for tensor in own:
        tensor.requires_grad_()
    logits = torch.nn.functional.layer_norm(pooled(), (dim,), scale, shift, 1e-6) @ weight + bias
    targets = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.3, 0.7]], dtype=torch.float64)
    loss = -(targets * logits.log_softmax(1)).sum(1).mean()
    loss.backward()
    found = {prefix + key: value.grad for key, value in model.named_parameters() if value.grad is not None}
    stored = load_file(folder / "model" / "model.safetensors")
    missing = {key: torch.zeros(value.shape) for key, value in stored.items() if key not in found and "original" not in key}
    save_file({key: value.float().contiguous() for key, value in (missing | found).items()}, folder / "gradients.safetensors")
    lists = {key: tensor.grad.flatten().tolist() for key, tensor in zip(["scale", "shift", "weight", "bias"], own)}
    report = {"loss": loss.item(), "logits": logits.flatten().tolist(), "gradients": lists}
    (folder / "gradients.json").write_text(json.dumps(report, indent=1) + "\n")
    print(name, "loss", loss.item(), "without gradient:", sorted(missing))
