"""Exercise 02.6, Windows into columns."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def im2col(images, kernel_size, stride=1):
    kh, kw = kernel_size
    windows = np.lib.stride_tricks.sliding_window_view(images, kernel_size, axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]  # (N, C, out_h, out_w, kh, kw)
    N, C, out_h, out_w, _, _ = windows.shape
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(N, C * kh * kw, out_h * out_w)


def _torch_unfold(images, kernel_size, stride=1):
    import torch

    columns = torch.nn.functional.unfold(
        torch.from_numpy(images.astype(np.float64)), kernel_size, stride=stride
    )
    return columns.numpy().astype(images.dtype)


def _im2col_cases():
    rng = np.random.default_rng(26)
    for shape, kernel_size, kwargs, note in [
        ((1, 1, 3, 3), (2, 2), {}, ""),
        ((1, 1, 2, 3), (2, 2), {}, "a wide image"),
        ((1, 2, 3, 3), (2, 2), {}, "two channels"),
        ((2, 1, 3, 4), (2, 2), {}, "two images"),
        ((1, 2, 4, 5), (3, 2), {}, "a kernel that is not square"),
        ((1, 1, 5, 5), (3, 3), {"stride": 2}, "stride 2"),
        ((2, 3, 7, 6), (2, 3), {"stride": 2}, "a stride that leaves a remainder"),
    ]:
        yield Case((rng.integers(0, 10, shape) * 1.0, kernel_size), kwargs, note)


def _transposed_im2col(*order):
    def wrong(images, kernel_size, stride=1):
        kh, kw = kernel_size
        windows = np.lib.stride_tricks.sliding_window_view(images, kernel_size, axis=(2, 3))
        windows = windows[:, :, ::stride, ::stride]
        N, C, out_h, out_w, _, _ = windows.shape
        return windows.transpose(order).reshape(N, C * kh * kw, out_h * out_w)

    return wrong


def _rounded_up(images, kernel_size, stride=1):
    padded = np.pad(images, ((0, 0), (0, 0), (0, stride - 1), (0, stride - 1)))
    return im2col(padded, kernel_size, stride)


EXERCISE = Exercise(
    id="02.6",
    title="Windows into columns",
    objective="turn a convolution into a matrix product",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "Begin with every window: sliding_window_view(images, kernel_size, axis=(2, 3)) has shape "
        "(N, C, H − kh + 1, W − kw + 1, kh, kw). A stride keeps every stride-th of axes 2 and 3.",
        "Rows of a column are ordered by channel, then kernel row, then kernel column; columns by "
        "output row, then output column. Which order of the six axes is that?",
        "windows.transpose(0, 1, 4, 5, 2, 3), then reshape to (N, C * kh * kw, out_h * out_w).",
    ),
    solution=im2col,
    examine=partial(
        examine_function,
        cases=_im2col_cases,
        oracle=_torch_unfold,
        misconceptions=(
            Misconception(
                lambda images, kernel_size, stride=1: im2col(images, kernel_size),
                "The stride was not used: keep every stride-th window, down and across.",
            ),
            Misconception(
                _rounded_up,
                "The last window would hang over the edge: round down, with //, not up.",
            ),
            Misconception(
                _transposed_im2col(0, 1, 2, 3, 4, 5),
                "Reshaping alone mixes windows and pixels up: move the axes with transpose first.",
            ),
            Misconception(
                lambda *a, **k: im2col(*a, **k).transpose(0, 2, 1),
                "One window stands in each row here; it should stand in a column.",
            ),
            Misconception(
                _transposed_im2col(0, 4, 5, 1, 2, 3),
                "Within a column the channel has to vary slowest, so that the weights "
                "(O, C, kh, kw) can be reshaped to (O, C * kh * kw) without moving anything.",
            ),
            Misconception(
                _transposed_im2col(0, 1, 5, 4, 2, 3),
                "Kernel rows and kernel columns have changed places within a column.",
            ),
            Misconception(
                _transposed_im2col(0, 1, 4, 5, 3, 2),
                "The columns are in the wrong order: output rows vary slowest.",
            ),
        ),
    ),
)
