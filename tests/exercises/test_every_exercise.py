"""What holds of every exercise: the solution passes, the stub counts as not attempted."""

import time

import pytest

from cnnlib.exercises import EXERCISES, examine

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
