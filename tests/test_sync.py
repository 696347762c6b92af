"""`python -m cnnlib sync` never loses an edit, writes only what changed, and says what it did."""

import copy
import json
import os
import sys
import time
import warnings
from types import SimpleNamespace

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnlib import project
from cnnlib.__main__ import main
from cnnlib.machinery import execution, pairs, sync
from cnnlib.machinery.generated import BOOTSTRAP
from cnnlib.machinery.pairs import SyncError

TEXT = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
workbook:
  number: '02'
  minutes: 10
  run_s: 20
  needs: nothing
  data: none
  device: CPU
---

# 02 · Small

A promise. More of it.

+++

## Set-up

```{code-cell} ipython3
import math
```

Look.

```{code-cell} ipython3
:tags: [nbval-ignore-output]

math.floor(2.5)
```

The end.
"""


@pytest.fixture
def pair(checkout):
    """A pair in step, never run, as (notebook's path, text's path)."""
    path = checkout / "notebooks" / "02_small.ipynb"
    text = checkout / "notebooks" / "text" / "02_small.md"
    text.write_text(TEXT, encoding="utf-8")
    assert main(["sync", "--no-run"], root=checkout) == 0
    return path, text


def edit_text(text, old, new):
    content = text.read_text(encoding="utf-8")
    assert old in content
    text.write_text(content.replace(old, new), encoding="utf-8")


def edit_notebook(path, change):
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)


def cell_with(notebook, part):
    return next(cell for cell in notebook.cells if part in cell.source)


def set_source(old, new):
    return lambda notebook: cell_with(notebook, old).update(source=new)


def read(path):
    return nbformat.read(path, as_version=4)


def keys(pair):
    """What both sides say; they must say the same."""
    path, text = pair
    here, there = pairs.read_notebook(path), pairs.read_text(text)
    assert pairs.cell_keys(here) == pairs.cell_keys(there)
    assert here.metadata.workbook == there.metadata.workbook
    return pairs.cell_keys(here)


def sources(pair):
    return [source for _, source, _ in keys(pair)]


def contents(pair):
    return [file.read_bytes() for file in pair]


def times(pair):
    return [file.stat().st_mtime_ns for file in pair]


def run(path, *arguments):
    return main(["sync", *arguments], root=path.parent.parent)


# Which side was edited


def test_a_text_alone_gets_its_notebook(pair):
    path, _ = pair
    assert [kind for kind, _, _ in keys(pair)] == [
        *("markdown", "markdown", "markdown", "code"),
        *("code", "markdown", "code", "markdown"),
    ]
    assert read(path).cells[1].metadata.tags == ["generated"]
    assert read(path).cells[3].id == "generated-bootstrap"


def test_a_notebook_alone_gets_its_text(pair):
    path, text = pair
    before = text.read_text(encoding="utf-8")
    text.unlink()
    assert run(path, "--no-run") == 0
    assert text.read_text(encoding="utf-8") == before


def test_a_second_run_writes_nothing(pair):
    path, _ = pair
    before = contents(pair), times(pair)
    time.sleep(0.01)
    assert run(path, "--no-run") == 0
    assert (contents(pair), times(pair)) == before


def test_the_text_is_not_older_than_the_notebook(pair):
    # JupyterLab's jupytext refuses such a pair: after a git pull, for instance.
    path, text = pair
    os.utime(text, (1, 1))
    before = contents(pair)
    assert run(path, "--no-run") == 0
    assert text.stat().st_mtime_ns >= path.stat().st_mtime_ns
    assert contents(pair) == before


def test_an_edited_text_wins_and_unchanged_cells_keep_what_they_have(pair):
    path, text = pair

    def run_by_hand(notebook):
        cell = cell_with(notebook, "floor")
        cell.execution_count = 3
        cell.outputs = [nbformat.v4.new_output("stream", text="2\n")]
        cell_with(notebook, "The end").attachments = {"a.png": {"image/png": "AAAA"}}

    edit_notebook(path, run_by_hand)
    old = read(path)
    edit_text(text, "import math", "import math  # the module")
    edit_text(text, "Look.", "Look closely.\n\n+++\n\nAnd again.")
    assert run(path, "--no-run") == 0
    new = read(path)
    assert "Look closely." in sources(pair)
    assert "And again." in sources(pair)
    assert cell_with(new, "floor") == cell_with(old, "floor")
    assert cell_with(new, "The end") == cell_with(old, "The end")
    edited = cell_with(new, "import math  #")
    assert edited.id == cell_with(old, "import math").id
    assert edited.execution_count is None
    assert len({cell.id for cell in new.cells}) == len(new.cells)


def test_an_edited_notebook_wins(pair):
    path, text = pair
    edit_notebook(path, set_source("floor", "math.ceil(2.5)"))
    assert run(path, "--no-run") == 0
    assert "math.ceil(2.5)" in sources(pair)
    assert "workbook_state" not in text.read_text(encoding="utf-8")


@pytest.mark.parametrize("side", ["ipynb", "md"])
def test_tags_and_metadata_are_edits_too(pair, side):
    path, text = pair
    if side == "md":
        edit_text(text, "minutes: 10", "minutes: 15")
        edit_text(text, "[nbval-ignore-output]", "[nbval-ignore-output, new]")
    else:
        edit_notebook(path, lambda notebook: notebook.metadata.workbook.update(minutes=15))
        edit_notebook(path, lambda n: cell_with(n, "floor").metadata.tags.append("new"))
    assert run(path, "--no-run") == 0
    assert ("code", "math.floor(2.5)", ("nbval-ignore-output", "new")) in keys(pair)
    assert "about 15 minutes" in sources(pair)[1]


def test_both_sides_edited_alike_is_fine(pair, capsys):
    path, text = pair
    edit_text(text, "Look.", "See.")
    edit_notebook(path, set_source("Look.", "See."))
    assert run(path, "--check") == 1
    assert "edited alike" in capsys.readouterr().out
    assert run(path, "--no-run") == 0
    assert run(path, "--check") == 1  # it was never run
    assert "edited" not in capsys.readouterr().out
    # The common state is the new base: the next edit on one side is no conflict.
    edit_text(text, "See.", "Read.")
    assert run(path, "--no-run") == 0
    assert "Read." in sources(pair)


def conflict(pair):
    path, text = pair
    edit_text(text, "The end.", "The end of the text.")
    edit_notebook(path, set_source("floor", "math.floor(7.5)"))


def test_both_sides_edited_apart_stops_and_writes_nothing(pair, capsys):
    conflict(pair)
    before = contents(pair), times(pair)
    assert run(pair[0]) == 1
    assert (contents(pair), times(pair)) == before
    said = capsys.readouterr().out
    for part in ("--prefer", "math.floor(7.5)", "The end of the text.", "nothing was written"):
        assert part in said


@pytest.mark.parametrize(
    ("prefer", "kept", "lost"),
    [("ipynb", "math.floor(7.5)", "end of the text"), ("md", "end of the text", "floor(7.5)")],
)
def test_prefer_names_the_side_to_keep(pair, prefer, kept, lost):
    conflict(pair)
    assert run(pair[0], "--no-run", "--prefer", prefer) == 0
    assert kept in "\n".join(sources(pair))
    assert lost not in "\n".join(sources(pair))


def test_without_a_last_sync_sides_that_differ_are_a_conflict(pair, capsys):
    path, text = pair
    edit_notebook(path, lambda notebook: notebook.metadata.pop("workbook_state"))
    edit_text(text, "Look.", "See.")
    before = contents(pair)
    assert run(path, "--no-run") == 1
    assert contents(pair) == before
    assert "'See.'" in capsys.readouterr().out


@pytest.mark.parametrize("prefer", ["ipynb", "md"])
@pytest.mark.parametrize("edited", ["ipynb", "md"])
def test_prefer_does_not_undo_an_edit_that_stands_alone(pair, edited, prefer):
    path, text = pair
    if edited == "md":
        edit_text(text, "Look.", "See.")
    else:
        edit_notebook(path, set_source("Look.", "See."))
    assert run(path, "--no-run", "--prefer", prefer) == 0
    assert "See." in sources(pair)


def test_a_picture_in_a_cell_outlives_an_edit_of_its_text(pair):
    path, text = pair
    picture = {"a.png": {"image/png": "AAAA"}}
    edit_notebook(path, lambda n: cell_with(n, "Look.").update(attachments=picture))
    edit_text(text, "Look.", "See ![a dot](attachment:a.png).")
    assert run(path, "--no-run") == 0
    assert cell_with(read(path), "See ").attachments == picture


def test_line_ends_of_windows_are_no_edit(pair):
    path, text = pair
    for file in pair:
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    os.utime(text, (path.stat().st_atime, path.stat().st_mtime))
    before = contents(pair)
    assert run(path, "--no-run") == 0
    assert contents(pair) == before
    edit_text(text, "Look.", "See.")
    assert run(path, "--no-run") == 0
    assert "See." in sources(pair)


def test_a_notebook_of_an_older_format_gets_ids_that_stay(pair):
    path, text = pair

    def older(notebook):
        notebook.nbformat_minor = 4
        for cell in notebook.cells:
            cell.pop("id")

    edit_notebook(path, older)
    assert b'"id"' not in path.read_bytes()
    edit_text(text, "Look.", "See.")
    assert run(path, "--no-run") == 0
    before = contents(pair)
    assert b'"id"' in before[0]
    assert run(path, "--no-run") == 0
    assert contents(pair) == before
    assert "See." in sources(pair)


def test_jupyterlab_keeps_the_hash_and_the_text_as_they_are(pair):
    """What JupyterLab does on opening and saving, by jupytext's own contents manager."""
    jupytext = pytest.importorskip("jupytext")
    path, text = pair
    manager = jupytext.TextFileContentsManager()
    manager.root_dir = str(path.parent.parent)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations
        model = manager.get("notebooks/02_small.ipynb")
        set_source("Look.", "See.")(model["content"])
        model["content"].metadata["language_info"] = {"name": "python", "version": "3.11.7"}
        model["content"].metadata["language_info"]["pygments_lexer"] = "ipython3"
        manager.save(model, "notebooks/02_small.ipynb")
    as_saved = text.read_bytes()
    assert read(path).metadata.workbook_state.synced
    assert b"See." in as_saved
    assert run(path, "--no-run") == 0
    assert text.read_bytes() == as_saved
    assert "See." in sources(pair)
    assert "version" not in read(path).metadata.language_info


