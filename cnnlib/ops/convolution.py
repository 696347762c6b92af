"""Convolution, its backward pass and its transpose, as matrix products."""

import numpy as np

from cnnlib.geometry import (
    Size,
    conv_output_size,
    conv_transpose_output_size,
    padding_amounts,
    to_pair,
)
from cnnlib.ops.checks import check_grad, check_images, check_weight
from cnnlib.ops.threads import each_part
from cnnlib.ops.windows import (
    add_column_blocks,
    add_windows,
    column_blocks,
    images_per_block,
)


def conv2d(
    images: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> np.ndarray:
    """Slide every kernel over every image and sum the products (a cross-correlation, as in torch).

    Args:
        images: (N, C, H, W), float32 or float64.
        weight: (O, C / groups, kh, kw), of the images' dtype.
        bias: (O,) of the images' dtype, or None.
        stride, dilation: integers or pairs.
        padding: an integer or a pair, "valid" (none) or "same" (output as large as the image,
            stride 1 only); the padding is zero.
        groups: C and O are split into this many groups, and each sees only its own channels.

    Returns:
        (N, O, out_h, out_w), of the images' dtype.

    Raises:
        TypeError: not NumPy arrays of one dtype, float32 or float64.
        ValueError: shapes that do not go together, or a kernel that does not fit.

    Example:
        >>> images, weight = np.ones((1, 3, 28, 28)), np.ones((8, 3, 5, 5))
        >>> conv2d(images, weight).shape
        (1, 8, 24, 24)
        >>> float(conv2d(images, weight)[0, 0, 0, 0])  # 3 * 5 * 5 products of 1 and 1
        75.0

    Taught in notebook 02.
    """
    N, C, H, W = check_images(images)
    O, kernel_size = check_weight(images, weight, bias, groups, transposed=False)
    out_h, out_w = conv_output_size(
        (H, W), kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    amounts = padding_amounts(padding, kernel_size, stride=stride, dilation=dilation)
    # One matrix product an image and group: each kernel is a row, each window a column.
    kernels = np.ascontiguousarray(weight).reshape(groups, O // groups, -1)
    products = np.empty((N, groups, O // groups, out_h * out_w), images.dtype)

    def multiply(part: slice) -> None:
        for block, columns in column_blocks(
            images[part], kernel_size, (out_h, out_w), amounts, stride, dilation, rows_beside=O
        ):
            columns = columns.reshape(-1, groups, kernels.shape[2], out_h * out_w)
            np.matmul(kernels, columns, out=products[part][block])

    rows = O + groups * kernels.shape[2]
    each_part(multiply, N, N * rows * out_h * out_w * images.itemsize)
    out = products.reshape(N, O, out_h, out_w)
    if bias is not None:
        out += bias[:, None, None]
    return out


def conv2d_backward(
    grad_out: np.ndarray,
    images: np.ndarray,
    weight: np.ndarray,
    *,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three gradients of conv2d, from the gradient of the loss with respect to its output.

    Args:
        grad_out: (N, O, out_h, out_w), of the images' dtype: how the loss changes with each output.
        images, weight, stride, padding, dilation, groups: those of the call to conv2d.

    Returns:
        grad_images (N, C, H, W), grad_weight (O, C / groups, kh, kw) and grad_bias (O,).

    Raises:
        TypeError: not NumPy arrays of one dtype, float32 or float64.
        ValueError: shapes that do not go together, or a kernel that does not fit.

    Example:
        >>> images, weight = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
        >>> grads = conv2d_backward(np.ones((1, 1, 2, 2)), images, weight)
        >>> grads[0][0, 0]  # each pixel's gradient: the weights of the windows that saw it
        array([[1., 2., 1.],
               [2., 4., 2.],
               [1., 2., 1.]])
        >>> [grad.shape for grad in grads]
        [(1, 1, 3, 3), (1, 1, 2, 2), (1,)]

    Taught in notebook 06.
    """
    N, C, H, W = check_images(images)
    O, kernel_size = check_weight(images, weight, None, groups, transposed=False)
    out_h, out_w = conv_output_size(
        (H, W), kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    check_grad(grad_out, (N, O, out_h, out_w), images.dtype)
    amounts = padding_amounts(padding, kernel_size, stride=stride, dilation=dilation)
    kernels = np.ascontiguousarray(weight).reshape(groups, O // groups, -1)
    grads = np.ascontiguousarray(grad_out).reshape(N, groups, O // groups, out_h * out_w)
    grad_images = np.empty_like(images, order="C")
    rows_beside = O + groups * kernels.shape[2]  # of grads and grad_columns

    def multiply(part: slice) -> np.ndarray:
        grad_kernels, grad_columns = np.zeros_like(kernels), None
        for block, columns in column_blocks(
            images[part], kernel_size, (out_h, out_w), amounts, stride, dilation, rows_beside
        ):
            columns = columns.reshape(-1, groups, kernels.shape[2], out_h * out_w)
            # Of out = kernels @ columns, each factor's gradient is grad_out times the other.
            grad = grads[part][block]
            grad_kernels += np.matmul(grad, columns.swapaxes(2, 3)).sum(axis=0)
            if grad_columns is None:  # made once: fresh memory for each block would take longer
                grad_columns = np.empty(columns.shape, images.dtype)
            some = grad_columns[: len(columns)]  # the last block may hold fewer images
            np.matmul(kernels.swapaxes(1, 2), grad, out=some)
            windows = some.reshape(-1, C, *kernel_size, out_h, out_w)
            summed = add_column_blocks(windows, (H, W), amounts, stride, dilation)
            grad_images[part][block] = summed
        return grad_kernels

    rows = groups * kernels.shape[2] + rows_beside
    num_bytes = N * rows * out_h * out_w * images.itemsize
    parts = each_part(multiply, N, num_bytes)
    grad_weight = sum(parts).reshape(weight.shape)
    return grad_images, grad_weight, grad_out.sum(axis=(0, 2, 3))


def conv_transpose2d(
    images: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> np.ndarray:
    """Stamp every kernel, scaled by the pixel, onto the output: the adjoint of conv2d.

    With the same weight and settings, <conv2d(x), y> = <x, conv_transpose2d(y)>: it returns to
    the size of x, not to its values.

    Args:
        images: (N, C, H, W), float32 or float64.
        weight: (C, O / groups, kh, kw), of the images' dtype: conv2d's weight that leads from O
            channels to C.
        bias: (O,) of the images' dtype, or None.
        stride, padding, dilation: integers or pairs, those of the convolution that is transposed.
        output_padding: an integer or a pair: rows and columns more at the bottom and right.
        groups: as in conv2d.

    Returns:
        (N, O, out_h, out_w), of the images' dtype.

    Raises:
        TypeError: not NumPy arrays of one dtype, float32 or float64.
        ValueError: shapes that do not go together, or an empty output.

    Example:
        >>> image, weight = np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2))
        >>> conv_transpose2d(image, weight, stride=2)[0, 0]
        array([[1., 1., 1., 1.],
               [1., 1., 1., 1.],
               [1., 1., 1., 1.],
               [1., 1., 1., 1.]])

    Taught in notebook 03.
    """
    N, C, H, W = check_images(images)
    O, kernel_size = check_weight(images, weight, bias, groups, transposed=True)
    out_size = conv_transpose_output_size(
        (H, W),
        kernel_size,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
    )
    pad_h, pad_w = to_pair(padding)
    amounts = (pad_h, pad_h), (pad_w, pad_w)
    # conv2d's two steps the other way round: a product with the transposed kernels turns pixels
    # into columns, and the columns are added up where their windows are.
    kernels = np.ascontiguousarray(weight).reshape(groups, C // groups, -1).swapaxes(1, 2)
    out = np.empty((N, O, *out_size), images.dtype)
    B = images_per_block(N, groups * kernels.shape[1] * H * W * images.itemsize)
    for start in range(0, N, B):
        pixels = np.ascontiguousarray(images[start : start + B])
        columns = np.matmul(kernels, pixels.reshape(-1, groups, C // groups, H * W))
        windows = columns.reshape(-1, O, *kernel_size, H, W)
        out[start : start + B] = add_windows(windows, out_size, amounts, stride, dilation)
    if bias is not None:
        out += bias[:, None, None]
    return out
