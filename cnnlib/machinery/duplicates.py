"""No function is defined twice: not in two notebooks, nor in a notebook and in cnnlib."""

import ast
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from cnnlib.editions import is_stub, parse
from cnnlib.machinery.generated import title
from cnnlib.machinery.pairs import is_generated

# Not taught: what checks, ships and runs the notebooks. Solutions are exercises' own by design.
NOT_TAUGHT = ("exercises", "machinery", "coursework")


def library_functions(package: Path) -> dict[str, list[tuple[str, ast.FunctionDef]]]:
    """The functions at the top of cnnlib's modules: name -> [(module, node)]."""
    found: dict[str, list] = {}
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package)
        if module.parts[0] in NOT_TAUGHT:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, []).append((module.as_posix(), node))
    return found


def duplicates(notebooks: dict[str, NotebookNode], library: dict) -> Iterator[str]:
    """What breaks the rule. The notebook that builds a function may define it when

    cnnlib's docstring says `Taught in notebook NN.` and a cell compares the two; of an exercise's
    stub the checker does the comparing.

    Args:
        notebooks: name -> notebook, the whole course.
        library: as `library_functions` gives it.
    """
    seen: dict[str, str] = {}
    bodies = {_body(node): f"cnnlib/{m}: {n}" for n, all_ in library.items() for m, node in all_}
    bodies.pop("", None)
    for name, notebook in notebooks.items():
        for cell, function in _definitions(notebook):
            if function.name in seen and seen[function.name] != name:
                yield f"{name}: {function.name} is defined in {seen[function.name]} too"
            seen.setdefault(function.name, name)
            stub = is_stub(cell, function.name)
            if function.name in library:
                if not stub:
                    yield from _in_library(name, notebook, function.name, library)
            elif not stub and _body(function) in bodies:
                yield f"{name}: {function.name} is a copy of {bodies[_body(function)]}"
            if not stub and _body(function):
                bodies.setdefault(_body(function), f"{name}: {function.name}")


def _in_library(name: str, notebook: NotebookNode, function: str, library: dict) -> Iterator[str]:
    module, node = library[function][0]
    number = title(notebook)[0]
    if f"Taught in notebook {number}." not in (ast.get_docstring(node) or ""):
        yield (
            f"{name}: {function} is in cnnlib/{module} too, and that one's docstring does not say "
            f"`Taught in notebook {number}.`"
        )
    if not any(_compares(cell, function) for cell in notebook.cells):
        yield (
            f"{name}: no cell asserts that its {function} agrees with the one in cnnlib/{module}"
        )


def _compares(cell: NotebookNode, function: str) -> bool:
    """Whether a cell calls cnnlib's function by its module and compares something."""
    nodes = list(ast.walk(parse(cell)))
    from_library = any(isinstance(n, ast.Attribute) and n.attr == function for n in nodes)
    comparing = ("allclose", "array_equal", "assert_allclose", "assert_array_equal", "isclose")
    compares = any(
        isinstance(n, ast.Assert | ast.Compare)
        or (isinstance(n, ast.Attribute) and n.attr in comparing)
        for n in nodes
    )
    return from_library and compares


def _definitions(notebook: NotebookNode) -> Iterator[tuple[NotebookNode, ast.FunctionDef]]:
    for cell in notebook.cells:
        if cell.cell_type == "code" and not is_generated(cell):
            for node in parse(cell).body:
                if isinstance(node, ast.FunctionDef):
                    yield cell, node


def _body(function: ast.FunctionDef) -> str:
    """What a function does, without its name and docstring; empty when that is one line."""
    statements = function.body
    if ast.get_docstring(function) is not None:
        statements = statements[1:]
    if len(statements) < 2:
        return ""
    return "\n".join([ast.dump(function.args), *(ast.dump(node) for node in statements)])
