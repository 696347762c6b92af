"""Links inside the repository lead to files and headings that exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from cnnlib import project

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "STYLE.md", "CHANGELOG.md")),
    *sorted((ROOT / "data").rglob("README.md")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
]
COLAB = "https://colab.research.google.com/github/"

# A title or <…> around the target may follow it; a target may hold one level of parentheses.
INLINE = re.compile(r"\]\(\s*<?((?:[^\s()<>]|\([^\s()]*\))*)>?(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)", re.M)
HTML = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src)\s*=\s*[\"']([^\"']*)[\"']", re.I)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.M)
NAMED = re.compile(r"<\w+\b[^>]*?\b(?:id|name)\s*=\s*[\"']([^\"']+)[\"']|^\(([\w-]+)\)=$", re.M)


def markdown(path: Path) -> str:
    """What a reader sees as prose: a file's text, or all Markdown cells of a notebook."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def without_code(text: str) -> str:
    text = re.sub(r"^( {0,3})(`{3,}|~{3,}).*?^ {0,3}\2[`~]*[ \t]*$", "", text, flags=re.M | re.S)
    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", text, flags=re.S)


def links(text: str) -> list[str]:
    """The targets of all links and pictures in a Markdown text, code left out."""
    prose = without_code(text)
    return [found for kind in (INLINE, REFERENCE, HTML) for found in kind.findall(prose)]


def anchors(path: Path) -> set[str]:
    """What may stand after # in a link to this file.

    GitHub writes a heading's anchor small and without punctuation, Jupyter as the heading stands
    with dashes for spaces.
    """
    text = re.sub(r"^( {0,3})(```+|~~~+).*?^ {0,3}\2", "", markdown(path), flags=re.M | re.S)
    names = {first or second for first, second in NAMED.findall(text)}
    seen: dict[str, int] = {}
    for heading in HEADING.findall(text):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        plain = re.sub(r"[`*]", "", plain)
        if path.suffix == ".ipynb":
            names.add(plain.replace(" ", "-"))
            continue
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        names.add(f"{slug}-{seen[slug]}" if slug in seen else slug)
        seen[slug] = seen.get(slug, 0) + 1
    return names


def own_path(target: str, address: str) -> str | None:
    """The path inside the repository that an https link means; None when it leads elsewhere."""
    target = target.replace(COLAB, "https://github.com/")
    found = re.match(rf"{re.escape(address)}/(?:blob|tree|raw)/main/([^?]*)", target)
    return found[1] if found else None


def exists_as_written(path: Path, root: Path) -> bool:
    """Whether a path exists, in capitals and small letters too: not every disk minds them."""
    here = root
    for part in path.relative_to(root).parts:
        if not here.is_dir() or part not in {entry.name for entry in here.iterdir()}:
            return False
        here = here / part
    return True


def broken(path: Path, root: Path, address: str) -> Iterator[str]:
    """The links of a file, or of a notebook's prose, that lead nowhere."""
    for target in links(markdown(path)):
        base, inside = path.parent, target
        if urlsplit(target).scheme or target.startswith("//"):
            base, inside = root, own_path(target, address)
            if inside is None:
                if target.startswith(COLAB):
                    yield f"{target}: a Colab link to another repository than {address}"
                continue
        file, _, anchor = inside.partition("#")
        goal = (base / unquote(file)).resolve() if file else path
        if not file and not anchor:
            yield f"{target!r}: a link to nothing"
        elif not goal.is_relative_to(root):
            yield f"{target}: leads out of the repository"
        elif not exists_as_written(goal, root):
            yield f"{target}: there is no {goal.relative_to(root).as_posix()}"
        elif anchor and goal.suffix in {".md", ".ipynb"} and unquote(anchor) not in anchors(goal):
            yield f"{target}: {goal.name} has no heading for #{anchor}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    found = list(broken(path, ROOT, project.address()))
    assert not found, f"{path.relative_to(ROOT)}:\n" + "\n".join(found)


def test_every_notebook_has_its_own_colab_badge():
    if not project.address().startswith("https://github.com/"):
        pytest.skip("Colab opens notebooks of GitHub only")
    for path in DOCUMENTS:
        if path.suffix == ".ipynb":
            badges = [link for link in links(markdown(path)) if link.startswith(COLAB)]
            inside = [own_path(link, project.address()) for link in badges]
            assert inside == [path.relative_to(ROOT).as_posix()]


