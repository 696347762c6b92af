"""Windows of an image: what convolution and pooling have in common.

One kernel position looks at one window. `im2col` writes each window out as a column, `col2im`
adds columns back where they came from; the other operations share the pieces below them.
"""

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnnlib.geometry import Pair, Size, conv_output_size, padding_amounts, to_pair
from cnnlib.ops.checks import check_floats, check_images

# Columns, and what is multiplied with them, take about this many bytes at a time: they stay in the
# processor's cache between being written and being used. Half or twice as much changes little.
BLOCK_BYTES = 3_000_000


def im2col(
    images: np.ndarray,
    kernel_size: Size,
    *,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
) -> np.ndarray:
    """Write every window of the images as one column, so that a convolution is a matrix product.

    Args:
        images: (N, C, H, W), any real dtype.
        kernel_size, stride, dilation: integers or pairs.
        padding: an integer or a pair, or "valid" or "same"; the padding is zero.

    Returns:
        (N, C * kh * kw, out_h * out_w), a new array of the same dtype, laid out as torch's unfold:
        rows run over channel, kernel row, kernel column; columns over the output's pixels.

    Raises:
        TypeError: not a NumPy array of real numbers.
        ValueError: a wrong rank or size, or a kernel that does not fit.

    Example:
        >>> images = np.arange(12.0).reshape(1, 1, 3, 4)
        >>> im2col(images, 2).shape
        (1, 4, 6)
        >>> im2col(images, 2)[0, :, 0]  # the window in the top left corner
        array([0., 1., 4., 5.])

    Source: Chellapilla, Puri and Simard, High performance convolutional neural networks for
    document processing (2006).

    Taught in notebook 02.
    """
    N, C, H, W = check_images(images)
    kernel_h, kernel_w = to_pair(kernel_size, "kernel_size", at_least=1)
    out_h, out_w = conv_output_size(
        (H, W), kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    amounts = padding_amounts(padding, kernel_size, stride=stride, dilation=dilation)
    windows = sliding_windows(pad_images(images, amounts), kernel_size, stride, dilation)
    # Windows are a read-only view; the columns are an array of their own.
    return windows.copy().reshape(N, C * kernel_h * kernel_w, out_h * out_w)


def col2im(
    columns: np.ndarray,
    output_size: Size,
    kernel_size: Size,
    *,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
) -> np.ndarray:
    """Add every column back to where its window was: the adjoint of im2col.

    A pixel that lay in several windows receives the sum of them all, so this is not the inverse:
    <im2col(x), y> = <x, col2im(y)> for all x and y.

    Args:
        columns: (N, C * kh * kw, out_h * out_w), float32 or float64, as im2col makes them.
        output_size: the (height, width) of the images, or one integer for a square.
        kernel_size, stride, dilation: integers or pairs.
        padding: an integer or a pair, or "valid" or "same".

    Returns:
        (N, C, H, W) of the same dtype; what fell on the padding is dropped.

    Raises:
        TypeError: not a NumPy array of float32 or float64.
        ValueError: a wrong rank or size, or a kernel that does not fit.

    Example:
        >>> counts = col2im(np.ones((1, 4, 4)), 3, 2)  # in how many windows is each pixel?
        >>> counts[0, 0]
        array([[1., 2., 1.],
               [2., 4., 2.],
               [1., 2., 1.]])

    Taught in notebook 02.
    """
    check_floats(columns, "columns")
    kernel_h, kernel_w = to_pair(kernel_size, "kernel_size", at_least=1)
    H, W = to_pair(output_size, "output_size", at_least=1)
    out_h, out_w = conv_output_size(
        (H, W), kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    expected = f"(N, C * {kernel_h * kernel_w}, {out_h * out_w})"
    if columns.ndim != 3:
        raise ValueError(f"expected columns {expected}, got {columns.shape}")
    N, rows, positions = columns.shape
    if rows == 0 or rows % (kernel_h * kernel_w) or positions != out_h * out_w:
        raise ValueError(
            f"expected columns {expected} for output_size {(H, W)} and kernel_size "
            f"{(kernel_h, kernel_w)}, got {columns.shape}"
        )
    C = rows // (kernel_h * kernel_w)
    windows = columns.reshape(N, C, kernel_h, kernel_w, out_h, out_w)
    amounts = padding_amounts(padding, kernel_size, stride=stride, dilation=dilation)
    return add_windows(windows, (H, W), amounts, stride, dilation)


def column_blocks(
    images: np.ndarray,
    kernel_size: Pair,
    out_size: Pair,
    amounts,
    stride: Size,
    dilation: Size,
    rows_beside: int,
) -> Iterator[tuple[slice, np.ndarray]]:
    """The columns of a few images at a time: (which images, their columns), in turn.

    The same numbers as im2col's, made faster. Three things matter, in this order:

    - Few images at a time, in one buffer that is used again and again. Columns hold kh * kw
      copies of each pixel; made for the whole batch they travel to main memory and back. How few
      depends on what else is in use: `rows_beside` are the rows, as long as the columns' rows, of
      the other matrices.
    - First the windows across, then the windows down. Only the first step has to cut the image
      into rows; in the second, at stride 1, each kernel offset is one unbroken run of memory.
    - A spare row after each kernel offset. Without it the columns of 32 × 32 images in float32
      lie exactly 4096 bytes apart, and such addresses compete for the same places in the cache.

    The next round overwrites the columns: use them at once, or copy them.
    """
    N, C, H, W = images.shape
    (kernel_h, kernel_w), (out_h, out_w) = kernel_size, out_size
    (stride_h, stride_w), (dilation_h, dilation_w) = to_pair(stride), to_pair(dilation)
    (top, bottom), (left, right) = amounts
    rows = C * kernel_h * kernel_w
    B = images_per_block(N, (rows + rows_beside) * out_h * out_w * images.itemsize)

    # All arrays and views are made once, before the loop, which then only copies numbers. What
    # lies on the padding is never written, and so stays zero.
    across = np.zeros((B, C, kernel_w, top + H + bottom, out_w), images.dtype)
    inside = [inside_image(j * dilation_w - left, W, out_w, stride_w) for j in range(kernel_w)]
    windows_down = axis_windows(across, 3, kernel_h, stride_h, dilation_h)
    windows_down = windows_down.transpose(0, 1, 5, 2, 3, 4)  # (B, C, kh, kw, out_h, out_w)
    spacious = np.empty((B, C, kernel_h, kernel_w, out_h + 1, out_w), images.dtype)
    columns = spacious.reshape(B, rows, (out_h + 1) * out_w)[:, :, : out_h * out_w]

    for start in range(0, N, B):
        block = slice(start, min(start + B, N))
        count = block.stop - block.start  # the last block may hold fewer images
        for j, (outputs, pixels) in enumerate(inside):
            across[:count, :, j, top : top + H, outputs] = images[block, :, :, pixels]
        spacious[..., :out_h, :] = windows_down
        yield block, columns[:count]


def add_column_blocks(
    columns: np.ndarray, image_size: Pair, amounts, stride: Size, dilation: Size
) -> np.ndarray:
    """Sum columns (N, C, kh, kw, out_h, out_w) into images (N, C, H, W): column_blocks undone.

    The adjoint takes the same two steps the other way: first down, in unbroken runs of memory,
    then across.
    """
    N, C, kernel_h, kernel_w, out_h, out_w = columns.shape
    (stride_h, stride_w), (dilation_h, dilation_w) = to_pair(stride), to_pair(dilation)
    (top, _), (left, _) = amounts
    H, W = image_size
    across = np.zeros((N, C, kernel_w, H, out_w), columns.dtype)
    for i in range(kernel_h):
        outputs, pixels = inside_image(i * dilation_h - top, H, out_h, stride_h)
        across[:, :, :, pixels] += columns[:, :, i, :, outputs]
    images = np.zeros((N, C, H, W), columns.dtype)
    for j in range(kernel_w):
        outputs, pixels = inside_image(j * dilation_w - left, W, out_w, stride_w)
        images[..., pixels] += across[:, :, j, :, outputs]
    return images


def inside_image(offset: int, size: int, out_size: int, stride: int) -> tuple[slice, slice]:
    """Which outputs meet a pixel, not padding, at output * stride + offset, and which pixels."""
    first = max(0, -(offset // stride))  # -(a // b) is a / b with the other sign, rounded up
    count = max(0, min(out_size, (size - 1 - offset) // stride + 1) - first)
    pixel = first * stride + offset
    return slice(first, first + count), slice(pixel, pixel + count * stride, stride)


def images_per_block(num_images: int, bytes_per_image: int) -> int:
    """How many images to take at a time so that their columns stay near BLOCK_BYTES; at least 1."""
    return max(1, min(num_images, BLOCK_BYTES // bytes_per_image))


def axis_windows(array: np.ndarray, axis: int, size: int, stride: int, dilation: int):
    """Windows along one axis, as a view: that axis counts windows, a new last one the offsets."""
    windows = sliding_window_view(array, dilation * (size - 1) + 1, axis=axis)
    every = [slice(None)] * windows.ndim
    every[axis], every[-1] = slice(None, None, stride), slice(None, None, dilation)
    return windows[tuple(every)]


def pad_images(images: np.ndarray, amounts, value: float = 0) -> np.ndarray:
    """A copy of images (N, C, H, W) with ((top, bottom), (left, right)) more rows and columns."""
    (top, bottom), (left, right) = amounts
    N, C, H, W = images.shape
    padded = np.full((N, C, top + H + bottom, left + W + right), value, dtype=images.dtype)
    padded[:, :, top : top + H, left : left + W] = images
    return padded


def sliding_windows(padded: np.ndarray, kernel_size: Size, stride: Size, dilation: Size):
    """All windows of the padded images, as a view: (N, C, kh, kw, out_h, out_w)."""
    (kernel_h, kernel_w), (stride_h, stride_w) = to_pair(kernel_size), to_pair(stride)
    dilation_h, dilation_w = to_pair(dilation)
    windows = axis_windows(padded, 2, kernel_h, stride_h, dilation_h)
    windows = axis_windows(windows, 3, kernel_w, stride_w, dilation_w)
    return windows.transpose(0, 1, 4, 5, 2, 3)


def window_slices(i: int, j: int, out_size: Pair, stride: Size, dilation: Size):
    """Rows and columns of the padded image that kernel offset (i, j) sees, over all windows."""
    return tuple(
        slice(offset * d, offset * d + (out - 1) * s + 1, s)
        for offset, out, s, d in zip(
            (i, j), out_size, to_pair(stride), to_pair(dilation), strict=True
        )
    )


def add_windows(windows: np.ndarray, image_size: Pair, amounts, stride: Size, dilation: Size):
    """Sum windows (N, C, kh, kw, out_h, out_w) into images (N, C, H, W), padding cut off."""
    N, C, kernel_h, kernel_w, out_h, out_w = windows.shape
    (top, bottom), (left, right) = amounts
    H, W = image_size
    padded = np.zeros((N, C, top + H + bottom, left + W + right), dtype=windows.dtype)
    # Windows overlap, but the pixels of one offset never do: each of the additions is safe.
    for i in range(kernel_h):
        for j in range(kernel_w):
            rows, cols = window_slices(i, j, (out_h, out_w), stride, dilation)
            padded[:, :, rows, cols] += windows[:, :, i, j]
    return padded[:, :, top : top + H, left : left + W]
