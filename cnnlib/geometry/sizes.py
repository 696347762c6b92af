"""Settings for one or both axes, and the sizes of what windows leave."""

from operator import index

Pair = tuple[int, int]
Size = int | Pair  # one integer for both axes, or (height, width)


def to_pair(value: Size, name: str = "value", *, at_least: int = 0) -> Pair:
    """Read a setting that is one integer for both axes or a pair (height, width).

    Args:
        value: an integer, or a pair of integers.
        name: what the setting is called, for the error message.
        at_least: the smallest value that makes sense.

    Returns:
        The pair (height, width) as Python integers.

    Raises:
        TypeError: an entry is not an integer.
        ValueError: there are not two entries, or one is below `at_least`.

    Example:
        >>> to_pair(3), to_pair((1, 2))
        ((3, 3), (1, 2))

    Taught in notebook 03.
    """
    entries = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(entries) != 2:
        raise ValueError(
            f"expected {name} to be an integer or a pair (height, width), got {value!r}"
        )
    try:
        # True is an integer to Python, but nobody means a stride of True.
        if any(isinstance(entry, bool) for entry in entries):
            raise TypeError
        pair = index(entries[0]), index(entries[1])
    except TypeError:
        raise TypeError(
            f"expected {name} to be an integer or a pair of integers, got {value!r}"
        ) from None
    if min(pair) < at_least:
        raise ValueError(f"expected {name} to be at least {at_least}, got {value!r}")
    return pair


