"""Exercise 00.3, Answer, or pass it on."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def answer_or_abstain(probabilities, threshold):
    sure = probabilities.max(axis=1) >= threshold
    return np.where(sure, probabilities.argmax(axis=1), -1)


def _by_loops(probabilities, threshold):
    answers = []
    for row in probabilities.tolist():
        best = max(row)
        answers.append(row.index(best) if best >= threshold else -1)
    return np.array(answers)


def _cases():
    two = np.array([[0.1, 0.8, 0.1], [0.4, 0.3, 0.3]])
    yield Case((two, 0.5), note="one sure, one not")
    yield Case((two, 0.0), note="always answer")
    yield Case((np.array([[0.25, 0.75], [0.5, 0.5]]), 0.75), note="exactly as sure as asked for")
    yield Case((two, 0.9), note="never sure enough")
    yield Case((np.array([[0.9, 0.1], [0.2, 0.8]]), 0.85), note="class 0 answered")
    scores = np.random.default_rng(3).random((30, 10)) ** 6
    yield Case((scores / scores.sum(axis=1, keepdims=True), 0.4), note="thirty images")


EXERCISE = Exercise(
    id="00.3",
    title="Answer, or pass it on",
    objective="let a classifier say that it does not know",
    level=2,
    minutes=10,
    points=2,
    hints=(
        "Two things for each row: which class is the most likely, and how likely it is.",
        "sure = probabilities.max(axis=1) >= threshold is an array of True and False.",
        "np.where(sure, labels, -1) takes from the one or the other.",
    ),
    solution=answer_or_abstain,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_loops,
        keep_dtype=False,
        misconceptions=(
            Misconception(
                lambda p, t: np.where(p.max(axis=1) > t, p.argmax(axis=1), -1),
                "“At least as likely as the threshold” includes the threshold itself: >=, not >.",
            ),
            Misconception(
                lambda p, t: np.where(p.max(axis=1) >= t, p.argmax(axis=1), 0),
                "Unsure images got a 0, which is a digit. The sign for no answer is −1.",
            ),
            Misconception(
                lambda p, t: np.where(p.max(axis=1) >= t, -1, p.argmax(axis=1)),
                "The wrong way about: the unsure ones were answered and the sure ones passed on.",
            ),
            Misconception(
                lambda p, t: np.where(p.max() >= t, p.argmax(axis=1), -1),
                "One maximum of the whole table decided for all; each image has its own: "
                "probabilities.max(axis=1).",
            ),
            Misconception(
                lambda p, t: np.where((p >= t).any(axis=1), (p >= t).argmax(axis=1), -1),
                "This is the first class that reaches the threshold; a more likely one may follow.",
            ),
            Misconception(
                lambda p, t: p.argmax(axis=1), "The threshold was not used: all were answered."
            ),
            Misconception(
                lambda p, t: p.argmax(axis=1)[p.max(axis=1) >= t],
                "The unsure images are missing. Keep their places and write −1 there.",
            ),
            Misconception(
                lambda p, t: np.where((p >= t).all(axis=1), p.argmax(axis=1), -1),
                "Every class was asked to reach the threshold; only the largest needs to.",
            ),
            Misconception(
                lambda p, t: np.where(p.max(axis=1) >= t, p.max(axis=1), -1),
                "The probability was returned where the class belongs.",
            ),
        ),
    ),
)
