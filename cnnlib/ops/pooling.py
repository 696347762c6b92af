"""Pooling: one number for each window."""

import math

import numpy as np

from cnnlib.geometry import Pair, Size, pool_output_size, to_pair
from cnnlib.ops.checks import check_floats, check_grad, check_images
from cnnlib.ops.windows import inside_image


def max_pool2d(
    images: np.ndarray,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
) -> np.ndarray:
    """Largest value in each window.

    Args:
        images: (N, C, H, W), any real dtype.
        kernel_size, dilation: integers or pairs.
        stride: an integer or a pair; None means kernel_size.
        padding: an integer or a pair, at most half the kernel; the padding is minus infinity (for
            integers their smallest value), so that it never wins. Only a dilated window can see
            nothing but padding; its maximum is then that value, as in torch.

    Returns:
        (N, C, out_h, out_w), of the images' dtype.

    Raises:
        TypeError: not a NumPy array of real numbers.
        ValueError: a wrong rank or size, too much padding, or a kernel that does not fit.

    Example:
        >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0]
        array([[ 5.,  7.],
               [13., 15.]])

    Taught in notebook 04.
    """
    H, W = check_images(images)[2:]
    out_size = pool_output_size((H, W), kernel_size, stride, padding, dilation)
    lowest = -np.inf if images.dtype.kind == "f" else np.iinfo(images.dtype).min
    # One strided slice of the images holds one offset of every window at once. What no slice
    # reaches lies on the padding.
    best = np.full((*images.shape[:2], *out_size), lowest, images.dtype)
    for outputs, pixels in offset_slices((H, W), kernel_size, stride, padding, dilation, out_size):
        np.maximum(best[outputs], images[pixels], out=best[outputs])
    return best


def max_pool2d_backward(
    grad_out: np.ndarray,
    images: np.ndarray,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
) -> np.ndarray:
    """Hand each window's gradient to the pixel that was its maximum; the others get nothing.

    Args:
        grad_out: (N, C, out_h, out_w), of the images' dtype.
        images: (N, C, H, W), float32 or float64.
        kernel_size, stride, padding, dilation: those of the call to max_pool2d.

    Returns:
        grad_images (N, C, H, W). Of several equal maxima in a window the first, row by row,
        takes all, as in torch; a pixel that won in several windows receives the sum.

    Raises:
        TypeError: not NumPy arrays of one dtype, float32 or float64.
        ValueError: shapes that do not go together, or a kernel that does not fit.

    Example:
        >>> image = np.array([[1.0, 3, 2], [0, 3, 1]])[None, None]
        >>> max_pool2d_backward(np.ones((1, 1, 1, 2)), image, 2, stride=1)[0, 0]
        array([[0., 2., 0.],
               [0., 0., 0.]])

    Taught in notebook 06.
    """
    N, C, H, W = check_images(images)
    check_floats(images, "images")
    out_size = pool_output_size((H, W), kernel_size, stride, padding, dilation)
    check_grad(grad_out, (N, C, *out_size), images.dtype)
    best = max_pool2d(images, kernel_size, stride, padding, dilation)
    slices = offset_slices((H, W), kernel_size, stride, padding, dilation, out_size)
    rounds = [(np.equal, slices)]
    if np.isnan(best).any():
        # A NaN is the maximum of its window and equals nothing. As in torch, the last one wins.
        rounds.append((lambda values, _: np.isnan(values), slices[::-1]))
    waiting = np.ones(best.shape, bool)  # windows whose winner has not been met
    grad_images = np.zeros(images.shape, images.dtype)
    for wins, order in rounds:
        for outputs, pixels in order:
            won = wins(images[pixels], best[outputs])
            won &= waiting[outputs]
            waiting[outputs] ^= won
            grad_images[pixels] += np.where(won, grad_out[outputs], 0)
    return grad_images


