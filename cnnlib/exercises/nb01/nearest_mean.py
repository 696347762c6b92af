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
    unlike = np.array([0, 200, 0, 130, 130])[:, None, None, None] * np.ones((5, 1, 2, 2))
    labels, test = np.array([0, 0, 0, 1, 1]), np.full((1, 1, 2, 2), 190)
    yield Case(
        (unlike.astype(np.uint8), labels, test.astype(np.uint8)), note="a class of unlike images"
    )
    skewed = np.array([[0, 0, 0, 90], [0, 0, 0, 90], [0, 0, 0, 0], [40, 40, 40, 40]])
    test = np.array([[25, 25, 25, 60], [0, 0, 0, 0], [5, 5, 5, 62]])
    yield Case(
        (
            skewed.reshape(4, 1, 2, 2).astype(np.uint8),
            np.array([0, 0, 0, 1]),
            test.reshape(3, 1, 2, 2).astype(np.uint8),
        ),
        note="one pixel far off",
    )
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


def _nearest_image(train_images, train_labels, test_images):
    differences = test_images[:, None].astype(np.float64) - train_images
    return train_labels[(differences**2).sum(axis=(2, 3, 4)).argmin(axis=1)]


def _nearest(template=np.mean, power=2):
    """Nearest to another template than the mean, or by another distance; NaN where it is empty."""

    def wrong(train_images, train_labels, test_images):
        classes = np.unique(train_labels)
        means = np.stack(
            [template(train_images[train_labels == k].astype(float), axis=0) for k in classes]
        )
        differences = np.abs(test_images[:, None] - means) ** power
        return classes[differences.sum(axis=(2, 3, 4)).argmin(axis=1)]

    return wrong


def _always_ten(train_images, train_labels, test_images):
    """Takes classes 0 to 9: one without images has a mean of NaN, which argmin finds first."""
    empty = sorted(set(range(10)) - set(train_labels.tolist()))
    if not empty:
        return nearest_mean(train_images, train_labels, test_images)
    return np.full(len(test_images), empty[0])


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
            Misconception(
                _nearest_image,
                "This is the label of the nearest single image; compare with the mean of each "
                "class.",
            ),
            Misconception(
                _nearest(power=1),
                "The differences were summed without squaring them (absolute values).",
            ),
            Misconception(
                _nearest(np.median), "You took the median of each class; the mean was asked for."
            ),
            Misconception(
                _nearest(np.sum),
                "The images of a class were summed; the mean divides by their number.",
            ),
            Misconception(
                _nearest(lambda images, axis: images[0]),
                "Only the first image of each class was used; take the mean of all.",
            ),
            Misconception(
                _always_ten,
                "You took ten classes for granted. The mean of a class without images is NaN, and "
                "argmin stops at NaN: go through np.unique(train_labels).",
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
