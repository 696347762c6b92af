"""The cells and tables that sync writes: badge and card, bootstrap, the README's course table."""

import re
from urllib.parse import urlsplit

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from cnnlib.machinery.pairs import CARD_KEYS, SyncError, is_generated

TITLE = re.compile(r"# (\d\d) · (\S.*)")

BOOTSTRAP = """\
# Finds cnnlib, the workbook's own library: installed, around this notebook, or at its address.
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from subprocess import getstatusoutput

if importlib.util.find_spec("cnnlib") is None:
    address = "<address>"
    address = os.environ.get("CNN_WORKBOOK_ADDRESS", address)
    around = [Path.cwd() / "cnn-workbook", Path.cwd(), *Path.cwd().parents]
    found = [folder for folder in around if (folder / "cnnlib/project.py").is_file()]
    if not found:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as part:  # only a whole clone is kept
            failed, said = getstatusoutput(f'git clone -q --depth 1 "{address}" "{part}/clone"')
            if failed:
                raise RuntimeError(f"Could not fetch the workbook from {address}: {said}")
            found = [Path(part, "clone").rename(around[0])]
    sys.path.insert(0, str(found[0]))
"""


def card(notebook: NotebookNode) -> dict:
    """The notebook's `workbook` metadata, complete; SyncError names what is missing or wrong."""
    values = notebook.metadata.get("workbook")
    if not isinstance(values, dict):
        raise SyncError(f"its metadata has no `workbook` with {', '.join(CARD_KEYS)}")
    missing = [key for key in CARD_KEYS if values.get(key) in (None, "")]
    if missing:
        raise SyncError(f"its `workbook` metadata has no {', '.join(missing)}")
    for key in ("minutes", "run_s"):
        if not isinstance(values[key], int) or values[key] <= 0:
            raise SyncError(f"`workbook.{key}` should be a whole number, got {values[key]!r}")
    return values


def title(notebook: NotebookNode) -> tuple[str, str, str]:
    """The number, the title and the sentence of promise, from a notebook's first cell."""
    first = notebook.cells[0] if notebook.cells else None
    found = (
        TITLE.match(first.source) if first is not None and first.cell_type == "markdown" else None
    )
    if not found:
        raise SyncError("its first cell should be Markdown and begin with `# NN · Title`")
    paragraph = " ".join(first.source[found.end() :].strip().split("\n\n")[0].split())
    promise = paragraph.split(". ")[0].rstrip(".")
    return found[1], found[2].strip(), promise


def colab_badge(address: str, notebook_name: str, folder: str = "notebooks") -> str:
    """The Colab badge for a notebook, as Markdown; empty when the address is not GitHub's."""
    parts = urlsplit(address)
    if parts.netloc != "github.com":
        return ""
    target = (
        f"https://colab.research.google.com/github{parts.path}/blob/main/{folder}/{notebook_name}"
    )
    image = "https://colab.research.google.com/assets/colab-badge.svg"
    return f"[![Open this notebook in Colab]({image})]({target})"


def exercises_of(number: str) -> list:
    """The exercises of notebook `number`, such as "02"."""
    # Imported here: the exercises are many modules, and pairing does not need them.
    from cnnlib.exercises import EXERCISES

    return [exercise for key, exercise in EXERCISES.items() if key.split(".")[0] == number]


def card_source(notebook: NotebookNode, address: str, notebook_name: str) -> str:
    """Badge and card as the Markdown that stands under the title."""
    values = card(notebook)
    exercises = sum(exercise.minutes for exercise in exercises_of(values["number"]))
    practice = f"; {exercises} more for the exercises" if exercises else ""
    rows = {
        "Time": f"about {values['minutes']} minutes to read and run{practice}",
        "Runs in": f"at most {values['run_s']} s on two CPU cores",
        "You need": values["needs"],
        "Data": values["data"],
        "Device": values["device"],
    }
    table = [
        "| This notebook | |",
        "|---|---|",
        *(f"| {key} | {text} |" for key, text in rows.items()),
    ]
    return "\n\n".join(filter(None, [colab_badge(address, notebook_name), "\n".join(table)]))


def with_generated_cells(notebook: NotebookNode, address: str, notebook_name: str) -> None:
    """Put the generated cells in place: the card under the title, the bootstrap before all code."""
    old_bootstrap = [c for c in notebook.cells if is_generated(c) and c.cell_type == "code"]
    notebook.cells = [cell for cell in notebook.cells if not is_generated(cell)]
    number = title(notebook)[0]
    if card(notebook)["number"] != number:
        raise SyncError(
            f"the title says {number}, `workbook.number` says {card(notebook)['number']!r}"
        )
    tagged = {"metadata": {"tags": ["generated"]}}
    code = BOOTSTRAP.replace("<address>", address).rstrip("\n")
    bootstrap = new_code_cell(code, id="generated-bootstrap", **tagged)
    if old_bootstrap:  # it prints nothing, so another address does not ask for another run
        bootstrap.execution_count = old_bootstrap[0].execution_count
    source = card_source(notebook, address, notebook_name)
    notebook.cells.insert(1, new_markdown_cell(source, id="generated-card", **tagged))
    kinds = [cell.cell_type for cell in notebook.cells]
    first_code = kinds.index("code") if "code" in kinds else len(kinds)
    notebook.cells.insert(first_code, bootstrap)
