"""Figures of notebook 04 that take more than a few lines; see also `plots`."""

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from cnnlib.ops.pooling_variants import adaptive_windows
from cnnlib.plots import ACCENT, BLUE


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
