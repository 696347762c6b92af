"""Pooling beyond fixed windows: adaptive, blurred, and a maximum at the same cost for any size."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from cnnlib.geometry import Size, check_count, to_pair
from cnnlib.ops.checks import check_floats, check_images
from cnnlib.ops.convolution import conv2d

Value = TypeVar("Value")


def adaptive_windows(image_size: int, output_size: int) -> list[tuple[int, int]]:
    """Where the windows of adaptive pooling begin and end, along one axis.

    Args:
        image_size: pixels along the axis.
        output_size: windows wanted; more than there are pixels is allowed, some then repeat.

    Returns:
        output_size pairs (start, end), the end not included. They cover every pixel; where
        output_size does not divide image_size evenly, some neighbours share a pixel.

    Raises:
        TypeError: a number that is not an integer.
        ValueError: a number below 1.

    Example:
        >>> adaptive_windows(8, 3)
        [(0, 3), (2, 6), (5, 8)]

    Taught in notebook 04.
    """
    check_count(image_size, "image_size")
    check_count(output_size, "output_size")
    return [
        (i * image_size // output_size, -(-(i + 1) * image_size // output_size))
        for i in range(output_size)
    ]


def adaptive_avg_pool2d(images: np.ndarray, output_size: Size) -> np.ndarray:
    """Mean of each of a given number of windows, whatever the images' size.

    Args:
        images: (N, C, H, W), float32 or float64.
        output_size: an integer or a pair (out_h, out_w); 1 is global average pooling.

    Returns:
        (N, C, out_h, out_w), of the images' dtype; the windows are those of `adaptive_windows`.

    Raises:
        TypeError: not a NumPy array of float32 or float64.
        ValueError: a wrong rank or size.

    Example:
        >>> adaptive_avg_pool2d(np.arange(35.0).reshape(1, 1, 5, 7), 1)[0, 0]
        array([[17.]])
        >>> adaptive_avg_pool2d(np.arange(35.0).reshape(1, 1, 5, 7), (2, 3)).shape
        (1, 1, 2, 3)

    Source: He, Zhang, Ren and Sun, Spatial pyramid pooling in deep convolutional networks for
    visual recognition (2014), appendix A, for the windows.

    Taught in notebook 04.
    """
    N, C, H, W = check_images(images)
    check_floats(images, "images")
    out_h, out_w = to_pair(output_size, "output_size", at_least=1)
    output = np.empty((N, C, out_h, out_w), dtype=images.dtype)
    for row, (top, bottom) in enumerate(adaptive_windows(H, out_h)):
        for column, (left, right) in enumerate(adaptive_windows(W, out_w)):
            window = images[:, :, top:bottom, left:right]
            output[:, :, row, column] = window.mean(axis=(2, 3))
    return output


def binomial_filter(num_taps: int, dtype: type = np.float64) -> np.ndarray:
    """A row of Pascal's triangle, divided by its sum: the simplest blur without ripples.

    Args:
        num_taps: how many weights.
        dtype: of the weights.

    Returns:
        (num_taps,), positive, symmetric, summing to 1.

    Raises:
        TypeError: num_taps is not an integer.
        ValueError: num_taps is below 1.

    Example:
        >>> binomial_filter(5) * 16
        array([1., 4., 6., 4., 1.])

    Taught in notebook 04.
    """
    check_count(num_taps, "num_taps")
    taps = np.ones(1)
    for _ in range(num_taps - 1):
        taps = np.convolve(taps, [0.5, 0.5])  # each step is a mean of two neighbours
    return taps.astype(dtype)


def blur_pool2d(images: np.ndarray, kernel_size: int = 3, stride: Size = 2) -> np.ndarray:
    """Blur with a binomial filter, then keep every stride-th pixel: downsampling without aliases.

    Args:
        images: (N, C, H, W), float32 or float64; each channel is blurred on its own.
        kernel_size: taps of the filter along each axis; 1 does not blur at all.
        stride: an integer or a pair.

    Returns:
        (N, C, ceil(H / stride), ceil(W / stride)), of the images' dtype. The rim is mirrored, its
        own pixels not repeated; of an even kernel the extra pixel stands below and at the right.

    Raises:
        TypeError: not a NumPy array of float32 or float64.
        ValueError: a wrong rank or size, or images too small to be mirrored that far.

    Example:
        >>> blur_pool2d(np.array([[0.0, 0, 1, 1, 0, 0, 1, 1]])[None, None].repeat(4, axis=2))[0, 0]
        array([[0.  , 0.75, 0.25, 0.75],
               [0.  , 0.75, 0.25, 0.75]])

    Source: Zhang, Making convolutional networks shift-invariant again (2019).

    Taught in notebook 04.
    """
    C, H, W = check_images(images)[1:]
    check_floats(images, "images")
    check_count(kernel_size, "kernel_size")
    taps = binomial_filter(kernel_size, images.dtype)
    before, after = (kernel_size - 1) // 2, kernel_size // 2
    if after >= min(H, W):
        raise ValueError(
            f"expected images of at least {after + 1} × {after + 1} pixels for kernel_size "
            f"{kernel_size}, got {H} × {W}; a smaller kernel_size needs a narrower mirror"
        )
    sides = ((0, 0), (0, 0), (before, after), (before, after))
    weight = np.outer(taps, taps)[None, None].repeat(C, axis=0)  # (C, 1, k, k)
    return conv2d(np.pad(images, sides, mode="reflect"), weight, stride=stride, groups=C)


def sliding_max(
    values: Sequence[Value],
    kernel_size: int,
    maximum: Callable[[Value, Value], Value] = np.maximum,
) -> list[Value]:
    """Largest value in every window along a line, in fewer than 3 comparisons a value.

    Args:
        values: n values: numbers, or arrays of one shape, such as the rows of an image.
        kernel_size: values in a window, 1 to n.
        maximum: gives the larger of two values; nothing else ever compares them.

    Returns:
        The n - kernel_size + 1 maxima. The number of comparisons does not grow with kernel_size.

    Raises:
        TypeError: kernel_size is not an integer.
        ValueError: kernel_size is below 1 or above n.

    Example:
        >>> [int(v) for v in sliding_max([3, 1, 4, 1, 5, 9, 2], 3)]
        [4, 4, 5, 9, 9]

    Source: van Herk, A fast algorithm for local minimum and maximum filters on rectangular and
    octagonal kernels (1992); Gil and Werman, Computing 2-D min, median, and max filters (1993).

    Taught in notebook 04.
    """
    check_count(kernel_size, "kernel_size")
    if kernel_size > len(values):
        raise ValueError(f"expected a kernel_size of at most {len(values)}, got {kernel_size}")
    # A window overlaps two blocks of kernel_size values: the end of one, the beginning of the next.
    since_block_began, until_block_ends = list(values), list(values)
    for i in range(1, len(values)):
        if i % kernel_size != 0:
            since_block_began[i] = maximum(since_block_began[i - 1], values[i])
    for i in range(len(values) - 2, -1, -1):
        if (i + 1) % kernel_size != 0:
            until_block_ends[i] = maximum(values[i], until_block_ends[i + 1])
    firsts = range(len(values) - kernel_size + 1)
    return [maximum(until_block_ends[i], since_block_began[i + kernel_size - 1]) for i in firsts]
