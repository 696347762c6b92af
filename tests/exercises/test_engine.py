"""How a checker decides: every value is compared, the smallest failure shown, its cause named."""

import subprocess
import sys

import numpy as np
import pytest

from cnnlib import exercises
from cnnlib.exercises import (
    EXERCISES,
    PREDICTIONS,
    check,
    hint,
    predict,
    reveal,
    solution,
    verdicts,
)
from cnnlib.exercises.compare import differs, show, show_pair
from cnnlib.exercises.engine import examine_function, examine_value
from cnnlib.exercises.verdicts import Case, Exercise, Misconception

from .mutants import all_mutants, words

SQUARE = np.arange(12.0).reshape(3, 4) + 1


def examined(answer, oracle, *args, misconceptions=(), **options):
    """The verdict on `answer` with one case for each of `args`."""
    cases = [Case(a if isinstance(a, tuple) else (a,)) for a in args]
    return examine_function(
        answer, cases=lambda: cases, oracle=oracle, misconceptions=misconceptions, **options
    )


def twice(values):
    return values * 2


# which case is shown


def test_the_first_case_that_differs_is_shown():
    cases = [Case((np.full(n, 1.0),), note=f"{n} numbers") for n in range(1, 8)]

    def wrong_from_four_on(values):
        return values * 2 if len(values) < 4 else values * 3

    verdict = examine_function(wrong_from_four_on, cases=lambda: cases, oracle=twice)
    assert verdict.outcome == "not yet"
    assert verdict.headline.startswith("3 of 7 cases are right.")
    assert dict(verdict.details)["case"].startswith("4 numbers: called with ([1., 1., 1., 1.])")
    assert "new here: 4 numbers" in verdict.cause


def test_a_smaller_wrong_case_is_shown_before_a_later_error():
    def answer(values):
        return values if len(values) == 1 else values[99]

    verdict = examined(answer, twice, np.ones(1), np.ones(2))
    assert verdict.outcome == "not yet"
    assert dict(verdict.details)["case"] == "called with ([1.])"


def test_an_error_is_shown_before_a_later_wrong_case():
    def answer(values):
        return values[99] if len(values) == 1 else values

    verdict = examined(answer, twice, np.ones(1), np.ones(2))
    assert verdict.outcome == "error"
    assert dict(verdict.details)["line"].startswith("line 2 of answer: return values[99]")


def test_the_oracle_and_the_answer_get_arguments_of_their_own():
    seen = []

    def answer(values):
        seen.append(values)
        return values * 2

    verdict = examined(answer, twice, SQUARE)
    assert verdict.outcome == "correct"
    assert seen[0] is not SQUARE


# every value counts


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0, 1e300, 2.0 + 1e-6])
def test_one_wrong_entry_in_a_large_array_is_caught(bad):
    def answer(values):
        result = values * 2
        result[-1, -2] = bad
        return result

    verdict = examined(answer, twice, np.ones((300, 200)))
    assert verdict.outcome == "not yet"
    details = dict(verdict.details)
    assert details["expected"] == "2 at [299, 198]"
    assert details["got"].endswith("there; 1 of 60000 differ")
    assert details["got"].split()[0] != "2"


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (np.array([5.0]), np.array([np.inf])),
        (np.array([-np.inf]), np.array([np.inf])),
        (np.array([np.nan]), np.array([np.inf])),
        (np.array([5.0]), np.array([np.nan])),
        (np.array([1 + 1j]), np.array([1.0])),
        (np.array([1.0], dtype=object), np.array([1.0])),
        (np.array(["1.0"]), np.array([1.0])),
        (np.array([1.0]), np.array(["1.0"])),
        (np.array(["a"]), np.array(["b"])),
        (np.array([1.0]), 1.0),
        (np.array(1.0), np.array([1.0])),
        ([1.0], np.array([1.0])),
        (1.0, np.array([1.0])),
        (True, 1),
        (1, True),
        (np.True_, 1.0),
        ("1", 1),
        (None, 0.0),
        (5.0, np.inf),
        (np.nan, 1.0),
        ((1, 2), (1, 2, 3)),
        ((1, np.ones(2)), (1, np.zeros(2))),
        (1, (1,)),
        ("a", "b"),
        (10**400, 1.0),
    ],
)
def test_what_differs(got, expected):
    assert np.any(differs(got, expected, 1e-9))


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (np.array([np.inf, np.nan, -np.inf]), np.array([np.inf, np.nan, -np.inf])),
        (np.array([1 + 0j]), np.array([1.0])),
        (np.array([1, 0]), np.array([1.0, 0.0])),
        (np.array(3.0), 3),
        (np.float32(0.5), 0.5),
        (3.0, 3),
        ([1, 2], (1, 2)),
        (np.array(["a"]), np.array(["a"])),
        (np.True_, True),
        (0.1 + 0.2, 0.3),
        (np.zeros((0, 3)), np.zeros((0, 3))),
    ],
)
def test_what_does_not_differ(got, expected):
    assert not np.any(differs(got, expected, 1e-9))


