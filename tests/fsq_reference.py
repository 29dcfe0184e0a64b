"""Makes tests/parity_quantizers/: reference numbers for finite scalar quantization.

    pip install torch==2.9.0 numpy==2.4.6 safetensors==0.8.0
    python tests/fsq_reference.py

Written from the formulas of the paper (Mentzer et al. 2023), with nothing of this program. A case is
`<name>.safetensors` with `<name>.json` in the form of tests/parity. Inputs are float32; everything is computed in
float64 and stored in float32. Latents whose bounded numbers lie within 1e-3 of a rounding edge are drawn again, so that
no rounding error can change a code. Before a case is written, codes are checked against a search for the nearest of all
grid points, and the gradient against finite differences of the bound.
"""

import itertools
import json
import pathlib

import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "parity_quantizers"
TOLERANCE = {"int64": "exact", "float32": {"atol": 1e-6, "rtol": 1e-6}}
MARGIN = 1e-3


def bound(z, sizes):
    """The bounded numbers of latents [..., d], before rounding."""
    half = (sizes - 1) * (1 - MARGIN) / 2
    offset = torch.where(sizes % 2 == 0, 0.5, 0.0).double()
    return torch.tanh(z + torch.tan(offset / half)) * half - offset


def near_an_edge(bounded):
    return ((bounded - torch.floor(bounded) - 0.5).abs() < 1e-3).any(-1)


def latents(sizes, count, generator):
    draw = lambda: 1.5 * torch.randn(count, len(sizes), generator=generator)
    z = draw()
    while (edge := near_an_edge(bound(z.double(), sizes))).any():
        z[edge] = draw()[edge]
    return z.double()


def case(name, sizes, batch, tokens):
    sizes = torch.tensor(sizes)
    generator = torch.Generator().manual_seed(2309)
    z = latents(sizes, batch * tokens, generator).requires_grad_()
    weights = torch.randn(batch * tokens, len(sizes), generator=generator).double()

    bounded = bound(z, sizes)
    integers = torch.round(bounded.detach())
    radius = sizes // 2
    straight_through = bounded + (integers - bounded.detach())
    values = straight_through / radius
    codes, place = torch.zeros(batch * tokens, dtype=torch.int64), 1
    for number, size in enumerate(sizes.tolist()):
        codes += (integers[:, number] + radius[number]).long() * place
        place *= size
    (values * weights).sum().backward()

    # the nearest of all grid points, the first number fastest
    ranges = [range(-(size // 2), -(size // 2) + size) for size in sizes.tolist()]
    grid = torch.tensor([point[::-1] for point in itertools.product(*ranges[::-1])]).double()
    assert torch.equal((bounded.detach()[:, None] - grid[None]).pow(2).sum(-1).argmin(-1), codes)
    step = 1e-6
    slope = (bound(z.detach() + step, sizes) - bound(z.detach() - step, sizes)) / (2 * step) / radius
    assert torch.allclose(slope * weights, z.grad, atol=1e-8)

    shaped = lambda tensor: tensor.detach().reshape(batch, tokens, -1)
    tensors = {
        "z": (shaped(z), "input", "latents [B, N, d]"),
        "weights": (shaped(weights), "input", "what the values are multiplied with, [B, N, d]"),
        "values": (shaped(values), "output", "quantized vectors [B, N, d]"),
        "codes": (shaped(codes), "output", "codes [B, N, 1]"),
        "grad": (shaped(z.grad), "output", "gradient of sum(values * weights) with respect to z"),
        "grid": ((grid / radius), "output", "the vector of every code [K, d]"),
    }
    to = lambda tensor: tensor.to(torch.float32 if tensor.is_floating_point() else torch.int64).contiguous()
    save_file({key: to(tensor) for key, (tensor, _, _) in tensors.items()}, OUT / f"{name}.safetensors")
    meta = {
        key: {
            "shape": list(tensor.shape),
            "dtype": str(to(tensor).dtype).removeprefix("torch."),
            "role": role,
            "what": what,
        }
        for key, (tensor, role, what) in tensors.items()
    }
    made = {
        "case": name,
        "origin": f"tests/fsq_reference.py, torch {torch.__version__} CPU, float64",
        "config": {"sizes": sizes.tolist()},
        "tolerance": TOLERANCE,
        "notes": ["The shift of even sizes is tan(o / h), as the paper's code has it; atanh would map 0 to 0 exactly."],
        "tensors": meta,
    }
    (OUT / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    case("fsq", [8, 5, 5, 5], 2, 32)
    case("fsq_small", [2, 3, 4], 1, 24)
