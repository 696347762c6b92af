"""Figures of notebook 04 that take more than a few lines; see also `plots`."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from cnnlib.ops.pooling_variants import adaptive_windows
from cnnlib.plots import ACCENT

BLUE = "#3b6ea5"
LINES = (
    {"color": "0.55", "linestyle": ":", "marker": "o"},
    {"color": BLUE, "linestyle": "--", "marker": "s"},
    {"color": BLUE, "linestyle": "-", "marker": "^"},
    {"color": ACCENT, "linestyle": "-", "marker": "D"},
    {"color": "black", "linestyle": "-.", "marker": "v"},
)


def draw_curves(
    curves: dict[str, Sequence[float]],
    positions: Sequence[float],
    ax: Axes,
    *,
    xlabel: str,
    ylabel: str,
) -> Axes:
    """Draw up to five named curves that can be told apart without colour.

    Args:
        curves: label -> one value for each position.
        positions: where on the horizontal axis, the same for all curves.
        ax: where to draw.
        xlabel: what varies, with its unit.
        ylabel: what is measured, with its unit.

    Returns:
        The same Axes, with a legend at its right.

    Raises:
        ValueError: more than five curves.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> ax = plt.figure().subplots()
        >>> curves = {"one": [1, 2, 3], "two": [3, 2, 1]}
        >>> len(draw_curves(curves, range(3), ax, xlabel="shift", ylabel="share").lines)
        2

    Taught in notebook 04.
    """
    if len(curves) > len(LINES):
        raise ValueError(f"expected at most {len(LINES)} curves, got {len(curves)}")
    for (label, values), line in zip(curves.items(), LINES[: len(curves)], strict=True):
        every = max(len(positions) // 10, 1)  # of long curves only some points get a marker
        ax.plot(positions, values, label=label, markersize=5, markevery=every, **line)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(positions) <= 10:
        ax.set_xticks(positions)
    ax.set_ylim(bottom=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return ax


def draw_adaptive_windows(num_pixels: int, num_windows: int, ax: Axes) -> Axes:
    """Draw a row of pixels, and above it the windows of adaptive pooling as bars.

    Args:
        num_pixels: in the row.
        num_windows: wanted.
        ax: where to draw.

    Returns:
        The same Axes. Each bar spans the pixels of its window and holds their number.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> draw_adaptive_windows(8, 3, plt.figure().subplots()).get_title()
        '8 pixels, 3 windows'

    Taught in notebook 04.
    """
    for pixel in range(num_pixels):
        ax.add_patch(Rectangle((pixel, -1), 1, 0.8, facecolor="0.85", edgecolor="white"))
        ax.text(pixel + 0.5, -0.6, str(pixel), ha="center", va="center", fontsize=8)
    for number, (start, end) in enumerate(adaptive_windows(num_pixels, num_windows)):
        level = number % 2 * 0.75  # neighbours that share a pixel must not hide each other
        bar = Rectangle(
            (start + 0.06, level), end - start - 0.12, 0.6, color=(BLUE, ACCENT)[number % 2]
        )
        ax.add_patch(bar)
        middle = (start + end) / 2
        ax.text(middle, level + 0.3, str(end - start), ha="center", va="center", color="white")
    ax.set(xlim=(-0.1, num_pixels + 0.1), ylim=(-1.1, 1.5))
    ax.set_axis_off()
    ax.set_title(f"{num_pixels} pixels, {num_windows} windows", fontsize=10)
    return ax
