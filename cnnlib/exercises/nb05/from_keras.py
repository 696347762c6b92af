"""Exercise 05.7, Weights that come from Keras."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def from_keras(conv_kernel, dense_kernel, maps_shape):
    C, H, W = maps_shape
    conv_weight = conv_kernel.transpose(3, 2, 0, 1)  # (kh, kw, C, O) -> (O, C, kh, kw)
    by_place = dense_kernel.reshape(H, W, C, -1)  # its rows: Keras's features, channel fastest
    dense_weight = by_place.transpose(3, 2, 0, 1).reshape(-1, C * H * W)  # (out, C * H * W)
    return conv_weight, dense_weight


def _one_by_one(conv_kernel, dense_kernel, maps_shape):
    """Every single weight is carried over by its own indices."""
    (kh, kw, C, O), (channels, H, W) = conv_kernel.shape, maps_shape
    conv_weight = np.zeros((O, C, kh, kw), dtype=conv_kernel.dtype)
    for i, j, c, o in np.ndindex(conv_kernel.shape):
        conv_weight[o, c, i, j] = conv_kernel[i, j, c, o]
    dense_weight = np.zeros((dense_kernel.shape[1], channels * H * W), dtype=dense_kernel.dtype)
    for c, r, k in np.ndindex(channels, H, W):
        ours, theirs = (c * H + r) * W + k, (r * W + k) * channels + c
        for out in range(dense_kernel.shape[1]):
            dense_weight[out, ours] = dense_kernel[theirs, out]
    return conv_weight, dense_weight


def _cases():
    def case(conv_shape, out, H, W, note="", dtype=np.float64):
        channels = conv_shape[3]
        conv = np.arange(1, np.prod(conv_shape) + 1, dtype=dtype).reshape(conv_shape)
        rows = channels * H * W
        dense = np.arange(1, rows * out + 1, dtype=dtype).reshape(rows, out)
        return Case((conv, dense, (channels, H, W)), {}, note)

    yield case((1, 1, 1, 1), 2, 1, 2, "kernels of one weight, maps of one channel")
    yield case((1, 1, 1, 2), 1, 1, 2, "two channels, maps of two pixels")
    yield case((1, 2, 1, 1), 1, 2, 2, "a wide kernel")
    yield case((2, 1, 2, 1), 2, 1, 3, "a kernel of two channels")
    yield case((2, 2, 2, 2), 2, 2, 2, "all sizes equal")
    yield case((2, 3, 2, 4), 3, 3, 2, "all sizes different")
    yield case((3, 3, 3, 32), 10, 4, 5, "the introduction's layer, pooled and then a Dense(10)")
    yield case((3, 2, 1, 5), 4, 3, 3, "float32", dtype=np.float32)


def _with(conv=None, dense=None):
    """The solution with one of its two halves replaced."""

    def wrong(conv_kernel, dense_kernel, maps_shape):
        conv_weight, dense_weight = from_keras(conv_kernel, dense_kernel, maps_shape)
        if conv is not None:
            conv_weight = conv(conv_kernel)
        if dense is not None:
            dense_weight = dense(dense_kernel, *maps_shape)
        return conv_weight, dense_weight

    return wrong


def _moved(order, *axes):
    """The dense matrix with its rows read in this order, then its axes moved, then flattened."""

    def dense(matrix, C, H, W):
        sizes = [{"C": C, "H": H, "W": W}[axis] for axis in order]
        return matrix.reshape(*sizes, -1).transpose(axes).reshape(-1, C * H * W)

    return dense


def _reshaped(kernel):
    kh, kw, C, O = kernel.shape
    return kernel.reshape(O, C, kh, kw)


_CONV_MISTAKES = (
    (
        _reshaped,
        "The kernel was reshaped: the shape is right and every weight is in a wrong place. "
        "transpose moves axes, reshape only reads on in the same order.",
    ),
    (
        lambda kernel: kernel.transpose(3, 2, 1, 0),
        "In the convolution's kernel rows and columns have changed places: (O, C, kh, kw), so "
        "transpose(3, 2, 0, 1).",
    ),
    (
        lambda kernel: kernel.transpose(2, 3, 0, 1),
        "In the convolution's kernel C and O have changed places: the output comes first.",
    ),
    (
        lambda kernel: kernel.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1],
        "The convolution's kernels were turned by 180°. Keras computes a cross-correlation too, so "
        "nothing is flipped.",
    ),
    (lambda kernel: kernel, "The convolution's kernel came back as it was, (kh, kw, C, O)."),
)
_DENSE_MISTAKES = (
    (
        lambda matrix, *shape: matrix.T,
        "The dense matrix was transposed, and that is all: its columns still stand in Keras's "
        "order. Keras flattened maps (H, W, C), where the channel varies fastest; ours are "
        "(C, H, W). Each feature has to move to its new place. (Both networks would run, with "
        "wrong answers.)",
    ),
    (
        _moved("CHW", 3, 1, 2, 0),
        "The dense matrix was rearranged the wrong way round: its rows are in the order (H, W, C) "
        "and are to come into the order (C, H, W).",
    ),
    (
        _moved("HWC", 3, 2, 1, 0),
        "In the dense matrix rows and columns of the maps have changed places: (C, H, W), so the "
        "column varies fastest.",
    ),
    (
        _moved("WHC", 3, 2, 1, 0),
        "In the dense matrix height and width were taken for each other: its rows are (H, W, C).",
    ),
    (
        lambda matrix, *shape: _moved("HWC", 3, 2, 0, 1)(matrix, *shape).T,
        "The features of the dense matrix are in the right order, but it still has Keras's shape "
        "(in, out); ours is (out_features, in_features).",
    ),
    (
        lambda matrix, *shape: matrix.reshape(-1, len(matrix)),
        "The dense matrix was reshaped from (in, out) to (out, in). It has to be transposed, and "
        "its features put in our order.",
    ),
    (lambda matrix, *shape: matrix, "The dense matrix came back as it was, (in, out)."),
)

MISCONCEPTIONS = (
    *(Misconception(_with(dense=dense), says) for dense, says in _DENSE_MISTAKES),
    *(Misconception(_with(conv=conv), says) for conv, says in _CONV_MISTAKES),
    *(
        Misconception(_with(conv, dense), f"{conv_says} And: {dense_says}")
        for conv, conv_says in _CONV_MISTAKES
        for dense, dense_says in _DENSE_MISTAKES
    ),
)


EXERCISE = Exercise(
    id="05.7",
    title="Weights that come from Keras",
    objective="carry a network from one framework's axes to another's so that the outputs agree",
    level=3,
    minutes=30,
    points=5,
    hints=(
        "The convolution is one transpose: for each of the four axes of the result, which axis of "
        "Keras's kernel is it?",
        "Row number (r · W + k) · C + c of the dense matrix belongs to row r, column k, channel c. "
        "Give the matrix the shape that has these three as axes of their own.",
        "dense_kernel.reshape(H, W, C, out) has one axis for each. Transpose to (out, C, H, W), "
        "then flatten the last three: that is our order.",
    ),
    solution=from_keras,
    examine=partial(
        examine_function, cases=_cases, oracle=_one_by_one, misconceptions=MISCONCEPTIONS
    ),
)