CELLS = st.lists(
    st.tuples(
        st.sampled_from(["markdown", "code", "raw"]),
        st.text(st.sampled_from("ab #`:-+\n\t{|}×\\'\"$[]()<>=0\r"), max_size=30),
        st.lists(st.sampled_from(["a", "b-c"]), unique=True, max_size=2),
    ),
    max_size=6,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cells=CELLS)
def test_whatever_is_typed_into_a_notebook_comes_back_or_is_refused(pair, cells):
    path, text = pair
    notebook = read(path)
    notebook.cells = notebook.cells[:5]
    for kind, source, cell_tags in cells:
        make = getattr(nbformat.v4, f"new_{kind}_cell")
        notebook.cells.append(make(source, metadata={"tags": cell_tags}))
    nbformat.write(notebook, path)
    text.unlink(missing_ok=True)
    before = path.read_bytes()
    typed = pairs.cell_keys(read(path))
    if run(path, "--no-run") == 0:
        assert keys(pair) == typed
    else:
        assert path.read_bytes() == before
        assert not text.exists()


# What cannot be read is not touched


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("number: '02'", "number: ['02'", "expected ',' or ']'"),
        ("[nbval-ignore-output]", "[nbval-ignore-output", "Code cell"),
        ("import math\n```", "import math", "not closed"),
        ("math.floor(2.5)\n```\n\nThe end.\n", "math.floor(2.5)\n", "not closed"),
        ("Look.", "<<<<<<< HEAD\nLook.\n=======\nSee.\n>>>>>>> other", "conflict markers"),
        ("# 02 · Small", "Small", "# NN · Title"),
        ("number: '02'", "number: '03'", "the title says 02"),
        ("minutes: 10", "minutes: ten", "whole number"),
        ("  needs: nothing\n", "", "no needs"),
    ],
)
def test_a_broken_text_is_named_and_nothing_is_written(pair, capsys, old, new, says):
    path, text = pair
    edit_text(text, old, new)
    before = contents(pair), times(pair)
    assert run(path) == 1
    assert says in capsys.readouterr().out
    assert (contents(pair), times(pair)) == before


