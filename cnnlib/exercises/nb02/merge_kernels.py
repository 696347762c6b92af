"""Exercise 02.3, Two kernels in one."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.nb02.filter_image import padded_filter
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def merge_kernels(first, second):
    h1, w1 = first.shape
    h2, w2 = second.shape
    merged = np.zeros((h1 + h2 - 1, w1 + w2 - 1), dtype=first.dtype)
    for i in range(h2):
        for j in range(w2):
            merged[i : i + h1, j : j + w1] += second[i, j] * first
    return merged


def _torch_merge(first, second):
    import torch

    h2, w2 = second.shape
    images = torch.from_numpy(first.astype(np.float64))[None, None]
    weight = torch.from_numpy(second[::-1, ::-1].astype(np.float64).copy())[None, None]
    padded = torch.nn.functional.pad(images, (w2 - 1, w2 - 1, h2 - 1, h2 - 1))
    return torch.nn.functional.conv2d(padded, weight)[0, 0].numpy().astype(first.dtype)


def _merge_cases():
    rng = np.random.default_rng(23)
    shapes = [
        ((1, 2), (1, 2), "two kernels of two numbers"),
        ((2, 2), (2, 2), ""),
        ((3, 3), (1, 1), "a second kernel of one number"),
        ((3, 3), (3, 3), "two 3 × 3 kernels"),
        ((1, 3), (3, 1), "a row and a column"),
        ((2, 4), (3, 2), "sizes that differ"),
    ]
    for first, second, note in shapes:
        yield Case((rng.integers(-4, 5, first) * 1.0, rng.integers(-4, 5, second) * 1.0), {}, note)


def _overwritten(first, second):
    merged = np.zeros(np.add(first.shape, second.shape) - 1)
    for i, j in np.ndindex(second.shape):
        merged[i : i + first.shape[0], j : j + first.shape[1]] = second[i, j] * first
    return merged


EXERCISE = Exercise(
    id="02.3",
    title="Two kernels in one",
    objective="find the one kernel that does the work of two, and say how large it is",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "Filter with `first`, then with `second`. Which pixels of the original image can one pixel "
        "of the final output see? Count them in one dimension first.",
        "One pixel of the final output is a weighted sum of outputs of the first filter; each of "
        "those is `first`, shifted, times a number of `second`.",
        "Start from zeros of shape (h1 + h2 − 1, w1 + w2 − 1); for every (i, j) of `second` add "
        "second[i, j] * first to the block that begins at row i and column j.",
    ),
    solution=merge_kernels,
    examine=partial(
        examine_function,
        cases=_merge_cases,
        oracle=_torch_merge,
        misconceptions=(
            Misconception(
                lambda first, second: _torch_merge(first, second[::-1, ::-1]),
                "One kernel was mirrored. This is a sum of shifted copies of `first`, each "
                "multiplied by a number of `second`: what is shifted down by i is multiplied by "
                "second[i, …], without a flip.",
            ),
            Misconception(
                _overwritten,
                "The shifted copies overlap, and there they add up: += in place of =.",
            ),
            Misconception(
                lambda first, second: first * second,
                "Number times number at the same place: that is not what two filters in a row do. "
                "Follow one output pixel back to the image.",
            ),
            Misconception(
                lambda first, second: first + second,
                "The sum of two kernels adds two filters side by side; here one follows the other.",
            ),
            Misconception(
                lambda first, second: first @ second,
                "A matrix product mixes rows with columns. Two filters in a row shift and add.",
            ),
            Misconception(
                lambda first, second: padded_filter(first, second[::-1, ::-1]),
                "As large as one of the kernels: the rim is missing. Two windows in a row see "
                "h1 + h2 − 1 rows.",
            ),
            Misconception(
                lambda first, second: padded_filter(first, second),
                "As large as one of the kernels: the rim is missing. Two windows in a row see "
                "h1 + h2 − 1 rows.",
            ),
        ),
    ),
)
