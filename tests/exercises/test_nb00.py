"""Notebook 00's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import warnings

import numpy as np
import pytest

from cnnlib.exercises import examine

from .mutants import Mutant, survives, wrong

MUTANTS: list[Mutant] = []


def mutant(exercise_id, *says, outcome="not yet"):
    return wrong(MUTANTS, exercise_id, *says, outcome=outcome)


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


@mutant("00.1", "above one half")
def takes_what_is_above_one_half(probabilities):
    return np.where(probabilities > 0.5)[1]


@mutant("00.1", "argsort")
def takes_the_first_of_argsort(probabilities):
    return np.argsort(probabilities, axis=1)[:, 0]


@mutant("00.1", "should have 1 axis")
def marks_the_largest(probabilities):
    return (probabilities == probabilities.max(axis=1, keepdims=True)).astype(int)


@mutant("00.1", "nearly", "int64")
def answers_in_floats(probabilities):
    answers = np.zeros(len(probabilities))
    for i, row in enumerate(probabilities):
        answers[i] = row.argmax()
    return answers


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


@mutant("00.2", "integer division")
def divides_whole_numbers(answers, labels):
    return np.sum(answers == labels) // len(labels)


@mutant("00.2", "classes are names")
def measures_how_far_off(answers, labels):
    return 1 - np.mean(np.abs(answers - labels))


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


@mutant("00.3", "maximum of the whole table")
def compares_one_maximum(probabilities, threshold):
    sure = probabilities.max() >= threshold
    return probabilities.argmax(axis=1) if sure else np.full(len(probabilities), -1)


@mutant("00.3", "first class that reaches")
def takes_the_first_that_reaches(probabilities, threshold):
    answers = []
    for row in probabilities:
        reached = [k for k, p in enumerate(row) if p >= threshold]
        answers.append(reached[0] if reached else -1)
    return np.array(answers)


@mutant("00.3", "nearly", "float64")
def abstains_in_floats(probabilities, threshold):
    return np.where(probabilities.max(axis=1) >= threshold, probabilities.argmax(axis=1), -1.0)


@mutant("00.3", "ValueError", "if probabilities.max(axis=1)", outcome="error")
def asks_if_of_an_array(probabilities, threshold):
    if probabilities.max(axis=1) >= threshold:
        return probabilities.argmax(axis=1)
    return -1


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


def part_wrong(probabilities, labels, answered):
    return (probabilities.argmax(axis=1) != labels)[answered].mean()


@mutant("00.4", "no image is answered")
def takes_the_mean_of_nothing(probabilities, labels, max_error):
    for threshold in np.linspace(0, 1, 101):
        answered = probabilities.max(axis=1) >= threshold
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the mean of an empty slice
            if part_wrong(probabilities, labels, answered) <= max_error:
                return threshold


@mutant("00.4", "stops before it")
def ends_before_one(probabilities, labels, max_error):
    for threshold in np.arange(0, 1, 0.01):
        answered = probabilities.max(axis=1) >= threshold
        if not answered.any() or part_wrong(probabilities, labels, answered) <= max_error:
            return threshold


@mutant("00.4", "101 values")
def takes_a_hundred_values(probabilities, labels, max_error):
    def allowed(errors, answered):
        return errors <= max_error * answered

    return scan(probabilities, labels, allowed, np.linspace(0, 1, 100))


@mutant("00.4", "equals the threshold", "not >")
def answers_only_above(probabilities, labels, max_error):
    for threshold in np.linspace(0, 1, 101):
        answered = probabilities.max(axis=1) > threshold
        if not answered.any() or part_wrong(probabilities, labels, answered) <= max_error:
            return threshold


@mutant("00.4", "position in the list")
def returns_the_position(probabilities, labels, max_error):
    return round(100 * threshold_by_loop(probabilities, labels, max_error))


@mutant("00.4", "searched by halves")
def searches_by_halves(probabilities, labels, max_error):
    low, high = 0, 100
    while low < high:
        middle = (low + high) // 2
        answered = probabilities.max(axis=1) >= middle / 100
        if not answered.any() or part_wrong(probabilities, labels, answered) <= max_error:
            high = middle
        else:
            low = middle + 1
    return low / 100


@mutant("00.4", "one of the probabilities")
def tries_the_probabilities(probabilities, labels, max_error):
    def allowed(errors, answered):
        return errors <= max_error * answered

    return scan(probabilities, labels, allowed, np.sort(probabilities.max(axis=1)))


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
