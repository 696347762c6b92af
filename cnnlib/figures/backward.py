"""Figures of notebook 06: gradients flowing through a graph, errors of differences, batch norm."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnlib.plots import ACCENT, BLUE


def draw_flow(
    nodes: dict[str, tuple[float, float, float, float]],
    edges: list[tuple[str, str, str]],
    ax: Axes,
) -> Axes:
    """Draw a graph of numbers: values that flow to the right, gradients that flow back.

    Args:
        nodes: name -> (x, y, value, gradient).
        edges: (from, to, the slope that is written on the way back).
        ax: where to draw.

    Returns:
        The same Axes.

    Example:
        >>> nodes = {"x": (0, 0, 3, 2), "loss": (1, 0, 6, 1)}
        >>> len(draw_flow(nodes, [("x", "loss", "2")], plt.figure().subplots()).texts) >= 5
        True

    Taught in notebook 06.
    """
    for start, end, slope in edges:
        (x1, y1), (x2, y2) = nodes[start][:2], nodes[end][:2]
        for side, color, ends in ((0.07, BLUE, "->"), (-0.07, ACCENT, "<-")):
            style = {"arrowstyle": ends, "color": color, "lw": 1.5, "shrinkA": 34, "shrinkB": 34}
            ax.annotate("", (x2, y2 + side), (x1, y1 + side), arrowprops=style)
        middle = ((x1 + x2) / 2, (y1 + y2) / 2 - 0.17)
        ax.text(*middle, f"· {slope}", color=ACCENT, ha="center", va="top", fontsize=11)
    for name, (x, y, value, gradient) in nodes.items():
        ax.plot(x, y, "o", ms=58, mfc="white", mec="0.4")
        ax.text(x, y + 0.36, name, ha="center", va="bottom", fontsize=12)
        ax.text(x, y + 0.12, f"{value:g}", ha="center", va="center", color=BLUE, fontsize=14)
        ax.text(x, y - 0.12, f"{gradient:g}", ha="center", va="center", color=ACCENT, fontsize=14)
    xs, ys = zip(*[node[:2] for node in nodes.values()], strict=True)
    ax.set(xlim=(min(xs) - 0.45, max(xs) + 0.45), ylim=(min(ys) - 0.4, max(ys) + 0.6))
    ax.axis("off")
    return ax


def error_against_step(steps: np.ndarray, errors: dict[str, np.ndarray]) -> Figure:
    """Plot the error of slopes by differences against the step, on logarithmic axes.

    Args:
        steps: (K,), positive.
        errors: label -> (K,) absolute errors; zeros are left out.

    Returns:
        The Figure, with dashed lines of slope 2 and −1 for the two causes of error.

    Example:
        >>> len(error_against_step(np.array([0.1, 0.01]), {"a": np.array([1.0, 0.1])}).axes)
        1

    Taught in notebook 06.
    """
    figure, ax = plt.subplots(figsize=(8, 4))
    styles = zip(errors, (ACCENT, BLUE, "0.35"), ("o-", "s-", "^-"), strict=False)
    for label, color, style in styles:
        seen = errors[label] > 0
        ax.loglog(steps[seen], errors[label][seen], style, color=color, ms=4, lw=1, label=label)
    coarse, fine = steps[steps >= 3e-5], steps[steps <= 1e-6]
    ax.loglog(coarse, coarse**2 / 2, "k--", lw=1)
    ax.loglog(fine, 1e-16 / fine, "k--", lw=1)
    if coarse.size and fine.size:
        ax.text(3e-2, 1e-9, "falls with\nstep²", fontsize=10)
        ax.text(1e-11, 3e-8, "grows with 1 / step", fontsize=10)
    ax.set(xlabel="step", ylabel="error of the slope", ylim=(1e-13, 1e5))
    ax.invert_xaxis()
    ax.legend(loc="upper right")
    ax.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure


def norm_terms(parts: dict[str, np.ndarray]) -> Figure:
    """Draw what batch norm's backward leaves of a gradient, as bars, step by step.

    Args:
        parts: title -> (n,) one number for each value of a channel.

    Returns:
        The Figure, one panel for each part, all on one scale.

    Example:
        >>> len(norm_terms({"a": np.ones(3), "b": np.zeros(3)}).axes)
        2

    Taught in notebook 06.
    """
    figure, axes = plt.subplots(1, len(parts), figsize=(3 * len(parts), 2.8), sharey=True)
    for ax, (title, values) in zip(axes, parts.items(), strict=True):
        ax.bar(range(len(values)), values, color=[ACCENT if v < 0 else BLUE for v in values])
        ax.axhline(0, color="0.4", lw=1)
        ax.set(xticks=range(len(values)), xlabel="value number")
        ax.set_title(title, fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("gradient")
    figure.tight_layout()
    return figure


def crossover(channels: list[int], times: dict[str, list[float]]) -> Figure:
    """Plot how many times as fast as the first rival each is, against the number of channels.

    Args:
        channels: in and out, one for each measurement.
        times: label -> seconds, one for each number of channels.

    Returns:
        The Figure, with a dashed line at 36 / 16, which is what the count of products promises.

    Example:
        >>> len(crossover([1, 2], {"a": [0.1, 0.2], "b": [0.2, 0.3]}).axes)
        1

    Taught in notebook 06.
    """
    figure, ax = plt.subplots(figsize=(8, 3.4))
    first = np.array(next(iter(times.values())))
    styles = zip(times, ("0.35", ACCENT, BLUE), ("^-", "o-", "s-"), strict=False)
    for label, color, style in styles:
        ax.semilogx(channels, first / times[label], style, color=color, label=label)
    ax.axhline(36 / 16, color="k", ls="--", lw=1)
    ax.text(channels[0], 36 / 16 - 0.04, "36 / 16 products", va="top", fontsize=10)
    ax.set_xticks(channels, [str(number) for number in channels])
    ax.minorticks_off()
    ax.set(xlabel="channels in and out", ylabel="times as fast as im2col", ylim=(0, None))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    ax.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure
