"""The drawing pad: a digit drawn by mouse, finger or keyboard, and what a network makes of it."""

import threading
from collections.abc import Callable
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cnnlib.plots import ACCENT
from cnnlib.widgets.shown import live_and_stored, png_bytes

PAD_SIZE = 112  # pixels of the pad, four for each of the 28 of an MNIST image


def digit_pad(predict: Callable, *, example=None) -> "DigitPad":
    """A pad to draw a digit on, with the probabilities redrawn after every stroke.

    Args:
        predict: takes an image (1, 28, 28), float32 in 0..1, white on black; returns 10
            probabilities.
        example: a digit to begin with, (1, 28, 28), uint8 or float in 0..1; the first stroke wipes
            it away. None begins with an empty pad.

    Returns:
        The pad: `image` is what `predict` saw last, `probabilities` what it answered.

    Raises:
        ValueError: `predict` does not return 10 numbers, or the example is not (1, 28, 28).

    Example:
        >>> pad = digit_pad(lambda image: np.full(10, 0.1))
        >>> pad.image.shape
        (1, 28, 28)

    Taught in notebook 00.
    """
    return DigitPad(predict, example)


def centre_digit(drawing: np.ndarray) -> np.ndarray:
    """Scale and centre a drawing as MNIST's digits were.

    The digit's longer side becomes 20 pixels, and its centre of mass moves to row 14, column 14
    of a 28 × 28 image.

    Args:
        drawing: (H, W), uint8 in 0..255 or float in 0..1, white on black.

    Returns:
        The image (1, 28, 28), float32 in 0..1; all zero for an empty drawing.

    Example:
        >>> drawing = np.zeros((100, 80))
        >>> drawing[30:70, 10:20] = 1.0      # a stroke of 40 × 10 pixels, on the left
        >>> image = centre_digit(drawing)
        >>> rows, columns = np.nonzero(image[0])
        >>> int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        (20, 5)

    Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
    Taught in notebook 00.
    """
    pixels = drawing / 255 if drawing.dtype == np.uint8 else drawing
    pixels = pixels.astype(np.float32)
    rows, columns = np.nonzero(pixels)
    image = np.zeros((1, 28, 28), dtype=np.float32)
    if rows.size == 0:
        return image
    digit = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = 20 / max(digit.shape)
    height, width = (max(round(size * scale), 1) for size in digit.shape)
    resized = Image.fromarray(digit).resize((width, height), Image.Resampling.BOX)
    digit = np.asarray(resized)
    top = _first_index(digit.sum(axis=1))
    left = _first_index(digit.sum(axis=0))
    image[0, top : top + height, left : left + width] = digit
    return image


def _first_index(mass: np.ndarray) -> int:
    """Where a profile must start in 28 pixels for its centre of mass to come to index 14."""
    centre = (mass * np.arange(len(mass))).sum() / mass.sum()
    return int(np.clip(round(14 - centre), 0, 28 - len(mass)))


class _PadWidget(anywidget.AnyWidget):
    """The part that lives in the browser: sends the drawing, shows the probabilities."""

    _esm = Path(__file__).with_name("digits.js")
    # Bytes arrive as a memoryview, which the trait would refuse without a word.
    drawing = traitlets.Bytes().tag(sync=True, from_json=lambda value, widget: bytes(value))
    probabilities = traitlets.List(traitlets.Float()).tag(sync=True)


class DigitPad:
    """The pad of `digit_pad`: `widget` in the browser, `image` and `probabilities` here."""

    def __init__(self, predict: Callable, example=None):
        self.predict = predict
        # A front end may have two messages handled in two threads at once.
        self._lock = threading.Lock()
        drawing = np.zeros((PAD_SIZE, PAD_SIZE), dtype=np.uint8)
        if example is not None:
            drawing = _enlarge(np.asarray(example))
        self.widget = _PadWidget(drawing=drawing.tobytes())
        self._update()
        self.widget.observe(self._on_drawing, names="drawing")

    def _on_drawing(self, change) -> None:
        with self._lock:
            self._update()

    def _update(self) -> None:
        drawing = np.frombuffer(self.widget.drawing, dtype=np.uint8).reshape(PAD_SIZE, PAD_SIZE)
        self.image = centre_digit(drawing)
        self.probabilities = np.asarray(self.predict(self.image), dtype=float)
        if self.probabilities.shape != (10,):
            raise ValueError(
                "expected predict to return 10 probabilities for one image, "
                f"got shape {self.probabilities.shape}"
            )
        # An empty pad shows no bars: what a network says to a black image is not about a digit.
        self.widget.probabilities = self.probabilities.tolist() if drawing.any() else []

    def __repr__(self) -> str:
        return "DigitPad: draw a digit from 0 to 9"

    def picture(self) -> bytes:
        """The image that `predict` saw and its ten probabilities, as PNG."""
        figure = Figure(figsize=(6.4, 2.9), dpi=80)
        canvas = FigureCanvasAgg(figure)
        seen, bars = figure.subplots(1, 2, width_ratios=(1, 1.2))
        figure.subplots_adjust(left=0.02, right=0.97, bottom=0.18, top=0.88, wspace=0.15)
        seen.imshow(self.image[0], cmap="gray", vmin=0, vmax=1)
        seen.set_title("what the network sees")
        seen.set_axis_off()
        bars.barh(range(10), self.widget.probabilities or [0.0] * 10, color=ACCENT)
        bars.set(xlim=(0, 1), xlabel="probability", ylabel="digit", yticks=range(10))
        bars.invert_yaxis()
        canvas.draw()
        return png_bytes(np.asarray(canvas.buffer_rgba())[..., :3])

    def _repr_mimebundle_(self, include=None, exclude=None):
        alt = "A drawing pad; nothing is drawn yet."
        if self.widget.probabilities:
            digit = int(self.probabilities.argmax())
            alt = (
                f"A digit on the drawing pad, and a bar for each probability; the longest stands "
                f"at {digit}, {self.probabilities[digit]:.0%}."
            )
        return live_and_stored(self.widget, self.picture(), repr(self), alt=alt)


def _enlarge(example: np.ndarray) -> np.ndarray:
    """An example (1, 28, 28) as a drawing of the pad's size, uint8."""
    if example.shape != (1, 28, 28):
        raise ValueError(f"expected an example (1, 28, 28), got {example.shape}")
    pixels = example[0] if example.dtype == np.uint8 else np.round(example[0] * 255)
    picture = Image.fromarray(pixels.astype(np.uint8))
    return np.asarray(picture.resize((PAD_SIZE, PAD_SIZE), Image.Resampling.NEAREST))
