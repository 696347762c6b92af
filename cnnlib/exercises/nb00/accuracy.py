"""Exercise 00.2, The part that is right."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def accuracy(answers, labels):
    return float((answers == labels).mean())


def _by_counting(answers, labels):
    pairs = zip(answers.tolist(), labels.tolist(), strict=True)
    return sum(answer == label for answer, label in pairs) / len(labels)


def _cases():
    yield Case((np.array([3]), np.array([3])), note="one right answer")
    yield Case((np.array([3, 1]), np.array([3, 0])), note="one of two")
    yield Case((np.array([1, 2, 0, 0]), np.array([1, 2, 3, 0])), note="three of four")
    yield Case((np.array([1, 2, 3]), np.array([2, 3, 1])), note="all wrong")
    rng = np.random.default_rng(2)
    yield Case((rng.integers(0, 3, 50), rng.integers(0, 3, 50)), note="fifty answers")


EXERCISE = Exercise(
    id="00.2",
    title="The part that is right",
    objective="measure a classifier with one number",
    level=1,
    minutes=5,
    points=1,
    hints=(
        "answers == labels compares the two arrays place by place.",
        "True counts as 1 and False as 0, so the mean of the comparison is what you want.",
    ),
    solution=accuracy,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_counting,
        misconceptions=(
            Misconception(
                lambda a, b: int((a == b).sum()),
                "This is how many are right; divide by how many there are.",
            ),
            Misconception(
                lambda a, b: 100 * float((a == b).mean()),
                "This is in percent; an accuracy is a fraction from 0 to 1.",
            ),
            Misconception(
                lambda a, b: float((a != b).mean()),
                "This is the part that is wrong: 1 minus the accuracy.",
            ),
            Misconception(
                lambda a, b: bool((a == b).all()), "This asks whether all are right. How many are?"
            ),
            Misconception(
                lambda a, b: (a == b).astype(float),
                "This says for each answer whether it is right; take the mean of it.",
            ),
            Misconception(
                lambda a, b: int((a == b).sum()) // len(a),
                "Integer division (//) cut off the fraction.",
            ),
            Misconception(
                lambda a, b: 1 - float(np.abs(a - b).mean()),
                "You measured how far apart the numbers are. Classes are names: a 3 for an 8 is as "
                "wrong as a 3 for a 4.",
            ),
        ),
    ),
)