def test_single_precision_is_allowed_its_rounding_and_no_more():
    expected = np.array([1.0, 100.0])
    assert not np.any(differs((expected * (1 + 1e-6)).astype(np.float32), expected, 1e-9))
    assert np.any(differs((expected * (1 + 1e-3)).astype(np.float32), expected, 1e-9))
    assert np.any(differs(expected * (1 + 1e-6), expected, 1e-9))


def test_a_wrong_dtype_is_nearly_right():
    verdict = examined(lambda v: v.astype(np.float64) * 2, twice, np.ones(3, dtype=np.float32))
    assert verdict.outcome == "not yet"
    assert verdict.headline.startswith("Nearly")
    assert dict(verdict.details)["expected"] == "float32"
    assert dict(verdict.details)["got"] == "float64"
    assert ".astype(np.float32)" in verdict.cause
    verdict = examined(lambda v: v * 2.0, twice, np.ones(3, dtype=np.float32), keep_dtype=False)
    assert verdict.outcome == "correct"


def test_true_and_false_for_one_and_zero_is_nearly_right():
    verdict = examined(lambda v: v > 0, lambda v: (v > 0).astype(int), SQUARE)
    assert verdict.headline.startswith("Nearly")


class Sly(np.ndarray):
    """An array that says of itself that every comparison is in its favour."""

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return np.ones(self.shape, dtype=bool)


@pytest.mark.parametrize(
    "result",
    [np.zeros((3, 4)).view(Sly), np.ma.masked_all((3, 4)), np.zeros((3, 4)).view(np.matrix)],
)
def test_a_subclass_of_arrays_is_compared_by_its_values(result):
    assert examined(lambda values: result, twice, SQUARE).outcome == "not yet"


def test_digits_are_added_until_expected_and_got_can_be_told_apart():
    assert show_pair(1.0, 1.00000001) == ("1", "1.00000001")
    expected, got = show_pair(np.array([0.0, 1.0]), np.array([1e-6, 1.0]))
    assert expected != got


# inputs and parts


def test_a_changed_input_is_seen_though_the_result_is_right():
    def answer(values):
        result = values * 2
        values[0] = 0
        return result

    verdict = examined(answer, twice, SQUARE)
    assert verdict.outcome == "not yet"
    assert "changed its input" in verdict.headline
    assert "copy" in verdict.cause


def test_a_changed_list_of_arrays_is_seen():
    def answer(pictures):
        total = sum(pictures)
        pictures[1] += 1
        return total

    verdict = examined(answer, sum, [np.ones(2), np.ones(2)])
    assert "changed its input" in verdict.headline


