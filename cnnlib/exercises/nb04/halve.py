"""Exercise 04.1, Halve without a loop."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def halve(images):
    N, C, H, W = images.shape
    even = images[:, :, : H // 2 * 2, : W // 2 * 2]
    tiles = even.reshape(N, C, H // 2, 2, W // 2, 2)
    return tiles.max(axis=(3, 5))


def _torch_halve(images):
    import torch

    return torch.nn.functional.max_pool2d(torch.from_numpy(images), 2).numpy()


def _cases():
    rng = np.random.default_rng(41)
    for shape, note in [
        ((1, 1, 2, 2), ""),
        ((1, 1, 2, 4), "a wide image"),
        ((1, 1, 4, 4), "four tiles"),
        ((1, 1, 3, 2), "an odd number of rows"),
        ((1, 1, 2, 5), "an odd number of columns"),
        ((1, 2, 2, 2), "two channels"),
        ((2, 1, 4, 2), "two images"),
        ((2, 3, 7, 9), "everything together"),
    ]:
        values = rng.permutation(int(np.prod(shape))).reshape(shape)  # all different: no ties
        yield Case((values - values.size // 2 + 0.0,), {}, note)
    yield Case((rng.normal(size=(4, 3, 12, 10)).astype(np.float32),), {}, "a batch in float32")


def _tiles(images):
    N, C, H, W = images.shape
    return images[:, :, : H // 2 * 2, : W // 2 * 2].reshape(N, C, H // 2, 2, W // 2, 2)


def _halves_exchanged(images):
    N, C, H, W = images.shape
    even = images[:, :, : H // 2 * 2, : W // 2 * 2]
    return even.reshape(N, C, 2, H // 2, 2, W // 2).max(axis=(2, 4))


def _overlapping(images):
    windows = np.lib.stride_tricks.sliding_window_view(images, (2, 2), axis=(2, 3))
    return windows.max(axis=(4, 5))


def _rounded_up(images):
    H, W = images.shape[2:]
    sides = ((0, 0), (0, 0), (0, H % 2), (0, W % 2))
    return halve(np.pad(images, sides, constant_values=-np.inf))


EXERCISE = Exercise(
    id="04.1",
    title="Halve without a loop",
    objective="pool tiles of a whole batch with one reshape",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "Give each tile two axes of its own, one for its rows and one for its columns: a reshape "
        "from four axes to six.",
        "The rows 0, 1, 2, 3, 4, 5 become (0, 1), (2, 3), (4, 5): three pairs, so H turns into "
        "(H // 2, 2), in this order. An odd row must be cut off first.",
        "images[:, :, : H // 2 * 2, : W // 2 * 2].reshape(N, C, H // 2, 2, W // 2, 2), and then "
        "the maximum over axes 3 and 5.",
    ),
    solution=halve,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_torch_halve,
        misconceptions=(
            Misconception(
                _halves_exchanged,
                "The tile's axes stand in the wrong places: (2, H // 2) pairs pixels half an image "
                "apart, (H // 2, 2) pairs neighbours.",
            ),
            Misconception(
                lambda images: _tiles(images).mean(axis=(3, 5)),
                "This is the mean of each tile; the largest value is wanted.",
            ),
            Misconception(
                lambda images: _tiles(images).min(axis=(3, 5)),
                "This is the smallest value of each tile; the largest is wanted.",
            ),
            Misconception(
                lambda images: _tiles(images)[:, :, :, 0, :, 0],
                "This is the top left pixel of each tile: every second row and column, without "
                "a look at the others.",
            ),
            Misconception(
                lambda images: _tiles(images).max(axis=3)[..., 0],
                "Only the rows of a tile were compared; its columns belong to it too.",
            ),
            Misconception(
                lambda images: _tiles(images).max(axis=5)[:, :, :, 0],
                "Only the columns of a tile were compared; its rows belong to it too.",
            ),
            Misconception(
                lambda images: _tiles(images).max(axis=(1, 3, 5))[:, None],
                "The channels were compared with each other; each is pooled on its own.",
            ),
            Misconception(
                _overlapping,
                "These windows move one pixel at a time and overlap; tiles lie side by side.",
            ),
            Misconception(
                _rounded_up,
                "An odd last row or column fills no tile. It is left out: H // 2, rounded down.",
            ),
        ),
    ),
)
