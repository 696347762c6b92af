"""MobileNetV3: version 2 with weighted maps (squeeze-excite) and a cheap smooth ReLU (hard-swish).

Its tables of layers were found by a search. Keys and shapes of the state_dict are torchvision's.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from cnnlib.models.checks import check_counts, check_images, check_stem, check_width_mult
from cnnlib.models.mobilenet_v1 import initialise_mobilenet, strides_of
from cnnlib.models.mobilenet_v2 import make_divisible

# kernel_size, channels inside, channels out, squeeze-excite, hard-swish, stride: tables 1 and 2.
LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


def conv_bn(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution that keeps the size at stride 1, and batch norm; an activation may be appended.

    Args:
        in_channels, out_channels, kernel_size, stride, groups: as in nn.Conv2d.

    Returns:
        The two layers, (N, C, H, W) -> (N, out_channels, H / stride, W / stride).

    Taught in notebook 11.
    """
    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
        ),
        nn.BatchNorm2d(out_channels, eps=0.001, momentum=0.01),
    )


class SqueezeExcite(nn.Module):
    """Weigh each map by 0 to 1, decided from the means of all maps: (N, C, H, W) -> the same.

    Args:
        channels, squeeze_channels: of the maps, and of the layer between.

    Source: Hu, Shen and Sun, Squeeze-and-excitation networks (2017).

    Taught in notebook 11.
    """

    def __init__(self, channels: int, squeeze_channels: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeeze_channels, 1)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(squeeze_channels, channels, 1)
        self.hardsigmoid = nn.Hardsigmoid()

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        scale = self.avgpool(features)  # (N, C, 1, 1)
        scale = self.fc1(scale)
        scale = self.relu(scale)
        scale = self.fc2(scale)
        scale = self.hardsigmoid(scale)
        return scale * features


class InvertedResidualV3(nn.Module):
    """Expand, filter, weigh the maps, project, add the input where it has the output's shape.

    Args:
        in_channels: count.
        channels, out_channels: inside and out.
        kernel_size, stride: of the depthwise convolution.
        squeeze_excite: weigh the maps.
        hard_swish: the activation, in place of ReLU.

    Source: Howard et al., Searching for MobileNetV3 (2019).

    Taught in notebook 11.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int,
        squeeze_excite: bool,
        hard_swish: bool,
    ) -> None:
        super().__init__()
        activation = nn.Hardswish() if hard_swish else nn.ReLU()
        depthwise = conv_bn(channels, channels, kernel_size, stride=stride, groups=channels)
        self.block = nn.Sequential()
        if channels != in_channels:
            self.block.append(conv_bn(in_channels, channels, 1).append(activation))
        self.block.append(depthwise.append(activation))
        if squeeze_excite:
            self.block.append(SqueezeExcite(channels, make_divisible(channels // 4)))
        self.block.append(conv_bn(channels, out_channels, 1))
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out_channels, H / stride, W / stride), sizes rounded up."""
        out = self.block(features)
        return features + out if self.residual else out


class MobileNetV3(nn.Module):
    """A chain of inverted residual blocks with squeeze-excite and hard-swish.

    The default is MobileNetV3-Large, 5,483,032 parameters for 1000 classes;
    `MobileNetV3(SMALL, last_channels=1024)` is Small, 2,542,856.

    Args:
        settings: (kernel_size, channels inside, channels out, squeeze-excite, hard-swish, stride)
            of each block, as in LARGE and SMALL.
        in_channels, num_classes: counts.
        width_mult: multiplies channels, which are then rounded to a multiple of 8.
        last_channels: units of the hidden fully connected layer.
        stem: "small", for 28 × 28 and 32 × 32, has stride 1 in the first convolution and in the
            first block that would have 2.
        dropout: before the last layer.

    Raises:
        ValueError: another stem, or a width_mult that is not above 0.

    Example:
        >>> import torch
        >>> model = MobileNetV3(
        ...     SMALL[:6], in_channels=1, num_classes=10, width_mult=0.5, last_channels=64,
        ...     stem="small",
        ... )
        >>> model(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])

    Source: Howard et al., Searching for MobileNetV3 (2019).

    Taught in notebook 11.
    """

    def __init__(
        self,
        settings: Sequence[tuple[int, int, int, bool, bool, int]] = LARGE,
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
        channels = make_divisible(16 * width_mult)
        first = conv_bn(in_channels, channels, 3, stride=2 if stem == "large" else 1)
        self.features = nn.Sequential(first.append(nn.Hardswish()))
        for row, stride in zip(settings, strides_of(settings, stem), strict=True):
            kernel_size, inside, out_channels, squeeze_excite, hard_swish, _ = row
            out_channels = make_divisible(out_channels * width_mult)
            block = InvertedResidualV3(
                channels,
                make_divisible(inside * width_mult),
                out_channels,
                kernel_size=kernel_size,
                stride=stride,
                squeeze_excite=squeeze_excite,
                hard_swish=hard_swish,
            )
            self.features.append(block)
            channels = out_channels
        self.features.append(conv_bn(channels, 6 * channels, 1).append(nn.Hardswish()))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        last_channels = make_divisible(last_channels * width_mult)
        self.classifier = nn.Sequential(
            nn.Linear(6 * channels, last_channels),
            nn.Hardswish(),
            nn.Dropout(dropout),
            nn.Linear(last_channels, num_classes),
        )
        initialise_mobilenet(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, num_classes)."""
        check_images(images, self.in_channels)
        features = self.features(images)  # (N, 960, 7, 7) for 224 × 224
        features = self.avgpool(features)  # (N, 960, 1, 1)
        features = features.flatten(1)
        return self.classifier(features)
