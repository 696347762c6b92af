"""Notebook 00, start here: its exercises, one module each, and its predictions."""

from cnnlib.exercises.nb00 import accuracy, answer_or_abstain, choose_threshold, most_likely
from cnnlib.exercises.verdicts import Prediction

EXERCISES = (
    most_likely.EXERCISE,
    accuracy.EXERCISE,
    answer_or_abstain.EXERCISE,
    choose_threshold.EXERCISE,
)

PREDICTIONS = (
    Prediction(
        id="00.a",
        question="how many numbers the network has learned: (a) 130, (b) 13,000, (c) 1,300,000",
        options=("a", "b", "c"),
    ),
    Prediction(id="00.b", question="how many of 10,000 test digits it gets wrong", within=0.5),
    Prediction(id="00.c", question="its accuracy when black and white change places", within=0.25),
)
