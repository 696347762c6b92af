"""Exercise 03.1, Padding that keeps the size."""

import warnings
from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def same_padding(kernel_size, dilation=1):
    total = dilation * (kernel_size - 1)
    before = total // 2
    return before, total - before


def _torch_padding(kernel_size, dilation=1):
    """Where torch's padding="same" puts one bright pixel tells how much it padded in front."""
    import torch

    span = dilation * (kernel_size - 1)
    signal = torch.zeros(1, 1, 2 * span + 3, dtype=torch.float64)
    signal[0, 0, span + 1] = 1
    weight = torch.arange(1.0, kernel_size + 1, dtype=torch.float64)[None, None]
    with warnings.catch_warnings():  # torch remarks that uneven padding costs it a copy
        warnings.simplefilter("ignore")
        output = torch.nn.functional.conv1d(signal, weight, padding="same", dilation=dilation)
    last_weight_at = int(np.flatnonzero(output[0, 0].numpy() == kernel_size)[0])
    before = last_weight_at - (span + 1) + span
    return before, span - before


def _cases():
    yield Case((1,), {}, "a kernel of one number")
    yield Case((3,), {}, "an odd kernel")
    yield Case((2,), {}, "an even kernel")
    for kernel_size in (4, 5, 7, 8):
        yield Case((kernel_size,), {})
    yield Case((3,), {"dilation": 2}, "dilation")
    yield Case((2,), {"dilation": 3}, "an even kernel with dilation")
    rng = np.random.default_rng(31)
    for kernel_size, dilation in rng.integers(1, 9, (12, 2)):
        yield Case((int(kernel_size),), {"dilation": int(dilation)})


def _more_in_front(kernel_size, dilation=1):
    return same_padding(kernel_size, dilation)[::-1]


EXERCISE = Exercise(
    id="03.1",
    title="Padding that keeps the size",
    objective="choose the padding for a kernel of any size and dilation",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "Without padding, how many places does a kernel of 3 lose? One of 4? That many zeros are "
        "needed in all.",
        "A dilated kernel loses as many places as its first and last tap lie apart: "
        "dilation × (kernel_size − 1).",
        "Half of the total, rounded down, goes in front: total // 2. The rest goes behind.",
    ),
    solution=same_padding,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_torch_padding,
        misconceptions=(
            Misconception(
                lambda kernel_size, dilation=1: (kernel_size // 2, kernel_size // 2),
                "kernel_size // 2 on both sides is right for odd kernels without dilation. With an "
                "even kernel the output grows by one, and a dilated kernel spans more.",
            ),
            Misconception(
                lambda kernel_size, dilation=1: (
                    dilation * (kernel_size - 1) // 2,
                    dilation * (kernel_size - 1) // 2,
                ),
                "Equal on both sides. When the total is odd, half a zero is missing on each side: "
                "one side needs one more.",
            ),
            Misconception(
                lambda kernel_size, dilation=1: (
                    -(-dilation * (kernel_size - 1) // 2),
                    -(-dilation * (kernel_size - 1) // 2),
                ),
                "Equal on both sides, rounded up: when the total is odd this is one zero too many.",
            ),
            Misconception(
                _more_in_front,
                "The total is right, but the odd zero stands in front; torch puts it behind.",
            ),
            Misconception(
                lambda kernel_size, dilation=1: same_padding(kernel_size),
                "The dilation was not used: the taps stand `dilation` apart.",
            ),
            Misconception(
                lambda kernel_size, dilation=1: same_padding(dilation * kernel_size),
                "The span of a dilated kernel is dilation × (k − 1) + 1, not dilation × k: there "
                "are k − 1 gaps between k taps.",
            ),
            Misconception(
                lambda kernel_size, dilation=1: (
                    dilation * (kernel_size - 1),
                    dilation * (kernel_size - 1),
                ),
                "That is the padding needed in all, put on both sides: the output would grow.",
            ),
            Misconception(
                lambda kernel_size, dilation=1: (
                    dilation * (kernel_size - 1) / 2,
                    dilation * (kernel_size - 1) / 2,
                ),
                "Half a row of zeros cannot be added: one side gets the smaller half, the other "
                "the larger. // divides and rounds down.",
            ),
        ),
    ),
)
