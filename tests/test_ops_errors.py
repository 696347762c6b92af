"""Every illegal combination is refused with an error that says what is wrong and how to mend it."""

import numpy as np
import pytest
import torch

from cnnlib import ops

IMAGES = np.zeros((2, 4, 6, 6))
WEIGHT = np.zeros((8, 4, 3, 3))
BACK = np.zeros((4, 8, 3, 3))  # conv_transpose2d's layout: (C, O / groups, kh, kw)
COLUMNS = np.zeros((2, 36, 16))


def conv2d(images=IMAGES, weight=WEIGHT, bias=None, **settings):
    return ops.conv2d(images, weight, bias, **settings)


def transposed(images=IMAGES, weight=BACK, bias=None, **settings):
    return ops.conv_transpose2d(images, weight, bias, **settings)


def max_pool(images=IMAGES, kernel_size=2, **settings):
    return ops.max_pool2d(images, kernel_size, **settings)


def avg_pool(images=IMAGES, kernel_size=2, **settings):
    return ops.avg_pool2d(images, kernel_size, **settings)


def im2col(images=IMAGES, kernel_size=3, **settings):
    return ops.im2col(images, kernel_size, **settings)


def col2im(columns=COLUMNS, output_size=6, kernel_size=3, **settings):
    return ops.col2im(columns, output_size, kernel_size, **settings)


ON_IMAGES = [conv2d, transposed, max_pool, avg_pool, im2col]
ON_WINDOWS = [conv2d, transposed, max_pool, im2col, col2im]
SUMS = [conv2d, transposed, avg_pool]


@pytest.mark.parametrize("operation", [*ON_IMAGES, col2im])
def test_the_defaults_are_legal(operation):
    assert isinstance(operation(), np.ndarray)


@pytest.mark.parametrize("operation", ON_IMAGES)
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (
            np.zeros((6, 6)),
            ValueError,
            r"got \(6, 6\); for a single image use images\[None, None\]",
        ),
        (
            np.zeros((4, 6, 6)),
            ValueError,
            r"got \(4, 6, 6\); for a single image use images\[None\]",
        ),
        (np.zeros((1, 2, 4, 6, 6)), ValueError, r"expected images \(N, C, H, W\), got"),
        (np.zeros(()), ValueError, r"expected images \(N, C, H, W\), got \(\)"),
        (np.zeros((2, 0, 6, 6)), ValueError, "C, H and W of at least 1"),
        (np.zeros((2, 4, 0, 6)), ValueError, "C, H and W of at least 1"),
        (np.zeros((2, 4, 6, 0)), ValueError, "C, H and W of at least 1"),
        (IMAGES.tolist(), TypeError, "NumPy array, got list; np.asarray"),
        (torch.from_numpy(IMAGES), TypeError, "NumPy array, got Tensor; .*tensor.numpy()"),
        (None, TypeError, "got NoneType"),
        (IMAGES.astype(complex), TypeError, "real numbers, got dtype complex128"),
        (IMAGES.astype(bool), TypeError, "real numbers, got dtype bool"),
        (IMAGES.astype(object), TypeError, "real numbers, got dtype object"),
        (IMAGES.astype(str), TypeError, "real numbers, got dtype <U"),
    ],
)
def test_images(operation, images, error, message):
    with pytest.raises(error, match=message):
        operation(images)


@pytest.mark.parametrize("operation", SUMS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.longdouble])
def test_sums_need_float32_or_float64(operation, dtype):
    if np.dtype(dtype) == np.float64:
        pytest.skip("longdouble is float64 on this machine")
    with pytest.raises(
        TypeError, match=r"images of float32 or float64.*images.astype\(np.float32\)"
    ):
        operation(IMAGES.astype(dtype))


@pytest.mark.parametrize("operation", [conv2d, transposed, max_pool, avg_pool, im2col, col2im])
@pytest.mark.parametrize(
    ("stride", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        ((1, 0), ValueError),
        ((1, 2, 3), ValueError),
        (1.0, TypeError),
        ("2", TypeError),
        (True, TypeError),
    ],
)
def test_stride(operation, stride, error):
    with pytest.raises(error, match="expected stride to be"):
        operation(stride=stride)


@pytest.mark.parametrize("operation", ON_WINDOWS)
@pytest.mark.parametrize(
    ("dilation", "error"), [(0, ValueError), (-2, ValueError), (1.5, TypeError)]
)
def test_dilation(operation, dilation, error):
    with pytest.raises(error, match="expected dilation to be"):
        operation(dilation=dilation)


@pytest.mark.parametrize("operation", [conv2d, transposed, max_pool, avg_pool, im2col, col2im])
@pytest.mark.parametrize(
    ("padding", "error"),
    [(-1, ValueError), ((0, -1), ValueError), (0.5, TypeError), (None, TypeError)],
)
def test_padding(operation, padding, error):
    with pytest.raises(error, match="expected padding to be"):
        operation(padding=padding)


@pytest.mark.parametrize("operation", [conv2d, im2col, col2im])
def test_padding_in_words(operation):
    with pytest.raises(ValueError, match='"valid" or "same", got \'Same\''):
        operation(padding="Same")
    with pytest.raises(ValueError, match='expected stride 1 with padding="same"'):
        operation(padding="same", stride=2)