def test_a_part_of_several_results_is_named():
    def oracle(values):
        return values, values + 1, values + 2

    verdict = examined(lambda v: (v, v + 1, v**3), oracle, SQUARE[:1])
    assert dict(verdict.details)["part"] == "3 of the 3 that are returned"
    verdict = examined(lambda v: (v, v), oracle, SQUARE)
    assert "3 results are wanted, with commas between; 2 came back" in verdict.cause
    verdict = examined(lambda v: (v + 2, v + 1, v), oracle, SQUARE)
    assert "wrong order" in verdict.cause
    assert examined(lambda v: [v, v + 1, v + 2], oracle, SQUARE).outcome == "correct"


def test_torch_tensors_are_taken_for_arrays():
    torch = pytest.importorskip("torch")
    assert examined(lambda v: torch.from_numpy(v) * 2, twice, SQUARE).outcome == "correct"
    learned = torch.ones(3, 4, dtype=torch.float64, requires_grad=True)

    def answer(values):
        return learned * torch.from_numpy(values), [learned]

    assert examined(answer, lambda v: (v, (np.ones((3, 4)),)), SQUARE).outcome == "correct"


# patterns that need no knowledge of the exercise

TWO = np.arange(9.0).reshape(3, 3) ** 2 + 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda v: v[:, ::-1], "mirrored left to right"),
        (lambda v: v[::-1], "mirrored top to bottom"),
        (lambda v: v[::-1, ::-1], "mirrored both ways"),
        (lambda v: v.T, "transposed"),
        (lambda v: v * 0.25, "0.25 times"),
        (lambda v: v + 3, "same amount, 3"),
        (lambda v: -v, "wrong sign"),
        (lambda v: v * 0, "every value is 0"),
        (lambda v: np.where(v == 5, np.inf, v), "not finite"),
        (lambda v: v * 1.0005 + 0.001, "close, but not equal"),
        (lambda v: None, "returned None"),
        (lambda v: v.tolist(), "this is a list"),
        (lambda v: v[0, 0], "this is a float64"),
        (lambda v: v[None], "an axis is missing or too many"),
        (lambda v: v[:-1], "one too few along axis 0"),
        (lambda v: np.pad(v, ((0, 1), (0, 1))), "one too many along axes 0 and 1"),
        (lambda v: v[:1, :1], "size is wrong along axes 0 and 1"),
        (lambda v: v[0], "2 axes; yours has 1"),
        (lambda v: np.array([["x"] * 3] * 3), "array of numbers"),
        (lambda v: v.astype(object), "dtype of this one is object"),
    ],
)
def test_general_patterns_are_named(answer, says):
    verdict = examined(answer, lambda v: v * 1.0, TWO)
    assert verdict.outcome == "not yet"
    assert says.lower() in verdict.cause.lower()


def test_sizes_in_the_wrong_order_are_named():
    verdict = examined(lambda v: v.T, lambda v: v * 1.0, SQUARE)
    assert "which axis is which" in verdict.cause


def test_a_pattern_that_one_small_case_shows_by_chance_is_not_told():
    small, large = np.array([[2.0]]), TWO
    for change in (lambda v: v + v**2, lambda v: v - v**3):
        assert examined(change, lambda v: v * 1.0, small).cause == ""
        assert examined(change, lambda v: v * 1.0, small, large, large + 1).cause == ""


def test_a_pattern_that_fewer_cases_show_than_not_is_not_told():
    def answer(values):
        return values[:, ::-1] if values.size == 2 else values + values**2

    cases = np.array([[1.0, 2.0]]), TWO, TWO + 1
    assert "mirrored" in examined(answer, lambda v: v * 1.0, *cases[:2]).cause
    assert examined(answer, lambda v: v * 1.0, *cases).cause == ""


def test_of_patterns_that_each_show_once_the_first_case_is_told():
    verdict = examined(lambda v: v / v.size, lambda v: v * 1.0, TWO, TWO[:2], TWO[:1])
    assert "0.111111 times" in verdict.cause


def test_a_pattern_of_most_cases_is_told_though_the_first_does_not_show_it():
    verdict = examined(lambda v: v * 3, lambda v: v * 1.0, np.array([[2.0]]), TWO, TWO + 1)
    assert "3 times" in verdict.cause


