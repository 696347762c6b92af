"""Exercise 00.1, The most likely digit."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def most_likely(probabilities):
    return probabilities.argmax(axis=1)


def _by_loops(probabilities):
    return np.array([max(range(len(row)), key=row.__getitem__) for row in probabilities.tolist()])


def _cases():
    yield Case((np.array([[0.1, 0.7, 0.2]]),), note="one image, three classes")
    yield Case((np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]]),), note="two images")
    for N, K, note in [(4, 10, "ten classes"), (12, 5, "more images than classes")]:
        scores = np.random.default_rng(N).random((N, K))
        yield Case((scores / scores.sum(axis=1, keepdims=True),), note=note)


EXERCISE = Exercise(
    id="00.1",
    title="The most likely digit",
    objective="read a network's answer off its probabilities",
    level=1,
    minutes=5,
    points=1,
    hints=(
        "Each row holds the probabilities of one image. You want the position of the largest, "
        "not its value.",
        "NumPy has argmax. axis=1 looks along each row.",
    ),
    solution=most_likely,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_loops,
        keep_dtype=False,
        misconceptions=(
            Misconception(
                lambda p: p.max(axis=1),
                "These are the largest probabilities; their positions were asked for.",
            ),
            Misconception(
                lambda p: p.argmax(axis=0),
                "You went down the columns: axis=0 compares images, axis=1 compares classes.",
            ),
            Misconception(
                lambda p: p.argmax(),
                "One position in the whole table came back; each row needs its own: axis=1.",
            ),
            Misconception(
                lambda p: np.array(p.argmax()),
                "One position in the whole table came back; each row needs its own: axis=1.",
            ),
            Misconception(
                lambda p: p.argmax(axis=1) + 1, "Counted from one: the first class is class 0."
            ),
            Misconception(
                lambda p: p.argmin(axis=1),
                "This is the least likely class: argmin gives it, and so does the first place of "
                "argsort, which begins with the smallest.",
            ),
            Misconception(
                lambda p: np.where(p > 0.5)[1],
                "The largest probability need not be above one half: every image has a class that "
                "is more likely than the others.",
            ),
        ),
    ),
)
