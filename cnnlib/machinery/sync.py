"""`python -m cnnlib sync`: pairs in step, generated cells, outputs that belong to the code."""

import copy
import os
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from cnnlib.machinery import pairs
from cnnlib.machinery.course import readme_with_course
from cnnlib.machinery.execution import execute, needs_run, strip_volatile
from cnnlib.machinery.generated import with_generated_cells
from cnnlib.machinery.pairs import STATE, SyncError

HOW_TO_RESOLVE = (
    "both sides were edited since the last sync; nothing was written. Bring one side's edits over "
    "by hand, then run sync with --prefer ipynb or --prefer md to name the side to keep. "
    "They differ in:\n"
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to do with each notebook."""

    run: bool = True  # execute what is out of date
    run_all: bool = False  # execute even what is not
    prefer: str | None = None  # "ipynb" or "md": the side that wins when both were edited


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Both sides of a notebook as they stand on the disk; None where a file is missing."""

    path: Path  # the .ipynb
    notebook: NotebookNode | None
    text: NotebookNode | None
    stamps: tuple  # what the disk said when both were read


def read_pair(path: Path) -> Pair:
    """Read a notebook and its text, whichever of them exist."""
    text_path, stamps = pairs.text_path(path), _stamps(path)
    return Pair(
        path=path,
        notebook=pairs.read_notebook(path) if path.exists() else None,
        text=pairs.read_text(text_path) if text_path.exists() else None,
        stamps=stamps,
    )


def in_step(pair: Pair, address: str, prefer: str | None = None) -> NotebookNode:
    """The one notebook that both sides should be, generated cells included, outputs kept.

    Raises:
        SyncError: both sides were edited and differ, or the notebook breaks a rule of the format.
    """
    if pair.notebook is None:
        notebook = pairs.merge(nbformat.v4.new_notebook(), pair.text)
    elif pair.text is None:
        notebook = copy.deepcopy(pair.notebook)
    else:
        side = pairs.changed_side(pair.notebook, pair.text, prefer)
        if side == "both":
            raise SyncError(HOW_TO_RESOLVE + pairs.differences(pair.notebook, pair.text))
        notebook = copy.deepcopy(pair.notebook)
        if side == "md":
            notebook = pairs.merge(pair.notebook, pair.text)
    with_generated_cells(notebook, address, pair.path.name)
    strip_volatile(notebook)
    return notebook


def out_of_step(pair: Pair, address: str) -> list[str]:
    """What sync would do to a pair; an empty list when all is well."""
    try:
        notebook = in_step(pair, address)
        pairs.write_text(notebook, pair.path)
    except SyncError as error:
        return [str(error)]
    found = []
    if pair.notebook is None or pair.text is None:
        found.append("its .ipynb is missing" if pair.notebook is None else "its text is missing")
    else:
        side = pairs.changed_side(pair.notebook, pair.text)
        if side != "none":
            found.append(f"the {side} was edited and the other side was not:")
            found[-1] += f"\n{pairs.differences(pair.notebook, pair.text)}"
        elif pairs.cell_keys(pair.notebook) != pairs.cell_keys(notebook):
            found.append("the generated cells of the .ipynb are missing, moved or out of date")
        elif not _says_the_same(pair.text, notebook):
            found.append("the generated cells or the header of the text are out of date")
        elif notebook != pair.notebook:
            found.append("the .ipynb holds metadata that changes from machine to machine")
        elif notebook.metadata.get(STATE, {}).get("synced") != pairs.content_hash(notebook):
            found.append("both sides were edited alike, and sync has not run since")
    reason = needs_run(notebook)
    return found + ([f"its outputs are out of date: {reason}"] if reason else [])


def sync_pair(path: Path, address: str, options: Options) -> str:
    """Bring one pair into step, run it where its outputs are out of date, write what changed.

    Returns:
        One line that says what was done.

    Raises:
        SyncError: nothing was written; the message says why.
    """
    pair = read_pair(path)
    notebook = in_step(pair, address, options.prefer)
    state = dict(notebook.metadata.get(STATE, {}))
    done = []
    reason = needs_run(notebook)
    if options.run and (reason or options.run_all):
        seconds, declared = execute(notebook, path.parent), notebook.metadata["workbook"]["run_s"]
        state["executed"] = pairs.code_hash(notebook)
        late = "  (more than it declares)" if seconds > declared else ""
        done.append(f"ran in {seconds:.1f} s of {declared} s declared{late}")
    state["synced"] = pairs.content_hash(notebook)
    notebook.metadata[STATE] = state
    written = _write(pair, notebook)
    if written:
        done.insert(0, f"wrote {' and '.join(written)}")
    if reason and not options.run:
        done.append(f"not run, though {reason}")
    return ", ".join(done) or "in step"


def sync_readme(folder: Path, address: str, *, write: bool) -> bool:
    """Whether the README's course table is out of date; write it anew when asked to."""
    readme = folder / "README.md"
    if not readme.exists():
        return False
    old = readme.read_text(encoding="utf-8")
    new = readme_with_course(old, folder / "notebooks", address)
    if new != old and write:
        pairs.write_atomically(readme, new)
    return new != old


def notebook_paths(folder: Path, names: list[str]) -> list[Path]:
    """The notebooks meant by names such as 02, 02_convolution or a path; all when there are none.

    A notebook counts when either of its two files exists.
    """
    notebooks = folder / "notebooks"
    files = [*notebooks.glob("[0-9][0-9]_*.ipynb"), *notebooks.glob("text/[0-9][0-9]_*.md")]
    stems = sorted({file.stem for file in files})
    chosen = []
    for name in names:
        matching = [s for s in stems if s == Path(name).stem or s.startswith(f"{name}_")]
        if not matching:
            raise SyncError(f"no notebook {name!r}; there are: {', '.join(stems) or 'none'}")
        chosen += matching
    return [notebooks / f"{stem}.ipynb" for stem in (sorted(set(chosen)) if names else stems)]


def sync(folder: Path, address: str, names: list[str], options: Options, *, check: bool) -> int:
    """Sync or check the notebooks of a checkout, one printed line each.

    Returns:
        0 when all is well, 1 when something is out of step (check) or could not be synced.
    """
    failed = 0
    for path in notebook_paths(folder, names):
        try:
            if check:
                found = out_of_step(read_pair(path), address)
                failed += bool(found)
                line = "\n  ".join(["out of step", *found]) if found else "in step"
            else:
                line = sync_pair(path, address, options)
        except (OSError, ValueError) as error:  # ValueError: SyncError, or what has no UTF-8
            failed, line = failed + 1, f"STOPPED: {error}"
        print(f"{path.stem:<24} {line}", flush=True)
    try:
        if sync_readme(folder, address, write=not check):
            failed += check
            print(f"{'README.md':<24} course table {'out of date' if check else 'written'}")
    except (OSError, ValueError) as error:
        failed += 1
        print(f"{'README.md':<24} STOPPED: {error}")
    if check and failed:
        print("`python -m cnnlib sync` brings these into step.")
    return 1 if failed else 0


def _says_the_same(text: NotebookNode, notebook: NotebookNode) -> bool:
    """Whether the text needs no rewriting: blank lines and line breaks in it are its author's."""
    form = text.metadata.get("jupytext", {}).get("text_representation", {}).get("format_name")
    return (
        form == "myst"
        and text.metadata.get("kernelspec") == notebook.metadata["kernelspec"]
        and text.metadata.get("workbook") == notebook.metadata["workbook"]
        and pairs.cell_keys(text) == pairs.cell_keys(notebook)
    )


def _write(pair: Pair, notebook: NotebookNode) -> list[str]:
    """Write the sides that differ from the disk; name them."""
    text_path = pairs.text_path(pair.path)
    source = pairs.write_text(notebook, pair.path)  # even if not written: it must be writable
    as_json = nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
    if _stamps(pair.path) != pair.stamps:
        raise SyncError(
            "a file was saved while sync was at work; nothing was written. Run it again"
        )
    written = []
    # The text goes first. Broken off in between, the next sync sees equal sides or an edited text;
    # in the other order it would take the old text for an edit and undo the new one.
    if pair.text is None or not _says_the_same(pair.text, notebook):
        pairs.write_atomically(text_path, source)
        written.append("md")
    if not pair.path.exists() or pair.path.read_text(encoding="utf-8") != as_json:
        pairs.write_atomically(pair.path, as_json)
        written.append("ipynb")
    # JupyterLab's jupytext refuses a pair whose text is older than its notebook.
    if text_path.stat().st_mtime_ns < pair.path.stat().st_mtime_ns:
        os.utime(text_path)
    return written


def _stamps(path: Path) -> tuple:
    """What the disk says about both files, to notice a save that happens meanwhile."""
    files = (path, pairs.text_path(path))
    return tuple((f.stat().st_mtime_ns, f.stat().st_size) if f.exists() else None for f in files)
