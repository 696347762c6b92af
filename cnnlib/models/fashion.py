"""The two networks that notebook 12 trains in full on grey images of 28 × 28 pixels."""

from torch import Tensor, nn


def conv_block(in_channels: int, out_channels: int, *, pool: bool = False) -> nn.Sequential:
    """3 × 3 convolution, perhaps 2 × 2 max pooling, batch norm, ReLU.

    Pooling comes right after the convolution: norm and ReLU then see a quarter of the values, and
    for a norm whose factor is positive the result is the same as with pooling last.

    Args:
        in_channels, out_channels: counts.
        pool: halve height and width.

    Returns:
        (N, in_channels, H, W) -> (N, out_channels, H, W), or half of H and W, rounded down.

    Example:
        >>> len(conv_block(1, 32, pool=True))
        4

    Taught in notebook 12.
    """
    layers = [nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)]
    if pool:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.BatchNorm2d(out_channels), nn.ReLU())


def make_three_conv(widths: tuple[int, int, int] = (32, 64, 128)) -> nn.Sequential:
    """Input, three times convolution and pooling, one fully connected layer, output.

    Args:
        widths: channels of the three blocks.

    Returns:
        Images (N, 1, 28, 28) -> logits (N, 10).

    Example:
        >>> sum(p.numel() for p in make_three_conv().parameters())
        104426

    Taught in notebook 12.
    """
    first, second, third = widths
    return nn.Sequential(
        conv_block(1, first, pool=True),
        conv_block(first, second, pool=True),
        conv_block(second, third, pool=True),
        nn.Flatten(),
        nn.Linear(third * 3 * 3, 10),
    )


class Residual(nn.Module):
    """Two convolution blocks whose result is added to their input: (N, C, H, W) -> the same.

    Taught in notebook 12.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(conv_block(channels, channels), conv_block(channels, channels))

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        return features + self.blocks(features)


def make_resnet8(widths: tuple[int, int, int] = (32, 64, 128)) -> nn.Sequential:
    """Eight layers with weights: three single ones, two residual pairs, and the last layer.

    Args:
        widths: channels at 28 × 28, 14 × 14 and 7 × 7 (for images of 28 × 28).

    Returns:
        Images (N, 1, H, W) -> logits (N, 10).

    Source: after David Page, How to train your ResNet (2018).

    Example:
        >>> sum(p.numel() for p in make_resnet8().parameters())
        463594

    Taught in notebook 12.
    """
    first, second, third = widths
    return nn.Sequential(
        conv_block(1, first),
        conv_block(first, second, pool=True),
        Residual(second),
        conv_block(second, third, pool=True),
        Residual(third),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(third, 10),
    )
