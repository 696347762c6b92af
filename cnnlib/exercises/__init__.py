"""Exercises: ask, check, help, and remember how far a learner has come.

Notebook 00 shows how they are used. There is one package a notebook (`nb02` for notebook 02) with
one module an exercise: its solution, its cases, the wrong answers it knows, its hints.
"""

import difflib
import math
from dataclasses import replace
from typing import Any

import numpy as np

from cnnlib.exercises import (
    nb00,
    nb01,
    nb02,
    nb03,
    nb04,
    nb05,
    nb06,
    nb07,
    nb08,
    nb09,
    nb10,
    nb11,
    nb12,
    nb13,
    record,
    verdicts,
)
from cnnlib.exercises.compare import as_numpy, show
from cnnlib.exercises.display import Box, CheckBox, Source, Table
from cnnlib.exercises.verdicts import Exercise, Prediction, Verdict

__all__ = [
    "EXERCISES",
    "PREDICTIONS",
    "check",
    "examine",
    "hint",
    "predict",
    "progress",
    "reveal",
    "solution",
    "solution_source",
]

_modules = (nb00, nb01, nb02, nb03, nb04, nb05, nb06, nb07, nb08, nb09, nb10, nb11, nb12, nb13)
EXERCISES: dict[str, Exercise] = {e.id: e for m in _modules for e in m.EXERCISES}
PREDICTIONS: dict[str, Prediction] = {p.id: p for m in _modules for p in m.PREDICTIONS}


def examine(exercise_id: str, answer: Any) -> Verdict:
    """Check an answer and return the bare verdict: for graders and tests. Keeps no record.

    Args:
        exercise_id: such as "02.3".
        answer: a function or a value, as the exercise asks.

    Returns:
        The Verdict; its `score` is 1.0 when correct, else 0.0.

    Raises:
        KeyError: there is no such exercise.

    Example:
        >>> examine("02.1", None).outcome
        'not attempted'
    """
    return replace(EXERCISES[exercise_id].examine(answer), exercise_id=exercise_id)


def check(exercise_id: str, answer: Any) -> Box:
    """Check an answer and show what was found: a box in a notebook, text elsewhere.

    Never raises in a learner's notebook: a wrong id or a checker's fault is shown as a box too.

    Args:
        exercise_id: such as "02.3".
        answer: a function or a value, as the exercise asks.

    Returns:
        A box; `.passed` says whether the answer was correct.

    Example:
        >>> check("02.1", None)
        – 02.1 · Not attempted yet.
          hint("02.1") helps, solution("02.1") shows a way.

    Taught in notebook 00.
    """
    if not _known(exercise_id, EXERCISES):
        return _unknown(exercise_id, EXERCISES, "exercise")
    try:
        verdict = examine(exercise_id, answer)
    except Exception as error:
        return Box(
            f"{exercise_id} · The checker could not handle this answer.",
            (
                ("", show(error)),
                (
                    "",
                    "Your notebook goes on. If your answer has the kind of value that the exercise "
                    "asks for, this is a fault of the workbook: please report it.",
                ),
            ),
        )
    if verdict.outcome != "not attempted":
        entry = record.load().get(exercise_id, {})
        passed = verdict.outcome == "correct" or entry.get("passed", False)
        record.update(exercise_id, attempts=entry.get("attempts", 0) + 1, passed=passed)
    return CheckBox(verdict)


def hint(exercise_id: str) -> Box:
    """Show the next hint; after the last one, the first again.

    Example:
        >>> hint("edges")
        There is no exercise edges.

    Taught in notebook 00.
    """
    if not _known(exercise_id, EXERCISES):
        return _unknown(exercise_id, EXERCISES, "exercise")
    hints = EXERCISES[exercise_id].hints
    seen = record.load().get(exercise_id, {}).get("hints", 0)
    record.update(exercise_id, hints=seen + 1)
    number = seen % len(hints)
    more = "" if number + 1 == len(hints) else f'   hint("{exercise_id}") again shows the next.'
    return Box(f"{exercise_id} · Hint {number + 1} of {len(hints)}", (("", hints[number] + more),))


def solution(exercise_id: str) -> Source | Box:
    """Show a worked solution. Later cells never depend on your own answer, so there is no hurry.

    Taught in notebook 00.
    """
    if not _known(exercise_id, EXERCISES):
        return _unknown(exercise_id, EXERCISES, "exercise")
    record.update(exercise_id, solution_seen=True)
    title = f"{exercise_id} · A solution of “{EXERCISES[exercise_id].title}”"
    return Source(title, solution_source(exercise_id))


def solution_source(exercise_id: str) -> str:
    """The worked solution as Python source that defines the name that the check cell passes.

    Raises:
        KeyError: there is no such exercise.
    """
    return verdicts.solution_source(EXERCISES[exercise_id])


def predict(prediction_id: str, guess: Any) -> Box:
    """Record a guess before a cell is run; `reveal` compares it afterwards.

    Args:
        prediction_id: such as "02.a".
        guess: a number, a tuple, a letter, … or None for no guess.

    Example:
        >>> predict("02.a", None)
        02.a · No prediction yet: put your guess in place of None, then run the next cell.

    Taught in notebook 00.
    """
    if not _known(prediction_id, PREDICTIONS):
        return _unknown(prediction_id, PREDICTIONS, "prediction")
    if guess is None or guess is Ellipsis:
        record.update(prediction_id, guess=None)
        return Box(
            f"{prediction_id} · No prediction yet: put your guess in place of None, "
            "then run the next cell."
        )
    options, guess = PREDICTIONS[prediction_id].options, _plain(guess)
    if options and str(guess).strip().lower() not in options:
        return Box(f"{prediction_id} · Choose one of {', '.join(options)}; got {show(guess)}.")
    record.update(prediction_id, guess=guess)
    return Box(f"{prediction_id} · Your prediction: {_shown(guess)}. Now run the next cell.")


