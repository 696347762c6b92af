"""Exercise 12.5, As sure as it should be?"""

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def calibration_error(probabilities, labels, num_bins):
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    edges = np.arange(1, num_bins) / num_bins
    bins = np.searchsorted(edges, confidence)  # on an edge: the bin below
    error = 0.0
    for k in range(num_bins):
        inside = bins == k
        if inside.any():
            error += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return error


def _oracle(probabilities, labels, num_bins):
    """Image by image, by comparing with both edges; the share of a bin cancels its mean."""
    total = 0.0
    for k in range(num_bins):
        low, high = k / num_bins, (k + 1) / num_bins
        for_bin = 0.0
        for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
            if low < max(row) <= high:
                for_bin += max(row) - (row.index(max(row)) == label)
        total += abs(for_bin)
    return total / len(labels)


def _cases():
    rng = np.random.default_rng(125)
    two = np.array([[0.9, 0.1], [0.1, 0.9]])
    yield Case((two, np.array([0, 0]), 1), note="two images in one bin, one of them right")
    few = np.array([[0.6, 0.4], [0.3, 0.7], [0.9, 0.1], [0.95, 0.05]])
    yield Case((few, np.array([0, 0, 0, 0]), 4), note="four images, two bins that hold some")
    yield Case((few, np.array([1, 1, 0, 1]), 4), note="too sure in one bin, not enough in another")
    edge = np.array([[0.75, 0.25], [0.2, 0.8]])
    yield Case((edge, np.array([0, 0]), 4), note="a confidence of 0.75, exactly on an edge")
    whole = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.4]])
    yield Case((whole, np.array([0, 0, 0]), 5), note="a confidence of exactly 1")
    half = np.array([[0.5, 0.3, 0.2], [0.1, 0.45, 0.45 - 1e-3], [0.0, 0.0, 1.0]])
    yield Case((half, np.array([0, 1, 1]), 2), note="three classes, confidences of 0.5 and 1")
    for N, C, num_bins in ((60, 3, 5), (400, 10, 15)):
        probabilities = rng.dirichlet(np.full(C, 0.5), size=N)
        honest = probabilities**0.6 / (probabilities**0.6).sum(axis=1, keepdims=True)
        labels = np.array([rng.choice(C, p=row) for row in honest])
        yield Case((probabilities, labels, num_bins), note=f"{N} images, {num_bins} bins")


def _binned(bins=None, weigh=None, gap=lambda c, a, k, n: abs(c - a), sure=None, empty=0.0):
    """The error; each argument is one thing that may go wrong."""

    def wrong(probabilities, labels, num_bins):
        N = len(labels)
        confidence = probabilities.max(axis=1)
        if sure:
            confidence = sure(probabilities, labels)
        right = probabilities.argmax(axis=1) == labels
        where = (bins or _below)(confidence, num_bins)
        gaps, shares = np.full(num_bins, empty), np.zeros(num_bins)
        for k in range(num_bins):
            inside = where == k
            if n := inside.sum():
                gaps[k] = gap(confidence[inside].sum() / n, right[inside].sum() / n, k, num_bins)
                shares[k] = n / N
        with np.errstate(all="ignore"):
            return (weigh or (lambda g, s: (g * s).sum()))(gaps, shares)

    return wrong


def _below(confidence, num_bins):
    return np.ceil(confidence * num_bins) - 1


def _above(confidence, num_bins):
    return np.floor(confidence * num_bins)


def _equal_counts(confidence, num_bins):
    where = np.empty(len(confidence))
    for k, some in enumerate(np.array_split(np.argsort(confidence, kind="stable"), num_bins)):
        where[some] = k
    return where


def _of_true_class(probabilities, labels):
    return probabilities[np.arange(len(labels)), labels]


def _overall(probabilities, labels, num_bins):
    right = probabilities.argmax(axis=1) == labels
    return abs(probabilities.max(axis=1).sum() - right.sum()) / len(labels)