# The finder itself

ADDRESS = "https://github.com/me/my"


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "repository"
    (root / "notebooks").mkdir(parents=True)
    (tmp_path / "outside.md").touch()
    cell = nbformat.v4.new_markdown_cell
    notebook = nbformat.v4.new_notebook(cells=[cell("# 00 · Start\n\n## Why does `conv` work?")])
    nbformat.write(notebook, root / "notebooks" / "00_start.ipynb")
    other = "# The *other* one\n\n## Set up\n\n## Set up\n\n<a id='mark'></a>\n\n```\n# no\n```\n"
    (root / "other.md").write_text(other, encoding="utf-8")
    return root


def found_in(repository, text):
    page = repository / "page.md"
    page.write_text(text, encoding="utf-8")
    return list(broken(page, repository, ADDRESS))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[a](missing.md)", "there is no missing.md"),
        ("[a](Other.md)", "there is no Other.md"),
        ("[a](notebooks/01.ipynb)", "there is no notebooks/01.ipynb"),
        ("[a](../outside.md)", "leads out of the repository"),
        ("[a]()", "a link to nothing"),
        ("[a](#)", "a link to nothing"),
        ("# Title\n\n[a](#titel)", "page.md has no heading for #titel"),
        ("[a](other.md#set-down)", "other.md has no heading for #set-down"),
        ("[a](other.md#set-up-2)", "no heading for #set-up-2"),
        ("[a](other.md#no)", "no heading for #no"),
        ("[a](notebooks/00_start.ipynb#why)", "00_start.ipynb has no heading for #why"),
        ("![a](missing.png)", "there is no missing.png"),
        ('[a](missing.md "with a title")', "there is no missing.md"),
        ("[a](<missing.md>)", "there is no missing.md"),
        ("see [a]\n\n[a]: missing.md", "there is no missing.md"),
        ('<img alt="a" src="missing.png">', "there is no missing.png"),
        ("<a href='missing.md'>a</a>", "there is no missing.md"),
        ("[![badge](https://x.org/b.svg)](missing.md)", "there is no missing.md"),
        ("`code` [a](missing.md) `code`", "there is no missing.md"),
        ("```\ncode\n```\n[a](missing.md)\n```\ncode\n```", "there is no missing.md"),
        (f"[a]({ADDRESS}/blob/main/missing.md)", "there is no missing.md"),
        (f"[a]({ADDRESS}/tree/main/missing)", "there is no missing"),
        (f"[a]({COLAB}me/my/blob/main/notebooks/01.ipynb)", "there is no notebooks/01.ipynb"),
        (f"[a]({COLAB}you/my/blob/main/notebooks/00_start.ipynb)", "another repository"),
    ],
)
def test_a_bad_link_is_found(repository, text, says):
    found = found_in(repository, text)
    assert len(found) == 1, found
    assert says in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "[a](other.md) [b](./other.md#the-other-one) [c](notebooks)",
        "[a](other.md#set-up) [b](other.md#set-up-1) [c](other.md#mark)",
        "[a](notebooks/00_start.ipynb#Why-does-conv-work?)",
        "## What's new, then?\n\n[a](#whats-new-then)",
        "[a](https://example.org/missing.md) [b](mailto:me@example.org)",
        f"[a]({ADDRESS}/blob/main/other.md#set-up) [b]({ADDRESS}/issues)",
        f"[![b](https://x.org/b.svg)]({COLAB}me/my/blob/main/notebooks/00_start.ipynb)",
        "`[a](missing.md)`, and `values[0](missing)` in ``[a](missing.md)``",
        "```\n[a](missing.md)\n```",
    ],
)
def test_a_good_link_and_code_are_left_alone(repository, text):
    assert found_in(repository, text) == []


def test_links_in_a_notebook_are_found(repository):
    path = repository / "notebooks" / "00_start.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell("[a](02.ipynb) [b](../other.md)"))
    notebook.cells.append(nbformat.v4.new_code_cell("'[a](missing.md)'"))
    nbformat.write(notebook, path)
    assert list(broken(path, repository, ADDRESS)) == ["02.ipynb: there is no notebooks/02.ipynb"]
