"""Figures of notebook 05: what every layer makes of an image, and a digit reader's findings."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnlib.plots import ACCENT, BLUE


def mosaic(maps: np.ndarray, columns: int) -> np.ndarray:
    """Lay maps side by side, row after row, with a gap of one pixel.

    Args:
        maps: (K, h, w).
        columns: maps in a row.

    Returns:
        One image (rows * (h + 1) - 1, columns * (w + 1) - 1); gaps and places left over are NaN.

    Example:
        >>> mosaic(np.ones((5, 2, 3)), columns=3).shape
        (5, 11)

    Taught in notebook 05.
    """
    K, h, w = maps.shape
    rows = -(-K // columns)
    image = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1), np.nan)
    for k, values in enumerate(maps):
        top, left = k // columns * (h + 1), k % columns * (w + 1)
        image[top : top + h, left : left + w] = values
    return image


def whole_network(stages: dict[str, np.ndarray], probabilities: np.ndarray) -> Figure:
    """Show everything that a network makes of one image: all maps of all stages, and the answer.

    Args:
        stages: title -> maps (K, h, w), or features (F,), which are drawn in rows, one square each.
        probabilities: (K,), drawn as bars.

    Returns:
        The Figure, with one panel more than there are stages.

    Example:
        >>> stages = {"maps": np.ones((4, 5, 5)), "features": np.ones(100)}
        >>> len(whole_network(stages, np.full(10, 0.1)).axes)
        3

    Taught in notebook 05.
    """
    grids = []
    for values in stages.values():
        at_most = max(1, int((len(values) / 1.4) ** 0.5))  # higher than wide, and none left over
        columns = max(n for n in range(1, at_most + 1) if len(values) % n == 0)
        if values.ndim == 3:
            grids.append(mosaic(values, columns))
        else:
            grids.append(values.reshape(-1, columns))
    widths = [min(grid.shape[1] / grid.shape[0], 0.5) for grid in grids]
    figure, axes = plt.subplots(
        1, len(grids) + 1, figsize=(13, 4.6), width_ratios=[*widths, 0.4], layout="constrained"
    )
    colours = plt.get_cmap("gray").with_extremes(bad="#dbe7f3")
    for ax, grid, title in zip(axes, grids, stages, strict=False):
        ax.imshow(grid, cmap=colours, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.set_title(title, fontsize=9)
        ax.spines[:].set_visible(False)
    axes[-1].barh(range(len(probabilities)), probabilities, color=BLUE)
    axes[-1].set(yticks=range(len(probabilities)), xlim=(0, 1), xticks=[0, 1])
    axes[-1].set_xlabel("probability", fontsize=9)
    axes[-1].set_title("answer", fontsize=9)
    axes[-1].invert_yaxis()
    return figure


def draw_readings(
    canvas: np.ndarray, readings: list[tuple[int, int, int]], ax: Axes, *, jump: int, field: int
) -> Axes:
    """Draw a canvas with a frame and a digit for everything that a network has read on it.

    Args:
        canvas: (H, W), values 0 to 1.
        readings: (row, column, digit), the place counted in steps of the network.
        ax: where to draw.
        jump: pixels from one place to the next.
        field: the side of the square that the network sees at one place, in pixels.

    Returns:
        The same Axes.

    Example:
        >>> ax = plt.figure().subplots()
        >>> len(draw_readings(np.zeros((40, 60)), [(0, 1, 7)], ax, jump=4, field=26).patches)
        1

    Taught in notebook 05.
    """
    ax.imshow(canvas, cmap="gray", vmin=0, vmax=1)
    for row, column, digit in readings:
        x, y = column * jump - 0.5, row * jump - 0.5
        ax.add_patch(Rectangle((x, y), field, field, fill=False, edgecolor="#f59e0b", lw=1.5))
        label = {"facecolor": ACCENT, "edgecolor": "none", "pad": 1.5}
        ax.text(x + 1, y + 1, str(digit), color="white", va="top", fontsize=10, bbox=label)
    ax.set(xlabel="column in pixels", ylabel="row in pixels")
    return ax


def accuracy_and_loss(shifts: np.ndarray, accuracies: np.ndarray, losses: np.ndarray) -> Figure:
    """Draw accuracy and loss side by side against the same nudge of one number.

    Args:
        shifts: (K,), what was added to the number.
        accuracies: (K,), fractions.
        losses: (K,), in nats.

    Returns:
        The Figure, with two panels.

    Example:
        >>> len(accuracy_and_loss(np.arange(3), np.ones(3), np.ones(3)).axes)
        2

    Taught in notebook 05.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
    left.plot(shifts, accuracies, color=BLUE, drawstyle="steps-mid")
    right.plot(shifts, losses, color=ACCENT)
    left.set(xlabel="added to the bias of class 4", ylabel="accuracy, a fraction")
    right.set(xlabel="added to the bias of class 4", ylabel="loss in nats")
    return figure


def costs_by_layer(names: list[str], costs: dict[str, list[int]]) -> Figure:
    """Draw one panel of bars for each kind of cost, with a bar for each layer.

    Args:
        names: of the layers, the first on top.
        costs: what is counted -> its number for each layer.

    Returns:
        The Figure, with a panel for each kind of cost.

    Example:
        >>> len(costs_by_layer(["first", "last"], {"parameters": [5, 2], "MACs": [9, 1]}).axes)
        2

    Taught in notebook 05.
    """
    figure, axes = plt.subplots(
        1, len(costs), figsize=(12, 2.6), sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (kind, numbers) in zip(axes[0], costs.items(), strict=True):
        bars = ax.barh(names, numbers, color=BLUE)
        ax.bar_label(bars, [f" {number:,}" for number in numbers], fontsize=9)
        ax.set(xlabel=kind, xticks=[])
        ax.margins(x=0.25)
        ax.spines[["top", "right", "bottom"]].set_visible(False)
    axes[0, 0].invert_yaxis()
    return figure