MISCONCEPTIONS = (
    Misconception(
        _binned(weigh=lambda g, s: g[s > 0].sum() / max((s > 0).sum(), 1)),
        "Every bin counts alike here. A bin counts by the share of all images that lie in it.",
    ),
    Misconception(
        _binned(weigh=lambda g, s: g.sum() / len(g)),
        "Every bin counts alike here, the empty ones too. A bin counts by the share of all images "
        "that lie in it.",
    ),
    Misconception(
        _binned(weigh=lambda g, s: g[s > 0].sum()),
        "The distances were added without their weights. A bin counts by the share of all images "
        "that lie in it.",
    ),
    Misconception(
        _binned(gap=lambda c, a, k, n: c - a),
        "The differences have signs here, and a bin that is too sure makes up for one that is not "
        "sure enough. Take the distance in each bin, abs(…).",
    ),
    Misconception(
        _binned(gap=lambda c, a, k, n: a - c),
        "The differences have signs here, and a bin that is too sure makes up for one that is not "
        "sure enough. Take the distance in each bin, abs(…).",
    ),
    Misconception(
        _overall,
        "This is the distance between mean confidence and accuracy of all images together: bins "
        "that are too sure make up for bins that are not sure enough. abs belongs inside the sum.",
    ),
    Misconception(
        _binned(bins=lambda c, n: np.minimum(_above(c, n), n - 1)),
        "A confidence exactly on an edge fell into the bin above. It belongs to the lower one: "
        "low < confidence ≤ high.",
    ),
    Misconception(
        _binned(bins=_above),
        "A confidence exactly on an edge fell into the bin above, and 1.0 into none: "
        "low < confidence ≤ high.",
    ),
    Misconception(
        _binned(bins=lambda c, n: np.where(c < 1, _below(c, n), -1)),
        "Images with a confidence of exactly 1.0 were lost; the last bin holds its upper edge.",
    ),
    Misconception(
        _binned(sure=_of_true_class),
        "The probability of the true class was taken. The confidence is the largest probability: "
        "what the network says before anybody knows the truth.",
    ),
    Misconception(
        _binned(bins=_equal_counts),
        "These bins hold equally many images. Here they are equally wide, k / num_bins to "
        "(k + 1) / num_bins.",
    ),
    Misconception(
        _binned(empty=np.nan),
        "A bin without images gave 0 / 0, and NaN swallows every sum it meets. Leave empty bins "
        "out.",
    ),
    Misconception(
        _binned(weigh=lambda g, s: g.max()),
        "This is the largest distance of a bin, the *maximum* calibration error; the expected one "
        "is the mean, weighted by the shares.",
    ),
    Misconception(
        _binned(weigh=lambda g, s: (s * g**2).sum() ** 0.5),
        "The distances were squared; their absolute values were asked for.",
    ),
    Misconception(
        _binned(gap=lambda c, a, k, n: abs((k + 0.5) / n - a)),
        "The middle of the bin stands where the mean confidence of its images belongs.",
    ),
    Misconception(
        _binned(gap=lambda c, a, k, n: abs((k + 1) / n - a)),
        "The upper edge of the bin stands where the mean confidence of its images belongs.",
    ),
    Misconception(
        lambda p, y, n: _binned()(p, y, n) * len(y),
        "Divide by the number of images: the weights of the bins are shares, which add up to 1.",
    ),
)


def _examine(answer) -> Verdict:
    return examine_function(
        answer,
        cases=_cases,
        oracle=_oracle,
        misconceptions=MISCONCEPTIONS,
        tolerance=1e-7,
        keep_dtype=False,
    )


EXERCISE = Exercise(
    id="12.5",
    title="As sure as it should be?",
    objective="measure how far a network's confidence is from its accuracy",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "Two numbers an image: confidence = probabilities.max(axis=1), and whether the argmax is "
        "the label. Everything else is about these.",
        "For each k: inside = (confidence > k / num_bins) & (confidence <= (k + 1) / num_bins). "
        "If nothing is inside, go on.",
        "inside.mean() is the bin's share. Add up share · |confidence[inside].mean() − "
        "right[inside].mean()|.",
    ),
    solution=calibration_error,
    examine=_examine,
)