@pytest.mark.parametrize("content", ["", "{", '{"cells": 3}', "[]"])
def test_a_broken_notebook_is_named_and_nothing_is_written(pair, capsys, content):
    path, _ = pair
    path.write_text(content, encoding="utf-8")
    before = contents(pair)
    assert run(path) == 1
    assert "not a readable notebook" in capsys.readouterr().out
    assert contents(pair) == before


@pytest.mark.parametrize("content", [b"\xff\xfe# 02", b"", b"# 02 \xc2\xb7 Small\n\nNo header."])
def test_a_text_that_is_no_notebook_is_named_and_nothing_is_written(pair, capsys, content):
    path, text = pair
    text.write_bytes(content)
    before = contents(pair), times(pair)
    assert run(path) == 1
    assert "STOPPED: " in capsys.readouterr().out
    assert run(path, "--check") == 1
    assert (contents(pair), times(pair)) == before


@pytest.mark.parametrize("character", [r"\ud83d", r"\u001b", r"\u0000"])
def test_a_character_that_text_cannot_keep_is_refused(pair, capsys, character):
    path, _ = pair
    edit_text(path, "Look.", f"Look{character}.")
    before = contents(pair), times(pair)
    assert run(path, "--no-run") == 1
    assert "STOPPED: " in capsys.readouterr().out
    assert run(path, "--check") == 1
    assert (contents(pair), times(pair)) == before


