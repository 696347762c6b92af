"""Notebook 05, a whole network, forward: its exercises, one module each, and its predictions."""

from cnnlib.exercises.nb05 import (
    cross_entropy,
    dense_to_conv,
    digit_map,
    from_keras,
    lenet,
    linear,
    softmax,
    stack_table,
)
from cnnlib.exercises.verdicts import Prediction

EXERCISES = (
    linear.EXERCISE,
    dense_to_conv.EXERCISE,
    softmax.EXERCISE,
    cross_entropy.EXERCISE,
    stack_table.EXERCISE,
    lenet.EXERCISE,
    from_keras.EXERCISE,
    digit_map.EXERCISE,
)

PREDICTIONS = (
    Prediction(id="05.a", question="the place of map 1, row 0, column 2 in the flattened list"),
    Prediction(
        id="05.b",
        question="mistakes of the ten mean images when all pixels are shuffled alike: (a) more, "
        "(b) the same, (c) fewer",
        options=("a", "b", "c"),
    ),
    Prediction(id="05.c", question="the largest whole number whose exponential float32 can hold"),
    Prediction(
        id="05.d",
        question="the loss of a network that knows nothing of ten classes (within 2 in 100)",
        within=0.02,
    ),
    Prediction(id="05.e", question="the shape of one image's maps after LeNet's second pooling"),
    Prediction(
        id="05.f",
        question="what part of LeNet's parameters its convolutions hold: (a) most, (b) about "
        "half, (c) less than a tenth",
        options=("a", "b", "c"),
    ),
)
