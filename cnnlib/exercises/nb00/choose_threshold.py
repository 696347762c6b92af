"""Exercise 00.4, How sure is sure enough?"""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception

THRESHOLDS = np.linspace(0, 1, 101)


def choose_threshold(probabilities, labels, max_error):
    sureness = probabilities.max(axis=1)
    wrong = probabilities.argmax(axis=1) != labels
    for threshold in np.linspace(0, 1, 101):
        answered = sureness >= threshold
        if not answered.any() or wrong[answered].mean() <= max_error:
            return float(threshold)


def _by_counting(probabilities, labels, max_error):
    rows = list(zip(probabilities.tolist(), labels.tolist(), strict=True))
    for threshold in THRESHOLDS:
        kept = [(row.index(max(row)), label) for row, label in rows if max(row) >= threshold]
        errors = sum(answer != label for answer, label in kept)
        if errors <= max_error * len(kept) + 1e-12:
            return float(threshold)


def _two_classes(sureness, right):
    """Probabilities of two classes, and labels that make the answers right or wrong."""
    sureness = np.array(sureness)
    return np.stack([sureness, 1 - sureness], axis=1), 1 - np.array(right)


def _cases():
    small = _two_classes([0.605, 0.705, 0.905], [0, 1, 1])
    yield Case((*small, 0.0), note="one unsure and wrong of three")
    yield Case((*small, 0.5), note="an error rate that is met at once")
    yield Case((*_two_classes([0.605, 0.955], [1, 0]), 0.1), note="surest where it is wrong")
    dip = _two_classes([0.605, 0.705, 0.715, 0.955], [0, 1, 1, 0])
    yield Case((*dip, 0.34), note="an error rate that falls and rises again")
    yield Case((*_two_classes([0.605, 0.995], [1, 0]), 0.1), note="no threshold but 1 will do")
    edge = _two_classes([0.75, 0.905], [0, 1])
    yield Case((*edge, 0.0), note="exactly as sure as a threshold")
    tie = _two_classes([0.605, 0.705, 0.805, 0.905], [0, 0, 1, 1])
    yield Case((*tie, 0.5), note="exactly the error that is allowed")
    rng = np.random.default_rng(4)
    scores = rng.random((200, 10)) ** 8
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(10, p=row) for row in probabilities])
    for allowed in (0.4, 0.2, 0.05):
        yield Case((probabilities, labels, allowed), note="two hundred images")


def _scan(thresholds=THRESHOLDS, over_all=False, strict=False, guard=True, of="error", above=False):
    def wrong(probabilities, labels, max_error):
        sureness = probabilities.max(axis=1)
        bad = probabilities.argmax(axis=1) != labels
        for threshold in thresholds:
            answered = sureness > threshold if above else sureness >= threshold
            if not answered.any():
                if guard:
                    return float(threshold)
                continue
            count = len(bad) if over_all else answered.sum()
            error = bad[answered].sum() / count
            if of == "right":
                error = 1 - error
            if error < max_error or (not strict and error == max_error):
                return float(threshold)
        return None

    return wrong


def _own_probabilities(probabilities, labels, max_error):
    found = _scan(np.sort(probabilities.max(axis=1)))(probabilities, labels, max_error)
    return 1.0 if found is None else found


def _last_failing(probabilities, labels, max_error):
    """Comes from above and stops at the first threshold that fails."""
    best = 1.0
    for threshold in THRESHOLDS[::-1]:
        if _scan([threshold])(probabilities, labels, max_error) is None:
            break
        best = float(threshold)
    return best


EXERCISE = Exercise(
    id="00.4",
    title="How sure is sure enough?",
    objective="turn a demand on the error rate into a threshold",
    level=3,
    minutes=20,
    points=3,
    hints=(
        "For one threshold: which images are answered, and which part of those answers is wrong? "
        "Then go through the thresholds from the lowest.",
        "wrong[answered].mean() is the part of the answers that is wrong. With no answers at all "
        "there is nothing wrong: treat that case before you take the mean.",
        "Do not search by halves: as the threshold rises the error may fall and rise again. "
        "101 values are quickly tried.",
    ),
    solution=choose_threshold,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_counting,
        misconceptions=(
            Misconception(
                _scan(over_all=True),
                "The errors were divided by all images. Divide by those that are answered.",
            ),
            Misconception(
                _last_failing,
                "You came from above, or searched by halves, and stopped at the first threshold "
                "that fails; a smaller one works again. The error rate can fall and rise.",
            ),
            Misconception(
                _scan(THRESHOLDS[::-1]),
                "This is the largest threshold that works. The smallest answers most images.",
            ),
            Misconception(
                _scan(strict=True),
                "“At most” includes equality: an error rate of exactly max_error is allowed.",
            ),
            Misconception(
                _scan(of="right"),
                "The accuracy was compared with max_error, not the error.",
            ),
            Misconception(
                lambda p, labels, e: _scan()(p, labels, e) and 1 - _scan()(p, labels, e),
                "This is 1 minus the threshold.",
            ),
            Misconception(
                _scan(above=True),
                "An image whose largest probability equals the threshold is answered too: >=, "
                "not >.",
            ),
            Misconception(
                _scan(guard=False),
                "Where no image is answered, nothing is wrong, so that threshold will do. The mean "
                "of no values is NaN, and NaN <= max_error is False.",
            ),
            Misconception(
                _scan(THRESHOLDS[:-1]),
                "The last threshold, 1.0, was not tried: np.arange(0, 1, 0.01) stops before it.",
            ),
            Misconception(
                _scan(np.linspace(0, 1, 100)),
                "The thresholds are not 0.01 apart: from 0 to 1 that takes 101 values.",
            ),
            Misconception(
                lambda p, labels, e: round(100 * _scan()(p, labels, e)),
                "This is the position in the list of thresholds; the threshold itself is wanted.",
            ),
            Misconception(
                _own_probabilities,
                "This is one of the probabilities; the answer is one of np.linspace(0, 1, 101).",
            ),
        ),
    ),
)
