"""A learner's record is kept, survives accidents, and never stands in the way."""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from cnnlib.exercises import (
    EXERCISES,
    PREDICTIONS,
    Prediction,
    check,
    examine,
    hint,
    predict,
    progress,
    record,
    reveal,
    solution,
)

SOLUTION = EXERCISES["02.1"].solution


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A folder that does not exist yet, and nothing left in memory by another test."""
    monkeypatch.setenv("CNN_WORKBOOK_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(record, "_in_memory", {})
    return tmp_path / "home"


@pytest.fixture
def file(home):
    return home / "progress.json"


def row(name):
    return next(row for row in progress(name[:2]).rows if row[0] == name)


def restart(monkeypatch):
    """What a new kernel knows: the file only."""
    monkeypatch.setattr(record, "_in_memory", {})


def wrong(image, kernel):
    return image


def test_tries_and_success_are_kept_and_counted(file, monkeypatch):
    assert row("02.1")[3:] == ("–", "0", "0 of 3", "no")
    check("02.1", None)
    assert not file.exists()
    check("02.1", wrong)
    assert row("02.1")[3:5] == ("tried", "1")
    check("02.1", SOLUTION)
    check("02.1", wrong)
    restart(monkeypatch)
    assert row("02.1")[3:5] == ("correct", "3")
    assert json.loads(file.read_text())["02.1"] == {"attempts": 3, "passed": True}
    points, total = EXERCISES["02.1"].points, sum(e.points for e in EXERCISES.values())
    in_02 = [e for name, e in EXERCISES.items() if name.startswith("02")]
    of_02 = ("02", f"1 of {len(in_02)}", f"{points} of {sum(e.points for e in in_02)}", "0 of 0")
    assert of_02 in progress().rows
    assert [name for name, *_ in progress("02").rows] == [e.id for e in in_02]
    assert progress("02").caption.startswith(f"1 of {len(in_02)} exercises correct")
    assert progress().caption.startswith(
        f"1 of {len(EXERCISES)} exercises correct, {points} of {total} points;"
    )


@pytest.mark.parametrize("number", ["99", "2", 2, ""])
def test_progress_in_a_notebook_that_is_not_there_says_so(number):
    with pytest.raises(ValueError, match="expected the number of a notebook"):
        progress(number)


def test_a_bare_examination_keeps_no_record(file):
    assert examine("02.1", SOLUTION).outcome == "correct"
    assert not file.exists()


def test_looking_makes_no_file(file):
    repr(progress())
    reveal("02.a", 3)
    assert not file.exists()


def test_hints_come_one_after_another_and_then_again(monkeypatch):
    hints = EXERCISES["02.1"].hints
    for number in (0, 1, 2, 0, 1):
        box = hint("02.1")
        assert box.title == f"02.1 · Hint {number + 1} of 3"
        assert hints[number] in box.lines[0][1]
        assert ("again shows the next" in box.lines[0][1]) == (number < 2)
    restart(monkeypatch)
    assert "Hint 3 of 3" in hint("02.1").title
    assert row("02.1")[5] == "3 of 3"


def test_a_solution_that_was_seen_is_noted():
    assert "def filter_image(image, kernel):" in repr(solution("02.1"))
    assert row("02.1")[6] == "yes"
    assert row("02.2")[6] == "no"


# accidents


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[1, 2]",
        b"null",
        b'{"02.1": 3}',
        b'{"02.1": {"attempts": "many"}}',
        b'{"02.1": {"attempts": true}}',
        b'{"02.1": {"hints": null}}',
        b'{"02.1": {"passed": 1}}',
        b'{"02.a": {"right": "yes"}}',
    ],
)
def test_a_broken_file_is_put_aside_and_kept(content, home, file):
    home.mkdir()
    file.write_bytes(content)
    assert "0 of" in progress().caption
    assert check("02.1", SOLUTION).passed
    assert row("02.1")[3:5] == ("correct", "1")
    assert (home / "progress.json.unreadable").read_bytes() == content


def test_a_second_broken_file_does_not_replace_the_first(home, file):
    home.mkdir()
    for content in ("first", "second", "third"):
        file.write_text(content)
        progress()
    kept = sorted(home.glob("progress.json.unreadable*"))
    assert [path.read_text() for path in kept] == ["first", "second", "third"]


def test_what_another_version_wrote_is_kept(home, file):
    home.mkdir()
    file.write_text('{"77.1": {"attempts": 4, "stars": [1, 2]}}')
    hint("02.1")
    assert json.loads(file.read_text())["77.1"] == {"attempts": 4, "stars": [1, 2]}


def test_deleting_the_file_starts_afresh(file):
    check("02.1", SOLUTION)
    file.unlink()
    assert row("02.1")[3:5] == ("–", "0")
    hint("02.1")
    assert "attempts" not in json.loads(file.read_text())["02.1"]


def test_where_no_folder_can_be_made_the_record_is_kept_in_memory(home, file):
    home.write_text("a file where the folder should be")
    check("02.1", wrong)
    check("02.1", SOLUTION)
    assert row("02.1")[3:5] == ("correct", "2")
    assert "Hint 1" in hint("02.1").title
    assert "Hint 2" in hint("02.1").title
    home.unlink()
    hint("02.2")
    saved = json.loads(file.read_text())
    assert saved["02.1"] == {"attempts": 2, "passed": True, "hints": 2}
    assert saved["02.2"] == {"hints": 1}
    file.unlink()
    assert row("02.1")[4] == "0"


def test_what_could_not_be_written_counts_more_than_the_old_file(file, monkeypatch):
    hint("02.1")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        assert "Hint 2" in hint("02.1").title
        assert "Hint 3" in hint("02.1").title
    assert json.loads(file.read_text())["02.1"] == {"hints": 1}
    assert "Hint 1" in hint("02.1").title
    assert json.loads(file.read_text())["02.1"] == {"hints": 4}


def test_a_file_that_cannot_be_read_just_now_is_not_written_over(file, monkeypatch):
    check("02.1", SOLUTION)
    before = file.read_text()
    with monkeypatch.context() as patch:
        patch.setattr(record.Path, "read_text", refuse)
        hint("02.2")
        assert row("02.2")[5] == "1 of 3"
    assert file.read_text() == before
    assert row("02.1")[3] == "correct"
    assert row("02.2")[5] == "1 of 3"


def test_a_full_disk_leaves_neither_a_fault_nor_half_a_file(home, file, monkeypatch):
    hint("02.1")

    def half_written(path, text, **options):
        path.write_bytes(text[:5].encode())
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(record.Path, "write_text", half_written)
        assert check("02.1", SOLUTION).passed
    assert [path.name for path in home.iterdir()] == ["progress.json"]
    assert row("02.1")[3] == "correct"


def test_without_any_home_folder_the_record_is_kept_in_memory(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(record.project, "home", no_home)
    assert check("02.1", SOLUTION).passed
    assert row("02.1")[3] == "correct"


def refuse(*args, **kwargs):
    raise PermissionError(13, "Permission denied")


WRITER = """
import sys
from cnnlib.exercises import record
for n in range(60):
    record.update(sys.argv[1], attempts=n)
    assert isinstance(record.load(), dict)
