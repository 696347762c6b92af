"""Exercise 02.1, Slide the window everywhere."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def filter_image(image, kernel):
    kh, kw = kernel.shape
    out_h, out_w = image.shape[0] - kh + 1, image.shape[1] - kw + 1
    output = np.zeros((out_h, out_w), dtype=image.dtype)
    for row in range(out_h):
        for column in range(out_w):
            window = image[row : row + kh, column : column + kw]
            output[row, column] = (window * kernel).sum()
    return output


def _torch_filter(image, kernel):
    import torch

    images, weight = (torch.from_numpy(a.astype(np.float64))[None, None] for a in (image, kernel))
    output = torch.nn.functional.conv2d(images, weight)[0, 0].numpy()
    return output.astype(image.dtype)


def _filter_cases():
    rng = np.random.default_rng(21)
    shapes = [
        ((3, 3), (3, 3), "one window only"),
        ((3, 3), (2, 2), "an even kernel"),
        ((3, 4), (2, 2), "a wide image"),
        ((5, 5), (3, 3), ""),
        ((7, 4), (3, 3), "a high image"),
        ((6, 5), (2, 3), "a kernel that is not square"),
        ((6, 6), (1, 1), "a kernel of one number"),
        ((5, 8), (5, 1), "a column kernel"),
    ]
    for image, kernel, note in shapes:
        yield Case((rng.integers(-4, 9, image) * 1.0, rng.integers(-3, 4, kernel) * 1.0), {}, note)


def padded_filter(image, kernel):
    kh, kw = kernel.shape
    top, left = (kh - 1) // 2, (kw - 1) // 2
    padded = np.pad(image, ((top, kh - 1 - top), (left, kw - 1 - left)))
    return filter_image(padded, kernel)


EXERCISE = Exercise(
    id="02.1",
    title="Slide the window everywhere",
    objective="write a two-dimensional filter from its definition",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "How many positions can the top-left corner of the window take, down and across? That is "
        "the shape of the output.",
        "Make the output with np.zeros, go over every row and column of it with two loops, cut the "
        "window with image[row : row + kh, column : column + kw].",
        "Each output value is (window * kernel).sum().",
    ),
    solution=filter_image,
    examine=partial(
        examine_function,
        cases=_filter_cases,
        oracle=_torch_filter,
        misconceptions=(
            Misconception(
                lambda image, kernel: filter_image(image, kernel[::-1, ::-1]),
                "The kernel was flipped before it was laid on the image. Here it is used as it "
                "stands; the flipped kind comes later in this notebook.",
            ),
            Misconception(
                lambda image, kernel: filter_image(image, kernel)[:-1, :-1],
                "One row and one column short: there are H − kh + 1 positions, not H − kh.",
            ),
            Misconception(
                padded_filter,
                "Your output is as large as the image, so the window hung over the edge. Only "
                "positions where the whole window lies inside count here.",
            ),
            Misconception(
                lambda image, kernel: filter_image(image, np.ones_like(kernel)),
                "The windows were summed without multiplying by the kernel.",
            ),
            Misconception(
                lambda image, kernel: filter_image(image, kernel / kernel.size),
                "You took the mean of the products; the definition is their sum.",
            ),
        ),
    ),
)
