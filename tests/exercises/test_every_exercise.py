"""What holds of every exercise: the solution passes, the stub counts as not attempted."""

import time

import numpy as np
import pytest

from cnnlib.exercises import EXERCISES, check, examine

from .mutants import all_mutants, words


@pytest.fixture(scope="module", autouse=True)
def torch_is_there():
    """Oracles import torch, which takes longer than any check."""
    import torch

    torch.func.grad(torch.sin)(torch.ones(()))  # its first call imports as much again


@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_solution_is_accepted_quickly_and_in_silence(exercise_id, capfd, recwarn):
    exercise = EXERCISES[exercise_id]
    if isinstance(exercise.solution, str):
        pytest.skip("a value answer: its solution is source")
    start = time.process_time()  # other programs do not count
    verdict = examine(exercise_id, exercise.solution)
    seconds = time.process_time() - start
    assert verdict.outcome == "correct", words(verdict)
    assert verdict.score == 1.0
    assert seconds < 5
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_what_is_not_attempted(exercise_id):
    def stub(*args, **kwargs):
        # Your code here
        raise NotImplementedError

    answers = (None, ...) if isinstance(EXERCISES[exercise_id].solution, str) else (stub, None, ...)
    for answer in answers:
        assert examine(exercise_id, answer).outcome == "not attempted"


@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_an_error_names_the_learners_own_line(exercise_id):
    if isinstance(EXERCISES[exercise_id].solution, str):
        pytest.skip("a value answer runs no code")

    def answer(*args, **kwargs):
        denominator = 0
        return [1 / denominator for _ in range(3)]  # in a comprehension, which has its own frame

    verdict = examine(exercise_id, answer)
    assert verdict.outcome == "error"
    assert verdict.score == 0.0
    assert "ZeroDivisionError: division by zero" in verdict.headline
    assert "line 3 of answer: return [1 / denominator" in dict(verdict.details)["line"]


def test_mutants_belong_to_exercises():
    assert {mutant.exercise_id for mutant in all_mutants()} <= set(EXERCISES)


# Answers that nobody would mean


class AlwaysEqual:
    """An object that says that it equals everything."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


def empties_what_it_is_given(*args, **kwargs):
    for part in args:
        if isinstance(part, dict):
            part.clear()


def spoils_what_it_is_given(*args, **kwargs):
    for part in args:
        for array in part.values() if isinstance(part, dict) else [part]:
            if isinstance(array, np.ndarray) and array.dtype.kind == "f":
                array[...] = np.nan


VALUES = [7, "conv2d", {}, [1, 2], np.zeros((3, 3)), object(), AlwaysEqual(), int, dict]
VALUES += [{"A": []}, [[]], {1: 2}, [AlwaysEqual()]]
RETURNED = {
    "text": "text",
    "number": 10**400,
    "NaN": np.nan,
    "truth": True,
    "dictionary": {},
    "nothing in a list": [],
    "huge in a list": [10**30],
    "index out of range": [np.array([2**62, -5])],
    "iterator": iter([np.array([0]), None]),
    "objects": np.array([[None, "x"]], dtype=object),
    "words": np.array(["a", "b", "c"]),
    "pair": (1, 2),
    "triple": (1, 2, 3),
    "empty pair": (None, None),
    "mixed": (np.array("x"), None, ...),
    "equal": AlwaysEqual(),
    "equal pair": (AlwaysEqual(), AlwaysEqual()),
    "equal list": [AlwaysEqual()] * 2,
    "equal nest": ([(AlwaysEqual(),) * 4], AlwaysEqual()),
    "array of NaN": np.full((3, 3), np.nan),
    "small array of NaN": np.full((1, 1, 1, 1), np.nan),
    "NaN and complex": (np.full(3, np.nan), np.full(3, 1j)),
    "complex": np.full((10, 784), 1j),
    "masked": np.ma.masked_all((3, 3)),
}
CALLS = {
    "no argument": lambda: None,
    "generator": lambda *a, **k: (_ for _ in ()),
    "exit": lambda *a, **k: exit(),
    "argument": lambda *a, **k: a[0],
    "module": lambda *a, **k: import_torch().nn.Identity(),
    "tensor": lambda *a, **k: import_torch().zeros(2, requires_grad=True),
    "tensor of NaN": lambda *a, **k: import_torch().full((3, 3), float("nan")),
    "empties": empties_what_it_is_given,
    "spoils": spoils_what_it_is_given,
}
NONSENSE = {f"value {number}": value for number, value in enumerate(VALUES)}
NONSENSE |= {f"returns {n}": lambda *a, v=value, **k: v for n, value in RETURNED.items()}
NONSENSE |= {f"calls {name}": call for name, call in CALLS.items()}


def import_torch():
    import torch

    return torch


@pytest.mark.parametrize("name", NONSENSE)
@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_nonsense_is_rejected_in_silence(exercise_id, name, capfd, recwarn):
    box = check(exercise_id, NONSENSE[name])
    assert not box.passed
    assert box.verdict.outcome in ("not yet", "error")
    repr(box), box._repr_html_()
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
