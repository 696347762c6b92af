"""Pooling: one number for each window."""

from collections.abc import Iterator

import numpy as np

from cnnlib.geometry import Pair, Size, pool_output_size, to_pair
from cnnlib.ops.checks import check_floats, check_images
from cnnlib.ops.windows import pad_images, window_slices


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
    # One strided slice of the padded images holds one offset of every window at once.
    slices = offset_values(images, kernel_size, stride, padding, dilation, out_size, lowest)
    best = next(slices).copy()
    for values in slices:
        np.maximum(best, values, out=best)
    return best


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
    kernel_h, kernel_w = to_pair(kernel_size, "kernel_size", at_least=1)
    out_size = pool_output_size((H, W), kernel_size, stride, padding)
    settings = (kernel_size, stride, padding, 1, out_size, 0)
    total = sum(offset_values(images, *settings))
    if count_include_pad:
        return total / (kernel_h * kernel_w)
    counts = sum(offset_values(np.ones((1, 1, H, W), images.dtype), *settings))
    return total / counts


def offset_values(
    images: np.ndarray,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    out_size: Pair,
    value: float,
) -> Iterator[np.ndarray]:
    """For each offset in the window, in turn, what all windows hold there: (N, C, out_h, out_w)."""
    kernel_h, kernel_w = to_pair(kernel_size)
    stride = kernel_size if stride is None else stride
    pad_h, pad_w = to_pair(padding)
    padded = pad_images(images, ((pad_h, pad_h), (pad_w, pad_w)), value)
    for i in range(kernel_h):
        for j in range(kernel_w):
            rows, cols = window_slices(i, j, out_size, stride, dilation)
            yield padded[:, :, rows, cols]
