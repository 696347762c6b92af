"""Notebook 08 shows a model in Keras where Keras is installed, and goes on without it where not."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = nbformat.read(ROOT / "notebooks" / "08_pytorch.ipynb", as_version=4)

# Run the cells in one namespace; say what they print, what they warn of and what they leave behind.
RUNNER = """
import contextlib, importlib.abc, io, json, sys, warnings

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "keras":
            raise ImportError("keras is blocked in this test")

real = __import__("importlib.util").util.find_spec
if {blocked}:
    sys.meta_path.insert(0, Blocked())
    importlib.util.find_spec = lambda name, *a: None if name == "keras" else real(name, *a)
cells, said, names = json.loads(sys.stdin.read()), io.StringIO(), {{}}
with contextlib.redirect_stdout(said):
    for cell in cells:
        exec(cell, names)
print(json.dumps({{"said": said.getvalue(), "keras": "keras" in sys.modules,
                   "tensorflow": "tensorflow" in sys.modules, "has": names["has_keras"]}}))
"""


def keras_cells() -> list[str]:
    """The imports, and all cells of the section on Keras but predictions and checks."""
    code, inside = [], False
    for cell in NOTEBOOK.cells:
        headings = [line for line in cell.source.splitlines() if line.startswith("## ")]
        if cell.cell_type == "markdown" and headings:
            inside = "Keras" in headings[-1]
        imports = cell.cell_type == "code" and cell.source.startswith("import importlib.util\n")
        mine = inside and cell.cell_type == "code" and "check(" not in cell.source
        if (imports or mine) and "NotImplementedError" not in cell.source:
            code.append(cell.source)
    return code


def run(blocked: bool) -> tuple[dict, str]:
    """Results of the cells in a fresh process, and what it wrote to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", RUNNER.format(blocked=blocked)],
        input=json.dumps(keras_cells()), capture_output=True, text=True, timeout=240, cwd=ROOT,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_the_section_is_found():
    cells = keras_cells()
    assert sum("if has_keras" in cell for cell in cells) >= 6
    assert 'find_spec("keras")' in "\n".join(cells)


def test_without_keras_the_cells_explain_themselves_and_are_skipped():
    result, stderr = run(blocked=True)
    assert result["has"] is False
    assert result["keras"] is False
    assert "not installed" in result["said"]
    assert "36,890 parameters" in result["said"]  # PyTorch's side is shown all the same
    assert stderr == ""


def test_with_keras_both_sides_agree_in_silence():
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    result, stderr = run(blocked=False)
    assert result["keras"] is True
    assert result["tensorflow"] is False
    for line in (
        "(None, 62, 62, 32) 896",
        "Keras has as many: True",
        "the answers agree within 1e-4: True",
        "with a plain transpose within 1e-2: False",
        "after the step, within 1e-3: True",
    ):
        assert line in result["said"]
    assert stderr == ""
