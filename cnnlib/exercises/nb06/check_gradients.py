"""Exercise 06.3, Write the gradient checker."""

from copy import deepcopy

import numpy as np

from cnnlib.exercises.compare import kind, same
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.nb06.gradient_trials import TRIALS
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_yet, raised


def check_gradients(function, inputs, backward, step=1e-5, tolerance=1e-6):
    inputs = [np.array(values, dtype=np.float64) for values in inputs]
    output = np.asarray(function(*inputs))
    grad_out = np.random.default_rng(20151).normal(size=output.shape)  # not a seed of the inputs
    middle = (output * grad_out).sum()
    grads = backward(grad_out, *[values.copy() for values in inputs])
    if [grad.shape for grad in grads] != [values.shape for values in inputs]:
        return False
    for values, grad in zip(inputs, grads, strict=True):
        for index in np.ndindex(values.shape):
            kept, slopes = values[index], []
            for move in (-step, step):
                values[index] = kept + move
                slopes.append(((function(*inputs) * grad_out).sum() - middle) / move)
            values[index] = kept
            slope = (slopes[0] + slopes[1]) / 2
            allowed = max(1, abs(slope))
            kink = abs(slopes[1] - slopes[0]) > 0.01 * allowed
            if not kink and not abs(grad[index] - slope) <= tolerance * allowed:
                return False
    return True


class _Watched:
    """The function of a trial; remembers how many entries at a time were away from their place."""

    def __init__(self, function, inputs):
        self.function, self.inputs, self.most_moved = function, inputs, 0

    def __call__(self, *inputs):
        pairs = [p for p in zip(inputs, self.inputs, strict=False) if np.shape(p[0]) == p[1].shape]
        moved = sum(np.count_nonzero(np.asarray(now) != home) for now, home in pairs)
        self.most_moved = max(self.most_moved, moved)
        return self.function(*inputs)


_NOT_PUT_BACK = (
    "The function was called with several entries moved at once. Each entry is put back to the "
    "very number that it was before the next one is moved."
)


def _examine_check(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    for number, trial in enumerate(TRIALS):
        seen = _Watched(trial.function, trial.inputs)
        verdict = "right" if trial.right else "wrong"
        case = ("case", f"{trial.words}: this backward pass is {verdict}")
        inputs = [np.array(values) for values in trial.inputs]
        kept = deepcopy(inputs)
        got, error = attempt(answer, (seen, inputs, trial.backward))
        if error:
            if trial.may_raise and isinstance(error, ValueError | TypeError | AssertionError):
                continue
            return raised(error, case, attempted=number > 0)
        before = f"{number} of {len(TRIALS)} backward passes were judged rightly; then:"
        if not isinstance(got, bool | np.bool_):
            return not_yet(
                before,
                case,
                ("expected", str(trial.right)),
                ("got", kind(got) if got is not None else "None"),
                cause="The answer is to be True or False. Does every way through your function "
                "end in a return?",
            )
        dtypes = [values.dtype for values in inputs] == [values.dtype for values in kept]
        if not (dtypes and same(inputs, kept)):
            return not_yet(
                before,
                case,
                ("expected", "the inputs as they were"),
                ("got", "inputs that have been changed"),
                cause="Work on copies of the inputs; or put each entry back to the very number "
                "that it was (adding and subtracting the step leaves a rounding error).",
            )
        if bool(got) != trial.right:
            return not_yet(
                before,
                case,
                ("expected", str(trial.right)),
                ("got", str(bool(got))),
                cause=_NOT_PUT_BACK if seen.most_moved > 1 else trial.says,
            )
    num_wrong = sum(not trial.right for trial in TRIALS)
    return correct(
        f"{num_wrong} wrong backward passes found, {len(TRIALS) - num_wrong} right ones accepted."
    )


EXERCISE = Exercise(
    id="06.3",
    title="Write the gradient checker",
    objective="write a gradient checker that neither overlooks a mistake nor invents one",
    level=2,
    minutes=30,
    points=5,
    hints=(
        "First the plain case: copy the inputs as float64, draw grad_out in the output's shape, "
        "and compare, for each entry of each input, the gradient with "
        "(loss(+step) − loss(−step)) / (2 step), where loss is the sum of output · grad_out.",
        "np.ndindex(values.shape) runs over all entries. Keep the number, move it, put the very "
        "number back. The error counts divided by max(1, |slope|).",
        "Kinks: with the loss in the middle you have a slope to the left and one to the right. "
        "Where they differ by more than 0.01 · max(1, |slope|), leave the entry out.",
    ),
    solution=check_gradients,
    examine=_examine_check,
)
