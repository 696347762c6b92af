"""What a layer costs: parameters, multiplications, memory."""

import math
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral

from cnnlib.geometry.sizes import Size, conv_output_size, to_pair


def num_parameters(
    in_channels: int, out_channels: int, kernel_size: Size, *, groups: int = 1, bias: bool = True
) -> int:
    """Number of weights and biases of a convolution layer.

    Args:
        in_channels, out_channels: counts, each divisible by `groups`.
        kernel_size: an integer or a pair.
        groups: each output channel sees in_channels / groups channels.
        bias: whether each output channel has a bias.

    Returns:
        The count, O (C / groups) kh kw, and O more with a bias.

    Raises:
        ValueError: channels that `groups` does not divide, or a count below 1.

    Example:
        >>> num_parameters(3, 32, 3)
        896

    Taught in notebook 03.
    """
    check_channels(in_channels, out_channels, groups)
    kernel_h, kernel_w = to_pair(kernel_size, "kernel_size", at_least=1)
    weights = out_channels * (in_channels // groups) * kernel_h * kernel_w
    return weights + out_channels if bias else weights


def num_macs(
    image_size: Size,
    in_channels: int,
    out_channels: int,
    kernel_size: Size,
    *,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> int:
    """Number of multiply-accumulate operations of a convolution, for one image.

    Every output value is one sum of (C / groups) kh kw products; the bias is not counted.

    Args:
        image_size: the image's (height, width), or one integer for a square.
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups: as in conv2d.

    Returns:
        The count, out_h out_w O (C / groups) kh kw.

    Raises:
        ValueError: settings with which no convolution is possible.

    Example:
        >>> num_macs(64, 3, 32, 3)
        3321216

    Taught in notebook 03.
    """
    out_h, out_w = conv_output_size(
        image_size, kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    weights = num_parameters(in_channels, out_channels, kernel_size, groups=groups, bias=False)
    return out_h * out_w * weights


def peak_activation_memory(
    shapes: Sequence[tuple[int, ...]], *, itemsize: int = 4, training: bool = False
) -> int:
    """Bytes of activations that have to be held at once while a stack of layers runs.

    Forward, a layer needs its input and its output, and all before can be forgotten: the widest
    layer decides. While training, every activation is kept until the backward pass. Parameters,
    their gradients and what an implementation uses on the way (im2col's columns) come on top.

    Args:
        shapes: of the input and of each layer's output, in order: (N, C, H, W), or (N, F) after
            flattening.
        itemsize: bytes of one number; 4 for float32, 2 for float16.
        training: keep all of them.

    Returns:
        The number of bytes; it grows in proportion to N.

    Raises:
        ValueError: no shapes, or a size below 1.

    Example:
        >>> shapes = [(1, 3, 64, 64), (1, 32, 62, 62), (1, 32, 31, 31)]  # a convolution, a pooling
        >>> peak_activation_memory(shapes)  # the pooling's: 4 * (32 * 62 * 62 + 32 * 31 * 31)
        615040
        >>> peak_activation_memory(shapes, training=True)
        664192

    Taught in notebook 05.
    """
    check_count(itemsize, "itemsize")
    if len(shapes) == 0:
        raise ValueError("expected the shape of the input and of each layer's output, got none")
    for shape in shapes:
        if not isinstance(shape, (tuple, list)) or len(shape) == 0:
            raise ValueError(f"expected each shape as (N, C, H, W) or (N, F), got {shape!r}")
        for size in shape:
            check_count(size, f"each size in the shape {tuple(shape)}")
    sizes = [itemsize * math.prod(shape) for shape in shapes]
    if training or len(sizes) == 1:
        return sum(sizes)
    return max(before + after for before, after in pairwise(sizes))


def check_channels(in_channels: int, out_channels: int, groups: int) -> None:
    """Raise an error unless all are counts and `groups` divides both numbers of channels."""
    check_count(in_channels, "in_channels")
    check_count(out_channels, "out_channels")
    check_count(groups, "groups")
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"expected in_channels and out_channels divisible by groups, got {in_channels} and "
            f"{out_channels} with groups={groups}"
        )


def check_count(value: int, name: str) -> None:
    """Raise an error unless value is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"expected {name} to be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"expected {name} to be at least 1, got {value}")
