"""Notebook 12, full training: its exercises, one module each, and its predictions."""

from cnnlib.exercises.nb12 import (
    accuracy_at_coverage,
    calibration_error,
    fit_temperature,
    next_scale,
    round_to_bfloat16,
    train_resumable,
    training_seconds,
)
from cnnlib.exercises.verdicts import Prediction

EXERCISES = (
    training_seconds.EXERCISE,
    round_to_bfloat16.EXERCISE,
    next_scale.EXERCISE,
    train_resumable.EXERCISE,
    calibration_error.EXERCISE,
    fit_temperature.EXERCISE,
    accuracy_at_coverage.EXERCISE,
)

PREDICTIONS = (
    Prediction(
        id="12.a",
        question="how many times the FLOP of one forward pass a training step costs",
    ),
    Prediction(id="12.b", question="what 256 + 1 is in bfloat16"),
    Prediction(
        id="12.c",
        question="after a kill and a resume, the largest difference of any parameter: "
        "(a) exactly 0, (b) about 1e-7, (c) about 1e-3",
        options=("a", "b", "c"),
    ),
    Prediction(
        id="12.d",
        question="what part of the answers of which the network is at least 90 % sure are right "
        "(within 0.02)",
        within=0.02,
    ),
)
