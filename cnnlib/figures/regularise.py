"""Figures of notebook 10: what a norm averages, curves with points, ablations, calibration."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cnnlib.figures.curves import COLOURS, MARKS, STYLES
from cnnlib.plots import draw_bars


def shared_means(num_images: int = 4, num_channels: int = 6, num_groups: int = 2) -> Figure:
    """Show which maps of a batch share a mean, for four norms.

    Args:
        num_images, num_channels: of the batch; each square stands for one map of H × W numbers.
        num_groups: of the group norm.

    Returns:
        The Figure: a panel for batch, layer, group and instance norm; squares with the same letter
        share a mean and a variance.

    Example:
        >>> [ax.get_title() for ax in shared_means().axes][0]
        'batch norm: 6 means'

    Taught in notebook 10.
    """
    images, channels = np.mgrid[:num_images, :num_channels]
    group = channels // (num_channels // num_groups)
    kinds = {
        "batch norm": channels,
        "layer norm": images,
        f"group norm, {num_groups} groups": images * num_groups + group,
        "instance norm": images * num_channels + channels,
    }
    figure, axes = plt.subplots(1, len(kinds), figsize=(11, 2.5))
    for (name, numbers), ax in zip(kinds.items(), axes, strict=True):
        count = numbers.max() + 1
        ax.imshow(numbers / max(1, count - 1), cmap="Blues", vmin=-0.5, vmax=1.6)
        for n, c in np.ndindex(numbers.shape):
            ax.text(c, n, chr(ord("a") + numbers[n, c]), ha="center", va="center", fontsize=9)
        ax.set(xticks=range(num_channels), yticks=range(num_images), xlabel="channel")
        ax.set_title(f"{name}: {count} means", fontsize=10)
        ax.tick_params(length=0, labelsize=8)
    axes[0].set_ylabel("image")
    figure.tight_layout()
    return figure


def ablation(
    groups: dict[str, dict[str, Sequence[float]]], *, num_seeds: int, marked: dict[str, float]
) -> Figure:
    """Show accuracies of several recipes with their 95 % intervals, in panels side by side.

    Args:
        groups: title of a panel -> name of a recipe -> its accuracies, one a seed. The first of a
            panel is the one that the others are compared with.
        num_seeds: how many there are, for the label.
        marked: name of a recipe -> an accuracy of its own to mark with a cross.

    Returns:
        The Figure.

    Example:
        >>> runs = {"base": [0.8, 0.82], "base + flip": [0.84, 0.85]}
        >>> len(ablation({"added": runs}, num_seeds=2, marked={}).axes)
        1

    Taught in notebook 10.
    """
    rows = [len(runs) for runs in groups.values()]
    figure, axes = plt.subplots(
        1, len(groups), figsize=(11, 0.34 * max(rows) + 1), sharex=True, squeeze=False
    )
    for ax, (title, runs) in zip(axes[0], groups.items(), strict=True):
        for row, (name, accs) in enumerate(runs.items()):
            accs = np.array(accs)
            half = _interval(accs)
            ax.plot(accs, np.full(len(accs), row), "|", color="0.6", ms=9)
            ax.errorbar(accs.mean(), row, xerr=half, fmt="o", color=COLOURS[row > 0], capsize=3)
            if name in marked:
                ax.plot(marked[name], row, "x", color="black", ms=8, mew=2)
        first = np.mean(next(iter(runs.values())))
        ax.axvline(first, color="0.7", lw=0.9, ls="--")
        ax.set_yticks(range(len(runs)), list(runs), fontsize=9)
        ax.invert_yaxis()
        ax.set_title(title, fontsize=10)
        ax.set_xlabel(f"test accuracy: mean of {num_seeds} seeds, 95 % interval")
        ax.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure


T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}


def _interval(values: np.ndarray) -> float:
    """Half the width of the 95 % interval of the mean, by Student's t."""
    return float(T_95[len(values)] * values.std(ddof=1) / np.sqrt(len(values)))


def reliability(models: dict[str, tuple[np.ndarray, np.ndarray]], *, num_bins: int = 10) -> Figure:
    """Show how often networks are right when they are so and so sure.

    Args:
        models: name -> (confidence (N,), 0 to 1, and whether the answer is right (N,)).
        num_bins: of the confidence.

    Returns:
        The Figure; points on the diagonal are honest, below it are too sure.

    Example:
        >>> sure, right = np.array([0.9, 0.95]), np.array([True, False])
        >>> len(reliability({"a": (sure, right)}).axes)
        1

    Taught in notebook 10.
    """
    figure, ax = plt.subplots(figsize=(4.6, 4.2))
    ax.plot([0, 1], [0, 1], color="0.6", lw=1, ls="--", label="honest")
    for number, (name, (sure, right)) in enumerate(models.items()):
        bins = np.minimum((sure * num_bins).astype(int), num_bins - 1)
        kept = [b for b in range(num_bins) if (bins == b).sum() >= 20]
        points = [(sure[bins == b].mean(), right[bins == b].mean()) for b in kept]
        look = {"color": COLOURS[number], "marker": MARKS[number], "ls": STYLES[number]}
        ax.plot(*np.transpose(points), label=name, **look) if points else None
    ax.set(xlabel="confidence, probability 0 to 1", ylabel="share of right answers")
    ax.set(xlim=(0.2, 1.02), ylim=(0.1, 1.02))
    ax.legend(fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def kept_table(kept: dict[str, Sequence[float]]) -> Figure:
    """Show which share of each class is still recognised after each change, as a shaded table.

    Args:
        kept: name of a change -> shares (num_classes,), 0 to 1.

    Returns:
        The Figure.

    Example:
        >>> len(kept_table({"mirrored": [1.0, 0.2]}).axes[0].texts)
        2

    Taught in notebook 10.
    """
    shares = np.array(list(kept.values()))
    figure, ax = plt.subplots(figsize=(0.62 * shares.shape[1] + 1.6, 0.4 * len(shares) + 0.7))
    ax.imshow(shares, cmap="Blues_r", vmin=-0.2, vmax=1.1, aspect="auto")
    for row, column in np.ndindex(shares.shape):
        share = shares[row, column]
        look = {"ha": "center", "va": "center", "color": "white" if share < 0.45 else "black"}
        ax.text(column, row, f"{share:.2f}", fontsize=9, **look)
    ax.set_yticks(range(len(shares)), list(kept))
    ax.set_xticks(range(shares.shape[1]))
    ax.set_xlabel("class: which share is still recognised")
    ax.tick_params(length=0)
    return figure


def show_bars(values: dict[str, float], *, xlabel: str) -> Figure:
    """Show named values as bars, the first on top.

    Example:
        >>> len(show_bars({"a": 0.5, "b": 0.6}, xlabel="accuracy").axes[0].patches)
        2

    Taught in notebook 10.
    """
    figure, ax = plt.subplots(figsize=(6.5, 0.4 * len(values) + 0.6))
    draw_bars(values, ax, xlabel=xlabel)
    return figure
