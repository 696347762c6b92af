"""Boxes, sources and tables: the same words in a notebook, in a terminal and read aloud."""

import re
from html.parser import HTMLParser

import pytest

from cnnlib.exercises import EXERCISES, check, hint, progress, solution
from cnnlib.exercises.display import Box, CheckBox, Source, Table
from cnnlib.exercises.verdicts import OUTCOMES, Verdict

ATTACK = "<script>alert('&amp;')</script>"


class Reader(HTMLParser):
    """The tags of a piece of HTML and its text, with every tag closed in order."""

    VOID = ("br", "img", "hr")

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.open, self.spoken, self.silent = [], [], "", 0
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append((tag, dict(attrs).get("aria-hidden") == "true"))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if not any(hidden for _, hidden in self.open):
            self.spoken += data


def verdict(outcome="not yet", **changes):
    fields = {
        "headline": "1 of 2 cases are right. The smallest that differs:",
        "details": (("case", "called with (7)"), ("expected", "[[1],\n [2]]"), ("got", "3")),
        "cause": "A sum.",
        "exercise_id": "02.1",
    }
    return Verdict(outcome=outcome, **{**fields, **changes})


def test_plain_text_of_a_check():
    assert repr(CheckBox(verdict())) == (
        "○ 02.1 · Not yet right.\n"
        "  1 of 2 cases are right. The smallest that differs:\n"
        "  case: called with (7)\n"
        "  expected: [[1],\n"
        "             [2]]\n"
        "  got: 3\n"
        "  likely cause: A sum.\n"
        '  hint("02.1") helps, solution("02.1") shows a way.'
    )


def test_plain_text_of_the_four_outcomes():
    def text(outcome, headline=""):
        return repr(CheckBox(verdict(outcome, headline=headline, details=(), cause="")))

    help_line = '\n  hint("02.1") helps, solution("02.1") shows a way.'
    assert text("correct", "7 cases.") == "✓ 02.1 · Correct.\n  7 cases."
    assert text("not yet") == "○ 02.1 · Not yet right." + help_line
    assert text("not attempted") == "– 02.1 · Not attempted yet." + help_line
    assert text("error", "Your code raised E: x") == (
        "! 02.1 · Your code stopped with an error.\n  Your code raised E: x" + help_line
    )


def test_outcomes_are_told_by_words_not_by_colour():
    said = {}
    for outcome in OUTCOMES:
        html = CheckBox(verdict(outcome))._repr_html_()
        without_style = re.sub(r' style="[^"]*"', "", html)
        assert "color" not in without_style
        said[outcome] = Reader(html).spoken
    assert len({text.split(".1 · ")[1][:12] for text in said.values()}) == 4
    assert "Correct." in said["correct"]
    assert "Not yet right." in said["not yet"]
    assert "stopped with an error" in said["error"]
    assert "Not attempted yet." in said["not attempted"]


def test_html_says_what_the_text_says_and_hides_the_mark_from_a_screen_reader():
    box = CheckBox(verdict())
    read = Reader(box._repr_html_())
    assert not read.spoken.startswith("○")
    assert read.tags[0] == ("div", {"role": "note", "style": read.tags[0][1]["style"]})

    def squeezed(text):
        return re.sub(r"\s+", "", text)

    assert squeezed("○" + read.spoken) == squeezed(repr(box))
    assert (
        "pre",
        re.search(r"<pre[^>]*>(.*?)</pre>", box._repr_html_(), re.S)[1],
    ) == ("pre", "[[1],\n [2]]")


def test_what_a_learner_wrote_is_escaped_everywhere():
    details = ((ATTACK, ATTACK), ("got", ATTACK + "\n" + ATTACK))
    hostile = verdict(headline=ATTACK, details=details, cause=ATTACK, exercise_id=ATTACK)
    for html in (
        CheckBox(hostile)._repr_html_(),
        Box(ATTACK, ((ATTACK, ATTACK),), mark="<b>")._repr_html_(),
        Table(ATTACK, (ATTACK,), ((ATTACK,),))._repr_html_(),
    ):
        read = Reader(html)
        assert "script" not in [tag for tag, _ in read.tags]
        assert "<script" not in html
        assert ATTACK in read.spoken


@pytest.mark.parametrize("exercise_id", ["02.1", "02.2", "02.4", "02.8"])
def test_a_learners_result_and_error_are_escaped(exercise_id):
    class Shown:
        def __repr__(self):
            return ATTACK

    def raising(*args, **kwargs):
        raise ValueError(ATTACK)

    for answer in (lambda *a, **k: Shown(), lambda *a, **k: [Shown()] * 3, raising):
        html = check(exercise_id, answer)._repr_html_()
        assert "script" not in [tag for tag, _ in Reader(html).tags]


def test_a_wrong_id_is_escaped():
    assert "script" not in [tag for tag, _ in Reader(check(ATTACK, None)._repr_html_()).tags]


def test_passed_says_whether_the_answer_was_correct():
    assert CheckBox(verdict("correct")).passed is True
    for outcome in ("not yet", "error", "not attempted"):
        assert CheckBox(verdict(outcome)).passed is False
    assert Box("anything").passed is False
    assert CheckBox(verdict()).verdict == verdict()


@pytest.mark.parametrize("name", EXERCISES)
def test_every_hint_can_be_shown(name):
    for _ in EXERCISES[name].hints:
        read = Reader(hint(name)._repr_html_())
        assert read.tags[0][1]["role"] == "note"
        assert f"{name} · Hint" in read.spoken


@pytest.mark.parametrize("name", EXERCISES)
def test_a_solution_is_markdown_with_a_python_fence(name):
    shown = solution(name)
    markdown = shown._repr_markdown_()
    assert markdown.startswith(f"**{name} · ")
    head, code, tail = re.fullmatch(r"(.*?)\n\n```python\n(.*)\n```()", markdown, re.S).groups()
    assert "```" not in code
    compile(code, name, "exec")
    assert repr(shown) == f"{head.strip('*')}\n\n{code}"


def test_a_source_has_no_html_that_would_hide_its_markdown():
    assert not hasattr(Source("title", "code"), "_repr_html_")


def test_a_table_has_a_caption_and_headings_that_say_what_they_head():
    read = Reader(progress("02")._repr_html_())
    assert [tag for tag, _ in read.tags[:4]] == ["table", "caption", "thead", "tr"]
    headings = [attrs for tag, attrs in read.tags if tag == "th"]
    assert len(headings) == 7
    assert all(attrs["scope"] == "col" for attrs in headings)
    cells = [tag for tag, _ in read.tags if tag == "td"]
    assert len(cells) == 7 * len([name for name in EXERCISES if name.startswith("02")])
    assert read.spoken.startswith("0 of ")


def test_plain_text_of_a_table():
    table = Table("Two rows.", ("name", "n"), (("a", "1"), ("longer", "22")))
    assert repr(table) == "Two rows.\n\nname    n\na       1\nlonger  22"
