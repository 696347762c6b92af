"""The rules of STYLE.md that can be measured: each takes a notebook and lists what breaks it."""

import ast
import io
import re
import statistics
import tokenize
from collections.abc import Iterator
from itertools import groupby, pairwise

from nbformat import NotebookNode

from cnnlib.editions import checks, is_call, is_stub, parse
from cnnlib.machinery.generated import TITLE
from cnnlib.machinery.pairs import is_generated

ALIASES = {"np", "plt", "nn", "F"}
MAX_LINES, MAX_MEDIAN_LINES, MAX_IN_A_ROW, MIN_FOLLOWING_PROSE = 25, 5, 2, 0.8
WORDS_PER_CELL = (50, 130)
MIN_ALT = 20  # characters: shorter than that says "figure", not what it shows
PARTS = ("Check yourself", "Recap", "Read on")
KEPT_OUT = {
    r"^\s*[!%]": "a shell line or magic",
    r"\bsys\.path\b": "sys.path",
    r"\bchdir\(": "chdir",
    r"\b(urlopen|urlretrieve|wget|curl|pooch\.retrieve|requests\.get)\b": "a download",
    r"\bdownload\s*=\s*True\b": "a download",
    r"\b(filterwarnings|simplefilter|catch_warnings)\(": "a warning filter",
}
ABSOLUTE = re.compile(r"/(home|root|tmp|usr|content|kaggle|mnt|Users)/|[A-Za-z]:[\\/]|~/")
EMOJI = re.compile("[\U0001f000-\U0001faff☀-⛿✀-✒✕✖✙-➿️]")
Findings = Iterator[str]


def order(notebook: NotebookNode) -> Findings:
    """Title, card, goals, set-up, sections, check yourself, recap, readings, next."""
    cells = notebook.cells
    first = cells[0].source if cells else ""
    if not TITLE.match(first) or len(first.split("\n\n")) < 2:
        yield "cell 1: should be `# NN · Title` and a sentence of promise"
    if len(cells) < 2 or not is_generated(cells[1]):
        yield "cell 2: should be the generated card; run `python -m cnnlib sync`"
    goals = len(re.findall(r"^- ", cells[2].source, re.M)) if len(cells) > 2 else 0
    if not 3 <= goals <= 5:
        yield f"cell 3: should list three to five goals, got {goals}"
    headings = [line for _, line in _headings(notebook) if line.startswith("## ")]
    places = [next((n for n, h in enumerate(headings) if part in h), None) for part in PARTS]
    for part, place in zip(PARTS, places, strict=True):
        if place is None:
            yield f"no heading `## {part}`"
    if None not in places and places != list(range(len(headings) - 3, len(headings))):
        yield f"should end with {', '.join(PARTS)}, in this order"
    if not cells or "**Next:**" not in cells[-1].source:
        yield f"cell {len(cells)}: should end with **Next:** and what comes next"


def cell_sizes(notebook: NotebookNode) -> Findings:
    """A cell holds one idea: at most 25 lines, half of them at most 5."""
    sizes = {n: len(cell.source.splitlines()) for n, cell in _code(notebook)}
    for number, lines in sizes.items():
        if lines > MAX_LINES:
            yield f"cell {number}: {lines} lines; at most {MAX_LINES}"
    if sizes and statistics.median(sizes.values()) > MAX_MEDIAN_LINES:
        median = statistics.median(sizes.values())
        yield f"the median code cell has {median:g} lines; at most {MAX_MEDIAN_LINES}"


