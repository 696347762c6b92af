"""How a check decides: call the learner's function on every case and compare with an oracle.

A checker never compares one number. It calls the learner's function on every case, smallest first,
compares shape, dtype and all values with an independent oracle, and when something differs it looks
for the wrong answer that would have given exactly this result, so that it can name the cause.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnnlib.exercises.compare import (
    any_wrong,
    as_numpy,
    differs,
    kind,
    pattern,
    same,
    show,
    show_pair,
    structure,
)
from cnnlib.exercises.verdicts import (
    Case,
    Misconception,
    Verdict,
    correct,
    not_attempted,
    not_yet,
    raised,
)


@dataclass(frozen=True)
class Run:
    """One case and what the learner's function made of it."""

    case: Case
    expected: Any
    got: Any
    changed: bool  # whether the function changed its arguments
    error: BaseException | None

    def is_wrong(self, tolerance: float) -> bool:
        return self.changed or any_wrong(differs(self.got, self.expected, tolerance))


def unfit(answer: Any) -> Verdict | None:
    """The verdict on an answer that is no function; None when it is one."""
    if answer is None or answer is Ellipsis:
        return not_attempted()
    if not callable(answer):
        return not_yet(
            f"Pass the function itself to check, not {kind(answer)}.",
            cause="Write the function's name alone, without parentheses after it.",
        )
    return None


def attempt(answer: Callable, args: tuple = (), kwargs: dict | None = None) -> tuple:
    """Call the learner's function: (its result, None), or (None, the exception it raised).

    An interrupt from the keyboard goes through, so that an endless loop can be ended.
    """
    try:
        return as_numpy(answer(*args, **(kwargs or {}))), None
    except (Exception, SystemExit) as error:
        return None, error


def examine_function(
    answer: Any,
    *,
    cases: Callable[[], Iterable[Case]],
    oracle: Callable,
    misconceptions: tuple[Misconception, ...] = (),
    tolerance: float = 1e-9,
    keep_dtype: bool = True,
) -> Verdict:
    """Call `answer` on every case and compare with `oracle`; see the module's first lines.

    Args:
        answer: what the learner passed to `check`.
        cases: makes the cases, smallest first; the first that fails is the one that is shown.
        oracle: an independent function with the same signature.
        misconceptions: wrong answers that are recognised by their results.
        tolerance: largest |got − expected| / (1 + |expected|) that counts as equal in float64;
            results in float32 are allowed 1e-4.
        keep_dtype: whether the result must have the oracle's dtype; otherwise any dtype of the same
            kind will do, such as int32 for int64.
    """
    if problem := unfit(answer):
        return problem
    runs = []
    for case in cases():
        args, kwargs = _fresh(case.args), _fresh(case.kwargs)
        got, error = attempt(answer, args, kwargs)
        if isinstance(error, NotImplementedError) and not runs:
            return not_attempted()
        changed = error is None and not same((args, kwargs), (case.args, case.kwargs))
        expected = oracle(*_fresh(case.args), **_fresh(case.kwargs))
        runs.append(Run(case, expected, got, changed, error))
    failures = [run for run in runs if run.error or run.is_wrong(tolerance)]
    if failures:
        return _explain(failures, runs, misconceptions, tolerance)
    if problem := _wrong_dtype(runs, keep_dtype):
        return problem
    notes = [run.case.note for run in runs if run.case.note]
    among = f", among them: {', '.join(dict.fromkeys(notes))}" if notes else ""
    return correct(f"{len(runs)} cases{among}.")


