"""Exercise 07.3, The largest step that is safe."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def largest_lr(hessian_times, num_weights, momentum=0.0):
    direction = np.random.default_rng(0).standard_normal(num_weights)
    for _ in range(1000):
        direction = hessian_times(direction / np.linalg.norm(direction))
    steepest = np.linalg.norm(direction)  # of a unit vector, times the matrix
    return 2 * (1 + momentum) / steepest


class Curvature:
    """A symmetric matrix of which one can see only what it does to a vector."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def __call__(self, direction) -> np.ndarray:
        return self.matrix @ np.asarray(direction, dtype=np.float64)

    def __repr__(self) -> str:
        steepness = np.linalg.eigvalsh(self.matrix)
        shown = ", ".join(f"{value:.4g}" for value in steepness[:4])
        return f"the H with eigenvalues {shown}{', …' if len(steepness) > 4 else ''}"


def _by_eigenvalues(hessian_times, num_weights, momentum=0.0):
    return 2 * (1 + momentum) / np.linalg.eigvalsh(hessian_times.matrix)[-1]


def _with_eigenvalues(values, seed) -> Curvature:
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    matrix = axes * np.asarray(values) @ axes.T
    return Curvature((matrix + matrix.T) / 2)


def _cases():
    yield Case((Curvature(np.array([[4.0]])), 1), {}, "one weight")
    yield Case((Curvature(np.diag([1.0, 0.25])), 2), {}, "two weights")
    yield Case((Curvature(np.diag([0.5, 8.0])), 2), {}, "the other axis is the steep one")
    across = Curvature(np.array([[2.0, -1.0], [-1.0, 2.0]]))
    yield Case((across, 2), {}, "the steep direction is (1, −1)")
    yield Case((_with_eigenvalues([0, 0.1, 3.0, 5.0], 1), 4), {}, "a flat direction")
    yield Case((_with_eigenvalues(np.linspace(1e-3, 50, 30), 2), 30), {}, "thirty weights")
    yield Case((_with_eigenvalues([1e6, 2e4, 3.0], 3), 3), {}, "very steep")
    yield Case((_with_eigenvalues([0.1, 0.5, 2.0], 4), 3), {"momentum": 0.9}, "momentum 0.9")
    yield Case((_with_eigenvalues([0.2, 4.0], 5), 2), {"momentum": 0.5}, "momentum 0.5")


def _scaled(factor):
    def answer(hessian_times, num_weights, momentum=0.0):
        return factor(_by_eigenvalues(hessian_times, num_weights), momentum)

    return answer


def _from_ones(hessian_times, num_weights, momentum=0.0):
    direction = np.ones(num_weights)
    for _ in range(1000):
        direction = hessian_times(direction / np.linalg.norm(direction))
    return 2 * (1 + momentum) / np.linalg.norm(direction)


def _from_first_axis(hessian_times, num_weights, momentum=0.0):
    direction = np.eye(num_weights)[0]
    for _ in range(1000):
        direction = hessian_times(direction / np.linalg.norm(direction))
    return 2 * (1 + momentum) / np.linalg.norm(direction)


def _few_rounds(rounds, seed=0):
    def answer(hessian_times, num_weights, momentum=0.0):
        direction = np.random.default_rng(seed).standard_normal(num_weights)
        for _ in range(rounds):
            direction = hessian_times(direction / np.linalg.norm(direction))
        return 2 * (1 + momentum) / np.linalg.norm(direction)

    return answer


def _unnormalised(hessian_times, num_weights, momentum=0.0):
    return np.nan


def _smallest(hessian_times, num_weights, momentum=0.0):
    return 2 * (1 + momentum) / np.linalg.eigvalsh(hessian_times.matrix)[0]


def _trace(hessian_times, num_weights, momentum=0.0):
    return 2 * (1 + momentum) / np.trace(hessian_times.matrix)


EXERCISE = Exercise(
    id="07.3",
    title="The largest step that is safe",
    objective="find the learning rate at which gradient descent starts to diverge, for any "
    "number of weights",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "Multiply any vector by H again and again: the part along the steepest direction grows "
        "fastest and takes over. What is left to do is to keep the numbers from overflowing.",
        "Start from random numbers, and divide the vector by its length before each product. "
        "When it has settled, the length of H times a unit vector is λ.",
        "A few hundred rounds are enough here. Then 2 / λ, or 2 (1 + momentum) / λ.",
    ),
    solution=largest_lr,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_eigenvalues,
        tolerance=1e-4,
        keep_dtype=False,
        misconceptions=(
            Misconception(
                _scaled(lambda limit, momentum: 2 / limit),
                "This is λ itself; the limit is 2 / λ.",
            ),
            Misconception(
                _scaled(lambda limit, momentum: limit / 2 * (1 + momentum)),
                "1 / λ is the rate that lands in the valley's floor in one step; it diverges only "
                "above twice that.",
            ),
            Misconception(
                _scaled(lambda limit, momentum: limit),
                "momentum was not used: with it the limit rises to 2 (1 + momentum) / λ.",
            ),
            Misconception(
                _scaled(lambda limit, momentum: limit / (1 - momentum)),
                "2 / (λ (1 − momentum)) is not it. 1 / (1 − momentum) is how far a constant "
                "gradient carries; across the ravine the gradient changes its sign at every step.",
            ),
            Misconception(
                _scaled(lambda limit, momentum: limit * (1 - momentum)),
                "Momentum raises the limit, to 2 (1 + momentum) / λ; it does not lower it.",
            ),
            Misconception(
                _unnormalised,
                "The numbers overflow, or vanish: each product multiplies the vector's length by "
                "λ. Divide by its length before each product.",
            ),
            Misconception(_smallest, "The smallest eigenvalue was used; the steepest sets the "
                          "limit."),
            Misconception(_trace, "The sum of all eigenvalues (the trace) was used, not the "
                          "largest."),
            Misconception(
                _from_ones,
                "A start from all ones can miss: where the steep direction is at a right angle to "
                "it, such as (1, −1), it never gets there. Start from random numbers.",
            ),
            Misconception(
                _from_first_axis,
                "A start along one axis can miss the steep direction altogether. Start from "
                "random numbers.",
            ),
            *[
                Misconception(_few_rounds(rounds), "Too few rounds: the vector has not settled "
                              "along the steepest direction. Go on until it stops changing.")
                for rounds in (1, 5, 10, 20, 50)
            ],
        ),
    ),
)  # fmt: skip
