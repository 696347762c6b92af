"""Notebook 01's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import warnings

import numpy as np
import pytest

from cnnlib.exercises import examine

from .mutants import Mutant, survives, wrong

MUTANTS: list[Mutant] = []


def mutant(exercise_id, *says, outcome="not yet"):
    return wrong(MUTANTS, exercise_id, *says, outcome=outcome)


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


@mutant("01.1", "below 0", "OverflowError", "image.astype(np.uint16)", outcome="error")
def widens_without_a_sign(image, amount):
    return np.clip(image.astype(np.uint16) + amount, 0, 255).astype(np.uint8)


@mutant("01.1", "changed its input")
def writes_into_the_image(image, amount):
    image[...] = np.clip(image.astype(int) + amount, 0, 255)
    return image


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


@mutant("01.2", "own largest value")
def divides_by_the_largest(pictures):
    images = [np.moveaxis(p, 2, 0) / p.max() for p in stacked(pictures)]
    return np.array(images).astype(np.float32)


@mutant("01.2", "three equal ones")
def leaves_grey_with_one_channel(pictures):
    images = [p[None] if p.ndim == 2 else np.moveaxis(p, 2, 0) for p in pictures]
    return np.stack(images).astype(np.float32) / 255


@mutant("01.2", "nearly", "float32")
def divides_in_double_precision(pictures):
    return np.array([np.moveaxis(p, 2, 0) for p in stacked(pictures)]) / 255


@mutant("01.2", "0.996094 times")
def divides_by_256(pictures):
    return np.array([np.moveaxis(p, 2, 0) for p in stacked(pictures)]).astype(np.float32) / 256


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


@mutant("01.3", "over both sets")
def looks_at_both_sets(train_images, test_images):
    _, train = by_channel(np.concatenate([train_images, test_images]), train_images)
    _, test = by_channel(np.concatenate([train_images, test_images]), test_images)
    return train, test


@mutant("01.3", "variance")
def divides_by_the_variance(train_images, test_images):
    return by_channel(train_images, test_images, spread=np.var)


@mutant("01.3", "mean was not subtracted")
def only_divides(train_images, test_images):
    std = train_images.std(axis=(0, 2, 3), keepdims=True)
    std[std == 0] = 1
    return train_images / std, test_images / std


@mutant("01.3", "never changes")
def divides_by_zero(train_images, test_images):
    mean = train_images.mean(axis=(0, 2, 3), keepdims=True)
    std = train_images.std(axis=(0, 2, 3), keepdims=True)
    with np.errstate(all="ignore"):
        return (train_images - mean) / std, (test_images - mean) / std


@mutant("01.3", "wrong order")
def returns_test_before_train(train_images, test_images):
    return by_channel(train_images, test_images)[::-1]


@mutant("01.3", "changed its input")
def standardises_in_place(train_images, test_images):
    train, test = by_channel(train_images, test_images)
    train_images[...], test_images[...] = train, test
    return train_images, test_images


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


def nearest_to(templates, classes, test_images):
    scores = [[((x - t) ** 2).sum() for t in templates] for x in test_images.astype(float)]
    return classes[np.argmin(scores, axis=1)]


@mutant("01.4", "nearest single image")
def takes_the_nearest_image(train_images, train_labels, test_images):
    return nearest_to(train_images, train_labels, test_images)


@mutant("01.4", "without squaring")
def sums_absolute_differences(train_images, train_labels, test_images):
    classes, means = class_means(train_images, train_labels)
    scores = [[np.abs(x - m).sum() for m in means] for x in test_images]
    return classes[np.argmin(scores, axis=1)]


@mutant("01.4", "median")
def takes_the_median(train_images, train_labels, test_images):
    classes = np.unique(train_labels)
    middle = [np.median(train_images[train_labels == k], axis=0) for k in classes]
    return nearest_to(middle, classes, test_images)


@mutant("01.4", "first image of each class")
def takes_the_first_image(train_images, train_labels, test_images):
    classes, where = np.unique(train_labels, return_index=True)
    return nearest_to(train_images[where], classes, test_images)


@mutant("01.4", "divides by their number")
def sums_each_class(train_images, train_labels, test_images):
    classes = np.unique(train_labels)
    sums = [train_images[train_labels == k].sum(axis=0, dtype=float) for k in classes]
    return nearest_to(sums, classes, test_images)


@mutant("01.4", "ten classes for granted")
def takes_ten_classes_for_granted(train_images, train_labels, test_images):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the mean of an empty slice
        means = [train_images[train_labels == k].mean(axis=0) for k in range(10)]
    return nearest_to(means, np.arange(10), test_images)


@mutant("01.4", "nearly", "int64")
def answers_in_floats(train_images, train_labels, test_images):
    return means_by_loop(train_images, train_labels, test_images) * 1.0


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


def over_shifts(images, templates, reach, best=min, last=1, power=2, mode="constant"):
    H, W = images.shape[2:]
    sides = ((0, 0), (0, 0), (reach, reach), (reach, reach))
    padded = np.pad(templates, sides, mode=mode)
    shifts = range(2 * reach + last) if reach else range(1)
    distances = np.zeros((len(images), len(templates)))
    for n, k in np.ndindex(distances.shape):
        cuts = [padded[k, :, d : d + H, r : r + W] for d in shifts for r in shifts]
        distances[n, k] = best([(np.abs(images[n] - cut) ** power).sum() for cut in cuts])
    return distances


@mutant("01.5", "largest distance")
def keeps_the_largest(images, templates, reach):
    return over_shifts(images, templates, reach, best=max)


@mutant("01.5", "mean over all shifts")
def averages_over_shifts(images, templates, reach):
    return over_shifts(images, templates, reach, best=np.mean)


@mutant("01.5", "ends before reach")
def forgets_the_last_shift(images, templates, reach):
    return over_shifts(images, templates, reach, last=0)


@mutant("01.5", "border was repeated")
def repeats_the_border(images, templates, reach):
    return over_shifts(images, templates, reach, mode="edge")


@mutant("01.5", "without squaring")
def sums_absolute_values(images, templates, reach):
    return over_shifts(images, templates, reach, power=1)


@mutant("01.5", "where the two overlap", "overlap")
def compares_the_overlap_only(images, templates, reach):
    H, W = images.shape[2:]
    best = np.full((len(images), len(templates)), np.inf)
    for down, right in square(reach):
        rows, columns = (
            slice(max(down, 0), H + min(down, 0)),
            slice(max(right, 0), W + min(right, 0)),
        )
        own_rows = slice(max(-down, 0), H + min(-down, 0))
        own_columns = slice(max(-right, 0), W + min(-right, 0))
        seen, moved = images[:, :, rows, columns], templates[:, :, own_rows, own_columns]
        best = np.minimum(best, ((seen[:, None] - moved) ** 2).sum(axis=(2, 3, 4)))
    return best


@mutant("01.5", "templates in the columns")
def puts_templates_in_the_rows(images, templates, reach):
    return over_shifts(images, templates, reach).T


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
