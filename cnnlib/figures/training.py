"""Figures of notebook 07: loss surfaces, paths on them, training curves, filters as they form."""

import io
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cnnlib.figures.curves import COLOURS, STYLES
from cnnlib.plots import draw_image


def show_valley(
    loss: Callable[[np.ndarray], float],
    ways: dict[str, np.ndarray],
    *,
    x: tuple[float, float],
    y: tuple[float, float],
    names: tuple[str, str] = ("weight 0", "weight 1"),
    floor: np.ndarray | None = None,
    num_points: int = 28,
) -> Figure:
    """Show the loss of a model with two weights as a map, and ways that lead down in it.

    Args:
        loss: two weights (2,) -> the loss.
        ways: label -> the weights before each step and after the last (num_steps + 1, 2).
        x, y: the range of the first and the second weight.
        names: of the two weights.
        floor: where the loss is smallest, to be marked with a cross.
        num_points: at which the loss is computed, along each axis.

    Returns:
        The Figure; each line on the map is one of equal loss.

    Example:
        >>> bowl = lambda weights: float((weights**2).sum())
        >>> way = {"two steps": np.array([[1.0, 1.0], [0.5, 0.5], [0.25, 0.25]])}
        >>> show_valley(bowl, way, x=(-1, 1), y=(-1, 1)).axes[0].get_xlabel()
        'weight 0'

    Taught in notebook 07.
    """
    columns, rows = np.linspace(*x, num_points), np.linspace(*y, num_points)
    values = np.array([[loss(np.array([a, b])) for a in columns] for b in rows])
    low = values.min()
    levels = low + np.geomspace(0.01, 1, 14) * (np.percentile(values, 98) - low)
    figure, ax = plt.subplots(figsize=(6.5, 5))
    ax.contourf(columns, rows, values, levels=[low, *levels], cmap="Blues", extend="max", alpha=0.9)
    lines = ax.contour(columns, rows, values, levels=levels, colors="0.35", linewidths=0.6)
    ax.clabel(lines, levels[3::4], fmt="%.2f", fontsize=8)
    for number, (label, way) in enumerate(ways.items()):
        look = {"color": COLOURS[1 - number], "ls": STYLES[number], "label": label}
        ax.plot(*way.T, "o", lw=1.6, ms=4.5, mec="white", mew=0.5, **look)
    ax.plot(*next(iter(ways.values()))[0], "s", color="black", ms=6)
    if floor is not None:
        ax.plot(*floor, "x", color="black", ms=10, mew=2, label="the floor")
    ax.set(xlabel=names[0], ylabel=names[1], xlim=x, ylim=y)
    ax.legend(fontsize=9)
    return figure


