"""Errors that say what a network expected: settings when it is built, images when it is called."""

from torch import Tensor

from cnnlib.geometry import Pair, check_count

STEMS = ("large", "small")


def check_counts(**counts: int) -> None:
    """Raise an error unless each value is an integer of at least 1."""
    for name, value in counts.items():
        check_count(value, name)


def check_stem(stem: str) -> None:
    """Raise an error unless stem is one that the networks know."""
    if stem not in STEMS:
        raise ValueError(
            f'expected stem "large" (for 224 × 224) or "small" (for 28 × 28 and 32 × 32), '
            f"got {stem!r}"
        )


def check_width_mult(width_mult: float) -> None:
    """Raise an error unless the factor on the channels is above 0."""
    if not width_mult > 0:
        raise ValueError(f"expected width_mult above 0, such as 0.5, got {width_mult!r}")


def check_images(images: Tensor, in_channels: int, smallest: int = 1) -> None:
    """Raise an error unless images are floating-point (N, in_channels, H, W) and large enough.

    Args:
        images: what a network was called with.
        in_channels: the channels that the network was built for.
        smallest: the smallest height and width from which a pixel is left at the end.

    Raises:
        TypeError: images of integers.
        ValueError: another shape, or an image that is too small.

    Taught in notebook 11.
    """
    if not images.is_floating_point():
        raise TypeError(
            f"expected floating-point images, got {images.dtype}; scale them first: "
            "images.float() / 255"
        )
    if images.ndim != 4:
        raise ValueError(
            f"expected images (N, {in_channels}, H, W), got {tuple(images.shape)}; for a single "
            "image use images[None]"
        )
    N, C, H, W = images.shape
    if in_channels != C:
        raise ValueError(
            f"expected images with {in_channels} channels, got {tuple(images.shape)}; build the "
            f"network with in_channels={C}"
        )
    if min(H, W) < smallest:
        raise ValueError(
            f"expected images of at least {smallest} × {smallest}, got {H} × {W}: pooling and "
            "strides would leave no pixel; use larger images, or a network that shrinks them less"
        )


def check_image_size(images: Tensor, image_size: Pair) -> None:
    """Raise an error unless images (N, C, H, W) have the one size that a network was built for."""
    if images.shape[2:] != image_size:
        raise ValueError(
            f"expected images of {image_size[0]} × {image_size[1]}, got {tuple(images.shape)}; "
            f"build the network with image_size={tuple(images.shape[2:])}"
        )
