"""max_pool2d, avg_pool2d and their backward passes against torch in float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
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


def autograds(function, images, seed):
    """A random grad_out, and the images' gradient by autograd."""
    leaf = torch.from_numpy(images).requires_grad_()
    out = function(leaf)
    grad_out = normal(seed, *out.shape)
    return grad_out, torch.autograd.grad(out, leaf, torch.from_numpy(grad_out))[0].numpy()


@properties
@given(poolings(max_dilation=3), st.booleans(), st.integers(0, 2**32))
def test_max_pool2d_backward_is_autograds(case, ties, seed):
    shape, *settings = case
    images = normal(seed, *shape) - 3
    if ties:
        images = images.round()  # few different values: most windows have several maxima
    # Where a dilated window sees nothing but padding, torch writes outside the image and may crash.
    assume(np.isfinite(ops.max_pool2d(images, *settings)).all())
    grad_out, expected = autograds(lambda x: F.max_pool2d(x, *settings), images, seed + 1)
    grad = ops.max_pool2d_backward(grad_out, images, *settings)
    assert grad.shape == expected.shape
    np.testing.assert_allclose(grad, expected, atol=1e-12)


@properties
@given(poolings(max_dilation=1), st.booleans(), st.integers(0, 2**32))
def test_avg_pool2d_backward_is_autograds(case, count_include_pad, seed):
    shape, *settings, _ = case
    grad_out, expected = autograds(
        lambda x: F.avg_pool2d(x, *settings, count_include_pad=count_include_pad),
        normal(seed, *shape),
        seed + 1,
    )
    grad = ops.avg_pool2d_backward(grad_out, shape, *settings, count_include_pad=count_include_pad)
    assert grad.shape == expected.shape
    np.testing.assert_allclose(grad, expected, atol=1e-12)


@properties
@given(poolings(max_dilation=1), st.booleans(), st.integers(0, 2**32))
def test_the_backward_passes_are_adjoints(case, count_include_pad, seed):
    shape, *settings, _ = case
    x = normal(seed, *shape)
    average = ops.avg_pool2d(x, *settings, count_include_pad=count_include_pad)
    y = normal(seed + 1, *average.shape)
    back = ops.avg_pool2d_backward(y, shape, *settings, count_include_pad=count_include_pad)
    np.testing.assert_allclose((average * y).sum(), (x * back).sum(), atol=1e-9)
    # The maximum is linear as long as the winners stay the same, and here they do.
    largest = ops.max_pool2d(x, *settings)
    back = ops.max_pool2d_backward(y, x, *settings)
    np.testing.assert_allclose((largest * y).sum(), (x * back).sum(), atol=1e-9)


def test_of_several_maxima_the_first_takes_all():
    image = np.array([[0.0, 2.0, 2.0], [2.0, 1.0, 0.0]])[None, None]
    grad_out = np.array([[1.0, 10.0]])[None, None]
    grad = ops.max_pool2d_backward(grad_out, image, 2, stride=1)
    assert grad[0, 0].tolist() == [[0, 11, 0], [0, 0, 0]]


@pytest.mark.parametrize("settings", [(2,), (3, 1, 1), (3, 2, 1), (2, 1, 1), ((4, 2), 1, (2, 1))])
def test_among_nothing_but_minus_infinity_the_first_pixel_takes_all(settings):
    # As in torch: padding never wins, not even against its own value, so no gradient is lost.
    images = np.full((1, 2, 4, 5), -np.inf)
    images[0, 1, 1, 1] = 0
    grad_out, expected = autograds(lambda x: F.max_pool2d(x, *settings), images, 0)
    grad = ops.max_pool2d_backward(grad_out, images, *settings)
    np.testing.assert_allclose(grad, expected, atol=1e-12)


def test_the_gradient_of_a_window_without_pixels_goes_nowhere():
    images = normal(0, 1, 1, 2, 3)
    grad_out = np.array([[[[5.0, 7.0]]]])  # offsets -1 and 2 of a 2 × 3 image: rows see nothing
    assert not ops.max_pool2d_backward(grad_out, images, 2, 1, 1, 3).any()


@pytest.mark.parametrize("settings", [(2,), (3, 1, 1), (3, 2, 1), (2, 1, 0, 2)])
def test_not_a_number_takes_the_gradient_as_in_torch(settings):
    images = normal(0, 2, 2, 6, 7)
    images[0, 0, ::2, 1::3] = np.nan  # several in one window: torch takes the last of them
    images[1, 1] = np.nan
    grad_out, expected = autograds(lambda x: F.max_pool2d(x, *settings), images, 1)
    grad = ops.max_pool2d_backward(grad_out, images, *settings)
    np.testing.assert_allclose(grad, expected, atol=1e-12)


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_keep_the_dtype(dtype):
    images = np.ones((1, 1, 4, 4), dtype)
    for padding in (0, 1):
        grad_out = ops.max_pool2d(images, 3, 1, padding)
        assert ops.max_pool2d_backward(grad_out, images, 3, 1, padding).dtype == dtype
        for included in (True, False):
            grad = ops.avg_pool2d_backward(
                grad_out, images.shape, 3, 1, padding, count_include_pad=included
            )
            assert grad.dtype == dtype


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


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "negative strides": lambda array: array[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
    "every other": lambda array: np.repeat(array, 2, axis=2)[:, :, ::2],
    "read-only": lambda array: np.broadcast_to(array, array.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("settings", [(3, 2, 1), (2,), (3,)])
def test_memory_layout_changes_no_gradient_and_inputs_stay(layout, settings):
    images = normal(0, 2, 3, 6, 7)
    grad_out = normal(1, *ops.max_pool2d(images, *settings).shape)
    others = layout(grad_out), layout(images)
    np.testing.assert_array_equal(
        ops.max_pool2d_backward(*others, *settings),
        ops.max_pool2d_backward(grad_out, images, *settings),
    )
    np.testing.assert_array_equal(
        ops.avg_pool2d_backward(others[0], images.shape, *settings),
        ops.avg_pool2d_backward(grad_out, images.shape, *settings),
    )
    np.testing.assert_array_equal(others[0], grad_out)
    np.testing.assert_array_equal(others[1], images)


def test_one_number_may_stand_for_the_whole_upstream_gradient():
    images = normal(0, 2, 3, 6, 7)
    spread = np.broadcast_to(2.0, (2, 3, 3, 3))  # read-only, all strides zero
    for backward, of in [
        (ops.max_pool2d_backward, images),
        (ops.avg_pool2d_backward, images.shape),
    ]:
        expected = backward(spread.copy(), of, 2)
        np.testing.assert_array_equal(backward(spread, of, 2), expected)


@pytest.mark.parametrize("operation", [ops.max_pool2d, ops.avg_pool2d])
def test_window_of_one_pixel_returns_a_new_array(operation):
    images = normal(0, 1, 1, 3, 3)
    out = operation(images, 1)
    np.testing.assert_array_equal(out, images)
    assert not np.shares_memory(out, images)
