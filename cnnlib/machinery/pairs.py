"""A notebook and its text: read both, compare what they say, bring the one to the other."""

import copy
import difflib
import hashlib
import json
import os
import re
import tempfile
from itertools import zip_longest
from pathlib import Path

import jupytext
import nbformat
from jupytext.config import load_jupytext_config
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

STATE = "workbook_state"
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
CARD_KEYS = ("number", "minutes", "run_s", "needs", "data", "device")
# The lexer is what JupyterLab's kernel reports: with it, its jupytext and ours write the same text.
LANGUAGE = {"name": "python", "pygments_lexer": "ipython3"}


class SyncError(ValueError):
    """Something in a pair that only its author can mend; nothing was written."""


def text_path(notebook_path: Path) -> Path:
    """The text that belongs to a notebook: notebooks/NN.ipynb -> notebooks/text/NN.md."""
    return notebook_path.parent / "text" / (notebook_path.stem + ".md")


def read_notebook(path: Path) -> NotebookNode:
    """Read an .ipynb; SyncError says what is wrong with it."""
    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # nbformat lets errors of json, its own and its validator's through
        raise SyncError(f"{path} is not a readable notebook: {_first_line(error)}") from error
    return _free_what_was_added(notebook)


def read_text(path: Path) -> NotebookNode:
    """Read the MyST text of a notebook; SyncError says what is wrong with it, and where."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SyncError(f"{path} is not text in UTF-8: {error}") from None
    _check_fences(path, text)
    try:
        notebook = jupytext.reads(text, fmt={"extension": ".md", "format_name": "myst"})
    except Exception as error:  # yaml's, jupytext's and nbformat's errors share no base class
        raise SyncError(f"{path} cannot be read as a notebook: {_first_line(error)}") from error
    for cell in notebook.cells:  # drawn at random while reading; merge and name_cells know better
        cell.pop("id", None)
    as_written = len(notebook.cells)
    if len(_free_what_was_added(notebook).cells) > as_written:
        notebook.metadata.pop("jupytext", None)  # a header without it is what has it written anew
    return notebook


def write_text(notebook: NotebookNode, notebook_path: Path) -> str:
    """The MyST text of a notebook, as jupytext writes it with this project's configuration.

    Raises:
        SyncError: a cell would not come back from the text as it went in.
    """
    config = load_jupytext_config(str(notebook_path.absolute()))
    fmt = {"extension": ".md", "format_name": "myst"}
    if config is not None:
        config.set_default_format_options(fmt)
    outward = copy.deepcopy(notebook)
    outward.metadata.pop(STATE, None)
    values = outward.metadata.get("workbook", {})
    order = sorted(values, key=[*CARD_KEYS, *values].index)  # JSON has them in alphabetical order
    outward.metadata["workbook"] = {key: values[key] for key in order}
    text = jupytext.writes(outward, fmt=fmt)
    text = text if text.endswith("\n") else text + "\n"
    try:
        back = jupytext.reads(text, fmt={"extension": ".md", "format_name": "myst"})
    except Exception as error:  # such as yaml's, about a control character anywhere in the text
        raise SyncError(f"{notebook_path} cannot be kept as text: {_first_line(error)}") from None
    if cell_keys(back) != cell_keys(notebook):
        raise SyncError(
            f"{notebook_path}: a cell cannot be kept as text (does it hold a line of +++, or the "
            f"start of a {{code-cell}}?)\n{differences(notebook, back)}"
        )
    return text


def tidy_source(source: str) -> str:
    """A cell's source without the blank lines around it, which the text does not keep."""
    return source.rstrip().lstrip("\n")


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell; an empty list when it has none."""
    return list(cell.metadata.get("tags", []))


def is_generated(cell: NotebookNode) -> bool:
    """Whether sync writes this cell, so that edits in it do not count."""
    return "generated" in tags(cell)


def cell_keys(notebook: NotebookNode, *, generated: bool = True) -> list[tuple]:
    """What counts in each cell: (type, source, tags). Empty cells count for nothing."""
    return [
        (cell.cell_type, tidy_source(cell.source), tuple(sorted(tags(cell))))
        for cell in notebook.cells
        if cell.source.strip() and (generated or not is_generated(cell))
    ]


def content_hash(notebook: NotebookNode) -> str:
    """One short hash of everything an author writes: cells and the workbook's metadata."""
    card = notebook.metadata.get("workbook", {})
    content = json.dumps([card, cell_keys(notebook, generated=False)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def code_hash(notebook: NotebookNode) -> str:
    """One short hash of the code that makes the outputs."""
    code = [key[1] for key in cell_keys(notebook, generated=False) if key[0] == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()[:16]


def changed_side(notebook: NotebookNode, text: NotebookNode, prefer: str | None = None) -> str:
    """Which side was edited since the last sync.

    Args:
        notebook: the .ipynb, which holds the hash of the last sync in its metadata.
        text: the same notebook as read from its .md.
        prefer: "ipynb" or "md", the side that wins when both were edited.

    Returns:
        "none", "ipynb", "md", or "both" (both edited, and they differ).
    """
    here, there = content_hash(notebook), content_hash(text)
    synced = notebook.metadata.get(STATE, {}).get("synced")
    if here == there:
        return "none"
    if there == synced:
        return "ipynb"
    if here == synced:
        return "md"
    return prefer or "both"


def merge(notebook: NotebookNode, text: NotebookNode) -> NotebookNode:
    """The text's cells with the notebook's ids, outputs and attachments where a cell is unchanged.

    A cell that was edited in place keeps its id and its attachments, and loses its outputs.
    """
    merged = copy.deepcopy(notebook)
    old, new = list(merged.cells), copy.deepcopy(text.cells)
    matcher = difflib.SequenceMatcher(None, _sources(old), _sources(new), autojunk=False)
    for operation, start, stop, new_start, new_stop in matcher.get_opcodes():
        if operation == "equal":
            for kept, cell in zip(old[start:stop], range(new_start, new_stop), strict=True):
                kept.metadata = new[cell].metadata
                new[cell] = kept
        elif operation == "replace":
            for kind in ("markdown", "code", "raw"):
                before = (cell for cell in old[start:stop] if cell.cell_type == kind)
                after = (cell for cell in new[new_start:new_stop] if cell.cell_type == kind)
                for kept, cell in zip(before, after, strict=False):
                    # Older formats have no ids.
                    cell.update({key: kept[key] for key in ("id", "attachments") if key in kept})
    merged.cells = new
    merged.metadata.pop("workbook", None)
    if "workbook" in text.metadata:
        merged.metadata["workbook"] = text.metadata["workbook"]
    return merged


def name_cells(notebook: NotebookNode) -> None:
    """Give each cell without an id, or with another's, one that the next run would give it too."""
    seen: set[str] = set()
    for cell in notebook.cells:
        if not cell.get("id") or cell.id in seen:
            digest = hashlib.sha256(f"{cell.cell_type}{cell.source}{len(seen)}".encode())
            cell.id = digest.hexdigest()[:8]
        seen.add(cell.id)


def differences(notebook: NotebookNode, text: NotebookNode, limit: int = 6) -> str:
    """A list of the cells in which two sides differ, for a reader; cells count from 1."""
    lines = []
    if notebook.metadata.get("workbook") != text.metadata.get("workbook"):
        lines.append("  the workbook's metadata (number, minutes, run_s …)")
    here, there = _numbered(notebook), _numbered(text)
    keys = [key for _, key in here], [key for _, key in there]
    for operation, *span in difflib.SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        one, two = here[span[0] : span[1]], there[span[2] : span[3]]
        for mine, other in zip_longest(one, two) if operation != "equal" else ():
            lines.append(f"  ipynb: {_excerpt(mine, other)}\n     md: {_excerpt(other, mine)}")
    more = [f"  … and in {len(lines) - limit} more places"] if len(lines) > limit else []
    return "\n".join(lines[:limit] + more)


def write_atomically(path: Path, content: str) -> None:
    """Write a file in one step: a reader sees the old one or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(content)
        os.chmod(temporary, path.stat().st_mode if path.exists() else 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _free_what_was_added(notebook: NotebookNode) -> NotebookNode:
    """Move what an author wrote at the end of a generated cell into a cell of its own.

    In the text this happens to whoever forgets the line of +++ after the card; it must not be lost
    when the card is written anew.
    """
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if not is_generated(cell):
            continue
        lines = cell.source.splitlines()
        if cell.cell_type == "code":
            ours = max(
                (n for n, line in enumerate(lines, 1) if "sys.path.insert" in line), default=0
            )
        else:
            ends = (n for n, line in enumerate(lines) if line and not line.startswith(("[![", "|")))
            ours = next(ends, len(lines))
        added = "\n".join(lines[ours:])
        if added.strip():
            cell.source = "\n".join(lines[:ours])
            make = new_code_cell if cell.cell_type == "code" else new_markdown_cell
            cells.append(make(tidy_source(added)))
            cells[-1].pop("id")
    notebook.cells = cells
    return notebook


def _sources(cells: list[NotebookNode]) -> list[tuple[str, str]]:
    return [(cell.cell_type, tidy_source(cell.source)) for cell in cells]


def _numbered(notebook: NotebookNode) -> list[tuple[int, tuple]]:
    """The cells that an author writes, each with its place among all cells, from 1."""
    everything = enumerate(cell_keys(notebook), 1)
    return [(number, key) for number, key in everything if "generated" not in key[2]]


def _excerpt(cell: tuple[int, tuple] | None, other: tuple[int, tuple] | None) -> str:
    """One line about a cell: the first of its lines that the other side's cell has not."""
    if cell is None:
        return "no such cell"
    number, (kind, source, cell_tags) = cell
    theirs = other[1][1].splitlines() if other else []
    new = next((line for line in source.splitlines() if line not in theirs), None)
    said = f"tagged {', '.join(cell_tags) or 'with nothing'}" if new is None else repr(new[:70])
    return f"cell {number} ({kind}) {said}"


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "…"


def _check_fences(path: Path, text: str) -> None:
    """Refuse a text in which a cell is never closed: jupytext would swallow all that follows."""
    opened, ticks = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"(<{7}|>{7}) ", line):
            raise SyncError(f"{path}, line {number}: git's conflict markers are still there")
        fence = re.match(r"(`{3,}|~{3,})\s*(.*)$", line)
        if not fence:
            continue
        if not ticks:
            opened, ticks = number, fence[1]
        elif not fence[2] and fence[1].startswith(ticks):
            ticks = ""
        elif fence[2].startswith("{code-cell}") and len(fence[1]) <= len(ticks):
            break
    if ticks:
        raise SyncError(f"{path}, line {opened}: this cell is not closed; add a line of {ticks}")