# misconceptions


def test_the_misconception_that_explains_most_failing_cases_is_named():
    known = (
        Misconception(lambda v: v + v.size, "adds the size"),
        Misconception(lambda v: v**2, "squares"),
        Misconception(lambda v: v + 2, "adds two"),
        Misconception(lambda v: v.nothing, "fails itself"),
    )
    cases = np.array([3.0, 5.0]), np.array([1.0, 4.0, 6.0]), np.array([2.0])
    for position, says in enumerate(("adds the size", "squares", "adds two")):
        wrong = known[position].wrong
        verdict = examined(lambda v, wrong=wrong: wrong(v), twice, *cases, misconceptions=known)
        assert verdict.cause == says


def test_one_number_that_agrees_by_chance_is_not_told_as_the_cause():
    known = (Misconception(lambda v: 1 - v, "the rest"),)
    cases = [np.array(n) for n in (1.0, 0.3, 0.8, 0.6)]
    verdict = examined(lambda v: v * 0, lambda v: float(v), *cases, misconceptions=known)
    assert verdict.cause != "the rest"
    verdict = examined(lambda v: 1 - v, lambda v: float(v), *cases, misconceptions=known)
    assert verdict.cause == "the rest"


def test_of_two_that_explain_the_failures_the_one_that_passes_the_rest_is_named():
    known = (
        Misconception(lambda v: v * 3, "always three times"),
        Misconception(lambda v: v * (3 if v.size > 1 else 2), "three times where there are more"),
    )

    def answer(values):
        return values * 3 if len(values) > 1 else values * 2

    verdict = examined(answer, twice, np.ones(1), np.ones(2), misconceptions=known)
    assert verdict.cause == "three times where there are more"


def test_parts_of_different_shapes_do_not_stop_the_search_for_a_cause():
    known = (Misconception(lambda v: (v, v[0] * 0), "drops the row"),)
    verdict = examined(
        lambda v: (v, v[0] * 0), lambda v: (v, v[0]), SQUARE, SQUARE + 1, misconceptions=known
    )
    assert verdict.cause == "drops the row"


def test_a_misconception_that_returns_none_is_recognised():
    known = (Misconception(lambda v: v if v.size < 3 else None, "stops before the end"),)
    verdict = examined(
        lambda v: v if len(v) < 3 else None, lambda v: v * 1.0, np.ones(2), np.ones(3),
        misconceptions=known,
    )  # fmt: skip
    assert verdict.cause == "stops before the end"


def test_whole_numbers_as_floats_are_nearly_right_whatever_their_width():
    def oracle(values):
        return values.argmax(axis=1)

    def verdict(dtype):
        return examined(lambda v: oracle(v).astype(dtype), oracle, SQUARE, keep_dtype=False)

    assert verdict(np.int32).outcome == verdict(np.uint8).outcome == "correct"
    assert verdict(np.float64).headline.startswith("Nearly")


def test_a_misconception_must_explain_the_case_that_is_shown():
    known = (Misconception(lambda v: v * 0 if len(v) > 1 else v + 7, "explains the others"),)

    def answer(values):
        return values * 0 if len(values) > 1 else values + 8

    verdict = examined(answer, twice, np.ones(1), np.ones(2), np.ones(3), misconceptions=known)
    assert "explains the others" not in verdict.cause


def test_a_pattern_of_all_cases_outweighs_a_misconception_of_one():
    known = (Misconception(lambda v: v[::-1] * 2, "reversed"),)
    cases = np.array([1.0, -1.0]), np.array([1.0, 2.0, 3.0]), np.array([2.0, 5.0])
    verdict = examined(lambda v: v * -2, twice, *cases, misconceptions=known)
    assert verdict.cause == "Every value has the wrong sign."


def test_a_misconception_that_stops_with_the_same_error_is_named():
    known = (Misconception(lambda v: v @ np.ones(7), "a matrix product"),)
    verdict = examined(lambda v: v @ np.ones(7), twice, SQUARE, misconceptions=known)
    assert verdict.outcome == "error"
    assert verdict.cause == "a matrix product"


