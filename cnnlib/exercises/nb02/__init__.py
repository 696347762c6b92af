"""Notebook 02, convolution: its exercises, one module each, and its predictions."""

from cnnlib.exercises.nb02 import (
    conv2d,
    filter_image,
    find_kernel,
    fit_layer,
    im2col,
    merge_kernels,
    split_kernel,
    three_kernels,
)
from cnnlib.exercises.verdicts import Prediction

EXERCISES = (
    filter_image.EXERCISE,
    three_kernels.EXERCISE,
    merge_kernels.EXERCISE,
    split_kernel.EXERCISE,
    fit_layer.EXERCISE,
    im2col.EXERCISE,
    conv2d.EXERCISE,
    find_kernel.EXERCISE,
)

PREDICTIONS = (
    Prediction(id="02.a", question="the top-left output value of a 3 × 3 kernel on a 5 × 5 image"),
    Prediction(id="02.b", question="the shape of the output of a 5 × 5 kernel on a 28 × 28 image"),
    Prediction(id="02.c", question="what an edge kernel makes of a flat grey wall"),
    Prediction(
        id="02.d",
        question="whether a single bright pixel comes out as the kernel (a) as it stands or (b) "
        "turned by 180°",
        options=("a", "b"),
    ),
    Prediction(id="02.e", question="the number of parameters of 32 kernels of 3 × 3 on 3 channels"),
    Prediction(
        id="02.f",
        question="how many times slower the loops are than one matrix product: (a) 3, (b) 30, "
        "(c) 300 or more",
        options=("a", "b", "c"),
    ),
)
