"""Exercise 12.7, Better no answer than a wrong one."""

import math

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def accuracy_at_coverage(probabilities, labels, coverage):
    confidence = probabilities.max(axis=1)
    count = int(np.ceil(coverage * len(labels)))
    surest = np.argsort(-confidence, kind="stable")[:count]
    return (probabilities[surest].argmax(axis=1) == labels[surest]).mean()


def _oracle(probabilities, labels, coverage):
    """Python's own sort, which is stable, over one entry an image."""
    rows = probabilities.tolist()
    images = [(max(row), row.index(max(row)) == y) for row, y in zip(rows, labels, strict=True)]
    images.sort(key=lambda image: -image[0])
    count = next(k for k in range(1, len(rows) + 1) if k >= coverage * len(rows))
    return sum(right for _, right in images[:count]) / count


def _cases():
    rng = np.random.default_rng(127)
    few = np.array([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [0.7, 0.3]])
    yield Case((few, np.array([1, 1, 1, 0]), 0.5), note="four images, half of them")
    yield Case((few, np.array([1, 1, 0, 1]), 1.0), note="all of them")
    yield Case((few, np.array([1, 1, 0, 1]), 0.3), note="1.2 images, so two")
    yield Case((few, np.array([0, 0, 0, 0]), 0.01), note="a tiny share, so one image")
    ties = np.array([[0.75, 0.25], [0.25, 0.75], [0.75, 0.25]])
    yield Case((ties, np.array([0, 0, 1]), 0.3), note="three that are equally sure")
    for coverage, note in ((0.25, "a quarter of 200"), (0.333, "66.6 of 200, so 67")):
        probabilities = rng.dirichlet(np.full(5, 0.7), size=200)
        labels = np.array([rng.choice(5, p=row**0.5 / (row**0.5).sum()) for row in probabilities])
        yield Case((probabilities, labels, coverage), note=note)
    levels = rng.integers(6, 10, 300) / 10
    where = rng.integers(0, 2, 300)
    many = np.where(np.arange(2) == where[:, None], levels[:, None], 1 - levels[:, None])
    labels = rng.integers(0, 2, 300)
    yield Case((many, labels, 0.25), note="300 images with four confidences")
    yield Case((many, labels, 0.6), note="the same, more of them")


def _of(order=None, count=math.ceil, divide=None, sure=lambda p, y: p.max(axis=1)):
    """The accuracy; each argument is one thing that may go wrong."""

    def wrong(probabilities, labels, coverage):
        confidence = sure(probabilities, labels)
        k = int(count(coverage * len(labels)))
        chosen = order(confidence) if order else np.argsort(-confidence, kind="stable")
        right = (probabilities.argmax(axis=1) == labels)[chosen[:k]]
        with np.errstate(all="ignore"):
            return np.float64(right.sum()) / (divide(labels, coverage) if divide else right.size)

    return wrong


def _threshold(probabilities, labels, coverage):
    with np.errstate(all="ignore"):
        right = (probabilities.argmax(axis=1) == labels)[probabilities.max(axis=1) >= coverage]
        return np.float64(right.sum()) / right.size


def _margin(probabilities, labels):
    top = np.sort(probabilities, axis=1)
    return top[:, -1] - top[:, -2]


MISCONCEPTIONS = (
    Misconception(
        _of(order=lambda c: np.argsort(c, kind="stable")),
        "These are the images of which the network is *least* sure: argsort begins with the "
        "smallest. Sort by −confidence.",
    ),
    Misconception(
        _of(count=math.floor),
        "The number of images was rounded down (int does so too); ⌈ ⌉ rounds up, so that the "
        "coverage asked for is reached.",
    ),
    Misconception(_of(count=round), "round goes to the nearest; ⌈ ⌉ always goes up: np.ceil."),
    Misconception(
        lambda p, y, coverage: _threshold(p, y, coverage),
        "coverage was taken for a threshold on the confidence. It is a share of the images: the "
        "surest ⌈coverage · N⌉, however sure they are.",
    ),
    Misconception(
        lambda p, y, coverage: _threshold(p, y, 1 - coverage),
        "1 − coverage was taken for a threshold on the confidence; coverage is a share of images.",
    ),
    Misconception(
        _of(divide=lambda labels, coverage: len(labels)),
        "Divided by all N images; the accuracy is that of the images that are answered.",
    ),
    Misconception(
        _of(divide=lambda labels, coverage: coverage * len(labels)),
        "Divided by coverage · N; how many images were answered is ⌈coverage · N⌉.",
    ),
    Misconception(
        _of(order=lambda c: np.argsort(c, kind="stable")[::-1]),
        "Of images that are equally sure the last came first: turning an order round turns ties "
        'round as well. Sort by −confidence with kind="stable".',
    ),
    Misconception(
        _of(order=lambda c: np.argsort(-c)),
        "Of images that are equally sure some later ones came first: argsort keeps their order "
        'only with kind="stable".',
    ),
    Misconception(
        _of(sure=lambda p, y: p[np.arange(len(y)), y]),
        "The images were sorted by the probability of their true class. When it counts, nobody "
        "knows that one: the confidence is the largest probability.",
    ),
    Misconception(
        _of(sure=lambda p, y: p[:, 0]),
        "Sorted by the first class's probability; the confidence is the largest of a row.",
    ),
    Misconception(
        _of(sure=lambda p, y: p[:, -1]),
        "Sorted by the last class's probability; the confidence is the largest of a row.",
    ),
    Misconception(
        _of(sure=_margin),
        "Sorted by the distance to the second largest probability; the largest alone was asked "
        "for.",
    ),
    Misconception(
        _of(order=lambda c: np.arange(len(c))),
        "These are the first images as they come; the surest were asked for.",
    ),
    Misconception(
        lambda p, y, coverage: 1 - _oracle(p, y, coverage),
        "This is the share of mistakes; the accuracy was asked for.",
    ),
    Misconception(
        lambda p, y, coverage: _oracle(p, y, 1.0), "coverage was not used: all images are answered."
    ),
)  # fmt: skip


def _examine(answer) -> Verdict:
    return examine_function(
        answer, cases=_cases, oracle=_oracle, misconceptions=MISCONCEPTIONS, keep_dtype=False
    )


EXERCISE = Exercise(
    id="12.7",
    title="Better no answer than a wrong one",
    objective="say how accurate a network is on the share of images of which it is most sure",
    level=2,
    minutes=10,
    points=2,
    hints=(
        "How sure the network is of an image is probabilities.max(axis=1). Which order puts the "
        "surest first?",
        'np.argsort(-confidence, kind="stable") begins with the surest and keeps ties in order.',
        "Take the first np.ceil(coverage · N) of that order, and of those the mean of "
        "argmax == label.",
    ),
    solution=accuracy_at_coverage,
    examine=_examine,
)