def test_a_cell_that_text_cannot_keep_is_refused(pair, capsys):
    path, _ = pair
    edit_notebook(path, set_source("Look.", "Look.\n\n+++\n\nA second cell?"))
    before = contents(pair)
    assert run(path, "--no-run") == 1
    assert "cannot be kept as text" in capsys.readouterr().out
    assert contents(pair) == before


def test_one_broken_pair_does_not_stop_the_others(pair, capsys):
    path, text = pair
    other = text.with_name("03_other.md")
    other.write_text(TEXT.replace("02", "03"), encoding="utf-8")
    edit_text(text, "number: '02'", "number: ['02'")
    assert run(path, "--no-run") == 1
    assert (path.parent / "03_other.ipynb").exists()
    assert "STOPPED" in capsys.readouterr().out


def test_an_unknown_name_is_answered_with_the_known_ones(pair, capsys):
    assert run(pair[0], "07") == 1
    assert "02_small" in capsys.readouterr().out
    for name in ("02", "02_small", str(pair[0]), str(pair[1])):
        assert sync.notebook_paths(pair[0].parent.parent, [name]) == [pair[0]]


# Writing


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.md"
    path.write_text("old", encoding="utf-8")

    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        pairs.write_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("edited", ["ipynb", "md"])
def test_a_sync_broken_off_between_two_writes_loses_nothing(pair, monkeypatch, edited):
    path, text = pair
    if edited == "md":
        edit_text(text, "Look.", "See.")
        edit_text(text, "minutes: 10", "minutes: 15")
    else:
        edit_notebook(path, set_source("Look.", "See."))
        edit_notebook(path, lambda notebook: notebook.metadata.workbook.update(minutes=15))
    write, calls = pairs.write_atomically, []

    def only_once(*arguments):
        calls.append(arguments)
        if len(calls) > 1:
            raise OSError("power cut")
        write(*arguments)

    monkeypatch.setattr(pairs, "write_atomically", only_once)
    assert run(path, "--no-run") == 1
    assert len(calls) == 2
    monkeypatch.setattr(pairs, "write_atomically", write)
    assert run(path, "--no-run") == 0
    assert "See." in sources(pair)
    assert "about 15 minutes" in sources(pair)[1]


