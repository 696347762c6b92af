"""Figures of notebook 13: a roofline, a waterfall of speeds, chunks on their way round a ring."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cnnlib.figures.curves import MARKS
from cnnlib.plots import ACCENT, BLUE


def roofline(
    points: dict[str, tuple[float, float]], *, peak: float, bandwidths: dict[str, float]
) -> Figure:
    """Show how fast operations run, under the roof that the machine sets for their intensity.

    Args:
        points: name -> (intensity in FLOP a byte, speed in FLOP/s).
        peak: of the matrix product, in FLOP/s.
        bandwidths: name -> bytes a second; each gives a slope of its own.

    Returns:
        The Figure, with both axes logarithmic.

    Example:
        >>> figure = roofline({"ReLU": (0.1, 1e9)}, peak=1e11, bandwidths={"memory": 1e10})
        >>> figure.axes[0].get_xlabel()
        'arithmetic intensity, FLOP a byte'

    Taught in notebook 13.
    """
    figure, ax = plt.subplots(figsize=(7, 4.2))
    intensities = np.geomspace(0.02, 2000, 200)
    slopes = sorted(bandwidths.items(), key=lambda item: -item[1])
    for (name, bandwidth), style in zip(slopes, ("--", "-"), strict=False):
        roof = np.minimum(peak, bandwidth * intensities) / 1e9
        words = f"{name}, {bandwidth / 1e9:.0f} GB/s"
        ax.plot(intensities, roof, ls=style, color="0.35", lw=1.6, label=words)
    ax.text(1800, 1.1 * peak / 1e9, f"peak {peak / 1e9:.0f} GFLOP/s", ha="right", fontsize=9)
    looks = [(mark, colour) for mark in MARKS for colour in (BLUE, ACCENT)]
    for (name, (intensity, speed)), (mark, colour) in zip(points.items(), looks, strict=False):
        ax.plot(intensity, speed / 1e9, mark, color=colour, ms=8, mec="white", label=name)
    ax.set(xscale="log", yscale="log", xlim=(0.02, 2000), ylim=(None, 3 * peak / 1e9))
    ax.set(xlabel="arithmetic intensity, FLOP a byte", ylabel="speed, GFLOP/s")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return figure


def ladder(micros: dict[str, float], accs: dict[str, float]) -> Figure:
    """Show as a waterfall what a training image costs after each of several changes.

    Args:
        micros: name of the step -> microseconds an image, in order.
        accs: name -> test accuracy after one epoch, where it is known.

    Returns:
        The Figure: each bar reaches from the cost before to the cost after, so that its length is
        the factor gained; orange is a loss.

    Example:
        >>> len(ladder({"a": 900, "b": 100}, {"a": 0.98}).axes[0].patches)
        2

    Taught in notebook 13.
    """
    names, times = list(micros), list(micros.values())
    figure, ax = plt.subplots(figsize=(6.4, 0.44 * len(names) + 0.9))
    low, high = 0.7 * min(times), 1.2 * max(times)
    columns = ((1.12, "µs"), (1.26, "gain"), (1.44, "one epoch"))
    beside = {"transform": ax.get_yaxis_transform(), "ha": "right", "fontsize": 9}
    for place, title in columns:
        ax.text(place, -0.85, title, color="0.35", **beside)
    for row, (name, after) in enumerate(micros.items()):
        before = times[row - 1] if row else low
        colour = BLUE if row and after < before else ACCENT if row else "0.55"
        ax.barh(row, after - before, left=before, color=colour, height=0.62)
        if row:
            ax.plot([before] * 2, [row - 1, row], color="0.4", lw=0.9)
        gain = f"{before / after:.1f} ×" if row else ""
        acc = f"{100 * accs[name]:.2f} %" if name in accs else ""
        for (place, _), words in zip(columns, (f"{after:,.0f}", gain, acc), strict=True):
            ax.text(place, row, words, va="center", **beside)
    ax.set_yticks(range(len(names)), names)
    ax.set(xscale="log", xlim=(low, high), xlabel="cost of one training image, µs")
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def ring(num_workers: int = 4) -> Figure:
    """Show the reduce-scatter step by step: how many workers' values each chunk holds already.

    Args:
        num_workers: of the ring, 2 to 6.

    Returns:
        The Figure: a panel for each step; the framed chunk is the one that a worker sends next.

    Example:
        >>> len(ring(3).axes)
        3

    Taught in notebook 13.
    """
    n = num_workers
    holds = np.ones((n, n), dtype=int)
    figure, axes = plt.subplots(1, n, figsize=(2.6 * n, 2.8), squeeze=False)
    for step, ax in enumerate(axes[0]):
        ax.imshow(holds, cmap="Blues", vmin=0, vmax=1.4 * n)
        for rank, chunk in np.ndindex(n, n):
            ax.text(chunk, rank, f"{holds[rank, chunk]}", ha="center", va="center", fontsize=11)
        ax.set_title(f"after {step} steps" if step != 1 else "after 1 step", fontsize=10)
        ax.set(xticks=range(n), yticks=range(n), xlabel="chunk")
        ax.tick_params(length=0)
        sent = [(rank, (rank - step) % n) for rank in range(n)]
        for rank, chunk in sent:
            last = step == n - 1
            corner, look = (chunk - 0.44, rank - 0.44), {"fill": False, "lw": 2.2}
            place = ((rank + 1) % n - 0.44, rank - 0.44) if last else corner
            ax.add_patch(plt.Rectangle(place, 0.88, 0.88, edgecolor=ACCENT, **look))
        if step < n - 1:
            before = holds.copy()
            for rank, chunk in sent:
                holds[(rank + 1) % n, chunk] += before[rank, chunk]
    axes[0, 0].set_ylabel("worker")
    figure.tight_layout()
    return figure
