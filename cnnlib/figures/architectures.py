"""Figures of notebook 11: blocks as boxes, what networks cost, a tournament."""

import json
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from cnnlib import project
from cnnlib.figures.curves import COLOURS, MARKS
from cnnlib.plots import ACCENT, BLUE

BATCH_SIZE = 64  # of the tournament

# Each block from top to bottom: a row of boxes beside each other; then the arcs that pass rows by.
BLOCKS = {
    "VGG": ([["3 × 3"], ["3 × 3"]], ()),
    "Inception": ([["1 × 1", "1 × 1", "1 × 1", "pool"], ["", "3 × 3", "5 × 5", "1 × 1"],
                   ["concatenate"]], ()),
    "ResNet": ([["1 × 1, C/4"], ["3 × 3, C/4"], ["1 × 1, C"], ["+"]], ((0, 3),)),
    "DenseNet": ([["3 × 3, k"], ["concatenate"], ["3 × 3, k"], ["concatenate"]],
                 ((0, 1), (2, 3))),
    "MobileNetV2": ([["1 × 1, 6 C"], ["3 × 3, each map"], ["1 × 1, C"], ["+"]], ((0, 3),)),
    "ConvNeXt": ([["7 × 7, each map"], ["1 × 1, 4 C"], ["1 × 1, C"], ["+"]], ((0, 3),)),
}  # fmt: skip


def show_blocks() -> Figure:
    """Show the blocks of six architectures as boxes, with the ways that pass some of them by.

    Returns:
        The Figure, with a panel for each block.

    Example:
        >>> [ax.get_title() for ax in show_blocks().axes][2]
        'ResNet'

    Taught in notebook 11.
    """
    widths = [max(len(row) for row in rows) for rows, _ in BLOCKS.values()]
    figure, axes = plt.subplots(
        1, len(BLOCKS), figsize=(13, 3.1), width_ratios=[max(1.7, width) for width in widths]
    )
    for ax, (name, (rows, arcs)) in zip(axes, BLOCKS.items(), strict=True):
        _draw_block(ax, rows, arcs)
        ax.set_title(name, fontsize=11)
    figure.tight_layout()
    return figure


def _draw_block(ax: Axes, rows: list[list[str]], arcs: Sequence[tuple[int, int]]) -> None:
    """Boxes in rows, 1 apart, the first on top; arrows from each row to the next."""
    width = max(len(row) for row in rows)
    middle = (width - 1) / 2
    half = 0.42 if width > 1 else 0.62
    places = {}
    for number, row in enumerate(rows):
        for position, text in enumerate(row):
            x = middle if len(row) == 1 else position
            if not text:  # the way of the 1 × 1 goes straight down
                continue
            joins = text in ("+", "concatenate")
            wide = middle + half if joins and len(row) < width else half
            wide = 0.2 if text == "+" else wide
            box = FancyBboxPatch(
                (x - wide, -number - 0.2), 2 * wide, 0.4, boxstyle="round,pad=0.04",
                facecolor="#f6e3d8" if joins else "#dce7f3", edgecolor=ACCENT if joins else BLUE,
            )  # fmt: skip
            ax.add_patch(box)
            ax.text(x, -number, text, ha="center", va="center", fontsize=9)
            places[number, position] = x
    look = {"arrowstyle": "-|>", "mutation_scale": 9, "color": "0.25", "lw": 1}
    for (number, position), x in places.items():
        above = [n for n in range(number) if (n, position) in places]
        starts = [(p, n) for n, p in places if n == number - 1] if len(rows[number]) == 1 else []
        tops = [above[-1]] if above else []
        for start_x, start_row in (
            [(places[n, p], n) for p, n in starts] if starts else [(x, n) for n in tops]
        ):
            end_x = start_x if len(rows[number]) == 1 and width > 1 else x
            ends = (start_x, -start_row - 0.25), (end_x, -number + 0.25)
            ax.add_patch(FancyArrowPatch(*ends, **look))
        if number == 0:
            ax.add_patch(FancyArrowPatch((x, 0.75), (x, 0.25), **look))
    if width > 1:  # Inception's first way has no second box
        ax.add_patch(FancyArrowPatch((0, -0.25), (0, -len(rows) + 1.25), **look))
    last = -len(rows) + 1
    ax.add_patch(FancyArrowPatch((middle, last - 0.25), (middle, last - 0.75), **look))
    for first, to in arcs:
        join = 0.2 if rows[to][0] == "+" else half
        ax.plot(
            [0, -half - 0.3, -half - 0.3, -join - 0.06],
            [-first + 0.52, -first + 0.52, -to, -to],
            color=ACCENT, lw=1.6,
        )  # fmt: skip
        ax.plot(-join - 0.08, -to, ">", color=ACCENT, ms=5)
    ax.set(xlim=(-half - 0.45, width - 1 + half + 0.1), ylim=(last - 0.8, 0.85))
    ax.axis("off")


