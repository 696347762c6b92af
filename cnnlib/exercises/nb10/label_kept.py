"""Exercise 10.6, Does the label survive?"""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def label_kept(labels, before, after, num_classes):
    kept = np.full(num_classes, np.nan)
    for label in range(num_classes):
        known = (labels == label) & (before == label)
        if known.any():
            kept[label] = (after[known] == label).mean()
    return kept


def _counted(labels, before, after, num_classes):
    """By a loop over the images that counts."""
    known, kept = [0] * num_classes, [0] * num_classes
    for label, first, second in zip(labels.tolist(), before.tolist(), after.tolist(), strict=True):
        known[label] += first == label
        kept[label] += first == label and second == label
    shares = [k / n if n else float("nan") for k, n in zip(kept, known, strict=True)]
    return np.array(shares)


def _cases():
    rng = np.random.default_rng(106)

    def case(labels, before, after, num_classes, note=""):
        return Case((np.array(labels), np.array(before), np.array(after), num_classes), {}, note)

    yield case([0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1], 2, "all recognised before")
    yield case([0, 0, 0, 1], [0, 1, 1, 1], [0, 0, 2, 1], 3, "some not recognised before")
    yield case([0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 1, 1], 2, "a class never recognised before")
    yield case([2, 2, 0, 0], [2, 2, 0, 0], [0, 0, 2, 2], 4, "classes that never occur")
    labels = rng.integers(0, 10, 300)
    before = np.where(rng.random(300) < 0.85, labels, rng.integers(0, 10, 300))
    after = np.where(rng.random(300) < 0.6, labels, rng.integers(0, 10, 300))
    yield case(labels, before, after, 10, "300 images")


def _by_class(numerator, denominator, empty=np.nan, key="labels"):
    """Shares by class; each argument is one thing that may go wrong."""

    def wrong(labels, before, after, num_classes):
        shares = np.full(num_classes, empty)
        for c in range(num_classes):
            of = (labels if key == "labels" else before) == c
            chosen = of & denominator(labels, before, after)
            if chosen.any():
                shares[c] = (numerator(labels, before, after) & chosen).sum() / chosen.sum()
        return shares

    return wrong


def _everything(labels, before, after):
    return np.ones(len(labels), dtype=bool)


def _known(labels, before, after):
    return before == labels


def _after_right(labels, before, after):
    return after == labels


def _unchanged(labels, before, after):
    return before == after


def _overall(labels, before, after, num_classes):
    return float((after[before == labels] == labels[before == labels]).mean())


MISCONCEPTIONS = (
    Misconception(
        _by_class(_after_right, _everything),
        "This is the accuracy after the change, over all images. An image that the judge did not "
        "know before says nothing about the change: leave it out.",
    ),
    Misconception(
        _by_class(_unchanged, _everything),
        "Images that were taken for a wrong class before and after count as kept here. Only "
        "images that were recognised before should count.",
    ),
    Misconception(
        _by_class(_unchanged, _everything, key="before"),
        "The classes are those that the judge named before; they should be the true labels, and "
        "only images that were recognised should count.",
    ),
    Misconception(
        _by_class(_after_right, _known, empty=0.0),
        "A class of which nothing was recognised before got 0: nothing is known of it, so NaN.",
    ),
    Misconception(
        _by_class(_after_right, _known, empty=1.0),
        "A class of which nothing was recognised before got 1: nothing is known of it, so NaN.",
    ),
    Misconception(
        _by_class(lambda *a: _known(*a) & _after_right(*a), _everything),
        "Kept images were divided by all images of the class; divide by those that were "
        "recognised before.",
    ),
    Misconception(
        lambda *args: 1 - _by_class(_after_right, _known)(*args),
        "This is the share that is lost; the share that is kept was asked for.",
    ),
    Misconception(
        _by_class(_known, _after_right),
        "Before and after have changed places: of the images recognised before, which share is "
        "recognised after?",
    ),
    Misconception(
        _overall, "One number for all classes: what is safe for a 0 may ruin a 6. One a class."
    ),
)


EXERCISE = Exercise(
    id="10.6",
    title="Does the label survive?",
    objective="let a trained classifier judge, class by class, whether an augmentation is safe",
    level=1,
    minutes=12,
    points=2,
    hints=(
        "For one class: which images belong to it and were recognised before? Of these, which "
        "share is recognised after?",
        "Two boolean arrays joined by & choose the images: (labels == c) & (before == c). Mind "
        "the parentheses.",
        "Start with np.full(num_classes, np.nan), and fill in a share where at least one image "
        "was chosen.",
    ),
    solution=label_kept,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_counted,
        misconceptions=MISCONCEPTIONS,
        keep_dtype=False,
    ),
)