def reveal(prediction_id: str, actual: Any) -> Box:
    """Compare the measured value with the recorded guess.

    Taught in notebook 00.
    """
    if not _known(prediction_id, PREDICTIONS):
        return _unknown(prediction_id, PREDICTIONS, "prediction")
    prediction = PREDICTIONS[prediction_id]
    shown, actual = show(as_numpy(actual)), _plain(actual)
    guess = record.load().get(prediction_id, {}).get("guess")
    if guess is None:
        return Box(f"{prediction_id} · It is {shown}. You made no prediction.")
    right = _agrees(guess, actual, prediction.within)
    record.update(prediction_id, right=right)
    said = "as you predicted" if right else f"you predicted {_shown(guess)}"
    return Box(f"{prediction_id} · It is {shown}: {said}.", mark="✓" if right else "○")


def progress(notebook: str | None = None) -> Table:
    """What you have done so far: one row a notebook, or of one notebook each exercise.

    It is kept in one small file, which may be deleted.

    Args:
        notebook: its number, such as "02"; None for all notebooks.

    Raises:
        ValueError: there is no notebook of that number with exercises.

    Taught in notebook 00.
    """
    known = record.load()
    numbers = sorted({name[:2] for name in EXERCISES})
    if notebook is None:
        rows = tuple((number, *_summary(number, known)) for number in numbers)
        headings = ("notebook", "exercises correct", "points", "predictions right")
        correct, points, right = _summary("", known)
        caption = f"{correct} exercises correct, {points} points; {right} predictions right."
        return Table(caption, headings, rows)
    if notebook not in numbers:
        raise ValueError(f"expected the number of a notebook, {numbers}, got {notebook!r}")
    rows = []
    for name, exercise in EXERCISES.items():
        if name.startswith(notebook):
            entry = known.get(name, {})
            tried = entry.get("attempts", 0)
            state = "correct" if entry.get("passed") else "tried" if tried else "–"
            helped = f"{min(entry.get('hints', 0), len(exercise.hints))} of {len(exercise.hints)}"
            seen = "yes" if entry.get("solution_seen") else "no"
            level = f"{exercise.level}"
            rows.append((name, exercise.title, level, state, f"{tried}", helped, seen))
    correct, points, right = _summary(notebook, known)
    return Table(
        f"{correct} exercises correct, {points} points; {right} predictions right.",
        ("exercise", "title", "level", "state", "tries", "hints seen", "solution seen"),
        tuple(rows),
    )


def _summary(number: str, known: dict) -> tuple[str, str, str]:
    """Exercises, points and predictions of the notebooks that begin so: "1 of 4" of each."""
    exercises = [e for name, e in EXERCISES.items() if name.startswith(number)]
    done = [e for e in exercises if known.get(e.id, {}).get("passed")]
    points, total = (sum(e.points for e in some) for some in (done, exercises))
    made = [known.get(name) for name in PREDICTIONS if name.startswith(number)]
    guesses = [e["right"] for e in made if e and e.get("guess") is not None and "right" in e]
    return (
        f"{len(done)} of {len(exercises)}",
        f"{points} of {total}",
        f"{sum(guesses)} of {len(guesses)}",
    )


def _known(name: Any, known: dict) -> bool:
    return isinstance(name, str) and name in known


def _unknown(name: Any, known: dict, kind: str) -> Box:
    text = name if isinstance(name, str) else show(name)
    alike = {name: difflib.SequenceMatcher(None, text, name).ratio() for name in known}
    close = max(alike, key=alike.get)  # the first of equals: 2.1 is 02.1, not 12.1
    lines = (("", f'Did you mean "{close}"?'),) if alike[close] >= 0.6 else ()
    return Box(f"There is no {kind} {text}.", lines)


def _plain(value: Any, depth: int = 8) -> Any:
    """A value that JSON can keep: arrays and tuples as nested lists, NumPy scalars as Python's."""
    value = as_numpy(value)
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if type(value) in (tuple, list) and depth:  # a list may contain itself
        return [_plain(v, depth - 1) for v in value]
    if type(value) is int and value.bit_length() > 1000:  # too long for JSON to write
        return show(value)
    return value if type(value) in (str, int, float, bool) else show(value)


def _shown(guess: Any) -> str:
    """A recorded guess; the record holds lists, and a flat one was most likely a shape."""
    flat = isinstance(guess, list) and not any(isinstance(g, list) for g in guess)
    return show(tuple(guess) if flat else guess)


def _agrees(guess: Any, actual: Any, within: float) -> bool:
    """Whole numbers must be equal, others to six digits; `within` allows more."""
    if isinstance(actual, list):
        return (
            isinstance(guess, list)
            and len(guess) == len(actual)
            and all(_agrees(g, a, within) for g, a in zip(guess, actual, strict=True))
        )
    if isinstance(actual, str) or isinstance(guess, str):
        return str(guess).strip().lower() == str(actual).strip().lower()
    if isinstance(guess, int | float) and isinstance(actual, int | float):
        if guess == actual or (guess != guess and actual != actual):  # NaN agrees with NaN
            return True
        whole = isinstance(guess, int) and isinstance(actual, int)
        rounding = 0 if whole else 1e-6 * (1 + abs(actual))
        return math.isfinite(actual) and abs(guess - actual) <= within * abs(actual) + rounding
    return guess == actual
