"""Batch normalisation and dropout: two layers that behave differently while they train."""

import numpy as np

from cnnlib.ops.checks import check_floats, check_grad


def batch_norm(
    images: np.ndarray,
    running_mean: np.ndarray | None,
    running_var: np.ndarray | None,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    *,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> np.ndarray:
    """Bring every channel to mean 0 and variance 1, then to a learned scale and level.

    Args:
        images: (N, C, H, W), or features (N, C), float32 or float64.
        running_mean, running_var: (C,). When training they are moved, in place, towards the
            batch's mean and *unbiased* variance (divided by n - 1); otherwise they are used.
            None and None when training: nothing is kept.
        weight, bias: (C,), the scale and level; None means 1 and 0.
        training: normalise with the batch's mean and *biased* variance (divided by n), or with
            the running ones.
        momentum: the share of the new in the running statistics, 0 to 1.
        eps: added to the variance, so that an even channel does not divide by zero.

    Returns:
        An array of the images' shape and dtype.

    Raises:
        TypeError: not NumPy arrays of one dtype, float32 or float64.
        ValueError: shapes that do not go together, no running statistics when not training, or
            a batch with one value a channel when training (it would be normalised to zero).

    Example:
        >>> images = np.array([[1.0], [3.0]])
        >>> mean, var = np.zeros(1), np.ones(1)
        >>> batch_norm(images, mean, var, training=True).round(3)
        array([[-1.],
               [ 1.]])
        >>> mean, var  # a tenth of the way: to the mean 2 and the unbiased variance 2
        (array([0.2]), array([1.1]))

    Source: Ioffe and Szegedy, Batch normalization (2015).

    Taught in notebook 06.
    """
    C = check_batch_norm(images, running_mean, running_var, weight, bias, training)
    axes, n = other_axes(images)
    if training:
        mean, var = images.mean(axis=axes), images.var(axis=axes)
        if running_mean is not None:
            running_mean += momentum * (mean - running_mean)
            running_var += momentum * (var * (n / (n - 1)) - running_var)
    else:
        mean, var = running_mean, running_var
    scale = 1 / np.sqrt(var + images.dtype.type(eps))
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    shape = (1, C) + (1,) * (images.ndim - 2)
    return images * scale.reshape(shape) + shift.reshape(shape)


def batch_norm_backward(
    grad_out: np.ndarray,
    images: np.ndarray,
    running_mean: np.ndarray | None,
    running_var: np.ndarray | None,
    weight: np.ndarray | None = None,
    *,
    training: bool = False,
    eps: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three gradients of batch_norm.

    When training, the mean and the variance depend on every pixel of the channel, so each
    pixel's gradient depends on all the others': what would only move the mean or stretch the
    variance is taken out of it.

    Args:
        grad_out: the shape and dtype of images.
        images, running_mean, running_var, weight, training, eps: those of the call to batch_norm
            (when training, the running statistics play no part).

    Returns:
        grad_images, of the images' shape, grad_weight (C,) and grad_bias (C,).

    Raises:
        TypeError, ValueError: as in batch_norm, or a grad_out of another shape.

    Example:
        >>> images = np.array([[1.0], [2.0], [6.0]])
        >>> grad_out = np.array([[1.0], [0.0], [0.0]])
        >>> grads = batch_norm_backward(grad_out, images, None, None, training=True)
        >>> bool(abs(grads[0].sum()) < 1e-12)  # moving all pixels together changes nothing
        True

    Source: Ioffe and Szegedy, Batch normalization (2015).

    Taught in notebook 06.
    """
    C = check_batch_norm(images, running_mean, running_var, weight, None, training)
    check_grad(grad_out, images.shape, images.dtype)
    axes, n = other_axes(images)
    shape = (1, C) + (1,) * (images.ndim - 2)
    mean, var = running_mean, running_var
    if training:
        mean, var = images.mean(axis=axes), images.var(axis=axes)
    scale = 1 / np.sqrt(var + images.dtype.type(eps))
    normalised = (images - mean.reshape(shape)) * scale.reshape(shape)
    grad_weight, grad_bias = (grad_out * normalised).sum(axis=axes), grad_out.sum(axis=axes)
    grad_images = grad_out
    if training:
        along = normalised * (grad_weight / n).reshape(shape)
        grad_images = grad_out - (grad_bias / n).reshape(shape) - along
    if weight is not None:
        scale = scale * weight
    return grad_images * scale.reshape(shape), grad_weight, grad_bias


def other_axes(images: np.ndarray) -> tuple[tuple[int, ...], int]:
    """All axes but the channels', and how many values of each channel they hold."""
    axes = tuple(axis for axis in range(images.ndim) if axis != 1)
    return axes, images.size // max(1, images.shape[1])


def check_batch_norm(images, running_mean, running_var, weight, bias, training) -> int:
    """The number of channels, or an error that says what does not go together."""
    check_floats(images, "images")
    if images.ndim not in (2, 4) or 0 in images.shape:
        raise ValueError(f"expected images (N, C, H, W) or (N, C), got {images.shape}")
    C = images.shape[1]
    named = {"running_mean": running_mean, "running_var": running_var}
    for name, array in {**named, "weight": weight, "bias": bias}.items():
        if array is not None:
            check_floats(array, name, images.dtype)
            if array.shape != (C,):
                raise ValueError(f"expected {name} ({C},) for {C} channels, got {array.shape}")
    if (running_mean is None) != (running_var is None):
        raise ValueError("expected running_mean and running_var both, or neither")
    if not training and running_mean is None:
        raise ValueError("expected running_mean and running_var when not training, got None")
    if training and images.size == C:
        raise ValueError(
            f"expected more than one value a channel when training, got images {images.shape}: "
            "every value is its own mean, and the output would be zero"
        )
    return C


def dropout(
    values: np.ndarray, p: float = 0.5, *, training: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Set each value to zero with probability p, and enlarge the others to keep the mean.

    Args:
        values: any shape, float32 or float64.
        p: the probability of zero, 0 to 1.
        training: when False, nothing is dropped and nothing enlarged.
        rng: decides which values are dropped.

    Returns:
        The values times a mask, and the mask: 0 or 1 / (1 - p); both of the values' shape and
        dtype.

    Raises:
        TypeError: not a NumPy array of float32 or float64.
        ValueError: p outside 0 to 1.

    Example:
        >>> values, mask = dropout(np.ones(1000), 0.2, training=True, rng=np.random.default_rng(0))
        >>> np.unique(values)
        array([0.  , 1.25])

    Source: Srivastava et al., Dropout (2014).

    Taught in notebook 06.
    """
    check_floats(values, "values")
    if not 0 <= p <= 1:
        raise ValueError(f"expected a probability p of 0 to 1, got {p}")
    if not training or p == 0:
        mask = np.ones_like(values)
    elif p == 1:
        mask = np.zeros_like(values)
    else:
        mask = (rng.random(values.shape) >= p).astype(values.dtype) / values.dtype.type(1 - p)
    return values * mask, mask


def dropout_backward(grad_out: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The gradient passes where the value passed, enlarged as it was.

    Args:
        grad_out: the shape and dtype of mask.
        mask: what dropout returned beside its output.

    Returns:
        grad_values, of the same shape and dtype.

    Raises:
        TypeError: not NumPy arrays of one dtype, float32 or float64.
        ValueError: shapes that differ.

    Example:
        >>> dropout_backward(np.ones(2), np.array([0.0, 2.0]))
        array([0., 2.])

    Taught in notebook 06.
    """
    check_floats(mask, "mask")
    check_grad(grad_out, mask.shape, mask.dtype)
    return grad_out * mask
