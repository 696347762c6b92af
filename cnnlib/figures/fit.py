"""Figures of notebook 09: schedules, histories, a gallery of runs, confusion, intervals."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cnnlib.plots import ACCENT, BLUE, draw_image


def show_selection(scores: np.ndarray, fresh: float) -> Figure:
    """Show the scores of many models on the images that choose, and what the winner is worth.

    Args:
        scores: accuracies (num_models,) on the images that choose.
        fresh: the winner's accuracy on other images.

    Returns:
        The Figure.

    Example:
        >>> show_selection(np.array([0.1, 0.12, 0.1]), 0.1).axes[0].get_ylabel()
        'models'

    Taught in notebook 09.
    """
    figure, ax = plt.subplots(figsize=(7, 2.8))
    ax.hist(scores, bins=40, color=BLUE)
    for value, text, side in ((fresh, "winner, other images  ", "right"),
                              (scores.max(), "winner, when chosen  ", "right")):  # fmt: skip
        ax.axvline(value, color=ACCENT, lw=2, ls="-" if value == scores.max() else "--")
        ax.text(value, 0.92 if value == fresh else 0.75, text, color=ACCENT, ha=side,
                transform=ax.get_xaxis_transform(), fontsize=9)  # fmt: skip
    ax.set(xlabel="accuracy on the 1,000 images that choose", ylabel="models")
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def show_history(train: dict[str, list[float]], val: dict[str, list[float]]) -> Figure:
    """Show training and validation beside each other, a panel for each thing that is measured.

    Args:
        train, val: name -> one value an epoch, the same names in both.

    Returns:
        The Figure.

    Example:
        >>> len(show_history({"loss": [2, 1], "accuracy": [0, 1]}, {"loss": [2, 1],
        ...     "accuracy": [0, 1]}).axes)
        2

    Taught in notebook 09.
    """
    figure, axes = plt.subplots(1, len(train), figsize=(4.6 * len(train), 3), squeeze=False)
    for name, ax in zip(train, axes[0], strict=True):
        epochs = np.arange(1, len(train[name]) + 1)
        ax.plot(epochs, train[name], "o-", color=BLUE, ms=4, label="training")
        ax.plot(epochs, val[name], "s--", color=ACCENT, ms=4, label="validation")
        ax.set(xlabel="epoch", ylabel=name)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(fontsize=9)
    figure.tight_layout()
    return figure


def show_gallery(runs: dict, *, top: float = 4.0) -> Figure:
    """Show the logbook of several runs: the loss of each batch above, accuracies below.

    Args:
        runs: letter -> an object with step_losses, train_acc, val_acc, val_acc_again, fresh_acc.
        top: the largest loss shown.

    Returns:
        The Figure, five runs a row.

    Example:
        >>> from types import SimpleNamespace
        >>> run = SimpleNamespace(step_losses=[2.3, 1], train_acc=[0.5], val_acc=[0.5],
        ...     val_acc_again=0.5, fresh_acc=0.5)
        >>> len(show_gallery({letter: run for letter in "ABCDE"}).axes)
        10

    Taught in notebook 09.
    """
    rows = -(-len(runs) // 5)
    figure, axes = plt.subplots(2 * rows, 5, figsize=(13, 5.4 * rows), squeeze=False)
    for number, (letter, run) in enumerate(runs.items()):
        upper, lower = axes[2 * (number // 5) : 2 * (number // 5) + 2, number % 5]
        losses = np.array(run.step_losses)
        steps = np.arange(1, len(losses) + 1)
        upper.axhline(np.log(10), color="0.6", lw=1, ls="--")
        upper.plot(steps, losses, color=BLUE, lw=0.9)
        upper.set(ylim=(-0.1, top), xlabel="step", title=f"run {letter}")
        beyond = f"\nup to {losses.max():.0f}" if losses.max() > top else ""
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1}
        upper.text(0.97, 0.97, f"first loss {losses[0]:.2f}{beyond}", ha="right", va="top",
                   transform=upper.transAxes, fontsize=9, bbox=box)  # fmt: skip
        checks = len(losses) * np.arange(1, len(run.val_acc) + 1) / len(run.val_acc)
        lower.plot(checks, run.train_acc, "o-", color=BLUE, ms=3.5, label="training")
        lower.plot(checks, run.val_acc, "s--", color=ACCENT, ms=3.5, label="validation")
        lower.plot(checks[-1:], [run.fresh_acc], "D", color="black", ms=6, label="fresh images")
        lower.set(ylim=(0, 1.03), xlabel="step")
        lower.set_title(
            f"training {run.train_acc[-1]:.3f}   fresh {run.fresh_acc:.3f}\n"
            f"validation {run.val_acc[-1]:.3f}, again {run.val_acc_again:.3f}", fontsize=9,
        )  # fmt: skip
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    for row in range(rows):
        axes[2 * row, 0].set_ylabel("loss of the batch")
        axes[2 * row + 1, 0].set_ylabel("accuracy")
    axes[1, 0].legend(fontsize=8, loc="upper left")
    figure.tight_layout()
    return figure


def show_confusion(counts: np.ndarray, classes: tuple[str, ...]) -> Figure:
    """Show a confusion matrix: each row's shares as shades, the counts as numbers.

    Args:
        counts: (num_classes, num_classes), rows are true classes, columns answers.
        classes: their names.

    Returns:
        The Figure.

    Example:
        >>> len(show_confusion(np.eye(3, dtype=int), ("a", "b", "c")).axes[0].texts)
        3

    Taught in notebook 09.
    """
    num_classes = len(classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, ax = plt.subplots(figsize=(7.2, 6.2))
    # The square root lifts the few mistakes above white, where the eye can see them.
    ax.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        if counts[row, column]:
            dark = shares[row, column] > 0.3
            ax.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=9,
                    color="white" if dark else "black")  # fmt: skip
    ax.set(xticks=range(num_classes), yticks=range(num_classes))
    ax.set_xticklabels(classes, rotation=40, ha="right", fontsize=9)
    ax.set_yticklabels(classes, fontsize=9)
    ax.set(xlabel="the network's answer", ylabel="true class")
    figure.tight_layout()
    return figure


def show_named_mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: tuple[str, ...],
    *,
    columns: int = 6,
) -> Figure:
    """Show images with the name of their label, the network's answer and how sure it was.

    Args:
        images: uint8 (N, 1, H, W).
        labels: (N,), the given classes.
        probabilities: (N, num_classes), the network's.
        classes: the names.
        columns: images a row.

    Returns:
        The Figure.

    Example:
        >>> figure = show_named_mistakes(np.zeros((1, 1, 8, 8)), np.array([0]), np.eye(2)[1:],
        ...     ("Coat", "Bag"))
        >>> figure.axes[0].get_title()
        'label: Coat\\nsaid: Bag, 100 %'

    Taught in notebook 09.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.95 * columns, 2.55 * rows), squeeze=False)
    for ax in axes.flat[len(images) :]:
        ax.remove()
    for image, label, row, ax in zip(images, labels, probabilities, axes.flat, strict=False):
        said = f"said: {classes[row.argmax()]}, {100 * row.max():.0f} %"
        draw_image(image, ax)
        ax.set_title(f"label: {classes[label]}\n{said}", fontsize=8.5)
    figure.tight_layout(pad=0.6, h_pad=1.5)
    return figure


