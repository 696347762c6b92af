"""The explorers without a browser: what they show is what the library computes."""

import io
import re
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlib import data, widgets

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def image():
    return np.random.default_rng(0).random((20, 26))


@pytest.fixture
def explorer(image):
    return widgets.convolution_explorer(image)


def controls_of(explorer):
    """Every control with a value that differs from its first one."""
    return {
        "preset": (explorer.preset, "blur"),
        "kernel": (explorer.cells[5], -3.25),
        "divisor": (explorer.divisor, 4),
        "padding": (explorer.padding, 2),
        "stride": (explorer.stride, 3),
        "row": (explorer.row, 1),
        "column": (explorer.column, 2),
        "magnitude": (explorer.magnitude, True),
    }


@pytest.mark.parametrize(
    "name", ["preset", "kernel", "divisor", "padding", "stride", "row", "column", "magnitude"]
)
def test_every_control_redraws(explorer, name):
    control, value = controls_of(explorer)[name]
    picture, readout = bytes(explorer.figure.value), explorer.readout.value
    control.value = value
    assert bytes(explorer.figure.value) != picture
    if name != "magnitude":  # which changes only the colours
        assert explorer.readout.value != readout
    assert control.value == value


@pytest.mark.parametrize(("padding", "stride"), [(0, 1), (1, 1), (2, 3), (3, 4)])
@pytest.mark.parametrize("preset", ["blur", "emboss"])
def test_result_is_torchs(explorer, image, preset, padding, stride):
    explorer.preset.value = preset
    explorer.padding.value, explorer.stride.value = padding, stride
    values, divisor = widgets.KERNELS[preset]
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(image)[None, None],
        torch.tensor(values, dtype=torch.float64)[None, None] / divisor,
        stride=stride,
        padding=padding,
    )[0, 0].numpy()
    np.testing.assert_allclose(explorer.result, expected, atol=1e-12)
    rows, columns = expected.shape
    shapes = f"padding {padding}, stride {stride} → output ({rows}, {columns})"
    assert f"input (20, 26), kernel 3×3, {shapes}" in explorer.readout.value
    values = re.search(r"values from (\S+) to (\S+)", explorer.readout.value).groups()
    low, high = (float(value.replace("−", "-")) for value in values)
    assert (low, high) == pytest.approx((expected.min(), expected.max()), abs=0.005)


def test_readout_shows_the_sum_behind_the_marked_value():
    image = np.arange(25.0).reshape(5, 5)
    kernel = [[0, 0, 0], [0, 2, 0], [0, 0, -1]]
    explorer = widgets.convolution_explorer(image, kernel=kernel)
    explorer.row.value, explorer.column.value = 1, 2
    # The window's corner is image[1, 2], its middle image[2, 3] = 13, its last image[3, 4] = 19.
    assert "result[1, 2] = 13·2 + 19·(−1) ≈ 7" in explorer.readout.value
    explorer.padding.value, explorer.stride.value = 1, 2
    # Now its corner is image[1 * 2 - 1, 2 * 2 - 1]: the last column of the window is padding.
    assert "result[1, 2] = 14·2 + 0·(−1) ≈ 28" in explorer.readout.value


def test_figure_shows_the_result(explorer):
    """Where the largest and the smallest value stand, the picture is yellow and blue."""
    explorer.preset.value = "vertical edges"
    panels = explorer.panels
    np.testing.assert_array_equal(panels.result_picture.get_array(), explorer.result)
    np.testing.assert_array_equal(panels.kernel_picture.get_array(), explorer.kernel)
    assert [text.get_text() for text in panels.numbers[:3]] == ["−1", "0", "1"]
    pixels = np.asarray(Image.open(io.BytesIO(explorer.figure.value))).astype(int)
    height = len(pixels)
    for place, blue_wins in [(explorer.result.argmin(), True), (explorer.result.argmax(), False)]:
        row, column = np.unravel_index(place, explorer.result.shape)
        x, y = panels.result.transData.transform((column, row))
        red, _, blue = pixels[height - 1 - round(y), round(x)]
        assert (blue > red) == blue_wins


def test_window_is_drawn_where_the_value_comes_from(explorer):
    explorer.padding.value, explorer.stride.value = 1, 2
    explorer.row.value, explorer.column.value = 3, 5
    # Value [3, 5] sees rows 3 * 2 - 1 = 5 to 7 and columns 5 * 2 - 1 = 9 to 11.
    assert tuple(explorer.panels.window.get_xy()) == (8.5, 4.5)
    assert tuple(explorer.panels.pixel.get_xy()) == (4.5, 2.5)


