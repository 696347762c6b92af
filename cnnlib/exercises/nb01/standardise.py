"""Exercise 01.3, Standardise by the training set."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def standardise(train_images, test_images):
    mean = train_images.mean(axis=(0, 2, 3), keepdims=True)  # (1, C, 1, 1)
    std = train_images.std(axis=(0, 2, 3), keepdims=True)
    std = np.where(std == 0, 1, std)
    return (train_images - mean) / std, (test_images - mean) / std


def _by_channel(train_images, test_images):
    train, test = train_images.astype(np.float64), test_images.astype(np.float64)
    for c in range(train.shape[1]):
        values = train_images[:, c].ravel().tolist()
        mean = sum(values) / len(values)
        std = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5 or 1.0
        train[:, c], test[:, c] = (train[:, c] - mean) / std, (test[:, c] - mean) / std
    return train, test


def _cases():
    rng = np.random.default_rng(13)

    def images(*shape, low=0, high=9):
        return rng.integers(low, high, shape) / 8

    yield Case((images(2, 1, 2, 2), images(1, 1, 2, 2)), note="one channel")
    far = images(2, 1, 2, 2), images(3, 1, 2, 2, low=20, high=40)
    yield Case(far, note="test images that are brighter")
    train = images(4, 3, 3, 4) * np.array([1, 5, 20])[:, None, None]
    yield Case((train, train[:2] + 1), note="three channels of different ranges")
    flat = images(3, 2, 2, 3)
    flat[:, 1] = 0.25
    yield Case((flat, images(2, 2, 2, 3)), note="a channel that is the same everywhere")


def _of_both(train_images, test_images):
    both = np.concatenate([train_images, test_images])
    standard = _with((0, 2, 3))(both, both)[0]
    return standard[: len(train_images)], standard[len(train_images) :]


def _by_variance(train_images, test_images):
    train, test = _with((0, 2, 3), scale=False)(train_images, test_images)
    variance = train_images.var(axis=(0, 2, 3), keepdims=True)
    variance = np.where(variance == 0, 1, variance)
    return train / variance, test / variance


def _with(axes, own_test=False, ddof=0, guard=True, centre=True, scale=True):
    def wrong(train_images, test_images):
        def statistics(images):
            mean = images.mean(axis=axes, keepdims=True) if centre else 0.0
            std = images.std(axis=axes, keepdims=True, ddof=ddof) if scale else np.ones(1)
            return mean, np.where(std == 0, 1, std) if guard else std

        mean, std = statistics(train_images)
        test_mean, test_std = statistics(test_images) if own_test else (mean, std)
        with np.errstate(all="ignore"):
            return (train_images - mean) / std, (test_images - test_mean) / test_std

    return wrong


EXERCISE = Exercise(
    id="01.3",
    title="Standardise by the training set",
    objective="bring images to mean 0 and spread 1 without looking at the test set",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "One mean and one standard deviation for each channel: over which of the four axes do you "
        "take them?",
        "keepdims=True keeps the axes with length 1, so that (1, C, 1, 1) lines up with N C H W.",
        "Both sets use the training set's numbers. Where the standard deviation is 0, divide by 1.",
    ),
    solution=standardise,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_channel,
        misconceptions=(
            Misconception(
                _with((0, 2, 3), own_test=True),
                "The test images were standardised with their own mean and spread. Use the "
                "training set's: a bright test set must stay bright, and in real use images come "
                "one at a time.",
            ),
            Misconception(
                _with((0, 1, 2, 3)), "One mean for all channels together; each needs its own."
            ),
            Misconception(
                _with((0,)),
                "A mean for every pixel (axis 0 only). One for each channel was asked for: "
                "axes (0, 2, 3).",
            ),
            Misconception(
                _with((0, 2, 3), guard=False),
                "A channel that never changes has spread 0, and you divided by it.",
            ),
            Misconception(
                _with((0, 2, 3), ddof=1),
                "The spread was taken with n − 1 (ddof=1). Here it is NumPy's default, n.",
            ),
            Misconception(
                _of_both,
                "Mean and spread were taken over both sets. The test set must not have a say: use "
                "the training images only.",
            ),
            Misconception(
                _by_variance,
                "You divided by the variance; the standard deviation is its root.",
            ),
            Misconception(
                _with((0, 2, 3), centre=False), "The mean was not subtracted: it is not 0 yet."
            ),
            Misconception(_with((0, 2, 3), scale=False), "The spread is not 1 yet: divide by it."),
        ),
    ),
)
