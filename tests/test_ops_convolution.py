"""conv2d, its backward and conv_transpose2d against torch in float64, and against each other."""

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlib import ops
from cnnlib.ops import windows

properties = settings(deadline=None, derandomize=True, database=None, max_examples=250)


def normal(seed, *shape, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def int_or_pair(low, high):
    number = st.integers(low, high)
    return number | st.tuples(number, number)


def both(setting):
    return setting if isinstance(setting, tuple) else (setting, setting)


@st.composite
def convolutions(draw, words=True):
    """Shapes and settings of a convolution whose kernel fits into the padded image."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(int_or_pair(1, 3))
    padding = draw(int_or_pair(0, 4) | st.sampled_from(["same", "valid"] if words else [0]))
    stride = 1 if padding == "same" else draw(int_or_pair(1, 4))
    groups = draw(st.integers(1, 3))
    channels = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    sides = []
    for axis in range(2):
        pad = 0 if isinstance(padding, str) else both(padding)[axis]
        smallest = both(dilation)[axis] * (kernel[axis] - 1) + 1 - 2 * pad
        sides.append(max(1, smallest) + draw(st.integers(0, 6)))
    images_shape = (draw(st.integers(1, 3)), channels[0], *sides)
    weight_shape = (channels[1], channels[0] // groups, *kernel)
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return images_shape, weight_shape, settings


def torch_conv2d(images, weight, bias, **settings):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using padding='same'")
        bias = None if bias is None else torch.from_numpy(bias)
        return F.conv2d(
            torch.from_numpy(images), torch.from_numpy(weight), bias, **settings
        ).numpy()


@properties
@given(convolutions(), st.booleans(), st.integers(0, 2**32))
def test_conv2d_is_torchs(case, with_bias, seed):
    images_shape, weight_shape, settings = case
    images, weight = normal(seed, *images_shape), normal(seed + 1, *weight_shape)
    bias = normal(seed + 2, weight_shape[0]) if with_bias else None
    expected = torch_conv2d(images, weight, bias, **settings)
    out = ops.conv2d(images, weight, bias, **settings)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-10)


@properties
@given(convolutions(), st.integers(0, 2**32))
def test_conv2d_backward_is_autograds(case, seed):
    images_shape, weight_shape, settings = case
    images, weight = normal(seed, *images_shape), normal(seed + 1, *weight_shape)
    out, *expected = torch_conv2d_grads(images, weight, seed + 2, **settings)
    grads = ops.conv2d_backward(out, images, weight, **settings)
    assert len(grads) == 3
    for grad, theirs in zip(grads, expected, strict=True):
        assert grad.shape == theirs.shape
        np.testing.assert_allclose(grad, theirs, rtol=1e-10, atol=1e-10)


def torch_conv2d_grads(images, weight, seed, **settings):
    """A random grad_out, and what autograd makes of it: the images', weight's and bias's."""
    leaves = [torch.from_numpy(array).requires_grad_() for array in (images, weight)]
    leaves.append(torch.zeros(len(weight), dtype=leaves[1].dtype, requires_grad=True))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using padding='same'")
        out = F.conv2d(*leaves, **settings)
    grad_out = normal(seed, *out.shape, dtype=images.dtype)
    grads = torch.autograd.grad(out, leaves, torch.from_numpy(grad_out))
    return grad_out, *(grad.numpy() for grad in grads)


@properties
@given(convolutions(), st.integers(0, 2**32))
def test_conv2d_backward_is_the_adjoint_of_conv2d(case, seed):
    images_shape, weight_shape, settings = case
    x, weight = normal(seed, *images_shape), normal(seed + 1, *weight_shape)
    out = ops.conv2d(x, weight, **settings)
    y = normal(seed + 2, *out.shape)
    grad_images, grad_weight, grad_bias = ops.conv2d_backward(y, x, weight, **settings)
    # conv2d is linear in the images, and linear in the weight: both have an adjoint.
    np.testing.assert_allclose((x * grad_images).sum(), (out * y).sum(), atol=1e-9)
    np.testing.assert_allclose((weight * grad_weight).sum(), (out * y).sum(), atol=1e-9)
    bias = normal(seed + 3, len(weight))
    np.testing.assert_allclose(grad_bias @ bias, (y * bias[:, None, None]).sum(), atol=1e-9)


def test_conv2d_backward_by_hand():
    image = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])[None, None]
    kernel = np.array([[1.0, 0.0], [0.0, -2.0]])[None, None]
    grad_out = np.array([[1.0, 0.0], [0.0, 10.0]])[None, None]  # two windows of four take part
    grads = ops.conv2d_backward(grad_out, image, kernel)
    assert grads[0][0, 0].tolist() == [[1, 0, 0], [0, -2 + 10, 0], [0, 0, -20]]
    assert grads[1][0, 0].tolist() == [[1 + 50, 2 + 60], [4 + 80, 5 + 90]]
    assert grads[2].tolist() == [11]


