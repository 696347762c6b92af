"""The solved edition of a notebook: every exercise's stub replaced by its worked solution."""

import ast
import copy
import warnings

from nbformat import NotebookNode


def solved(notebook: NotebookNode) -> NotebookNode:
    """Fill in every exercise of a notebook with the solution that cnnlib.exercises holds.

    Args:
        notebook: as learners get it; left as it is.

    Returns:
        A copy in which each stub is the solution. Predictions stay open and outputs are gone.

    Raises:
        ValueError: a check has no stub before it.
    """
    # Imported here: the exercises are many modules, and this module is imported by tests of others.
    from cnnlib.exercises import solution_source

    edition = copy.deepcopy(notebook)
    for exercise_id, name, position in checks(edition):
        stubs = [cell for cell in edition.cells[:position] if is_stub(cell, name)]
        if not stubs:
            raise ValueError(
                f'check("{exercise_id}", {name}) has no stub: expected a cell above it that '
                f"defines {name} and raises NotImplementedError, or says {name} = None"
            )
        stubs[-1].source = solution_source(exercise_id)
    for cell in edition.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return edition


def checks(notebook: NotebookNode) -> list[tuple[str, str, int]]:
    """Every `check("ID", name)` of a notebook, as (ID, name, index of its cell)."""
    found = []
    for position, cell in enumerate(notebook.cells):
        for node in ast.walk(parse(cell)):
            if is_call(node, "check") and len(node.args) == 2:
                exercise_id, answer = node.args
                if isinstance(exercise_id, ast.Constant) and isinstance(answer, ast.Name):
                    found.append((exercise_id.value, answer.id, position))
    return found


def is_stub(cell: NotebookNode, name: str) -> bool:
    """Whether a cell asks for `name`: a function not yet implemented, or a value still None."""
    for node in parse(cell).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return any(_raises_not_implemented(part) for part in ast.walk(node))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return isinstance(node.value, ast.Constant) and node.value.value is None
    return False


def parse(cell: NotebookNode) -> ast.Module:
    """The syntax tree of a code cell; an empty one for Markdown and for IPython magic."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a SyntaxWarning would come again when the cell runs
            return ast.parse(cell.source if cell.cell_type == "code" else "")
    except SyntaxError:
        return ast.parse("")


def is_call(node: ast.AST, *names: str) -> bool:
    """Whether a node of a syntax tree calls a plain name, such as `check(…)`."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _raises_not_implemented(node: ast.AST) -> bool:
    return isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node)
