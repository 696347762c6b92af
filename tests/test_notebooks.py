"""The notebooks as they are stored: in step, up to date, comparable, and solvable."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from cnnlib import project
from cnnlib.editions import checks, is_call, parse, solved
from cnnlib.machinery import execution, sync
from cnnlib.machinery.generated import card
from cnnlib.machinery.pairs import tags

ROOT = Path(__file__).resolve().parent.parent
PATHS = sync.notebook_paths(ROOT, [])
MAX_EXCUSED = 1 / 3
MAX_BYTES = 1_000_000
# What an output must not hold, for it is another one on the next machine or in the next run.
VOLATILE = {
    r"\bat 0x[0-9a-fA-F]+": "an object's address; give it a __repr__",
    r"/(home|root|tmp|Users|content)/\w|[A-Z]:\\Users": "a path of one machine",
    r"\d+%\|": "a progress bar's rates; use tqdm.auto",
}

every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    cells = enumerate(notebook.cells, 1)
    return [(number, cell) for number, cell in cells if cell.cell_type == "code"]


def test_there_are_notebooks_and_their_numbers_are_used_once():
    numbers = [path.stem[:2] for path in PATHS]
    assert numbers
    assert len(set(numbers)) == len(numbers)


@every_notebook
def test_pair_generated_cells_and_outputs_are_in_step(path):
    found = sync.out_of_step(sync.read_pair(path), project.address())
    assert not found, f"{path.stem}: run `python -m cnnlib sync`\n" + "\n".join(found)


def test_the_readme_has_the_course_as_it_is():
    assert not sync.sync_readme(ROOT, project.address(), write=False), "run `python -m cnnlib sync`"


@every_notebook
def test_card_is_complete(path):
    assert card(read(path))["number"] == path.stem[:2]


@every_notebook
def test_at_most_a_third_of_the_code_cells_is_excused(path):
    cells = code_cells(read(path))
    markers = {number: set(tags(cell)) & {"nbval-ignore-output"} for number, cell in cells}
    excused = [number for number, found in markers.items() if found]
    assert len(excused) <= MAX_EXCUSED * len(cells), f"excused: cells {excused} of {len(cells)}"


@every_notebook
def test_no_cell_is_skipped(path):
    skipped = [n for n, cell in code_cells(read(path)) if "nbval-skip" in tags(cell)]
    marked = [n for n, c in code_cells(read(path)) if re.search(r"#\s*(NBVAL|PYTEST)_", c.source)]
    assert not skipped + marked, "nbval-skip is not for us, and markers are tags, not comments"


@every_notebook
def test_outputs_repeat_on_any_machine(path):
    found = []
    for number, cell in code_cells(read(path)):
        if "nbval-ignore-output" in tags(cell):
            continue
        texts = [
            o.get("text", "") or "\n".join(map(str, o.get("data", {}).values()))
            for o in cell.outputs
        ]
        for pattern, what in VOLATILE.items():
            found += [f"cell {number}: {what}" for text in texts if re.search(pattern, text)]
    assert not found, "\n".join(found)


@every_notebook
def test_no_stored_output_is_an_error_or_stderr(path):
    for number, cell in code_cells(read(path)):
        for output in cell.outputs:
            unexpected = "raises-exception" not in tags(cell) and output.output_type == "error"
            warned = "allow-stderr" not in tags(cell) and output.get("name") == "stderr"
            assert not unexpected, f"cell {number} raised"
            assert not warned, f"cell {number} wrote to stderr: {output.text}"


@every_notebook
def test_size(path):
    assert path.stat().st_size < MAX_BYTES


@every_notebook
def test_with_every_exercise_solved_it_runs_and_every_check_is_passed(path):
    edition = solved(read(path))
    execution.execute(edition, path.parent, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    asked = [exercise_id for exercise_id, _, _ in checks(edition)]
    passed = []
    for number, cell in code_cells(edition):
        if any(is_call(node, "check") for node in ast.walk(parse(cell))):
            said = "\n".join(
                output.get("data", {}).get("text/plain", "") for output in cell.outputs
            )
            assert "Correct" in said, f"{path.stem}, cell {number}: {said}"
            passed.append(number)
    assert len(passed) == len(asked), "a check that is not check(id, name) on a line of its own"


# The solved edition itself


def small_notebook(stub, check):
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(stub), nbformat.v4.new_code_cell(check)]
    )


@pytest.mark.parametrize(
    "stub",
    ["def f(a):\n    # Your code here\n    raise NotImplementedError", "f = None  # your answer"],
)
def test_a_stub_becomes_the_solution(monkeypatch, stub):
    monkeypatch.setattr("cnnlib.exercises.solution_source", lambda key: f"f = '{key}'")
    notebook = small_notebook(stub, 'check("02.1", f)')
    edition = solved(notebook)
    assert [cell.source for cell in edition.cells] == ["f = '02.1'", 'check("02.1", f)']
    assert notebook.cells[0].source == stub


@pytest.mark.parametrize("stub", ["def f(a):\n    return a", "g = None", "f = 3", "# f = None"])
def test_a_check_without_a_stub_is_refused(monkeypatch, stub):
    monkeypatch.setattr("cnnlib.exercises.solution_source", lambda key: "f = 1")
    with pytest.raises(ValueError, match="has no stub"):
        solved(small_notebook(stub, 'check("02.1", f)'))


def test_predictions_and_other_cells_stay_as_they_are(monkeypatch):
    monkeypatch.setattr("cnnlib.exercises.solution_source", lambda key: "f = 1")
    notebook = small_notebook("f = None", 'check("02.1", f)')
    notebook.cells.insert(0, nbformat.v4.new_code_cell('predict("02.a", None)\nx = None'))
    assert solved(notebook).cells[0].source == notebook.cells[0].source


# How pytest runs notebooks: notebooks/conftest.py, on notebooks that break its rules


def stored(*cells, run_s=60):
    """A notebook of (source, stored value, tags…), as if it had been run."""
    made = []
    for number, (source, value, *cell_tags) in enumerate(cells, 1):
        made.append(nbformat.v4.new_code_cell(source, metadata={"tags": cell_tags}))
        made[-1].execution_count = number
        if value is not None:
            data = {"text/plain": value}
            result = nbformat.v4.new_output("execute_result", data, execution_count=number)
            made[-1].outputs = [result]
    workbook = {"run_s": run_s} if run_s is not None else {}
    return nbformat.v4.new_notebook(cells=made, metadata={"workbook": workbook})


PRINT_TO_STDERR = "import sys\nprint('!', file=sys.stderr)"
HOME = "import os\nos.environ['CNN_WORKBOOK_HOME'] == {!r}, os.environ['OMP_NUM_THREADS']"
BROKEN = {
    "good": stored(("1 + 1", "2"), (PRINT_TO_STDERR, None, "allow-stderr", "nbval-ignore-output")),
    "differs": stored(("1 + 1", "3"), ("1 + 1", "7", "nbval-ignore-output"), ("3", "3")),
    "raises": stored(("1", "1"), ("1 / 0", None), ("3", "3")),
    "expected": stored(("1 / 0", None, "raises-exception", "nbval-ignore-output"), ("3", "3")),
    "stderr": stored((PRINT_TO_STDERR, None, "nbval-ignore-output"), ("3", "3")),
    "slow": stored(("import time\ntime.sleep(1.5)", None), run_s=1),
    "undeclared": stored(("3", "3"), run_s=None),
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What pytest says of the broken notebooks: {"name::Cell 0": "PASSED"}, and all it prints."""
    folder = tmp_path_factory.mktemp("notebooks")
    shutil.copy(ROOT / "notebooks" / "conftest.py", folder)
    for name, notebook in BROKEN.items():
        nbformat.write(notebook, folder / f"{name}.ipynb")
    home = stored((HOME.format(str(folder)), "(False, '1')"))
    nbformat.write(home, folder / "home.ipynb")
    words = ["--nbval", "--nbval-current-env", "-rA", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=folder,
        env={**os.environ, "CNN_WORKBOOK_HOME": str(folder), "CNN_WORKBOOK_SLOWNESS": "1"},
        capture_output=True,
        text=True,
    )
    found = re.findall(r"^(PASSED|FAILED) (\w+)\.ipynb::([\w ]+)", done.stdout, re.M)
    return {f"{name}::{item.strip()}": outcome for outcome, name, item in found}, done.stdout


