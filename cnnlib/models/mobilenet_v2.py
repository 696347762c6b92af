"""MobileNetV2: the bottleneck turned round, wide inside and narrow between the blocks.

Keys and shapes of the state_dict are torchvision's.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from cnnlib.models.checks import check_counts, check_images, check_stem, check_width_mult
from cnnlib.models.mobilenet_v1 import conv_bn_relu6, initialise_mobilenet, strides_of


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of divisor, at least one, and not below nine tenths of channels.

    Args:
        channels: a number of channels after multiplication by a factor.
        divisor: hardware likes 8.

    Returns:
        A number of channels.

    Example:
        >>> make_divisible(18), make_divisible(24 * 0.5), make_divisible(3)
        (24, 16, 8)

    Taught in notebook 11.
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest if nearest >= 0.9 * channels else nearest + divisor


class InvertedResidual(nn.Module):
    """Expand with 1 × 1, filter with a depthwise 3 × 3, project with 1 × 1, add the input.

    After the projection there is no activation: in few channels a ReLU would lose too much. The
    input is added where it has the output's shape.

    Args:
        in_channels, out_channels: counts.
        stride: of the depthwise convolution.
        expand_ratio: channels inside, as a multiple of in_channels.

    Source: Sandler et al., MobileNetV2 (2018).

    Taught in notebook 11.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expand_ratio: int) -> None:
        super().__init__()
        channels = in_channels * expand_ratio
        self.conv = nn.Sequential()
        if expand_ratio != 1:
            self.conv.append(conv_bn_relu6(in_channels, channels, 1))
        self.conv.append(conv_bn_relu6(channels, channels, 3, stride=stride, groups=channels))
        self.conv.append(nn.Conv2d(channels, out_channels, 1, bias=False))
        self.conv.append(nn.BatchNorm2d(out_channels))
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out_channels, H / stride, W / stride), sizes rounded up."""
        out = self.conv(features)
        return features + out if self.residual else out


class MobileNetV2(nn.Module):
    """A chain of inverted residual blocks.

    The default has 3,504,872 parameters for 1000 classes.

    Args:
        settings: (expand_ratio, channels, blocks, stride of the first) of each stage.
        in_channels, num_classes: counts.
        width_mult: multiplies channels, which are then rounded to a multiple of 8.
        last_channels: of the last 1 × 1 convolution; a width_mult below 1 leaves them.
        stem: "small", for 28 × 28 and 32 × 32, has stride 1 in the first convolution and in the
            first stage that would have 2.
        dropout: before the last layer.

    Raises:
        ValueError: another stem, or a width_mult that is not above 0.

    Example:
        >>> import torch
        >>> model = MobileNetV2(
        ...     ((1, 16, 1, 1), (4, 24, 2, 2), (4, 40, 2, 2)),
        ...     in_channels=1, num_classes=10, last_channels=320, stem="small",
        ... )
        >>> model(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])

    Source: Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks (2018).

    Taught in notebook 11.
    """

    SETTINGS = (
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    )

    def __init__(
        self,
        settings: Sequence[tuple[int, int, int, int]] = SETTINGS,
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        last_channels: int = 1280,
        stem: str = "large",
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        check_stem(stem)
        check_counts(in_channels=in_channels, num_classes=num_classes)
        check_width_mult(width_mult)
        self.in_channels = in_channels
        channels = make_divisible(32 * width_mult)
        last_channels = make_divisible(last_channels * max(1.0, width_mult))
        self.features = nn.Sequential(
            conv_bn_relu6(in_channels, channels, 3, stride=2 if stem == "large" else 1)
        )
        for row, first_stride in zip(settings, strides_of(settings, stem), strict=True):
            expand_ratio, out_channels, num_blocks, _ = row
            out_channels = make_divisible(out_channels * width_mult)
            for position in range(num_blocks):
                stride = first_stride if position == 0 else 1
                block = InvertedResidual(channels, out_channels, stride, expand_ratio)
                self.features.append(block)
                channels = out_channels
        self.features.append(conv_bn_relu6(channels, last_channels, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last_channels, num_classes))
        initialise_mobilenet(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, num_classes)."""
        check_images(images, self.in_channels)
        features = self.features(images)  # (N, 1280, 7, 7) for 224 × 224
        features = self.avgpool(features)  # (N, 1280, 1, 1)
        features = features.flatten(1)
        return self.classifier(features)
