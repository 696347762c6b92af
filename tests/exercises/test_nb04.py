"""Notebook 04's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import functools
import itertools
import math
from collections import deque

import numpy as np
import pytest

from cnnlib import ops
from cnnlib.exercises import EXERCISES, examine
from cnnlib.ops import pooling_variants

from .mutants import Mutant, survives, words, wrong

MUTANTS: list[Mutant] = []
IDS = [name for name in EXERCISES if name.startswith("04.")]


def mutant(exercise_id, *says, outcome="not yet"):
    return wrong(MUTANTS, exercise_id, *says, outcome=outcome)


# 04.1 halve(images)


@mutant("04.1", "half an image apart", "neighbours")
def reshapes_the_wrong_way_round(images):
    N, C, H, W = images.shape
    cut = images[:, :, : 2 * (H // 2), : 2 * (W // 2)]
    return cut.reshape(N, C, 2, H // 2, 2, W // 2).max(axis=2).max(axis=3)


@mutant("04.1", "mean of each tile")
def takes_the_mean(images):
    return ops.avg_pool2d(images, 2)


@mutant("04.1", "smallest value")
def takes_the_smallest(images):
    return -ops.max_pool2d(-images, 2)


@mutant("04.1", "top left pixel", "without a look")
def keeps_every_second_pixel(images):
    N, C, H, W = images.shape
    return images[:, :, 0 : H - H % 2 : 2, 0 : W - W % 2 : 2]


@mutant("04.1", "only the rows", "columns belong")
def compares_rows_only(images):
    H, W = (n // 2 * 2 for n in images.shape[2:])
    rows = np.maximum(images[:, :, :H:2], images[:, :, 1:H:2])
    return rows[..., :W:2]


@mutant("04.1", "only the columns", "rows belong")
def compares_columns_only(images):
    H, W = (n // 2 * 2 for n in images.shape[2:])
    return np.maximum(images[:, :, :H:2, :W:2], images[:, :, :H:2, 1:W:2])


@mutant("04.1", "channels were compared")
def mixes_channels(images):
    return ops.max_pool2d(images, 2).max(axis=1, keepdims=True)


@mutant("04.1", "one pixel at a time", "side by side")
def slides(images):
    return ops.max_pool2d(images, 2, stride=1)


@mutant("04.1", "fills no tile", "rounded down")
def keeps_the_odd_row(images):
    H, W = images.shape[2:]
    rim = ((0, 0), (0, 0), (0, H % 2), (0, W % 2))
    return ops.max_pool2d(np.pad(images, rim, constant_values=-np.inf), 2)


@mutant("04.1", "reshape", outcome="error")
def does_not_cut(images):
    N, C, H, W = images.shape
    return images.reshape(N, C, H // 2, 2, W // 2, 2).max(axis=(3, 5))


@mutant("04.1", "dtype", "float32")
def fills_a_float64_array(images):
    output = np.zeros((*images.shape[:2], images.shape[2] // 2, images.shape[3] // 2))
    output[:] = ops.max_pool2d(images, 2)
    return output


@mutant("04.1", "changed its input", "copy")
def sorts_the_images(images):
    output = ops.max_pool2d(images, 2)
    images.sort()
    return output


# 04.2 max_pool2d(images, kernel_size, stride=None, padding=0)


def loops(images, kernel_size, stride=None, padding=0, *, start=-np.inf, rim=-np.inf, sides=(1, 1)):
    """Pooling pixel by pixel; each keyword is one thing that a learner may get wrong."""
    stride = stride or kernel_size
    N, C, H, W = images.shape
    before, after = padding * sides[0], padding * sides[1]
    padded = np.full((N, C, H + before + after, W + before + after), rim)
    padded[:, :, before : before + H, before : before + W] = images
    out_h, out_w = ((n - kernel_size) // stride + 1 for n in padded.shape[2:])
    output = np.full((N, C, out_h, out_w), start, dtype=images.dtype)
    for n, c, row, column in np.ndindex(output.shape):
        top, left = row * stride, column * stride
        window = padded[n, c, top : top + kernel_size, left : left + kernel_size]
        output[n, c, row, column] = max([start, *window.ravel().tolist()])
    return output


@mutant("04.2", "nowhere in the image", "never win")
def pads_with_zeros(images, kernel_size, stride=None, padding=0):
    return loops(images, kernel_size, stride, padding, rim=0.0)


@mutant("04.2", "start from zeros", "minus infinity")
def starts_from_zero(images, kernel_size, stride=None, padding=0):
    return loops(images, kernel_size, stride, padding, start=0.0)


@mutant("04.2", "not smaller than every value", "-np.inf")
def pads_with_a_magic_number(images, kernel_size, stride=None, padding=0):
    return loops(images, kernel_size, stride, padding, rim=-1e9, start=-1e9)


@mutant("04.2", "−999", "-np.inf")
def pads_with_minus_999(images, kernel_size, stride=None, padding=0):
    return loops(images, kernel_size, stride, padding, rim=-999.0)


@mutant("04.2", "stride = kernel_size")
def takes_stride_one_for_none(images, kernel_size, stride=None, padding=0):
    return loops(images, kernel_size, stride or 1, padding)


@mutant("04.2", "padding was not used")
def forgets_the_padding(images, kernel_size, stride=None, padding=0):
    return loops(images, kernel_size, stride)


@mutant("04.2", "both sides")
def pads_one_side(images, kernel_size, stride=None, padding=0):
    return loops(images, kernel_size, stride, padding, sides=(1, 0))


@mutant("04.2", "stride was not used")
def forgets_the_stride(images, kernel_size, stride=None, padding=0):
    return loops(images, kernel_size, 1, padding)


@mutant("04.2", "hang over the edge", "rounded down")
def rounds_up(images, kernel_size, stride=None, padding=0):
    import torch

    tensor = torch.from_numpy(images)
    pool = torch.nn.MaxPool2d(kernel_size, stride, padding, ceil_mode=True)
    return pool(tensor).numpy()


@mutant("04.2", "mean of each window")
def averages(images, kernel_size, stride=None, padding=0):
    return ops.avg_pool2d(images, kernel_size, stride, padding)


@mutant("04.2", "dtype", "float32")
def makes_float64(images, kernel_size, stride=None, padding=0):
    return loops(images.astype(np.float64), kernel_size, stride, padding)


@mutant("04.2", "changed its input")
def writes_into_the_images(images, kernel_size, stride=None, padding=0):
    output = loops(images, kernel_size, stride, padding)
    np.maximum(images, 0, out=images)
    return output


@mutant("04.2", "unexpected keyword argument", outcome="error")
def takes_no_padding(images, kernel_size, stride=None):
    return loops(images, kernel_size, stride)


# 04.3 avg_pool2d(images, kernel_size, stride=None, padding=0, count_include_pad=True)


def means(images, kernel_size, stride=None, padding=0, flag=True, count=None):
    """Average pooling from loops; `count` says what to divide a window's sum by."""
    stride = stride or kernel_size
    rim = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(images, rim)
    inside = np.pad(np.ones(images.shape), rim)
    out_h, out_w = ((n - kernel_size) // stride + 1 for n in padded.shape[2:])
    output = np.empty((*images.shape[:2], out_h, out_w), dtype=images.dtype)
    for row, column in np.ndindex(out_h, out_w):
        rows = slice(row * stride, row * stride + kernel_size)
        columns = slice(column * stride, column * stride + kernel_size)
        window = padded[:, :, rows, columns]
        number = inside[0, 0, rows, columns].sum() if not flag else kernel_size**2
        number = count(window, number) if count else number
        output[:, :, row, column] = window.sum(axis=(2, 3)) / number
    return output


@mutant("04.3", "changed nothing", "inside the image")
def always_divides_by_the_area(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    return means(images, kernel_size, stride, padding)


@mutant("04.3", "never counted")
def never_counts_the_padding(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    return means(images, kernel_size, stride, padding, flag=False)


@mutant("04.3", "wrong way round")
def exchanges_true_and_false(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    return means(images, kernel_size, stride, padding, flag=not count_include_pad)


@mutant("04.3", "taken for padding", "count places, not values")
def counts_what_is_not_zero(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    def count(window, number):
        nonzero = np.count_nonzero(window, axis=(2, 3))
        return number if count_include_pad else np.maximum(nonzero, 1)

    return means(images, kernel_size, stride, padding, count_include_pad, count)


@mutant("04.3", "copies of the border pixels")
def repeats_the_border(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    rim = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    return means(np.pad(images, rim, mode="edge"), kernel_size, stride)


@mutant("04.3", "sum of each window")
def forgets_to_divide(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    return means(images, kernel_size, stride, padding, count=lambda window, number: 1)


@mutant("04.3", "stride = kernel_size")
def averages_with_stride_one_for_none(
    images, kernel_size, stride=None, padding=0, count_include_pad=True
):
    return means(images, kernel_size, stride or 1, padding, count_include_pad)


@mutant("04.3", "padding was not used")
def averages_without_padding(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    return means(images, kernel_size, stride)


@mutant("04.3", "stride was not used")
def averages_without_stride(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    return means(images, kernel_size, 1, padding, count_include_pad)


@mutant("04.3", "unexpected keyword argument", "count_include_pad", outcome="error")
def has_no_flag(images, kernel_size, stride=None, padding=0):
    return means(images, kernel_size, stride, padding)


@mutant("04.3", "dtype", "float32")
def averages_in_float64(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    return means(images.astype(float), kernel_size, stride, padding, count_include_pad)


@mutant("04.3", "returned None", "return")
def prints_the_means(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    str(means(images, kernel_size, stride, padding, count_include_pad))


# 04.4 adaptive_avg_pool2d(images, output_size)


def pieces(start, end, reduce=np.mean):
    """Pools with windows from start(i, n, out) to end(i, n, out)."""

    def answer(images, output_size):
        N, C, H, W = images.shape
        output = np.empty((N, C, *output_size), dtype=images.dtype)
        for r, c in np.ndindex(*output_size):
            rows = slice(start(r, H, output_size[0]), end(r, H, output_size[0]))
            columns = slice(start(c, W, output_size[1]), end(c, W, output_size[1]))
            output[:, :, r, c] = reduce(images[:, :, rows, columns], axis=(2, 3))
        return output

    return answer


def down(i, n, out):
    return math.floor(i * n / out + 1e-9)


def up(i, n, out):
    return math.ceil((i + 1) * n / out - 1e-9)


@mutant("04.4", "ends are rounded down", "round up")
def rounds_the_ends_down(images, output_size):
    def end(i, n, out):
        return max(down(i + 1, n, out), down(i, n, out) + 1)

    return pieces(down, end)(images, output_size)


@mutant("04.4", "starts are rounded up", "round down")
def rounds_the_starts_up(images, output_size):
    def start(i, n, out):
        return min(math.ceil(i * n / out - 1e-9), n - 1)

    return pieces(start, lambda i, n, out: max(up(i, n, out), start(i, n, out) + 1))(
        images, output_size
    )


@mutant("04.4", "rounded to the nearest", "ends go up")
def rounds_to_the_nearest(images, output_size):
    def start(i, n, out):
        return min(round(i * n / out), n - 1)

    def end(i, n, out):
        return max(round((i + 1) * n / out), start(i, n, out) + 1)

    return pieces(start, end)(images, output_size)


@mutant("04.4", "share no pixel")
def splits_the_axis(images, output_size):
    rows = np.array_split(np.arange(images.shape[2]), output_size[0])
    columns = np.array_split(np.arange(images.shape[3]), output_size[1])
    if not all(map(len, [*rows, *columns])):
        return adaptive_by_torch(images, output_size)
    output = [[images[:, :, r][..., c].mean(axis=(2, 3)) for c in columns] for r in rows]
    return np.array(output).transpose(2, 3, 0, 1)


@mutant("04.4", "one kernel size and one stride")
def takes_one_kernel_size(images, output_size):
    if any(out > n for n, out in zip(images.shape[2:], output_size, strict=True)):
        return adaptive_by_torch(images, output_size)
    stride = tuple(n // out for n, out in zip(images.shape[2:], output_size, strict=True))
    kernel = tuple(
        n - (out - 1) * s for n, out, s in zip(images.shape[2:], output_size, stride, strict=True)
    )
    return ops.avg_pool2d(images, kernel, stride)


@mutant("04.4", "given the same length", "find the end")
def takes_one_length(images, output_size):
    def end(i, n, out):
        return down(i, n, out) + math.ceil(n / out)

    return pieces(down, end)(images, output_size)


@mutant("04.4", "one too far", "-(-a // b)")
def adds_one_for_rounding_up(images, output_size):
    return pieces(down, lambda i, n, out: down(i + 1, n, out) + 1)(images, output_size)


@mutant("04.4", "(height, width)")
def exchanges_height_and_width(images, output_size):
    return pieces(down, up)(images, output_size[::-1])


@mutant("04.4", "largest value of each window")
def takes_adaptive_maxima(images, output_size):
    return pieces(down, up, np.max)(images, output_size)


@mutant("04.4", "sum of each window")
def takes_adaptive_sums(images, output_size):
    return pieces(down, up, np.sum)(images, output_size)


@mutant("04.4", "divided by the same number", "its own")
def divides_by_the_mean_size(images, output_size):
    area = images[0, 0].size / math.prod(output_size)
    return pieces(down, up, np.sum)(images, output_size) / area


@mutant("04.4", "wrong shape", outcome="error")
def raises_its_own_error(images, output_size):
    if images.shape[2] % output_size[0] or images.shape[3] % output_size[1]:
        raise ValueError("wrong shape")
    return pieces(down, up)(images, output_size)


# 04.5 count_images(pooled, kernel_size)


def tilewise(rule, combine=math.prod):
    return lambda pooled, kernel_size: combine(
        rule(int(value), kernel_size**2) for value in pooled.flat
    )


def count_mutant(name, rule, *says, combine=math.prod):
    MUTANTS.append(Mutant("04.5", name, tilewise(rule, combine), says))


count_mutant("counts what is at most m", lambda m, n: (m + 1) ** n, "have to go")
count_mutant("one bright pixel", lambda m, n: n if m else 1, "Exactly one pixel")
count_mutant(
    "one pixel is m, the rest anything",
    lambda m, n: n * (m + 1) ** (n - 1) if m else 1,
    "counted twice",
)
count_mutant(
    "one pixel is m, the rest below",
    lambda m, n: n * m ** (n - 1) if m else 1,
    "several may share the maximum",
)
count_mutant("black and white", lambda m, n: 2**n - 1 if m else 1, "0 to m − 1")
count_mutant("adds up", lambda m, n: (m + 1) ** n - m**n, "multiply", combine=sum)
count_mutant(
    "k pixels a tile",
    lambda m, n: (m + 1) ** math.isqrt(n) - m ** math.isqrt(n),
    "kernel_size · kernel_size pixels",
)
count_mutant("float", lambda m, n: float((m + 1) ** n - m**n), "16 digits", "Count in integers")


@mutant("04.5", "64 bits", "int(value)")
def counts_in_int64(pooled, kernel_size):
    values = pooled.astype(np.int64)
    each = (values + 1) ** kernel_size**2 - values**kernel_size**2
    count = np.int64(1)
    with np.errstate(all="ignore"):
        for number in each.ravel():
            count *= number
    return int(count)


@mutant("04.5", "overflow")
def counts_in_the_own_dtype(pooled, kernel_size):
    n, count = kernel_size**2, 1
    with np.errstate(all="ignore"):
        for value in pooled.ravel():
            count *= int((value + value.dtype.type(1)) ** n - value**n)
    return count


@mutant("04.5", "got: 0")
def multiplies_from_zero(pooled, kernel_size):
    count = 0
    for value in pooled.flat:
        count *= (int(value) + 1) ** kernel_size**2
    return count


# 04.6 shift_consistency(system, images, max_shift)


def moved(images, down, right):
    output = np.zeros_like(images)
    H, W = images.shape[2:]
    to_rows, to_columns = (
        slice(max(down, 0), H + min(down, 0)),
        slice(max(right, 0), W + min(right, 0)),
    )
    from_rows = slice(max(-down, 0), H + min(-down, 0))
    from_columns = slice(max(-right, 0), W + min(-right, 0))
    output[:, :, to_rows, to_columns] = images[:, :, from_rows, from_columns]
    return output


def all_shifts(m):
    return [s for s in itertools.product(range(-m, m + 1), repeat=2) if s != (0, 0)]


def agreement(system, images, shifts, move=moved):
    labels = system(images)
    return np.array([system(move(images, *s)) == labels for s in shifts])


@mutant("04.6", "np.roll", "zeros come in")
def rolls(system, images, max_shift):
    def roll(x, down, right):
        return np.roll(np.roll(x, down, axis=2), right, axis=3)

    return float(agreement(system, images, all_shifts(max_shift), roll).mean())


@mutant("04.6", "(0, 0)", "leave it out")
def counts_the_zero_shift(system, images, max_shift):
    return float(agreement(system, images, [(0, 0), *all_shifts(max_shift)]).mean())


@mutant("04.6", "up and left")
def moves_down_and_right_only(system, images, max_shift):
    shifts = [s for s in all_shifts(max_shift) if min(s) >= 0]
    return float(agreement(system, images, shifts).mean())


@mutant("04.6", "straight shifts")
def leaves_out_the_diagonals(system, images, max_shift):
    shifts = [s for s in all_shifts(max_shift) if 0 in s]
    return float(agreement(system, images, shifts).mean())


@mutant("04.6", "every pair")
def moves_along_the_diagonal(system, images, max_shift):
    shifts = [(d, d) for d in range(-max_shift, max_shift + 1) if d]
    return float(agreement(system, images, shifts).mean())


@mutant("04.6", "largest shifts")
def tries_the_largest_only(system, images, max_shift):
    shifts = [s for s in all_shifts(max_shift) if max_shift in map(abs, s)]
    return float(agreement(system, images, shifts).mean())


@mutant("04.6", "ends before max_shift")
def forgets_that_range_ends_before(system, images, max_shift):
    span = range(-max_shift, max_shift)
    shifts = [(d, r) for d in span for r in span if d != 0 or r != 0]
    return float(agreement(system, images, shifts).mean())


@mutant("04.6", "border pixels were repeated")
def repeats_the_border_pixels(system, images, max_shift):
    m, (H, W) = max_shift, images.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (m, m), (m, m)), mode="edge")
    labels, same = system(images), []
    for d, r in all_shifts(m):
        same.append(system(padded[:, :, m + d : m + d + H, m + r : m + r + W]) == labels)
    return float(np.mean(same))


@mutant("04.6", "no shift changes", "all pairs")
def counts_steady_images(system, images, max_shift):
    return float(agreement(system, images, all_shifts(max_shift)).all(axis=0).mean())


@mutant("04.6", "changed; wanted")
def returns_the_share_of_changes(system, images, max_shift):
    return 1 - float(agreement(system, images, all_shifts(max_shift)).mean())


@mutant("04.6", "per cent", "between 0 and 1")
def returns_per_cent(system, images, max_shift):
    return 100 * float(agreement(system, images, all_shifts(max_shift)).mean())


@mutant("04.6", "number of answers", "divide")
def returns_the_number(system, images, max_shift):
    return int(agreement(system, images, all_shifts(max_shift)).sum())


@mutant("04.6", "images (N, C, H, W)", outcome="error")
def hands_over_single_images(system, images, max_shift):
    same = [system(moved(images, d, r)[0]) == system(images[0]) for d, r in all_shifts(max_shift)]
    return float(np.mean(same))


@mutant("04.6", "a number is wanted")
def returns_all_comparisons(system, images, max_shift):
    return agreement(system, images, all_shifts(max_shift))


# 04.7 blur_pool2d(images, kernel_size=3, stride=2)


def blurred(
    images, kernel_size=3, stride=2, *, row=None, mode="reflect", front=None, pick=0, grid=None
):
    k = kernel_size
    row = np.array([math.comb(k - 1, i) / 2 ** (k - 1) for i in range(k)]) if row is None else row
    grid = np.outer(row, row) if grid is None else grid
    front = (k - 1) // 2 if front is None else front
    sides = (front, k - 1 - front)
    padded = np.pad(images, ((0, 0), (0, 0), sides, sides), mode=mode)
    out_h, out_w = images.shape[2:]
    output = np.zeros(images.shape)
    for i, j in np.ndindex(*grid.shape):
        output += grid[i, j] * padded[:, :, i : i + out_h, j : j + out_w]
    return output[:, :, pick::stride, pick::stride].astype(images.dtype)


def pascal(k):
    return np.array([math.comb(k - 1, i) for i in range(k)], dtype=float)


@mutant("04.7", "do not sum to 1", "2^(k − 1)")
def forgets_to_normalise(images, kernel_size=3, stride=2):
    return blurred(images, kernel_size, stride, row=pascal(kernel_size))


@mutant("04.7", "along both axes")
def normalises_once(images, kernel_size=3, stride=2):
    row = pascal(kernel_size)
    return blurred(images, kernel_size, stride, grid=np.outer(row, row) / row.sum())


@mutant("04.7", "plain mean", "binomial")
def blurs_with_a_box(images, kernel_size=3, stride=2):
    return blurred(images, kernel_size, stride, row=np.ones(kernel_size) / kernel_size)


@mutant("04.7", "rim was filled with zeros")
def blurs_into_zeros(images, kernel_size=3, stride=2):
    return blurred(images, kernel_size, stride, mode="constant")


@mutant("04.7", "repeats the border pixel", "reflect")
def mirrors_with_the_border(images, kernel_size=3, stride=2):
    return blurred(images, kernel_size, stride, mode="symmetric")


@mutant("04.7", "mirror")
def repeats_the_edge(images, kernel_size=3, stride=2):
    return blurred(images, kernel_size, stride, mode="edge")


@mutant("04.7", "on the other", "mirror")
def wraps_around(images, kernel_size=3, stride=2):
    return blurred(images, kernel_size, stride, mode="wrap")


@mutant("04.7", "extra pixel stands behind")
def puts_the_extra_pixel_in_front(images, kernel_size=3, stride=2):
    return blurred(images, kernel_size, stride, front=kernel_size // 2)


@mutant("04.7", "thrown away first", "alias")
def blurs_too_late(images, kernel_size=3, stride=2):
    return blurred(images[:, :, ::stride, ::stride], kernel_size, 1)


@mutant("04.7", "stride was not used")
def keeps_every_pixel(images, kernel_size=3, stride=2):
    return blurred(images, kernel_size, 1)


@mutant("04.7", "start at 0")
def begins_at_one(images, kernel_size=3, stride=2):
    return blurred(images, kernel_size, stride, pick=1 if stride > 1 else 0)


@mutant("04.7", "channels were added")
def adds_the_channels(images, kernel_size=3, stride=2):
    output = blurred(images, kernel_size, stride)
    return np.repeat(output.sum(axis=1, keepdims=True), images.shape[1], axis=1)


@mutant("04.7", "dtype", "float32")
def blurs_in_float64(images, kernel_size=3, stride=2):
    return blurred(images.astype(np.float64), kernel_size, stride)


@mutant("04.7", "only the rows were blurred")
def blurs_the_rows_only(images, kernel_size=3, stride=2):
    rows = images.reshape(-1, 1, 1, images.shape[3])
    k = kernel_size
    padded = np.pad(rows, ((0, 0), (0, 0), (0, 0), ((k - 1) // 2, k // 2)), mode="reflect")
    row = (pascal(k) / 2 ** (k - 1)).reshape(1, 1, 1, k).astype(images.dtype)
    output = ops.conv2d(padded, row).reshape(images.shape)
    return output[:, :, ::stride, ::stride].copy()


@mutant("04.7", "The rim is missing")
def forgets_the_rim(images, kernel_size=3, stride=2):
    k, C = kernel_size, images.shape[1]
    if k > min(images.shape[2:]):
        return blurred(images, k, stride)
    row = pascal(k) / 2 ** (k - 1)
    weight = np.tile(np.outer(row, row), (C, 1, 1, 1)).astype(images.dtype)
    return ops.conv2d(images, weight, stride=stride, groups=C)


# 04.8 sliding_max(values, kernel_size, maximum)


@mutant("04.8", "too many comparisons", "searched from its beginning")
def searches_every_window(values, kernel_size, maximum):
    windows = [values[i : i + kernel_size] for i in range(len(values) - kernel_size + 1)]
    return [functools.reduce(maximum, window) for window in windows]


@mutant("04.8", "logarithm")
def doubles(values, kernel_size, maximum):
    best, length = list(values), 1
    while 2 * length <= kernel_size:
        best = [maximum(a, b) for a, b in zip(best, best[length:], strict=False)]
        length *= 2
    rest = kernel_size - length
    return [maximum(a, b) for a, b in zip(best, best[rest:], strict=False)] if rest else best


@mutant("04.8", "only be compared by maximum", "behind your back", outcome="error")
def uses_max(values, kernel_size, maximum):
    return [max(values[i : i + kernel_size]) for i in range(len(values) - kernel_size + 1)]


@mutant("04.8", "only be compared by maximum", outcome="error")
def uses_numpy(values, kernel_size, maximum):
    return [np.max(values[i : i + kernel_size]) for i in range(len(values) - kernel_size + 1)]


@mutant("04.8", "side by side")
def takes_blocks(values, kernel_size, maximum):
    starts = range(0, len(values) - kernel_size + 1, kernel_size)
    return [functools.reduce(maximum, values[i : i + kernel_size]) for i in starts]


@mutant("04.8", "only whole windows count")
def keeps_windows_that_hang_over(values, kernel_size, maximum):
    windows = [values[max(0, i - kernel_size + 1) : i + 1] for i in range(len(values))]
    return [functools.reduce(maximum, window) for window in windows]


@mutant("04.8", "largest value so far", "forgotten")
def never_forgets(values, kernel_size, maximum):
    return list(itertools.accumulate(values, maximum))[kernel_size - 1 :]


@mutant("04.8", "two ends of each window")
def compares_the_ends(values, kernel_size, maximum):
    ends = values[kernel_size - 1 :]
    return [maximum(a, b) for a, b in zip(values, ends, strict=False)]


@mutant("04.8", "from the right as well")
def runs_from_the_left_only(values, kernel_size, maximum):
    best = list(values)
    for i in range(1, len(values)):
        if i % kernel_size:
            best[i] = maximum(best[i - 1], best[i])
    return best[kernel_size - 1 :]


@mutant("04.8", "from the left as well")
def runs_from_the_right_only(values, kernel_size, maximum):
    best = list(values)
    for i in range(len(values) - 2, -1, -1):
        if (i + 1) % kernel_size:
            best[i] = maximum(best[i], best[i + 1])
    return best[: len(values) - kernel_size + 1]


@mutant("04.8", "smallest values")
def finds_the_smallest(values, kernel_size, maximum):
    def minimum(a, b):
        return b if maximum(a, b) is a else a

    return [
        functools.reduce(minimum, values[i : i + kernel_size])
        for i in range(len(values) - kernel_size + 1)
    ]


@mutant("04.8", "one value too short")
def ends_a_value_too_early(values, kernel_size, maximum):
    firsts = range(len(values) - kernel_size + 1)
    return [functools.reduce(maximum, values[i : i + max(kernel_size - 1, 1)]) for i in firsts]


@mutant("04.8", "changed the list", "list(values)")
def works_in_place(values, kernel_size, maximum):
    answer = pooling_variants.sliding_max(values, kernel_size, maximum)
    values[0] = values[-1]
    return answer


@mutant("04.8", "a list is wanted")
def returns_a_generator(values, kernel_size, maximum):
    return (v for v in pooling_variants.sliding_max(values, kernel_size, maximum))


@mutant("04.8", "nothing that you filled in")
def leaves_a_filled_in_value(values, kernel_size, maximum):
    answer = [-math.inf] * (len(values) - kernel_size + 1)
    answer[:-1] = pooling_variants.sliding_max(values, kernel_size, maximum)[:-1]
    return answer


# 04.9 smooth_pool2d(images, kernel_size, sharpness)


def tiles_of(images, k):
    N, C, H, W = images.shape
    cut = images[:, :, : H // k * k, : W // k * k]
    tiles = cut.reshape(N, C, H // k, k, W // k, k).swapaxes(3, 4)
    return tiles.reshape(N, C, H // k, W // k, k * k)


@mutant("04.9", "overflowed", "take the")
def trusts_the_formula(images, kernel_size, sharpness):
    tiles = tiles_of(images, kernel_size)
    if sharpness == 0:
        return tiles.mean(axis=-1)
    with np.errstate(all="ignore"):
        return np.log(np.exp(sharpness * tiles).mean(axis=-1)) / sharpness


@mutant("04.9", "divides 0 by 0", "mean of the tile")
def divides_by_zero(images, kernel_size, sharpness):
    scaled = sharpness * tiles_of(images, kernel_size)
    top = scaled.max(axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        return (top[..., 0] + np.log(np.exp(scaled - top).mean(axis=-1))) / np.float64(sharpness)


@mutant("04.9", "ZeroDivisionError", outcome="error")
def divides_by_pythons_zero(images, kernel_size, sharpness):
    scaled = sharpness * tiles_of(images, kernel_size)
    top = scaled.max(axis=-1, keepdims=True)
    log_mean = top[..., 0] + np.log(np.exp(scaled - top).mean(axis=-1))
    return (1 / sharpness) * log_mean


def smooth(total=np.mean, divide=True, top=None, again=True):
    def answer(images, kernel_size, sharpness):
        tiles = tiles_of(images, kernel_size)
        if sharpness == 0:
            return tiles.mean(axis=-1)
        scaled = sharpness * tiles
        largest = (top or (lambda tiles, r: (r * tiles).max(-1, keepdims=True)))(tiles, sharpness)
        with np.errstate(all="ignore"):
            output = np.log(total(np.exp(scaled - largest), axis=-1))
        output = output + largest[..., 0] if again else output
        return output / sharpness if divide else output

    return answer


@mutant("04.9", "mean is wanted")
def adds_the_exponentials(images, kernel_size, sharpness):
    return smooth(total=np.sum)(images, kernel_size, sharpness)


@mutant("04.9", "divided by the sharpness")
def forgets_to_divide_by_the_sharpness(images, kernel_size, sharpness):
    return smooth(divide=False)(images, kernel_size, sharpness)


@mutant("04.9", "only if the sharpness is positive")
def takes_the_largest_pixel_out(images, kernel_size, sharpness):
    def top(tiles, r):
        return r * tiles.max(-1, keepdims=True)

    return smooth(top=top)(images, kernel_size, sharpness)


@mutant("04.9", "added again")
def forgets_what_was_taken_out(images, kernel_size, sharpness):
    return smooth(again=False)(images, kernel_size, sharpness)


@mutant("04.9", "weighted by their softmax")
def weighs_by_softmax(images, kernel_size, sharpness):
    tiles = tiles_of(images, kernel_size)
    scaled = sharpness * tiles
    weights = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return (weights / weights.sum(axis=-1, keepdims=True) * tiles).sum(axis=-1)


@mutant("04.9", "plain maximum")
def takes_the_limit(images, kernel_size, sharpness):
    return ops.max_pool2d(images, kernel_size)


@mutant("04.9", "plain mean")
def takes_the_other_limit(images, kernel_size, sharpness):
    return ops.avg_pool2d(images, kernel_size)


@mutant("04.9", "shape")
def lets_windows_overlap(images, kernel_size, sharpness):
    windows = np.lib.stride_tricks.sliding_window_view(images, (kernel_size,) * 2, axis=(2, 3))
    tall = np.moveaxis(windows, (4, 5), (2, 3)).reshape(*images.shape[:2], kernel_size**2, -1)
    scaled = sharpness * tall
    top = scaled.max(axis=2, keepdims=True)
    pooled = (top[:, :, 0] + np.log(np.exp(scaled - top).mean(axis=2))) / (sharpness or 1)
    pooled = pooled if sharpness else tall.mean(axis=2)
    return pooled.reshape(windows.shape[:4])


# Right answers, written in another way


def halve_by_slices(images):
    H, W = (n // 2 * 2 for n in images.shape[2:])
    corners = [images[:, :, i:H:2, j:W:2] for i in (0, 1) for j in (0, 1)]
    return np.maximum.reduce(corners)


def halve_by_torch(images):
    import torch

    return torch.nn.functional.max_pool2d(torch.from_numpy(images), 2)


def max_pool_by_torch(images, kernel_size, stride=None, padding=0):
    import torch

    return torch.nn.functional.max_pool2d(torch.from_numpy(images), kernel_size, stride, padding)


def avg_pool_by_torch(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    import torch

    tensor = torch.from_numpy(images)
    pool = torch.nn.functional.avg_pool2d
    return pool(tensor, kernel_size, stride, padding, count_include_pad=count_include_pad)


def avg_pool_by_nan(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    stride = stride or kernel_size
    rim = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    value = 0.0 if count_include_pad else np.nan
    padded = np.pad(images, rim, constant_values=value)
    view = np.lib.stride_tricks.sliding_window_view(padded, (kernel_size,) * 2, axis=(2, 3))
    return np.nanmean(view[:, :, ::stride, ::stride], axis=(4, 5))


def avg_pool_of_the_library(images, kernel_size, stride=None, padding=0, count_include_pad=True):
    settings = {"count_include_pad": count_include_pad}
    return ops.avg_pool2d(images, kernel_size, stride, padding, **settings)


def adaptive_by_torch(images, output_size):
    import torch

    return torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(images), output_size).numpy()


def adaptive_by_matrices(images, output_size):
    def matrix(n, out):
        windows = pooling_variants.adaptive_windows(n, out)
        return np.array([[(a <= i < b) / (b - a) for i in range(n)] for a, b in windows])

    down, across = (matrix(n, o) for n, o in zip(images.shape[2:], output_size, strict=True))
    return (down @ images @ across.T).astype(images.dtype)


def count_by_complement(pooled, kernel_size):
    n, product = kernel_size * kernel_size, 1
    for row in pooled:
        for value in row:
            m = int(value)
            product *= sum(m**j * (m + 1) ** (n - 1 - j) for j in range(n))
    return product


def consistency_one_by_one(system, images, max_shift):
    agreed = total = 0
    for image in images:
        label = system(image[None])[0]
        for shift in all_shifts(max_shift):
            agreed += system(moved(image[None], *shift))[0] == label
            total += 1
    return agreed / total


def blur_by_two_passes(images, kernel_size=3, stride=2):
    output = np.moveaxis(images, 2, 3)
    for _ in range(2):
        pad = ((0, 0), (0, 0), (0, 0), ((kernel_size - 1) // 2, kernel_size // 2))
        output = np.pad(output, pad, mode="reflect")
        for _ in range(kernel_size - 1):
            output = (output[..., 1:] + output[..., :-1]) / 2
        output = np.moveaxis(output[..., ::stride], 2, 3)
    return np.moveaxis(output, 2, 3)


def sliding_max_by_queue(values, kernel_size, maximum):
    """The values that may still win, in falling order: at most two comparisons a value."""
    queue, answer = deque(), []
    for i, value in enumerate(values):
        while queue and maximum(value, queue[-1][1]) is value:
            queue.pop()
        queue.append((i, value))
        if queue[0][0] <= i - kernel_size:
            queue.popleft()
        if i >= kernel_size - 1:
            answer.append(queue[0][1])
    return answer


def sliding_max_padded(values, kernel_size, maximum):
    n, k = len(values), kernel_size
    line = [*values, *[-math.inf] * (-n % k)]
    left, right = [], []
    for start in range(0, len(line), k):
        block = line[start : start + k]
        left += itertools.accumulate(block, maximum)
        right += list(itertools.accumulate(block[::-1], maximum))[::-1]
    pairs = ((right[i], left[i + k - 1]) for i in range(n - k + 1))
    return tuple(a if a is b else maximum(a, b) for a, b in pairs)


def smooth_by_logaddexp(images, kernel_size, sharpness):
    tiles = tiles_of(images, kernel_size)
    if not sharpness:
        return tiles.mean(axis=-1)
    total = np.logaddexp.reduce(sharpness * tiles, axis=-1)
    return (total - math.log(tiles.shape[-1])) / sharpness


def smooth_by_torch(images, kernel_size, sharpness):
    import torch

    tiles = torch.from_numpy(tiles_of(images, kernel_size))
    if sharpness == 0:
        return tiles.mean(-1)
    return (torch.logsumexp(sharpness * tiles, -1) - 2 * math.log(kernel_size)) / sharpness


ACCEPTED = [
    ("04.1", halve_by_slices),
    ("04.1", halve_by_torch),
    ("04.2", loops),
    ("04.2", max_pool_by_torch),
    ("04.2", ops.max_pool2d),
    ("04.3", avg_pool_by_torch),
    ("04.3", avg_pool_by_nan),
    ("04.3", avg_pool_of_the_library),
    ("04.4", adaptive_by_torch),
    ("04.4", adaptive_by_matrices),
    ("04.4", pooling_variants.adaptive_avg_pool2d),
    ("04.5", count_by_complement),
    ("04.6", consistency_one_by_one),
    ("04.7", blur_by_two_passes),
    ("04.7", pooling_variants.blur_pool2d),
    ("04.8", sliding_max_by_queue),
    ("04.8", sliding_max_padded),
    ("04.8", pooling_variants.sliding_max),
    ("04.9", smooth_by_logaddexp),
    ("04.9", smooth_by_torch),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_wrong_answer_is_rejected_and_its_cause_named(mutant, recwarn):
    assert survives(mutant) == ""
    assert not recwarn.list


@pytest.mark.parametrize("exercise_id", IDS)
def test_there_are_at_least_eight_wrong_answers(exercise_id):
    assert sum(mutant.exercise_id == exercise_id for mutant in MUTANTS) >= 8


@pytest.mark.parametrize(
    ("exercise_id", "answer"), ACCEPTED, ids=lambda p: getattr(p, "__name__", p)
)
def test_right_answer_in_another_way_is_accepted(exercise_id, answer, recwarn):
    verdict = examine(exercise_id, answer)
    assert verdict.outcome == "correct", words(verdict)
    assert not recwarn.list


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (2, 1)])
@pytest.mark.parametrize("top", [1, 2])
def test_the_count_of_images_is_what_trying_all_of_them_gives(height, width, top):
    found = {}
    for pixels in itertools.product(range(top + 1), repeat=4 * height * width):
        image = np.array(pixels).reshape(1, 1, 2 * height, 2 * width)
        key = tuple(ops.max_pool2d(image, 2).ravel().tolist())
        found[key] = found.get(key, 0) + 1
    solution = EXERCISES["04.5"].solution
    for key, number in found.items():
        assert solution(np.array(key).reshape(height, width), 2) == number