@pytest.mark.parametrize(
    ("name", "outcomes"),
    [
        ("good", "PASSED PASSED PASSED"),
        ("differs", "FAILED PASSED PASSED PASSED"),
        ("raises", "PASSED FAILED skipped skipped"),
        ("expected", "PASSED PASSED PASSED"),
        ("stderr", "FAILED PASSED PASSED"),
        ("slow", "PASSED FAILED"),
        ("undeclared", "PASSED FAILED"),
        ("home", "PASSED PASSED"),
    ],
)
def test_pytest_judges_a_notebook(ran, name, outcomes):
    *cells, time = outcomes.split()
    expected = {f"{name}::Cell {number}": outcome for number, outcome in enumerate(cells)}
    expected[f"{name}::run time"] = time
    expected = {item: outcome for item, outcome in expected.items() if outcome != "skipped"}
    assert {item: o for item, o in ran[0].items() if item.startswith(f"{name}::")} == expected


def test_pytest_says_why_and_prints_a_table(ran):
    said = ran[1]
    assert "wrote to stderr" in said
    assert "it declares 1 s, and 1 times that is allowed" in said
    assert "declares no `workbook.run_s`" in said
    assert "Cell 1 did not run to its end" in said
    table = dict(re.findall(r"^(\w+)\.ipynb +(\d+ +\d+)", said, re.M))
    assert table["good"].split() == ["1", "1"]
    assert table["differs"].split() == ["2", "1"]
    assert table["raises"].split() == ["2", "0"]  # of the third, nothing was compared