def test_a_save_while_sync_is_at_work_is_kept(pair, monkeypatch, capsys):
    path, text = pair

    def save_meanwhile(notebook, folder):
        edit_text(text, "The end.", "The end, saved meanwhile.")
        return 0.1

    monkeypatch.setattr(sync, "execute", save_meanwhile)
    notebook = path.read_bytes()
    assert run(path) == 1
    assert "saved while sync was at work" in capsys.readouterr().out
    assert path.read_bytes() == notebook
    assert "saved meanwhile" in text.read_text(encoding="utf-8")


def test_check_writes_nothing_and_lists_what_is_out_of_step(pair, capsys):
    path, text = pair
    edit_text(text, "Look.", "See.")
    before = contents(pair), times(pair)
    assert run(path, "--check") == 1
    said = capsys.readouterr().out
    assert "the md was edited" in said
    assert "never run" in said
    assert (contents(pair), times(pair)) == before
    text.unlink()
    assert run(path, "--check") == 1
    assert "its text is missing" in capsys.readouterr().out
    assert not text.exists()


# Generated cells


def test_a_forked_address_reaches_badge_and_bootstrap_and_runs_nothing(pair):
    path, text = pair

    def run_by_hand(notebook):
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for number, cell in enumerate(code, 1):
            cell.execution_count = number
        notebook.metadata.workbook_state.executed = pairs.code_hash(notebook)

    edit_notebook(path, run_by_hand)
    pyproject = path.parent.parent / "pyproject.toml"
    edit_text(pyproject, project.address(), "https://github.com/me/my")
    assert run(path, "--check") == 1
    assert run(path) == 0  # would fail if it started a kernel: see below
    assert not execution.needs_run(read(path))
    for side in (path, text):
        content = side.read_text(encoding="utf-8")
        assert "github/me/my/blob/main/notebooks/02_small.ipynb" in content
        assert project.address().removeprefix("https://github.com/") not in content
    assert run(path, "--check") == 0


def test_an_address_elsewhere_has_no_colab_badge(pair):
    path, _ = pair
    edit_text(
        path.parent.parent / "pyproject.toml",
        project.address(),
        "https://codeberg.org/me/my",
    )
    assert run(path, "--no-run") == 0
    assert sources(pair)[1].startswith("| This notebook |")


def test_generated_cells_are_put_back(pair):
    path, text = pair
    before = sources(pair)
    edit_notebook(path, lambda notebook: notebook.cells.pop(3))
    edit_text(text, "about 10 minutes", "about an hour")
    assert run(path, "--no-run") == 0
    assert sources(pair) == before


def test_what_is_written_under_the_card_without_a_cell_break_is_kept(pair):
    path, text = pair
    edit_text(text, "| Device | CPU |\n\n+++\n", "| Device | CPU |\n\nGoals.\n\n- **one**\n\n+++\n")
    edit_text(text, "str(found[0]))\n", "str(found[0]))\nprint(1)\n")
    assert run(path, "--no-run") == 0
    assert "Goals.\n\n- **one**" in sources(pair)
    assert "print(1)" in sources(pair)
    # The break is written too, for jupytext alone would read the goals as part of the card.
    assert "| Device | CPU |\n\n+++\n\nGoals." in text.read_text(encoding="utf-8")


def test_the_bootstrap_is_short_and_names_no_address_of_its_own():
    assert len(BOOTSTRAP.splitlines()) <= 20
    assert "https" not in BOOTSTRAP


