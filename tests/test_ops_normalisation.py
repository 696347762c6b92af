"""batch_norm and dropout with their backward passes, against torch and against what is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlib import ops

properties = settings(deadline=None, derandomize=True, database=None, max_examples=150)
seeds = st.integers(0, 2**32)


def normal(seed, *shape, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@st.composite
def normalisations(draw):
    """images' shape, and whether there are weights and biases, and running statistics."""
    C = draw(st.integers(1, 4))
    shape = (draw(st.integers(2, 5)), C)
    if draw(st.booleans()):
        shape = (draw(st.integers(1, 4)), C, draw(st.integers(1, 4)), draw(st.integers(2, 4)))
    training = draw(st.booleans())
    running = not training or draw(st.booleans())
    return shape, training, running, draw(st.booleans())


def torch_batch_norm(images, mean, var, weight, bias, grad_out=None, **settings):
    """The output, and the gradients of images, weight and bias where there is a grad_out."""
    arrays = [images, weight, bias]
    leaves = [None if a is None else torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    running = [None if a is None else torch.from_numpy(a) for a in (mean, var)]
    out = F.batch_norm(leaves[0], *running, *leaves[1:], **settings)
    if grad_out is None:
        return out.detach().numpy()
    leaves = [leaf for leaf in leaves if leaf is not None]
    return [g.numpy() for g in torch.autograd.grad(out, leaves, torch.from_numpy(grad_out))]


@properties
@given(normalisations(), st.sampled_from([0.0, 0.1, 1.0]), st.sampled_from([1e-5, 0.3]), seeds)
def test_batch_norm_is_torchs_and_moves_the_statistics_alike(case, momentum, eps, seed):
    shape, training, running, affine = case
    C = shape[1]
    images = 2 * normal(seed, *shape) + 3
    weight, bias = (normal(seed + 1, C), normal(seed + 2, C)) if affine else (None, None)
    mean, var = (normal(seed + 3, C), normal(seed + 4, C) ** 2) if running else (None, None)
    theirs = [array.copy() if running else None for array in (mean, var)]
    settings = {"training": training, "momentum": momentum, "eps": eps}
    expected = torch_batch_norm(images, *theirs, weight, bias, **settings)
    kept = images.copy()
    out = ops.batch_norm(images, mean, var, weight, bias, **settings)
    np.testing.assert_allclose(out, expected, rtol=1e-9, atol=1e-10)
    np.testing.assert_array_equal(images, kept)
    if running:
        np.testing.assert_allclose(mean, theirs[0], atol=1e-12)
        np.testing.assert_allclose(var, theirs[1], atol=1e-12)


@properties
@given(normalisations(), st.sampled_from([1e-5, 0.3]), seeds)
def test_batch_norm_backward_is_autograds(case, eps, seed):
    shape, training, running, affine = case
    C = shape[1]
    images, grad_out = 2 * normal(seed, *shape) + 3, normal(seed + 5, *shape)
    weight = normal(seed + 1, C)
    mean, var = (normal(seed + 3, C), normal(seed + 4, C) ** 2) if running else (None, None)
    statistics = [array.copy() if running else None for array in (mean, var)]
    bias = np.zeros(C)
    expected = torch_batch_norm(
        images,
        *[None if s is None else s.copy() for s in statistics],
        weight if affine else np.ones(C),
        bias,
        grad_out,
        training=training,
        eps=eps,
    )
    kept = images.copy(), grad_out.copy()
    grads = ops.batch_norm_backward(
        grad_out, images, mean, var, weight if affine else None, training=training, eps=eps
    )
    for grad, theirs in zip(grads, expected, strict=True):
        assert grad.shape == theirs.shape
        np.testing.assert_allclose(grad, theirs, rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(images, kept[0])
    np.testing.assert_array_equal(grad_out, kept[1])
    if running:
        np.testing.assert_array_equal(mean, statistics[0])  # backward moves nothing
        np.testing.assert_array_equal(var, statistics[1])


def test_the_running_variance_is_unbiased_and_the_normalising_one_is_not():
    images = np.array([[0.0], [2.0], [4.0]])  # mean 2; variance 8 / 3 biased, 4 unbiased
    mean, var = np.zeros(1), np.zeros(1)
    out = ops.batch_norm(images, mean, var, training=True, momentum=1.0, eps=0.0)
    assert (mean[0], var[0]) == (2, 4)
    np.testing.assert_allclose(out.ravel(), np.array([-2, 0, 2]) / np.sqrt(8 / 3))


def test_weight_and_bias_that_are_left_out_are_one_and_zero():
    images, C = normal(0, 4, 3, 2, 2), 3
    np.testing.assert_allclose(
        ops.batch_norm(images, None, None, training=True),
        ops.batch_norm(images, None, None, np.ones(C), np.zeros(C), training=True),
        atol=1e-12,
    )


def test_one_image_with_several_pixels_can_be_normalised():
    out = ops.batch_norm(normal(0, 1, 2, 3, 3), None, None, training=True)
    np.testing.assert_allclose(out.mean(axis=(0, 2, 3)), 0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_keeps_the_dtype(dtype, training):
    images = normal(0, 4, 2, 3, 3, dtype=dtype)
    mean, var, weight, bias = (np.ones(2, dtype) for _ in range(4))
    results = [ops.batch_norm(images, mean, var, weight, bias, training=training)]
    results += ops.batch_norm_backward(images, images, mean, var, weight, training=training)
    results += [mean, var]
    assert {result.dtype for result in results} == {np.dtype(dtype)}


def test_float32_keeps_its_digits_far_from_zero():
    # Mean 1000, deviation 1: squares minus the square of the mean would lose nearly everything.
    images = normal(0, 64, 2, 8, 8) + 1000
    expected = torch_batch_norm(images, None, None, None, None, training=True)
    out = ops.batch_norm(images.astype(np.float32), None, None, training=True)
    assert np.abs(out - expected).max() < 1e-3


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "negative strides": lambda array: array[..., ::-1].copy()[..., ::-1],
    "every other": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "read-only": lambda array: np.broadcast_to(array, array.shape),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_memory_layout_changes_nothing_and_inputs_stay(layout, training):
    images, grad_out, weight, bias = normal(0, 3, 2, 4, 5), normal(1, 3, 2, 4, 5), *normal(2, 2, 2)
    mean, var = np.zeros(2), np.ones(2)
    others = [layout(array) for array in (images, grad_out, weight, bias)]
    other_statistics = mean.copy(), var.copy()
    out = ops.batch_norm(images, mean, var, weight, bias, training=training)
    other = ops.batch_norm(others[0], *other_statistics, *others[2:], training=training)
    np.testing.assert_allclose(other, out, atol=1e-12)
    expected = ops.batch_norm_backward(grad_out, images, mean, var, weight, training=training)
    grads = ops.batch_norm_backward(
        others[1], others[0], *other_statistics, others[2], training=training
    )
    for grad, right in zip(grads, expected, strict=True):
        np.testing.assert_allclose(grad, right, atol=1e-12)
    for changed, array in zip(others, (images, grad_out, weight, bias), strict=True):
        np.testing.assert_array_equal(changed, array)
    spread = np.broadcast_to(2.0, images.shape)
    for grad, right in zip(
        ops.batch_norm_backward(spread, images, mean, var, weight, training=training),
        ops.batch_norm_backward(spread.copy(), images, mean, var, weight, training=training),
        strict=True,
    ):
        np.testing.assert_allclose(grad, right, atol=1e-12)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_drops_the_share_p_and_keeps_the_mean(p):
    values = normal(0, 200, 200) + 2
    out, mask = ops.dropout(values, p, training=True, rng=np.random.default_rng(1))
    n = values.size
    spread = np.sqrt(p * (1 - p) / n)
    assert abs((mask == 0).mean() - p) < 4 * spread
    np.testing.assert_allclose(np.unique(mask), [0, 1 / (1 - p)])
    np.testing.assert_array_equal(out, values * mask)
    assert abs(mask.mean() - 1) < 4 * spread / (1 - p)
    # Rows and columns are dropped evenly, not whole ones together.
    for axis in (0, 1):
        assert (mask == 0).mean(axis=axis).std() < 1.3 * np.sqrt(p * (1 - p) / 200)


def test_dropout_draws_anew_and_repeats_from_the_same_seed():
    values = np.ones((20, 20))
    rng = np.random.default_rng(0)
    first, second = (ops.dropout(values, training=True, rng=rng)[1] for _ in range(2))
    again = ops.dropout(values, training=True, rng=np.random.default_rng(0))[1]
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)


def test_dropout_is_half_unless_told():
    mask = ops.dropout(np.ones(1000), training=True, rng=np.random.default_rng(0))[1]
    assert np.unique(mask).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("p", "training", "factor"), [(0.0, True, 1), (1, True, 0), (0.7, False, 1)]
)
def test_dropout_of_nothing_and_of_everything(p, training, factor):
    values = normal(0, 3, 4)
    out, mask = ops.dropout(values, p, training=training, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(out, values * factor)
    np.testing.assert_array_equal(mask, np.full((3, 4), factor))
    assert not np.shares_memory(out, values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [0, 0.3, 1])
def test_dropout_keeps_the_dtype(dtype, p):
    values = np.ones((3, 4), dtype)
    out, mask = ops.dropout(values, p, training=True, rng=np.random.default_rng(0))
    assert out.dtype == mask.dtype == ops.dropout_backward(values, mask).dtype == dtype


@properties
@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.sampled_from([0.0, 0.3, 1.0]), seeds)
def test_dropout_backward_is_autograds(shape, p, seed):
    values, grad_out = normal(seed, *shape), normal(seed + 1, *shape)
    mask = ops.dropout(values, p, training=True, rng=np.random.default_rng(seed))[1]
    kept = grad_out.copy(), mask.copy()
    leaf = torch.from_numpy(values).requires_grad_()
    out = leaf * torch.from_numpy(mask)
    expected = torch.autograd.grad(out, leaf, torch.from_numpy(grad_out))[0].numpy()
    np.testing.assert_array_equal(ops.dropout_backward(grad_out, mask), expected)
    np.testing.assert_array_equal(grad_out, kept[0])
    np.testing.assert_array_equal(mask, kept[1])
