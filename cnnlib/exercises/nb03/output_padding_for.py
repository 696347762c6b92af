"""Exercise 03.5, The way back to the right size."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def output_padding_for(image_size, kernel_size, stride=1, padding=0, dilation=1):
    free = image_size + 2 * padding - (dilation * (kernel_size - 1) + 1)
    return free % stride


def _by_trial(image_size, kernel_size, stride=1, padding=0, dilation=1):
    """There and back with torch, once with each output_padding, until the size is right."""
    import torch

    signal = torch.zeros(1, 1, image_size, dtype=torch.float64)
    weight = torch.zeros(1, 1, kernel_size, dtype=torch.float64)
    there = torch.nn.functional.conv1d(signal, weight, None, stride, padding, dilation)
    for extra in range(stride):
        back = torch.nn.functional.conv_transpose1d(
            there, weight, None, stride, padding, extra, 1, dilation
        )
        if back.shape == signal.shape:
            return extra
    raise AssertionError("no output_padding leads back")


def _cases():
    yield Case((5, 3), {}, "stride 1")
    yield Case((7, 3), {"stride": 2}, "no remainder")
    yield Case((8, 3), {"stride": 2}, "a remainder of 1")
    yield Case((8, 3), {"stride": 2, "padding": 1}, "padding")
    yield Case((8, 2), {"stride": 2}, "an even kernel")
    yield Case((9, 3), {"stride": 3, "padding": 1}, "stride 3")
    yield Case((9, 4), {"stride": 4, "padding": 1}, "stride 4")
    yield Case((12, 3), {"stride": 3, "dilation": 2}, "dilation")
    rng = np.random.default_rng(35)
    for _ in range(16):
        n, k, s, p, d = (
            int(rng.integers(low, high)) for low, high in ((15, 40), (1, 6), (2, 6), (0, 3), (1, 4))
        )
        yield Case((n, k), {"stride": s, "padding": p, "dilation": d}, "everything together")


def _mod(function):
    """A wrong dividend, divided by the stride: the remainder."""

    def wrong(image_size, kernel_size, stride=1, padding=0, dilation=1):
        return function(image_size, kernel_size, stride, padding, dilation) % stride

    return wrong


EXERCISE = Exercise(
    id="03.5",
    title="The way back to the right size",
    objective="say which output_padding leads a transposed convolution back to a given size",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "Write down the output size of the convolution, floor included. Put it into the size of "
        "the transposed convolution. By how much does it miss the image?",
        "What does s · ⌊free / s⌋ miss of free?",
        "It misses the remainder of the division: free % stride, where free = image_size + "
        "2 · padding − dilation · (kernel_size − 1) − 1.",
    ),
    solution=output_padding_for,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_trial,
        misconceptions=(
            Misconception(
                lambda image_size, kernel_size, stride=1, padding=0, dilation=1: stride - 1,
                "stride − 1 is right when the remainder is the largest possible, and for no other "
                "size.",
            ),
            Misconception(
                lambda image_size, kernel_size, stride=1, padding=0, dilation=1: 0,
                "Always 0: then several image sizes would lead back to the same one.",
            ),
            Misconception(
                _mod(lambda n, k, s, p, d: n),
                "The remainder of the image's size alone; kernel and padding take part too.",
            ),
            Misconception(
                _mod(lambda n, k, s, p, d: n + 2 * p - d * (k - 1)),
                "One off before the division: the window spans dilation · (k − 1) + 1 pixels.",
            ),
            Misconception(
                _mod(lambda n, k, s, p, d: n - d * (k - 1) - 1),
                "The padding was not used.",
            ),
            Misconception(
                _mod(lambda n, k, s, p, d: n + p - d * (k - 1) - 1),
                "The padding was counted once; it stands on both sides.",
            ),
            Misconception(
                _mod(lambda n, k, s, p, d: n + 2 * p - k),
                "The dilation was not used: the kernel spans dilation · (k − 1) + 1 pixels.",
            ),
            Misconception(
                _mod(lambda n, k, s, p, d: n + 2 * p - d * k),
                "A dilated kernel spans dilation · (k − 1) + 1 pixels, not dilation · k.",
            ),
            Misconception(
                _mod(lambda n, k, s, p, d: -(n + 2 * p - d * (k - 1) - 1)),
                "What is missing to the next whole step, not what is left over after the last.",
            ),
            Misconception(
                lambda *args, **kwargs: -output_padding_for(*args, **kwargs),
                "The sign: the transposed convolution comes out too small, so rows are added.",
            ),
            Misconception(
                lambda image_size, kernel_size, stride=1, padding=0, dilation=1: (
                    (image_size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride
                ),
                "The quotient of the division; what is lost on the way is its remainder, %.",
            ),
        ),
    ),
)