@properties
@given(convolutions(words=False), int_or_pair(0, 3), st.booleans(), st.integers(0, 2**32))
def test_conv_transpose2d_is_torchs(case, extra, with_bias, seed):
    (N, C, H, W), weight_shape, settings = case
    stride, dilation = both(settings["stride"]), both(settings["dilation"])
    extra = tuple(
        min(e, max(s, d) - 1) for e, s, d in zip(both(extra), stride, dilation, strict=True)
    )
    # The weight leads from O channels back to C: (O, C / groups, kh, kw) as conv2d has it.
    images, weight = normal(seed, N, weight_shape[0], H, W), normal(seed + 1, *weight_shape)
    bias = normal(seed + 2, C) if with_bias else None
    arguments = [None if array is None else torch.from_numpy(array) for array in (weight, bias)]
    settings["output_padding"] = extra
    try:
        expected = F.conv_transpose2d(torch.from_numpy(images), *arguments, **settings).numpy()
    except RuntimeError:  # the padding took everything away
        with pytest.raises(ValueError, match="expected an output of at least 1 × 1"):
            ops.conv_transpose2d(images, weight, bias, **settings)
        return
    out = ops.conv_transpose2d(images, weight, bias, **settings)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-10)


def test_an_empty_batch_has_an_empty_answer():
    images = np.zeros((0, 2, 5, 6))
    assert ops.conv2d(images, np.zeros((3, 2, 2, 2))).shape == (0, 3, 4, 5)
    grads = ops.conv2d_backward(np.zeros((0, 3, 4, 5)), images, np.ones((3, 2, 2, 2)))
    assert [grad.shape for grad in grads] == [(0, 2, 5, 6), (3, 2, 2, 2), (3,)]
    assert not grads[1].any()
    assert ops.conv_transpose2d(images, np.zeros((2, 3, 2, 2))).shape == (0, 3, 6, 7)


@properties
@given(convolutions(words=False), st.integers(0, 2**32))
def test_conv_transpose2d_is_the_adjoint_of_conv2d(case, seed):
    images_shape, weight_shape, settings = case
    x, weight = normal(seed, *images_shape), normal(seed + 1, *weight_shape)
    image_of_x = ops.conv2d(x, weight, **settings)
    y = normal(seed + 2, *image_of_x.shape)
    # output_padding chooses, of all image sizes that lead to y's size, the size of x.
    extra = [
        (size + 2 * p - d * (k - 1) - 1) % s
        for size, k, s, p, d in zip(
            x.shape[2:],
            weight.shape[2:],
            both(settings["stride"]),
            both(settings["padding"]),
            both(settings["dilation"]),
            strict=True,
        )
    ]
    image_of_y = ops.conv_transpose2d(y, weight, **settings, output_padding=tuple(extra))
    assert image_of_y.shape == x.shape
    np.testing.assert_allclose((image_of_x * y).sum(), (x * image_of_y).sum(), atol=1e-9)


def test_conv2d_by_hand():
    image = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])[None, None]
    kernel = np.array([[1.0, 0.0], [0.0, -2.0]])[None, None]  # top left minus twice bottom right
    assert ops.conv2d(image, kernel)[0, 0].tolist() == [[-9.0, -10.0], [-12.0, -13.0]]


@pytest.mark.parametrize("block_bytes", [1, 5000, 12_000, 10**9])
def test_the_size_of_a_block_changes_nothing(monkeypatch, block_bytes):
    # From one image a time, over blocks with a rest, to all seven at once.
    images, weight = normal(0, 7, 2, 5, 6), normal(1, 3, 2, 2, 3)
    expected = torch_conv2d(images, weight, None, padding=1, stride=(2, 1))
    transposed = ops.conv_transpose2d(expected, weight, padding=1, stride=(2, 1))
    monkeypatch.setattr(windows, "BLOCK_BYTES", block_bytes)
    out = ops.conv2d(images, weight, padding=1, stride=(2, 1))
    np.testing.assert_allclose(out, expected, atol=1e-12)
    again = ops.conv_transpose2d(expected, weight, padding=1, stride=(2, 1))
    np.testing.assert_array_equal(again, transposed)
    grad_out, *grads = torch_conv2d_grads(images, weight, 2, padding=1, stride=(2, 1))
    for grad, theirs in zip(
        ops.conv2d_backward(grad_out, images, weight, padding=1, stride=(2, 1)), grads, strict=True
    ):
        np.testing.assert_allclose(grad, theirs, atol=1e-12)
    # At stride 1, where the gradient of the images may be taken another way.
    grad_out, *grads = torch_conv2d_grads(images, weight, 3, padding=1)
    for grad, theirs in zip(
        ops.conv2d_backward(grad_out, images, weight, padding=1), grads, strict=True
    ):
        np.testing.assert_allclose(grad, theirs, atol=1e-12)


