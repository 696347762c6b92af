"""Notebook 04, pooling: its exercises, one module each, and its predictions."""

from cnnlib.exercises.nb04 import (
    adaptive_avg_pool2d,
    avg_pool2d,
    blur_pool2d,
    count_images,
    halve,
    max_pool2d,
    shift_consistency,
    sliding_max,
    smooth_pool2d,
)
from cnnlib.exercises.verdicts import Prediction

EXERCISES = (
    halve.EXERCISE,
    max_pool2d.EXERCISE,
    avg_pool2d.EXERCISE,
    adaptive_avg_pool2d.EXERCISE,
    count_images.EXERCISE,
    shift_consistency.EXERCISE,
    blur_pool2d.EXERCISE,
    sliding_max.EXERCISE,
    smooth_pool2d.EXERCISE,
)

PREDICTIONS = (
    Prediction(
        id="04.a", question="the top left maximum of an all-negative image that is padded with 0"
    ),
    Prediction(
        id="04.b", question="how many pixels each of four adaptive windows covers, of ten pixels"
    ),
    Prediction(
        id="04.c",
        question="the mean of the maxima of 4 × 4 tiles of noise with mean 0 and standard "
        "deviation 1 (within a tenth)",
        within=0.1,
    ),
    Prediction(
        id="04.d",
        question="which single shift of a picture max pooling 2 × 2 is equivariant to: (a) every "
        "one, (b) by even numbers of pixels only, (c) none",
        options=("a", "b", "c"),
    ),
    Prediction(
        id="04.e",
        question="the pooling size of the best classifier on digits moved by three pixels",
    ),
    Prediction(
        id="04.f",
        question="what every second column of the stripes 0 1 0 1 … shows: (a) the same stripes, "
        "(b) wider stripes, (c) no stripes at all",
        options=("a", "b", "c"),
    ),
)