# errors


def test_not_attempted_only_where_nothing_was():
    def stub(values):
        raise NotImplementedError

    def half(values):
        if len(values) > 1:
            raise NotImplementedError("later")
        return values * 2

    assert examined(stub, twice, np.ones(1), np.ones(2)).outcome == "not attempted"
    verdict = examined(half, twice, np.ones(1), np.ones(2))
    assert verdict.outcome == "error"
    assert "NotImplementedError: later" in verdict.headline


def test_a_helper_above_the_function_is_named_with_its_own_line():
    def helper(values):
        # first a remark
        return values.no_such_thing

    def answer(values):
        return helper(values)

    line = dict(examined(answer, twice, SQUARE).details)["line"]
    assert line == "line 3 of helper: return values.no_such_thing"


def test_the_line_is_found_for_an_object_that_is_called_and_within_numpy():
    class Answer:
        def __call__(self, values):
            return np.reshape(values, (5, 5))

    verdict = examined(Answer(), twice, SQUARE)
    assert "cannot reshape" in verdict.headline
    assert dict(verdict.details)["line"] == "line 2 of __call__: return np.reshape(values, (5, 5))"


def test_a_wrong_number_of_parameters_is_told():
    verdict = examined(lambda: 0, twice, SQUARE)
    assert verdict.outcome == "error"
    assert "takes 0 positional arguments but 1 was given" in verdict.headline


class Unspeakable(Exception):
    """An exception that fails to say what it is."""

    def __str__(self):
        raise self

    __repr__ = __str__


@pytest.mark.parametrize("error", [Unspeakable(), SystemExit(), RecursionError(), AssertionError()])
def test_any_exception_becomes_a_verdict(error):
    def answer(values):
        raise error

    verdict = examined(answer, twice, SQUARE)
    assert verdict.outcome == "error"
    assert verdict.headline == f"Your code raised {type(error).__name__}"


def test_an_interrupt_goes_through():
    def endless(values):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examined(endless, twice, SQUARE)


def test_a_result_in_place_of_the_function_is_told():
    verdict = examined(SQUARE, twice, SQUARE)
    assert verdict.outcome == "not yet"
    assert "not an array of shape (3, 4)" in verdict.headline
    assert "without parentheses" in verdict.cause


# values


def test_values_are_compared_and_known_mistakes_named():
    def verdict(answer):
        return examine_value(answer, (1, 8, 14, 14), known={(8, 14, 14): "The batch is missing."})

    for right in [(1, 8, 14, 14), [1, 8, 14, 14], np.array([1, 8, 14, 14]), (1.0, 8.0, 14.0, 14.0)]:
        assert verdict(right).outcome == "correct"
    assert verdict((8, 14, 14)).cause == "The batch is missing."
    assert verdict((1, 8, 14)).cause == "The answer has 4 numbers, yours 3."
    assert verdict((1, 8, 13, 14)).cause == "3 of the 4 numbers are right."
    assert verdict(7).cause == "4 results are wanted, with commas between; an int came back."
    assert verdict(None).outcome == verdict(...).outcome == "not attempted"


def test_what_was_expected_of_a_value_is_not_given_away():
    assert "14" not in words(examine_value(896, 14))
    assert examine_value("14", 14).cause == "A number is wanted; this is a str."
    assert examine_value("14", 14.0).cause == "A number is wanted; this is a str."
    assert examine_value(0.3, 0.1 + 0.2).outcome == "correct"
    assert examine_value(np.array([14.0]), 14).outcome == "not yet"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.5), "0.5"),
        (np.int64(7), "7"),
        ((np.int64(1), np.float64(2.5)), "(1, 2.5)"),
        ((3,), "(3,)"),
        ([1, (2, 3)], "[1, (2, 3)]"),
        (np.ones((10, 10)), "array of shape (10, 10), float64"),
        (np.array([1.0, 2.5]), "[1. , 2.5]"),
        ("a", "'a'"),
    ],
)
def test_how_values_are_shown(value, text):
    assert show(value) == text


