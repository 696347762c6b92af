"""Exercise 01.1, Brighter without wrapping."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def brighten(image, amount):
    wide = image.astype(np.int32) + amount
    return np.clip(wide, 0, 255).astype(np.uint8)


def _by_the_pixel(image, amount):
    values = [min(max(int(pixel) + amount, 0), 255) for pixel in image.ravel()]
    return np.array(values, dtype=np.uint8).reshape(image.shape)


def _cases():
    yield Case((np.array([[10, 20]], dtype=np.uint8), 5), note="small numbers")
    yield Case((np.array([[200, 250, 255]], dtype=np.uint8), 100), note="beyond 255")
    yield Case((np.array([[0, 30, 200]], dtype=np.uint8), -50), note="below 0")
    yield Case((np.array([[0, 128, 255]], dtype=np.uint8), 300), note="an amount beyond 255")
    yield Case((np.array([[0, 128, 255]], dtype=np.uint8), -300), note="an amount below −255")
    image = np.random.default_rng(11).integers(0, 256, (3, 7, 5), dtype=np.uint8)
    yield Case((image, 60), note="a colour image")
    yield Case((image, 0), note="an amount of 0")


def _wrapping(image, amount):
    return (image.astype(np.int64) + amount).astype(np.uint8)


EXERCISE = Exercise(
    id="01.1",
    title="Brighter without wrapping",
    objective="do arithmetic on 8-bit images without overflow",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "Where must there be room for numbers above 255 and below 0: before the sum or after it?",
        "image.astype(np.int32) makes room. np.clip(values, 0, 255) cuts off what does not fit.",
        "Widen, add, clip, and only then go back with .astype(np.uint8).",
    ),
    solution=brighten,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_the_pixel,
        misconceptions=(
            Misconception(
                lambda image, amount: np.minimum(image.astype(np.int64) + amount, 255).astype(
                    np.uint8
                ),
                "Only the upper end was clipped; a negative amount goes below 0.",
            ),
            Misconception(
                lambda image, amount: np.maximum(image.astype(np.int64) + amount, 0).astype(
                    np.uint8
                ),
                "Only the lower end was clipped; bright pixels still wrap around.",
            ),
            Misconception(
                _wrapping,
                "The sum wrapped around: 256 became 0. Give it room with a wider type, then clip, "
                "then go back to uint8. (Clipping after the wrap finds nothing left to clip.)",
            ),
            Misconception(
                lambda image, amount: np.clip(image.astype(np.uint16) + amount, 0, 255),
                "uint16 has no numbers below 0: go over to a type with a sign, such as np.int32.",
            ),
            Misconception(
                lambda image, amount: np.clip(image * (1 + amount / 255), 0, 255).astype(np.uint8),
                "The pixels were multiplied; `amount` is to be added.",
            ),
        ),
    ),
)
