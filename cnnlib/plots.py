"""Figures of the workbook: take and return matplotlib objects, never call show.

A notebook cell that draws ends in `plots.picture(figure, alt="…")`: the picture, and the words that
stand for it where it cannot be seen.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

DPI = 80
ACCENT, BLUE = "#c2410c", "#3b6ea5"


@dataclass(frozen=True)
class Picture:
    """A finished figure as PNG, with its alternative text."""

    png: bytes
    alt: str

    def __repr__(self) -> str:
        return f"[Figure: {self.alt}]"

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {"image/png": self.png, "text/plain": repr(self)}
        return data, {"image/png": {"alt": self.alt}}


def picture(figure: Figure, *, alt: str) -> Picture:
    """Render a figure, close it, and give it alternative text.

    Args:
        figure: any matplotlib figure.
        alt: what the figure shows, in one or two sentences, for those who cannot see it.

    Returns:
        A Picture: shown as an image in a notebook, as its text elsewhere.

    Example:
        >>> figure, ax = plt.subplots()
        >>> picture(figure, alt="An empty plot, to show how a picture is made.")
        [Figure: An empty plot, to show how a picture is made.]

    Taught in notebook 00.
    """
    if not alt.strip():
        raise ValueError("expected alt text that says what the figure shows, got an empty string")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight")
    plt.close(figure)
    return Picture(_small_png(buffer), alt)


def _small_png(buffer: io.BytesIO) -> bytes:
    """The same picture in 256 colours: a third of the size, so that notebooks stay small."""
    small = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        small, format="png", optimize=True
    )
    return small.getvalue()


def draw_image(image: np.ndarray, ax: Axes, *, title: str = "", signed: bool = False) -> Axes:
    """Draw one image on `ax`, without ticks.

    Args:
        image: (H, W), (1, H, W) or (3, H, W); uint8 in 0..255 or float in 0..1. With `signed`, any
            range: zero is middle grey, negative darker, positive brighter.
        ax: where to draw.
        title: what stands above it.
        signed: whether the values have a sign that matters.

    Returns:
        The same Axes.

    Raises:
        ValueError: the array is not an image of one of these shapes.

    Example:
        >>> draw_image(np.zeros((1, 4, 6)), plt.figure().subplots()).images[0].get_size()
        (4, 6)

    Taught in notebook 01.
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[0] not in (1, 3)):
        raise ValueError(
            f"expected an image (H, W), (1, H, W) or (3, H, W), got {image.shape}; "
            "for a batch use show_images, for an image (H, W, 3) use image.transpose(2, 0, 1)"
        )
    if image.ndim == 3 and image.shape[0] == 3:
        ax.imshow(np.moveaxis(image, 0, -1) if not signed else np.moveaxis(_grey(image), 0, -1))
    else:
        top = 255 if image.dtype == np.uint8 else 1.0
        low, high = (-np.abs(image).max(), np.abs(image).max()) if signed else (0, top)
        ax.imshow(image.reshape(image.shape[-2:]), cmap="gray", vmin=low, vmax=high)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=10)
    return ax


def _grey(image: np.ndarray) -> np.ndarray:
    return 0.5 + image / (2 * max(np.abs(image).max(), 1e-12))


