"""Exercise 02.7, The whole convolution."""

import numpy as np

from cnnlib.exercises.compare import show
from cnnlib.exercises.engine import attempt, examine_function
from cnnlib.exercises.verdicts import (
    Case,
    Exercise,
    Misconception,
    Verdict,
    not_yet,
    raised,
)


def conv2d(images, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    N, C, H, W = images.shape
    O, group_in, kh, kw = weight.shape
    padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    span_h, span_w = dilation * (kh - 1) + 1, dilation * (kw - 1) + 1
    if span_h > padded.shape[2] or span_w > padded.shape[3]:
        raise ValueError(f"a kernel that spans {(span_h, span_w)} does not fit {padded.shape[2:]}")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (span_h, span_w), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride, ::dilation, ::dilation]
    outputs = []
    for g in range(groups):
        own_windows = windows[:, g * group_in : (g + 1) * group_in]
        own_weight = weight[g * (O // groups) : (g + 1) * (O // groups)]
        outputs.append(np.einsum("nchwij,ocij->nohw", own_windows, own_weight))
    output = np.concatenate(outputs, axis=1)
    return output if bias is None else output + bias[:, None, None]


def _torch_conv2d(images, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    import torch

    tensors = [
        None if a is None else torch.from_numpy(a.astype(np.float64))
        for a in (images, weight, bias)
    ]
    output = torch.nn.functional.conv2d(*tensors, stride, padding, dilation, groups)
    return output.numpy().astype(images.dtype)


def _conv2d_cases():
    """By hand from small to large, then 16 drawn at random."""
    rng = np.random.default_rng(27)

    def case(N, C, H, W, O, kh, kw, bias=False, note="", **kwargs):
        weight = rng.integers(-3, 4, (O, C // kwargs.get("groups", 1), kh, kw)) * 1.0
        args = (rng.integers(-3, 6, (N, C, H, W)) * 1.0, weight)
        return Case((*args, rng.integers(-9, 10, O) * 1.0) if bias else args, kwargs, note)

    yield case(1, 1, 3, 3, 1, 2, 2)
    yield case(1, 1, 3, 4, 1, 2, 2, note="a wide image")
    yield case(1, 1, 3, 3, 1, 2, 3, note="a kernel that is not square")
    yield case(2, 1, 2, 2, 1, 2, 2, note="two images")
    yield case(1, 2, 3, 3, 1, 2, 2, note="two channels")
    yield case(1, 1, 3, 3, 2, 2, 2, bias=True, note="two kernels and a bias")
    yield case(1, 1, 4, 4, 1, 2, 2, stride=2, note="stride")
    yield case(1, 1, 3, 3, 1, 3, 3, padding=1, note="padding")
    yield case(1, 1, 4, 5, 1, 2, 2, stride=2, note="a stride that leaves a remainder")
    yield case(1, 1, 4, 5, 1, 2, 2, dilation=2, note="dilation")
    yield case(1, 4, 2, 2, 4, 1, 1, groups=2, note="groups")
    yield case(1, 3, 5, 6, 6, 3, 3, groups=3, note="two kernels to each channel")
    for _ in range(16):
        groups = int(rng.integers(1, 4))
        kh, kw, dilation = (int(n) for n in rng.integers(1, 4, 3))
        yield case(
            int(rng.integers(1, 3)), groups * int(rng.integers(1, 3)),
            int(rng.integers(7, 11)), int(rng.integers(7, 11)), groups * int(rng.integers(1, 3)),
            kh, kw, bias=bool(rng.integers(2)), stride=int(rng.integers(1, 4)),
            padding=int(rng.integers(0, 3)), dilation=dilation, groups=groups,
            note="everything together",
        )  # fmt: skip


def _with(**changes):
    def wrong(images, weight, bias=None, **kwargs):
        return conv2d(images, weight, bias, **{**kwargs, **changes})

    return wrong


def _one_sided(images, weight, bias=None, padding=0, **kwargs):
    padded = np.pad(images, ((0, 0), (0, 0), (0, 2 * padding), (0, 2 * padding)))
    return conv2d(padded, weight, bias, **kwargs)


def _half_padded(images, weight, bias=None, padding=0, **kwargs):
    padded = np.pad(images, ((0, 0), (0, 0), (padding, 0), (padding, 0)))
    return conv2d(padded, weight, bias, **kwargs)


def _edge_padded(images, weight, bias=None, padding=0, **kwargs):
    sides = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    return conv2d(np.pad(images, sides, mode="edge"), weight, bias, **kwargs)


def _rounded_up(images, weight, bias=None, stride=1, **kwargs):
    padding = kwargs.pop("padding", 0)
    sides = (padding, padding + stride - 1)
    return conv2d(np.pad(images, ((0, 0), (0, 0), sides, sides)), weight, bias, stride, **kwargs)


def _long_span(images, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    output = conv2d(images, weight, bias, stride, padding, dilation, groups)
    rows, columns = (
        (size + 2 * padding - dilation * k) // stride + 1
        for size, k in zip(images.shape[2:], weight.shape[2:], strict=True)
    )
    return output[:, :, :rows, :columns]


def _interleaved(images, weight, bias=None, groups=1, **kwargs):
    """Group g takes channels g, g + groups, …: a common slip with reshape."""
    C = images.shape[1]
    order = np.arange(C).reshape(-1, groups).T.ravel()
    return conv2d(images[:, order], weight, bias, groups=groups, **kwargs)


def _shared_first_group(images, weight, bias=None, groups=1, **kwargs):
    group_in = weight.shape[1]
    return conv2d(images[:, :group_in], weight, bias, **kwargs)


def _first_channel(images, weight, bias=None, groups=1, **kwargs):
    return conv2d(images[:, :1], weight[:, :1], bias, **kwargs)


def _no_bias(images, weight, bias=None, **kwargs):
    return conv2d(images, weight, **kwargs)


def _bias_along_the_width(images, weight, bias, **kwargs):
    return conv2d(images, weight, **kwargs) + bias


def _bias_for_each_channel(images, weight, bias, **kwargs):
    return conv2d(images, weight, bias * weight.shape[1], **kwargs)


def _flipped(images, weight, bias=None, **kwargs):
    return conv2d(images, weight[:, :, ::-1, ::-1], bias, **kwargs)


CONV2D_MISCONCEPTIONS = (
    Misconception(_with(stride=1), "The stride was not used."),
    Misconception(_with(padding=0), "The padding was not used."),
    Misconception(
        _with(dilation=1),
        "The dilation was not used: the window's pixels stand `dilation` apart.",
    ),
    Misconception(
        _first_channel, "Only the first channel was used; a kernel sums over all that it sees."
    ),
    Misconception(_no_bias, "The bias was not added."),
    Misconception(
        _bias_along_the_width,
        "The bias was added along the width: it needs the shape (O, 1, 1), bias[:, None, None].",
    ),
    Misconception(
        _bias_for_each_channel,
        "The bias was added once for every channel; it belongs to a kernel, and is added once.",
    ),
    Misconception(_flipped, "The kernel was flipped. A convolutional layer uses it as it stands."),
    Misconception(
        _one_sided,
        "All the padding stands below and to the right; it belongs on every side.",
    ),
    Misconception(
        _half_padded,
        "Padding stands above and to the left only; it belongs on all four sides.",
    ),
    Misconception(
        _edge_padded, "Your padding repeats the border; this convolution pads with zeros."
    ),
    Misconception(
        _rounded_up, "The last window would hang over the edge: round down, with //, not up."
    ),
    Misconception(
        _long_span,
        "The output is too small: a window spans dilation × (k − 1) + 1 pixels, not dilation × k.",
    ),
    Misconception(
        _interleaved,
        "The groups took every groups-th channel. A group is a block of channels that stand "
        "together: the first C / groups, and so on.",
    ),
    Misconception(
        _shared_first_group,
        "Every kernel looked at the first group of channels. Group g of the kernels sees group g "
        "of the channels.",
    ),
)


def _examine_conv2d(answer) -> Verdict:
    verdict = examine_function(
        answer,
        cases=_conv2d_cases,
        oracle=_torch_conv2d,
        misconceptions=CONV2D_MISCONCEPTIONS,
    )
    if verdict.outcome != "correct":
        return verdict
    images, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    output, error = attempt(answer, (images, weight), {"dilation": 3})
    if isinstance(error, ValueError):
        return verdict
    case = ("case", "images (1, 1, 3, 3), kernel 2 × 2, dilation=3: the kernel spans 4 pixels")
    expected = ("expected", "a ValueError, since the kernel does not fit the image")
    if error:
        return raised(error, case, expected, attempted=True)
    return not_yet(
        "Every possible convolution is right. An impossible one went through:",
        case,
        expected,
        ("got", show(output)),
        cause="Compare dilation × (k − 1) + 1 with the padded image before you start.",
    )


EXERCISE = Exercise(
    id="02.7",
    title="The whole convolution",
    objective="write the layer that every framework is built on",
    level=3,
    minutes=45,
    points=6,
    hints=(
        "One thing at a time: channels and bias first, then stride, padding, dilation, groups. "
        "The checker begins with the small cases and tells you which one fails.",
        "A kernel with dilation d spans d (k − 1) + 1 pixels. Cut windows of that size, then keep "
        "every d-th pixel of each: windows[..., ::d, ::d].",
        "With groups, run the same computation once for each: channels g·C/groups … and kernels "
        "g·O/groups …, then np.concatenate along axis 1.",
    ),
    solution=conv2d,
    examine=_examine_conv2d,
)
