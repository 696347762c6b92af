"""Figures that one notebook needs and that take more than a few lines; see also `plots`."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnlib.geometry import receptive_field
from cnnlib.plots import ACCENT, BLUE


def draw_stack(layers: list[tuple[int, int, int, int]], num_pixels: int, ax: Axes) -> Axes:
    """Draw one row of pixels, the layers above it, and all that the middle output depends on.

    Args:
        layers: (kernel_size, stride, padding, dilation) of each, the first layer first.
        num_pixels: in the row at the bottom.
        ax: where to draw.

    Returns:
        The same Axes. Each dot stands over the middle of its field; hollow dots are padding.

    Example:
        >>> ax = plt.figure().subplots()
        >>> draw_stack([(3, 1, 1, 1), (3, 2, 1, 1)], 9, ax).get_title()
        'size 5, jump 2, start -2'

    Taught in notebook 03.
    """
    counts, fields = [num_pixels], [receptive_field(layers[:n]) for n in range(len(layers) + 1)]
    for kernel_size, stride, padding, dilation in layers:
        free = counts[-1] + 2 * padding - dilation * (kernel_size - 1) - 1
        counts.append(free // stride + 1)

    def x(level, unit):
        size, jump, start = fields[level]
        return start + unit * jump + (size - 1) / 2

    for level, count in enumerate(counts):
        ax.plot([x(level, u) for u in range(count)], [level] * count, "o", color="0.75", ms=6)
    seen = {counts[-1] // 2}
    ax.plot([x(len(layers), *seen)], [len(layers)], "o", color=ACCENT, ms=8)
    for level in range(len(layers), 0, -1):
        kernel_size, stride, padding, dilation = layers[level - 1]
        pairs = [(u, u * stride - padding + i * dilation) for u in seen for i in range(kernel_size)]
        for above, below in pairs:
            ends = [x(level, above), x(level - 1, below)]
            ax.plot(ends, [level, level - 1], color=BLUE, lw=0.8, zorder=0)
        seen = {below for _, below in pairs}
        for unit in seen:
            fill = ACCENT if 0 <= unit < counts[level - 1] else "white"
            ax.plot(x(level - 1, unit), level - 1, "o", color=ACCENT, mfc=fill, ms=7)
    names = [f"kernel {k}, stride {s}, padding {p}, dilation {d}" for k, s, p, d in layers]
    ax.set_yticks(range(len(counts)), ["pixels", *names])
    ax.set(xlabel="pixel", xticks=range(num_pixels))
    ax.set_title("size {}, jump {}, start {}".format(*fields[-1]), fontsize=10)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def effective_field(profile: np.ndarray, sigmas: dict[int, float]) -> Figure:
    """Compare a measured effective field with the bell curve, and its width with the depth.

    Args:
        profile: (size,) influence of the pixels along a line, summing to 1, for the deepest stack.
        sigmas: depth -> standard deviation in pixels, the deepest last.

    Returns:
        The Figure: profile and bell curve on the left, width against depth on the right.

    Example:
        >>> len(effective_field(np.array([0.2, 0.6, 0.2]), {1: 0.5, 2: 0.7}).axes)
        2

    Taught in notebook 03.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4))
    distance = np.arange(len(profile)) - len(profile) // 2
    depths, widths = np.array(list(sigmas)), np.array(list(sigmas.values()))
    bell = np.exp(-(distance**2) / (2 * widths[-1] ** 2)) / (widths[-1] * np.sqrt(2 * np.pi))
    left.bar(distance, profile, width=1, color=BLUE, label=f"measured, {depths[-1]} layers")
    left.plot(distance, bell, color=ACCENT, label=f"bell curve, σ = {widths[-1]:.1f} pixels")
    left.set(xlabel="distance from the middle in pixels", ylabel="share of the influence")
    left.set_ylim(0, 1.4 * profile.max())  # room for the legend above the bell
    left.legend(loc="upper left")
    right.loglog(depths, widths, "o", color=BLUE, label="measured σ")
    right.loglog(depths, np.sqrt(2 * depths / 3), color=ACCENT, label="√(2 · depth / 3)")
    right.loglog(depths, depths, "--", color="0.5", label="reach of the field, 1 pixel a layer")
    right.set(xlabel="depth in layers", ylabel="pixels to each side")
    right.set_xticks(depths, [str(depth) for depth in depths])
    right.set_yticks([2, 5, 10, 20, 40], ["2", "5", "10", "20", "40"])
    right.minorticks_off()
    right.set_ylim(1.3, 130)  # room for the legend above the lines
    right.legend(loc="upper left")
    figure.tight_layout()
    return figure
