"""Exercise 03.3, What does a layer cost?"""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def layer_cost(image_size, in_channels, out_channels, kernel_size, stride=1, padding=0, groups=1):
    (H, W), (kh, kw) = image_size, kernel_size
    out_h = (H + 2 * padding - kh) // stride + 1
    out_w = (W + 2 * padding - kw) // stride + 1
    products_per_value = in_channels // groups * kh * kw
    parameters = out_channels * (products_per_value + 1)
    return parameters, out_h * out_w * out_channels * products_per_value


def _counted(image_size, in_channels, out_channels, kernel_size, stride=1, padding=0, groups=1):
    """torch's own layer, asked: ones for pixels and weights, so that the output counts products."""
    import torch

    conv = torch.nn.Conv2d(
        in_channels, out_channels, kernel_size, stride=stride, groups=groups, dtype=torch.float64
    )
    parameters = sum(parameter.numel() for parameter in conv.parameters())
    torch.nn.init.ones_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    H, W = (size + 2 * padding for size in image_size)
    with torch.no_grad():
        products = conv(torch.ones(1, in_channels, H, W, dtype=torch.float64)).sum()
    return parameters, round(products.item())


def _cases():
    yield Case(((3, 3), 1, 1, (2, 2)))
    yield Case(((4, 5), 1, 1, (2, 3)), {}, "a kernel that is not square")
    yield Case(((4, 4), 3, 2, (3, 3)), {}, "several channels")
    yield Case(((5, 5), 2, 3, (3, 3)), {"padding": 1}, "padding")
    yield Case(((8, 9), 2, 3, (3, 3)), {"stride": 2}, "stride")
    yield Case(((5, 5), 4, 6, (1, 1)), {"groups": 2}, "groups")
    yield Case(((6, 6), 4, 4, (3, 3)), {"groups": 4, "padding": 1}, "a depthwise layer")
    yield Case(((6, 6), 3, 6, (3, 3)), {"groups": 3}, "two kernels to each channel")
    yield Case(((64, 64), 3, 32, (3, 3)), {}, "the layer of notebook 02")
    rng = np.random.default_rng(33)
    for _ in range(10):
        groups = int(rng.integers(1, 4))
        H, W, channels_in, channels_out, kh, kw, stride, padding = (
            int(rng.integers(low, high))
            for low, high in ((6, 20), (6, 20), (1, 5), (1, 5), (1, 6), (1, 6), (1, 4), (0, 3))
        )
        yield Case(
            ((H, W), groups * channels_in, groups * channels_out, (kh, kw)),
            {"stride": stride, "padding": padding, "groups": groups},
            "everything together",
        )


def _counts(image_size, in_channels, out_channels, kernel_size, stride=1, padding=0, groups=1):
    """The numbers that wrong answers mix up: output values, C, O, window area, groups, pixels."""
    (H, W), (kh, kw) = image_size, kernel_size
    places = ((H + 2 * padding - kh) // stride + 1) * ((W + 2 * padding - kw) // stride + 1)
    return places, in_channels, out_channels, kh * kw, groups, H * W


def _mixed(function):
    """A wrong answer from those numbers."""
    return lambda *args, **kwargs: function(*_counts(*args, **kwargs))


def _products_with_pixels(
    image_size, in_channels, out_channels, kernel_size, stride=1, padding=0, groups=1
):
    parameters, _ = layer_cost(
        image_size, in_channels, out_channels, kernel_size, stride, padding, groups
    )
    (H, W), (kh, kw) = image_size, kernel_size
    pairs = 1
    for size, taps in ((H, kh), (W, kw)):
        starts = range(-padding, size + padding - taps + 1, stride)
        pairs *= sum(0 <= start + tap < size for start in starts for tap in range(taps))
    return parameters, pairs * out_channels * in_channels // groups


EXERCISE = Exercise(
    id="03.3",
    title="What does a layer cost?",
    objective="count the parameters and the multiplications of a layer with groups",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "How many numbers does one kernel hold, when it sees only the channels of its own group? "
        "How many kernels are there, and how many biases?",
        "One output value costs as many products as one kernel has weights. How many output values "
        "are there, over all channels?",
        "parameters = O · (C/groups · kh · kw + 1); MACs = out_h · out_w · O · C/groups · kh · kw.",
    ),
    solution=layer_cost,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_counted,
        misconceptions=(
            Misconception(
                _mixed(lambda n, C, O, k, g, px: (O * (C // g) * k, n * O * (C // g) * k)),
                "The biases are missing: each output channel has one parameter more.",
            ),
            Misconception(
                _mixed(lambda n, C, O, k, g, px: (O * (C // g) * k + 1, n * O * (C // g) * k)),
                "One bias for the whole layer; each output channel has one of its own.",
            ),
            Misconception(
                _mixed(lambda n, C, O, k, g, px: (O * (C // g) * (k + 1), n * O * (C // g) * k)),
                "A bias for each grid of a kernel; a kernel has one bias, however many channels it "
                "sees.",
            ),
            Misconception(
                _mixed(lambda n, C, O, k, g, px: (O * (C * k + 1), n * O * C * k)),
                "The groups were not used: a kernel sees C / groups channels.",
            ),
            Misconception(
                _mixed(lambda n, C, O, k, g, px: (O * (C // g * k + 1), n * O * C * k)),
                "The parameters know of the groups, the MACs do not: a kernel has C / groups "
                "grids, and multiplies no more than it has.",
            ),
            Misconception(
                _mixed(
                    lambda n, C, O, k, g, px: (
                        (O // g) * (C // g * k + 1),
                        n * (O // g) * (C // g) * k,
                    )
                ),
                "This is the cost of one group; there are `groups` of them.",
            ),
            Misconception(
                _mixed(lambda n, C, O, k, g, px: (O * (C // g * k + 1), px * O * (C // g) * k)),
                "The MACs were counted for every pixel of the input; each value of the output "
                "costs one window of products.",
            ),
            Misconception(
                _mixed(lambda n, C, O, k, g, px: (O * (C // g * k + 1), n * O * (C // g * k + 1))),
                "The bias was counted as a product; it is added, not multiplied.",
            ),
            Misconception(
                _mixed(lambda n, C, O, k, g, px: (O * (C // g * k + 1), n * (C // g) * k)),
                "These are the MACs of one output channel; there are O of them.",
            ),
            Misconception(
                _mixed(lambda n, C, O, k, g, px: (O * (C // g * k + 1), n * O * k)),
                "A kernel multiplies in every channel of its group: C / groups times kh · kw.",
            ),
            Misconception(
                _products_with_pixels,
                "Products with the padding were left out. A layer does them too (and most "
                "programs do not know that one factor is 0), so they are counted.",
            ),
        ),
    ),
)
