"""Exercise 04.8, A maximum at the same price for any window."""

from dataclasses import replace

import numpy as np

from cnnlib.exercises.compare import kind, show
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_yet, raised

MOST = 3  # comparisons a value


def sliding_max(values, kernel_size, maximum):
    n, k = len(values), kernel_size
    since_block_began, until_block_ends = list(values), list(values)
    for i in range(1, n):
        if i % k != 0:
            since_block_began[i] = maximum(since_block_began[i - 1], values[i])
    for i in range(n - 2, -1, -1):
        if (i + 1) % k != 0:
            until_block_ends[i] = maximum(values[i], until_block_ends[i + 1])
    return [maximum(until_block_ends[i], since_block_began[i + k - 1]) for i in range(n - k + 1)]


class Value:
    """A number that keeps to itself: only `maximum` can compare it."""

    __slots__ = ("number",)

    def __init__(self, number: int):
        self.number = number

    def __repr__(self) -> str:
        return str(self.number)

    def _refuse(self, other):
        raise TypeError("these values can only be compared by maximum(a, b)")

    __lt__ = __le__ = __gt__ = __ge__ = _refuse


class Maximum:
    """The larger of two values, counting how often it was asked."""

    def __init__(self):
        self.count = 0

    def __call__(self, a, b):
        self.count += 1
        left, right = (v.number if isinstance(v, Value) else float(v) for v in (a, b))
        return a if left >= right else b


_CASES = (
    ((2, 1), 2, "one window"),
    ((1, 3, 2), 2, "two windows"),
    ((5, 4, 3, 2, 1), 3, "values that fall"),
    ((1, 2, 3, 4, 5), 3, "values that rise"),
    ((4, 7, 1), 1, "windows of one value"),
    ((3, 1, 2, 5), 4, "a window as long as the line"),
    ((2, 2, 1, 1, 2, 2, 1), 3, "equal values"),
    ((-5, -9, -4, -8, -7, -6, -3), 3, "negative values"),
)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    rng = np.random.default_rng(48)
    cases = list(_CASES)
    for n, k in ((11, 4), (12, 5), (20, 7), (31, 16), (30, 29)):
        cases.append((tuple(rng.permutation(n).tolist()), k, "a line of random values"))
    for number, (line, kernel_size, note) in enumerate(cases):
        case = ("case", f"{note}: values {show(line)}, kernel_size={kernel_size}")
        _, problem = _run(answer, line, kernel_size, case, attempted=number > 0)
        if problem:
            return problem
    return _price(answer, rng) or correct(
        f"{len(cases)} lines, and never more than {MOST} comparisons a value, with windows of 10, "
        "40 and 150."
    )


def _run(answer, line, kernel_size, case, attempted) -> tuple[int, Verdict | None]:
    """How many comparisons it took, and what is wrong with the result."""
    values, maximum = [Value(n) for n in line], Maximum()
    given = list(values)
    got, error = attempt(answer, (given, kernel_size, maximum))
    if error:
        verdict = raised(error, case, attempted=attempted)
        refused = "can only be compared by maximum" in str(verdict.headline)
        cause = (
            "max(…), sorted(…), np.max(…) and < compare behind your back. Call maximum(a, b), "
            "which counts."
        )
        return 0, replace(verdict, cause=cause if refused else "")
    if len(given) != len(values) or any(a is not b for a, b in zip(given, values, strict=True)):
        return 0, not_yet(
            "Your function changed the list that it was given.",
            case,
            cause="Work on a copy, list(values).",
        )
    expected = [max(line[i : i + kernel_size]) for i in range(len(line) - kernel_size + 1)]
    return maximum.count, _wrong(got, expected, line, kernel_size, case)


def _wrong(got, expected, line, kernel_size, case) -> Verdict | None:
    wanted = ("expected", show(expected))
    if isinstance(got, np.ndarray) and got.ndim == 1:
        got = got.tolist()
    if got is None:
        cause = "Your function returned None: does it end in a return?"
        return not_yet("A list of maxima is wanted.", case, wanted, cause=cause)
    if not isinstance(got, list | tuple):
        cause = f"A list is wanted, one maximum for each window; this is {kind(got)}."
        return not_yet("A list of maxima is wanted.", case, wanted, ("got", show(got)), cause=cause)
    plain = isinstance(got, list | tuple) and all(isinstance(v, Value) for v in got)
    numbers = [v.number for v in got] if plain else None
    if numbers == expected:
        return None
    shown = ("got", show(numbers if plain else list(got)))
    return not_yet(
        "The maxima are not right yet. The smallest line that differs:",
        case,
        wanted,
        shown,
        cause=_cause(numbers, expected, line, kernel_size),
    )