# ids, and the course's exercises as a whole


@pytest.mark.parametrize("say", [check, predict, reveal])
@pytest.mark.parametrize("name", ["2.1", "02.11", 2.1, ["02.1"], None, np.zeros(2), twice])
def test_an_unknown_id_is_told_with_the_nearest(say, name):
    box = say(name, twice)
    kind = "exercise" if say is check else "prediction"
    assert box.title.startswith(f"There is no {kind} ")
    if kind == "exercise" and isinstance(name, str):
        assert box.lines == (("", 'Did you mean "02.1"?'),)


def test_an_unknown_id_of_hint_and_solution():
    assert 'Did you mean "02.1"?' in repr(hint("o2.1"))
    assert 'Did you mean "02.1"?' in repr(solution("o2.1"))


def test_a_checker_that_fails_does_not_reach_the_learner(monkeypatch):
    def broken(answer):
        raise Unspeakable

    exercise = Exercise(
        id="99.1", title="", objective="", level=1, minutes=1, points=1,
        hints=("",), solution="", examine=broken,
    )  # fmt: skip
    monkeypatch.setitem(EXERCISES, "99.1", exercise)
    box = check("99.1", twice)
    assert box.title == "99.1 · The checker could not handle this answer."
    assert "fault of the workbook" in repr(box)
    assert not box.passed
    assert "attempts" not in exercises.record.load().get("99.1", {})


def test_a_solution_is_shown_as_source_that_defines_the_name():
    for name, exercise in EXERCISES.items():
        source = exercises.solution_source(name)
        if isinstance(exercise.solution, str):
            continue
        defined = {}
        exec(compile(source, name, "exec"), {"np": np}, defined)
        assert list(defined) == [exercise.solution.__name__]


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda e: e.id)
def test_exercises_are_complete(exercise):
    assert 2 <= len(exercise.hints) <= 3
    assert exercise.level in (1, 2, 3)
    assert exercise.points >= exercise.level
    assert exercise.minutes > 0
    assert exercise.objective[0].islower()
    assert not exercise.objective.endswith(".")


def test_ids_are_unique_and_stand_in_their_notebook():
    for modules, known in (("EXERCISES", EXERCISES), ("PREDICTIONS", PREDICTIONS)):
        found = [
            (entry.id, module.__name__.removeprefix("cnnlib.exercises.nb"))
            for module in exercises._modules
            for entry in getattr(module, modules)
        ]
        assert len(found) == len(known)
        assert all(name.startswith(f"{number}.") for name, number in found)


def test_every_exercise_has_mutants():
    counts = dict.fromkeys(EXERCISES, 0)
    for mutant in all_mutants():
        counts[mutant.exercise_id] += 1
    for name, count in counts.items():
        print(f"{name}: {count} mutants")
    print(f"{len(counts)} exercises, {sum(counts.values())} mutants")
    few = {name: count for name, count in counts.items() if count < 4}
    assert not few, f"at least four mutants for each exercise; too few: {few}"


def test_mutants_have_names_of_their_own():
    names = [str(mutant) for mutant in all_mutants()]
    assert len(set(names)) == len(names)


def test_verdicts_score_only_what_is_correct():
    scores = {o: verdicts.Verdict(outcome=o, headline="").score for o in verdicts.OUTCOMES}
    assert scores == {"correct": 1.0, "not yet": 0.0, "error": 0.0, "not attempted": 0.0}


def test_importing_the_exercises_imports_no_torch_and_writes_nothing(tmp_path):
    code = (
        "import sys, cnnlib.exercises; "
        "print('torch' in sys.modules, 'matplotlib' in sys.modules, end='')"
    )
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=elsewhere,
        env={**exercises.record.os.environ, "CNN_WORKBOOK_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("False False", "")
    assert not home.exists()
    assert not list(elsewhere.iterdir())