@pytest.mark.parametrize("operation", [transposed, max_pool, avg_pool])
def test_no_padding_in_words_where_torch_has_none(operation):
    with pytest.raises(TypeError, match="expected padding to be an integer"):
        operation(padding="same")


@pytest.mark.parametrize("operation", [max_pool, avg_pool, im2col])
@pytest.mark.parametrize(
    ("kernel_size", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError)]
)
def test_kernel_size(operation, kernel_size, error):
    with pytest.raises(error, match="expected kernel_size to be"):
        operation(IMAGES, kernel_size)


@pytest.mark.parametrize("operation", [max_pool, avg_pool, im2col])
def test_kernel_larger_than_the_image(operation):
    with pytest.raises(ValueError, match="padded image of 6 × 6, got one that spans 7 × 2"):
        operation(IMAGES, (7, 2))


@pytest.mark.parametrize("operation", [max_pool, avg_pool])
def test_more_padding_than_half_the_window(operation):
    with pytest.raises(ValueError, match=r"at most half the kernel: expected at most 1 .* got 2"):
        operation(IMAGES, 2, padding=2)
    with pytest.raises(ValueError, match="at most half the kernel"):
        operation(IMAGES, (4, 3), padding=2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: conv2d(weight=np.zeros((8, 4, 7, 3))), ValueError, "6 × 6, got one that spans 7"),
        (lambda: conv2d(dilation=3), ValueError, "spans 7 × 7 .*dilation"),
        (
            lambda: conv2d(weight=np.zeros((4, 3, 3))),
            ValueError,
            r"weight \(O, C / groups, kh, kw\)",
        ),
        (lambda: conv2d(weight=np.zeros((0, 4, 3, 3))), ValueError, r"got \(0, 4, 3, 3\)"),
        (lambda: conv2d(weight=np.zeros((8, 4, 0, 3))), ValueError, r"got \(8, 4, 0, 3\)"),
        (lambda: conv2d(weight=np.zeros((8, 3, 3, 3))), ValueError, "which is for 3 channels"),
        (lambda: conv2d(groups=2), ValueError, "4 channels and groups=2, .* for 8 channels"),
        (lambda: conv2d(weight=np.zeros((8, 1, 3, 3)), groups=3), ValueError, "for 3 channels"),
        (
            lambda: conv2d(weight=np.zeros((7, 2, 3, 3)), groups=2),
            ValueError,
            "divisible by groups",
        ),
        (lambda: conv2d(groups=0), ValueError, "groups to be at least 1"),
        (lambda: conv2d(groups=-1), ValueError, "groups to be at least 1"),
        (lambda: conv2d(groups=1.0), TypeError, "expected groups to be an integer"),
        (lambda: conv2d(weight=WEIGHT.tolist()), TypeError, "weight as a NumPy array, got list"),
        (lambda: conv2d(weight=WEIGHT.astype(np.float32)), TypeError, "weight of the same dtype"),
        (lambda: conv2d(weight=WEIGHT.astype(int)), TypeError, "weight of float32 or float64"),
        (lambda: conv2d(bias=np.zeros(7)), ValueError, r"expected bias \(8,\), got \(7,\)"),
        (lambda: conv2d(bias=np.zeros((8, 1))), ValueError, r"got \(8, 1\)"),
        (lambda: conv2d(bias=0.0), TypeError, "bias as a NumPy array, got float"),
        (lambda: conv2d(bias=np.zeros(8, np.float32)), TypeError, "bias of the same dtype"),
        (lambda: conv2d(bias=np.zeros(8, int)), TypeError, "bias of float32 or float64"),
        (lambda: transposed(weight=WEIGHT), ValueError, "which is for 8 channels"),
        (lambda: transposed(weight=BACK[0]), ValueError, r"weight \(C, O / groups, kh, kw\)"),
        (lambda: transposed(groups=3), ValueError, "divisible by groups"),
        (lambda: transposed(bias=np.zeros(4)), ValueError, r"expected bias \(8,\), got \(4,\)"),
        (lambda: transposed(output_padding=1), ValueError, "output_padding smaller than"),
        (lambda: transposed(output_padding=-1), ValueError, "output_padding to be at least 0"),
        (lambda: transposed(padding=4), ValueError, "at least 1 × 1, got 0 × 0"),
        (lambda: col2im(COLUMNS[0]), ValueError, r"columns \(N, C \* 9, 16\), got \(36, 16\)"),
        (lambda: col2im(COLUMNS[:, :35]), ValueError, r"got \(2, 35, 16\)"),
        (lambda: col2im(COLUMNS[:, :0]), ValueError, r"got \(2, 0, 16\)"),
        (lambda: col2im(COLUMNS[:, :, :15]), ValueError, r"got \(2, 36, 15\)"),
        (lambda: col2im(output_size=7), ValueError, r"output_size \(7, 7\)"),
        (lambda: col2im(output_size=2), ValueError, "padded image of 2 × 2"),
        (lambda: col2im(output_size=0), ValueError, "output_size to be at least 1"),
        (lambda: col2im(COLUMNS.astype(int)), TypeError, "columns of float32 or float64"),
        (lambda: col2im(COLUMNS.astype(np.float16)), TypeError, "columns of float32 or float64"),
        (lambda: col2im(COLUMNS.tolist()), TypeError, "columns as a NumPy array"),
    ],
)
def test_settings_that_do_not_go_together(call, error, message):
    with pytest.raises(error, match=message):
        call()
