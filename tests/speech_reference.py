"""Makes tests/parity_speech/: reference numbers for speech methods and CTC.

    pip install torch==2.9.0 numpy==2.4.6 safetensors==0.8.0
    python tests/speech_reference.py

Written from the papers' formulas, independently of this program: BEST-RQ (Chiu et al. 2022), BiRQ (Jiang
et al. 2025) and CTC (Graves et al. 2006). A case is `<name>.safetensors` with `<name>.json` in the form of
tests/parity. Inputs are float32; everything is computed in float64 and stored in float32, so that a
difference is the program's rounding. Before it is written, each case is checked by a second computation:
gradients by finite differences, CTC by the sum over all alignments and by torch's loss.

The note of a case names each choice that the papers leave open.
"""

import itertools
import json
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "parity_speech"
TOLERANCE = {"int64": "exact", "float32": {"atol": 1e-5, "rtol": 1e-5}}


class Case:
    def __init__(self, name, config, notes):
        self.name, self.config, self.notes = name, config, notes
        self.tensors, self.meta = {}, {}

    def add(self, name, tensor, role, what):
        tensor = tensor.detach()
        tensor = tensor.to(torch.float32 if tensor.is_floating_point() else torch.int64).contiguous()
        self.tensors[name] = tensor.clone()
        dtype = str(tensor.dtype).removeprefix("torch.")
        self.meta[name] = {"shape": list(tensor.shape), "dtype": dtype, "role": role, "what": what}

    def write(self):
        save_file(self.tensors, OUT / f"{self.name}.safetensors")
        made = {
            "case": self.name,
            "origin": f"tests/speech_reference.py, torch {torch.__version__} CPU, float64",
            "config": self.config,
            "tolerance": TOLERANCE,
            "notes": self.notes,
            "tensors": self.meta,
        }
        (OUT / f"{self.name}.json").write_text(json.dumps(made, indent=1) + "\n")


def draws(seed):
    generator = torch.Generator().manual_seed(seed)
    # through float32, so that the stored inputs are those of the computation
    return lambda *shape: torch.randn(*shape, generator=generator).double()


