"""Exercise 02.2, Three kernels to order."""

import numpy as np

from cnnlib.exercises.compare import any_wrong, differs, show, show_pair, structure
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_yet, raised


def three_kernels():
    shift_right = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0]])
    neighbour_mean = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]) / 4
    contrast = np.full((3, 3), -1 / 8)
    contrast[1, 1] = 1
    return shift_right, neighbour_mean, contrast


_KERNEL_NAMES = ("shift_right", "neighbour_mean", "contrast")


def _wrong_kernels() -> dict[str, list[tuple[np.ndarray, str]]]:
    shift, mean, contrast = three_kernels()
    return {
        "shift_right": [
            (shift[:, ::-1], "This shifts to the left. The window's weight must stand where the "
             "value comes from: one place to the left of the middle."),
            (shift.T, "This moves the picture down, not to the right: rows come first, columns "
             "second."),
            (shift.T[::-1], "This moves the picture up, not to the right: rows come first."),
        ],
        "neighbour_mean": [
            (mean * 4, "This is the sum of the four neighbours: a mean divides by their number."),
            (np.full((3, 3), 1 / 9), "This is the mean of all nine pixels of the window."),
            ((mean * 4 + np.eye(3) * [0, 1, 0]) / 5, "The pixel itself was counted too."),
            (np.where(contrast > 0, 0, 1 / 8), "These are eight neighbours: only those above, "
             "below, left and right were asked for."),
        ],
        "contrast": [
            (-contrast, "The sign is turned: a pixel brighter than its neighbours must come out "
             "positive."),
            (contrast * 8, "The neighbours were summed, not averaged."),
            (np.eye(3) * [0, 1, 0] - np.full((3, 3), 1 / 9), "The mean runs over nine pixels here; "
             "the pixel itself is not one of its eight neighbours."),
            (np.eye(3) * [0, 1, 0] - mean, "Only four of the eight neighbours were used."),
        ],
    }  # fmt: skip


def _examine_kernels(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    kernels, error = attempt(answer)
    if error:
        return raised(error)
    if isinstance(kernels, np.ndarray):
        kernels = tuple(kernels)
    right_kernels = three_kernels()
    if problem := structure(kernels, right_kernels):
        return not_yet(f"Return three kernels: {', '.join(_KERNEL_NAMES)}.", cause=problem)
    for name, kernel, right in zip(_KERNEL_NAMES, kernels, right_kernels, strict=True):
        if problem := structure(kernel, right):
            headline = f"{name} should be an array of shape (3, 3)."
            return not_yet(headline, ("got", show(kernel)), cause=problem)
        if any_wrong(differs(kernel, right, 1e-6)):
            window = _telling_window(kernel, right)
            expected, got = show_pair((window * right).sum(), (window * kernel).sum())
            return not_yet(
                f"{name} does something else. On one window of an image:",
                ("your kernel", show(kernel)),
                ("window", show(window)),
                ("expected", expected),
                ("got", got),
                cause=_cause(name, kernel),
            )
    return correct("All three kernels do what was asked.")


def _telling_window(kernel: np.ndarray, right: np.ndarray) -> np.ndarray:
    """A window on which the two kernels give different values."""
    rng = np.random.default_rng(22)
    for _ in range(100):
        window = rng.integers(0, 10, (3, 3)) * 1.0
        if any_wrong(differs((window * kernel).sum(), (window * right).sum(), 1e-7)):
            break
    return window


def _cause(name: str, kernel: np.ndarray) -> str:
    for wrong, says in _wrong_kernels()[name]:
        if not any_wrong(differs(kernel, wrong, 1e-6)):
            return says
    for other, right in zip(_KERNEL_NAMES, three_kernels(), strict=True):
        if not any_wrong(differs(kernel, right, 1e-6)):
            return f"This is {other}. Return the three in order: {', '.join(_KERNEL_NAMES)}."
    if not np.all(np.isfinite(kernel)):
        return "There are values that are not finite: a division by zero?"
    if name == "shift_right":
        return (
            "Nothing is to be mixed here: one 1, where the value comes from, and eight zeros. The "
            "value comes from the pixel to the left of the middle."
        )
    total = show(float(kernel.sum()))
    if name == "neighbour_mean":
        return (
            f"Your weights sum to {total}. In a mean of four pixels four weights are equal and "
            "sum to 1, and all others are 0."
        )
    return (
        f"Your weights sum to {total}. On an even grey, contrast must be 0: 1 in the middle, and "
        "eight equal weights that sum to −1."
    )


EXERCISE = Exercise(
    id="02.2",
    title="Three kernels to order",
    objective="say with nine numbers what a filter shall do",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "The nine numbers say where in the window the output takes its value from, and how much of "
        "each. A 1 in the middle and zeros elsewhere changes nothing.",
        "For shift_right, the output at column c is the image at column c − 1: which of the nine "
        "places is that?",
        "contrast is (1 in the middle) minus (a kernel with eight equal numbers around a 0). What "
        "must the eight add up to?",
    ),
    solution=three_kernels,
    examine=_examine_kernels,
)
