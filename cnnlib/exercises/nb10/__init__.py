"""Notebook 10, normalisation, regularisation, augmentation: its exercises and its predictions."""

from cnnlib.exercises.nb10 import (
    adapt_batch_norm,
    batch_norm,
    cutmix,
    decay_groups,
    drop_values,
    group_norm,
    label_kept,
    random_rotate,
    update_average,
)
from cnnlib.exercises.verdicts import Prediction

EXERCISES = (
    batch_norm.EXERCISE,
    group_norm.EXERCISE,
    drop_values.EXERCISE,
    decay_groups.EXERCISE,
    random_rotate.EXERCISE,
    label_kept.EXERCISE,
    cutmix.EXERCISE,
    update_average.EXERCISE,
    adapt_batch_norm.EXERCISE,
)

PREDICTIONS = (
    Prediction(
        id="10.a",
        question="what is left of the signal's spread after ten layers with PyTorch's first "
        "weights: (a) all of it, (b) about a tenth, (c) about a millionth",
        options=("a", "b", "c"),
    ),
    Prediction(
        id="10.b",
        question="the running variance after one batch with the values 1 and 3, momentum 0.1",
        within=0.01,
    ),
    Prediction(
        id="10.c",
        question="the accuracy in the haze: 0.83, 0.6, 0.4 or 0.15",
    ),
    Prediction(
        id="10.d",
        question="by how much the right logit should stand above the others with label smoothing "
        "0.1 and ten classes (within a tenth)",
        within=0.1,
    ),
    Prediction(id="10.e", question="the digit that survives being mirrored best"),
)
