"""Exercise 04.6, Does the answer stay when the picture moves?"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def shift_consistency(system, images, max_shift):
    H, W = images.shape[2:]
    m, labels = max_shift, system(images)
    padded = np.pad(images, ((0, 0), (0, 0), (m, m), (m, m)))
    unchanged = []
    for top in range(2 * m + 1):
        for left in range(2 * m + 1):
            if (top, left) != (m, m):  # that would be the picture itself
                unchanged.append(system(padded[:, :, top : top + H, left : left + W]) == labels)
    return float(np.mean(unchanged))


@dataclass(frozen=True)
class System:
    """A function from images to labels that can say in words what it does."""

    words: str
    function: Any

    def __call__(self, images):
        images = np.asarray(images)
        if images.ndim != 4:
            raise ValueError(f"the system takes images (N, C, H, W), got {images.shape}")
        return self.function(images.astype(np.float64))

    def __repr__(self) -> str:
        return self.words

    def __deepcopy__(self, memo):
        return self


def _halves(images):
    half = images.shape[3] // 2
    return (images[..., half:].sum((1, 2, 3)) > images[..., :half].sum((1, 2, 3))).astype(int)


BRIGHTEST = System(
    "row of the brightest pixel", lambda x: x.max(axis=(1, 3)).argmax(axis=1).astype(int)
)
ANY_INK = System("whether there is ink", lambda x: (x.max((1, 2, 3)) > 0).astype(int))
BRIGHTER_HALF = System("brighter half, left or right", _halves)
TOTAL = System("total brightness", lambda x: np.rint(x.sum((1, 2, 3))).astype(int))
EVERY_SECOND = System(
    "brightness of every second pixel", lambda x: np.rint(x[:, :, ::2, ::2].sum((1, 2, 3)))
)
CORNER = System("pixel in the top left corner", lambda x: np.rint(x[:, 0, 0, 0]).astype(int))


def _by_embedding(system, images, max_shift):
    """Each image alone, laid on a canvas of its own; no slice is taken twice."""
    N, C, H, W = images.shape
    agreed = total = 0
    for n in range(N):
        label = system(images[n : n + 1])[0]
        for down, right in np.ndindex(2 * max_shift + 1, 2 * max_shift + 1):
            down, right = down - max_shift, right - max_shift
            if down == 0 and right == 0:
                continue
            canvas = np.zeros((1, C, H, W), dtype=images.dtype)
            for r, c in np.ndindex(H, W):
                if 0 <= r + down < H and 0 <= c + right < W:
                    canvas[0, :, r + down, c + right] = images[n, :, r, c]
            agreed += int(system(canvas)[0] == label)
            total += 1
    return agreed / total


def _cases():
    rng = np.random.default_rng(46)
    spot = np.zeros((1, 1, 3, 3))
    spot[0, 0, 1, 1] = 1
    yield Case((ANY_INK, spot, 1), {}, "a spot that never leaves")
    yield Case((BRIGHTEST, spot, 1), {}, "a spot in the middle")
    right = np.zeros((1, 1, 3, 4))
    right[0, 0, 1, 3] = 1
    yield Case((ANY_INK, right, 1), {}, "a spot at the right border")
    yield Case((BRIGHTER_HALF, right, 2), {}, "max_shift 2")
    left = np.zeros((1, 1, 4, 3))
    left[0, 0, 0, 0] = 2
    yield Case((TOTAL, left, 1), {}, "a spot in the corner")
    yield Case((CORNER, left + 1, 1), {}, "a picture that is not black")
    batch = (rng.uniform(size=(6, 1, 7, 8)) > 0.7) * 1.0
    yield Case((BRIGHTER_HALF, batch, 1), {}, "several images")
    yield Case((EVERY_SECOND, batch, 1), {}, "a system with stride 2")
    yield Case((TOTAL, np.repeat(batch, 2, axis=1), 2), {}, "two channels")
    yield Case((BRIGHTEST, (batch * 200).astype(np.uint8), 3), {}, "uint8 and max_shift 3")


def _shifts(m):
    span = range(-m, m + 1)
    return [(down, right) for down in span for right in span if (down, right) != (0, 0)]


def _moved(images, down, right, mode="constant"):
    H, W = images.shape[2:]
    if mode == "roll":
        return np.roll(images, (down, right), axis=(2, 3))
    m = max(abs(down), abs(right))
    padded = np.pad(images, ((0, 0), (0, 0), (m, m), (m, m)), mode=mode)
    return padded[:, :, m - down : m - down + H, m - right : m - right + W]


def _share(shifts=_shifts, mode="constant", reduce=np.mean):
    def wrong(system, images, max_shift):
        labels = system(images)
        agreed = [system(_moved(images, *s, mode)) == labels for s in shifts(max_shift)]
        return float(reduce(np.array(agreed)))

    return wrong


def _to_the_neighbour(system, images, max_shift):
    span = range(-max_shift, max_shift + 1)
    labels = [system(_moved(images, d, r)) for d in span for r in span]
    return float(np.mean([a == b for a, b in pairwise(labels)]))


EXERCISE = Exercise(
    id="04.6",
    title="Does the answer stay when the picture moves?",
    objective="measure how far a system's answers depend on where the picture sits",
    level=2,
    minutes=20,
    points=4,
    hints=(
        "Ask the system once about the images as they are. Then ask again for every shift, and "
        "count how often the answer is the same.",
        "Pad the images with max_shift zeros on every side. Every shifted batch is a slice of the "
        "padded one, of the old height and width.",
        "Two loops, top and left from 0 to 2 · max_shift; the slice that begins at (max_shift, "
        "max_shift) is the picture itself and is left out. The mean of all comparisons is wanted.",
    ),
    solution=shift_consistency,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_embedding,
        misconceptions=(
            Misconception(
                _share(mode="roll"),
                "np.roll brings what leaves on one side back on the other. A camera that moves "
                "does not: zeros come in.",
            ),
            Misconception(
                _share(lambda m: [*_shifts(m), (0, 0)]),
                "The shift (0, 0) was counted too. It never changes anything, and so flatters "
                "every system: leave it out.",
            ),
            Misconception(
                _share(lambda m: [(d, r) for d, r in _shifts(m) if d >= 0 and r >= 0]),
                "Only shifts down and to the right were tried; up and left belong to it too.",
            ),
            Misconception(
                _share(lambda m: [(d, r) for d, r in _shifts(m) if d == 0 or r == 0]),
                "Only straight shifts were tried; down and right at once belong to it too.",
            ),
            Misconception(
                _share(lambda m: [(d, r) for d, r in _shifts(m) if d == r]),
                "Down and right took the same number; every pair belongs to it.",
            ),
            Misconception(
                _share(lambda m: [(d, r) for d, r in _shifts(m) if max(abs(d), abs(r)) == m]),
                "Only the largest shifts were tried; the smaller ones belong to it too.",
            ),
            Misconception(
                _share(lambda m: [(d, r) for d in range(-m, m) for r in range(-m, m)
                                  if (d, r) != (0, 0)]),
                "The last shift is missing: range(-max_shift, max_shift) ends before max_shift.",
            ),
            Misconception(
                _share(mode="edge"),
                "The border pixels were repeated where the picture moved away; zeros come in.",
            ),
            Misconception(
                _share(reduce=lambda agreed: agreed.all(axis=0).mean()),
                "This is the share of images that no shift changes. Wanted is the share of all "
                "pairs of an image and a shift.",
            ),
            Misconception(
                _share(reduce=lambda agreed: 1 - agreed.mean()),
                "This is the share of answers that changed; wanted is the share that stayed.",
            ),
            Misconception(
                _share(reduce=lambda agreed: 100 * agreed.mean()),
                "This is per cent; a share lies between 0 and 1.",
            ),
            Misconception(
                _share(reduce=np.sum),
                "This is the number of answers that stayed; divide it by the number of pairs.",
            ),
            Misconception(
                _to_the_neighbour,
                "Each answer was compared with the one before; compare it with the answer to the "
                "picture that has not moved.",
            ),
        ),
    ),
)  # fmt: skip
