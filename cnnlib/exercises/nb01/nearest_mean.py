"""Exercise 01.4, The nearest mean image."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def nearest_mean(train_images, train_labels, test_images):
    classes = np.unique(train_labels)
    train = train_images.reshape(len(train_images), -1) / 255
    test = test_images.reshape(len(test_images), -1) / 255
    means = np.stack([train[train_labels == k].mean(axis=0) for k in classes])
    # |x - m|² = |x|² - 2 x·m + |m|², and |x|² is the same for every class.
    distances = (means**2).sum(axis=1) - 2 * test @ means.T
    return classes[distances.argmin(axis=1)]


def _by_loops(train_images, train_labels, test_images):
    answers = []
    for image in test_images.astype(np.float64):
        best, best_distance = None, np.inf
        for k in sorted(set(train_labels.tolist())):
            mean = train_images[train_labels == k].astype(np.float64).mean(axis=0)
            distance = ((image - mean) ** 2).sum()
            if distance < best_distance:
                best, best_distance = k, distance
        answers.append(best)
    return np.array(answers)


def _cases():
    dark, bright = np.full((1, 2, 2), 10), np.full((1, 2, 2), 240)
    two = np.stack([dark, bright]).astype(np.uint8)
    yield Case((two, np.array([0, 1]), two[::-1].copy()), note="a dark and a bright class")
    grey = np.full((1, 1, 2, 2), 60, dtype=np.uint8)
    yield Case((two, np.array([0, 1]), grey), note="a grey image, nearer to the dark class")
    rng = np.random.default_rng(14)
    for shape, num_classes, note in [
        ((1, 3, 4), 3, "three classes"),
        ((3, 4, 3), 4, "colour images"),
        ((1, 5, 5), 10, "ten classes of unequal size"),
    ]:
        labels = np.sort(rng.integers(0, num_classes, 60))
        labels[:num_classes] = np.arange(num_classes)
        patterns = rng.integers(0, 200, (num_classes, *shape))
        images = patterns[labels] + rng.integers(0, 56, (60, *shape))
        test = patterns[rng.integers(0, num_classes, 20)] + rng.integers(0, 56, (20, *shape))
        yield Case((images.astype(np.uint8), labels, test.astype(np.uint8)), note=note)
    keep = (labels != 4) & (labels != 7)
    yield Case(
        (images[keep].astype(np.uint8), labels[keep], test.astype(np.uint8)),
        note="labels that leave numbers out",
    )


def _means(train_images, train_labels, dtype=np.float64):
    classes = np.unique(train_labels)
    return classes, np.stack(
        [train_images[train_labels == k].mean(axis=0).astype(dtype) for k in classes]
    )


def _largest_product(train_images, train_labels, test_images):
    classes, means = _means(train_images, train_labels)
    test = test_images.reshape(len(test_images), -1).astype(np.float64)
    return classes[(test @ means.reshape(len(classes), -1).T).argmax(axis=1)]


def _wrapping_distance(train_images, train_labels, test_images):
    classes, means = _means(train_images, train_labels, np.uint8)
    difference = test_images[:, None] - means
    return classes[(difference.astype(np.float64) ** 2).sum(axis=(2, 3, 4)).argmin(axis=1)]


def _wrapping_square(train_images, train_labels, test_images):
    classes, means = _means(train_images, train_labels, np.uint8)
    difference = test_images[:, None] - means
    return classes[(difference**2).sum(axis=(2, 3, 4)).argmin(axis=1)]


def _signed_sum(train_images, train_labels, test_images):
    classes, means = _means(train_images, train_labels)
    return classes[(test_images[:, None] - means).sum(axis=(2, 3, 4)).argmin(axis=1)]


def _positions(train_images, train_labels, test_images):
    labels = nearest_mean(train_images, train_labels, test_images)
    return np.searchsorted(np.unique(train_labels), labels)


def _farthest(train_images, train_labels, test_images):
    classes, means = _means(train_images, train_labels)
    distances = ((test_images[:, None] - means) ** 2).sum(axis=(2, 3, 4))
    return classes[distances.argmax(axis=1)]


EXERCISE = Exercise(
    id="01.4",
    title="The nearest mean image",
    objective="build a first classifier, and have a number that every later network must beat",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "First the mean image of each class, as floats. Then the squared distance from every test "
        "image to every mean: an array (num_test, num_classes). Then argmin.",
        "Flatten the images to rows. 10,000 × 10 × 784 differences at once take half a gigabyte; "
        "|x − m|² = |x|² − 2 x·m + |m|² needs one matrix product.",
        "argmin gives a position among the classes; np.unique(train_labels) says which label "
        "stands there.",
    ),
    solution=nearest_mean,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_loops,
        keep_dtype=False,
        misconceptions=(
            Misconception(
                _largest_product,
                "You took the largest product x·m, which favours bright means. It belongs to the "
                "distance only together with |m|².",
            ),
            Misconception(
                _wrapping_distance,
                "The difference was taken in uint8, where 10 − 12 is 254. Go over to floats first.",
            ),
            Misconception(
                _wrapping_square,
                "The squares were taken in uint8, where 16² is 0. Go over to floats first.",
            ),
            Misconception(
                _signed_sum,
                "The differences were summed without squaring, so they cancel each other.",
            ),
            Misconception(_farthest, "This is the farthest class: argmax where argmin belongs."),
            Misconception(
                _positions,
                "argmin's position was returned instead of the label that stands there: not every "
                "set of labels is 0, 1, 2, …",
            ),
        ),
    ),
)