def _cause(numbers, expected, line, kernel_size) -> str:
    if numbers is None:
        return (
            "Not every item of the result is one of the values: return the values themselves, as "
            "maximum gives them, and nothing that you filled in."
        )
    if len(numbers) != len(expected):
        starts = range(0, len(line) - kernel_size + 1, kernel_size)
        if numbers == [max(line[i : i + kernel_size]) for i in starts]:
            return "These windows lie side by side; here they move one value at a time."
        running = [max(line[max(i - kernel_size + 1, 0) : i + 1]) for i in range(len(line))]
        if numbers == running:
            return "The first kernel_size − 1 windows hang over the edge; only whole windows count."
        return f"{len(expected)} whole windows fit: n − kernel_size + 1. Yours has {len(numbers)}."
    windows = [line[i : i + kernel_size] for i in range(len(expected))]
    if numbers == [min(window) for window in windows]:
        return "These are the smallest values of the windows."
    if numbers == [max(line[: i + kernel_size]) for i in range(len(expected))]:
        return (
            "This is the largest value so far, from the first value on. A value that has left the "
            "window must be forgotten: start anew with each block."
        )
    ends = [(window[0], window[-1]) for window in windows]
    if numbers == [max(pair) for pair in ends]:
        return "Only the two ends of each window were compared."
    blocks = [i // kernel_size * kernel_size for i in range(len(line))]
    began = [max(line[b : i + 1]) for i, b in enumerate(blocks)]
    if numbers == began[kernel_size - 1 :]:
        return (
            "The running maximum of each block alone: it forgets the part of the window that lies "
            "in the block before. Run from the right as well, and combine the two."
        )
    until = [max(line[i : b + kernel_size]) for i, b in enumerate(blocks)]
    if numbers == until[: len(expected)]:
        return (
            "The running maximum from the right alone: it forgets the part of the window that "
            "lies in the next block. Run from the left as well, and combine the two."
        )
    off = [max(line[i : i + kernel_size - 1]) for i in range(len(expected)) if kernel_size > 1]
    if numbers == off:
        return "Each window is one value too short: it ends before i + kernel_size."
    return (
        "Take a window apart: it is the end of one block and the beginning of the next. Which two "
        "running maxima cover exactly these two parts?"
    )


def _price(answer, rng) -> Verdict | None:
    """What is wrong with the number of comparisons; None when it is small for every window."""
    n, counts = 300, {}
    line = tuple(rng.permutation(n).tolist())
    for kernel_size in (10, 40, 150):
        case = ("case", f"{n} values, kernel_size={kernel_size}")
        counts[kernel_size], problem = _run(answer, line, kernel_size, case, attempted=True)
        if problem:
            return problem
    if max(counts.values()) <= MOST * n:
        return None
    shown = ", ".join(f"{count:,} for kernel_size {k}" for k, count in counts.items())
    every = all(count >= 0.9 * (k - 1) * (n - k + 1) for k, count in counts.items())
    cause = "Each value may be looked at a fixed number of times, however wide the window is."
    if every:
        cause = (
            "Every window is searched from its beginning, though it shares all but one value with "
            "the window before. Keep running maxima of blocks, and use them again."
        )
    elif counts[150] <= 9 * n:
        cause = (
            "Few, but they grow with the logarithm of the window: doubling the length step by step "
            "is a good way. Two running maxima a block need only 3 a value."
        )
    return not_yet(
        "Every maximum is right; it takes too many comparisons.",
        ("allowed", f"{MOST * n}, which is {MOST} a value, for {n} values and any kernel_size"),
        ("counted", shown),
        cause=cause,
    )


EXERCISE = Exercise(
    id="04.8",
    title="A maximum at the same price for any window",
    objective="find the maxima of all windows with three comparisons a value, however wide they "
    "are",
    level=3,
    minutes=35,
    points=6,
    hints=(
        "Cut the line into blocks of kernel_size values. How many blocks can one window touch? "
        "Which part of each?",
        "It touches two: the end of one block and the beginning of the next. Prepare, for every "
        "position, the maximum from its block's beginning up to here, and from here up to its "
        "block's end. That is one comparison a value for each.",
        "Window i is the maximum of (from i to the end of i's block) and (from the beginning of "
        "its block to i + kernel_size − 1): one more comparison.",
    ),
    solution=sliding_max,
    examine=_examine,
)
