"""The fully connected layer and the activation between layers."""

import numpy as np

from cnnlib.ops.checks import check_features, check_floats, check_grad


def linear(features: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Fully connected layer: every output is a weighted sum of every input.

    Args:
        features: (N, in_features), float32 or float64.
        weight: (out_features, in_features), of the features' dtype.
        bias: (out_features,) of the features' dtype, or None.

    Returns:
        (N, out_features), of the features' dtype.

    Raises:
        TypeError: not NumPy arrays of one dtype, float32 or float64.
        ValueError: shapes that do not go together.

    Example:
        >>> linear(np.array([[1.0, 2.0]]), np.array([[10.0, 1.0]]), np.array([0.5]))
        array([[12.5]])

    Taught in notebook 05.
    """
    check_linear(features, weight, bias)
    out = features @ weight.T
    return out if bias is None else out + bias


def linear_backward(
    grad_out: np.ndarray, features: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three gradients of linear.

    Args:
        grad_out: (N, out_features), of the features' dtype.
        features, weight: those of the call to linear.

    Returns:
        grad_features (N, in_features), grad_weight (out_features, in_features) and grad_bias
        (out_features,).

    Raises:
        TypeError: not NumPy arrays of one dtype, float32 or float64.
        ValueError: shapes that do not go together.

    Example:
        >>> features, weight = np.array([[3.0, 4.0]]), np.array([[1.0, 5.0]])
        >>> linear_backward(np.array([[2.0]]), features, weight)
        (array([[ 2., 10.]]), array([[6., 8.]]), array([2.]))

    Taught in notebook 06.
    """
    check_linear(features, weight, None)
    check_grad(grad_out, (len(features), len(weight)), features.dtype)
    return grad_out @ weight, grad_out.T @ features, grad_out.sum(axis=0)


def check_linear(features: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> None:
    """Raise an error unless the three go together."""
    in_features = check_features(features)[1]
    check_floats(weight, "weight", features.dtype)
    if weight.ndim != 2 or weight.shape[0] == 0 or weight.shape[1] != in_features:
        raise ValueError(
            f"expected weight (out_features, in_features) with {in_features} in_features, "
            f"got {weight.shape}"
        )
    if bias is not None:
        check_floats(bias, "bias", features.dtype)
        if bias.shape != (len(weight),):
            raise ValueError(f"expected bias ({len(weight)},), got {bias.shape}")


def relu(values: np.ndarray) -> np.ndarray:
    """Rectified linear unit: negative values become zero.

    Args:
        values: any shape, float32 or float64.

    Returns:
        An array of the same shape and dtype.

    Raises:
        TypeError: not a NumPy array of float32 or float64.

    Example:
        >>> relu(np.array([-2.0, 0.0, 3.0]))
        array([0., 0., 3.])

    Taught in notebook 05.
    """
    check_floats(values, "values")
    return np.maximum(values, 0)


def relu_backward(grad_out: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Let the gradient through where the value was positive; at zero it is stopped, as in torch.

    Args:
        grad_out: the shape and dtype of values.
        values: what went into relu (its output does as well).

    Returns:
        grad_values, of the same shape and dtype.

    Raises:
        TypeError: not NumPy arrays of one dtype, float32 or float64.
        ValueError: shapes that differ.

    Example:
        >>> relu_backward(np.array([5.0, 5.0, 5.0]), np.array([-2.0, 0.0, 3.0]))
        array([0., 0., 5.])

    Taught in notebook 06.
    """
    check_floats(values, "values")
    check_grad(grad_out, values.shape, values.dtype)
    return np.where(values > 0, grad_out, 0)
