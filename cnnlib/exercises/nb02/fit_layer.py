"""Exercise 02.5, Learn a layer from examples."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.nb02.conv2d import conv2d
from cnnlib.exercises.nb02.im2col import im2col
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def fit_layer(images, targets, kernel_size):
    kh, kw = kernel_size
    N, C, H, W = images.shape
    N, O, out_h, out_w = targets.shape
    windows = np.lib.stride_tricks.sliding_window_view(images, kernel_size, axis=(2, 3))
    rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(N * out_h * out_w, C * kh * kw)
    rows = np.hstack([rows, np.ones((len(rows), 1))])  # one more weight, for the bias
    wanted = targets.transpose(0, 2, 3, 1).reshape(N * out_h * out_w, O)
    found, *_ = np.linalg.lstsq(rows, wanted, rcond=None)  # (C * kh * kw + 1, O)
    return found[:-1].T.reshape(O, C, kh, kw), found[-1]


def _normal_equations(images, targets, kernel_size):
    """The same answer by another road: A'A w = A'b for each output channel, A built by loops."""
    kh, kw = kernel_size
    N, O, out_h, out_w = targets.shape
    A = np.array([
        [*images[n, :, r : r + kh, c : c + kw].ravel(), 1.0]
        for n in range(N) for r in range(out_h) for c in range(out_w)
    ])  # fmt: skip
    found = [np.linalg.solve(A.T @ A, A.T @ targets[:, o].ravel()) for o in range(O)]
    weight = np.array([f[:-1].reshape(images.shape[1], kh, kw) for f in found])
    return weight, np.array([f[-1] for f in found])


def _fit_cases():
    rng = np.random.default_rng(25)
    for (N, C, H, W), O, size, noise, note in [
        ((1, 1, 5, 5), 1, (2, 2), 0.0, "one channel in and out"),
        ((1, 2, 7, 7), 1, (2, 2), 0.0, "two channels"),
        ((1, 1, 6, 6), 2, (2, 2), 0.0, "two kernels"),
        ((1, 1, 6, 7), 1, (2, 3), 0.0, "a kernel that is not square"),
        ((3, 2, 8, 9), 3, (3, 2), 0.0, "a batch"),
        ((2, 3, 12, 12), 2, (3, 3), 0.1, "targets with noise"),
    ]:
        images = rng.normal(size=(N, C, H, W))
        weight = rng.integers(-3, 4, (O, C, *size)) * 1.0
        targets = conv2d(images, weight, rng.integers(1, 5, O) * 1.0)
        yield Case((images, targets + noise * rng.normal(size=targets.shape), size), {}, note)


def _fit_without_bias(images, targets, kernel_size):
    rows = im2col(images, kernel_size).transpose(0, 2, 1).reshape(-1, _fan_in(images, kernel_size))
    wanted = targets.transpose(0, 2, 3, 1).reshape(len(rows), -1)
    found = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    O = targets.shape[1]
    return found.T.reshape(O, images.shape[1], *kernel_size), np.zeros(O)


def _fan_in(images, kernel_size):
    return images.shape[1] * kernel_size[0] * kernel_size[1]


def _fit_first_image(images, targets, kernel_size):
    return fit_layer(images[:1], targets[:1], kernel_size)


def _fit_unmoved(images, targets, kernel_size):
    """`found` reshaped without being transposed first."""
    weight, bias = fit_layer(images, targets, kernel_size)
    found = weight.reshape(len(weight), -1).T
    return found.reshape(weight.shape), bias


def _fit_turned(images, targets, kernel_size):
    weight, bias = fit_layer(images, targets, kernel_size)
    return weight[:, :, ::-1, ::-1], bias


def _fit_centred(images, targets, kernel_size):
    """The bias as the mean of the targets: right only if the windows' mean were zero."""
    bias = targets.mean(axis=(0, 2, 3))
    return _fit_without_bias(images, targets - bias[:, None, None], kernel_size)[0], bias


def _fit_ones_first(images, targets, kernel_size):
    """The ones stand at the beginning of each row, and the bias is read from the end."""
    weight, bias = fit_layer(images, targets, kernel_size)
    found = np.vstack([bias, weight.reshape(len(weight), -1).T])
    return found[:-1].T.reshape(weight.shape), found[-1]


EXERCISE = Exercise(
    id="02.5",
    title="Learn a layer from examples",
    objective="find all the kernels and biases of a layer from what goes in and what comes out",
    level=2,
    minutes=25,
    points=4,
    hints=(
        "One output value is a sum of C × kh × kw products plus a bias. How many unknowns has one "
        "output channel, and how many equations does one image give?",
        "A bias is a weight whose input is always 1: give every row of the matrix a 1 at its end.",
        "np.linalg.lstsq takes a matrix on the right: one column for each output channel. Its "
        "answer has shape (C * kh * kw + 1, O); transpose it before you reshape.",
    ),
    solution=fit_layer,
    examine=partial(
        examine_function,
        cases=_fit_cases,
        oracle=_normal_equations,
        tolerance=1e-6,
        misconceptions=(
            Misconception(
                _fit_without_bias,
                "There is no bias in your equations, so the kernel had to make up for it.",
            ),
            Misconception(
                _fit_centred,
                "The mean of the targets is not the bias: the windows have a mean too. Let the "
                "least squares find it, as a weight whose input is always 1.",
            ),
            Misconception(_fit_turned, "The kernels are right but turned by 180°."),
            Misconception(
                _fit_unmoved,
                "Each column of the least-squares answer is one kernel: transpose it before you "
                "reshape it to (O, C, kh, kw).",
            ),
            Misconception(
                _fit_ones_first,
                "The bias is where its 1 stands: with the ones first in each row it is found[0].",
            ),
            Misconception(_fit_first_image, "Only the first image of the batch was used."),
        ),
    ),
)
