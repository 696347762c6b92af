"""How checks, hints, predictions and the progress table look: boxes, or text outside a notebook.

Every box says its outcome in words, so it reads the same aloud, in greyscale and in a terminal.
"""

from dataclasses import dataclass
from html import escape

from cnnlib.exercises.verdicts import Verdict

TITLES = {
    "correct": "Correct.",
    "not yet": "Not yet right.",
    "error": "Your code stopped with an error.",
    "not attempted": "Not attempted yet.",
}
MARKS = {"correct": "✓", "not yet": "○", "error": "!", "not attempted": "–"}
EDGES = {
    "correct": "solid #1b7f4b",
    "not yet": "solid #b35900",
    "error": "solid #a3195b",
    "not attempted": "dashed #6b7280",
}


@dataclass(frozen=True)
class Box:
    """Something said to the learner. `lines` are (label, text); a label may be empty."""

    title: str
    lines: tuple[tuple[str, str], ...] = ()
    edge: str = "solid #4b5563"
    mark: str = ""

    @property
    def passed(self) -> bool:
        """Whether this is the box of a correct answer."""
        return False

    def __repr__(self) -> str:
        mark = f"{self.mark} " if self.mark else ""
        rows = [mark + self.title]
        for label, text in self.lines:
            start = f"  {label}: " if label else "  "
            rows.append(start + text.replace("\n", "\n" + " " * len(start)))
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        rows = "".join(_html_line(label, text) for label, text in self.lines)
        mark = f'<span aria-hidden="true">{escape(self.mark)} </span>' if self.mark else ""
        return (
            f'<div role="note" style="border-left: 5px {self.edge}; padding: 6px 12px; '
            f'margin: 4px 0; max-width: 60em; line-height: 1.45">'
            f"<div><strong>{mark}{escape(self.title)}</strong></div>{rows}</div>"
        )


def _html_line(label: str, text: str) -> str:
    start = f"<em>{escape(label)}:</em> " if label else ""
    if "\n" in text:
        return f'<div>{start}<pre style="margin: 2px 0 2px 1.5em">{escape(text)}</pre></div>'
    return f"<div>{start}{escape(text)}</div>"


class CheckBox(Box):
    """The box of one check; `.verdict` is what was found, `.passed` whether it was correct."""

    def __init__(self, verdict: Verdict):
        lines = [("", verdict.headline)] if verdict.headline else []
        lines += verdict.details
        if verdict.cause:
            lines.append(("likely cause", verdict.cause))
        if verdict.outcome != "correct":
            name = verdict.exercise_id
            lines.append(("", f'hint("{name}") helps, solution("{name}") shows a way.'))
        title = f"{verdict.exercise_id} · {TITLES[verdict.outcome]}"
        super().__init__(title, tuple(lines), EDGES[verdict.outcome], MARKS[verdict.outcome])
        object.__setattr__(self, "verdict", verdict)

    @property
    def passed(self) -> bool:
        return self.verdict.outcome == "correct"


@dataclass(frozen=True)
class Source:
    """A worked solution: highlighted where Markdown is shown, plain text elsewhere."""

    title: str
    code: str

    def __repr__(self) -> str:
        return f"{self.title}\n\n{self.code}"

    def _repr_markdown_(self) -> str:
        return f"**{self.title}**\n\n```python\n{self.code}\n```"


@dataclass(frozen=True)
class Table:
    """Rows under headings, with a caption that is read first."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __repr__(self) -> str:
        cells = [self.headings, *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.headings))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
        return "\n".join([self.caption, "", *lines])

    def _repr_html_(self) -> str:
        head = "".join(
            f'<th scope="col" style="text-align: left">{escape(h)}</th>' for h in self.headings
        )
        body = "".join(
            "<tr>"
            + "".join(f'<td style="text-align: left">{escape(c)}</td>' for c in row)
            + "</tr>"
            for row in self.rows
        )
        return (
            f'<table><caption style="text-align: left; caption-side: top">{escape(self.caption)}'
            f"</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )
