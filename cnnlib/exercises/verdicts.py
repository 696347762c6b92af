"""The words of a check: exercises, predictions, cases, and the verdict that a check comes to."""

import inspect
import linecache
import textwrap
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HERE = str(Path(__file__).parent)
OUTCOMES = ("correct", "not yet", "error", "not attempted")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a check found. `outcome` is one of OUTCOMES; the rest is what the learner reads."""

    outcome: str
    headline: str
    details: tuple[tuple[str, str], ...] = ()  # (label, text): case, expected, got
    cause: str = ""
    exercise_id: str = ""

    @property
    def score(self) -> float:
        """1.0 when correct, else 0.0: what a grader multiplies by the points."""
        return 1.0 if self.outcome == "correct" else 0.0


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise. `examine` takes the learner's answer and returns a Verdict.

    `solution` is the function whose source is shown, or the source itself for a value answer.
    """

    id: str
    title: str
    objective: str  # completes "you will be able to ..."
    level: int  # 1 to 3
    minutes: int
    points: int
    hints: tuple[str, ...]
    solution: Callable | str
    examine: Callable[[Any], Verdict]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A guess asked for before a cell is run. A number may be off by the fraction `within`."""

    id: str
    question: str
    within: float = 0.0
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One call that a checker makes. `note` says in words what is special about it."""

    args: tuple
    kwargs: dict = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Misconception:
    """A plausible wrong answer, and what a learner who gave it should read."""

    wrong: Callable
    says: str


def solution_source(exercise: Exercise) -> str:
    """The worked solution as Python source that defines the name that the check cell passes."""
    if isinstance(exercise.solution, str):
        return exercise.solution.strip()
    return textwrap.dedent(inspect.getsource(exercise.solution)).strip()


def correct(headline: str = "") -> Verdict:
    return Verdict(outcome="correct", headline=headline)


def not_yet(headline: str, *details: tuple[str, str], cause: str = "") -> Verdict:
    return Verdict(outcome="not yet", headline=headline, details=details, cause=cause)


def not_attempted() -> Verdict:
    return Verdict(outcome="not attempted", headline="")


def raised(error: BaseException, *details: tuple[str, str], attempted: bool = False) -> Verdict:
    """An exception in the learner's code: its message, and the line of theirs that it came from.

    NotImplementedError is the stub's, so nothing was attempted, unless the caller knows better.
    """
    if isinstance(error, NotImplementedError) and not attempted:
        return not_attempted()
    try:
        message = f": {error}" if str(error) else ""
    except Exception:  # a learner's own exception class may fail to say what it is
        message = ""
    where = own_line(error)
    return Verdict(
        outcome="error",
        headline=f"Your code raised {type(error).__name__}{message}",
        details=(*details, *([("line", where)] if where else [])),
    )


def own_line(error: BaseException) -> str:
    """The last line of the learner's file, or notebook cell, that the error passed through."""
    frames = [
        (frame.f_code, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith(_HERE)
    ]
    if not frames:
        return ""
    own = [f for f in frames if f[0].co_filename == frames[0][0].co_filename]
    named = [code for code, _ in own if not code.co_name.endswith("comp>")]  # no comprehensions
    code, line = (named or [own[-1][0]])[-1], own[-1][1]
    text = linecache.getline(code.co_filename, line).strip()
    number = line - code.co_firstlineno + 1
    return f"line {number} of {code.co_name}" + (f": {text}" if text else "")