def prose_between(notebook: NotebookNode) -> Findings:
    """At most two code cells in a row; four in five follow prose.

    A check stands under its stub and a reveal under its prediction: those are not counted in the
    four of five.
    """
    cells = [(n, c) for n, c in enumerate(notebook.cells, 1) if not is_generated(c)]
    for kind, run in groupby(cells, key=lambda cell: cell[1].cell_type):
        run = list(run)
        if kind == "code" and len(run) > MAX_IN_A_ROW:
            yield f"cell {run[0][0]}: {len(run)} code cells in a row; at most {MAX_IN_A_ROW}"
    counted = [
        (number, previous[1].cell_type == "markdown")
        for previous, (number, cell) in pairwise(cells)
        if cell.cell_type == "code" and not _calls(cell, "check", "hint", "solution", "reveal")
    ]
    after_prose = sum(follows for _, follows in counted)
    if after_prose < MIN_FOLLOWING_PROSE * len(counted):
        bare = ", ".join(str(number) for number, follows in counted if not follows)
        yield f"{after_prose} of {len(counted)} code cells follow prose; not cells {bare}"


def amount_of_prose(notebook: NotebookNode) -> Findings:
    """50 to 130 words of prose per code cell, and exactly one H1."""
    prose = [c.source for c in notebook.cells if c.cell_type == "markdown" and not is_generated(c)]
    num_code = len(list(_code(notebook)))
    per_cell = len(_words("\n".join(prose))) / max(num_code, 1)
    if not WORDS_PER_CELL[0] <= per_cell <= WORDS_PER_CELL[1]:
        yield f"{per_cell:.0f} words per code cell; {WORDS_PER_CELL[0]} to {WORDS_PER_CELL[1]}"
    titles = [number for number, line in _headings(notebook) if line.startswith("# ")]
    if len(titles) != 1:
        yield f"should have exactly one H1, got {len(titles)}: cells {titles}"


def alt_text(notebook: NotebookNode) -> Findings:
    """Every picture says in words what it shows."""
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", []):
            for kind in output.get("data", {}):
                alt = output.metadata.get(kind, {}).get("alt", "")
                if kind.startswith("image/") and len(alt) < MIN_ALT:
                    yield (
                        f"cell {number}: a figure without alt text of {MIN_ALT} characters; end "
                        'the cell in plots.picture(figure, alt="…")'
                    )
        if cell.cell_type == "markdown":
            if re.search(r"!\[\s*\]\(", cell.source):
                yield f"cell {number}: a Markdown image without alt text: ![what it shows](…)"
            for tag in re.findall(r"<img\b[^>]*>", cell.source):
                if not re.search(r"\balt=[\"'][^\"']+", tag):
                    yield f"cell {number}: an <img> without alt text"