"""


def test_several_programs_and_threads_at_once_leave_a_whole_file(home, file):
    home.mkdir()
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name], stderr=subprocess.PIPE, text=True)
        for name in ("p1", "p2")
    ]
    failed = []

    def write(name):
        try:
            for n in range(60):
                record.update(name, attempts=n)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("t1", "t2", "t3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for writer in writers:
        assert writer.communicate(timeout=60)[1] == ""
        assert writer.returncode == 0
    assert not failed
    assert isinstance(json.loads(file.read_text()), dict)
    assert [path.name for path in home.iterdir()] == ["progress.json"]  # nothing put aside


# predictions


@pytest.fixture
def prediction(monkeypatch):
    """Predictions "99.a" (exact), "99.b" (within a tenth) and "99.c" (options)."""
    for extra in (
        Prediction(id="99.a", question=""),
        Prediction(id="99.b", question="", within=0.1),
        Prediction(id="99.c", question="", options=("a", "b")),
    ):
        monkeypatch.setitem(PREDICTIONS, extra.id, extra)


NAN = float("nan")


@pytest.mark.parametrize(
    ("name", "guess", "actual", "right"),
    [
        ("99.a", 896, 896, True),
        ("99.a", 897, 896, False),
        ("99.a", 1_000_001, 1_000_000, False),
        ("99.a", 896.0, np.int64(896), True),
        ("99.a", 0.1, np.float32(0.1), True),
        ("99.a", 0.33, 1 / 3, False),
        ("99.a", (24, 24), (24, 24), True),
        ("99.a", [24, 24], np.array([24, 24]), True),
        ("99.a", (24, 25), (24, 24), False),
        ("99.a", (24,), (24, 24), False),
        ("99.a", 24, (24, 24), False),
        ("99.a", (24, 24), 24, False),
        ("99.a", np.eye(2), np.eye(2), True),
        ("99.a", [[1, 0], [0, 1]], np.eye(2), True),
        ("99.a", np.eye(2).ravel(), np.eye(2), False),
        ("99.a", NAN, NAN, True),
        ("99.a", 0.0, NAN, False),
        ("99.a", NAN, 0.0, False),
        ("99.a", float("inf"), float("inf"), True),
        ("99.a", 5, float("inf"), False),
        ("99.a", True, True, True),
        ("99.a", "Blur ", "blur", True),
        ("99.a", "sharp", "blur", False),
        ("99.a", "7", 7, True),
        ("99.b", 95, 100, True),
        ("99.b", 89, 100, False),
        ("99.b", -95, -100, True),
        ("99.b", 5, float("inf"), False),
        ("99.b", (95, 19), (100, 20), True),
        ("99.c", "a", "a", True),
        ("99.c", " A", "a", True),
        ("99.c", "b", "a", False),
    ],
)
def test_a_guess_is_compared_with_what_came_out(name, guess, actual, right, prediction):
    assert predict(name, guess).title.startswith(f"{name} · Your prediction: ")
    box = reveal(name, actual)
    assert (", you predicted" in box.title.replace(": you", ", you")) != right
    assert ("as you predicted" in box.title) == right
    assert box.mark == ("✓" if right else "○")
    assert f"; {int(right)} of 1 predictions right." in progress().caption


def test_shapes_are_shown_as_they_were_written(prediction):
    assert predict("99.a", (1, 8, 14)).title == (
        "99.a · Your prediction: (1, 8, 14). Now run the next cell."
    )
    assert reveal("99.a", (1, 8, 12)).title == (
        "99.a · It is (1, 8, 12): you predicted (1, 8, 14)."
    )


def test_a_guess_survives_a_restart(prediction, monkeypatch):
    predict("99.a", (1, 8, 14))
    restart(monkeypatch)
    assert "as you predicted" in reveal("99.a", (1, 8, 14)).title


def test_torch_values_can_be_guessed_and_revealed(prediction):
    torch = pytest.importorskip("torch")
    predict("99.a", (2, 3))
    assert "as you predicted" in reveal("99.a", torch.zeros(2, 3).shape).title
    predict("99.a", torch.tensor(2.5))
    assert "as you predicted" in reveal("99.a", torch.tensor(2.5, requires_grad=True)).title


@pytest.mark.parametrize("nothing", [None, ...])
def test_no_guess_is_no_mistake(nothing, prediction):
    assert "No prediction yet" in predict("99.a", nothing).title
    box = reveal("99.a", 7)
    assert box.title == "99.a · It is 7. You made no prediction."
    assert box.mark == ""
    assert "; 0 of 0 predictions right." in progress().caption


def test_a_guess_taken_back_no_longer_counts(prediction):
    predict("99.a", 7)
    reveal("99.a", 7)
    assert "; 1 of 1 predictions right." in progress().caption
    predict("99.a", None)
    assert "; 0 of 0 predictions right." in progress().caption


def test_a_guess_that_is_no_option_is_not_kept(prediction, file):
    for guess in ("c", 1, ("a",), np.array(["a", "b"]), Hostile()):
        assert "Choose one of a, b; got" in predict("99.c", guess).title
    assert not file.exists()


# answers that fight back


class Hostile:
    """An object that fails whatever is asked of it."""

    def fail(self, *args, **kwargs):
        raise RuntimeError("hostile")

    __repr__ = __str__ = __eq__ = __ne__ = __bool__ = __len__ = __iter__ = fail
    __array__ = __float__ = __getattr__ = __format__ = __deepcopy__ = fail
    __hash__ = object.__hash__


class HostileCall(Hostile):
    def __call__(self, *args, **kwargs):
        return Hostile()


def in_an_array(value):
    array = np.empty(1, dtype=object)
    array[0] = value
    return array


def nested():
    values = []
    values.append(values)
    return values


@pytest.mark.parametrize("exercise_id", EXERCISES)
@pytest.mark.parametrize(
    "answer",
    [
        Hostile(),
        Hostile,
        HostileCall(),
        lambda *a, **k: Hostile(),
        lambda *a, **k: (Hostile(), Hostile()),
        lambda *a, **k: [Hostile()] * 3,
        lambda *a, **k: in_an_array(Hostile()),
        lambda *a, **k: nested(),
        nested(),
    ],
    ids=range(9),
)
def test_check_never_raises(exercise_id, answer):
    box = check(exercise_id, answer)
    assert not box.passed
    assert isinstance(repr(box), str)
    assert isinstance(box._repr_html_(), str)


class HostileText(str):
    __slots__ = ()

    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


@pytest.mark.parametrize(
    "value",
    [
        Hostile(),
        (1, Hostile()),
        in_an_array(Hostile()),
        2j,
        {1: 2},
        np.ones(1) * 1j,
        nested(),
        10**5000,
        [10**400],
        HostileText("a"),
    ],
    ids=range(10),
)
def test_predict_and_reveal_never_raise(value, prediction, file):
    repr(predict("99.a", value))
    repr(reveal("99.a", value))
    repr(progress())
    json.loads(file.read_text())
