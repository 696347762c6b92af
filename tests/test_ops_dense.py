"""linear, relu, softmax, cross-entropy and their backward passes against autograd in float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlib import ops

properties = settings(deadline=None, derandomize=True, database=None, max_examples=100)
sizes = st.integers(1, 6)
seeds = st.integers(0, 2**32)


def normal(seed, *shape, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def autograds(function, grad_out, *arrays):
    """The output and the gradients of all arrays, by autograd."""
    leaves = [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]
    out = function(*leaves)
    grads = torch.autograd.grad(out, leaves, torch.as_tensor(grad_out, dtype=out.dtype))
    return out.detach().numpy(), [grad.numpy() for grad in grads]


@properties
@given(st.integers(0, 5), sizes, sizes, seeds)
def test_linear_and_its_backward_are_torchs(N, in_features, out_features, seed):
    features, weight = normal(seed, N, in_features), normal(seed + 1, out_features, in_features)
    bias, grad_out = normal(seed + 2, out_features), normal(seed + 3, N, out_features)
    expected, expected_grads = autograds(F.linear, grad_out, features, weight, bias)
    np.testing.assert_allclose(ops.linear(features, weight, bias), expected, atol=1e-12)
    without = expected - bias
    np.testing.assert_allclose(ops.linear(features, weight), without, atol=1e-12)
    grads = ops.linear_backward(grad_out, features, weight)
    for grad, theirs in zip(grads, expected_grads, strict=True):
        assert grad.shape == theirs.shape
        np.testing.assert_allclose(grad, theirs, atol=1e-12)


@properties
@given(st.lists(sizes, min_size=1, max_size=4), seeds)
def test_relu_and_its_backward_are_torchs(shape, seed):
    values, grad_out = normal(seed, *shape), normal(seed + 1, *shape)
    values[values < -1] = 0
    expected, (expected_grad,) = autograds(F.relu, grad_out, values)
    np.testing.assert_array_equal(ops.relu(values), expected)
    np.testing.assert_array_equal(ops.relu_backward(grad_out, values), expected_grad)
    np.testing.assert_array_equal(ops.relu_backward(grad_out, ops.relu(values)), expected_grad)


def test_relu_keeps_what_is_not_a_number():
    values = np.array([np.nan, -np.inf, np.inf, -0.0])
    np.testing.assert_array_equal(ops.relu(values), [np.nan, 0, np.inf, 0])
    grad = ops.relu_backward(np.array([1.0, np.nan, 2.0, np.inf]), values)
    np.testing.assert_array_equal(grad, [0, 0, 2, 0])  # nothing leaks through a closed gate


@properties
@given(st.integers(0, 5), sizes, st.sampled_from([1.0, 30.0, 1e4, 1e30]), seeds)
def test_softmax_and_log_softmax_are_torchs_at_any_size(N, num_classes, size, seed):
    logits = size * normal(seed, N, num_classes)
    there = torch.from_numpy(logits)
    np.testing.assert_allclose(ops.softmax(logits), F.softmax(there, 1).numpy(), rtol=1e-9)
    np.testing.assert_allclose(ops.log_softmax(logits), F.log_softmax(there, 1).numpy(), rtol=1e-12)
    np.testing.assert_allclose(ops.softmax(logits).sum(axis=1), 1)


def test_softmax_of_logits_that_would_overflow():
    np.testing.assert_array_equal(ops.softmax(np.array([[1e308, 0.0, 1.0]])), [[1, 0, 0]])
    half = np.array([[700.0, 700.0]], np.float32)  # exp overflows float32 beyond 88
    np.testing.assert_array_equal(ops.softmax(half), [[0.5, 0.5]])
    tiny = ops.log_softmax(np.array([[0.0, -1000.0]]))
    np.testing.assert_array_equal(tiny, [[0, -1000]])


def test_a_logit_of_minus_infinity_is_a_class_that_cannot_be():
    logits = np.array([[0.0, -np.inf, 0.0]])
    np.testing.assert_allclose(ops.softmax(logits), [[0.5, 0, 0.5]])
    assert ops.log_softmax(logits)[0, 1] == -np.inf


@properties
@given(sizes, sizes, st.sampled_from([1.0, 30.0, 1e4]), st.floats(-3, 3), seeds)
def test_cross_entropy_and_its_backward_are_torchs(N, num_classes, size, grad_out, seed):
    logits = size * normal(seed, N, num_classes)
    labels = np.random.default_rng(seed).integers(num_classes, size=N)
    expected, (expected_grad,) = autograds(
        lambda x: F.cross_entropy(x, torch.from_numpy(labels)), grad_out, logits
    )
    loss = ops.softmax_cross_entropy(logits, labels)
    assert np.ndim(loss) == 0
    np.testing.assert_allclose(loss, expected, rtol=1e-12, atol=1e-12)
    grad = ops.softmax_cross_entropy_backward(grad_out, logits, labels)
    np.testing.assert_allclose(grad, expected_grad, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.int64, np.uint64])
def test_labels_of_any_integer_dtype(dtype):
    logits, labels = normal(0, 3, 4), np.array([3, 0, 1])
    assert ops.softmax_cross_entropy(logits, labels.astype(dtype)) == ops.softmax_cross_entropy(
        logits, labels
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_kept(dtype):
    features, weight, bias = (
        normal(0, 3, 4, dtype=dtype),
        normal(1, 2, 4, dtype=dtype),
        np.ones(2, dtype),
    )
    out, labels = ops.linear(features, weight, bias), np.array([0, 1, 1])
    results = [out, *ops.linear_backward(out, features, weight), ops.relu(out)]
    results += [ops.relu_backward(out, out), ops.softmax(out), ops.log_softmax(out)]
    results += [ops.softmax_cross_entropy(out, labels)]
    results += [ops.softmax_cross_entropy_backward(np.float64(2), out, labels)]
    assert {result.dtype for result in results} == {np.dtype(dtype)}


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "negative strides": lambda array: array[..., ::-1].copy()[..., ::-1],
    "every other": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "read-only": lambda array: np.broadcast_to(array, array.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_memory_layout_changes_nothing_and_inputs_stay(layout):
    features, weight, bias, grad_out = (
        normal(0, 3, 4),
        normal(1, 2, 4),
        normal(2, 2),
        normal(3, 3, 2),
    )
    labels = np.array([0, 1, 1])
    calls = [
        (ops.linear, features, weight, bias),
        (ops.linear_backward, grad_out, features, weight),
        (ops.relu, features),
        (ops.relu_backward, grad_out, grad_out + 0.1),
        (ops.softmax, features),
        (ops.log_softmax, features),
        (ops.softmax_cross_entropy, features, labels),
        (ops.softmax_cross_entropy_backward, np.float64(2), features, labels),
    ]
    for operation, *arrays in calls:
        others = [layout(array) if np.ndim(array) else array for array in arrays]
        expected, results = operation(*arrays), operation(*others)
        if not isinstance(expected, tuple):
            expected, results = [expected], [results]
        for result, right in zip(results, expected, strict=True):
            np.testing.assert_allclose(result, right, atol=1e-13)
            if np.ndim(result):
                assert result.flags.writeable
                assert not any(np.shares_memory(result, other) for other in others)
        for other, array in zip(others, arrays, strict=True):
            np.testing.assert_array_equal(other, array)


def test_one_number_may_stand_for_the_whole_upstream_gradient():
    features, weight = normal(0, 3, 4), normal(1, 2, 4)
    spread = np.broadcast_to(2.0, (3, 2))
    expected = ops.linear_backward(spread.copy(), features, weight)
    for grad, right in zip(ops.linear_backward(spread, features, weight), expected, strict=True):
        np.testing.assert_allclose(grad, right, atol=1e-13)
    values = features[:, :2]
    np.testing.assert_array_equal(
        ops.relu_backward(spread, values), ops.relu_backward(spread.copy(), values)
    )
