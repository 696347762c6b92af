"""Exercise 04.7, Blur before you throw away."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def blur_pool2d(images, kernel_size=3, stride=2):
    taps = np.ones(1)
    for _ in range(kernel_size - 1):
        taps = np.convolve(taps, [0.5, 0.5])
    taps = taps.astype(images.dtype)
    before, after = (kernel_size - 1) // 2, kernel_size // 2
    sides = ((0, 0), (0, 0), (before, after), (before, after))
    padded = np.pad(images, sides, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel_size,) * 2, axis=(2, 3))
    return np.einsum("nchwij,i,j->nchw", windows[:, :, ::stride, ::stride], taps, taps)


def _torch_blur_pool2d(images, kernel_size=3, stride=2):
    """Written-out rows of Pascal's triangle, torch's mirror, one depthwise convolution."""
    from math import comb

    import torch

    row = torch.tensor([comb(kernel_size - 1, i) for i in range(kernel_size)]).double()
    weight = torch.outer(row, row) / 4 ** (kernel_size - 1)
    before, after = (kernel_size - 1) // 2, kernel_size // 2
    wide, C = torch.from_numpy(images.astype(np.float64)), images.shape[1]
    padded = torch.nn.functional.pad(wide, (before, after, before, after), mode="reflect")
    weight = weight.expand(C, 1, kernel_size, kernel_size)
    output = torch.nn.functional.conv2d(padded, weight, stride=stride, groups=C)
    return output.numpy().astype(images.dtype)


def _cases():
    rng = np.random.default_rng(47)
    for shape, args, note in [
        ((1, 1, 3, 3), (3, 1), "no step"),
        ((1, 1, 2, 4), (3, 2), "stride 2"),
        ((1, 1, 5, 5), (3, 2), "an odd size"),
        ((1, 1, 4, 3), (1, 2), "one tap: no blur"),
        ((1, 1, 3, 4), (2, 1), "two taps"),
        ((1, 1, 4, 6), (5, 2), "five taps"),
        ((1, 1, 5, 6), (4, 2), "four taps"),
        ((1, 1, 7, 9), (3, 3), "stride 3"),
        ((1, 2, 3, 4), (3, 2), "two channels"),
        ((2, 1, 4, 4), (3, 2), "two images"),
    ]:
        yield Case((rng.integers(-8, 9, shape) * 16.0, *args), {}, note)
    yield Case((rng.normal(size=(2, 3, 8, 8)),), {}, "kernel_size and stride left out")
    for _ in range(8):
        k, s = int(rng.integers(1, 8)), int(rng.integers(1, 4))
        H, W = (int(n) for n in rng.integers(k // 2 + 1, 12, 2))
        yield Case((rng.normal(size=(2, 2, H, W)), k, s), {}, "everything together")
    yield Case((rng.normal(size=(1, 2, 9, 9)).astype(np.float32), 3), {}, "float32")


def _binomial(k):
    taps = np.ones(1)
    for _ in range(k - 1):
        taps = np.convolve(taps, [0.5, 0.5])
    return taps


def _blurred(taps=_binomial, mode="reflect", before=lambda k: (k - 1) // 2, first=0, order="after",
             axes=(True, True), sides=True, step=True):  # fmt: skip
    """Blur pooling with one thing wrong."""

    def wrong(images, kernel_size=3, stride=2):
        stride, weights = stride if step else 1, taps(kernel_size)
        if order == "before":
            images, stride = images[:, :, ::stride, ::stride], 1
        front = before(kernel_size)
        rims = [(front, kernel_size - 1 - front) if on and sides else (0, 0) for on in axes]
        padded = np.pad(images, ((0, 0), (0, 0), *rims), mode=mode)
        down, across = (weights if on else np.ones(1) for on in axes)
        view = np.lib.stride_tricks.sliding_window_view(
            padded, (len(down), len(across)), axis=(2, 3)
        )
        view = view[:, :, first::stride, first::stride]
        output = np.einsum("nchwij,i,j->nchw", view, down, across)
        return output.astype(images.dtype)

    return wrong


def _mixed(images, kernel_size=3, stride=2):
    blurred = _blurred()(images, kernel_size, stride)
    return np.broadcast_to(blurred.sum(axis=1, keepdims=True), blurred.shape).copy()


EXERCISE = Exercise(
    id="04.7",
    title="Blur before you throw away",
    objective="downsample without aliases, with a filter of any size",
    level=3,
    minutes=25,
    points=4,
    hints=(
        "Three steps in this order: mirror the rim, blur, keep every stride-th pixel. The blur is "
        "separable: its grid of weights is a column times a row.",
        "Row k of Pascal's triangle: start from [1] and convolve k − 1 times with [0.5, 0.5]. "
        "Then the weights sum to 1 by themselves.",
        'np.pad(…, mode="reflect") with (k − 1) // 2 before and k // 2 behind, then windows of '
        "k × k, every stride-th of them, each summed with weights np.outer(taps, taps).",
    ),
    solution=blur_pool2d,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_torch_blur_pool2d,
        misconceptions=(
            Misconception(
                _blurred(taps=lambda k: _binomial(k) * 2 ** (k - 1)),
                "The weights do not sum to 1, so the picture gets brighter: divide the row of "
                "Pascal's triangle by 2^(k − 1).",
            ),
            Misconception(
                lambda images, kernel_size=3, stride=2: (
                    _blurred()(images, kernel_size, stride) * 2 ** (kernel_size - 1)
                ),
                "The grid of weights sums to 2^(k − 1): divide along both axes.",
            ),
            Misconception(
                _blurred(taps=lambda k: np.full(k, 1 / k)),
                "This is a plain mean. The binomial weights fall off to both sides: 1 2 1, "
                "1 3 3 1, 1 4 6 4 1.",
            ),
            Misconception(
                _blurred(taps=lambda k: _binomial(k + 1)),
                "One tap too many: kernel_size taps take kernel_size − 1 steps of Pascal's "
                "triangle.",
            ),
            Misconception(
                _blurred(mode="constant"),
                "The rim was filled with zeros, which darken the border; mirror it: "
                'mode="reflect".',
            ),
            Misconception(
                _blurred(mode="symmetric"),
                'This mirror repeats the border pixel (mode="symmetric"); with mode="reflect" the '
                "border pixel is the mirror's axis and stands there once.",
            ),
            Misconception(
                _blurred(mode="edge"),
                'The border pixel was repeated; mirror the picture instead: mode="reflect".',
            ),
            Misconception(
                _blurred(mode="wrap"),
                "What left on one side came back on the other; mirror the picture instead.",
            ),
            Misconception(
                _blurred(before=lambda k: k // 2),
                "With an even number of taps the extra pixel stands behind: (k − 1) // 2 before, "
                "k // 2 behind.",
            ),
            Misconception(
                _blurred(sides=False),
                "The rim is missing. Without it the output is too small: (H − 1) // stride + 1 "
                "rows are wanted.",
            ),
            Misconception(
                _blurred(order="before"),
                "Pixels were thrown away first and the rest blurred: by then the alias is in the "
                "picture. Blur, then keep every stride-th pixel.",
            ),
            Misconception(_blurred(step=False), "The stride was not used."),
            Misconception(
                _blurred(first=1), "The pixels that are kept start at 1; start at 0: [::stride]."
            ),
            Misconception(
                _blurred(axes=(False, True)), "Only the rows were blurred; the columns need it too."
            ),
            Misconception(
                _blurred(axes=(True, False)), "Only the columns were blurred; the rows need it too."
            ),
            Misconception(
                _mixed, "The channels were added up; each is blurred on its own, as in pooling."
            ),
        ),
    ),
)