def _wrong_dtype(runs: list[Run], exactly: bool) -> Verdict | None:
    for run in runs:
        if not isinstance(run.expected, np.ndarray):
            continue
        kinds = {dtype.kind.replace("u", "i") for dtype in (run.got.dtype, run.expected.dtype)}
        if len(kinds) > 1 or (exactly and run.got.dtype != run.expected.dtype):
            wanted, found = str(run.expected.dtype), str(run.got.dtype)
            cause = f"On the way the values became {found}: .astype(np.{wanted}) mends it."
            if found == "float64":
                cause = (
                    "np.zeros, np.full and many divisions make float64 unless told otherwise: use "
                    f"dtype=np.{wanted} or .astype(np.{wanted})."
                )
            return not_yet(
                "Nearly: every value is right, the dtype is not.",
                ("case", describe(run.case)),
                ("expected", wanted),
                ("got", found),
                cause=cause,
            )
    return None


def _explain(failures, runs, misconceptions, tolerance) -> Verdict:
    """The smallest case that fails, what was expected and got there, and the likely cause."""
    first = failures[0]
    at = [("case", describe(first.case))]
    if first.error:
        verdict = raised(first.error, *at, attempted=first is not runs[0])
        return replace(verdict, cause=_cause_of_error(first, misconceptions))
    if first.changed and not any_wrong(differs(first.got, first.expected, tolerance)):
        return not_yet(
            "The result is right, but your function changed its input.",
            *at,
            cause="Work on a copy, as in image.copy(), or make a new array for the result.",
        )
    got, expected, part = _first_wrong_part(first, tolerance)
    cause, count = _known_cause(failures, runs, misconceptions, tolerance)
    general, general_count = _common_pattern(failures, tolerance)
    if general_count > count:
        cause = " ".join(filter(None, [general, _what_is_new(first, runs)]))
    return not_yet(
        f"{len(runs) - len(failures)} of {len(runs)} cases are right. The smallest that differs:",
        *at,
        *part,
        *_expected_and_got(got, expected, tolerance),
        cause=cause,
    )


def _expected_and_got(got, expected, tolerance) -> list[tuple[str, str]]:
    if isinstance(expected, np.ndarray) and isinstance(got, np.ndarray):
        if got.shape != expected.shape:
            return [("expected", f"shape {expected.shape}"), ("got", f"shape {got.shape}")]
        problem = differs(got, expected, tolerance)
        if expected.size > 16 and isinstance(problem, np.ndarray):
            index = tuple(int(i) for i in np.argwhere(problem)[0])
            texts = show_pair(expected[index], got[index])
            number = f"{np.count_nonzero(problem)} of {got.size} differ"
            return [
                ("expected", f"{texts[0]} at {list(index)}"),
                ("got", f"{texts[1]} there; {number}"),
            ]
    return list(zip(("expected", "got"), show_pair(expected, got), strict=True))


def _first_wrong_part(run: Run, tolerance: float) -> tuple:
    """Of a tuple of results, the first that differs, with a line that says which it is."""
    got, expected = run.got, run.expected
    fits = isinstance(expected, tuple) and isinstance(got, tuple | list)
    if fits and len(got) == len(expected):
        for number, (g, e) in enumerate(zip(got, expected, strict=True), start=1):
            if any_wrong(differs(g, e, tolerance)):
                return g, e, [("part", f"{number} of the {len(expected)} that are returned")]
    return got, expected, []


def _known_cause(failures, runs, misconceptions, tolerance) -> tuple[str, int]:
    """The misconception that gives the learner's results on most failing cases and on the first.

    Together with the number of these cases. Of two that explain the same failures the one is
    preferred that also passes what the learner passes.
    """
    best, best_count = "", (0, 0)
    for misconception in misconceptions:
        if _gives(misconception, failures[0], tolerance):
            alike = [run for run in runs if _gives(misconception, run, tolerance)]
            count = sum(any(run is f for f in failures) for run in alike), len(alike)
            if count > best_count:
                best, best_count = misconception.says, count
    shown = failures[0].expected
    alone = not isinstance(shown, tuple | list) and np.size(shown) == 1
    if alone and 2 * best_count[0] < len(failures):
        return "", 0  # one number in one small case may agree by chance
    return best, best_count[0]


