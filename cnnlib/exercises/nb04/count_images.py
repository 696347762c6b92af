"""Exercise 04.5, How many pictures pool to this map?"""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def count_images(pooled, kernel_size):
    num_pixels = kernel_size**2
    count = 1
    for value in pooled.ravel().tolist():  # Python's integers have no largest one
        count *= (value + 1) ** num_pixels - value**num_pixels
    return count


def _pick_the_largest(pooled, kernel_size):
    """Sum over how many pixels of a tile are the largest, and which."""
    from math import comb

    n, count = kernel_size**2, 1
    for value in map(int, pooled.flat):
        count *= sum(comb(n, j) * value ** (n - j) for j in range(1, n + 1))
    return count


def _cases():
    rng = np.random.default_rng(45)
    yield Case((np.array([[0]]), 2), {}, "a black tile")
    yield Case((np.array([[1]]), 2), {}, "one bright tile")
    yield Case((np.array([[1, 1]]), 2), {}, "two bright tiles")
    yield Case((np.array([[1, 0], [0, 1]]), 2), {}, "bright and black tiles")
    yield Case((np.array([[2]]), 2), {}, "three levels of grey")
    yield Case((np.array([[3, 0, 1]]), 2), {}, "four levels of grey")
    yield Case((np.array([[5, 2]]), 1), {}, "tiles of one pixel")
    yield Case((np.array([[1, 2]]), 3), {}, "tiles of 3 × 3")
    yield Case((rng.integers(0, 2, (5, 6)), 2), {}, "a number with more than 19 digits")
    yield Case((rng.integers(0, 256, (14, 14)).astype(np.uint8), 2), {}, "a digit in 256 greys")


def _by_tile(rule):
    """A wrong count: the product of rule(value, number of pixels) over the tiles."""

    def wrong(pooled, kernel_size):
        count = 1
        for value in map(int, pooled.flat):
            count *= rule(value, kernel_size**2)
        return count

    return wrong


def _in_64_bits(pooled, kernel_size):
    values, n = pooled.astype(np.int64), kernel_size**2
    return int(np.prod((values + 1) ** n - values**n))


def _in_own_dtype(pooled, kernel_size):
    n, count = kernel_size**2, 1
    for number in ((pooled + 1) ** n - pooled**n).ravel().tolist():
        count *= number
    return count


EXERCISE = Exercise(
    id="04.5",
    title="How many pictures pool to this map?",
    objective="count exactly what a maximum forgets",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "The tiles know nothing of each other. If you can count for one tile, how do the counts of "
        "several combine?",
        "One tile of n pixels with maximum m. In how many ways can n pixels all be at most m? In "
        "how many of these does none of them reach m?",
        "(m + 1) ** n − m ** n for each tile, multiplied over the tiles, in Python's own integers: "
        "int(value), or pooled.ravel().tolist().",
    ),
    solution=count_images,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_pick_the_largest,
        misconceptions=(
            Misconception(
                _by_tile(lambda m, n: (m + 1) ** n),
                "These are the tiles with no pixel above m. The ones in which no pixel reaches m "
                "have a smaller maximum: they have to go.",
            ),
            Misconception(
                _by_tile(lambda m, n: n if m else 1),
                "Exactly one pixel of a tile was taken to be the bright one; two, three or all of "
                "them may be.",
            ),
            Misconception(
                _by_tile(lambda m, n: n * (m + 1) ** (n - 1) if m else 1),
                "One pixel is m and the others are anything up to m: tiles in which two pixels "
                "are m were counted twice.",
            ),
            Misconception(
                _by_tile(lambda m, n: n * m ** (n - 1) if m else 1),
                "Exactly one pixel was taken to be the largest; several may share the maximum.",
            ),
            Misconception(
                _by_tile(lambda m, n: 2**n - 1 if m else 1),
                "Right for black and white. A pixel below the maximum m may have any of the values "
                "0 to m − 1.",
            ),
            Misconception(
                lambda pooled, kernel_size: sum(
                    (m + 1) ** kernel_size**2 - m**kernel_size**2 for m in map(int, pooled.flat)
                ),
                "The counts of the tiles were added. Each choice for one tile goes with every "
                "choice for another: they multiply.",
            ),
            Misconception(
                _by_tile(lambda m, n: (m + 1) ** int(n**0.5) - m ** int(n**0.5)),
                "A tile has kernel_size · kernel_size pixels, not kernel_size.",
            ),
            Misconception(
                lambda pooled, kernel_size: 0,
                "A product starts from 1: whatever is multiplied by 0 stays 0.",
            ),
            Misconception(
                _in_64_bits,
                "The number does not fit into NumPy's 64 bits and came out wrong without a word. "
                "Python's own integers, int(value), have no limit.",
            ),
            Misconception(
                _in_own_dtype,
                "The values are NumPy integers of few bits, which overflow without a word. "
                "Python's own integers, int(value), have no limit.",
            ),
            Misconception(
                lambda pooled, kernel_size: float(_pick_the_largest(pooled, kernel_size)),
                "A float keeps about 16 digits of it. Count in integers.",
            ),
        ),
    ),
)