def imports(notebook: NotebookNode) -> Findings:
    """One import cell, at most eight statements, only the usual aliases."""
    found = [
        (number, node)
        for number, cell in _code(notebook)
        for node in ast.walk(parse(cell))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    cells = sorted({number for number, _ in found})
    if len(cells) > 1:
        yield f"imports stand in cells {', '.join(map(str, cells))}; keep them in the first"
    if len(found) > 8:
        yield f"{len(found)} import statements; at most eight"
    for number, node in found:
        for name in node.names:
            if name.name == "*":
                yield f"cell {number}: a star import hides where names come from"
            if name.asname not in {None, name.name, *ALIASES}:
                yield f"cell {number}: alias {name.asname}; only {', '.join(sorted(ALIASES))}"


def kept_out(notebook: NotebookNode) -> Findings:
    """No downloads, shell lines, paths of one machine, bare excepts, dead code, emoji."""
    for number, cell in _code(notebook):
        for pattern, name in KEPT_OUT.items():
            if re.search(pattern, cell.source, re.M):
                yield f"cell {number}: {name}"
        for node in ast.walk(parse(cell)):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                yield f"cell {number}: a bare except hides every mistake; name the exception"
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and ABSOLUTE.match(text):
                yield f"cell {number}: {text!r} is a path of one machine"
        for comment in _comments(cell.source):
            if _is_code(comment):
                yield f"cell {number}: commented-out code: {comment!r}"
    for number, cell in enumerate(notebook.cells, 1):
        if emoji := EMOJI.search(cell.source):
            yield f"cell {number}: emoji {emoji[0]!r}"


def unused_functions(notebook: NotebookNode) -> Findings:
    """Every function that a notebook defines is used in it, outside of itself."""
    trees = [parse(cell) for _, cell in _code(notebook)]
    for tree in trees:
        for function in [node for node in tree.body if isinstance(node, ast.FunctionDef)]:
            own = set(ast.walk(function))
            names = (node for other in trees for node in ast.walk(other) if node not in own)
            if not any(isinstance(n, ast.Name) and n.id == function.name for n in names):
                yield f"no cell uses the function {function.name}"


def predictions(notebook: NotebookNode, known: list[str]) -> Findings:
    """Every prediction that exists is asked for once and then revealed once, in order."""
    asked, revealed = (_ids(notebook, name) for name in ("predict", "reveal"))
    if [key for key, _ in asked] != known:
        yield f"predictions should be {known}, got {[key for key, _ in asked]}"
    for key, number in asked:
        places = [place for other, place in revealed if other == key]
        if len(places) != 1 or places[0] < number:
            yield f'cell {number}: predict("{key}") needs one reveal("{key}") after it'
    for key, number in revealed:
        if key not in dict(asked):
            yield f'cell {number}: reveal("{key}") of something that was not asked'


def exercises(notebook: NotebookNode, known: dict) -> Findings:
    """Every exercise that exists has its text, stub and check, in order, and says what it is."""
    found = checks(notebook)
    if [key for key, _, _ in found] != list(known):
        yield f"exercises should be {list(known)}, got {[key for key, _, _ in found]}"
    for key, name, position in found:
        if not any(is_stub(cell, name) for cell in notebook.cells[:position]):
            yield f'cell {position + 1}: check("{key}", {name}) has no stub of {name} before it'
        if key not in known:
            continue
        exercise, points = known[key], "point" if known[key].points == 1 else "points"
        text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        facts = (
            f"Level {exercise.level} of 3 · {exercise.minutes} minutes · {exercise.points} {points}"
        )
        for line in (f"### Exercise {key} · {exercise.title}\n\n*{facts} · ", exercise.objective):
            if line not in text:
                yield f"exercise {key}: its text should say {line!r}, as cnnlib.exercises has it"


RULES = (order, cell_sizes, prose_between, amount_of_prose, alt_text, imports, kept_out)
RULES += (unused_functions,)


def _code(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    """The code cells that an author wrote, with their numbers among all cells, from 1."""
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "code" and not is_generated(cell):
            yield number, cell


def _calls(cell: NotebookNode, *names: str) -> bool:
    return any(is_call(node, *names) for node in ast.walk(parse(cell)))


def _ids(notebook: NotebookNode, name: str) -> list[tuple[str, int]]:
    """The first argument of each call of `name`, with the number of its cell."""
    return [
        (ast.literal_eval(node.args[0]), number)
        for number, cell in _code(notebook)
        for node in ast.walk(parse(cell))
        if is_call(node, name)
    ]


def _headings(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "markdown":
            without_code = re.sub(r"^(```|~~~).*?^\1", "", cell.source, flags=re.M | re.S)
            yield from ((number, line) for line in re.findall(r"^#+ .*", without_code, re.M))


def _words(text: str) -> list[str]:
    """The words a reader reads: without code blocks, displayed formulas, tags and addresses."""
    text = re.sub(r"```.*?```|\$\$.*?\$\$|<[^>]+>|\]\([^)]*\)", " ", text, flags=re.S)
    return re.findall(r"\w[\w'’-]*", text)


def _comments(source: str) -> list[str]:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return []
    return [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]


def _is_code(comment: str) -> bool:
    """Whether a comment is a statement that was switched off; a bare name or shape is not."""
    for candidate in (comment, f"{comment}\n    pass", f"def f():\n    {comment}"):
        try:
            tree = ast.parse(candidate)
        except (SyntaxError, ValueError):
            continue
        node = tree.body[0] if tree.body else None
        node = node.body[0] if candidate.startswith("def f") and node is not None else node
        if isinstance(node, ast.AnnAssign):  # such as `fmt: skip`
            return node.value is not None
        return not isinstance(node, ast.Expr | None) or isinstance(node.value, ast.Call)
    return False
