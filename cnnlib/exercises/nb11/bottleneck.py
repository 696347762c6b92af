"""Exercise 11.3, A bottleneck: torchvision's block is the oracle."""

import re
from pathlib import Path

from cnnlib.exercises.nb11.modules import Fault, Setting, examine_module
from cnnlib.exercises.verdicts import Exercise, Verdict


def _oracle(in_channels, channels, stride=1):
    from torch import nn
    from torchvision.models.resnet import Bottleneck

    downsample = None
    if stride != 1 or in_channels != 4 * channels:
        downsample = nn.Sequential(
            nn.Conv2d(in_channels, 4 * channels, 1, stride=stride, bias=False),
            nn.BatchNorm2d(4 * channels),
        )
    return Bottleneck(in_channels, channels, stride, downsample)


def _faulty(strides="010", relus=("bn1", "bn2", "sum"), shortcut="right", eps=1e-5, padding="010"):
    """Makes a bottleneck with something else than usual.

    `strides` and `padding` say for each convolution whether it has one; `relus` after what there
    is a ReLU: conv1, bn1, conv2, bn2, conv3, bn3, shortcut, sum; or before it: in.
    """

    def make(in_channels, channels, stride=1):
        from torch import nn

        block = _oracle(in_channels, channels, stride)
        for number in range(3):
            conv = getattr(block, f"conv{number + 1}")
            conv.stride = (stride,) * 2 if strides[number] == "1" else (1, 1)
            conv.padding = (int(padding[number]),) * 2
        for module in block.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = eps

        def forward(features):
            def after(name, value):
                return value.relu() if name in relus else value

            out = after("in", features)
            for number in (1, 2, 3):
                out = after(f"conv{number}", getattr(block, f"conv{number}")(out))
                out = after(f"bn{number}", getattr(block, f"bn{number}")(out))
            if shortcut == "none":
                return after("sum", out)
            aside = features
            if block.downsample is not None:
                aside = block.downsample[0](features)
                aside = aside if shortcut == "no norm" else block.downsample[1](aside)
            if shortcut == "of the output":
                aside = out
            return after("sum", out + after("shortcut", aside))

        block.forward = forward
        return block

    return make


FAULTS = (
    Fault(
        _faulty(strides="100"),
        "The stride is in conv1, as in the paper. torchvision has it in the 3 × 3, conv2 (called "
        "v1.5): a 1 × 1 with stride 2 throws three pixels of four away unread.",
    ),
    Fault(_faulty(strides="001"), "The stride is in conv3; it belongs to the 3 × 3, conv2."),
    Fault(
        _faulty(strides="000"),
        "No convolution of the main way has the stride; it belongs to the 3 × 3, conv2.",
    ),
    Fault(
        _faulty(relus=("bn1", "bn2", "bn3")),
        "The ReLU came before the addition. First add the shortcut, then the last ReLU.",
    ),
    Fault(_faulty(relus=("bn1", "bn2")), "The last ReLU is missing: after the shortcut is added."),
    Fault(
        _faulty(relus=("bn1", "bn2", "bn3", "sum")),
        "There is a ReLU after bn3, and another after the addition; only the second belongs there.",
    ),
    Fault(_faulty(relus=("bn2", "sum")), "The ReLU after bn1 is missing."),
    Fault(_faulty(relus=("bn1", "sum")), "The ReLU after bn2 is missing."),
    Fault(_faulty(relus=("sum",)), "There is no ReLU after bn1 and bn2."),
    Fault(
        _faulty(relus=("conv1", "conv2", "sum")),
        "The ReLU came before the batch norm; the order is convolution, batch norm, ReLU.",
    ),
    Fault(
        _faulty(relus=("bn1", "bn2", "shortcut", "sum")),
        "The shortcut went through a ReLU of its own; it is added as it is.",
    ),
    Fault(_faulty(shortcut="none"), "The shortcut is not added."),
    Fault(
        _faulty(shortcut="no norm"),
        "The shortcut's batch norm, downsample.1, is there but not used.",
    ),
    Fault(_faulty(eps=1e-3), "Another eps than batch norm's default, 1e-5."),
    Fault(_faulty(shortcut="of the output"), "out was added to itself in place of the input."),
    Fault(
        _faulty(padding="000"),
        "The 3 × 3 needs padding=1, or its output is smaller than the shortcut.",
    ),
    Fault(
        _faulty(relus=("in", "bn1", "bn2", "sum")), "The block's input went through a ReLU first."
    ),
)


def explain_keys(missing: list[str], unexpected: list[str]) -> str:
    """The usual causes of other keys in a block of ResNet."""
    if any(re.search(r"(conv\d|downsample\.0)\.bias$", key) for key in unexpected):
        return "A convolution before a batch norm has no bias: bias=False."
    if missing and all("downsample.1" in key for key in missing):
        return "The shortcut's convolution is followed by a batch norm of its own, downsample.1."
    if missing and all("downsample" in key for key in missing) and not unexpected:
        return (
            "A shortcut is missing: wherever the shape changes, by a stride or by other channels, "
            "it is a 1 × 1 convolution and a batch norm."
        )
    if unexpected and all("downsample" in key for key in unexpected) and not missing:
        return "Where stride is 1 and the channels stay, the shortcut is the input itself."
    if any("downsample" in key for key in missing) and unexpected:
        return "The shortcut is self.downsample, an nn.Sequential of convolution and batch norm."
    return ""


SETTINGS = (
    Setting((4, 1), (2, 4, 3, 3), "the shape stays"),
    Setting((3, 2), (2, 3, 4, 5), "other channels"),
    Setting((8, 2, 2), (3, 8, 7, 6), "stride 2, same channels"),
    Setting((6, 4, 2), (2, 6, 9, 8), "stride 2, other channels"),
)


def _examine(answer) -> Verdict:
    return examine_module(
        answer,
        name="Bottleneck",
        settings=SETTINGS,
        oracle=_oracle,
        faults=FAULTS,
        explain_keys=explain_keys,
        praise="Four blocks with torchvision's weights: outputs, gradients and statistics agree.",
    )


EXERCISE = Exercise(
    id="11.3",
    title="A block with a bottleneck",
    objective="write a residual block that takes torchvision's weights",
    level=2,
    minutes=25,
    points=4,
    hints=(
        "Three convolutions, each followed by a batch norm: 1 × 1 down to `channels`, 3 × 3 with "
        "the stride, 1 × 1 up to 4 · channels. None has a bias.",
        "downsample is None where stride is 1 and in_channels is 4 · channels; otherwise "
        "nn.Sequential(a 1 × 1 convolution with the stride, a batch norm).",
        "ReLU after bn1 and after bn2. After bn3 add the shortcut first, then the last ReLU.",
    ),
    solution=(Path(__file__).parent / "bottleneck_solution.py").read_text(encoding="utf-8"),
    examine=_examine,
)
