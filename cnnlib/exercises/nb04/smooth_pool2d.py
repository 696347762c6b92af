"""Exercise 04.9, Between mean and maximum."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def smooth_pool2d(images, kernel_size, sharpness):
    windows = np.lib.stride_tricks.sliding_window_view(images, (kernel_size,) * 2, axis=(2, 3))
    tiles = windows[:, :, ::kernel_size, ::kernel_size]  # (N, C, out_h, out_w, k, k)
    if sharpness == 0:
        return tiles.mean(axis=(4, 5))
    scaled = sharpness * tiles
    largest = scaled.max(axis=(4, 5), keepdims=True)  # so that no exponent is above 0
    mean = np.exp(scaled - largest).mean(axis=(4, 5))
    return (largest[..., 0, 0] + np.log(mean)) / sharpness


def _torch_smooth(images, kernel_size, sharpness):
    import torch

    N, C, H, W = images.shape
    out_h, out_w = H // kernel_size, W // kernel_size
    cut = images[:, :, : out_h * kernel_size, : out_w * kernel_size].astype(np.float64)
    columns = torch.nn.functional.unfold(torch.from_numpy(cut), kernel_size, stride=kernel_size)
    tiles = columns.reshape(N, C, kernel_size**2, out_h, out_w)
    if sharpness == 0:
        return tiles.mean(dim=2).numpy()
    log_sum = torch.logsumexp(sharpness * tiles, dim=2)
    return ((log_sum - 2 * np.log(kernel_size)) / sharpness).numpy()


def _cases():
    rng = np.random.default_rng(49)
    for shape, kernel_size, sharpness, note in [
        ((1, 1, 2, 2), 2, 1.0, "one tile"),
        ((1, 1, 2, 4), 2, 2.0, "two tiles"),
        ((1, 1, 3, 3), 3, 0.5, "nine pixels"),
        ((1, 1, 2, 2), 2, 0, "sharpness 0, which is the mean"),
        ((1, 1, 5, 4), 2, 1.5, "an odd number of rows"),
        ((2, 3, 6, 9), 3, 3.0, "a batch with channels"),
        ((1, 1, 2, 2), 2, -2.0, "negative sharpness, which leans to the smallest"),
        ((2, 2, 8, 8), 4, -0.3, "negative sharpness, larger tiles"),
    ]:
        yield Case((rng.normal(size=shape).round(2), kernel_size, sharpness), {}, note)
    for sharpness, offset in ((1000.0, 3), (1000.0, -3), (-1000.0, 3), (-1000.0, -3)):
        images = rng.normal(size=(1, 2, 4, 4)) + offset
        yield Case((images, 2, sharpness), {}, f"sharpness {sharpness:g}, values near {offset}")
    yield Case((rng.normal(size=(1, 1, 4, 4)) * 1e4, 2, 1.0), {}, "values in the thousands")


def _tiles(images, kernel_size):
    windows = np.lib.stride_tricks.sliding_window_view(images, (kernel_size,) * 2, axis=(2, 3))
    return windows[:, :, ::kernel_size, ::kernel_size]


def _quietly(function):
    def wrong(images, kernel_size, sharpness):
        with np.errstate(all="ignore"):
            return function(_tiles(images, kernel_size), sharpness)

    return wrong


def _plain(tiles, r, total=np.mean, divide=True, zero=True, largest=None):
    if r == 0 and zero:
        return tiles.mean(axis=(4, 5))
    shift = 0 if largest is None else largest(tiles, r)
    inside = total(np.exp(r * tiles - shift), axis=(4, 5), keepdims=True)
    output = (np.log(inside) + shift)[..., 0, 0]
    return output / r if divide else output


def _above(tiles, r):
    return np.max(r * tiles, axis=(4, 5), keepdims=True)


def _above_unscaled(tiles, r):
    return r * np.max(tiles, axis=(4, 5), keepdims=True)


def _softmax_weighted(tiles, r):
    weights = np.exp(r * tiles - _above(tiles, r))
    return (weights * tiles).sum(axis=(4, 5)) / weights.sum(axis=(4, 5))


EXERCISE = Exercise(
    id="04.9",
    title="Between mean and maximum",
    objective="compute a smooth maximum that neither overflows nor underflows",
    level=3,
    minutes=20,
    points=4,
    hints=(
        "exp(1000) is infinite and exp(−1000) is 0, and the logarithm of either is of no use. "
        "What may be taken out of the sum, as a factor, before anything overflows?",
        "For any number M: log mean exp(r x) = M + log mean exp(r x − M). Which M keeps every "
        "exponent at or below 0, and at least one at 0, whatever the sign of r?",
        "M is the largest of r x in the tile (not r times the largest x: r may be negative). "
        "With r = 0, return the mean.",
    ),
    solution=smooth_pool2d,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_torch_smooth,
        keep_dtype=False,
        misconceptions=(
            Misconception(
                _quietly(_plain),
                "The exponential overflowed to infinity, or all of a tile fell to 0: take the "
                "largest exponent of the tile out of the sum first.",
            ),
            Misconception(
                _quietly(partial(_plain, zero=False)),
                "Sharpness 0 divides 0 by 0. Its limit is the mean of the tile: treat it apart.",
            ),
            Misconception(
                _quietly(partial(_plain, zero=False, largest=_above)),
                "Sharpness 0 divides 0 by 0. Its limit is the mean of the tile: treat it apart.",
            ),
            Misconception(
                _quietly(partial(_plain, total=np.sum, largest=_above)),
                "The exponentials were added; their mean is wanted, or else the result lies above "
                "the maximum by log(k · k) / sharpness.",
            ),
            Misconception(
                _quietly(partial(_plain, divide=False, largest=_above)),
                "The logarithm has to be divided by the sharpness at the end.",
            ),
            Misconception(
                _quietly(partial(_plain, largest=_above_unscaled)),
                "sharpness · (largest x) is the largest exponent only if the sharpness is "
                "positive; with a negative one the smallest x has it.",
            ),
            Misconception(
                _quietly(
                    lambda tiles, r: (
                        _plain(tiles, r, largest=_above) - (_above(tiles, r) / r)[..., 0, 0]
                        if r
                        else tiles.mean(axis=(4, 5))
                    )
                ),
                "What was taken out of the sum has to be added again after the logarithm.",
            ),
            Misconception(
                _quietly(
                    lambda tiles, r: _softmax_weighted(tiles, r) if r else tiles.mean(axis=(4, 5))
                ),
                "This is the mean of the pixels weighted by their softmax: another smooth maximum. "
                "Wanted is the logarithm of the mean of the exponentials.",
            ),
            Misconception(
                _quietly(lambda tiles, r: tiles.max(axis=(4, 5))),
                "This is the plain maximum, the limit of infinite sharpness.",
            ),
            Misconception(
                _quietly(lambda tiles, r: tiles.mean(axis=(4, 5))),
                "This is the plain mean, the limit of sharpness 0.",
            ),
        ),
    ),
)
