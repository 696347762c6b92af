"""Exercise 01.5, A template that may slide."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def nearest_shifted(images, templates, reach):
    N, H, W = len(images), *images.shape[2:]
    flat = images.reshape(N, -1)
    sides = ((0, 0), (0, 0), (reach, reach), (reach, reach))
    padded = np.pad(templates, sides)
    best = np.full((N, len(templates)), np.inf)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            moved = padded[:, :, down : down + H, right : right + W].reshape(len(templates), -1)
            distances = (
                (flat**2).sum(axis=1, keepdims=True) - 2 * flat @ moved.T + (moved**2).sum(axis=1)
            )
            best = np.minimum(best, distances)
    return best


def _by_loops(images, templates, reach):
    N, C, H, W = images.shape
    best = np.full((N, len(templates)), np.inf)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            for k, template in enumerate(templates):
                moved = np.zeros_like(template)
                for r in range(H):
                    for c in range(W):
                        if 0 <= r - down < H and 0 <= c - right < W:
                            moved[:, r, c] = template[:, r - down, c - right]
                distances = ((images - moved) ** 2).sum(axis=(1, 2, 3))
                best[:, k] = np.minimum(best[:, k], distances)
    return best


def _cases():
    rng = np.random.default_rng(15)

    def images(*shape):
        return rng.integers(0, 6, shape) * 1.0

    yield Case((images(1, 1, 2, 2), images(1, 1, 2, 2), 0), note="no shift at all")
    spot, moved = np.zeros((2, 1, 1, 3, 3))
    spot[0, 0, 1, 1], moved[0, 0, 1, 2] = 1, 1
    yield Case((moved, spot, 1), note="a spot that moved by one pixel")
    corner = np.zeros((1, 1, 3, 3))
    corner[0, 0, 0, 0] = 1
    opposite = corner[:, :, ::-1, ::-1].copy()
    yield Case((corner, opposite, 2), note="a spot that moved diagonally")
    yield Case((corner, opposite, 1), note="a spot out of reach")
    edge = np.zeros((1, 1, 1, 4))
    edge[..., -1] = 1
    yield Case((edge[..., ::-1].copy(), edge, 1), note="a spot at the opposite border")
    yield Case((images(3, 1, 4, 5), images(2, 1, 4, 5), 1), note="several images and templates")
    yield Case((images(2, 3, 4, 3), images(4, 3, 4, 3), 2), note="colour, reach 2")


def _rolled(images, templates, reach):
    shifts = [(d, r) for d in range(-reach, reach + 1) for r in range(-reach, reach + 1)]
    return np.min(
        [_plain(images, np.roll(templates, shift, axis=(2, 3))) for shift in shifts], axis=0
    )


def _plain(images, templates, reach=0):
    return ((images[:, None] - templates) ** 2).sum(axis=(2, 3, 4))


def _one_way(images, templates, reach):
    H, W = images.shape[2:]
    padded = np.pad(templates, ((0, 0), (0, 0), (reach, 0), (reach, 0)))
    return np.min(
        [
            _plain(images, padded[:, :, d : d + H, r : r + W])
            for d in range(reach + 1)
            for r in range(reach + 1)
        ],
        axis=0,
    )


def _straight_only(images, templates, reach):
    H, W = images.shape[2:]
    padded = np.pad(templates, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    steps = range(2 * reach + 1)
    cross = [(d, reach) for d in steps] + [(reach, r) for r in steps]
    return np.min([_plain(images, padded[:, :, d : d + H, r : r + W]) for d, r in cross], axis=0)


def _over_shifts(steps=None, best=np.min, mode="constant", power=2):
    def wrong(images, templates, reach):
        H, W = images.shape[2:]
        sides = ((0, 0), (0, 0), (reach, reach), (reach, reach))
        padded = np.pad(templates, sides, mode=mode)
        chosen = range(2 * reach + 1) if steps is None else steps(reach)
        distances = [
            np.abs(images[:, None] - padded[:, :, d : d + H, r : r + W]) ** power
            for d in chosen
            for r in chosen
        ]
        return best([d.sum(axis=(2, 3, 4)) for d in distances], axis=0)

    return wrong


def _overlap(images, templates, reach):
    """Compares only where the shifted template lies on the image."""
    inside = np.ones_like(templates[:1])
    H, W = images.shape[2:]
    sides = ((0, 0), (0, 0), (reach, reach), (reach, reach))
    padded, inside = np.pad(templates, sides), np.pad(inside, sides)
    steps = range(2 * reach + 1)
    cuts = [np.s_[:, :, d : d + H, r : r + W] for d in steps for r in steps]
    return np.min([_plain(images * inside[cut], padded[cut]) for cut in cuts], axis=0)


def _moved_images(images, templates, reach):
    return nearest_shifted(templates, images, reach).T


EXERCISE = Exercise(
    id="01.5",
    title="A template that may slide",
    objective="make a comparison that forgives small shifts, and say what it costs",
    level=3,
    minutes=30,
    points=5,
    hints=(
        "Two loops over the shifts, from −reach to reach, down and across. For each shift compute "
        "all distances, and keep the smaller of the new ones and the best so far: np.minimum.",
        "What moves in at the border must be 0. Pad the templates with `reach` zeros on every "
        "side once; every shift is then a cut-out of the padded array.",
        "padded[:, :, down : down + H, right : right + W] for down and right in "
        "range(2 * reach + 1) are all the shifted templates.",
    ),
    solution=nearest_shifted,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_loops,
        misconceptions=(
            Misconception(_plain, "No shift was tried: these are the distances in place."),
            Misconception(
                _rolled,
                "What left the picture on one side came back on the other (np.roll). Zeros should "
                "move in.",
            ),
            Misconception(
                _one_way,
                "Only shifts in one direction were tried; they run from −reach to reach.",
            ),
            Misconception(
                _straight_only,
                "Only straight shifts were tried. A template may move down and across at once.",
            ),
            Misconception(
                lambda images, templates, reach: np.sqrt(_by_loops(images, templates, reach)),
                "These are distances; squared distances were asked for.",
            ),
            Misconception(
                lambda images, templates, reach: _by_loops(images, templates, reach).T,
                "Images belong in the rows, templates in the columns.",
            ),
            Misconception(
                _overlap,
                "Only the pixels where the two overlap were compared. What a shift leaves open is "
                "filled with zeros, and these count.",
            ),
            Misconception(
                _over_shifts(steps=lambda reach: range(2 * reach or 1)),
                "The last shift is missing: range(-reach, reach) ends before reach.",
            ),
            Misconception(
                _over_shifts(best=np.max), "This is the largest distance; the smallest counts."
            ),
            Misconception(
                _over_shifts(best=np.mean),
                "This is the mean over all shifts; the smallest distance counts.",
            ),
            Misconception(
                _over_shifts(mode="edge"), "The border was repeated; zeros should move in."
            ),
            Misconception(
                _over_shifts(power=1), "The differences were summed without squaring them."
            ),
            Misconception(
                _moved_images,
                "The images were moved, not the templates. That is nearly the same, but what "
                "leaves the picture is then part of the image.",
            ),
        ),
    ),
)
