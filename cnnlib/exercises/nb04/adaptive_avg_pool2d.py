"""Exercise 04.4, As many windows as you want."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def adaptive_avg_pool2d(images, output_size):
    N, C, H, W = images.shape
    out_h, out_w = output_size
    output = np.empty((N, C, out_h, out_w), dtype=images.dtype)
    for r in range(out_h):
        for c in range(out_w):
            top, bottom = r * H // out_h, -(-(r + 1) * H // out_h)  # -(-a // b) rounds up
            left, right = c * W // out_w, -(-(c + 1) * W // out_w)
            output[:, :, r, c] = images[:, :, top:bottom, left:right].mean(axis=(2, 3))
    return output


def _torch_adaptive(images, output_size):
    import torch

    wide = torch.from_numpy(images.astype(np.float64))
    output = torch.nn.functional.adaptive_avg_pool2d(wide, output_size)
    return output.numpy().astype(images.dtype)


def _cases():
    rng = np.random.default_rng(44)
    for shape, output_size, note in [
        ((1, 1, 2, 3), (1, 1), "one window"),
        ((1, 1, 4, 4), (2, 2), "even windows"),
        ((1, 1, 1, 5), (1, 2), "two windows that share a pixel"),
        ((1, 1, 1, 5), (1, 3), "windows of 2, 3 and 2 pixels"),
        ((1, 1, 1, 8), (1, 3), "windows of 3, 4 and 3 pixels"),
        ((1, 1, 3, 4), (3, 2), "a pair that is not square"),
        ((1, 1, 2, 2), (3, 3), "more windows than pixels"),
        ((2, 3, 7, 10), (4, 7), "a batch with channels"),
    ]:
        values = rng.permutation(int(np.prod(shape))).reshape(shape)
        yield Case((values**2 + 1.0, output_size), {}, note)
    for _ in range(12):
        H, W, out_h, out_w = (int(n) for n in rng.integers(1, 13, 4))
        images = rng.normal(size=(int(rng.integers(1, 3)), 2, H, W)) + 4
        yield Case((images, (out_h, out_w)), {}, "everything together")
    images = rng.normal(size=(2, 4, 11, 9)).astype(np.float32)
    yield Case((images, (7, 7)), {}, "float32")


def _from(places, reduce=np.mean):
    """Pooling with windows of another kind: places(size, out) -> [(start, end), …]."""

    def wrong(images, output_size):
        H, W = images.shape[2:]
        down, across = places(H, output_size[0]), places(W, output_size[1])
        for windows, size in ((down, H), (across, W)):
            if any(start >= min(end, size) for start, end in windows):
                raise ValueError("a window without pixels has no mean")
        rows = [[reduce(images[:, :, a:b, c:d], axis=(2, 3)) for c, d in across] for a, b in down]
        return np.array(rows).transpose(2, 3, 0, 1).astype(images.dtype)

    return wrong


def _down(a, b):
    return a // b


def _up(a, b):
    return -(-a // b)


def _nearest(a, b):
    return round(a / b)


def _windows(start, end):
    """Window i begins at start(i · size, out), ends at end((i + 1) · size, out), is never empty."""

    def places(size, out):
        starts = [min(start(i * size, out), size - 1) for i in range(out)]
        ends = [max(end((i + 1) * size, out), a + 1) for i, a in enumerate(starts)]
        return [(a, min(b, size)) for a, b in zip(starts, ends, strict=True)]

    return places


_exact = _windows(_down, _up)


def _one_length(size, out):
    length = _up(size, out)
    return [(i * size // out, min(i * size // out + length, size)) for i in range(out)]


def _pieces(size, out):
    """np.array_split's: no pixel shared, the longer pieces in front."""
    ends = np.cumsum([size // out + (i < size % out) for i in range(out)]).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _fixed(size, out):
    """One stride and one kernel for all, as an old recipe has it."""
    stride = max(size // out, 1)
    kernel = max(size - (out - 1) * stride, 1)
    starts = [min(i * stride, size - kernel) for i in range(out)]
    return [(start, start + kernel) for start in starts]


EXERCISE = Exercise(
    id="04.4",
    title="As many windows as you want",
    objective="pool an image of any size to a map of a given size",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "Take one axis at a time. Where does window i begin, where does it end? Write down all "
        "four windows for 10 pixels before you program.",
        "It begins at i · H / out, rounded down, and ends before (i + 1) · H / out, rounded up. In "
        "whole numbers: a // b rounds down, -(-a // b) rounds up.",
        "Loop over the out_h · out_w windows; each is a slice images[:, :, top:bottom, left:right] "
        "for all images and channels at once, and its mean over axes 2 and 3 is one output pixel.",
    ),
    solution=adaptive_avg_pool2d,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_torch_adaptive,
        misconceptions=(
            Misconception(
                _from(_windows(_down, _down)),
                "The ends are rounded down. A window that ends inside a pixel takes all of it: "
                "round up.",
            ),
            Misconception(
                _from(_windows(_up, _up)),
                "The starts are rounded up. A window that begins inside a pixel takes all of it: "
                "round down.",
            ),
            Misconception(
                _from(_windows(_nearest, _nearest)),
                "Starts and ends are rounded to the nearest: starts go down, ends go up.",
            ),
            Misconception(
                _from(_pieces),
                "These pieces share no pixel, and the longer ones come first. Here neighbours may "
                "share a pixel, so that all windows are nearly alike.",
            ),
            Misconception(
                _from(_fixed),
                "One kernel size and one stride for all windows. Where the sizes do not divide, "
                "the windows differ: each has its own start and end.",
            ),
            Misconception(
                _from(_one_length),
                "Every window was given the same length, ⌈H / out⌉. Some are one pixel longer: "
                "find the end on its own.",
            ),
            Misconception(
                _from(_windows(_down, lambda a, b: a // b + 1)),
                "Where the division is exact, the end is one too far: that is what rounding up, "
                "-(-a // b), does and adding 1 does not.",
            ),
            Misconception(
                lambda images, output_size: _from(_exact)(images, output_size[::-1]),
                "output_size is (height, width), in this order.",
            ),
            Misconception(
                _from(_exact, np.max), "This is the largest value of each window, not its mean."
            ),
            Misconception(
                _from(_exact, np.sum), "This is the sum of each window: divide by its own size."
            ),
            Misconception(
                lambda images, output_size: (
                    _from(_exact, np.sum)(images, output_size)
                    / (images[0, 0].size / (output_size[0] * output_size[1]))
                ),
                "Every sum is divided by the same number. The windows differ in size: divide each "
                "by its own.",
            ),
        ),
    ),
)