# Running


def fake_run(monkeypatch):
    """Count runs in place of starting kernels."""
    runs = []

    def execute(notebook, folder):
        runs.append(folder)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for number, cell in enumerate(code, 1):
            cell.execution_count = number
        return 0.1

    monkeypatch.setattr(sync, "execute", execute)
    return runs


def test_only_what_changed_is_run(pair, monkeypatch):
    path, text = pair
    runs = fake_run(monkeypatch)
    assert run(path) == 0
    assert len(runs) == 1
    assert run(path) == 0
    assert run(path, "--check") == 0
    assert len(runs) == 1
    edit_text(text, "Look.", "See.")  # prose
    assert run(path) == 0
    assert len(runs) == 1
    edit_text(text, "floor(2.5)", "floor(3.5)")  # code
    assert run(path) == 0
    assert len(runs) == 2
    edit_notebook(path, set_source("floor(3.5)", "math.floor(4.5)"))  # and not run in Jupyter
    assert run(path, "--check") == 1
    assert run(path) == 0
    assert len(runs) == 3
    assert run(path, "--all") == 0
    assert len(runs) == 4


def test_a_cell_that_is_moved_or_run_twice_asks_for_a_run(pair, monkeypatch):
    path, _ = pair
    runs = fake_run(monkeypatch)
    assert run(path) == 0
    edit_notebook(path, lambda notebook: cell_with(notebook, "floor").update(execution_count=9))
    assert run(path) == 0
    assert len(runs) == 2


def test_a_real_run_stores_outputs_once(pair, tmp_path, monkeypatch, capsys):
    path, text = pair
    home = tmp_path / "mine"
    home.mkdir()
    monkeypatch.setenv("CNN_WORKBOOK_HOME", str(home))
    edit_text(text, "math.floor(2.5)", "import os\n\nos.environ['CNN_WORKBOOK_HOME'] == HOME")
    edit_text(text, "== HOME", f"== {str(home)!r}, os.getcwd() == {str(path.parent)!r}")
    assert run(path) == 0
    assert "of 20 s declared" in capsys.readouterr().out
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3]
    # A home of its own, and the notebooks' folder to work in.
    assert code[2].outputs[0].data["text/plain"] == "(False, True)"
    assert code[2].outputs[0].execution_count == 3
    assert run(path, "--check") == 0
    before = contents(pair), times(pair)
    assert run(path) == 0
    assert (contents(pair), times(pair)) == before


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import warnings\n\nwarnings.warn('old')", "wrote to stderr"),
        ("1 +", "SyntaxError"),
    ],
)
def test_a_notebook_that_raises_or_warns_stays_as_it_was(pair, capsys, code, says):
    path, text = pair
    edit_text(text, "math.floor(2.5)", code)
    before = contents(pair), times(pair)
    assert run(path) == 1
    said = capsys.readouterr().out
    assert says in said
    assert f"    {code.splitlines()[0]}" in said
    assert (contents(pair), times(pair)) == before


def test_a_kernel_that_dies_leaves_the_notebook_as_it_was(pair, capsys):
    path, text = pair
    edit_text(text, "math.floor(2.5)", "import os\n\nos._exit(3)")
    before = contents(pair), times(pair)
    assert run(path) == 1
    assert "STOPPED: it could not be run" in capsys.readouterr().out
    assert (contents(pair), times(pair)) == before


