"""Exercise 11.8, The bottleneck turned round: torchvision's block is the oracle."""

from pathlib import Path

from cnnlib.exercises.nb11.modules import Fault, Setting, examine_module
from cnnlib.exercises.verdicts import Exercise, Verdict


def _oracle(in_channels, out_channels, stride, expand_ratio):
    from torchvision.models.mobilenetv2 import InvertedResidual

    return InvertedResidual(in_channels, out_channels, stride, expand_ratio)


def _faulty(change):
    """The right block with `change(block)` done to it."""

    def make(*args):
        block = _oracle(*args)
        block.args = args
        change(block)
        return block

    return make


def _forward(rule):
    def change(block):
        block.forward = lambda features: rule(block, features)

    return change


def _activations(make):
    def change(block):
        for part in block.conv[:-2]:
            part[2] = make()

    return change


def _relu():
    from torch import nn

    return nn.ReLU()


def _nothing():
    from torch import nn

    return nn.Identity()


def _last_one_only(block):
    block.conv[-3][2] = _nothing()


def _stride_in_expansion(block):
    stride = block.args[2]
    if len(block.conv) == 4:
        block.conv[0][0].stride, block.conv[1][0].stride = (stride,) * 2, (1, 1)


def _stride_in_projection(block):
    stride = block.args[2]
    block.conv[-3][0].stride, block.conv[-2].stride = (1, 1), (stride,) * 2


def _no_stride(block):
    block.conv[-3][0].stride = (1, 1)


def _added(block, features):
    return features if block.use_res_connect else 0


FAULTS = (
    Fault(
        _faulty(_forward(lambda b, x: b.conv(x).clamp(0, 6) + _added(b, x))),
        "There is an activation after the projection. In few channels a ReLU throws away what "
        "cannot be had back: the bottleneck is linear.",
    ),
    Fault(
        _faulty(_forward(lambda b, x: b.conv(x).relu() + _added(b, x))),
        "There is a ReLU after the projection; the bottleneck is linear.",
    ),
    Fault(
        _faulty(_forward(lambda b, x: (b.conv(x) + _added(b, x)).relu())),
        "There is a ReLU after the addition; here, unlike in ResNet, the sum goes on as it is.",
    ),
    Fault(
        _faulty(_forward(lambda b, x: (b.conv(x) + _added(b, x)).clamp(0, 6))),
        "There is a ReLU6 after the addition; here, unlike in ResNet, the sum goes on as it is.",
    ),
    Fault(
        _faulty(_forward(lambda b, x: b.conv(x))),
        "The input is not added. Where stride is 1 and the channels stay, it is.",
    ),
    Fault(_faulty(_activations(_relu)), "ReLU in place of ReLU6: the activation is cut off at 6."),
    Fault(_faulty(_activations(_nothing)), "The two activations, ReLU6, are missing."),
    Fault(_faulty(_last_one_only), "The ReLU6 after the depthwise convolution is missing."),
    Fault(
        _faulty(_stride_in_expansion),
        "The stride is in the expansion; it belongs to the depthwise convolution.",
    ),
    Fault(
        _faulty(_stride_in_projection),
        "The stride is in the projection; it belongs to the depthwise convolution.",
    ),
    Fault(_faulty(_no_stride), "The stride is not used; it belongs to the depthwise convolution."),
    Fault(
        _faulty(_forward(lambda b, x: b.conv(x) + (x if x.shape == b.conv(x).shape else 0))),
        "The input is added where the shapes happen to agree; what counts is stride 1 and the "
        "same channels.",
    ),
    Fault(
        _faulty(_forward(lambda b, x: b.conv(x) + x)),
        "The input is added in every block; it fits only where stride is 1 and the channels stay.",
    ),
)


def _explain_keys(missing: list[str], unexpected: list[str]) -> str:
    if any(key.endswith(".0.bias") for key in unexpected) or (
        unexpected and all(key.endswith("bias") for key in unexpected)
    ):
        return "A convolution before a batch norm has no bias: bias=False."
    if any(key.startswith("conv.3") for key in unexpected) and not any(
        key.startswith("conv.3") for key in missing
    ):
        return (
            "With expand_ratio=1 there is no expansion: the first part is the depthwise "
            "convolution, and the keys begin with it."
        )
    return (
        "self.conv is an nn.Sequential: each convolution with activation is one of its own (conv, "
        "norm, ReLU6), the projection and its norm stand bare. So conv.0.0.weight, "
        "conv.0.1.weight, conv.1.0.weight, conv.1.1.weight, conv.2.weight, conv.3.weight."
    )


SETTINGS = (
    Setting((2, 2, 1, 2), (2, 2, 3, 3), "the shape stays"),
    Setting((3, 5, 1, 4), (2, 3, 4, 5), "other channels"),
    Setting((4, 4, 2, 3), (3, 4, 7, 6), "stride 2"),
    Setting((4, 3, 1, 1), (2, 4, 6, 5), "no expansion"),
    Setting((4, 4, 2, 1), (2, 4, 1, 1), "stride 2 on one pixel"),
    Setting((3, 6, 2, 6), (2, 3, 9, 8), "stride 2 and other channels"),
)


def _examine(answer) -> Verdict:
    return examine_module(
        answer,
        name="InvertedResidual",
        settings=SETTINGS,
        oracle=_oracle,
        faults=FAULTS,
        explain_keys=_explain_keys,
        praise="Six blocks with torchvision's weights: outputs, gradients and statistics agree.",
        scale=4.0,  # so that some values pass 6
    )


EXERCISE = Exercise(
    id="11.8",
    title="The bottleneck turned round",
    objective="write MobileNetV2's block so that it takes torchvision's weights",
    level=2,
    minutes=25,
    points=4,
    hints=(
        "Wide inside: in_channels · expand_ratio maps. 1 × 1 with ReLU6, depthwise 3 × 3 with the "
        "stride and ReLU6, 1 × 1 down without an activation; a batch norm after each.",
        "self.conv = nn.Sequential(nn.Sequential(conv, norm, ReLU6), nn.Sequential(conv, norm, "
        "ReLU6), conv, norm). With expand_ratio=1 the first of them is left out.",
        "features + out where stride == 1 and in_channels == out_channels, and nothing after it.",
    ),
    solution=(Path(__file__).parent / "inverted_residual_solution.py").read_text(encoding="utf-8"),
    examine=_examine,
)
