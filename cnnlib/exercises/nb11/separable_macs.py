"""Exercise 11.7, Filter, then mix: what it costs."""

from functools import partial

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def separable_macs(in_channels, out_channels, kernel_size, image_size, stride=1):
    H, W = image_size
    padding = kernel_size // 2
    rows = (H + 2 * padding - kernel_size) // stride + 1
    columns = (W + 2 * padding - kernel_size) // stride + 1
    full = rows * columns * kernel_size**2 * in_channels * out_channels
    depthwise = rows * columns * kernel_size**2 * in_channels
    pointwise = rows * columns * in_channels * out_channels
    return full, depthwise + pointwise


def _counted(in_channels, out_channels, kernel_size, image_size, stride=1):
    """By torch's counter of floating-point operations, two for each product and sum."""
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    def macs(*layers):
        image = torch.zeros(1, in_channels, *image_size, device="meta")
        with FlopCounterMode(display=False) as counter:
            for layer in layers:
                image = layer(image)
        return counter.get_total_flops() // 2

    same = {"stride": stride, "padding": kernel_size // 2, "device": "meta"}
    full = nn.Conv2d(in_channels, out_channels, kernel_size, **same)
    depthwise = nn.Conv2d(in_channels, in_channels, kernel_size, groups=in_channels, **same)
    pointwise = nn.Conv2d(in_channels, out_channels, 1, device="meta")
    return macs(full), macs(depthwise, pointwise)


def _other(
    depth=lambda C, O: C, point=True, ceil=None, at_input=False, late=False, padded=True, add=1
):
    """The answer with one thing changed."""

    def answer(C, O, k, image_size, stride=1):
        padding = k // 2 if padded else 0
        rows, columns = ((n + 2 * padding - k) // stride + 1 for n in image_size)
        if ceil:
            rows, columns = (ceil(n, stride) for n in image_size)
        H, W = image_size
        if at_input:
            rows, columns = H, W
        area = H * W if late else rows * columns
        parts = [area * k**2 * depth(C, O), rows * columns * C * O * point]
        both = sum(parts) if add else parts[0] * parts[1]
        return rows * columns * k**2 * C * O, both

    return answer


MISCONCEPTIONS = (
    Misconception(
        _other(point=False), "The pointwise part is missing: a 1 × 1 that mixes the maps."
    ),
    Misconception(
        _other(depth=lambda C, O: O),
        "The depthwise part has one filter for each *input* map; the number of outputs is the "
        "pointwise part's affair.",
    ),
    Misconception(
        _other(depth=lambda C, O: C * C),
        "The depthwise part was counted as a full convolution: each filter looks at one map only.",
    ),
    Misconception(
        _other(depth=lambda C, O: 1),
        "The depthwise part was counted for one map; there are in_channels of them.",
    ),
    Misconception(
        _other(at_input=True), "The stride was ignored: count the positions of the output."
    ),
    Misconception(
        _other(late=True),
        "The stride belongs to the depthwise part, so that it, too, has only the output's "
        "positions.",
    ),
    Misconception(
        _other(padded=False), "The padding, kernel_size // 2 on every side, was left out."
    ),
    Misconception(
        _other(ceil=lambda n, s: n // s),
        "The output's size is ⌊(H + 2p − k) / stride⌋ + 1, which for an odd H is not H // stride.",
    ),
    Misconception(_other(add=0), "The two parts come one after the other: their costs add up."),
)


def _cases():
    yield Case((1, 1, 3, (1, 1)), note="one pixel")
    yield Case((2, 3, 3, (4, 4)), note="small enough for paper")
    yield Case((64, 128, 3, (28, 28)))
    yield Case((5, 7, 5, (9, 6)), note="an image that is not square")
    yield Case((8, 4, 3, (7, 10)), {"stride": 2}, note="stride 2 on an odd size")
    yield Case((16, 16, 7, (14, 14)), {"stride": 3})
    yield Case((6, 6, 1, (5, 5)), note="1 × 1")


def _examine(answer) -> Verdict:
    return partial(examine_function, cases=_cases, oracle=_counted, misconceptions=MISCONCEPTIONS)(
        answer
    )


EXERCISE = Exercise(
    id="11.7",
    title="Filter, then mix: what it costs",
    objective="predict the operations of a full and of a depthwise separable convolution",
    level=1,
    minutes=12,
    points=2,
    hints=(
        "Count for one output pixel first: how many products does one number of the full "
        "convolution take? One of the depthwise part? One of the pointwise part?",
        "Full: k² · C · O for each position. Depthwise k² · C, pointwise C · O. All have the "
        "positions of the output, ⌊(H + 2p − k) / stride⌋ + 1 rows.",
    ),
    solution=separable_macs,
    examine=_examine,
)
