"""Exercise 13.9, What more workers can bring."""

import math

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def amdahl(one_s, many_s, num_workers, wanted_workers):
    serial_s = max(0.0, (num_workers * many_s - one_s) / (num_workers - 1))
    parallel_s = one_s - serial_s
    speedup = one_s / (serial_s + parallel_s / wanted_workers)
    limit = one_s / serial_s if serial_s > 0 else float("inf")
    return serial_s, speedup, limit


def _oracle(one_s, many_s, num_workers, wanted_workers):
    """The two equations solved as a linear system, and the limit by a very great number."""
    import numpy as np

    system = np.array([[1.0, 1.0], [1.0, 1.0 / num_workers]])
    serial_s, parallel_s = np.linalg.solve(system, [one_s, many_s])
    if serial_s <= 1e-12 * one_s:
        return 0.0, float(wanted_workers), math.inf
    return (
        float(serial_s),
        float(one_s / (serial_s + parallel_s / wanted_workers)),
        float(one_s / (serial_s + parallel_s / 1e15)),
    )


def _wrong(serial=None, speedup=None, limit=None, first=None):
    """Three results of which one is wrong in a known way."""

    def answer(one_s, many_s, num_workers, wanted_workers):
        s = max(0.0, (num_workers * many_s - one_s) / (num_workers - 1))
        s = serial(one_s, many_s, num_workers) if serial else s
        m = wanted_workers
        fast = speedup(one_s, s, m) if speedup else one_s / (s + (one_s - s) / m)
        most = limit(one_s, s) if limit else one_s / s if s > 0 else math.inf
        return first(s, one_s) if first else s, fast, most

    return answer


NOT_NEGATIVE = (
    "Measured faster than num_workers times: then the serial part comes out below 0. No time is "
    "negative: max(0, …), and without a serial part there is no limit (infinity)."
)
MISCONCEPTIONS = (
    Misconception(_wrong(lambda t1, tn, n: (n * tn - t1) / (n - 1)), NOT_NEGATIVE),
    Misconception(
        _wrong(
            lambda t1, tn, n: (n * tn - t1) / (n - 1),
            limit=lambda t1, s: t1 / s if s else math.inf,
        ),
        NOT_NEGATIVE,
    ),
    Misconception(
        _wrong(lambda t1, tn, n: max(0.0, tn - t1 / n)),
        "many_s − one_s / num_workers is not the serial part: of it, a num_workers-th was taken "
        "off with the rest. Divide by (1 − 1 / num_workers).",
    ),
    Misconception(
        _wrong(first=lambda s, t1: s / t1),
        "That is the serial fraction of one_s; the seconds are asked for.",
    ),
    Misconception(
        _wrong(lambda t1, tn, n: t1 - max(0.0, (n * tn - t1) / (n - 1))),
        "Serial and parallel part have changed places.",
    ),
    Misconception(
        _wrong(speedup=lambda t1, s, m: s + (t1 - s) / m),
        "The second number is a time; the speed-up is one_s divided by it.",
    ),
    Misconception(
        _wrong(speedup=lambda t1, s, m: (s + (t1 - s) / m) / t1),
        "The speed-up is upside down: the old time over the new one.",
    ),
    Misconception(
        _wrong(speedup=lambda t1, s, m: t1 / ((s + t1 - s) / m)),
        "In the speed-up the serial part was divided by the workers too; it is what does not.",
    ),
    Misconception(
        _wrong(limit=lambda t1, s: t1 / (t1 - s) if t1 > s else math.inf),
        "The limit divides by the part that is parallel. With endless workers that part is gone "
        "and the serial one is left: one_s / serial_s.",
    ),
    Misconception(_wrong(limit=lambda t1, s: s / t1), "The limit is upside down."),
)


def _cases():
    return [
        Case((3.0, 2.0, 2, 4), {}, "3 s alone, 2 s with two"),
        Case((10.0, 4.0, 4, 8), {}, "four workers"),
        Case((8.0, 8.0, 2, 3), {}, "no gain at all"),
        Case((7.0, 3.0, 3, 1), {}, "asked for one worker"),
        Case((12.0, 3.0, 4, 100), {}, "a perfect gain"),
        Case((10.0, 4.8, 2, 16), {}, "better than perfect, by noise in the measurement"),
    ]


def _examine(answer) -> Verdict:
    return examine_function(
        answer, cases=_cases, oracle=_oracle, misconceptions=MISCONCEPTIONS, tolerance=1e-6
    )


EXERCISE = Exercise(
    id="13.9",
    title="What more workers can bring",
    objective="work out from two measured times how far a training will scale",
    level=1,
    minutes=15,
    points=2,
    hints=(
        "Two unknowns, the serial seconds s and the parallel ones p, and two measurements: "
        "s + p = one_s, s + p / n = many_s. Take n times the second and subtract the first.",
        "s = (n · many_s − one_s) / (n − 1), not below 0. The speed-up with m workers is "
        "one_s / (s + p / m); for m → ∞ the last term is gone.",
    ),
    solution=amdahl,
    examine=_examine,
)
