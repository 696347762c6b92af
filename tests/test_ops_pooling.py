"""max_pool2d and avg_pool2d against torch in float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlib import ops

properties = settings(deadline=None, derandomize=True, database=None, max_examples=250)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def int_or_pair(low, high):
    number = st.integers(low, high)
    return number | st.tuples(number, number)


def both(setting):
    return setting if isinstance(setting, tuple) else (setting, setting)


@st.composite
def poolings(draw, max_dilation):
    """Images' shape and settings of a pooling whose window fits into the padded image."""
    kernel = draw(int_or_pair(1, 4))
    dilation = draw(int_or_pair(1, max_dilation))
    padding = tuple(draw(st.integers(0, size // 2)) for size in both(kernel))
    stride = draw(st.none() | int_or_pair(1, 5))
    sides = [
        max(1, d * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 7))
        for k, d, p in zip(both(kernel), both(dilation), padding, strict=True)
    ]
    shape = (draw(st.integers(0, 3)), draw(st.integers(1, 3)), *sides)
    return shape, kernel, stride, padding, dilation


@properties
@given(poolings(max_dilation=3), st.integers(0, 2**32))
def test_max_pool2d_is_torchs(case, seed):
    shape, *settings = case
    images = normal(seed, *shape) - 3  # mostly negative, so that a padding of zero would show
    expected = F.max_pool2d(torch.from_numpy(images), *settings).numpy()
    np.testing.assert_array_equal(ops.max_pool2d(images, *settings), expected)


@properties
@given(poolings(max_dilation=1), st.booleans(), st.integers(0, 2**32))
def test_avg_pool2d_is_torchs(case, count_include_pad, seed):
    shape, *settings, _ = case
    images = normal(seed, *shape) + 3
    expected = F.avg_pool2d(
        torch.from_numpy(images), *settings, count_include_pad=count_include_pad
    ).numpy()
    out = ops.avg_pool2d(images, *settings, count_include_pad=count_include_pad)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, atol=1e-12)


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int8, np.int32, np.int64, np.float16, np.float32, np.float64]
)
def test_max_pool2d_takes_any_dtype_and_keeps_it(dtype):
    # Signed ones are all negative: their padding must lie below every value.
    values = np.arange(9).reshape(1, 1, 3, 3)
    images = values.astype(dtype) if dtype is np.uint8 else (values - 20).astype(dtype)
    out = ops.max_pool2d(images, 3, stride=1, padding=1)
    assert out.dtype == dtype
    np.testing.assert_array_equal(out[0, 0] - images.min(), [[4, 5, 5], [7, 8, 8], [7, 8, 8]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_avg_pool2d_keeps_the_dtype(dtype, count_include_pad):
    images = np.ones((1, 1, 4, 4), dtype)
    out = ops.avg_pool2d(images, 3, padding=1, count_include_pad=count_include_pad)
    assert out.dtype == dtype


def test_a_dilated_window_may_see_nothing_but_padding():
    # Offsets -1 and 2 of a 2 × 2 image, as in torch: the maximum of nothing is minus infinity.
    assert ops.max_pool2d(np.ones((1, 1, 2, 2)), 2, 1, 1, 3)[0, 0].tolist() == [[-np.inf]]


def test_not_a_number_wins_as_in_torch():
    images = np.zeros((1, 1, 4, 4))
    images[0, 0, 1, 1] = np.nan
    expected = F.max_pool2d(torch.from_numpy(images), 2).numpy()
    np.testing.assert_array_equal(ops.max_pool2d(images, 2), expected)
    assert np.isnan(expected).sum() == 1


@pytest.mark.parametrize("operation", [ops.max_pool2d, ops.avg_pool2d])
def test_memory_layout_changes_nothing_and_inputs_stay(operation):
    images = normal(0, 2, 3, 6, 7)
    expected = operation(images, 3, 2, 1)
    layouts = [
        np.asfortranarray(images),
        images[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
        np.repeat(images, 2, axis=2)[:, :, ::2],
        np.broadcast_to(images, images.shape),  # read-only
    ]
    for other in layouts:
        np.testing.assert_array_equal(operation(other, 3, 2, 1), expected)
        np.testing.assert_array_equal(other, images)


@pytest.mark.parametrize("operation", [ops.max_pool2d, ops.avg_pool2d])
def test_window_of_one_pixel_returns_a_new_array(operation):
    images = normal(0, 1, 1, 3, 3)
    out = operation(images, 1)
    np.testing.assert_array_equal(out, images)
    assert not np.shares_memory(out, images)
