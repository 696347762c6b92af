"""Exercise 06.5, Columns back into images."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def col2im(columns, output_size, kernel_size, stride=1, padding=0):
    (H, W), (kh, kw) = output_size, kernel_size
    out_h = (H + 2 * padding - kh) // stride + 1
    out_w = (W + 2 * padding - kw) // stride + 1
    windows = columns.reshape(len(columns), -1, kh, kw, out_h, out_w)
    N, C = windows.shape[:2]
    padded = np.zeros((N, C, H + 2 * padding, W + 2 * padding), dtype=columns.dtype)
    for i, j in np.ndindex(kh, kw):
        rows = slice(i, i + stride * out_h, stride)
        padded[:, :, rows, j : j + stride * out_w : stride] += windows[:, :, i, j]
    return padded[:, :, padding : padding + H, padding : padding + W]


def _fold(columns, output_size, kernel_size, stride=1, padding=0):
    import torch

    folded = torch.nn.functional.fold(
        torch.from_numpy(columns.astype(np.float64)),
        output_size,
        kernel_size,
        stride=stride,
        padding=padding,
    )
    return folded.numpy().astype(columns.dtype)


def _cases():
    rng = np.random.default_rng(65)

    def case(N, C, output_size, kernel_size, note="", **kwargs):
        stride, padding = kwargs.get("stride", 1), kwargs.get("padding", 0)
        out_h, out_w = (
            (n + 2 * padding - k) // stride + 1
            for n, k in zip(output_size, kernel_size, strict=True)
        )
        shape = (N, C * kernel_size[0] * kernel_size[1], out_h * out_w)
        return Case((rng.integers(-4, 9, shape) * 1.0, output_size, kernel_size), kwargs, note)

    yield case(1, 1, (2, 2), (2, 2))
    yield case(1, 1, (1, 3), (1, 2), "two windows that overlap")
    yield case(1, 1, (3, 3), (2, 2), "four windows that overlap")
    yield case(1, 1, (4, 5), (2, 3), "a kernel that is not square")
    yield case(1, 1, (4, 4), (2, 2), "windows side by side", stride=2)
    yield case(1, 2, (3, 4), (2, 2), "two channels")
    yield case(3, 1, (3, 3), (2, 2), "three images")
    yield case(1, 1, (3, 3), (3, 3), "padding", padding=1)
    yield case(1, 1, (6, 5), (3, 3), "a stride that leaves a remainder", stride=2)
    for _ in range(10):
        yield case(
            int(rng.integers(1, 4)),
            int(rng.integers(1, 4)),
            (int(rng.integers(4, 9)), int(rng.integers(4, 9))),
            (int(rng.integers(1, 5)), int(rng.integers(1, 5))),
            "everything together",
            stride=int(rng.integers(1, 4)),
            padding=int(rng.integers(0, 3)),
        )


def _twisted(add=True, crop=True, keep_order=True, channels_last=False, mean=False, turned=False):
    """The pixels one by one; each argument is one thing that may go wrong."""

    def wrong(columns, output_size, kernel_size, stride=1, padding=0):
        (H, W), (kh, kw) = output_size, kernel_size
        out_h = (H + 2 * padding - kh) // stride + 1
        out_w = (W + 2 * padding - kw) // stride + 1
        N, C = len(columns), columns.shape[1] // (kh * kw)
        if channels_last:
            windows = columns.reshape(N, kh, kw, C, out_h, out_w).transpose(0, 3, 1, 2, 4, 5)
        elif not keep_order:
            windows = columns.reshape(N, C, kw, kh, out_h, out_w).swapaxes(2, 3)
        else:
            windows = columns.reshape(N, C, kh, kw, out_h, out_w)
        if turned:
            windows = columns.reshape(N, C, kh, kw, out_w, out_h).swapaxes(4, 5)
        padded = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
        counts = np.zeros_like(padded)
        for r, q in np.ndindex(out_h, out_w):
            rows = slice(r * stride, r * stride + kh)
            place = np.s_[:, :, rows, q * stride : q * stride + kw]
            padded[place] = windows[..., r, q] + (padded[place] if add else 0)
            counts[place] += 1
        if mean:
            padded /= np.maximum(counts, 1)
        start = padding if crop else 0
        return padded[:, :, start : start + H, start : start + W]

    return wrong


def _without_crop(columns, output_size, kernel_size, stride=1, padding=0):
    size = tuple(n + 2 * padding for n in output_size)
    return _twisted()(columns, size, kernel_size, stride)


def _only_as_large_as_the_windows(columns, output_size, kernel_size, stride=1, padding=0):
    size = [
        ((n + 2 * padding - k) // stride) * stride + k - 2 * padding
        for n, k in zip(output_size, kernel_size, strict=True)
    ]
    return _twisted()(columns, size, kernel_size, stride, padding)


EXERCISE = Exercise(
    id="06.5",
    title="Columns back into images",
    objective="write col2im, the adjoint of im2col",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "im2col reads: column t, row (c, i, j) holds pixel (row · stride + i, column · stride + j) "
        "of the padded image. Read the sentence backwards: where does that number have to go?",
        "Reshape the columns to (N, C, kh, kw, out_h, out_w). For one offset (i, j) all windows' "
        "pixels lie `stride` apart, and none of them coincide: one strided slice takes them all.",
        "padded[:, :, i : i + stride · out_h : stride, j : j + stride · out_w : stride] += "
        "windows[:, :, i, j], and in the end the padding is cut off.",
    ),
    solution=col2im,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_fold,
        misconceptions=(
            Misconception(
                _twisted(add=False),
                "Where windows overlap the later one overwrote the earlier: they add up.",
            ),
            Misconception(
                _twisted(mean=True),
                "Where windows overlap you took the mean. That brings an image back from its "
                "columns, so it is the inverse; the adjoint adds.",
            ),
            Misconception(
                _twisted(crop=False),
                "The padding was cut off at the wrong end: the image begins at row and column "
                "`padding` of the padded array.",
            ),
            Misconception(
                _without_crop,
                "The padding is still there. What fell on it is dropped: cut `padding` rows and "
                "columns off on every side.",
            ),
            Misconception(
                _only_as_large_as_the_windows,
                "The result ends where the last window ends. Rows and columns that no window saw "
                "belong to the image too: they are 0.",
            ),
            Misconception(
                _twisted(keep_order=False),
                "Inside a column the kernel's row varies slower than its column: reshape to "
                "(…, kh, kw, …), in this order.",
            ),
            Misconception(
                _twisted(channels_last=True),
                "The channel varies slowest inside a column: reshape to (N, C, kh, kw, …).",
            ),
            Misconception(
                _twisted(turned=True),
                "The columns follow the output row by row: reshape their number to (out_h, out_w), "
                "in this order.",
            ),
        ),
    ),
)
