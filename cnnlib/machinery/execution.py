"""Run a notebook from top to bottom and keep of it what is the same on every machine."""

import os
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from cnnlib.machinery.pairs import (
    KERNELSPEC,
    LANGUAGE,
    STATE,
    SyncError,
    code_hash,
    name_cells,
    tags,
    tidy_source,
)

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def strip_volatile(notebook: NotebookNode) -> None:
    """Take out what changes from run to run or from machine to machine, and empty cells."""
    kept = {key: notebook.metadata[key] for key in ("workbook", STATE) if key in notebook.metadata}
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNELSPEC, "language_info": LANGUAGE, **kept}
    )
    notebook.nbformat_minor = 5
    notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]
    for cell in notebook.cells:
        cell.source = tidy_source(cell.source)
        cell.metadata = nbformat.from_dict({"tags": tags(cell)} if tags(cell) else {})
        if not cell.get("attachments", True):
            del cell["attachments"]
        for output in cell.get("outputs", []):
            # A live widget needs its kernel: what is stored is the picture or the text beside it.
            if "data" in output and len(output.data) > 1:
                output.data.pop(WIDGET_VIEW, None)
    name_cells(notebook)


def needs_run(notebook: NotebookNode) -> str:
    """Why the stored outputs are out of date; an empty string when they are not."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code]
    if None in counts:
        return "some cells were never run"
    if counts != list(range(1, len(code) + 1)):
        return "its cells were run in another order"
    if notebook.metadata.get(STATE, {}).get("executed") != code_hash(notebook):
        return "its code changed since the outputs were made"
    return ""


def execute(
    notebook: NotebookNode, folder: Path, *, timeout_s: int = 600, **environment: str
) -> float:
    """Run all cells in a fresh kernel and store their outputs in the notebook.

    Args:
        notebook: changed in place.
        folder: the kernel's working folder.
        timeout_s: seconds that one cell may take.
        environment: environment variables to set for the kernel besides those of this process.

    Returns:
        Seconds from the start of the kernel to the last output.

    Raises:
        SyncError: a cell raised, wrote to stderr without the tag `allow-stderr`, or took too long;
            or the kernel did not start, or died.
    """
    # Imported here: reading and comparing pairs should not wait for the kernel machinery.
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        timeout=timeout_s,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # no remark on the local connection's encryption
    )
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as empty_home:
        variables = {**os.environ, "CNN_WORKBOOK_HOME": empty_home, **environment}
        variables.pop("MPLBACKEND", None)  # the kernel chooses its own, which stores the pictures
        try:
            client.execute(env=variables)
        except (CellExecutionError, CellTimeoutError, RuntimeError) as error:
            raise SyncError(_where_it_stopped(notebook, error)) from None
    seconds = time.perf_counter() - started
    for number, cell in enumerate(notebook.cells, 1):
        if "allow-stderr" not in tags(cell) and _stderr(cell):
            raise SyncError(f"cell {number} wrote to stderr:\n{_excerpt(cell)}\n{_stderr(cell)}")
    strip_volatile(notebook)
    return seconds


def _stderr(cell: NotebookNode) -> str:
    return "".join(o.text for o in cell.get("outputs", []) if o.get("name") == "stderr")


def _where_it_stopped(notebook: NotebookNode, error: Exception) -> str:
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", []):
            if output.output_type == "error" and "raises-exception" not in tags(cell):
                return f"cell {number} raised {output.ename}: {output.evalue}\n{_excerpt(cell)}"
    return f"it could not be run: {' '.join(str(error).split())[:500]}"


def _excerpt(cell: NotebookNode, limit: int = 8) -> str:
    lines = cell.source.splitlines()
    return "\n".join(f"    {line}" for line in lines[:limit] + ["…"] * (len(lines) > limit))