def show_runs(runs: dict[str, np.ndarray], *, top: float = 6.0) -> Figure:
    """Show the losses of several runs side by side, each with a line at log 10.

    Args:
        runs: letter -> losses (num_steps,).
        top: the largest loss shown.

    Returns:
        The Figure, three runs a row.

    Example:
        >>> len(show_runs({letter: np.ones(5) for letter in "ABCDEF"}).axes)
        6

    Taught in notebook 07.
    """
    rows = -(-len(runs) // 3)
    figure, axes = plt.subplots(rows, 3, figsize=(11, 2.6 * rows), sharex=True, sharey=True)
    for (letter, losses), ax in zip(runs.items(), axes.flat, strict=True):
        ax.axhline(np.log(10), color="0.6", lw=1, ls="--")
        ax.plot(losses, color=COLOURS[0], lw=1.2)
        ax.set_title(f"run {letter}: begins at {losses[0]:.3f}", fontsize=10)
        ax.set_ylim(-0.1, top)
        ax.spines[["top", "right"]].set_visible(False)
        if losses.max() > top:
            ax.annotate("leaves the picture", (0.98, 0.93), xycoords="axes fraction", fontsize=8,
                        ha="right")  # fmt: skip
    for ax in axes[-1]:
        ax.set_xlabel("step")
    for ax in axes[:, 0]:
        ax.set_ylabel("loss of the batch")
    figure.tight_layout()
    return figure


def show_filters(snapshots: dict[int, np.ndarray]) -> Figure:
    """Show a layer's kernels as they were at several steps: a row for each step.

    Args:
        snapshots: step -> weight (O, 1, kh, kw). All are drawn on one scale: white is the
            largest weight of any, black its opposite, middle grey is zero.

    Returns:
        The Figure.

    Example:
        >>> len(show_filters({0: np.zeros((4, 1, 5, 5)), 9: np.ones((4, 1, 5, 5))}).axes)
        8

    Taught in notebook 07.
    """
    largest = max(np.abs(weight).max() for weight in snapshots.values())
    O = len(next(iter(snapshots.values())))
    rows = len(snapshots)
    figure, axes = plt.subplots(rows, O, figsize=(0.95 * O + 0.6, 0.95 * rows), squeeze=False)
    for (step, weight), row in zip(snapshots.items(), axes, strict=True):
        for kernel, ax in zip(weight[:, 0], row, strict=True):
            ax.imshow(kernel, cmap="gray", vmin=-largest, vmax=largest)
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(f"step {step}", rotation=0, ha="right", va="center", fontsize=9)
    figure.tight_layout(pad=0.3)
    return figure


def show_mistakes(
    images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, *, columns: int = 8
) -> Figure:
    """Show images with their label, what the network said, and how sure it was.

    Args:
        images: (N, 1, H, W), floats from 0 to 1 or uint8.
        labels: (N,), the true classes.
        probabilities: (N, num_classes), the network's.
        columns: images a row.

    Returns:
        The Figure.

    Example:
        >>> show_mistakes(np.zeros((1, 1, 8, 8)), np.array([3]), np.eye(10)[:1]).axes[0].get_title()
        'is 3, said 0\\n100 % sure'

    Taught in notebook 07.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.35 * columns, 1.75 * rows), squeeze=False)
    for ax in axes.flat[len(images) :]:
        ax.remove()
    for image, label, row, ax in zip(images, labels, probabilities, axes.flat, strict=False):
        said = f"is {label}, said {row.argmax()}\n{100 * row.max():.0f} % sure"
        draw_image(image, ax, title=said)
    figure.tight_layout(pad=0.4)
    return figure


class LiveCurve:
    """A progress bar and the curve of the loss, which grow while a network trains.

    Name it on the last line of a cell to show it, then call `update` from the training loop; in a
    notebook without a running kernel only one line of text is left of it.

    Example:
        >>> LiveCurve(num_steps=10)
        [A progress bar and a growing curve of the loss]

    Taught in notebook 07.
    """

    def __init__(self, num_steps: int, *, redraws: int = 20) -> None:
        import ipywidgets

        self.num_steps, self.losses = num_steps, []
        self.every = max(1, num_steps // redraws)
        self.bar = ipywidgets.IntProgress(max=num_steps)
        self.text = ipywidgets.Label("not begun")
        self.image = ipywidgets.Image(value=self._png(), format="png")
        self.image.layout.align_self = "flex-start"
        self.box = ipywidgets.VBox([ipywidgets.HBox([self.bar, self.text]), self.image])

    def update(self, loss: float) -> None:
        """Take note of one more loss; the picture is drawn anew only now and then."""
        self.losses.append(float(loss))
        step = len(self.losses)
        if step % self.every == 0 or step == self.num_steps:
            recent = float(np.mean(self.losses[-self.every :]))
            self.bar.value = step
            self.text.value = f"step {step} of {self.num_steps}, recent loss {recent:.3f}"
            self.image.value = self._png()

    def _png(self) -> bytes:
        figure, ax = plt.subplots(figsize=(5, 2.2))
        block = max(1, self.every // 4)
        whole = np.array(self.losses[: len(self.losses) // block * block])
        means = whole.reshape(-1, block).mean(axis=1)
        ax.plot(block * (np.arange(len(means)) + 1), means, color=COLOURS[0])
        ax.set(xlim=(0, self.num_steps), ylim=(0, 2.5), xlabel="step", ylabel="recent mean loss")
        ax.spines[["top", "right"]].set_visible(False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=70, bbox_inches="tight")
        plt.close(figure)
        return buffer.getvalue()

    def __repr__(self) -> str:
        return "[A progress bar and a growing curve of the loss]"

    def _repr_mimebundle_(self, include=None, exclude=None):
        from cnnlib.widgets.shown import VIEW

        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {"text/plain": repr(self), VIEW: view}