def _gives(misconception: Misconception, run: Run, tolerance: float) -> bool:
    """Whether a misconception comes to just what the learner's function came to."""
    if run.error:
        return False
    wrong, error = attempt(misconception.wrong, _fresh(run.case.args), _fresh(run.case.kwargs))
    return error is None and not any_wrong(differs(run.got, wrong, tolerance))


def _cause_of_error(run: Run, misconceptions) -> str:
    """The misconception that stops with the same error, word for word."""
    for misconception in misconceptions:
        _, error = attempt(misconception.wrong, _fresh(run.case.args), _fresh(run.case.kwargs))
        if type(error) is type(run.error) and error.args == run.error.args:
            return misconception.says
    return ""


def _common_pattern(failures: list[Run], tolerance: float) -> tuple[str, int]:
    """What can be said without knowing the exercise, and on how many failing cases it holds.

    A wrong shape or kind is told of the first case. A pattern of values has to be the most common
    one, "no pattern" included: a single small case may show it by chance.
    """
    got, expected, _ = _first_wrong_part(failures[0], tolerance)
    words = _exchanged(failures[0], tolerance) or structure(got, expected)
    if words:
        return words, 1
    found = Counter()
    for run in failures:
        got, expected, _ = _first_wrong_part(run, tolerance)
        if not run.error and not structure(got, expected):
            found[pattern(got, expected, tolerance)] += 1
    words, count = found.most_common(1)[0]
    return (words, count) if words else ("", 1)


def _exchanged(run: Run, tolerance: float) -> str:
    """Whether the results are right and only stand in the wrong order."""
    if not isinstance(run.expected, tuple) or not isinstance(run.got, tuple | list):
        return ""
    turned = run.got[::-1]
    return (
        ""
        if any_wrong(differs(turned, run.expected, tolerance))
        else ("The results are right, but returned in the wrong order.")
    )


def _what_is_new(first: Run, runs: list[Run]) -> str:
    if first is runs[0] or not first.case.note:
        return ""
    return f"The cases before this one are right; new here: {first.case.note}."


def examine_value(
    answer: Any, expected: Any, *, known: dict[Any, str] | None = None, tolerance: float = 1e-9
) -> Verdict:
    """Compare a value with the expected one. What was expected is not shown: it is the answer.

    `known` maps wrong answers to what they usually mean.
    """
    if answer is None or answer is Ellipsis:
        return not_attempted()
    answer = as_numpy(answer)
    if isinstance(expected, tuple):
        if isinstance(answer, np.ndarray) and answer.ndim == 1:
            answer = answer.tolist()
        answer = tuple(answer) if isinstance(answer, list) else answer
    if not any_wrong(differs(answer, expected, tolerance)):
        return correct()
    causes = [
        says
        for wrong, says in (known or {}).items()
        if not any_wrong(differs(answer, wrong, tolerance))
    ]
    cause = causes[0] if causes else ""
    if not cause and isinstance(expected, tuple) and isinstance(answer, tuple):
        if len(answer) != len(expected):
            cause = f"The answer has {len(expected)} numbers, yours {len(answer)}."
        else:
            pairs = zip(answer, expected, strict=True)
            right = sum(not any_wrong(differs(a, e, tolerance)) for a, e in pairs)
            cause = f"{right} of the {len(expected)} numbers are right."
    return not_yet("", ("got", show(answer)), cause=cause or structure(answer, expected))


def describe(case: Case) -> str:
    """The call in words, with small arguments in full: `called with (array (1, 1, 3, 3))`."""
    parts = [_brief(value) for value in case.args]
    parts += [f"{name}={_brief(value)}" for name, value in case.kwargs.items()]
    call = f"called with ({', '.join(parts)})"
    return f"{case.note}: {call}" if case.note else call


def _brief(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return show(value)
    if value.size <= 9:
        return " ".join(show(value).split())
    return f"array {value.shape} {value.dtype}"


def _fresh(value: Any) -> Any:
    return copy.deepcopy(value)
