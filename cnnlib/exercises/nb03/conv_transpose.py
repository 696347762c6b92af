"""Exercise 03.4, Stamp copies of the kernel."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def conv_transpose(image, kernel, stride=1):
    (H, W), (kh, kw) = image.shape, kernel.shape
    output = np.zeros(((H - 1) * stride + kh, (W - 1) * stride + kw), dtype=image.dtype)
    for row in range(H):
        for column in range(W):
            top, left = row * stride, column * stride
            output[top : top + kh, left : left + kw] += image[row, column] * kernel
    return output


def _torch_transpose(image, kernel, stride=1):
    import torch

    images, weight = (torch.from_numpy(a.astype(np.float64))[None, None] for a in (image, kernel))
    output = torch.nn.functional.conv_transpose2d(images, weight, stride=stride)[0, 0].numpy()
    return output.astype(image.dtype)


def _cases():
    rng = np.random.default_rng(34)
    shapes = [
        ((1, 1), (2, 3), 1, "one pixel"),
        ((1, 2), (2, 2), 1, "two pixels whose copies overlap"),
        ((2, 2), (2, 2), 2, "copies side by side"),
        ((2, 3), (3, 3), 1, "a wide image"),
        ((2, 2), (3, 2), 2, "a kernel that is not square"),
        ((3, 2), (3, 3), 2, "copies that overlap by one"),
        ((2, 2), (1, 2), 3, "a stride larger than the kernel"),
        ((4, 5), (4, 4), 2, "copies that overlap by two"),
    ]
    for image, kernel, stride, note in shapes:
        args = (rng.integers(-4, 9, image) * 1.0, rng.integers(-3, 4, kernel) * 1.0)
        yield Case(args, {"stride": stride}, note)
    yield Case((rng.normal(size=(6, 4)), rng.normal(size=(3, 5))), {}, "stride left out")


def _overwritten(image, kernel, stride=1):
    (H, W), (kh, kw) = image.shape, kernel.shape
    output = np.zeros(((H - 1) * stride + kh, (W - 1) * stride + kw))
    for row, column in np.ndindex(H, W):
        top, left = row * stride, column * stride
        output[top : top + kh, left : left + kw] = image[row, column] * kernel
    return output


def _gathered(image, kernel, stride=1):
    """The transposed kernel matrix is not needed: a plain convolution, as a first guess has it."""
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)[::stride, ::stride]
    return np.einsum("rcij,ij->rc", windows, kernel)


def _cropped(image, kernel, stride=1):
    (H, W) = image.shape
    return conv_transpose(image, kernel, stride)[: H * stride, : W * stride]


EXERCISE = Exercise(
    id="03.4",
    title="Stamp copies of the kernel",
    objective="write the transposed convolution as a sum of copies of the kernel",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "Each pixel of the image puts one copy of the kernel, times its own value, into the "
        "output. Where does the copy of pixel (row, column) begin?",
        "It begins at (row · stride, column · stride). Where does the copy of the last pixel end? "
        "That is the output's size.",
        "output[top : top + kh, left : left + kw] += image[row, column] * kernel, on an output of "
        "zeros of shape ((H − 1) · stride + kh, (W − 1) · stride + kw).",
    ),
    solution=conv_transpose,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_torch_transpose,
        misconceptions=(
            Misconception(_overwritten, "Copies overlap, and there they add up: += in place of =."),
            Misconception(
                lambda image, kernel, stride=1: conv_transpose(image, kernel[::-1, ::-1], stride),
                "The kernel was flipped. Each copy is stamped as the kernel stands.",
            ),
            Misconception(
                lambda image, kernel, stride=1: conv_transpose(image, kernel.T, stride),
                "The kernel was transposed. What is transposed is the large matrix of the "
                "convolution; the kernel is stamped as it stands.",
            ),
            Misconception(
                lambda image, kernel, stride=1: conv_transpose(image, kernel),
                "The stride was not used: copies of neighbouring pixels begin `stride` apart.",
            ),
            Misconception(
                _cropped,
                "The output is cut off at H · stride: the copy of the last pixel begins at "
                "(H − 1) · stride and is kh high.",
            ),
            Misconception(
                _gathered,
                "This is a convolution: it gathers windows and shrinks. Here every pixel "
                "scatters a copy of the kernel, and the output is larger than the image.",
            ),
        ),
    ),
)
