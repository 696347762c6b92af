"""Notebook 13, speed and scale: its exercises, one module each, and its predictions."""

from cnnlib.exercises.nb13 import (
    accumulate,
    amdahl,
    conv_intensity,
    joined_statistics,
    profiles,
    ring,
    roofline_rate,
    slow_loops,
    train_in_budget,
)
from cnnlib.exercises.verdicts import Prediction

EXERCISES = (
    profiles.EXERCISE,
    conv_intensity.EXERCISE,
    roofline_rate.EXERCISE,
    slow_loops.EXERCISE,
    train_in_budget.EXERCISE,
    accumulate.EXERCISE,
    joined_statistics.EXERCISE,
    ring.EXERCISE,
    amdahl.EXERCISE,
)

PREDICTIONS = (
    Prediction(
        id="13.a",
        question="which operator takes most of the conventional step: (a) preparing the images, "
        "(b) the convolutions forward, (c) the convolutions backward, (d) the optimizer",
        options=("a", "b", "c", "d"),
    ),
    Prediction(
        id="13.b",
        question="the most that a ReLU can reach, as a part of the peak: (a) all, (b) a tenth, "
        "(c) a hundredth or less",
        options=("a", "b", "c"),
    ),
    Prediction(
        id="13.c",
        question="the variance of 1, 3, 5, 7, of which two workers have half each, each with a "
        "variance of 1",
        within=0.01,
    ),
    Prediction(
        id="13.d",
        question="what part of the values each of four workers sends in a ring, as a number",
        within=0.01,
    ),
)
