"""Notebook 06, backward by hand: its exercises, one module each, and its predictions."""

from cnnlib.exercises.nb06 import (
    batch_norm_backward,
    check_gradients,
    col2im,
    conv_gradients,
    find_bugs,
    graph_gradients,
    is_adjoint,
    linear_backward,
    max_pool_backward,
    winograd,
)
from cnnlib.exercises.verdicts import Prediction

EXERCISES = (
    graph_gradients.EXERCISE,
    linear_backward.EXERCISE,
    check_gradients.EXERCISE,
    max_pool_backward.EXERCISE,
    col2im.EXERCISE,
    is_adjoint.EXERCISE,
    conv_gradients.EXERCISE,
    batch_norm_backward.EXERCISE,
    find_bugs.EXERCISE,
    winograd.EXERCISE,
)

PREDICTIONS = (
    Prediction(id="06.a", question="the slope of the loss with respect to x, which is a fork"),
    Prediction(
        id="06.b",
        question="the step with the smallest error for central differences in float64: (a) 0.01, "
        "(b) 0.00001, (c) 0.0000000001",
        options=("a", "b", "c"),
    ),
    Prediction(
        id="06.c", question="the gradient of each logit when all the upstream gradients are 1"
    ),
    Prediction(
        id="06.d", question="the gradient of pixel [1, 1] when all four outputs have gradient 1"
    ),
    Prediction(
        id="06.e", question="the sum of grad_images over a channel, in front of a batch norm"
    ),
    Prediction(
        id="06.f",
        question="how many times the forward pass's products a backward pass takes (within a "
        "tenth)",
        within=0.1,
    ),
)
