"""The rules of STYLE.md that can be measured: on the notebooks, and on some that break them."""

import ast
import copy
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cnnlib.exercises import EXERCISES, PREDICTIONS
from cnnlib.machinery import style
from cnnlib.machinery.duplicates import duplicates, library_functions

ROOT = Path(__file__).resolve().parent.parent
PATHS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
OWN_FILE = "/".join(["", "home", "me", "x.png"])  # in parts: no path of a machine is stored
NOTEBOOKS = {path.stem: nbformat.read(path, as_version=4) for path in PATHS}


@pytest.mark.parametrize("rule", style.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_keeps_the_rule(name, rule):
    found = [f"{name}, {finding}" for finding in rule(NOTEBOOKS[name])]
    assert not found, f"{rule.__doc__}\n" + "\n".join(found)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_exercises_and_predictions_are_those_of_cnnlib(name):
    mine = {key: value for key, value in EXERCISES.items() if key.startswith(f"{name[:2]}.")}
    asked = [key for key in PREDICTIONS if key.startswith(f"{name[:2]}.")]
    found = [*style.exercises(NOTEBOOKS[name], mine), *style.predictions(NOTEBOOKS[name], asked)]
    assert not found, "\n".join(f"{name}, {finding}" for finding in found)


def test_every_exercise_has_a_notebook():
    assert {key[:2] for key in [*EXERCISES, *PREDICTIONS]} <= {name[:2] for name in NOTEBOOKS}


def test_no_function_is_defined_twice():
    found = list(duplicates(NOTEBOOKS, library_functions(ROOT / "cnnlib")))
    assert not found, "\n".join(found)


# The rules themselves. A small notebook that keeps them all, then one change at a time.

PROSE = "Plain words about what the cell below shows and why it matters to you. " * 6
GOALS = "After this notebook you can\n\n- **see** a\n- **say** b\n- **show** c"
END = "## Check yourself\n\n1. Why?\n\n## Recap\n\n- It.\n\n## Read on\n\n- A book."
END += "\n\n**Next:** more."
FIGURE = new_output(
    "display_data",
    data={"image/png": "AAAA", "text/plain": "[Figure]"},
    metadata={"image/png": {"alt": "Two bars, the left one twice as high."}},
)


def good():
    generated = {"tags": ["generated"]}
    return new_notebook(
        cells=[
            new_markdown_cell("# 02 · Small\n\nA promise."),
            new_markdown_cell("| card | |", metadata=generated),
            new_markdown_cell(GOALS),
            new_code_cell("import sys\nsys.path.insert(0, '')", metadata=generated),
            new_code_cell("import numpy as np\nfrom cnnlib import ops"),
            new_markdown_cell(f"## Why?\n\n{PROSE}"),
            new_code_cell("values = np.arange(3)  # (3,)\nvalues.sum()"),
            new_markdown_cell(f"![Two dots.](dots.png)\n\n{PROSE}"),
            new_code_cell(
                "plots.picture(figure, alt='Two bars, …')", outputs=[copy.deepcopy(FIGURE)]
            ),
            new_markdown_cell(
                "### Exercise 02.1 · Add\n\n*Level 1 of 3 · 5 minutes · 1 point · you will be able "
                f"to: add numbers*\n\n{PROSE}"
            ),
            new_code_cell("def add(a, b):\n    # Your code here\n    raise NotImplementedError"),
            new_code_cell('check("02.1", add)'),
            new_markdown_cell(f"**Predict.** {PROSE}"),
            new_code_cell('predict("02.a", None)'),
            new_code_cell('reveal("02.a", 3)'),
            new_markdown_cell(END),
        ]
    )


EXERCISE = {
    "02.1": SimpleNamespace(title="Add", level=1, minutes=5, points=1, objective="add numbers")
}


def findings(notebook):
    found = [finding for rule in style.RULES for finding in rule(notebook)]
    found += style.exercises(notebook, EXERCISE)
    return found + list(style.predictions(notebook, ["02.a"]))


def test_the_small_notebook_keeps_every_rule():
    assert findings(good()) == []


def set_cell(number, source):
    return lambda cells: cells[number - 1].update(source=source)


def add_code(source, before=7):
    return lambda cells: cells.insert(before - 1, new_code_cell(source))


def replace(number, old, new):
    def change(cells):
        assert old in cells[number - 1].source
        cells[number - 1].source = cells[number - 1].source.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        # order
        (set_cell(1, "# Small\n\nA promise."), "cell 1: should be `# NN"),
        (set_cell(1, "# 02 · Small"), "sentence of promise"),
        (lambda cells: cells.pop(1), "cell 2: should be the generated card"),
        (set_cell(3, "- **see** a\n- **say** b"), "cell 3: should list three to five goals, got 2"),
        (set_cell(16, END.replace("## Recap", "")), "no heading `## Recap`"),
        (set_cell(16, END.replace("Check yourself", "X")), "no heading `## Check yourself`"),
        (set_cell(16, END + "\n\n## More\n\n**Next:** x"), "should end with Check yourself"),
        (
            set_cell(
                16,
                END.replace("Recap", "R").replace("Read on", "Recap").replace("R\n", "Read on\n"),
            ),
            "should end with",
        ),
        (set_cell(16, END.replace("**Next:**", "Next")), "**Next:**"),
        # sizes
        (set_cell(7, "\n".join(f"values[{n}]" for n in range(26))), "cell 7: 26 lines; at most 25"),
        (
            lambda cells: [c.update(source="a\n" * 5 + "a") for c in cells[4:]],
            "median code cell has 6",
        ),
        # prose between
        (
            lambda cells: (add_code("values")(cells), add_code("values")(cells)),
            "cell 7: 3 code cells in a row; at most 2",
        ),
        (
            lambda cells: (
                add_code("values", before=10)(cells),
                add_code("values", before=8)(cells),
            ),
            "5 of 7 code cells follow prose; not cells 8, 11",
        ),
        # amount of prose
        (
            lambda cells: [c.update(source=c.source.replace(PROSE, "")) for c in cells],
            "words per code cell",
        ),
        (
            lambda cells: [c.update(source=c.source.replace(PROSE, PROSE * 4)) for c in cells],
            "words per",
        ),
        (replace(6, "## Why?", "# Why?"), "exactly one H1, got 2: cells [1, 6]"),
        # alt text
        (lambda cells: cells[8].outputs[0].metadata.clear(), "cell 9: a figure without alt text"),
        (
            lambda cells: cells[8].outputs[0].metadata["image/png"].update(alt="A plot."),
            "cell 9: a figure without alt text",
        ),
        (replace(8, "![Two dots.]", "![]"), "cell 8: a Markdown image without alt text"),
        (replace(8, "![Two dots.]", '<img src="a.png" alt="">'), "cell 8: an <img> without alt"),
        # imports
        (add_code("import math"), "imports stand in cells 5, 7"),
        (add_code("def f():\n    import math\n\n\nf()"), "imports stand in cells 5, 7"),
        (set_cell(5, "\n".join(f"import a{n}" for n in range(9))), "9 import statements; at most"),
        (set_cell(5, "import pandas as pd"), "cell 5: alias pd; only F, nn, np, plt"),
        (set_cell(5, "from numpy import *"), "cell 5: a star import"),
        # kept out
        (set_cell(7, "!pip install x"), "cell 7: a shell line"),
        (set_cell(7, "%matplotlib inline"), "cell 7: a shell line or magic"),
        (set_cell(7, "sys.path.append('x')"), "cell 7: sys.path"),
        (set_cell(7, "os.chdir('..')"), "cell 7: chdir"),
        (set_cell(7, "urllib.request.urlretrieve(u)"), "cell 7: a download"),
        (set_cell(7, "MNIST('.', download=True)"), "cell 7: a download"),
        (set_cell(7, "warnings.filterwarnings('ignore')"), "cell 7: a warning filter"),
        (set_cell(7, f"open('{OWN_FILE}')"), f"cell 7: '{OWN_FILE}' is a path"),
        (set_cell(7, r"open('C:\\x.png')"), "is a path of one machine"),
        (set_cell(7, "open('~/x.png')"), "is a path of one machine"),
        (set_cell(7, "try:\n    1\nexcept:\n    2"), "cell 7: a bare except"),
        (set_cell(7, "# x = 3\nvalues"), "cell 7: commented-out code: 'x = 3'"),
        (set_cell(7, "# print(values)\nvalues"), "commented-out code: 'print(values)'"),
        (set_cell(7, "values  # for v in values:"), "commented-out code"),
        (
            set_cell(7, "def f():\n    # return 3\n    return 4\n\n\nf()"),
            "commented-out code: 'return 3'",
        ),
        (replace(6, "Plain", "🚀 Plain"), "cell 6: emoji '🚀'"),
        # functions that no cell uses, or only they themselves
        (add_code("def f():\n    return 1", before=7), "no cell uses the function f"),
        (set_cell(7, "def f(n):\n    return f(n - 1)"), "no cell uses the function f"),
        # exercises
        (set_cell(12, "add"), "exercises should be ['02.1'], got []"),
        (set_cell(12, 'check("02.2", add)'), "exercises should be ['02.1'], got ['02.2']"),
        (set_cell(11, "def add(a, b):\n    return a + b"), "has no stub of add"),
        (replace(10, "02.1 · Add", "02.1 · Sum"), "exercise 02.1: its text should say"),
        (replace(10, "5 minutes", "6 minutes"), "Level 1 of 3 · 5 minutes · 1 point"),
        (replace(10, "add numbers", "sum"), "'add numbers', as cnnlib.exercises has it"),
        # predictions
        (set_cell(14, "values"), "predictions should be ['02.a'], got []"),
        (set_cell(15, "values"), 'cell 14: predict("02.a") needs one reveal'),
        (
            lambda cells: cells.insert(12, cells.pop(14)),
            'cell 15: predict("02.a") needs one reveal',
        ),
        (add_code('reveal("02.b", 1)'), 'cell 7: reveal("02.b") of something'),
    ],
)
def test_a_notebook_that_breaks_a_rule_is_told_which(change, says):
    notebook = good()
    change(notebook.cells)
    found = findings(notebook)
    assert any(says in finding for finding in found), found