def test_a_kernel_that_does_not_start_leaves_the_notebook_as_it_was(
    pair, capsys, tmp_path, monkeypatch
):
    kernel = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = [sys.executable, "-c", "raise SystemExit(1)"]
    description = {"argv": argv, "display_name": "P", "language": "python"}
    kernel.write_text(json.dumps(description), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    before = contents(pair), times(pair)
    assert run(pair[0]) == 1
    assert "STOPPED: it could not be run" in capsys.readouterr().out
    assert (contents(pair), times(pair)) == before


def test_stderr_may_be_allowed_and_exceptions_expected(pair):
    path, text = pair
    edit_text(text, "[nbval-ignore-output]", "[allow-stderr, raises-exception]")
    edit_text(text, "math.floor(2.5)", "import sys\n\nprint('!', file=sys.stderr)\n1 / 0")
    assert run(path) == 0
    outputs = cell_with(read(path), "1 / 0").outputs
    assert [output.output_type for output in outputs] == ["stream", "error"]


def test_a_run_that_takes_too_long_is_stopped(pair):
    notebook = read(pair[0])
    set_source("floor", "import time\n\ntime.sleep(60)")(notebook)
    with pytest.raises(SyncError, match=r"could not be run|KeyboardInterrupt|[Tt]imed out"):
        execution.execute(notebook, pair[0].parent, timeout_s=1)


def test_what_changes_from_machine_to_machine_is_stripped(pair):
    path, _ = pair
    clean = read(path)
    code = cell_with(clean, "floor")
    code.execution_count = 3
    data = {"text/plain": "VBox()", "image/png": "AAAA"}
    code.outputs = [nbformat.v4.new_output("display_data", data=data)]
    dirty = copy.deepcopy(clean)
    dirty.metadata.widgets = {"application/vnd.jupyter.widget-state+json": {}}
    dirty.metadata.kernelspec.display_name = "my env"
    dirty.metadata.language_info = {"name": "python", "version": "3.13.1", "mimetype": "text/x"}
    dirty.metadata.colab = {"provenance": []}
    cell = cell_with(dirty, "floor")
    cell.metadata.update(execution={"iopub.status.busy": "2026"}, collapsed=True, scrolled=True)
    cell.outputs[0].data[execution.WIDGET_VIEW] = {"model_id": "1f"}
    dirty.cells.append(nbformat.v4.new_code_cell(""))
    assert dirty != clean
    execution.strip_volatile(dirty)
    assert dirty == clean


# The README's course table


def test_the_course_table_is_made_from_the_notebooks(pair, capsys, monkeypatch):
    path, _ = pair
    mine = {f"02.{n}": SimpleNamespace(minutes=10 * n, points=n) for n in (1, 2)}
    others = {"03.1": SimpleNamespace(minutes=100, points=100)}
    monkeypatch.setattr("cnnlib.exercises.EXERCISES", {**mine, **others})
    readme = path.parent.parent / "README.md"
    readme.write_text("a\n<!-- course:begin -->\nold\n<!-- course:end -->\nb\n", encoding="utf-8")
    assert run(path, "--check") == 1
    assert "course table out of date" in capsys.readouterr().out
    assert run(path, "--no-run") == 0
    new = readme.read_text(encoding="utf-8")
    assert new.startswith("a\n<!-- course:begin -->\n| ")
    assert new.endswith("|\n<!-- course:end -->\nb\n")
    assert "| 02 | **[Small](notebooks/02_small.ipynb)** · A promise |" in new
    assert "| 2 (3 points) | 10 + 30 min |" in new
    assert "blob/main/notebooks/02_small.ipynb" in new
    before = readme.stat().st_mtime_ns
    assert run(path, "--no-run") == 0
    assert readme.stat().st_mtime_ns == before


def test_a_readme_with_half_a_marker_is_left_alone(pair, capsys):
    path, _ = pair
    readme = path.parent.parent / "README.md"
    readme.write_text("<!-- course:end -->\n<!-- course:begin -->\n", encoding="utf-8")
    assert run(path, "--no-run") == 1
    assert "STOPPED" in capsys.readouterr().out
    assert readme.read_text(encoding="utf-8").endswith("<!-- course:begin -->\n")


def test_outside_a_checkout_sync_says_so(monkeypatch, capsys):
    monkeypatch.setattr("cnnlib.project.root", lambda: None)
    assert main(["sync"]) == 1
    assert "checkout" in capsys.readouterr().out
