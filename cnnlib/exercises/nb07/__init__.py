"""Notebook 07, training in NumPy: its exercises, one module each, and its predictions."""

from cnnlib.exercises.nb07 import (
    adam_step,
    diagnose,
    kaiming_conv,
    largest_lr,
    minibatches,
    sgd_step,
    train_from,
    train_softmax,
    train_step,
)
from cnnlib.exercises.verdicts import Prediction

EXERCISES = (
    minibatches.EXERCISE,
    sgd_step.EXERCISE,
    largest_lr.EXERCISE,
    kaiming_conv.EXERCISE,
    diagnose.EXERCISE,
    train_softmax.EXERCISE,
    train_step.EXERCISE,
    adam_step.EXERCISE,
    train_from.EXERCISE,
)

PREDICTIONS = (
    Prediction(
        id="07.a",
        question="how many times more images a batch needs for half the noise of its gradient",
    ),
    Prediction(
        id="07.b",
        question="how many times longer a step becomes with momentum 0.9 on an even slope",
    ),
    Prediction(
        id="07.c",
        question="what a network whose weights are all zero learns: (a) everything, more slowly, "
        "(b) only the last layer, (c) only the last layer's biases",
        options=("a", "b", "c"),
    ),
    Prediction(
        id="07.d",
        question="what is left of a signal's mean square after a ReLU, if it lay evenly around 0",
    ),
    Prediction(
        id="07.e",
        question="the part of the test digits that the trained network gets right (within 0.005)",
        within=0.005,
    ),
)
