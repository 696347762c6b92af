"""Notebook 08, the same network in PyTorch: its exercises, one module each, and its predictions."""

from cnnlib.exercises.nb08 import (
    carry_over,
    find_why,
    hessian_product,
    keras_to_torch,
    layer_table,
    max_pool,
    per_sample,
    unfold_conv,
    value_and_gradients,
)
from cnnlib.exercises.nb08.cases import with_warnings
from cnnlib.exercises.verdicts import Prediction

__all__ = ["EXERCISES", "PREDICTIONS", "with_warnings"]

EXERCISES = (
    value_and_gradients.EXERCISE,
    max_pool.EXERCISE,
    carry_over.EXERCISE,
    unfold_conv.EXERCISE,
    find_why.EXERCISE,
    layer_table.EXERCISE,
    keras_to_torch.EXERCISE,
    per_sample.EXERCISE,
    hessian_product.EXERCISE,
)

PREDICTIONS = (
    Prediction(id="08.a", question="an array's first entry after a write into its tensor"),
    Prediction(id="08.b", question="x.grad at x = 3 of the forked loss, after two backward passes"),
    Prediction(
        id="08.c",
        question="how many times as long the tenth step is without zero_grad, on an even slope",
    ),
    Prediction(
        id="08.d",
        question="how many times smaller PyTorch's first variance is than Kaiming's "
        "(within 5 in 100)",
        within=0.05,
    ),
    Prediction(
        id="08.e",
        question="what eval() and no_grad() do about dropout: (a) either alone switches it off, "
        "(b) only eval(), (c) only no_grad()",
        options=("a", "b", "c"),
    ),
)
