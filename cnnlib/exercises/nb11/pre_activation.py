"""Exercise 11.5, The pre-activation block: the oracle is written with functions alone."""

from pathlib import Path

from cnnlib.exercises.nb11.modules import Fault, Setting, examine_module
from cnnlib.exercises.verdicts import Exercise, Verdict


def _faulty(order="nrc", shortcut="active", identity="raw", last="", strides="10", relus=(1, 2)):
    """Makes the block with something else than usual; with the defaults, the right one."""

    def make(in_channels, channels, stride=1):
        from torch import nn

        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                first, second = ((1, stride)[int(s)] for s in strides)
                self.bn1 = nn.BatchNorm2d(in_channels)
                self.conv1 = nn.Conv2d(in_channels, channels, 3, first, 1, bias=False)
                self.bn2 = nn.BatchNorm2d(channels)
                self.conv2 = nn.Conv2d(channels, channels, 3, second, 1, bias=False)
                if stride != 1 or in_channels != channels:
                    self.downsample = nn.Conv2d(in_channels, channels, 1, stride, bias=False)

            def active(self, features, number):
                norm = getattr(self, f"bn{number}")
                if order == "rnc":
                    return norm(features.relu())
                out = norm(features)
                return out.relu() if number in relus else out

            def forward(self, features):
                active = self.active(features, 1)
                aside = active if identity == "active" else features
                if hasattr(self, "downsample"):
                    aside = self.downsample(active if shortcut == "active" else features)
                out = self.conv2(self.active(self.conv1(active), 2))
                out = out if last == "no shortcut" else out + aside
                return out.relu() if last == "relu" else out

        return Block()

    return make


FAULTS = (
    Fault(
        _faulty(last="relu"),
        "There is a ReLU after the addition. That is the old block; here the sum goes on as it is, "
        "or the identity would be cut off at 0 in every block.",
    ),
    Fault(
        _faulty(shortcut="raw"),
        "Where the shape changes, the 1 × 1 convolution takes the features after the first norm "
        "and ReLU, not the raw ones.",
    ),
    Fault(
        _faulty(identity="active"),
        "Where the shape stays, the input itself is added, as it came: before norm and ReLU.",
    ),
    Fault(_faulty(order="rnc"), "The ReLU came before the norm; the order is norm, ReLU, "
          "convolution."),
    Fault(_faulty(strides="01"), "The stride belongs to the first convolution."),
    Fault(_faulty(relus=(2,)), "The ReLU after bn1 is missing."),
    Fault(_faulty(relus=(1,)), "The ReLU after bn2 is missing."),
    Fault(_faulty(relus=()), "Both ReLUs are missing: norm, ReLU, convolution."),
    Fault(_faulty(last="no shortcut"), "The shortcut is not added."),
)  # fmt: skip


def _explain_keys(missing: list[str], unexpected: list[str]) -> str:
    if any(key.startswith("downsample.") and "weight" not in key for key in unexpected) or any(
        key.startswith("downsample.1") for key in unexpected
    ):
        return "The shortcut is a convolution alone, without a norm and without a bias."
    if "downsample.0.weight" in unexpected:
        return "downsample is the convolution itself, not an nn.Sequential."
    if any(key.endswith("bias") and "conv" in key for key in unexpected):
        return "The convolutions have no bias: a norm, or the next block's norm, follows."
    if missing == ["downsample.weight"]:
        return "Where stride or channels change, the shortcut is a 1 × 1 convolution, downsample."
    if unexpected == ["downsample.weight"]:
        return "Where the shape stays there is no downsample; the input itself is added."
    return ""


SETTINGS = (
    Setting((2, 2), (2, 2, 3, 3), "the shape stays"),
    Setting((3, 4), (2, 3, 4, 5), "other channels"),
    Setting((4, 4, 2), (3, 4, 7, 6), "stride 2"),
    Setting((4, 6, 2), (2, 4, 9, 8), "stride 2 and other channels"),
)


def _examine(answer) -> Verdict:
    return examine_module(
        answer,
        name="PreActBlock",
        settings=SETTINGS,
        oracle=_faulty(),
        faults=FAULTS,
        explain_keys=_explain_keys,
        praise="Four blocks: outputs, gradients and statistics agree, and the identity is clean.",
    )


EXERCISE = Exercise(
    id="11.5",
    title="A clean way past",
    objective="rearrange a residual block so that the identity passes untouched",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "Read the block from the sum backwards: what may stand between one sum and the next on the "
        "shortcut's way? Nothing at all.",
        "Norm, ReLU, convolution, twice. The features after the first norm and ReLU feed conv1, "
        "and the 1 × 1 of the shortcut where there is one.",
    ),
    solution=(Path(__file__).parent / "pre_activation_solution.py").read_text(encoding="utf-8"),
    examine=_examine,
)
