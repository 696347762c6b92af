"""Exercise 09.7, Who is taken for whom."""

import sys

import numpy as np

from cnnlib.exercises.engine import attempt, examine_function, unfit
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict, not_yet


def confusion_matrix(labels, answers, num_classes):
    pairs = num_classes * labels + answers  # one whole number for each pair of classes
    counts = np.bincount(pairs, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def _oracle(labels, answers, num_classes):
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    for label, answer in zip(labels.tolist(), answers.tolist(), strict=True):
        counts[label, answer] += 1
    return counts


def _cases():
    rng = np.random.default_rng(97)
    yield Case((np.array([0, 1, 1]), np.array([0, 0, 1]), 2), note="three images, two classes")
    yield Case((np.array([1, 1, 1]), np.array([2, 2, 2]), 3), note="the same mistake three times")
    yield Case((np.array([0, 2, 0]), np.array([0, 0, 2]), 5), note="classes that never occur")
    yield Case((np.array([0, 0]), np.array([0, 0]), 1), note="one class")
    yield Case((np.zeros(0, np.int64), np.zeros(0, np.int64), 3), note="no images at all")
    yield Case((rng.integers(0, 10, 500), rng.integers(0, 10, 500), 10), note="500 images")


def _once_each(labels, answers, num_classes):
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    counts[labels, answers] += 1
    return counts


def _shares(axis):
    def shares(labels, answers, num_classes):
        counts = _oracle(labels, answers, num_classes)
        return counts / np.maximum(counts.sum(axis=axis, keepdims=True), 1)

    return shares


def _only_seen(labels, answers, num_classes):
    size = max(labels.max(initial=0), answers.max(initial=0)) + 1
    return _oracle(labels, answers, size)


MISCONCEPTIONS = (
    Misconception(
        lambda labels, answers, n: _oracle(answers, labels, n),
        "Rows and columns have changed places: a row for each true class, a column for each "
        "answer.",
    ),
    Misconception(
        _once_each,
        "counts[labels, answers] += 1 writes each place once, however often it occurs in the "
        "index. np.add.at adds every time; np.bincount counts.",
    ),
    Misconception(
        _shares(1), "These are shares of each row; the counts themselves were asked for."
    ),
    Misconception(
        _shares(0), "These are shares of each column; the counts themselves were asked for."
    ),
    Misconception(
        _only_seen,
        "The size must come from num_classes: a class that happens not to occur has a row all the "
        "same (minlength, for np.bincount).",
    ),
    Misconception(
        lambda labels, answers, n: _oracle(labels, answers, n) * (1 - np.eye(n, dtype=np.int64)),
        "The diagonal is empty: right answers are counted too.",
    ),
    Misconception(
        lambda labels, answers, n: np.diag(np.diag(_oracle(labels, answers, n))),
        "Only the right answers are counted; the mistakes are what the matrix is for.",
    ),
)


def _lines_run(answer, num_images: int) -> int:
    """How many lines of Python a call runs: a loop over the images shows in their number."""
    rng = np.random.default_rng(num_images)
    labels, answers = rng.integers(0, 4, (2, num_images))
    count, before = 0, sys.gettrace()

    def tracer(frame, event, arg):
        nonlocal count
        count += event == "line"
        return tracer

    sys.settrace(tracer)
    try:
        attempt(answer, (labels, answers, 4))
    finally:
        sys.settrace(before)
    return count


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    verdict = examine_function(
        answer, cases=_cases, oracle=_oracle, misconceptions=MISCONCEPTIONS, keep_dtype=False
    )
    if verdict.outcome != "correct":
        return verdict
    few, many = _lines_run(answer, 100), _lines_run(answer, 1100)
    if many - few >= 1000:
        return not_yet(
            "Every count is right, but there is a loop over the images.",
            ("case", f"100 images: {few} lines of Python run; 1,100 images: {many}"),
            cause="Two numbers from 0 to num_classes − 1 can be written as one, from 0 to "
            "num_classes² − 1. np.bincount counts how often each number occurs.",
        )
    return verdict


EXERCISE = Exercise(
    id="09.7",
    title="Who is taken for whom",
    objective="count a confusion matrix without a loop over the images",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "counts[labels, answers] += 1 looks right and is not. Try it with the same pair three "
        "times.",
        "np.bincount counts whole numbers from 0 on. Make one whole number of each pair, as two "
        "digits make a number in base num_classes.",
        "np.bincount(num_classes * labels + answers, minlength=num_classes**2).reshape(…)",
    ),
    solution=confusion_matrix,
    examine=_examine,
)
