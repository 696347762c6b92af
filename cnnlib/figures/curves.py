"""Curves that can be told apart without colour: the one drawing that many notebooks share."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cnnlib.plots import ACCENT, BLUE

COLOURS = (BLUE, ACCENT, "#3f7d4e", "#7a4b94", "#8a6d1d", "#444444")
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (1, 1)))
MARKS = ("o", "s", "^", "D", "v", "P")


def show_curves(
    curves: dict[str, Sequence[float]],
    x: Sequence[float] | None = None,
    *,
    xlabel: str,
    ylabel: str,
    logarithmic: str = "",
    smooth: int = 1,
    level: float | tuple[float, str] | None = None,
    mark: float | None = None,
    ylim: tuple[float | None, float | None] | None = None,
) -> Figure:
    """Show one line for each name, with points where there are few; the names stand beside.

    Args:
        curves: name -> values, at most six names; NaN leaves a gap.
        x: where the values belong, the same for all; None counts 0, 1, 2, …
        xlabel, ylabel: what varies and what is measured, with units.
        logarithmic: the axes on which each step multiplies: "", "x", "y" or "xy".
        smooth: the mean of this many values is drawn, and the single ones faintly behind.
        level: a height for a thin line across, alone or with its name.
        mark: an x for a dotted line.
        ylim: the range shown; a curve may leave it. None leaves an end free.

    Returns:
        The Figure.

    Raises:
        ValueError: more than six curves.

    Example:
        >>> figure = show_curves({"a": [1, 2], "b": [2, 1]}, xlabel="step", ylabel="loss")
        >>> len(figure.axes[0].lines)
        2

    Taught in notebook 04.
    """
    if len(curves) > len(COLOURS):
        raise ValueError(f"expected at most {len(COLOURS)} curves, got {len(curves)}")
    figure, ax = plt.subplots(figsize=(6.5, 3.2))
    num_points = 0
    for number, (name, values) in enumerate(curves.items()):
        places = np.arange(len(values)) if x is None else np.asarray(x)
        num_points = max(num_points, len(places))
        look = {"color": COLOURS[number], "ls": STYLES[number], "lw": 1.8, "label": name}
        if len(places) <= 12:
            look |= {"marker": MARKS[number], "ms": 5}
        if smooth > 1:
            ax.plot(places, values, color=COLOURS[number], lw=0.5, alpha=0.25)
            values = np.convolve(values, np.ones(smooth) / smooth, mode="valid")
            places = places[smooth - 1 :]
        ax.plot(places, values, **look)
    if level is not None:
        height, words = level if isinstance(level, tuple) else (level, None)
        ax.axhline(height, color="0.5", lw=0.9, ls="--", label=words)
    if mark is not None:
        ax.axvline(mark, color="0.4", lw=1, ls=":")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if "y" in logarithmic:
        ax.set_yscale("log")
    if "x" in logarithmic:
        ax.set_xscale("log")
    if x is None:
        ax.xaxis.get_major_locator().set_params(integer=True)
    elif num_points <= 12:
        ax.set_xticks(x, [f"{value:g}" for value in x])
        ax.xaxis.set_tick_params(which="minor", size=0)
    if ylim is not None:
        ax.set_ylim(*ylim)
    ax.spines[["top", "right"]].set_visible(False)
    if len(ax.get_legend_handles_labels()[1]) > 1:
        ax.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return figure