def show_paired(pairs: dict[str, tuple[np.ndarray, np.ndarray]], intervals: dict) -> Figure:
    """Show paired runs as lines from one arm to the other, and the interval of the difference.

    Args:
        pairs: name -> (first_accs, second_accs), each (num_seeds,).
        intervals: name -> (low, high) of second minus first.

    Returns:
        The Figure, a panel for each name and one for the intervals.

    Example:
        >>> pair = np.array([0.8, 0.81]), np.array([0.82, 0.83])
        >>> len(show_paired({"longer": pair}, {"longer": (0.01, 0.03)}).axes)
        2

    Taught in notebook 09.
    """
    figure, axes = plt.subplots(1, len(pairs) + 1, figsize=(3.2 * len(pairs) + 3.6, 2.9))
    for (name, (first, second)), ax in zip(pairs.items(), axes[:-1], strict=True):
        ax.plot([0, 1], np.stack([first, second]), "o-", color=BLUE, lw=1, ms=4)
        ax.set(xticks=[0, 1], xticklabels=["baseline", name], xlim=(-0.3, 1.3))
        ax.set_ylim(min(p.min() for pair in pairs.values() for p in pair) - 0.004,
                    max(p.max() for pair in pairs.values() for p in pair) + 0.004)  # fmt: skip
    axes[0].set_ylabel("validation accuracy")
    for place, (low, high) in enumerate(intervals.values()):
        axes[-1].plot([100 * low, 100 * high], [place, place], "|-", color=ACCENT, lw=2, ms=12)
        axes[-1].plot(50 * (low + high), place, "o", color=ACCENT)
    axes[-1].axvline(0, color="0.5", lw=1, ls="--")
    axes[-1].set(yticks=range(len(intervals)), ylim=(len(intervals) - 0.5, -0.5))
    axes[-1].set_yticklabels(list(intervals))
    axes[-1].set_xlabel("difference in percentage points, 95 % interval")
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure
