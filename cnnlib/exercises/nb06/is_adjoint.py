"""Exercise 06.6, Is it the adjoint?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cnnlib.exercises.compare import kind
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_yet, raised


def is_adjoint(forth, back, shape):
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = rng.normal(size=shape)
        forward = forth(x)
        y = rng.normal(size=forward.shape)
        backward = back(y)
        if backward.shape != x.shape:
            return False
        size = np.linalg.norm(forward) * np.linalg.norm(y)
        if abs((forward * y).sum() - (x * backward).sum()) > 1e-10 * size:
            return False
    return True


@dataclass(frozen=True)
class Pair:
    """A map forth and a map back."""

    words: str
    forth: Callable
    back: Callable
    shape: tuple
    right: bool
    says: str


def _mean_col2im(columns):
    from cnnlib import ops

    counts = ops.col2im(np.ones_like(columns), (5, 6), 3)
    return ops.col2im(columns, (5, 6), 3) / counts


def _op(name, *args, **settings):
    """One of the library's operations, looked up when it is called."""

    def call(values):
        from cnnlib import ops

        return getattr(ops, name)(values, *args, **settings)

    return call


def _one_pixel_off(values):
    doubled = 2 * values
    doubled.flat[-1] *= 1.25
    return doubled


_W = np.arange(1.0, 10).reshape(1, 1, 3, 3)
_S = {"stride": 2, "padding": 1}

PAIRS = (
    Pair("forth: double; back: double", lambda x: 2 * x, lambda y: 2 * y, (4,), True,
         "Compare <forth(x), y> with <x, back(y)>, up to rounding. (back(forth(x)) need not be x: "
         "that would be the inverse.)"),
    Pair("forth: double; back: halve", lambda x: 2 * x, lambda y: y / 2, (4,), False,
         "Back undoes forth: that is the inverse, and not what is asked. Compare "
         "<forth(x), y> with <x, back(y)>."),
    Pair("forth: move all by one place to the right, around the end; back: the same again",
         lambda x: np.roll(x, 1), lambda y: np.roll(y, 1), (5,), False,
         "With y = x the two sides are the same products in another order, for any map. "
         "y must be drawn independently of x."),
    Pair("forth: move to the right; back: move to the left",
         lambda x: np.roll(x, 1), lambda y: np.roll(y, -1), (5,), True,
         "This is the adjoint. The two sums have the same terms in another order, so they agree up "
         "to rounding in the last digits: allow for it."),
    Pair("forth: im2col; back: col2im", _op("im2col", 3), _op("col2im", (5, 6), 3), (1, 2, 5, 6),
         True, "The output has another shape than the input: y has the shape of forth(x). And the "
         "sums agree up to rounding: allow for it."),
    Pair("forth: im2col; back: a col2im that takes means", _op("im2col", 3), _mean_col2im,
         (1, 2, 5, 6), False,
         "This col2im leads from columns back to the image; it is the inverse, not the adjoint."),
    Pair("forth: a convolution; back: the transposed one",
         _op("conv2d", _W, **_S), _op("conv_transpose2d", _W, **_S), (1, 1, 7, 5), True,
         "The two sums agree up to rounding, in the last digits: allow for it."),
    Pair("forth: a convolution; back: the transposed one with its kernel flipped",
         _op("conv2d", _W, **_S), _op("conv_transpose2d", _W[:, :, ::-1, ::-1], **_S),
         (1, 1, 7, 5), False,
         "The kernel was flipped. Arrays of ones cannot see that: draw x and y at random."),
    Pair("forth: a convolution with stride; back: one that forgets the remainder",
         _op("conv2d", _W, stride=2), _op("conv_transpose2d", _W, stride=2), (1, 1, 6, 6), False,
         "back(y) has shape (1, 1, 5, 5), x has (1, 1, 6, 6): an adjoint leads back to the shape "
         "that it came from. Compare the shapes first."),
    Pair("forth: double; back: double, but the last number by a quarter too much",
         lambda x: 2 * x, _one_pixel_off, (4, 50), False,
         "One entry of 200 is off by a quarter, and your tolerance lets it through."),
    Pair("forth: times 10⁹; back: times 10⁹", lambda x: 1e9 * x, lambda y: 1e9 * y,
         (300,), True,
         "The sums are large, and their rounding error with them: the tolerance has to be "
         "relative to the size of what is summed."),
    Pair("forth: double and add 1; back: double", lambda x: 2 * x + 1, lambda y: 2 * y, (4,),
         False,
         "With the + 1 forth is not linear, and has no adjoint. Random x and y show it: "
         "arrays that sum to 0 do not."),
)  # fmt: skip


def _examine_adjoint(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    for number, pair in enumerate(PAIRS):
        verdict = "an adjoint" if pair.right else "not an adjoint"
        case = ("case", f"{pair.words}; shape={pair.shape}: {verdict}")
        got, error = attempt(answer, (pair.forth, pair.back, pair.shape))
        before = f"{number} of {len(PAIRS)} pairs were judged rightly; then:"
        if error:
            verdict = raised(error, case, attempted=number > 0)
            cause = pair.says if isinstance(error, ValueError) and number > 0 else ""
            return Verdict(
                outcome=verdict.outcome,
                headline=verdict.headline,
                details=verdict.details,
                cause=cause,
            )
        if not isinstance(got, bool | np.bool_):
            return not_yet(
                before,
                case,
                ("expected", str(pair.right)),
                ("got", "None" if got is None else kind(got)),
                cause="The answer is to be True or False. Does every way through your function "
                "end in a return?",
            )
        if bool(got) != pair.right:
            return not_yet(
                before,
                case,
                ("expected", str(pair.right)),
                ("got", str(bool(got))),
                cause=pair.says,
            )
    num_right = sum(pair.right for pair in PAIRS)
    return correct(f"{num_right} adjoints recognised, {len(PAIRS) - num_right} impostors refused.")


EXERCISE = Exercise(
    id="06.6",
    title="Is it the adjoint?",
    objective="test whether one linear map is the adjoint of another, without a matrix",
    level=2,
    minutes=10,
    points=2,
    hints=(
        "Draw x of the given shape at random. Which shape must y have?",
        "Two numbers are compared: the sum of forth(x) · y, and the sum of x · back(y). They agree "
        "up to rounding, so compare relative to the size of what is summed.",
        "abs(left − right) <= 1e-10 · np.linalg.norm(forth(x)) · np.linalg.norm(y), and before "
        "that back(y).shape == x.shape.",
    ),
    solution=is_adjoint,
    examine=_examine_adjoint,
)