@pytest.mark.parametrize(
    "source",
    [
        "values  # (N, C, H, W)",
        "values  # fmt: skip",
        "values  # values",
        "values  # for a single image use images[None]",
        "# Your code here\nvalues",
        "# N × C\nvalues",
        "text = '# x = 3'",
        "values  # your number instead of None",
        "values / 2  # half of it",
    ],
)
def test_remarks_are_not_taken_for_code(source):
    notebook = good()
    notebook.cells[6].source = source
    assert findings(notebook) == []


# Functions defined twice


def library(**docstrings):
    source = "".join(
        f'def {name}(a):\n    """{doc}"""\n    b = a + 1\n    return b * 2\n'
        for name, doc in docstrings.items()
    )
    return {node.name: [("ops.py", node)] for node in ast.parse(source).body}


def course(**sources):
    """Notebooks nb02=[cell, cell] …, each with a title."""
    return {
        name: new_notebook(
            cells=[new_markdown_cell(f"# {name[-2:]} · T"), *map(new_code_cell, cells)]
        )
        for name, cells in sources.items()
    }


BUILT = "def grow(a):\n    b = a + 1\n    return b * 2"
AGREE = "assert np.array_equal(grow(3), ops.grow(3))"
OTHER = "def other(a):\n    c = a\n    return c"


