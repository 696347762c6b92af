"""Adaptive and blur pooling against torch in float64; the sliding maximum against plain windows."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlib.ops import pooling_variants
from cnnlib.ops.pooling_variants import (
    adaptive_avg_pool2d,
    adaptive_windows,
    binomial_filter,
    blur_pool2d,
    sliding_max,
)

properties = settings(deadline=None, derandomize=True, database=None, max_examples=200)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def int_or_pair(low, high):
    number = st.integers(low, high)
    return number | st.tuples(number, number)


shapes = st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 17), st.integers(1, 17))


@properties
@given(shapes, int_or_pair(1, 20), st.integers(0, 2**32))
def test_adaptive_avg_pool2d_is_torchs(shape, output_size, seed):
    images = normal(seed, *shape) + 3
    expected = F.adaptive_avg_pool2d(torch.from_numpy(images), output_size).numpy()
    out = adaptive_avg_pool2d(images, output_size)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, atol=1e-12)


@properties
@given(st.integers(1, 40), st.integers(1, 45))
def test_adaptive_windows_cover_every_pixel_evenly(image_size, output_size):
    windows = adaptive_windows(image_size, output_size)
    assert len(windows) == output_size
    assert windows[0][0] == 0
    assert windows[-1][1] == image_size
    covered = {pixel for start, end in windows for pixel in range(start, end)}
    assert covered == set(range(image_size))
    lengths = {end - start for start, end in windows}
    assert min(lengths) >= math.ceil(image_size / output_size)
    assert max(lengths) <= math.ceil(image_size / output_size) + 1
    assert windows == [  # symmetric: from the right they look as from the left
        (image_size - end, image_size - start) for start, end in reversed(windows)
    ]


@properties
@given(shapes, st.integers(1, 7), int_or_pair(1, 4), st.integers(0, 2**32))
def test_blur_pool2d_is_torchs_pad_and_convolution(shape, kernel_size, stride, seed):
    N, C, H, W = shape
    images = normal(seed, *shape) + 3
    before, after = (kernel_size - 1) // 2, kernel_size // 2
    if after >= min(H, W):
        with pytest.raises(ValueError, match=f"at least {after + 1} × {after + 1} pixels"):
            blur_pool2d(images, kernel_size, stride)
        return
    taps = torch.tensor([math.comb(kernel_size - 1, i) for i in range(kernel_size)]).double()
    weight = (taps[:, None] * taps / 4 ** (kernel_size - 1)).expand(C, 1, -1, -1)
    out = blur_pool2d(images, kernel_size, stride)
    step_h, step_w = stride if isinstance(stride, tuple) else (stride, stride)
    assert out.shape == (N, C, math.ceil(H / step_h), math.ceil(W / step_w))
    if N:  # torch does not mirror an empty batch
        padded = F.pad(torch.from_numpy(images), (before, after) * 2, mode="reflect")
        expected = F.conv2d(padded, weight, stride=stride, groups=C).numpy()
        np.testing.assert_allclose(out, expected, atol=1e-12)


@pytest.mark.parametrize("num_taps", range(1, 12))
def test_binomial_filter_is_pascals_triangle(num_taps):
    taps = binomial_filter(num_taps)
    expected = [math.comb(num_taps - 1, i) / 2 ** (num_taps - 1) for i in range(num_taps)]
    np.testing.assert_array_equal(taps, expected)


@pytest.mark.parametrize("num_taps", range(2, 8))
def test_the_blur_leaves_nothing_of_the_finest_stripes(num_taps):
    stripes = np.tile([1.0, -1.0], (16, 8))[None, None]
    np.testing.assert_allclose(blur_pool2d(stripes, num_taps)[..., 1:-3, 1:-3], 0, atol=1e-15)


@pytest.mark.parametrize("operation", [lambda x: adaptive_avg_pool2d(x, 2), blur_pool2d])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept_and_inputs_stay(operation, dtype):
    images = normal(0, 2, 3, 6, 7).astype(dtype)
    copy = images.copy()
    expected = operation(images)
    assert expected.dtype == dtype
    np.testing.assert_array_equal(images, copy)
    layouts = [
        np.asfortranarray(images),
        images[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
        np.repeat(images, 2, axis=2)[:, :, ::2],
        np.broadcast_to(images, images.shape),  # read-only
    ]
    for other in layouts:
        np.testing.assert_allclose(operation(other), expected, rtol=1e-5)


@properties
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40), st.data())
def test_sliding_max_is_right_and_compares_little(values, data):
    kernel_size = data.draw(st.integers(1, len(values)))
    count = 0

    def maximum(a, b):
        nonlocal count
        count += 1
        return max(a, b)

    got = sliding_max(values, kernel_size, maximum)
    assert got == [max(values[i : i + kernel_size]) for i in range(len(values) - kernel_size + 1)]
    assert count <= 3 * len(values)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5, 6])
def test_sliding_max_of_rows_then_columns_is_max_pooling(kernel_size):
    images = normal(1, 2, 2, 6, 9)
    down = np.stack(sliding_max(list(np.moveaxis(images, 2, 0)), kernel_size), axis=2)
    both = np.stack(sliding_max(list(np.moveaxis(down, 3, 0)), kernel_size), axis=3)
    expected = F.max_pool2d(torch.from_numpy(images), kernel_size, stride=1).numpy()
    np.testing.assert_array_equal(both, expected)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: adaptive_avg_pool2d(np.zeros((4, 4)), 2), ValueError, r"images\[None, None\]"),
        (lambda: adaptive_avg_pool2d(np.zeros((1, 1, 4, 4)), 0), ValueError, "output_size"),
        (lambda: adaptive_avg_pool2d(np.zeros((1, 1, 4, 4), int), 2), TypeError, "float32"),
        (lambda: adaptive_avg_pool2d([[1.0]], 2), TypeError, "np.asarray"),
        (lambda: adaptive_windows(0, 3), ValueError, "image_size"),
        (lambda: adaptive_windows(3, 1.5), TypeError, "output_size"),
        (lambda: blur_pool2d(np.zeros((3, 4, 4))), ValueError, r"images\[None\]"),
        (lambda: blur_pool2d(np.zeros((1, 1, 4, 4), np.uint8)), TypeError, "astype"),
        (lambda: blur_pool2d(np.zeros((1, 1, 4, 4)), 0), ValueError, "kernel_size"),
        (lambda: blur_pool2d(np.zeros((1, 1, 4, 4)), 3, 0), ValueError, "stride"),
        (lambda: sliding_max([1, 2], 3), ValueError, "at most 2, got 3"),
        (lambda: sliding_max([1, 2], 0), ValueError, "kernel_size"),
    ],
)
def test_errors_say_what_is_wrong(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_every_function_says_where_it_is_taught():
    for name in ("adaptive_avg_pool2d", "blur_pool2d", "sliding_max"):
        assert "Taught in notebook 04." in getattr(pooling_variants, name).__doc__