def test_preset_becomes_my_own_when_a_number_moves(explorer):
    assert explorer.preset.value == "vertical edges"
    explorer.cells[4].value = 1.5
    assert explorer.preset.value == "my own"
    assert explorer.kernel[1, 1] == 1.5
    explorer.preset.value = "identity"
    assert [cell.value for cell in explorer.cells] == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    np.testing.assert_array_equal(explorer.result, explorer.image[1:-1, 1:-1])


def test_a_preset_is_one_redraw(explorer):
    """Ten values change with a preset; drawing each would take a second."""
    draw, drawn = explorer.panels.draw, []
    explorer.panels.draw = lambda *arguments: drawn.append(1) or draw(*arguments)
    explorer.preset.value = "blur"
    assert len(drawn) == 1
    explorer.stride.value = 4  # moves the sliders of the marked place too
    assert len(drawn) == 2


def test_every_preset_survives_a_browser(explorer):
    """A browser moves a slider to its nearest step: every preset must stand on steps."""
    for name, (values, divisor) in widgets.KERNELS.items():
        explorer.preset.value = name
        np.testing.assert_array_equal(explorer.kernel, np.array(values) / divisor)
        for cell in explorer.cells:
            cell.value = min(max(round(cell.value / cell.step) * cell.step, cell.min), cell.max)
        assert explorer.preset.value == name
        np.testing.assert_array_equal(explorer.kernel, np.array(values) / divisor)


def test_two_threads_lose_no_change(explorer):
    """JupyterLab has the messages of two controls handled in two threads."""
    draw = explorer.panels.draw
    drawing, go_on = threading.Event(), threading.Event()

    def slow_draw(*arguments):
        drawing.set()
        go_on.wait(10)
        return draw(*arguments)

    explorer.panels.draw = slow_draw
    first = threading.Thread(target=setattr, args=(explorer.stride, "value", 2))
    second = threading.Thread(target=setattr, args=(explorer.preset, "value", "identity"))
    first.start()
    drawing.wait(10)
    second.start()
    second.join(0.2)
    go_on.set()
    first.join(10)
    second.join(10)
    assert explorer.preset.value == "identity"
    np.testing.assert_array_equal(explorer.result, explorer.image[1:-1:2, 1:-1:2])


def test_place_follows_a_shrinking_result(explorer):
    explorer.row.value, explorer.column.value = 17, 23
    explorer.stride.value = 4
    assert (explorer.row.value, explorer.column.value) == (4, 5)
    assert (explorer.row.max, explorer.column.max) == (4, 5)


