"""Exercise 04.3, An honest mean at the rim."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.nb04.max_pool2d import (
    BOTH_SIDES,
    ROUND_DOWN,
    STRIDE_NONE,
    cases_of_windows,
    windows,
)
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def avg_pool2d(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    stride = kernel_size if stride is None else stride
    sides = ((0, 0), (0, 0), (padding, padding), (padding, padding))

    def window_sums(values):
        view = np.lib.stride_tricks.sliding_window_view(
            np.pad(values, sides), (kernel_size, kernel_size), axis=(2, 3)
        )
        return view[:, :, ::stride, ::stride].sum(axis=(4, 5))

    if count_include_pad:
        return window_sums(images) / kernel_size**2
    inside = np.ones((1, 1, *images.shape[2:]), dtype=images.dtype)
    return window_sums(images) / window_sums(inside)  # the sum of ones is the number of pixels


def _torch_avg_pool2d(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    import torch

    wide = torch.from_numpy(images.astype(np.float64))
    pool = torch.nn.functional.avg_pool2d
    output = pool(wide, kernel_size, stride, padding, count_include_pad=count_include_pad)
    return output.numpy().astype(images.dtype)


def _cases():
    for case in cases_of_windows(43):
        yield case
        if case.kwargs.get("padding"):
            kwargs = {**case.kwargs, "count_include_pad": False}
            yield Case(case.args, kwargs, f"{case.note} (not counted)")
    rng = np.random.default_rng(430)
    zeros = rng.integers(0, 2, (1, 1, 4, 4)) * 3.0
    kwargs = {"padding": 1, "count_include_pad": False}
    yield Case((zeros, 3), kwargs, "an image with zeros of its own")
    yield Case((rng.normal(size=(2, 2, 9, 9)).astype(np.float32), 3), kwargs, "float32")


def _mean(sides=(1, 1), default=None, step=True, count=None, divide=True, mode="constant"):
    """Average pooling with one thing wrong; `count` turns the flag into another."""

    def wrong(images, kernel_size, stride=None, padding=0, count_include_pad=True):
        stride = (default or kernel_size) if stride is None else stride
        rim = (stride if step else 1, padding * sides[0], padding * sides[1], 0.0)
        total = windows(images, kernel_size, *rim, mode).sum(axis=(4, 5))
        if not divide:
            return total
        if count(count_include_pad) if count else count_include_pad:
            return total / kernel_size**2
        ones = np.ones_like(images)
        return total / windows(ones, kernel_size, *rim, mode).sum(axis=(4, 5))

    return wrong


def _nonzero(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    """Counts what is not zero, in the belief that only padding is."""
    rim = (stride or kernel_size, padding, padding, 0.0)
    view = windows(images, kernel_size, *rim)
    if count_include_pad:
        return view.mean(axis=(4, 5))
    return view.sum(axis=(4, 5)) / np.maximum((view != 0).sum(axis=(4, 5)), 1)


def _ceiling(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    import torch

    pool, tensor = torch.nn.functional.avg_pool2d, torch.from_numpy(images)
    settings = {"ceil_mode": True, "count_include_pad": count_include_pad}
    return pool(tensor, kernel_size, stride, padding, **settings).numpy()


EXERCISE = Exercise(
    id="04.3",
    title="An honest mean at the rim",
    objective="say what a mean divides by where the window hangs over the edge",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "The sum is easy, since padding adds nothing to it. What changes from window to window is "
        "the number to divide by.",
        "How many pixels of a window lie inside? Pooling can count them for you: what is the sum "
        "of each window of an image of ones, padded with zeros?",
        "Pad and sum the images, pad and sum np.ones((1, 1, H, W)), and divide the one by the "
        "other; with count_include_pad divide by kernel_size ** 2.",
    ),
    solution=avg_pool2d,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_torch_avg_pool2d,
        misconceptions=(
            Misconception(
                _mean(count=lambda flag: True),
                "count_include_pad=False changed nothing: then the sum is divided by the number of "
                "pixels inside the image, not by kernel_size ** 2.",
            ),
            Misconception(
                _mean(count=lambda flag: False),
                "The padding was never counted. It counts unless count_include_pad is False: then "
                "the sum is divided by kernel_size ** 2 at the rim too.",
            ),
            Misconception(
                _mean(count=lambda flag: not flag),
                "The flag is the wrong way round: with True the padding counts.",
            ),
            Misconception(
                _nonzero,
                "Pixels that are 0 were taken for padding. A pixel of the image counts, whatever "
                "its value: count places, not values.",
            ),
            Misconception(
                _mean(mode="edge"),
                "The rim was filled with copies of the border pixels; for a mean it is 0.",
            ),
            Misconception(_mean(divide=False), "The sum of each window: divide it by a number."),
            Misconception(_mean(default=1), STRIDE_NONE),
            Misconception(_mean(sides=(0, 0)), "The padding was not used."),
            Misconception(_mean(sides=(1, 0)), BOTH_SIDES),
            Misconception(_mean(sides=(0, 1)), BOTH_SIDES),
            Misconception(_mean(step=False), "The stride was not used."),
            Misconception(_ceiling, ROUND_DOWN),
        ),
    ),
)