@pytest.mark.parametrize("shape", [(64, 16, 28, 28), (9, 3, 32, 32)])
def test_conv2d_at_full_size_in_float32(shape):
    images = normal(0, *shape, dtype=np.float32)
    weight, bias = normal(1, 32, shape[1], 3, 3, dtype=np.float32), normal(2, 32).astype(np.float32)
    out = ops.conv2d(images, weight, bias, padding=1)
    np.testing.assert_allclose(
        out, torch_conv2d(images, weight, bias, padding=1), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize("shape", [(64, 16, 28, 28), (9, 3, 32, 32)])
@pytest.mark.parametrize("settings", [{"padding": 1}, {"stride": 2}])
def test_conv2d_backward_at_full_size_in_float32(shape, settings):
    images = normal(0, *shape, dtype=np.float32)
    weight = normal(1, 32, shape[1], 3, 3, dtype=np.float32)
    grad_out, *expected = torch_conv2d_grads(images, weight, 2, **settings)
    grads = ops.conv2d_backward(grad_out, images, weight, **settings)
    for grad, theirs in zip(grads, expected, strict=True):
        # Sums of up to 50,000 products: compared with the size of the sums, not of each.
        assert np.abs(grad - theirs).max() < 1e-4 * np.abs(theirs).max()


@pytest.mark.parametrize("operation", [ops.conv2d, ops.conv_transpose2d])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(operation, dtype):
    images, weight = normal(0, 2, 4, 5, 5, dtype=dtype), normal(1, 4, 4, 3, 3, dtype=dtype)
    assert operation(images, weight).dtype == dtype
    assert operation(images, weight, np.ones(4, dtype), padding=1).dtype == dtype


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_keep_the_dtype_and_are_new_arrays(dtype, stride):
    images, weight = normal(0, 2, 4, 5, 5, dtype=dtype), normal(1, 4, 4, 1, 1, dtype=dtype)
    grad_out = ops.conv2d(images, weight, stride=stride)
    for grad in ops.conv2d_backward(grad_out, images, weight, stride=stride):
        assert grad.dtype == dtype
        assert grad.flags.writeable
        assert not any(np.shares_memory(grad, array) for array in (grad_out, images, weight))


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "negative strides": lambda array: array[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
    "every other": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "channels last": lambda array: np.moveaxis(np.moveaxis(array, 1, -1).copy(), -1, 1),
    "read-only": read_only,
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("operation", [ops.conv2d, ops.conv_transpose2d])
def test_memory_layout_changes_nothing_and_inputs_stay(operation, layout):
    images, weight, bias = normal(0, 2, 4, 6, 5), normal(1, 4, 2, 3, 3), normal(2, 4)
    settings = {"stride": 2, "padding": 1, "groups": 2}
    expected = operation(images, weight, bias, **settings)
    other_images, other_weight = layout(images), layout(weight)
    out = operation(other_images, other_weight, np.repeat(bias, 2)[::2], **settings)
    np.testing.assert_allclose(out, expected, atol=1e-12)
    np.testing.assert_array_equal(other_images, images)
    np.testing.assert_array_equal(other_weight, weight)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("stride", [1, 2])
def test_memory_layout_changes_no_gradient_and_inputs_stay(layout, stride):
    images, weight = normal(0, 2, 4, 6, 5), normal(1, 4, 2, 3, 3)
    settings = {"stride": stride, "padding": 1, "groups": 2}
    grad_out = normal(2, *ops.conv2d(images, weight, **settings).shape)
    arrays = grad_out, images, weight
    others = [layout(array) for array in arrays]
    expected = ops.conv2d_backward(*arrays, **settings)
    for grad, right in zip(ops.conv2d_backward(*others, **settings), expected, strict=True):
        np.testing.assert_allclose(grad, right, atol=1e-12)
    for other, array in zip(others, arrays, strict=True):
        np.testing.assert_array_equal(other, array)


@pytest.mark.parametrize("stride", [1, 2])
def test_one_number_may_stand_for_the_whole_upstream_gradient(stride):
    images, weight = normal(0, 2, 4, 6, 5), normal(1, 4, 4, 3, 3)
    shape = ops.conv2d(images, weight, stride=stride).shape
    spread = np.broadcast_to(2.0, shape)  # read-only, all strides zero
    expected = ops.conv2d_backward(spread.copy(), images, weight, stride=stride)
    grads = ops.conv2d_backward(spread, images, weight, stride=stride)
    for grad, right in zip(grads, expected, strict=True):
        np.testing.assert_allclose(grad, right, atol=1e-12)


@pytest.mark.parametrize("operation", [ops.conv2d, ops.conv_transpose2d])
def test_one_by_one_kernel_returns_a_new_array(operation):
    images = normal(0, 1, 1, 3, 3)
    out = operation(images, np.ones((1, 1, 1, 1)))
    np.testing.assert_array_equal(out, images)
    assert not np.shares_memory(out, images)
    assert out.flags.writeable


def test_not_a_number_stays_where_its_windows_are():
    images = np.zeros((1, 1, 5, 5))
    images[0, 0, 0, 4] = np.nan
    out = ops.conv2d(images, np.ones((1, 1, 2, 2)))
    assert np.argwhere(np.isnan(out[0, 0])).tolist() == [[0, 3]]
