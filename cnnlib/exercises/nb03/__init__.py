"""Notebook 03, the geometry of convolution: its exercises, one module each, and its predictions."""

from cnnlib.exercises.nb03 import (
    conv_transpose,
    design_stack,
    layer_cost,
    output_padding_for,
    output_size,
    receptive_field,
    same_padding,
)
from cnnlib.exercises.verdicts import Prediction

EXERCISES = (
    same_padding.EXERCISE,
    output_size.EXERCISE,
    layer_cost.EXERCISE,
    conv_transpose.EXERCISE,
    output_padding_for.EXERCISE,
    receptive_field.EXERCISE,
    design_stack.EXERCISE,
)

PREDICTIONS = (
    Prediction(id="03.a", question="how many 3 × 3 windows see the corner pixel of an image"),
    Prediction(
        id="03.b",
        question="the number of places for a window of 3 in a row of 8, moving 2 at a time",
    ),
    Prediction(
        id="03.c",
        question="how many times fewer products a depthwise separable layer needs (within a tenth)",
        within=0.1,
    ),
    Prediction(
        id="03.d",
        question="which kernel makes an even grey of an even grey at stride 2: (a) 3 × 3, (b) "
        "4 × 4, (c) both, (d) neither",
        options=("a", "b", "c", "d"),
    ),
    Prediction(id="03.e", question="the side of the square that ten 3 × 3 layers can see"),
    Prediction(
        id="03.f",
        question="how many times wider the effective field is when the depth is four times as "
        "large: (a) 4, (b) 2, (c) not at all",
        options=("a", "b", "c"),
    ),
)
