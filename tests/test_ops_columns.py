"""im2col and col2im against torch's unfold and fold, and against each other."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlib import ops

properties = settings(deadline=None, derandomize=True, database=None, max_examples=150)
numbers = {
    n: st.integers(*n) | st.tuples(st.integers(*n), st.integers(*n)) for n in [(0, 3), (1, 3)]
}


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@st.composite
def window_settings(draw):
    """Images' shape, kernel_size and settings with which at least one window fits."""
    kernel, dilation, stride = (draw(numbers[1, 3]) for _ in range(3))
    padding = draw(numbers[0, 3])
    smallest = 2 * 3 + 1  # a kernel of 3 with dilation 3
    shape = (draw(st.integers(0, 3)), draw(st.integers(1, 3)))
    shape += (smallest + draw(st.integers(0, 5)), smallest + draw(st.integers(0, 5)))
    return shape, kernel, {"stride": stride, "padding": padding, "dilation": dilation}


@properties
@given(window_settings(), st.integers(0, 2**32))
def test_im2col_is_torchs_unfold(case, seed):
    shape, kernel, settings = case
    images = normal(seed, *shape)
    expected = F.unfold(torch.from_numpy(images), kernel, **settings).numpy()
    np.testing.assert_array_equal(ops.im2col(images, kernel, **settings), expected)


@properties
@given(window_settings(), st.integers(0, 2**32))
def test_col2im_is_torchs_fold(case, seed):
    shape, kernel, settings = case
    columns = normal(seed, *ops.im2col(np.zeros(shape), kernel, **settings).shape)
    expected = F.fold(torch.from_numpy(columns), shape[2:], kernel, **settings).numpy()
    out = ops.col2im(columns, shape[2:], kernel, **settings)
    np.testing.assert_allclose(out, expected, atol=1e-12)


@properties
@given(window_settings(), st.booleans(), st.integers(0, 2**32))
def test_col2im_is_the_adjoint_of_im2col(case, same, seed):
    shape, kernel, settings = case
    if same:
        settings |= {"padding": "same", "stride": 1}
    x = normal(seed, *shape)
    columns = ops.im2col(x, kernel, **settings)
    y = normal(seed + 1, *columns.shape)
    back = ops.col2im(y, shape[2:], kernel, **settings)
    assert back.shape == x.shape
    np.testing.assert_allclose((columns * y).sum(), (x * back).sum(), atol=1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_im2col_copies_any_dtype(dtype):
    images = np.arange(18).reshape(1, 2, 3, 3).astype(dtype)
    columns = ops.im2col(images, 2)
    assert columns.dtype == dtype
    assert columns[0, :, 3].tolist() == [4, 5, 7, 8, 13, 14, 16, 17]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_col2im_keeps_the_dtype(dtype):
    assert ops.col2im(np.ones((1, 4, 4), dtype), 3, 2).dtype == dtype


def test_results_are_new_arrays_that_may_be_changed():
    images, columns = normal(0, 1, 2, 3, 3), normal(0, 1, 2, 9)
    for out, source in [(ops.im2col(images, 1), images), (ops.col2im(columns, 3, 1), columns)]:
        assert not np.shares_memory(out, source)
        assert out.flags.writeable


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda array: array[..., ::-1].copy()[..., ::-1],
        lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
        lambda array: np.broadcast_to(array, array.shape),  # read-only
    ],
    ids=["Fortran order", "negative strides", "every other", "read-only"],
)
def test_memory_layout_changes_nothing_and_inputs_stay(layout):
    images = normal(0, 2, 3, 5, 6)
    columns = ops.im2col(images, 3, padding=1)
    other_images, other_columns = layout(images), layout(columns)
    np.testing.assert_array_equal(ops.im2col(other_images, 3, padding=1), columns)
    np.testing.assert_array_equal(
        ops.col2im(other_columns, (5, 6), 3, padding=1), ops.col2im(columns, (5, 6), 3, padding=1)
    )
    np.testing.assert_array_equal(other_images, images)
    np.testing.assert_array_equal(other_columns, columns)