def avg_pool2d(
    images: np.ndarray,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    *,
    count_include_pad: bool = True,
) -> np.ndarray:
    """Mean of each window.

    Args:
        images: (N, C, H, W), float32 or float64.
        kernel_size: an integer or a pair.
        stride: an integer or a pair; None means kernel_size.
        padding: an integer or a pair, at most half the kernel; the padding is zero.
        count_include_pad: whether the mean counts the padding. If not, a window on the border
            is divided by the number of its pixels that lie inside the image.

    Returns:
        (N, C, out_h, out_w), of the images' dtype.

    Raises:
        TypeError: not a NumPy array of float32 or float64.
        ValueError: a wrong rank or size, too much padding, or a kernel that does not fit.

    Example:
        >>> image = np.ones((1, 1, 2, 2))
        >>> avg_pool2d(image, 2, padding=1)[0, 0]
        array([[0.25, 0.25],
               [0.25, 0.25]])
        >>> avg_pool2d(image, 2, padding=1, count_include_pad=False)[0, 0]
        array([[1., 1.],
               [1., 1.]])

    Taught in notebook 04.
    """
    H, W = check_images(images)[2:]
    check_floats(images, "images")
    out_size = pool_output_size((H, W), kernel_size, stride, padding)
    total = np.zeros((*images.shape[:2], *out_size), images.dtype)
    for outputs, pixels in offset_slices((H, W), kernel_size, stride, padding, 1, out_size):
        total[outputs] += images[pixels]
    total /= window_counts((H, W), kernel_size, stride, padding, out_size, count_include_pad)
    return total


def avg_pool2d_backward(
    grad_out: np.ndarray,
    images_shape: tuple[int, int, int, int],
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    *,
    count_include_pad: bool = True,
) -> np.ndarray:
    """Share each window's gradient equally among its pixels.

    Args:
        grad_out: (N, C, out_h, out_w), float32 or float64.
        images_shape: (N, C, H, W); their values do not matter.
        kernel_size, stride, padding, count_include_pad: those of the call to avg_pool2d.

    Returns:
        grad_images (N, C, H, W), of grad_out's dtype.

    Raises:
        TypeError: not a NumPy array of float32 or float64.
        ValueError: shapes that do not go together, or a kernel that does not fit.

    Example:
        >>> avg_pool2d_backward(np.ones((1, 1, 1, 2)), (1, 1, 2, 3), 2, stride=1)[0, 0]
        array([[0.25, 0.5 , 0.25],
               [0.25, 0.5 , 0.25]])

    Taught in notebook 06.
    """
    check_floats(grad_out, "grad_out")
    if not isinstance(images_shape, (tuple, list)):
        got = type(images_shape).__name__
        raise TypeError(f"expected images_shape (N, C, H, W), got {got}; use images.shape")
    if len(images_shape) != 4:
        raise ValueError(f"expected images_shape (N, C, H, W), got {images_shape}")
    N, C, H, W = images_shape
    out_size = pool_output_size((H, W), kernel_size, stride, padding)
    check_grad(grad_out, (N, C, *out_size), grad_out.dtype)
    counts = window_counts((H, W), kernel_size, stride, padding, out_size, count_include_pad)
    shares = grad_out / counts.astype(grad_out.dtype)
    grad_images = np.zeros((N, C, H, W), grad_out.dtype)
    for outputs, pixels in offset_slices((H, W), kernel_size, stride, padding, 1, out_size):
        grad_images[pixels] += shares[outputs]
    return grad_images


def window_counts(
    image_size: Pair,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    out_size: Pair,
    count_include_pad: bool,
) -> np.ndarray:
    """How many values each window's mean is taken over: (out_h, out_w)."""
    if count_include_pad:
        return np.full(out_size, math.prod(to_pair(kernel_size)))
    counts = np.zeros(out_size, int)
    for outputs, _ in offset_slices(image_size, kernel_size, stride, padding, 1, out_size):
        counts[outputs] += 1
    return counts


def offset_slices(
    image_size: Pair,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    out_size: Pair,
) -> list[tuple[tuple, tuple]]:
    """For each offset in the window, row by row: which outputs see a pixel there, and which pixels.

    Both are indices of the last two axes. No padded copy is needed: what lies on the padding is
    simply not among the outputs.
    """
    stride = kernel_size if stride is None else stride
    numbers = zip(
        image_size,
        *(to_pair(setting) for setting in (kernel_size, stride, padding, dilation)),
        out_size,
        strict=True,
    )
    rows, cols = (
        [inside_image(i * d - p, size, out, s) for i in range(k)]
        for size, k, s, p, d, out in numbers
    )
    return [
        ((..., out_rows, out_cols), (..., pixel_rows, pixel_cols))
        for out_rows, pixel_rows in rows
        for out_cols, pixel_cols in cols
    ]