@pytest.mark.parametrize(
    ("notebooks", "docstrings", "says"),
    [
        (course(nb02=[BUILT], nb03=[BUILT]), {}, "nb03: grow is defined in nb02 too"),
        (
            course(nb02=[OTHER], nb03=[OTHER.replace("other", "copy")]),
            {},
            "is a copy of nb02: other",
        ),
        (course(nb02=[BUILT.replace("grow", "g")]), {"grow": ""}, "g is a copy of cnnlib/ops.py"),
        (course(nb02=[BUILT, AGREE]), {"grow": "Taught in notebook 03."}, "does not say"),
        (course(nb02=[BUILT]), {"grow": "Taught in notebook 02."}, "no cell asserts that its grow"),
        (
            course(nb02=[BUILT, "ops.grow(3)"]),
            {"grow": "Taught in notebook 02."},
            "no cell asserts",
        ),
        (
            course(nb02=[BUILT, "assert grow"]),
            {"grow": "Taught in notebook 02."},
            "no cell asserts",
        ),
    ],
)
def test_a_second_definition_is_found(notebooks, docstrings, says):
    found = list(duplicates(notebooks, library(**docstrings)))
    assert any(says in finding for finding in found), found


@pytest.mark.parametrize(
    ("notebooks", "docstrings"),
    [
        (course(nb02=[BUILT, AGREE], nb03=[OTHER]), {"grow": "Taught in notebook 02."}),
        (course(nb02=[BUILT, "ops.grow(3) == grow(3)"]), {"grow": "Taught in notebook 02."}),
        (course(nb02=["def grow(a):\n    raise NotImplementedError"]), {"grow": "Anything."}),
    ],
)
def test_the_notebook_that_builds_a_function_may_define_it(notebooks, docstrings):
    assert list(duplicates(notebooks, library(**docstrings))) == []


def test_the_library_is_really_read():
    functions = library_functions(ROOT / "cnnlib")
    assert "load_mnist" in functions
    assert "check" not in functions  # the exercises are left out
