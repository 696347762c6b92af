"""Notebook 01's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import numpy as np
import pytest

from cnnlib.exercises import examine

from .mutants import Mutant, survives, wrong

MUTANTS: list[Mutant] = []


def mutant(exercise_id, *says):
    return wrong(MUTANTS, exercise_id, *says)


@mutant("01.1", "wrapped around")
def adds_in_eight_bits(image, amount):
    return ((image.astype(int) + amount) % 256).astype(np.uint8)


@mutant("01.1", "wrapped around")
def clips_after_the_wrap(image, amount):
    return np.clip((image.astype(int) + amount).astype(np.uint8), 0, 255)


@mutant("01.1", "upper end")
def clips_above_only(image, amount):
    values = image.astype(int) + amount
    values[values > 255] = 255
    return values.astype(np.uint8)


@mutant("01.1", "lower end")
def clips_below_only(image, amount):
    values = image.astype(int) + amount
    values[values < 0] = 0
    return values.astype(np.uint8)


@mutant("01.1", "uint8")
def stays_an_integer(image, amount):
    return np.clip(image.astype(int) + amount, 0, 255)


def stacked(pictures):
    return [p if p.ndim == 3 else np.stack([p, p, p], axis=2) for p in pictures]


@mutant("01.2", "reshape")
def reshapes(pictures):
    images = [p.reshape(3, p.shape[0], p.shape[1]) for p in stacked(pictures)]
    return (np.array(images) / 255).astype(np.float32)


@mutant("01.2", "rows and columns")
def transposes_all(pictures):
    return (np.array([p.T for p in stacked(pictures)]) / 255).astype(np.float32)


@mutant("01.2", "last")
def leaves_channels_last(pictures):
    return (np.array(stacked(pictures)) / 255).astype(np.float32)


@mutant("01.2", "255")
def forgets_to_scale(pictures):
    return np.array([np.moveaxis(p, 2, 0) for p in stacked(pictures)]).astype(np.float32)


@mutant("01.2", "red and blue")
def swaps_red_and_blue(pictures):
    images = [np.moveaxis(p[:, :, ::-1], 2, 0) for p in stacked(pictures)]
    return (np.array(images) / 255).astype(np.float32)


def by_channel(train_images, test_images, spread=np.std, own=False):
    train, test = train_images.copy(), test_images.copy()
    for c in range(train.shape[1]):
        source = test_images if own else train_images
        mean, std = train_images[:, c].mean(), spread(train_images[:, c]) or 1.0
        train[:, c] = (train_images[:, c] - mean) / std
        other_mean, other_std = source[:, c].mean(), spread(source[:, c]) or 1.0
        test[:, c] = (test_images[:, c] - other_mean) / other_std
    return train, test


@mutant("01.3", "own mean and spread")
def uses_the_test_sets_own(train_images, test_images):
    return by_channel(train_images, test_images, own=True)


@mutant("01.3", "each needs its own")
def one_mean_for_all(train_images, test_images):
    mean, std = train_images.mean(), train_images.std()
    return (train_images - mean) / std, (test_images - mean) / std


@mutant("01.3", "n − 1")
def divides_by_n_minus_1(train_images, test_images):
    return by_channel(train_images, test_images, spread=lambda values: np.std(values, ddof=1))


@mutant("01.3", "spread is not 1")
def only_subtracts_the_mean(train_images, test_images):
    mean = train_images.mean(axis=(0, 2, 3), keepdims=True)
    return train_images - mean, test_images - mean


@mutant("01.3", "every pixel")
def a_mean_for_every_pixel(train_images, test_images):
    mean, std = train_images.mean(axis=0), train_images.std(axis=0)
    std[std == 0] = 1
    return (train_images - mean) / std, (test_images - mean) / std


def class_means(train_images, train_labels, dtype=float):
    classes = sorted(set(train_labels.tolist()))
    means = [train_images[train_labels == k].mean(axis=0).astype(dtype) for k in classes]
    return np.array(classes), means


@mutant("01.4", "largest product")
def takes_the_largest_product(train_images, train_labels, test_images):
    classes, means = class_means(train_images, train_labels)
    scores = [[(x.astype(float) * m).sum() for m in means] for x in test_images]
    return classes[np.argmax(scores, axis=1)]


@mutant("01.4", "uint8")
def subtracts_in_eight_bits(train_images, train_labels, test_images):
    classes, means = class_means(train_images, train_labels, np.uint8)
    scores = [[((x - m).astype(float) ** 2).sum() for m in means] for x in test_images]
    return classes[np.argmin(scores, axis=1)]


@mutant("01.4", "without squaring")
def forgets_the_square(train_images, train_labels, test_images):
    classes, means = class_means(train_images, train_labels)
    scores = [[(x - m).sum() for m in means] for x in test_images]
    return classes[np.argmin(scores, axis=1)]


@mutant("01.4", "position")
def returns_positions(train_images, train_labels, test_images):
    _, means = class_means(train_images, train_labels)
    scores = [[((x - m) ** 2).sum() for m in means] for x in test_images]
    return np.argmin(scores, axis=1)


@mutant("01.4", "farthest")
def takes_the_farthest(train_images, train_labels, test_images):
    classes, means = class_means(train_images, train_labels)
    scores = [[((x - m) ** 2).sum() for m in means] for x in test_images]
    return classes[np.argmax(scores, axis=1)]


def shifted(template, down, right):
    C, H, W = template.shape
    moved = np.zeros_like(template)
    for r in range(H):
        for c in range(W):
            if 0 <= r - down < H and 0 <= c - right < W:
                moved[:, r, c] = template[:, r - down, c - right]
    return moved


def smallest(images, templates, shifts, move=shifted):
    return np.array(
        [[min(((x - move(t, *s)) ** 2).sum() for s in shifts) for t in templates] for x in images]
    )


def square(reach):
    steps = range(-reach, reach + 1)
    return [(down, right) for down in steps for right in steps]


@mutant("01.5", "no shift")
def tries_no_shift(images, templates, reach):
    return smallest(images, templates, [(0, 0)])


@mutant("01.5", "np.roll")
def rolls(images, templates, reach):
    return smallest(
        images, templates, square(reach), lambda t, down, right: np.roll(t, (down, right), (1, 2))
    )


@mutant("01.5", "one direction")
def shifts_one_way(images, templates, reach):
    return smallest(images, templates, [s for s in square(reach) if min(s) >= 0])


@mutant("01.5", "straight")
def shifts_straight_only(images, templates, reach):
    return smallest(images, templates, [s for s in square(reach) if 0 in s])


@mutant("01.5", "squared distances")
def takes_the_root(images, templates, reach):
    return smallest(images, templates, square(reach)) ** 0.5


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_wrong_answer_is_rejected_for_the_right_reason(mutant):
    assert not survives(mutant)


def brighten_by_loop(image, amount):
    flat = [max(0, min(255, int(pixel) + amount)) for pixel in image.flat]
    return np.array(flat, dtype=np.uint8).reshape(image.shape)


def batch_by_torch(pictures):
    import torch

    tensors = [torch.from_numpy(p).permute(2, 0, 1) for p in stacked(pictures)]
    return torch.stack(tensors).float() / 255


def means_by_loop(train_images, train_labels, test_images):
    classes, means = class_means(train_images, train_labels)
    scores = [[((x - m) ** 2).sum() for m in means] for x in test_images]
    return classes[np.argmin(scores, axis=1)]


def shifts_by_loop(images, templates, reach):
    return smallest(images, templates, square(reach))


OTHER_WAYS = {
    "01.1": brighten_by_loop,
    "01.2": batch_by_torch,
    "01.3": by_channel,
    "01.4": means_by_loop,
    "01.5": shifts_by_loop,
}


@pytest.mark.parametrize("exercise_id", OTHER_WAYS)
def test_another_way_is_accepted(exercise_id):
    assert examine(exercise_id, OTHER_WAYS[exercise_id]).outcome == "correct"
