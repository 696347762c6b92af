"""Exercise 05.2, A fully connected layer is a convolution."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def dense_to_conv(weight, maps_shape):
    C, H, W = maps_shape
    return weight.reshape(len(weight), C, H, W)


def _one_by_one(weight, maps_shape):
    """Each weight is put where its feature came from: poke one pixel, flatten, look which."""
    kernels = np.zeros((len(weight), *maps_shape), dtype=weight.dtype)
    for place in np.ndindex(*maps_shape):
        poked = np.zeros(maps_shape)
        poked[place] = 1
        kernels[:, *place] = weight[:, np.flatnonzero(poked.ravel())[0]]
    return kernels


def _cases():
    for outputs, maps_shape, note in (
        (1, (1, 2, 2), ""),
        (2, (1, 2, 2), "two outputs"),
        (1, (2, 2, 2), "two channels"),
        (2, (1, 2, 3), "wide maps"),
        (3, (2, 3, 1), "narrow maps"),
        (3, (3, 3, 3), "all sizes equal"),
        (10, (32, 5, 5), "the last layer of notebook 00's network"),
    ):
        size = outputs * int(np.prod(maps_shape))
        yield Case((np.arange(1.0, size + 1).reshape(outputs, -1), maps_shape), {}, note)
    small = np.arange(8, dtype=np.float32).reshape(2, 4)
    yield Case((small, (4, 1, 1)), {}, "maps of one pixel, float32")


def _channels_last(weight, maps_shape):
    C, H, W = maps_shape
    return weight.reshape(len(weight), H, W, C).transpose(0, 3, 1, 2)


EXERCISE = Exercise(
    id="05.2",
    title="A fully connected layer is a convolution",
    objective="rewrite a fully connected layer as a convolution, and say why nothing is lost",
    level=2,
    minutes=10,
    points=2,
    hints=(
        "How large is a kernel that covers the whole of the maps, and how many channels does it "
        "reach through? How many kernels are there?",
        "Feature number (c · H + r) · W + k of the flattened maps came from channel c, row r, "
        "column k. Where in the kernel must its weight stand?",
        "The weights of one output lie in the very order in which a kernel lies in memory: one "
        "reshape, to (O, C, H, W), and nothing is moved.",
    ),
    solution=dense_to_conv,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_one_by_one,
        misconceptions=(
            Misconception(
                _channels_last,
                "The features were read with the channel varying fastest. That is N H W C's order; "
                "maps N C H W are flattened channel by channel.",
            ),
            Misconception(
                lambda weight, maps_shape: weight.reshape(-1, *maps_shape[1:], maps_shape[0]),
                "The channels stand last, and were taken to vary fastest. Our layout is "
                "(O, C, kh, kw), and the features were flattened channel by channel.",
            ),
            Misconception(
                lambda weight, maps_shape: dense_to_conv(weight, maps_shape).swapaxes(2, 3),
                "Rows and columns have changed places: along a row, the column varies fastest.",
            ),
            Misconception(
                lambda weight, maps_shape: dense_to_conv(weight, maps_shape)[:, :, ::-1, ::-1],
                "The kernels are turned by 180°. A convolutional layer does not flip its kernel, "
                "so the weights go in as they stand.",
            ),
            Misconception(
                lambda weight, maps_shape: weight.T.reshape(len(weight), *maps_shape),
                "The matrix was transposed first: one row of weight is one output, and becomes "
                "one kernel.",
            ),
            Misconception(
                lambda weight, maps_shape: weight.T.reshape(*maps_shape, len(weight)),
                "The kernels stand last. In our layout (O, C, kh, kw) the output comes first.",
            ),
            Misconception(
                lambda weight, maps_shape: weight.reshape(len(weight), -1, 1, 1),
                "These are kernels of 1×1 for maps that were flattened already. The kernel shall "
                "be as large as the maps: (O, C, H, W).",
            ),
            Misconception(
                lambda weight, maps_shape: dense_to_conv(weight, maps_shape).swapaxes(0, 1),
                "Outputs and channels have changed places: (O, C, kh, kw), not (C, O, kh, kw).",
            ),
            Misconception(
                lambda weight, maps_shape: weight.reshape(len(weight), *maps_shape, order="F"),
                'order="F" was used, which lets the first axis vary fastest. Flattening went '
                "row by row, NumPy's own order.",
            ),
        ),
    ),
)