def unit(x):
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def stacked(frames, by):
    """[B, T, M] -> [B, T // by, by * M]; frames that fill no stack are dropped."""
    batch, time, mels = frames.shape
    return frames[:, : time // by * by].reshape(batch, time // by, by * mels)


def square_distances(vectors, codes):
    return (vectors.unsqueeze(-2) - codes).square().sum(-1)


def best_rq_labels(x, projection, codebook):
    """argmin over codes of || l2norm(C_n) - l2norm(A x) ||, with the squared distances."""
    distances = square_distances(unit(x @ projection), unit(codebook))
    return distances.argmin(-1), distances


def margin(distances):
    best = distances.topk(2, dim=-1, largest=False).values
    return float((best[..., 1] - best[..., 0]).min())


def best_rq():
    normal = draws(1)
    batch, time, mels, by, codes, dim, books = 3, 26, 20, 4, 64, 16, 2
    frames = 3.0 * normal(batch, time, mels) - 6.0 + torch.linspace(-2, 2, mels).double()
    frames = frames.float().double()
    lengths = torch.tensor([26, 21, 12])
    rows = stacked(frames, by)
    valid = torch.arange(rows.shape[1])[None, :] < (lengths // by)[:, None]
    data = rows[valid]
    mean, std = data.mean(0), data.std(0, correction=0)
    x = (rows - mean) / std
    case = Case(
        "best_rq_labels",
        {"batch": batch, "frames": time, "mels": mels, "stacked": by, "codes": codes, "code_dim": dim, "codebooks": books},
        [
            "stacking puts frame after frame: column j * mels + m is band m of frame j of the stack; a rest is dropped",
            "mean and std (dividing by n) are those of each stacked dimension over all valid stacked frames of the case",
            "each codebook has a projection of its own; padded frames have no label: -1",
            "argmin takes the first of equal distances",
        ],
    )
    case.add("frames", frames, "input", "log-mel frames [B, T, M], padding included")
    case.add("lengths", lengths, "input", "valid frames [B]")
    case.add("mean", mean, "expected", "[stacked * M]")
    case.add("std", std, "expected", "[stacked * M]")
    case.add("x", x * valid[..., None], "expected", "standardised stacked frames [B, T', stacked * M], padding 0")
    margins = []
    for book in range(books):
        bound = (6 / (by * mels + dim)) ** 0.5
        projection = (torch.rand(by * mels, dim, generator=torch.Generator().manual_seed(book)) * 2 - 1) * bound
        projection = projection.double()
        codebook = normal(codes, dim).float().double()
        labels, distances = best_rq_labels(x, projection, codebook)
        margins.append(margin(distances[valid]))
        case.add(f"projection.{book}", projection, "random", "A, Xavier uniform [stacked * M, D]")
        case.add(f"codebook.{book}", codebook, "random", "C, standard normal [K, D], not normalised")
        case.add(f"labels.{book}", labels.masked_fill(~valid, -1), "expected", "[B, T']")
        case.add(f"distances.{book}", distances * valid[..., None], "expected", "squared distances [B, T', K], padding 0")
    case.config["min_distance_margin"] = min(margins)
    assert min(margins) > 1e-4, margins
    case.write()


def gumbel(uniform):
    return -torch.log(-torch.log(uniform))


def enhanced_label(u, projection, codebook, noise, tau):
    """softmax(-(|| u' - C_n ||^2 + v_n) / tau), u' being u normalised, projected, and of unit length as the codes are."""
    normalised = F.layer_norm(u, u.shape[-1:], eps=1e-5)
    distances = square_distances(unit(normalised @ projection), unit(codebook))
    return torch.softmax(-(distances + noise) / tau, -1)


READING = [
    "the features are normalised by a layer norm without weights (eps 1e-5) over their width, then projected; both the"
    " projected features and the codes are of unit length, as they are for the anchor label, since the codebook is the same",
    "the noise is added to the distance, as the formula is printed, so that it is -v that raises a code",
]


def gumbel_label():
    normal = draws(2)
    batch, time, width, codes, dim, tau = 2, 6, 24, 32, 8, 0.5
    u = (2 * normal(batch, time, width) + 0.5).float().double().requires_grad_()
    projection = (normal(width, dim) / width**0.5).float().double()
    codebook = normal(codes, dim).float().double()
    uniform = torch.rand(batch, time, codes, generator=torch.Generator().manual_seed(3)).clamp(1e-6, 1 - 1e-6).double()
    noise = gumbel(uniform).float().double()
    cotangent = normal(batch, time, codes).float().double()
    label = enhanced_label(u, projection, codebook, noise, tau)
    (grad,) = torch.autograd.grad((label * cotangent).sum(), u)
    check_gradient(lambda v: (enhanced_label(v, projection, codebook, noise, tau) * cotangent).sum(), u, grad)
    case = Case("gumbel_label", {"batch": batch, "frames": time, "width": width, "codes": codes, "code_dim": dim, "tau": tau}, READING)
    case.add("u", u, "input", "features of layer k [B, T, W]")
    case.add("projection", projection, "random", "the second projection [W, D]")
    case.add("codebook", codebook, "random", "[K, D], not normalised")
    case.add("uniform", uniform, "random", "U in (0, 1) [B, T, K]")
    case.add("noise", noise, "random", "v = -ln(-ln U) [B, T, K]; feed this")
    case.add("cotangent", cotangent, "input", "[B, T, K]")
    case.add("label", label, "expected", "[B, T, K]")
    case.add("grad_u", grad, "expected", "d sum(label * cotangent) / d u")
    case.write()


def check_gradient(function, at, gradient, directions=8, step=1e-6):
    """Directional derivatives by central differences."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(directions):
        direction = torch.randn(at.shape, generator=generator).double()
        with torch.no_grad():
            slope = (function(at + step * direction) - function(at - step * direction)) / (2 * step)
        expected = (gradient * direction).sum()
        assert abs(slope - expected) <= 1e-6 * (1 + abs(expected)), (slope, expected)


def layer(h, valid, weights, index):
    """h + tanh(h W + m U + b), m the mean of h over the valid frames of its utterance: no frame sees padding."""
    w, u, b = (weights[f"w.layer.{index}.{name}"] for name in ("own", "mean", "bias"))
    mean = (h * valid[..., None]).sum(1, keepdim=True) / valid.sum(1)[:, None, None]
    return h + torch.tanh(h @ w + mean @ u + b)


def birq_losses(weights, given, k, layers, tau, frozen_label=False, frozen_prediction=False):
    """G, F, the anchor label, the enhanced label and the logits."""
    valid, masked, x = given["valid"], given["masked"], given["x"]
    anchor, _ = best_rq_labels(x, given["projection"], given["codebook"])

    h = x @ weights["w.input"]
    for index in range(k):
        h = layer(h, valid, weights, index)
    label = enhanced_label(h, given["projection_k"], given["codebook"], given["noise"], tau)

    h = torch.where(masked[..., None], given["filling"], x) @ weights["w.input"]
    for index in range(layers):
        h = layer(h, valid, weights, index)
    logits = h @ weights["w.head"]
    log_p = torch.log_softmax(logits, -1)
    if frozen_label:
        label = label.detach()
    if frozen_prediction:
        log_p = log_p.detach()
    g = -log_p.gather(-1, anchor[..., None])[..., 0][masked].mean()
    f = -(label * log_p).sum(-1)[masked].mean()
    return g, f, anchor, label, logits


def birq_step():
    normal = draws(4)
    batch, time, inputs, width, layers, k, codes, dim = 2, 12, 10, 12, 3, 2, 16, 6
    tau, w1, w2 = 0.5, 0.1, 2.4
    lengths = torch.tensor([12, 9])
    valid = torch.arange(time)[None, :] < lengths[:, None]
    masked = torch.zeros(batch, time, dtype=torch.bool)
    masked[0, 3:7], masked[0, 10], masked[1, 0:2], masked[1, 6:9] = True, True, True, True
    assert not (masked & ~valid).any()
    fresh = lambda *shape, scale=1.0: (scale * normal(*shape)).float().double()
    given = {
        "x": fresh(batch, time, inputs) * valid[..., None],
        "valid": valid,
        "masked": masked,
        "filling": fresh(batch, time, inputs, scale=0.1**0.5),
        "projection": fresh(inputs, dim, scale=(2 / (inputs + dim)) ** 0.5),
        "projection_k": fresh(width, dim, scale=(2 / (width + dim)) ** 0.5),
        "codebook": fresh(codes, dim),
        "noise": gumbel(torch.rand(batch, time, codes, generator=torch.Generator().manual_seed(5)).clamp(1e-6, 1 - 1e-6).double()).float().double(),
    }
    weights = {"w.input": fresh(inputs, width, scale=inputs**-0.5), "w.head": fresh(width, codes, scale=width**-0.5)}
    for index in range(layers):
        weights[f"w.layer.{index}.own"] = fresh(width, width, scale=width**-0.5)
        weights[f"w.layer.{index}.mean"] = fresh(width, width, scale=width**-0.5)
        weights[f"w.layer.{index}.bias"] = fresh(width, scale=0.1)
    for weight in weights.values():
        weight.requires_grad_()

    losses = lambda weights, **frozen: birq_losses(weights, given, k, layers, tau, **frozen)
    g, f, anchor, label, logits = losses(weights)
    names = list(weights)
    case = Case(
        "birq_step",
        {"batch": batch, "frames": time, "inputs": inputs, "width": width, "layers": layers, "k": k, "codes": codes,
         "code_dim": dim, "tau": tau, "w1": w1, "w2": w2},
        [
            "layer: h + tanh(h W + m U + b), m being the mean of h over the valid frames of its utterance; x W_input before"
            " the first, h W_head after the last; all matrices are [in, out]",
            "the enhanced label is made from the unmasked input by the first k layers, with gradient; the prediction from"
            " the masked input by all layers; both are means over masked frames, of all utterances together",
            "masked frames of x are replaced by `filling`; N(0, 0.1) is read as a variance of 0.1",
            "total = w1 F + w2 G",
            *READING,
        ],
    )
    distances = best_rq_labels(given["x"], given["projection"], given["codebook"])[1]
    case.config["min_distance_margin"] = margin(distances[masked])
    assert case.config["min_distance_margin"] > 1e-3
    case.add("x", given["x"], "input", "standardised stacked frames [B, T, inputs], padding 0")
    case.add("lengths", lengths, "input", "valid frames [B]")
    case.add("masked", masked.long(), "random", "1 where masked [B, T]")
    case.add("filling", given["filling"], "random", "what masked frames are replaced by [B, T, inputs]")
    case.add("projection", given["projection"], "random", "of the anchor label [inputs, D]")
    case.add("projection_k", given["projection_k"], "random", "of the enhanced label [W, D]")
    case.add("codebook", given["codebook"], "random", "[K, D], not normalised")
    case.add("noise", given["noise"], "random", "Gumbel [B, T, K]")
    for name in names:
        case.add(name, weights[name], "weight", "")
    case.add("anchor", anchor.masked_fill(~valid, -1), "expected", "y0 [B, T], padding -1")
    case.add("enhanced", label * valid[..., None], "expected", "y1 [B, T, K], padding 0")
    case.add("logits", logits * valid[..., None], "expected", "[B, T, K], padding 0")
    case.add("loss_g", g, "expected", "CE with the anchor label")
    case.add("loss_f", f, "expected", "CE with the enhanced label")
    case.add("loss", w1 * f + w2 * g, "expected", "w1 F + w2 G")
    case.add("loss_f_frozen", losses(weights, frozen_label=True)[1], "expected", "F: the same number, whatever is frozen")
    for prefix, loss, what in [
        ("grad_g", losses(weights)[0], "d G"),
        ("grad_f", losses(weights)[1], "d F"),
        ("grad_f_label", losses(weights, frozen_prediction=True)[1], "d F through the enhanced label alone"),
        ("grad", w1 * losses(weights)[1] + w2 * losses(weights)[0], "d loss"),
    ]:
        grads = torch.autograd.grad(loss, [weights[name] for name in names], allow_unused=True)
        for name, grad in zip(names, grads):
            if grad is None:
                # G depends on all weights, the label only on the layers up to k
                above = name == "w.head" or any(name.startswith(f"w.layer.{index}.") for index in range(k, layers))
                assert prefix == "grad_f_label" and above, (prefix, name)
                grad = torch.zeros_like(weights[name])
            case.add(name.replace("w.", f"{prefix}.", 1), grad, "expected", what)
            if prefix in ("grad_g", "grad_f"):
                pick = {"grad_g": 0, "grad_f": 1}[prefix]
                check_gradient(lambda v: losses({**weights, name: v})[pick], weights[name], grad, directions=2)
    case.write()


def enumerated_ctc(log_p, target, blank):
    """The loss by the sum over all alignments."""
    total = 0.0
    for alignment in itertools.product(range(log_p.shape[1]), repeat=log_p.shape[0]):
        said = [symbol for symbol, _ in itertools.groupby(alignment) if symbol != blank]
        if said == target:
            total += float(torch.exp(sum(log_p[t, symbol] for t, symbol in enumerate(alignment))))
    return -torch.log(torch.tensor(total, dtype=torch.float64))


def forward_ctc(log_p, target, blank):
    """The loss by the forward sums of Graves et al. 2006, equations 5 to 8."""
    inf = torch.tensor(-torch.inf, dtype=torch.float64)
    extended = [blank]
    for symbol in target:
        extended += [symbol, blank]
    if len(log_p) == 0:
        return -(torch.tensor(0.0) if not target else inf)
    alpha = [log_p[0, extended[0]]] + [log_p[0, extended[1]] if s == 1 else inf for s in range(1, len(extended))]
    for t in range(1, len(log_p)):
        step = []
        for s, symbol in enumerate(extended):
            before = [alpha[s]] + ([alpha[s - 1]] if s > 0 else [])
            if s > 1 and symbol != blank and symbol != extended[s - 2]:
                before.append(alpha[s - 2])
            finite = [value for value in before if value > -torch.inf]
            step.append(torch.logsumexp(torch.stack(finite), 0) + log_p[t, symbol] if finite else inf)
        alpha = step
    ends = [value for value in alpha[-2:] if value > -torch.inf]
    return -torch.logsumexp(torch.stack(ends), 0) if ends else -inf


def ctc():
    normal = draws(6)
    time, classes, blank = 14, 7, 0
    targets = [[1, 2, 2, 3], [4, 5, 6, 1, 2, 3, 4], [], [3, 3, 3, 3], [6, 5]]
    # the second fits exactly; the fourth needs 7 frames of its 6, as equal neighbours need a blank between them
    lengths = [14, 7, 5, 6, 10]
    logits = (1.5 * normal(len(targets), time, classes)).float().double().requires_grad_()
    log_p = torch.log_softmax(logits, -1)
    losses = [forward_ctc(log_p[i, : lengths[i]], target, blank) for i, target in enumerate(targets)]
    feasible = torch.tensor([bool(torch.isfinite(loss)) for loss in losses])
    assert feasible.tolist() == [True, True, True, False, True]

    widest = max(map(len, targets))
    padded = torch.tensor([target + [-1] * (widest - len(target)) for target in targets])
    given = (torch.tensor(lengths), torch.tensor([len(target) for target in targets]))
    flat = torch.tensor(sum(targets, []))
    torch_loss = lambda zero: F.ctc_loss(log_p.transpose(0, 1), flat, *given, blank=blank, reduction="none", zero_infinity=zero)
    assert torch.allclose(torch_loss(False), torch.stack(losses), rtol=1e-10), (torch_loss(False), losses)
    kept = torch.stack([loss if ok else loss.new_zeros(()) for loss, ok in zip(losses, feasible)])
    (grad,) = torch.autograd.grad(kept.sum(), logits, retain_graph=True)
    mean = (kept / given[1].clamp_min(1)).mean()
    (grad_mean,) = torch.autograd.grad(mean, logits, retain_graph=True)
    (torch_grad,) = torch.autograd.grad(torch_loss(True).sum(), logits, retain_graph=True)
    assert torch.allclose(grad, torch_grad, atol=1e-10)
    torch_mean = F.ctc_loss(log_p.transpose(0, 1), flat, *given, blank=blank, reduction="mean", zero_infinity=True)
    assert torch.allclose(mean, torch_mean, rtol=1e-10)
    # tiny inputs by enumeration
    for target in ([], [1], [1, 1], [1, 2]):
        for frames in range(1, 5):
            tiny = torch.log_softmax(normal(frames, 3), -1)
            a, b = enumerated_ctc(tiny, target, 0), forward_ctc(tiny, target, 0)
            assert torch.equal(a, b) or abs(a - b) < 1e-9, (target, frames, a, b)

    case = Case(
        "ctc",
        {"batch": len(targets), "frames": time, "classes": classes, "blank": blank},
        [
            "losses of each utterance are not divided by anything; utterance 3 has no alignment, so that its loss is infinite",
            "gradients are those of the sum (and the mean) without utterance 3, which counts 0 and has no gradient",
            "mean: each loss over the length of its target, at least 1, then the mean over all utterances, 3 among them",
            "frames past an utterance's length have no gradient",
        ],
    )
    case.add("logits", logits, "input", "before the softmax [B, T, C]")
    case.add("lengths", given[0], "input", "frames [B]")
    case.add("targets", padded, "input", "symbols [B, S], padding -1")
    case.add("target_lengths", given[1], "input", "symbols [B]")
    case.add("log_p", log_p, "expected", "log softmax [B, T, C]")
    case.add("loss", torch.stack(losses), "expected", "[B]; infinite where there is no alignment")
    case.add("loss_mean", mean, "expected", "")
    case.add("grad_logits", grad, "expected", "d sum of finite losses / d logits")
    case.add("grad_logits_mean", grad_mean, "expected", "d loss_mean / d logits")
    case.write()


def distillation(codebook, projected, features, visible):
    """Loss of each sequence by loops over pairs of visible frames, and the labels."""
    losses, labels = [], []
    for x, h, shown in zip(projected, features, visible):
        nearest = square_distances(unit(x), unit(codebook)).argmin(-1)
        labels.append(nearest)
        times = [t for t in range(len(x)) if shown[t] > 0]
        total = torch.zeros((), dtype=torch.float64)
        for t, s in itertools.product(times, times):
            in_layer = F.cosine_similarity(h[t], h[s], dim=0)
            in_codes = F.cosine_similarity(codebook[nearest[t]], codebook[nearest[s]], dim=0)
            total = total + (in_layer - in_codes).abs()
        losses.append(total / len(times))
    return torch.stack(losses), torch.stack(labels)


def distilled_book():
    normal = draws(6)
    batch, time, codes, dim, width = 2, 9, 12, 6, 10
    projected, features, codebook = normal(batch, time, dim), normal(batch, time, width), normal(codes, dim)
    visible = torch.tensor([[1, 1, 0, 0, 1, 1, 1, 1, 1], [1, 0, 1, 1, 1, 1, 0, 0, 0]], dtype=torch.float64)
    codebook.requires_grad_(True)
    losses, labels = distillation(codebook, projected, features, visible)
    loss = losses.mean()
    (grad,) = torch.autograd.grad(loss, codebook)
    step = 1e-6
    with torch.no_grad():
        for code, column in itertools.product(range(codes), range(dim)):
            moved = [codebook.clone(), codebook.clone()]
            moved[0][code, column] += step
            moved[1][code, column] -= step
            up, down = (distillation(book, projected, features, visible)[0].mean() for book in moved)
            assert abs((up - down) / (2 * step) - grad[code, column]) < 1e-6, (code, column)
    apart = square_distances(unit(projected), unit(codebook.detach()))
    assert margin(apart) > 1e-4, margin(apart)
    case = Case(
        "distilled_book",
        {"batch": batch, "frames": time, "codes": codes, "code_dim": dim, "width": width},
        [
            "hard assignment: each frame stands for its nearest code, both at unit length",
            "a sequence's sum over all pairs of visible frames, each with itself too, is divided by their number; then the mean",
        ],
    )
    case.add("projected", projected, "input", "frames after the projection [B, T, d]")
    case.add("features", features, "input", "a layer's features [B, T, D]")
    case.add("visible", visible, "input", "1 for frames that count [B, T]")
    case.add("codebook", codebook, "random", "[K, d]")
    case.add("labels", labels, "expected", "nearest codes [B, T]")
    case.add("loss", loss, "expected", "")
    case.add("grad_codebook", grad, "expected", "d loss / d codebook [K, d]")
    case.write()


def main():
    OUT.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    for make in (best_rq, gumbel_label, birq_step, ctc, distilled_book):
        make()
        print(make.__name__)


if __name__ == "__main__":
    main()
