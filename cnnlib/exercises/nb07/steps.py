"""Checking an optimizer's step: arrays in dictionaries, changed in place, over several steps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from cnnlib.exercises.compare import show, show_pair
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Misconception, Verdict, correct, not_yet, raised

Arrays = dict[str, np.ndarray]
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Run:
    """Some steps of an optimizer: where it starts, the gradients it meets, and its settings."""

    note: str
    parameters: Arrays
    gradients: tuple[Arrays, ...]  # one a step
    lrs: tuple[float, ...]  # one a step
    settings: dict = field(default_factory=dict)


def random_run(note: str, shapes: dict, lrs: Sequence[float], seed: int, **settings) -> Run:
    """A run of len(lrs) steps; small arrays hold numbers that can be checked on paper."""
    rng = np.random.default_rng(seed)
    arrays = [
        {name: rng.integers(-8, 9, shape) / 4 for name, shape in shapes.items()}
        for _ in range(len(lrs) + 1)
    ]
    return Run(note, arrays[0], tuple(arrays[1:]), tuple(lrs), settings)


def copied(arrays: Arrays) -> Arrays:
    return {name: array.copy() for name, array in arrays.items()}


def follow(answer: Callable, run: Run, num_buffers: int, numbered: bool) -> tuple[list, str]:
    """Take the steps of a run: the parameters after each, and a fault that ended it early.

    The fault is "" or a word on how the arrays were handled; an exception is returned in its place.
    """
    parameters = copied(run.parameters)
    buffers = [{k: np.zeros_like(v) for k, v in parameters.items()} for _ in range(num_buffers)]
    originals, kept = dict(parameters), [dict(buffer) for buffer in buffers]
    after = []
    for number, (gradients, lr) in enumerate(zip(run.gradients, run.lrs, strict=True), start=1):
        given, before = copied(gradients), copied(parameters)
        count = (number,) if numbered else ()
        got, error = attempt(answer, (parameters, given, *buffers, *count, lr), run.settings)
        if error is not None:
            return after, error
        if any(not np.array_equal(given.get(k), v) for k, v in gradients.items()):
            return after, "gradients"
        if any(parameters.get(k) is not v for k, v in originals.items()):
            return after, "replaced"
        if any(b.get(k) is not v for b, all_ in zip(buffers, kept, strict=True)
               for k, v in all_.items()):  # fmt: skip
            return after, "replaced buffer"
        unchanged = all(np.array_equal(before[k], v) for k, v in parameters.items())
        if unchanged and any(np.any(g) for g in gradients.values()):
            return after, "returned" if got is not None else "unchanged"
        after.append(copied(parameters))
    return after, ""


FAULTS = {
    "gradients": (
        "Your function changed the gradients.",
        "Something like gradient += … works in place on an array that is not yours to change. "
        "Write gradient = gradient + …, which makes a new one.",
    ),
    "replaced": (
        "The dictionary holds a new array where the parameter was.",
        "The layers keep the old array and would never see the new one. Change the array itself: "
        "parameter -= … or parameter[...] = …",
    ),
    "replaced buffer": (
        "The dictionary of what is remembered holds a new array where the old one was.",
        "Change the arrays in place, the memory as well as the parameters: velocity[name] *= … "
        "and velocity[name] += …, or velocity[name][...] = …",
    ),
    "returned": (
        "No parameter has changed; something was returned instead.",
        "The layers hold these very arrays, so the step has to happen inside them: parameter -= …",
    ),
    "unchanged": (
        "No parameter has changed.",
        "Either parameter = parameter − … made a new array, which is forgotten at the end of the "
        "function (in place: parameter -= …), or the parameter moved by the old velocity, which "
        "is still 0: bring the velocity up to date first.",
    ),
}


def examine_steps(
    answer,
    *,
    runs: Callable[[], Sequence[Run]],
    oracle: Callable[[Run], list[Arrays]],
    misconceptions: tuple[Misconception, ...],
    num_buffers: int,
    numbered: bool = False,
) -> Verdict:
    """Follow every run with the answer and with the oracle, and compare all numbers.

    Args:
        answer: answer(parameters, gradients, *buffers, [number of the step,] lr, **settings).
        runs: the runs, smallest first.
        oracle: the parameters after each step of a run.
        misconceptions: wrong answers, with the same arguments.
        num_buffers: how many dictionaries of remembered arrays there are.
        numbered: whether the step's number, from 1, is an argument.
    """
    if problem := unfit(answer):
        return problem
    num_steps = 0
    for place, run in enumerate(all_runs := runs()):
        after, fault = follow(answer, run, num_buffers, numbered)
        at = ("case", f"{run.note}, step {len(after) + 1}, {_settings(run, len(after))}")
        expected = oracle(run)
        for number, (got, wanted) in enumerate(zip(after, expected, strict=False)):
            if wrong := _first_wrong(got, wanted):
                cause = _cause(answer, all_runs, run, number, misconceptions, num_buffers, numbered)
                return _differs(run, number, wrong, got, wanted, cause, place)
        if isinstance(fault, BaseException):
            return raised(fault, at, attempted=place > 0 or bool(after))
        if fault:
            headline, cause = FAULTS[fault]
            return not_yet(headline, at, cause=cause)
        num_steps += len(after)
    notes = ", ".join(run.note for run in all_runs[1:])
    return correct(f"{num_steps} steps equal torch's, among them: {notes}.")


def _settings(run: Run, number: int) -> str:
    lr = run.lrs[min(number, len(run.lrs) - 1)]
    return ", ".join([f"lr={lr:g}", *(f"{k}={show(v)}" for k, v in run.settings.items())])


def _first_wrong(got: Arrays, wanted: Arrays) -> str:
    """The first parameter that differs; empty when all agree."""
    for name, value in wanted.items():
        array = got[name]
        near = np.abs(array - value) <= TOLERANCE * (1 + np.abs(value))  # NaN is not near
        if not np.all(near):
            return name
    return ""


def _differs(run, number, name, got, wanted, cause, place) -> Verdict:
    before = run.parameters[name] if number == 0 else None
    details = [("case", f"{run.note}, step {number + 1}, {_settings(run, number)}")]
    value, gradient = wanted[name], run.gradients[number][name]
    if value.size <= 4:
        if before is not None:
            details.append((name, show(before)))
        details.append(("gradient", show(gradient)))
        pair = show_pair(value, got[name])
    else:
        worst = np.unravel_index(np.nanargmax(np.abs(np.nan_to_num(got[name], nan=1e300) - value)),
                                 value.shape)  # fmt: skip
        pair = show_pair(value[worst], got[name][worst])
        pair = (f"{pair[0]} at {[int(i) for i in worst]} of {name}", f"{pair[1]} there")
    if not cause and not np.all(np.isfinite(got[name])):
        cause = "There are values that are not finite: a division by zero?"
    if not cause and place:
        cause = f"The cases before this one are right; new here: {run.note}."
    return not_yet(
        f"{name} is not where torch's optimizer would have put it.",
        *details, ("expected", pair[0]), ("got", pair[1]),
        cause=cause or "Write the update on paper for the numbers above, and compare.",
    )  # fmt: skip


def _cause(answer, runs, first, number, misconceptions, num_buffers, numbered) -> str:
    """What the misconception says that does what the answer does, on most runs and on this one."""
    paths = {id(run): follow(answer, run, num_buffers, numbered)[0] for run in runs}
    best, best_count = "", 0
    for misconception in misconceptions:
        with np.errstate(all="ignore"):  # what is wrong may also divide by zero
            theirs = {
                id(run): follow(misconception.wrong, run, num_buffers, numbered)[0] for run in runs
            }
        if not _same_path(paths[id(first)][: number + 1], theirs[id(first)][: number + 1]):
            continue
        count = sum(_same_path(paths[id(run)], theirs[id(run)]) for run in runs) + 1
        if count > best_count:
            best, best_count = misconception.says, count
    return best


def _same_path(mine: list[Arrays], theirs: list[Arrays]) -> bool:
    return len(mine) == len(theirs) and not any(
        _first_wrong(m, t) for m, t in zip(mine, theirs, strict=True)
    )
