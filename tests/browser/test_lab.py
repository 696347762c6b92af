"""What a learner sees: every notebook in a real JupyterLab, and the things that answer."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NOTEBOOKS, open_notebook, run_all

BROKEN = ["Traceback", "Error displaying widget", "Javascript Error", "[object Object]"]


@pytest.mark.parametrize("name", sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
def test_notebook_runs_in_the_lab(page, name):
    open_notebook(page, name)
    cells = [cell for cell in run_all(page)["cells"] if cell["cell_type"] == "code"]
    written = [cell for cell in cells if "".join(cell["source"]).strip()]
    assert [cell["execution_count"] for cell in written] == list(range(1, len(written) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    seen = page.locator(".jp-Notebook").inner_text()
    assert not [words for words in BROKEN if words in seen]
    assert page.locator(".jp-RenderedImage img").count() >= 1
    natural_widths = page.locator(".jp-OutputArea img").evaluate_all(
        "images => images.filter((i) => i.complete).map((i) => i.naturalWidth)"
    )
    assert 0 not in natural_widths, "a picture is broken"


def test_explorer_answers_to_the_keyboard(explorers):
    figure = explorers.locator(".widget-image")
    readout = explorers.locator(".widget-html [role=status]")
    expect(readout).to_contain_text("padding 0, stride 1 → output (30, 46); values from 0 to 4")
    before = figure.get_attribute("src")

    def slider(name):
        row = explorers.locator(".widget-slider", has_text=name)
        return row.get_by_role("slider")

    slider("stride").press("ArrowRight")
    expect(readout).to_contain_text("stride 2 → output (15, 23)")
    expect(figure).not_to_have_attribute("src", before)
    slider("padding").press("ArrowRight")
    expect(readout).to_contain_text("padding 1, stride 2 → output (16, 24)")
    slider("w[1, 2]").press("ArrowRight")
    expect(explorers.get_by_label("kernel preset")).to_have_value("my own")
    explorers.get_by_label("kernel preset").select_option("identity")
    expect(readout).to_contain_text("values from 0 to 1")
    explorers.get_by_label("kernel preset").select_option("blur")
    expect(readout).to_contain_text("1·0.11")
    expect(explorers.get_by_label("kernel preset")).to_have_value("blur")
    assert figure.evaluate("image => image.naturalWidth") == 960


def draw_stroke(page, canvas, x):
    """A vertical stroke by mouse at `x`, a fraction of the pad's width."""
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + 180, steps=5)
    page.mouse.up()


def test_drawing_gives_a_prediction(explorers):
    pad = explorers.get_by_role("img", name=re.compile("Drawing pad"))
    answer = explorers.get_by_text(re.compile("Draw a digit|It looks like"))
    expect(answer).to_have_text("Draw a digit from 0 to 9.")
    pad.scroll_into_view_if_needed()
    draw_stroke(explorers, pad, 0.5)
    expect(answer).to_have_text(re.compile("It looks like a [19]."))
    meters = explorers.get_by_role("meter")
    expect(meters).to_have_count(10)
    assert sum(meter.get_attribute("value") == "1" for meter in meters.all()) == 1
    explorers.get_by_role("button", name="Clear the pad").click()
    expect(answer).to_have_text("Draw a digit from 0 to 9.")


def test_drawing_by_keyboard_gives_a_prediction(explorers):
    pad = explorers.get_by_role("img", name=re.compile("Drawing pad"))
    answer = explorers.get_by_text(re.compile("Draw a digit|It looks like"))
    cells = explorers.locator(".jp-Cell").count()
    pad.press("Space")
    for _ in range(8):
        pad.press("ArrowDown")
    expect(answer).to_have_text(re.compile("It looks like a [19]."))
    pad.press("Delete")
    expect(answer).to_have_text("Draw a digit from 0 to 9.")
    # The Lab's own shortcuts (arrows, space, d d) stay out of it.
    assert explorers.locator(".jp-Cell").count() == cells
    expect(pad).to_be_focused()


def test_check_renders_as_a_box(explorers):
    box = explorers.get_by_role("note")
    expect(box).to_contain_text("02.1 · Not attempted yet.")
    assert box.evaluate("box => getComputedStyle(box).borderLeftWidth") == "5px"
