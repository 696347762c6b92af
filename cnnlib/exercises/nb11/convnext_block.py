"""Exercise 11.9, A block of 2022: torchvision's is the oracle."""

from pathlib import Path

from cnnlib.exercises.nb11.modules import Fault, Setting, attempt_raw, examine_module
from cnnlib.exercises.verdicts import Exercise, Verdict, not_yet


def _oracle(channels, layer_scale=1e-6):
    from torchvision.models.convnext import CNBlock

    return CNBlock(channels, layer_scale, stochastic_depth_prob=0.0)


def _faulty(change):
    def make(*args):
        block = _oracle(*args)
        changed = change(block)
        if changed is not None:
            block.forward = changed
        return block

    return make


def _gelu(make):
    def change(block):
        block.block[4] = make()

    return change


def _layer(name):
    def make():
        from torch import nn

        return {
            "tanh": lambda: nn.GELU(approximate="tanh"),
            "relu": nn.ReLU,
            "none": nn.Identity,
        }[name]()

    return make


def _eps(block):
    block.block[2].eps = 1e-5


def _whole_map_norm(block):
    """Mean and variance over channels, rows and columns together."""
    norm = block.block[2]

    def forward(values):  # (N, H, W, C)
        mean = values.mean(dim=(1, 2, 3), keepdim=True)
        var = values.var(dim=(1, 2, 3), keepdim=True, correction=0)
        return (values - mean) / (var + norm.eps).sqrt() * norm.weight + norm.bias

    norm.forward = forward


def _no_norm(block):
    block.block[2].forward = lambda values: values


def _norm_before(block):
    conv, norm = block.block[0], block.block[2]

    def forward(features):
        out = norm(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        out = conv(out).permute(0, 2, 3, 1)
        out = block.block[5](block.block[4](block.block[3](out))).permute(0, 3, 1, 2)
        return block.layer_scale * out + features

    return forward


def _two_activations(block):
    conv = block.block[0]

    def forward(features):
        out = conv(features)
        out = block.block[4](out)
        for layer in block.block[1:]:
            out = layer(out)
        return block.layer_scale * out + features

    return forward


FAULTS = (
    Fault(
        _faulty(lambda b: lambda x: b.block(x) + x),
        "layer_scale is there but not used: it multiplies the branch, not the sum.",
    ),
    Fault(
        _faulty(lambda b: lambda x: b.layer_scale * (b.block(x) + x)),
        "layer_scale multiplies the sum; it belongs to the branch alone, or the identity is lost.",
    ),
    Fault(_faulty(lambda b: lambda x: b.layer_scale * b.block(x)), "The input is not added."),
    Fault(
        _faulty(lambda b: lambda x: b.block(x) + b.layer_scale * x),
        "layer_scale multiplies the input; it belongs to the branch.",
    ),
    Fault(_faulty(_gelu(_layer("tanh"))), "The GELU is the approximate one, with tanh; the exact "
          "one, nn.GELU(), is wanted."),
    Fault(_faulty(_gelu(_layer("relu"))), "ReLU in place of GELU."),
    Fault(_faulty(_gelu(_layer("none"))), "The activation between the two linear layers, GELU, is "
          "missing."),
    Fault(_faulty(_eps), "The layer norm's eps is 1e-5, its default; here it is 1e-6."),
    Fault(
        _faulty(_whole_map_norm),
        "The norm ran over channels, rows and columns (as nn.GroupNorm(1, channels) does). Here "
        "every pixel is normalised by itself, over its channels.",
    ),
    Fault(_faulty(_no_norm), "The layer norm is not used."),
    Fault(_faulty(_norm_before), "The norm came before the convolution; it comes after it."),
    Fault(
        _faulty(_two_activations),
        "There is an activation after the depthwise convolution; the block has only one, between "
        "the two linear layers.",
    ),
)  # fmt: skip


def _explain_keys(missing: list[str], unexpected: list[str]) -> str:
    if unexpected == ["layer_scale"] or missing == ["layer_scale"]:
        return "layer_scale is an nn.Parameter of shape (channels, 1, 1)."
    if missing == ["block.0.bias"]:
        return "The depthwise convolution has a bias: no batch norm follows that would take it off."
    return (
        "self.block is an nn.Sequential: 0 the convolution, 1 the axes to (N, H, W, C), 2 the "
        "norm, 3 linear, 4 GELU, 5 linear, 6 the axes back; and self.layer_scale beside it."
    )


SETTINGS = (
    Setting((2,), (1, 2, 3, 3)),
    Setting((3, 0.5), (2, 3, 9, 8), "layer_scale=0.5"),
    Setting((8, 1.0), (2, 8, 5, 7)),
)


def _first_values(answer) -> Verdict | None:
    """layer_scale has to begin with the value that was asked for."""
    module, error = attempt_raw(answer, 3, 0.25)
    scale = getattr(module, "layer_scale", None)
    if error or scale is None:
        return None
    values = scale.detach().flatten().tolist()
    if not all(abs(value - 0.25) < 1e-6 for value in values):
        return not_yet(
            "layer_scale begins with other values.",
            ("case", "ConvNeXtBlock(3, 0.25)"),
            ("expected", "0.25 in each channel"),
            ("got", ", ".join(f"{value:.4g}" for value in values)),
            cause="Fill it with the value that __init__ was given: torch.full(…, layer_scale).",
        )
    return None


def _examine(answer) -> Verdict:
    verdict = examine_module(
        answer,
        name="ConvNeXtBlock",
        settings=SETTINGS,
        oracle=_oracle,
        faults=FAULTS,
        explain_keys=_explain_keys,
        praise="Three blocks with torchvision's weights: outputs and gradients agree.",
        scale=0.02,  # so small that eps matters
    )
    return verdict if verdict.outcome != "correct" else _first_values(answer) or verdict


EXERCISE = Exercise(
    id="11.9",
    title="A block of 2022",
    objective="write ConvNeXt's block so that it takes torchvision's weights",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "Only the first layer sees neighbours. After it every pixel is on its own: with the "
        "channels as the last axis, a 1 × 1 convolution is an nn.Linear.",
        "nn.Sequential(depthwise 7 × 7, Permute(0, 2, 3, 1), nn.LayerNorm(channels, eps=1e-6), "
        "nn.Linear to 4 · channels, nn.GELU(), nn.Linear back, Permute(0, 3, 1, 2)).",
        "features + self.layer_scale * self.block(features), layer_scale an nn.Parameter of shape "
        "(channels, 1, 1).",
    ),
    solution=(Path(__file__).parent / "convnext_block_solution.py").read_text(encoding="utf-8"),
    examine=_examine,
)
