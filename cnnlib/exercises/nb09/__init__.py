"""Notebook 09, the training loop: its exercises, one module each, and its predictions."""

from cnnlib.exercises.nb09 import (
    confusion_matrix,
    diagnose,
    find_copies,
    loss_and_acc,
    lr_range_test,
    mended_loop,
    paired_interval,
    split,
    train_on_budget,
)
from cnnlib.exercises.verdicts import Prediction

EXERCISES = (
    split.EXERCISE,
    loss_and_acc.EXERCISE,
    lr_range_test.EXERCISE,
    diagnose.EXERCISE,
    mended_loop.NAMES,
    mended_loop.EXERCISE,
    confusion_matrix.EXERCISE,
    paired_interval.EXERCISE,
    find_copies.EXERCISE,
    train_on_budget.EXERCISE,
)

PREDICTIONS = (
    Prediction(
        id="09.a",
        question="the true accuracy of the best of 1,000 models that guess (within 0.005)",
        within=0.05,
    ),
    Prediction(
        id="09.b",
        question="the loss below which a network cannot go whose softmax is taken twice (within "
        "0.1)",
        within=0.07,
    ),
    Prediction(
        id="09.c",
        question="how often an interval with 1.96 from five seeds holds the true mean: (a) in "
        "95 %, (b) in 92 %, (c) in 88 % of all cases",
        options=("a", "b", "c"),
    ),
    Prediction(
        id="09.d",
        question="how many of Fashion-MNIST's 10,000 test images are also training images, pixel "
        "for pixel: (a) none, (b) under a hundred, (c) hundreds",
        options=("a", "b", "c"),
    ),
)
