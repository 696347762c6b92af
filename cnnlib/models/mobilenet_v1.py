"""MobileNet, version 1: filter each map by itself, then mix the maps with 1 × 1.

A 3 × 3 convolution split in this way costs an eighth to a ninth. torchvision does not have it; as
in its authors' code, the ReLU is cut off at 6.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from cnnlib.models.checks import check_counts, check_images, check_stem, check_width_mult


def conv_bn_relu6(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution that keeps the size at stride 1, batch norm, ReLU cut off at 6.

    Args:
        in_channels, out_channels, kernel_size, stride, groups: as in nn.Conv2d.

    Returns:
        The three layers, (N, C, H, W) -> (N, out_channels, H / stride, W / stride).

    Taught in notebook 11.
    """
    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(),
    )


def separable(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Depthwise 3 × 3, one filter a map, then pointwise 1 × 1, which mixes the maps.

    Args:
        in_channels, out_channels: counts.
        stride: of the depthwise convolution.

    Returns:
        The layers, (N, C, H, W) -> (N, out_channels, H / stride, W / stride).

    Source: Howard et al., MobileNets (2017).

    Taught in notebook 11.
    """
    return nn.Sequential(
        conv_bn_relu6(in_channels, in_channels, 3, stride=stride, groups=in_channels),
        conv_bn_relu6(in_channels, out_channels, 1),
    )


class MobileNetV1(nn.Module):
    """A convolution and a chain of depthwise separable ones.

    The default has 4,231,976 parameters for 1000 classes.

    Args:
        in_channels, num_classes: counts.
        width_mult: multiplies the channels of every layer; the paper's alpha.
        settings: (channels, stride) of each separable convolution.
        stem: "small", for 28 × 28 and 32 × 32, has stride 1 in the first convolution and in the
            first separable one that would have 2.

    Raises:
        ValueError: another stem, or a width_mult that is not above 0.

    Example:
        >>> import torch
        >>> model = MobileNetV1(
        ...     ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1)),
        ...     in_channels=1, num_classes=10, width_mult=0.95, stem="small",
        ... )
        >>> model(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])

    Source: Howard et al., MobileNets: efficient convolutional neural networks for mobile vision
    applications (2017).

    Taught in notebook 11.
    """

    SETTINGS = (
        *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
        *((512, 1),) * 5,
        *((1024, 2), (1024, 1)),
    )

    def __init__(
        self,
        settings: Sequence[tuple[int, int]] = SETTINGS,
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        stem: str = "large",
    ) -> None:
        super().__init__()
        check_stem(stem)
        check_counts(in_channels=in_channels, num_classes=num_classes)
        check_width_mult(width_mult)
        self.in_channels = in_channels
        channels = max(1, round(32 * width_mult))
        self.features = nn.Sequential(
            conv_bn_relu6(in_channels, channels, 3, stride=2 if stem == "large" else 1)
        )
        for row, stride in zip(settings, strides_of(settings, stem), strict=True):
            out_channels = max(1, round(row[0] * width_mult))
            self.features.append(separable(channels, out_channels, stride))
            channels = out_channels
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        initialise_mobilenet(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, num_classes)."""
        check_images(images, self.in_channels)
        features = self.features(images)  # (N, 1024, 7, 7) for 224 × 224
        features = self.avgpool(features)  # (N, 1024, 1, 1)
        features = features.flatten(1)
        return self.classifier(features)


def strides_of(settings: Sequence[tuple], stem: str) -> list[int]:
    """The strides, each a row's last entry; with the small stem the first one above 1 becomes 1.

    Args:
        settings: rows that end in a stride.
        stem: "large" or "small".

    Returns:
        One stride for each row.

    Example:
        >>> strides_of([(64, 1), (128, 2), (256, 2)], "small")
        [1, 1, 2]

    Taught in notebook 11.
    """
    strides = [row[-1] for row in settings]
    if stem == "small":
        for number, stride in enumerate(strides):
            if stride > 1:
                strides[number] = 1
                break
    return strides


def initialise_mobilenet(model: nn.Module) -> None:
    """He's normal distribution by fan_out for convolutions, a narrow one for linear layers.

    Args:
        model: changed in place; biases become 0.

    Taught in notebook 11.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            nn.init.zeros_(module.bias)
