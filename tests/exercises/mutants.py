"""Wrong answers that a checker must reject, each with the words that name its cause.

A notebook's wrong answers stand in `test_nbNN.py` as a list MUTANTS, written as a learner would
write them, not taken from the misconceptions that the checkers know.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnlib.exercises import examine
from cnnlib.exercises.verdicts import Verdict


@dataclass(frozen=True)
class Mutant:
    """A wrong answer, and what the verdict must say, in any case of letters, to name the cause.

    `outcome` is "error" for an answer that stops with an exception of its own.
    """

    exercise_id: str
    name: str
    answer: Any
    says: tuple[str, ...]
    outcome: str = "not yet"

    def __str__(self) -> str:
        return f"{self.exercise_id} {self.name}"


def wrong(mutants: list[Mutant], exercise_id: str, *says: str, outcome: str = "not yet"):
    """Enter the decorated function in `mutants`, named after what it does wrong."""

    def enter(answer: Callable) -> Callable:
        name = answer.__name__.replace("_", " ")
        mutants.append(Mutant(exercise_id, name, answer, says, outcome))
        return answer

    return enter


def words(verdict: Verdict) -> str:
    """All that a learner reads."""
    details = "\n".join(f"{label}: {text}" for label, text in verdict.details)
    return f"{verdict.headline}\n{details}\n{verdict.cause}"


def survives(mutant: Mutant) -> str:
    """Why a mutant is not killed; empty when it is rejected and its cause named."""
    verdict = examine(mutant.exercise_id, mutant.answer)
    if verdict.outcome != mutant.outcome:
        return f"expected {mutant.outcome!r}, got {verdict.outcome!r}: {words(verdict)}"
    if verdict.outcome == "not yet" and not verdict.cause:
        return f"no cause is named: {words(verdict)}"
    missing = [said for said in mutant.says if said.lower() not in words(verdict).lower()]
    return f"{missing} not in: {words(verdict)}" if missing or not mutant.says else ""


def all_mutants() -> list[Mutant]:
    """Those of every notebook."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("test_nb*.py"))
    return [
        mutant
        for name in names
        for mutant in importlib.import_module(f".{name}", __package__).MUTANTS
    ]
