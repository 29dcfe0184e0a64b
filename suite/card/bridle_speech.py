"""The encoder of this folder in PyTorch: a Conformer over frames of log-mel energies.

    model, config = load("FOLDER")
    x = frames(wave, config)              # [T, F] of a mono sound [samples] in [-1, 1]
    features = model(x[None])             # [1, T, D]: a vector for each frame

Needs torch and safetensors. config.json has the sizes, and the mean and standard deviation of each
mel band over the sounds that the encoder was trained on.
"""

import json
import math
import pathlib

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import glu, silu

EPSILON = 1e-6


def load(folder):
    """The encoder and its configuration."""
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text())
    model = Conformer(config)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval(), config


def frames(wave, config):
    """A mono sound [samples] at config["sample_rate"] hertz to frames [T, stacked * mels].

    Kaldi's log-mel energies (25 ms windows every 10 ms, only whole ones), each band standardised;
    then, if `centred`, less its mean over the sound. `stacked` of them are one frame.
    """
    rate, mels, stacked = config["sample_rate"], config["mels"], config["stacked"]
    length, hop = rate * 25 // 1000, rate // 100
    size = 1 << (length - 1).bit_length()
    x = (wave - wave.mean()).unfold(0, length, hop)
    x = x - x.mean(1, keepdim=True)
    x = x - 0.97 * torch.cat([x[:, :1], x[:, :-1]], 1)
    x = x * torch.hann_window(length, periodic=False)
    power = torch.fft.rfft(x, size).abs().square()[:, : size // 2]
    energies = (power @ triangles(rate, mels, size).T).clamp_min(torch.finfo(torch.float32).eps).log()
    x = (energies - torch.tensor(config["mean"])) / torch.tensor(config["std"])
    if config["centred"]:
        x = x - x.mean(0)
    return x[: len(x) // stacked * stacked].reshape(-1, stacked * mels)


def triangles(rate, mels, size):
    """Triangles on the mel scale from 20 Hz to half the rate, [mels, size / 2]."""

    def mel(hertz):
        return 1127.0 * math.log(1.0 + hertz / 700.0)

    low, high = mel(20.0), mel(rate / 2)
    edges = torch.linspace(low, high, mels + 2, dtype=torch.float64)
    bins = torch.tensor([mel(rate / size * k) for k in range(size // 2)], dtype=torch.float64)
    left, middle, right = (edges[at : at + mels, None] for at in range(3))
    up, down = (bins - left) / (middle - left), (right - bins) / (right - middle)
    return torch.minimum(up, down).clamp_min(0.0).float()


class Conformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim = config["dim"]
        self.input = nn.Linear(config["stacked"] * config["mels"], dim)
        self.blocks = nn.ModuleList(Block(dim, config) for _ in range(config["depth"]))
        self.window = config["window"]

    def forward(self, x, lengths=None):
        """Frames [B, T, F] to [B, T, D]; with padding behind, `lengths` [B] counts the frames."""
        batch, times, _ = x.shape
        place = torch.arange(times, device=x.device)
        lengths = torch.full((batch,), times, device=x.device) if lengths is None else lengths
        valid = place < lengths[:, None]
        seen = valid[:, None, None, :].expand(batch, 1, times, times)
        if self.window is not None:
            seen = seen & ((place[:, None] - place).abs() <= self.window)
        hidden = self.input(x)
        for block in self.blocks:
            hidden = block(hidden, valid, seen)
        return hidden


class Block(nn.Module):
    def __init__(self, dim, config):
        super().__init__()
        self.first = FeedForward(dim, config["ff_ratio"])
        self.attention = Attention(dim, config["heads"])
        self.convolution = Convolution(dim, config["kernel"])
        self.second = FeedForward(dim, config["ff_ratio"])
        self.norm = nn.LayerNorm(dim, EPSILON)

    def forward(self, x, valid, seen):
        x = x + 0.5 * self.first(x)
        x = x + self.attention(x, seen)
        x = x + self.convolution(x, valid)
        x = x + 0.5 * self.second(x)
        return self.norm(x)


class FeedForward(nn.Module):
    def __init__(self, dim, ratio):
        super().__init__()
        self.norm = nn.LayerNorm(dim, EPSILON)
        self.up = nn.Linear(dim, ratio * dim)
        self.down = nn.Linear(ratio * dim, dim)

    def forward(self, x):
        return self.down(silu(self.up(self.norm(x))))


class Attention(nn.Module):
    """With rotary positions: halves of a head's queries and keys are turned by their place."""

    def __init__(self, dim, heads):
        super().__init__()
        self.norm = nn.LayerNorm(dim, EPSILON)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.heads = heads

    def forward(self, x, seen):
        batch, times, dim = x.shape
        head = dim // self.heads
        qkv = self.qkv(self.norm(x)).reshape(batch, times, 3, self.heads, head)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        speeds = 10000.0 ** (-torch.arange(head // 2, dtype=torch.float64) / (head // 2))
        angles = torch.outer(torch.arange(times, dtype=torch.float64), speeds).repeat(1, 2)
        cos, sin = angles.cos().to(x), angles.sin().to(x)

        def turned(part):
            a, b = part.chunk(2, -1)
            return part * cos + torch.cat([-b, a], -1) * sin

        scores = turned(q) @ turned(k).transpose(2, 3) / math.sqrt(head)
        weights = scores.masked_fill(~seen, -1e9).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, times, dim))


class Convolution(nn.Module):
    def __init__(self, dim, kernel):
        super().__init__()
        self.norm = nn.LayerNorm(dim, EPSILON)
        self.gated = nn.Linear(dim, 2 * dim)
        self.depthwise = nn.Parameter(torch.zeros(kernel, dim))
        self.inner_norm = nn.LayerNorm(dim, EPSILON)
        self.out = nn.Linear(dim, dim)

    def forward(self, x, valid):
        x = glu(self.gated(self.norm(x))) * valid[..., None]
        kernel, dim = self.depthwise.shape
        x = nn.functional.conv1d(x.transpose(1, 2), self.depthwise.T[:, None], padding=kernel // 2, groups=dim)
        return self.out(silu(self.inner_norm(x.transpose(1, 2))))
