"""Batches in memory and the augmentation of whole batches."""

from functools import partial

import numpy as np
import pytest
import torch

from cnnlib import augment
from cnnlib.batches import Batches


@pytest.fixture
def numbered():
    """Ten images of 4 × 5 in two channels, each filled with its own number, and labels 0 to 9."""
    images = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 4, 5), np.uint8)
    return images, np.arange(10)


def seen(batches):
    return [label for _, labels in batches for label in labels.tolist()]


# order


def test_without_shuffling_images_come_in_order_and_whole(numbered):
    batches = Batches(*numbered, batch_size=4)
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert len(batches) == 3
    assert batches.num_images == 10
    assert seen(batches) == list(range(10))
    for images, labels in batches:
        expected = labels[:, None, None, None].expand(-1, 2, 4, 5) / 255
        torch.testing.assert_close(images, expected)
        assert images.dtype == torch.float32


def test_shuffling_covers_every_image_once_in_a_new_order_each_epoch(numbered):
    batches = Batches(*numbered, batch_size=4, shuffle=True)
    epochs = [seen(batches) for _ in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    again = Batches(*numbered, batch_size=4, shuffle=True)
    assert [seen(again) for _ in range(3)] == epochs
    assert seen(Batches(*numbered, batch_size=4, shuffle=True, seed=1)) != epochs[0]


def test_images_stay_with_their_labels(numbered):
    for images, labels in Batches(*numbered, batch_size=3, shuffle=True):
        assert (images[:, 0, 0, 0] * 255).round().long().tolist() == labels.tolist()


def test_a_smaller_last_batch_can_be_left_out(numbered):
    batches = Batches(*numbered, batch_size=4, drop_last=True)
    assert len(seen(batches)) == batches.num_images == 8
    assert len(batches) == 2


@pytest.mark.parametrize("shuffle", [False, True])
def test_parts_share_every_batch(numbered, shuffle):
    whole = Batches(*numbered, batch_size=4, shuffle=shuffle)
    parts = [Batches(*numbered, batch_size=4, shuffle=shuffle, part=(k, 2)) for k in range(2)]
    for (_, labels), (_, first), (_, second) in zip(whole, *parts, strict=True):
        assert sorted(labels.tolist()) == sorted(first.tolist() + second.tolist())
        assert len(first) - len(second) in (0, 1)


def test_a_saved_state_goes_on_with_the_same_order_and_augmentation(numbered):
    def make():
        return Batches(*numbered, batch_size=4, shuffle=True, augment=augment.random_shift)

    batches = make()
    seen(batches)
    state = batches.state_dict()
    expected = [(images.clone(), labels) for images, labels in batches]
    other = make()
    other.load_state_dict(state)
    for (images, labels), (images_2, labels_2) in zip(expected, other, strict=True):
        assert torch.equal(images, images_2)
        assert torch.equal(labels, labels_2)


def test_each_part_draws_an_augmentation_of_its_own(numbered):
    def random_label(images, labels, generator):
        return images, torch.rand(len(labels), generator=generator)

    settings = {"batch_size": 4, "augment": random_label, "drop_last": True}
    parts = [seen(Batches(*numbered, **settings, part=(k, 2))) for k in (0, 1, 0)]
    assert parts[0] == parts[2]
    assert not set(parts[0]) & set(parts[1])


# values


def test_pixels_are_normalised_by_channel(numbered):
    batches = Batches(*numbered, batch_size=10, mean=(0.1, 0.2), std=(0.5, 0.25))
    (images, _), *_ = batches
    pixels = np.arange(10) / 255
    np.testing.assert_allclose(images[:, 0, 0, 0], (pixels - 0.1) / 0.5, rtol=1e-5)
    np.testing.assert_allclose(images[:, 1, 3, 4], (pixels - 0.2) / 0.25, rtol=1e-5)


def test_float_images_are_taken_as_they_are():
    images = torch.rand(3, 1, 2, 2)
    (batch, _), *_ = Batches(images, torch.arange(3), batch_size=3, mean=0.5, std=2.0)
    torch.testing.assert_close(batch, (images - 0.5) / 2)


def test_the_data_are_not_changed(numbered):
    images, labels = numbered
    before = images.copy()

    def spoil(images, labels, generator):
        return images.mul_(0), labels.mul_(0)

    for _ in Batches(images, labels, batch_size=4, shuffle=True, augment=spoil):
        pass
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(labels, np.arange(10))


def test_channels_last_changes_the_memory_and_nothing_else(numbered):
    settings = {"batch_size": 4, "shuffle": True, "augment": augment.random_shift}
    plain, last = (Batches(*numbered, **settings, channels_last=c) for c in (False, True))
    for (images, _), (other, _) in zip(plain, last, strict=True):
        assert torch.equal(images, other)
        assert images.is_contiguous()
        assert other.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"images": np.zeros((10, 2, 4, 5))}, TypeError, "uint8 or float32"),
        ({"labels": np.zeros(10)}, TypeError, "labels of int64"),
        ({"images": np.zeros((10, 4, 5), np.uint8)}, ValueError, "images[:, None]"),
        ({"images": np.zeros((0, 1, 4, 5), np.uint8)}, ValueError, "at least one"),
        ({"labels": np.arange(9)}, ValueError, r"labels (10,)"),
        ({"labels": np.zeros((10, 1), int)}, ValueError, r"labels (10,)"),
        ({"batch_size": 0}, ValueError, "batch_size of at least 1"),
        ({"batch_size": 2.0}, ValueError, "batch_size of at least 1"),
        ({"mean": (0.1, 0.2, 0.3)}, ValueError, "2, one a channel"),
        ({"std": 0.0}, ValueError, "std above 0"),
        ({"part": (2, 2)}, ValueError, "part (number, count)"),
        ({"part": (0, 3)}, ValueError, "count divides"),
        ({"batch_size": 11, "drop_last": True}, ValueError, "at least one whole batch"),
    ],
)
def test_what_does_not_go_together_is_said(numbered, change, error, says):
    settings = {"images": numbered[0], "labels": numbered[1], "batch_size": 4, **change}
    with pytest.raises(error) as caught:
        Batches(settings.pop("images"), settings.pop("labels"), **settings)
    assert says in str(caught.value)