def show_published(networks: dict[str, tuple[int, float, float, float]]) -> Figure:
    """Show published accuracies against what an image costs; the area of a dot is the parameters.

    Args:
        networks: name -> (year, parameters, multiply-accumulates, accuracy in per cent).

    Returns:
        The Figure.

    Example:
        >>> len(show_published({"AlexNet": (2012, 6.1e7, 7.1e8, 56.5)}).axes[0].texts)
        1

    Taught in notebook 11.
    """
    figure, ax = plt.subplots(figsize=(8, 4.4))
    for number, (name, (year, parameters, macs, acc)) in enumerate(networks.items()):
        colour = COLOURS[number % len(COLOURS)]
        ax.scatter(macs / 1e9, acc, s=parameters / 1e5, color=colour, alpha=0.45, lw=0)
        ax.plot(macs / 1e9, acc, ".", color=colour, ms=5)
        # Where another dot stands close above, the name goes below.
        others = [
            (m, a) for _, _, m, a in networks.values() if 0.5 < m / macs < 2 and 0 < a - acc < 5
        ]
        away = np.sqrt(parameters / 1e5 / np.pi) + 4
        ax.annotate(
            f"{name}, {year}",
            (macs / 1e9, acc),
            xytext=(0, -away if others else away),
            textcoords="offset points",
            ha="center",
            va="top" if others else "bottom",
            fontsize=9,
        )
    ax.set_xscale("log")
    ax.set(xlabel="10⁹ multiply-accumulates an image, 224 × 224", ylabel="ImageNet accuracy, %")
    ax.margins(0.14, 0.16)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def show_recovered(points: np.ndarray, recovered: dict[int, np.ndarray]) -> Figure:
    """Show points in the plane, and what is left of them after a ReLU in other dimensions.

    Args:
        points: (N, 2), in the order of a curve.
        recovered: number of dimensions -> the points brought back, (N, 2).

    Returns:
        The Figure, with a panel for the points and one for each number of dimensions.

    Example:
        >>> spiral = np.random.default_rng(0).normal(size=(9, 2))
        >>> len(show_recovered(spiral, {2: spiral, 15: spiral}).axes)
        3

    Taught in notebook 11.
    """
    panels = {"before": points} | {f"ReLU in {n} dimensions": p for n, p in recovered.items()}
    figure, axes = plt.subplots(1, len(panels), figsize=(2.35 * len(panels), 2.5))
    limit = 1.15 * np.abs(points).max()
    for ax, (title, shown) in zip(axes, panels.items(), strict=True):
        ax.scatter(*shown.T, c=np.arange(len(shown)), cmap="viridis", s=7)
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], aspect="equal")
        ax.set_title(title, fontsize=10)
    figure.tight_layout()
    return figure


def show_tournament(
    contestants: dict[str, dict], *, rounds: Sequence[str], measured: dict[str, float]
) -> Figure:
    """Show parameters, operations, seconds and accuracies of all contestants in one picture.

    Args:
        contestants: name -> {"parameters", "macs", "step_s" (seconds of a step of 64 images), and
            for each round {"num_images", "acc"}}, as `stored_tournament` gives it.
        rounds: names of two rounds; the contestants stand in the order of the first one's accuracy.
        measured: name -> an accuracy in the second round to mark with a cross.

    Returns:
        The Figure, with four panels.

    Example:
        >>> run = {"num_images": [64, 64], "acc": [0.8, 0.9]}
        >>> one = {"parameters": 5, "macs": 7, "step_s": 0.1}
        >>> one |= {"equal MACs": run, "equal images": run}
        >>> figure = show_tournament({"A": one}, rounds=("equal MACs", "equal images"), measured={})
        >>> len(figure.axes)
        4

    Taught in notebook 11.
    """
    names = sorted(contestants, key=lambda name: np.mean(contestants[name][rounds[0]]["acc"]))
    places = np.arange(len(names))
    figure, axes = plt.subplots(
        1, 4, figsize=(13, 0.36 * len(names) + 1.2), sharey=True, width_ratios=(1, 1, 1.5, 2.2)
    )
    for ax, key, unit, words in (
        (axes[0], "parameters", 1e3, "parameters, thousands"),
        (axes[1], "macs", 1e6, "MACs an image, millions"),
    ):
        values = [contestants[name][key] / unit for name in names]
        bars = ax.barh(places, values, color=BLUE)
        ax.bar_label(bars, [f" {value:.3g}" for value in values], fontsize=8)
        ax.set(xlabel=words, xticks=[])
        ax.margins(x=0.3)
    for number, round_name in enumerate(rounds):
        look = {"color": COLOURS[number], "marker": MARKS[number], "ls": "", "ms": 6}
        runs = [contestants[name][round_name] for name in names]
        up = places + (0.13, -0.13)[number]
        seconds = [
            contestants[name]["step_s"] * run["num_images"][0] / BATCH_SIZE
            for name, run in zip(names, runs, strict=True)
        ]
        axes[2].plot(seconds, up, **look)
        for row, run in zip(up, runs, strict=True):
            axes[3].plot(run["acc"], np.full(len(run["acc"]), row), "|", color="0.55", ms=8)
        axes[3].plot([np.mean(run["acc"]) for run in runs], up, label=round_name, **look)
    for name, acc in measured.items():
        axes[3].plot(acc, names.index(name) - 0.13, "x", color="black", ms=8, mew=2)
    axes[0].set_yticks(places, names)
    axes[2].set(xlabel="seconds of training, one thread", xlim=(0, None))
    axes[3].set(xlabel="test accuracy: mean, and each seed")
    axes[3].legend(fontsize=9, loc="lower right", frameon=False)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="0.92", lw=0.8)
        ax.set_axisbelow(True)
    figure.tight_layout()
    return figure


def stored_tournament() -> dict:
    """What `benchmarks/tournament.py` stored.

    Returns:
        {"contestants": {name: {"parameters", "macs", "lr", "equal MACs", "equal images"}}, …}, and
        "depth", the longer runs of plain and residual networks.

    Raises:
        FileNotFoundError: cnnlib was installed without the benchmarks.

    Example:
        >>> stored_tournament()["contestants"]["LeNet-5"]["parameters"]
        49786

    Taught in notebook 11.
    """
    folder = project.root()
    if folder is None:
        raise FileNotFoundError("expected benchmarks/tournament.json; it comes with a clone")
    return json.loads((folder / "benchmarks" / "tournament.json").read_text(encoding="utf-8"))
