"""Exercise 04.2, Maximum pooling with stride and padding."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def max_pool2d(images, kernel_size, stride=None, padding=0):
    stride = kernel_size if stride is None else stride
    sides = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(images, sides, constant_values=-np.inf)
    out_h = (padded.shape[2] - kernel_size) // stride + 1
    out_w = (padded.shape[3] - kernel_size) // stride + 1
    best = np.full((*images.shape[:2], out_h, out_w), -np.inf, dtype=images.dtype)
    for i in range(kernel_size):
        for j in range(kernel_size):  # the pixels at offset (i, j) of all windows at once
            rows = slice(i, i + stride * out_h, stride)
            columns = slice(j, j + stride * out_w, stride)
            np.maximum(best, padded[:, :, rows, columns], out=best)
    return best


def _torch_max_pool2d(images, kernel_size, stride=None, padding=0):
    import torch

    output = torch.nn.functional.max_pool2d(torch.from_numpy(images), kernel_size, stride, padding)
    return output.numpy()


def cases_of_windows(seed, negative=False):
    """Settings from small to large; an image's values are all different, and of one sign."""
    rng = np.random.default_rng(seed)

    def case(shape, kernel_size, note="", **kwargs):
        size = int(np.prod(shape))
        values = rng.permutation(size).reshape(shape) + 1.0
        return Case((values - size - 1 if negative else values, kernel_size), kwargs, note)

    yield case((1, 1, 2, 2), 2, stride=1)
    yield case((1, 1, 2, 4), 2, "no stride given")
    yield case((1, 1, 3, 3), 3, "padding 1", stride=1, padding=1)
    yield case((1, 1, 3, 4), 2, "overlapping windows", stride=1)
    yield case((1, 1, 5, 5), 2, "a stride that leaves a remainder", stride=2)
    yield case((1, 1, 4, 4), 2, "padding 1 and no stride given", padding=1)
    yield case((1, 1, 7, 6), 3, "stride 2 and padding 1", stride=2, padding=1)
    yield case((1, 1, 8, 8), 2, "a stride larger than the kernel", stride=3)
    yield case((1, 2, 3, 3), 3, "two channels", padding=1)
    yield case((2, 1, 3, 3), 2, "two images", stride=1)
    for _ in range(12):
        k = int(rng.integers(1, 6))
        H, W = (int(n) for n in rng.integers(k, 14, 2))
        N, C = (int(n) for n in rng.integers(1, 4, 2))
        s, p = int(rng.integers(1, 5)), int(rng.integers(0, k // 2 + 1))
        yield case((N, C, H, W), k, "everything together", stride=s, padding=p)


def _cases():
    yield from cases_of_windows(42, negative=True)  # a padding of 0 would show
    rng = np.random.default_rng(420)
    large = -1e15 * rng.uniform(1, 2, size=(1, 1, 3, 3))
    yield Case((large, 3), {"stride": 1, "padding": 1}, "very negative values")
    yield Case((rng.normal(size=(2, 2, 9, 9)).astype(np.float32), 3), {"padding": 1}, "float32")


def windows(images, kernel_size, stride, before, after, value=-np.inf, mode="constant"):
    """Every window, as (N, C, out_h, out_w, k, k), with a rim of any kind."""
    sides = ((0, 0), (0, 0), (before, after), (before, after))
    settings = {"constant_values": value} if mode == "constant" else {}
    padded = np.pad(images, sides, mode=mode, **settings)
    view = np.lib.stride_tricks.sliding_window_view(padded, (kernel_size,) * 2, axis=(2, 3))
    return view[:, :, ::stride, ::stride]


def _largest(rim=-np.inf, sides=(1, 1), default=None, mode="constant", step=True):
    """Max pooling with one thing wrong."""

    def wrong(images, kernel_size, stride=None, padding=0):
        stride = (default or kernel_size) if stride is None else stride
        before, after = padding * sides[0], padding * sides[1]
        stride = stride if step else 1
        view = windows(images, kernel_size, stride, before, after, rim, mode)
        return view.max(axis=(4, 5)).astype(images.dtype)

    return wrong


def _at_least(value):
    """Max pooling whose search begins at a value."""

    def wrong(images, kernel_size, stride=None, padding=0):
        return np.maximum(_largest()(images, kernel_size, stride, padding), value)

    return wrong


def _ceiling(images, kernel_size, stride=None, padding=0):
    import torch

    pool = torch.nn.functional.max_pool2d
    tensor = torch.from_numpy(images)
    return pool(tensor, kernel_size, stride, padding, ceil_mode=True).numpy()


_NOT_LOWEST = "{} is small, but not smaller than every value: only minus infinity, -np.inf, is."
ROUND_DOWN = (
    "The last window would hang over the edge: the number of places is rounded down, "
    "(H + 2 · padding − kernel_size) // stride + 1."
)
STRIDE_NONE = (
    "Without a stride the windows lie side by side: stride=None means stride = kernel_size."
)
BOTH_SIDES = "The padding stands on both sides, before the image and behind it."

EXERCISE = Exercise(
    id="04.2",
    title="Maximum pooling with stride and padding",
    objective="write pooling for a batch, and choose a padding value by what the operation ignores",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "Of all numbers, which one never changes a maximum?",
        "For each offset (i, j) in the window, one strided slice of the padded images holds the "
        "pixel at that offset for every window. How do you combine k · k such slices?",
        "np.maximum(best, slice), with the slice padded[:, :, i : i + stride * out_h : stride, …] "
        "and best begun as np.full(…, -np.inf).",
    ),
    solution=max_pool2d,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_torch_max_pool2d,
        misconceptions=(
            Misconception(
                _largest(rim=0.0),
                "The padding took part in the maximum: a 0 that is nowhere in the image won. Which "
                "number can never win?",
            ),
            Misconception(
                _at_least(0),
                "Every negative maximum came out as 0: does `best` start from zeros? Start it "
                "from minus infinity.",
            ),
            *(
                Misconception(wrong, _NOT_LOWEST.format(name))
                for name, value in (("−1e9", -1e9), ("−999", -999.0))
                for wrong in (_largest(rim=value), _at_least(value))
            ),
            Misconception(_largest(default=1), STRIDE_NONE),
            Misconception(_largest(sides=(0, 0)), "The padding was not used."),
            Misconception(_largest(sides=(1, 0)), BOTH_SIDES),
            Misconception(_largest(sides=(0, 1)), BOTH_SIDES),
            Misconception(_largest(step=False), "The stride was not used."),
            Misconception(_ceiling, ROUND_DOWN),
            Misconception(
                lambda images, kernel_size, stride=None, padding=0: windows(
                    images, kernel_size, stride or kernel_size, padding, padding, 0.0
                ).mean(axis=(4, 5)),
                "This is the mean of each window; the largest value is wanted.",
            ),
        ),
    ),
)