# augmentation


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def images():
    return torch.rand(64, 2, 8, 10, generator=torch.Generator().manual_seed(1)) + 0.1


ALL = {
    "flip": augment.random_flip,
    "shift": partial(augment.random_shift, max_shift=3),
    "erase": partial(augment.random_erase, size=3),
    "mixup": partial(augment.mixup, num_classes=10),
    "cutmix": partial(augment.cutmix, num_classes=10),
}


@pytest.mark.parametrize("name", ALL)
def test_augmentation_keeps_the_shape_leaves_its_input_and_repeats(name, images):
    labels, before = torch.arange(64) % 10, images.clone()
    results = [ALL[name](images, labels, torch.Generator().manual_seed(s)) for s in (5, 5, 6)]
    assert torch.equal(images, before)
    assert all(out.shape == images.shape for out, _ in results)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert not torch.equal(results[0][0], results[2][0])


def test_a_flip_mirrors_about_half_of_the_images(images, generator):
    flipped, _ = augment.random_flip(images, torch.zeros(64), generator)
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(flipped, images, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(flipped, images, strict=True)]
    assert all(m != s for m, s in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48


def test_a_shift_moves_each_image_by_whole_pixels(images, generator):
    N, C, H, W = images.shape
    moved, _ = augment.random_shift(images, torch.zeros(N), generator, max_shift=2, fill=7.0)
    shifts = set()
    for image, out in zip(images, moved, strict=True):
        found = []
        for down in range(-2, 3):
            for right in range(-2, 3):
                expected = torch.full_like(image, 7.0)
                to_rows, from_rows = slice(max(0, down), H + min(0, down)), slice(max(0, -down), H)
                to_cols, from_cols = (
                    slice(max(0, right), W + min(0, right)),
                    slice(max(0, -right), W),
                )
                part = image[:, from_rows, from_cols]
                part = part[:, : to_rows.stop - to_rows.start, : to_cols.stop - to_cols.start]
                expected[:, to_rows, to_cols] = part
                if torch.equal(out, expected):
                    found.append((down, right))
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) > 15  # of 25


def test_a_square_is_erased(images, generator):
    out, _ = augment.random_erase(images, torch.zeros(64), generator, size=4, fill=-1.0)
    erased = out == -1.0
    assert torch.equal(erased[:, 0], erased[:, 1])
    assert torch.equal(out[~erased], images[~erased])
    rows, columns = erased[:, 0].any(dim=2).sum(dim=1), erased[:, 0].any(dim=1).sum(dim=1)
    assert torch.equal(rows * columns, erased[:, 0].sum(dim=(1, 2)))  # a rectangle
    assert rows.max() == columns.max() == 4
    assert min(rows.min(), columns.min()) >= 2  # half of it at the least: its middle is inside


def test_mixup_mixes_images_and_labels_alike(images, generator):
    labels = torch.arange(64) % 10
    mixed, targets = augment.mixup(images, labels, generator, num_classes=10, alpha=1.0)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(64))
    share = next(s for t in targets for s in t.tolist() if 0 < s < 1)
    found = 0
    for n in range(64):
        for other in range(64):
            for part in (share, 1 - share):
                if torch.allclose(mixed[n], part * images[n] + (1 - part) * images[other]):
                    expected = part * augment.one_hot(labels[n : n + 1], 10)
                    expected = expected + (1 - part) * augment.one_hot(labels[other][None], 10)
                    torch.testing.assert_close(targets[n : n + 1], expected)
                    found += 1
                    break
    assert found >= 64


def test_cutmix_counts_what_it_replaced(generator):
    images = torch.arange(8.0)[:, None, None, None].expand(8, 1, 12, 12)
    labels = torch.arange(8)
    for _ in range(20):
        mixed, targets = augment.cutmix(images, labels, generator, num_classes=8)
        for n in range(8):
            share = torch.bincount(mixed[n].flatten().long(), minlength=8) / 144
            torch.testing.assert_close(targets[n], share)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_alpha_says_how_evenly_is_mixed(name, generator):
    images, labels = torch.zeros(2, 1, 100, 100), torch.tensor([0, 1])

    def shares(alpha):
        draws = [
            ALL[name](images, labels, generator, num_classes=2, alpha=alpha)[1][0, 0].item()
            for _ in range(200)
        ]
        return np.array([draw for draw in draws if draw < 1])  # the other one was another image

    even = shares(1000.0)
    # Of cutmix, half of the area, a side of 0.71; less where the rectangle hangs over the rim.
    assert even.min() == pytest.approx(0.5, abs=0.05)
    if name == "mixup":
        assert even.max() == pytest.approx(0.5, abs=0.05)
        uneven = shares(0.05)
        assert np.mean((uneven < 0.05) | (uneven > 0.95)) > 0.6


def test_in_turn_runs_one_after_the_other(images):
    steps = augment.in_turn(lambda i, y, g: (i + 1, y), lambda i, y, g: (i * 2, y + 5))
    out, labels = steps(images, torch.zeros(64), torch.Generator())
    torch.testing.assert_close(out, (images + 1) * 2)
    assert labels.unique().tolist() == [5]