def show_images(
    images: Sequence[np.ndarray],
    titles: Sequence[str] = (),
    *,
    columns: int = 5,
    size: float = 2.0,
    signed: Sequence[bool] | bool = False,
) -> Figure:
    """Draw images in a grid.

    Args:
        images: a batch (N, C, H, W) or a list of images as `draw_image` takes them.
        titles: one for each image, or none.
        columns: images a row.
        size: width of each, in inches.
        signed: for all, or one for each image.

    Returns:
        The Figure.

    Example:
        >>> len(show_images(np.zeros((3, 1, 8, 8)), ["a", "b", "c"]).axes)
        3

    Taught in notebook 01.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    tallest = max(np.shape(image)[-2] / np.shape(image)[-1] for image in images)
    height = (size * tallest + 0.3) * rows
    figure, axes = plt.subplots(rows, columns, figsize=(size * columns, height), squeeze=False)
    signs = [signed] * len(images) if isinstance(signed, bool) else signed
    for position, ax in enumerate(axes.flat):
        if position >= len(images):
            ax.remove()
            continue
        title = titles[position] if titles else ""
        draw_image(images[position], ax, title=title, signed=signs[position])
    figure.tight_layout(pad=0.5)
    return figure


def draw_numbers(
    values: np.ndarray,
    ax: Axes,
    *,
    title: str = "",
    window: tuple[int, int, int, int] | None = None,
) -> Axes:
    """Draw a small matrix as shaded squares with its numbers written in them.

    Args:
        values: (H, W), at most about 12 by 12.
        ax: where to draw.
        title: what stands above it.
        window: (row, column, height, width) of a frame to draw around some of the squares.

    Returns:
        The same Axes.

    Example:
        >>> len(draw_numbers(np.eye(3), plt.figure().subplots()).texts)
        9

    Taught in notebook 02.
    """
    H, W = values.shape
    largest = max(np.abs(values).max(), 1e-12)
    ax.imshow(values, cmap="gray", vmin=-1.6 * largest, vmax=1.15 * largest)
    for row in range(H):
        for column in range(W):
            shade = (values[row, column] + 1.6 * largest) / (2.75 * largest)
            ax.text(
                column,
                row,
                f"{values[row, column]:.3g}",
                ha="center",
                va="center",
                color="black" if shade > 0.45 else "white",
            )
    if window is not None:
        row, column, height, width = window
        corner = (column - 0.5, row - 0.5)
        ax.add_patch(
            Rectangle(
                corner, width, height, fill=False, edgecolor=ACCENT, linewidth=3, clip_on=False
            )
        )
    ax.set(xticks=range(W), yticks=range(H))
    ax.tick_params(length=0, labelsize=8, colors="gray")
    ax.set_title(title, fontsize=10)
    return ax


def convolution_step(image: np.ndarray, kernel: np.ndarray, row: int, column: int) -> Figure:
    """Show how one output pixel is made: window, kernel, their products, the output so far.

    Args:
        image: (H, W), small.
        kernel: (kh, kw).
        row: of the output pixel.
        column: of the output pixel.

    Returns:
        The Figure, with four panels.

    Example:
        >>> len(convolution_step(np.ones((5, 5)), np.ones((3, 3)), 0, 1).axes)
        4

    Taught in notebook 02.
    """
    kh, kw = kernel.shape
    windows = np.lib.stride_tricks.sliding_window_view(image, (kh, kw))
    result = np.einsum("rcij,ij->rc", windows, kernel)
    products = windows[row, column] * kernel
    figure, axes = plt.subplots(1, 4, figsize=(11, 3), width_ratios=(image.shape[1], kw, kw, kw))
    draw_numbers(image, axes[0], title="image, with one window", window=(row, column, kh, kw))
    draw_numbers(kernel, axes[1], title="kernel")
    draw_numbers(products, axes[2], title=f"products, sum {products.sum():.3g}")
    draw_numbers(result, axes[3], title="output", window=(row, column, 1, 1))
    figure.tight_layout()
    return figure


def draw_bars(
    values: dict[str, float], ax: Axes, *, xlabel: str, logarithmic: bool = False
) -> Axes:
    """Draw named values as horizontal bars, the first on top, each with its number.

    Args:
        values: label -> value.
        ax: where to draw.
        xlabel: what is measured, with its unit.
        logarithmic: whether each step to the right multiplies.

    Returns:
        The same Axes.

    Example:
        >>> ax = plt.figure().subplots()
        >>> draw_bars({"a": 1.0, "b": 2.0}, ax, xlabel="time in s").get_xlabel()
        'time in s'

    Taught in notebook 02.
    """
    labels = list(values)
    bars = ax.barh(labels, list(values.values()), color=BLUE, log=logarithmic)
    ax.bar_label(bars, [f" {float(f'{v:.3g}'):,g}" for v in values.values()], fontsize=9)
    ax.invert_yaxis()
    ax.set_xlabel(xlabel)
    ax.margins(x=0.15)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def show_stages(stages: dict[str, np.ndarray], *, rows: int = 4, size: float = 1.5) -> Figure:
    """Show what a network makes of one image: a column of pictures for each stage.

    Args:
        stages: title -> maps (K, h, w), of which the first `rows` are drawn, or a vector (K,),
            which is drawn as bars.
        rows: the most maps in a column.
        size: width of a column, in inches.

    Returns:
        The Figure.

    Example:
        >>> len(show_stages({"maps": np.zeros((2, 5, 5)), "scores": np.ones(10)}).axes)
        3

    Taught in notebook 00.
    """
    figure = plt.figure(figsize=(size * len(stages) + 1, size * rows), layout="constrained")
    columns = figure.subfigures(1, len(stages), squeeze=False)[0]
    for part, (title, values) in zip(columns, stages.items(), strict=True):
        part.suptitle(title, fontsize=9)
        if values.ndim == 1:
            ax = part.subplots()
            ax.barh(range(len(values)), values, color=BLUE)
            ax.set(yticks=range(len(values)), xlim=(0, 1), xlabel="probability")
            ax.invert_yaxis()
            continue
        shown = values[:rows]
        for ax, values_2d in zip(part.subplots(rows, 1, squeeze=False)[:, 0], shown, strict=False):
            ax.imshow(values_2d, cmap="gray")
        for ax in part.axes:
            ax.set(xticks=[], yticks=[])
        for ax in part.axes[len(shown) :]:
            ax.remove()
    return figure