def padding_amounts(
    padding: Size | str, kernel_size: Size, *, stride: Size = 1, dilation: Size = 1
) -> tuple[Pair, Pair]:
    """How many rows and columns of padding go on each side of the image.

    "same" keeps the size of the image at stride 1: it adds d (k - 1) in all. Where that is odd,
    the extra row goes to the bottom and the extra column to the right, as in torch.

    Args:
        padding: an integer or a pair, "valid" (none) or "same" (output as large as the image).
        kernel_size, stride, dilation: integers or pairs.

    Returns:
        ((top, bottom), (left, right)).

    Raises:
        ValueError: an unknown word, "same" with a stride other than 1, or a negative amount.

    Example:
        >>> padding_amounts("same", (3, 4))
        ((1, 1), (1, 2))

    Taught in notebook 03.
    """
    kernel = to_pair(kernel_size, "kernel_size", at_least=1)
    strides = to_pair(stride, "stride", at_least=1)
    dilations = to_pair(dilation, "dilation", at_least=1)
    if not isinstance(padding, str):
        (top, left) = to_pair(padding, "padding")
        return (top, top), (left, left)
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding != "same":
        raise ValueError(
            f'expected padding to be an integer, a pair, "valid" or "same", got {padding!r}'
        )
    if strides != (1, 1):
        raise ValueError(
            f'expected stride 1 with padding="same", got stride {stride!r}; '
            "a larger stride shrinks the output, so give the padding as a number"
        )
    totals = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def conv_output_size(
    image_size: Size,
    kernel_size: Size,
    *,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
) -> Pair:
    """Size of a convolution's output: floor((H + 2p - d (k - 1) - 1) / s) + 1 on each axis.

    Args:
        image_size: the image's (height, width), or one integer for a square.
        kernel_size, stride, dilation: integers or pairs.
        padding: an integer or a pair, or "valid" or "same".

    Returns:
        (out_h, out_w).

    Raises:
        ValueError: the kernel does not fit into the padded image, so that no output is left.

    Example:
        >>> conv_output_size((28, 32), 3, stride=2, padding=1)
        (14, 16)

    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016).

    Taught in notebook 03.
    """
    sizes = to_pair(image_size, "image size", at_least=1)
    kernel = to_pair(kernel_size, "kernel_size", at_least=1)
    strides = to_pair(stride, "stride", at_least=1)
    dilations = to_pair(dilation, "dilation", at_least=1)
    amounts = padding_amounts(padding, kernel_size, stride=stride, dilation=dilation)
    padded = [size + sum(sides) for size, sides in zip(sizes, amounts, strict=True)]
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    if extent[0] > padded[0] or extent[1] > padded[1]:
        raise ValueError(
            f"expected a kernel that fits into the padded image of {padded[0]} × {padded[1]}, got "
            f"one that spans {extent[0]} × {extent[1]} (kernel_size {kernel}, dilation "
            f"{dilations}); use a smaller kernel or more padding"
        )
    return tuple((p - e) // s + 1 for p, e, s in zip(padded, extent, strides, strict=True))


def pool_output_size(
    image_size: Size,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
) -> Pair:
    """Size of a pooling's output: the convolution's formula, stride = kernel_size unless given.

    Args:
        image_size: the image's (height, width), or one integer for a square.
        kernel_size, dilation: integers or pairs.
        stride: an integer or a pair; None means kernel_size, so that windows do not overlap.
        padding: an integer or a pair, at most half the kernel.

    Returns:
        (out_h, out_w).

    Raises:
        ValueError: the padding is more than half the kernel, or the kernel does not fit.

    Example:
        >>> pool_output_size((7, 8), 2)
        (3, 4)

    Taught in notebook 04.
    """
    kernel = to_pair(kernel_size, "kernel_size", at_least=1)
    pads = to_pair(padding, "padding")
    most = (kernel[0] // 2, kernel[1] // 2)
    if pads[0] > most[0] or pads[1] > most[1]:
        # One number where one number was given, so that the message reads like the call.
        limit = most[0] if most[0] == most[1] else most
        raise ValueError(
            f"padding must be at most half the kernel: expected at most {limit} for kernel_size "
            f"{kernel_size}, got {padding}; a window could see nothing but padding"
        )
    stride = kernel if stride is None else stride
    return conv_output_size(image_size, kernel, stride=stride, padding=pads, dilation=dilation)


def conv_transpose_output_size(
    image_size: Size,
    kernel_size: Size,
    *,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    dilation: Size = 1,
) -> Pair:
    """Size of a transposed convolution's output: (H - 1) s - 2p + d (k - 1) + output_padding + 1.

    With stride s, s different image sizes lead a convolution to the same output size;
    `output_padding` picks the one that the transposed convolution should return to.

    Args:
        image_size: the image's (height, width), or one integer for a square.
        kernel_size, stride, padding, output_padding, dilation: integers or pairs.

    Returns:
        (out_h, out_w).

    Raises:
        ValueError: output_padding is not smaller than stride or dilation, or no output is left.

    Example:
        >>> conv_transpose_output_size(14, 3, stride=2, padding=1, output_padding=1)
        (28, 28)

    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016).

    Taught in notebook 03.
    """
    sizes = to_pair(image_size, "image size", at_least=1)
    kernel = to_pair(kernel_size, "kernel_size", at_least=1)
    strides = to_pair(stride, "stride", at_least=1)
    pads = to_pair(padding, "padding")
    extras = to_pair(output_padding, "output_padding")
    dilations = to_pair(dilation, "dilation", at_least=1)
    if any(e >= max(s, d) for e, s, d in zip(extras, strides, dilations, strict=True)):
        raise ValueError(
            f"expected output_padding smaller than the stride or the dilation, got output_padding "
            f"{output_padding} with stride {stride} and dilation {dilation}"
        )
    out_size = tuple(
        (size - 1) * s - 2 * p + d * (k - 1) + e + 1
        for size, k, s, p, e, d in zip(sizes, kernel, strides, pads, extras, dilations, strict=True)
    )
    if min(out_size) < 1:
        raise ValueError(
            f"expected an output of at least 1 × 1, got {out_size[0]} × {out_size[1]} for an image "
            f"of {sizes[0]} × {sizes[1]}; here padding removes rows and columns: use less of it"
        )
    return out_size
