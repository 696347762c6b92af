"""Which pixels an output of a stack of layers can see."""

from cnnlib.geometry.counts import check_count
from cnnlib.geometry.sizes import to_pair


def receptive_field(layers: list[tuple[int, ...]]) -> tuple[int, int, int]:
    """Which pixels of the input one output can depend on, along one axis.

    Going up, a layer that steps by s makes neighbouring outputs s times as far apart (the jump); a
    kernel of k taps then widens the field by d (k - 1) jumps, and padding moves it by p jumps.

    Args:
        layers: (kernel_size, stride, padding, dilation) of each layer, the first layer first; what
            is left out at the end of a tuple is stride 1, padding 0, dilation 1.

    Returns:
        (size, jump, start): the pixels from the first to the last of the field; how far apart the
        fields of neighbouring outputs are; the first pixel of the first output's field, negative
        where that is padding. Output r can see pixels start + r jump to start + r jump + size - 1.

    Raises:
        ValueError: a layer that is not one to four numbers, or a number that makes no sense.

    Example:
        >>> receptive_field([(7, 2, 3), (3, 2, 1)])  # the first two layers of a ResNet
        (11, 4, -5)

    Source: Araujo, Norris and Sim, Computing receptive fields of convolutional neural networks
    (2019).

    Taught in notebook 03.
    """
    size, jump, start = 1, 1, 0
    for layer in layers:
        if not 1 <= len(layer) <= 4:
            raise ValueError(
                "expected each layer as (kernel_size, stride, padding, dilation), the last three "
                f"optional, got {layer!r}"
            )
        kernel_size, stride, padding, dilation = (*layer, *(1, 0, 1)[len(layer) - 1 :])
        check_count(kernel_size, "kernel_size")
        check_count(stride, "stride")
        to_pair(padding, "padding")
        check_count(dilation, "dilation")
        start -= padding * jump
        size += dilation * (kernel_size - 1) * jump
        jump *= stride
    return size, jump, start
