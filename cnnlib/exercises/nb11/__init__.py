"""Notebook 11, architectures: its exercises and its predictions."""

from cnnlib.exercises.nb11 import (
    bottleneck,
    convnext_block,
    dense_channels,
    design_network,
    folded_conv,
    inception_weights,
    inverted_residual,
    pre_activation,
    resnet,
    separable_macs,
    stack_or_one,
)
from cnnlib.exercises.verdicts import Prediction

EXERCISES = (
    stack_or_one.EXERCISE,
    inception_weights.EXERCISE,
    bottleneck.EXERCISE,
    resnet.EXERCISE,
    pre_activation.EXERCISE,
    dense_channels.EXERCISE,
    separable_macs.EXERCISE,
    inverted_residual.EXERCISE,
    convnext_block.EXERCISE,
    folded_conv.EXERCISE,
    design_network.EXERCISE,
)

PREDICTIONS = (
    Prediction(
        id="11.a",
        question="which part of AlexNet's parameters is in its three fully connected layers, 0 to "
        "1 (within a tenth)",
        within=0.1,
    ),
    Prediction(
        id="11.b",
        question="which plain network has the lowest *training* loss after the same 100 steps: the "
        "one with 8, 20 or 56 layers",
    ),
    Prediction(
        id="11.c",
        question="in the plain network of 56 layers with batch norm, the first layer's gradient "
        "compared with the last one's: (a) a thousandth, (b) about as large, (c) a thousand times",
        options=("a", "b", "c"),
    ),
    Prediction(
        id="11.d",
        question="how many times as many operations a full 3 × 3 convolution from 64 to 128 maps "
        "takes as a depthwise separable one (within a tenth)",
        within=0.1,
    ),
    Prediction(
        id="11.e",
        question="who wins when all get the same number of operations: the contestant's name",
    ),
)
