"""Notebook 00's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import numpy as np
import pytest

from cnnlib.exercises import examine

from .mutants import Mutant, survives, wrong

MUTANTS: list[Mutant] = []


def mutant(exercise_id, *says):
    return wrong(MUTANTS, exercise_id, *says)


@mutant("00.1", "largest probabilities")
def returns_the_value(probabilities):
    return np.array([max(row) for row in probabilities])


@mutant("00.1", "axis=1")
def compares_images(probabilities):
    return np.argmax(probabilities, axis=0)


@mutant("00.1", "counted from one")
def counts_from_one(probabilities):
    return np.array([1 + list(row).index(max(row)) for row in probabilities])


@mutant("00.1", "least likely")
def takes_the_smallest(probabilities):
    return np.array([list(row).index(min(row)) for row in probabilities])


@mutant("00.1", "axis=1")
def looks_at_the_whole_table(probabilities):
    return np.argmax(probabilities)


@mutant("00.2", "divide")
def counts_the_right_ones(answers, labels):
    return sum(int(a == b) for a, b in zip(answers, labels, strict=True))


@mutant("00.2", "percent")
def in_percent(answers, labels):
    return 100 * sum(int(a == b) for a, b in zip(answers, labels, strict=True)) / len(labels)


@mutant("00.2", "wrong")
def counts_the_wrong_ones(answers, labels):
    return float(np.mean(answers != labels))


@mutant("00.2", "all are right")
def asks_for_all(answers, labels):
    return np.array_equal(answers, labels)


@mutant("00.2", "mean")
def one_for_each(answers, labels):
    return 1.0 * (answers == labels)


@mutant("00.3", ">=")
def more_than_the_threshold(probabilities, threshold):
    return np.array([int(r.argmax()) if r.max() > threshold else -1 for r in probabilities])


@mutant("00.3", "-1".replace("-", "−"))
def zero_for_unsure(probabilities, threshold):
    return np.array([int(r.argmax()) if r.max() >= threshold else 0 for r in probabilities])


@mutant("00.3", "wrong way about")
def the_wrong_way_about(probabilities, threshold):
    return np.array([-1 if r.max() >= threshold else int(r.argmax()) for r in probabilities])


@mutant("00.3", "threshold was not used")
def ignores_the_threshold(probabilities, threshold):
    return probabilities.argmax(axis=1)


@mutant("00.3", "keep their places")
def drops_the_unsure(probabilities, threshold):
    return np.array([int(r.argmax()) for r in probabilities if r.max() >= threshold])


def scan(probabilities, labels, allowed, thresholds):
    for threshold in thresholds:
        rows = [(r, k) for r, k in zip(probabilities, labels, strict=True) if r.max() >= threshold]
        errors = sum(int(r.argmax()) != k for r, k in rows)
        if allowed(errors, len(rows)):
            return float(threshold)
    return 1.0


@mutant("00.4", "divided by all images")
def divides_by_all(probabilities, labels, max_error):
    def allowed(errors, answered):
        return errors / len(labels) <= max_error

    return scan(probabilities, labels, allowed, np.linspace(0, 1, 101))


@mutant("00.4", "largest threshold")
def takes_the_largest(probabilities, labels, max_error):
    def allowed(errors, answered):
        return errors <= max_error * answered

    return scan(probabilities, labels, allowed, np.linspace(0, 1, 101)[::-1])


@mutant("00.4", "equality")
def less_than_allowed(probabilities, labels, max_error):
    def allowed(errors, answered):
        return answered == 0 or errors / answered < max_error

    return scan(probabilities, labels, allowed, np.linspace(0, 1, 101))


@mutant("00.4", "accuracy was compared")
def compares_the_accuracy(probabilities, labels, max_error):
    def allowed(errors, answered):
        return answered == 0 or 1 - errors / answered <= max_error

    return scan(probabilities, labels, allowed, np.linspace(0, 1, 101))


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_wrong_answer_is_rejected_for_the_right_reason(mutant):
    assert not survives(mutant)


def most_likely_by_torch(probabilities):
    import torch

    return torch.from_numpy(probabilities).argmax(dim=1)


def accuracy_by_loop(answers, labels):
    right = 0
    for answer, label in zip(answers, labels, strict=True):
        right += answer == label
    return right / len(labels)


def abstain_by_loop(probabilities, threshold):
    answers = -np.ones(len(probabilities), dtype=int)
    for i, row in enumerate(probabilities):
        if max(row) >= threshold:
            answers[i] = list(row).index(max(row))
    return answers


def threshold_by_loop(probabilities, labels, max_error):
    def allowed(errors, answered):
        return answered == 0 or errors / answered <= max_error

    return scan(probabilities, labels, allowed, np.linspace(0, 1, 101))


OTHER_WAYS = {
    "00.1": most_likely_by_torch,
    "00.2": accuracy_by_loop,
    "00.3": abstain_by_loop,
    "00.4": threshold_by_loop,
}


@pytest.mark.parametrize("exercise_id", OTHER_WAYS)
def test_another_way_is_accepted(exercise_id):
    assert examine(exercise_id, OTHER_WAYS[exercise_id]).outcome == "correct"