def test_no_output_is_said_and_ends():
    explorer = widgets.convolution_explorer(np.ones((2, 5)))
    assert explorer.result is None
    assert "no output" in explorer.readout.value
    assert "2 × 5" in explorer.readout.value
    assert explorer._repr_mimebundle_()[0]["image/png"].startswith(b"\x89PNG")
    explorer.padding.value = 1
    assert explorer.result.shape == (2, 5)
    assert "no output" not in explorer.readout.value


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (1, 300), (64, 64)])
def test_large_images_are_averaged_down(size):
    image = np.tile([[0.0, 1.0]], (size[0], size[1] // 2))
    shown = widgets.convolution_explorer(image, max_size=100).image
    assert max(shown.shape) == min(max(size), 100)
    assert shown.mean() == pytest.approx(0.5, abs=0.01)


def test_uint8_is_taken_as_a_fraction():
    image = np.full((1, 8, 8), 255, dtype=np.uint8)
    assert widgets.convolution_explorer(image).image.max() == 1.0


@pytest.mark.parametrize(
    ("image", "error", "said"),
    [
        (np.zeros((3, 8, 8)), ValueError, "image.mean"),
        (np.zeros(8), ValueError, "expected a grey image"),
        (np.zeros((0, 8)), ValueError, "expected a grey image"),
        (np.zeros((8, 8), dtype=int), TypeError, "image / 255"),
    ],
)
def test_images_that_cannot_be_shown(image, error, said):
    with pytest.raises(error, match=said):
        widgets.convolution_explorer(image)


@pytest.mark.parametrize(
    "kernel",
    [np.zeros((2, 2)), np.full((3, 3), 5.25), np.full((3, 3), 0.1), np.full((3, 3), np.nan)],
)
def test_kernels_that_cannot_be_shown(image, kernel):
    with pytest.raises(ValueError, match=r"expected a kernel \(3, 3\)"):
        widgets.convolution_explorer(image, kernel=kernel)


@pytest.mark.parametrize("make", ["explorer", "pad"])
def test_bundle_has_widget_picture_and_words(image, make):
    one, two = (
        widgets.convolution_explorer(image)
        if make == "explorer"
        else widgets.digit_pad(lambda image: np.eye(10)[3], example=np.ones((1, 28, 28)))
        for _ in range(2)
    )
    content, metadata = one._repr_mimebundle_()
    assert set(content) == {"text/plain", "image/png", VIEW}
    assert type(content["image/png"]) is bytes  # the only type that the kernel encodes
    assert Image.open(io.BytesIO(content["image/png"])).width > 400
    assert content[VIEW]["model_id"] == one.widget.model_id
    assert content["text/plain"] == two._repr_mimebundle_()[0]["text/plain"]
    assert "0x" not in content["text/plain"]
    assert len(metadata["image/png"]["alt"]) > 40


@pytest.fixture(scope="module")
def digits():
    return data.load_mnist().test_images


def centre_of_mass(image):
    indices = np.arange(28)
    return (
        np.array([(image.sum(axis=1) * indices).sum(), (image.sum(axis=0) * indices).sum()])
        / image.sum()
    )


def test_centring_leaves_mnist_as_it_is(digits):
    for digit in digits[:500]:
        image = widgets.centre_digit(digit[0])
        assert image.shape == (1, 28, 28)
        assert image.dtype == np.float32
        np.testing.assert_allclose(image, digit / 255, atol=1e-6)


@pytest.mark.parametrize(("enlarge", "top", "left"), [(1, 0, 0), (3, 100, 5), (5, 40, 90)])
def test_centring_undoes_place_and_size(digits, enlarge, top, left):
    for digit in digits[:50]:
        drawing = np.zeros((240, 240), dtype=np.uint8)
        large = digit[0].repeat(enlarge, axis=0).repeat(enlarge, axis=1)
        drawing[top : top + len(large), left : left + len(large)] = large
        image = widgets.centre_digit(drawing)
        np.testing.assert_allclose(image, digit / 255, atol=1e-6)
        assert np.abs(centre_of_mass(image[0]) - 14).max() < 1


def test_centring_keeps_the_shape_of_a_long_stroke():
    drawing = np.zeros((112, 112), dtype=np.uint8)
    drawing[50:60, 0:80] = 255  # a dash, eight times as long as it is high
    image = widgets.centre_digit(drawing)[0]
    assert np.count_nonzero(image.any(axis=0)) == 20
    assert np.count_nonzero(image.any(axis=1)) in (2, 3)
    assert image.max() == 1.0


def test_centring_of_nothing_is_nothing():
    assert not widgets.centre_digit(np.zeros((112, 112), dtype=np.uint8)).any()


def test_pad_asks_and_shows_the_answer(digits):
    asked = []

    def predict(image):
        asked.append(image)
        return torch.softmax(torch.arange(10.0), dim=0)  # a tensor will do

    pad = widgets.digit_pad(predict, example=digits[0])
    np.testing.assert_allclose(pad.image, digits[0] / 255, atol=1e-6)
    assert asked[-1] is pad.image
    np.testing.assert_allclose(pad.widget.probabilities, pad.probabilities)
    assert "longest stands at 9" in pad._repr_mimebundle_()[1]["image/png"]["alt"]


def test_drawing_from_the_browser_arrives(digits):
    """Bytes come as a memoryview, which the trait alone would drop without a word."""
    pad = widgets.digit_pad(lambda image: np.full(10, image.mean()))
    assert pad.widget.probabilities == []
    drawing = np.zeros((112, 112), dtype=np.uint8)
    drawing[20:80, 50:60] = 255
    pad.widget.set_state({"drawing": memoryview(drawing.tobytes())})
    assert pad.image.max() == 1.0
    assert pad.widget.probabilities[0] == pytest.approx(pad.image.mean())
    pad.widget.set_state({"drawing": memoryview(bytes(112 * 112))})
    assert pad.widget.probabilities == []


def test_pad_refuses_what_it_cannot_use():
    with pytest.raises(ValueError, match="10 probabilities for one image, got shape"):
        widgets.digit_pad(lambda image: np.zeros((1, 10)))
    with pytest.raises(ValueError, match=r"expected an example \(1, 28, 28\)"):
        widgets.digit_pad(lambda image: np.zeros(10), example=np.zeros((28, 28)))


def test_script_asks_for_nothing_outside():
    script = str(widgets.digits._PadWidget._esm)
    assert "export default { render }" in script
    assert not any(word in script for word in ("http", "//cdn", "import ", "fetch("))
