"""GoogLeNet: look at every place with windows of several sizes at once, and put the maps together.

A 1 × 1 convolution before each large window keeps that affordable. As in torchvision, every
convolution is followed by batch norm, which the paper of 2014 did not know yet. Keys and shapes of
the state_dict are torchvision's.
"""

import torch
from torch import Tensor, nn

from cnnlib.models.checks import check_counts, check_images, check_stem, check_width_mult

# The paper's table 1: 1 × 1; 3 × 3 with its reduction before it; 5 × 5 likewise; pooling.
INCEPTIONS = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}


class BasicConv2d(nn.Module):
    """Convolution that keeps the size at stride 1, batch norm, ReLU. Taught in notebook 11."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1
    ) -> None:
        super().__init__()
        padding = kernel_size // 2
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False
        )
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, O, H / stride, W / stride), sizes rounded up."""
        features = self.conv(features)
        features = self.bn(features)
        return self.relu(features)


class Inception(nn.Module):
    """Four ways beside each other: 1 × 1, 3 × 3, 5 × 5 and a pooling, concatenated.

    Args:
        in_channels: count.
        ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj: channels, named as in the paper's
            table; "red" is the 1 × 1 reduction before the window.
        largest_kernel: 5 in the paper, 3 in torchvision.

    Example:
        >>> block = Inception(192, 64, 96, 128, 16, 32, 32)
        >>> block(torch.zeros(1, 192, 28, 28)).shape  # 64 + 128 + 32 + 32 channels
        torch.Size([1, 256, 28, 28])

    Source: Szegedy et al., Going deeper with convolutions (2014).

    Taught in notebook 11.
    """

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        *,
        largest_kernel: int = 5,
    ) -> None:
        super().__init__()
        self.out_channels = ch1x1 + ch3x3 + ch5x5 + pool_proj
        self.branch1 = BasicConv2d(in_channels, ch1x1, 1)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, ch3x3red, 1), BasicConv2d(ch3x3red, ch3x3, 3)
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_channels, ch5x5red, 1), BasicConv2d(ch5x5red, ch5x5, largest_kernel)
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), BasicConv2d(in_channels, pool_proj, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, ch1x1 + ch3x3 + ch5x5 + pool_proj, H, W)."""
        branch1 = self.branch1(features)
        branch2 = self.branch2(features)
        branch3 = self.branch3(features)
        branch4 = self.branch4(features)
        return torch.cat([branch1, branch2, branch3, branch4], dim=1)


class InceptionAux(nn.Module):
    """A classifier half way up, so that gradients reach the lower layers. Training only.

    Taught in notebook 11.
    """

    def __init__(self, in_channels: int, channels: int, hidden: int, num_classes: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(4)
        self.conv = BasicConv2d(in_channels, channels, 1)
        self.fc1 = nn.Linear(channels * 4 * 4, hidden)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(hidden, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, num_classes)."""
        features = self.avgpool(features)  # (N, C, 4, 4)
        features = self.conv(features)
        features = features.flatten(1)
        features = self.fc1(features)
        features = self.relu(features)
        features = self.dropout(features)
        return self.fc2(features)


class GoogLeNet(nn.Module):
    """Nine Inception blocks on a stem of three convolutions.

    The default is torchvision's: 6,624,904 parameters for 1000 classes, without `aux_logits`.

    Args:
        in_channels, num_classes: counts.
        width_mult: multiplies the channels of every layer.
        stem: "large" begins with 7 × 7, stride 2, and two poolings, which make 28 × 28 of
            224 × 224; "small", for 28 × 28 and 32 × 32, with 3 × 3, stride 1, and no pooling.
        largest_kernel: 5 is the paper's; 3 is torchvision's, by an old slip that its stored
            weights have made permanent.
        aux_logits: add the two auxiliary classifiers; see `forward`.
        dropout: before the last layer.

    Raises:
        ValueError: another stem, a width_mult that is not above 0, or images below 15 × 15
            ("large") or 2 × 2 ("small").

    Example:
        >>> model = GoogLeNet(in_channels=1, num_classes=10, width_mult=0.09, stem="small")
        >>> model(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])

    Source: Szegedy et al., Going deeper with convolutions (2014).

    Taught in notebook 11.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        stem: str = "large",
        largest_kernel: int = 3,
        aux_logits: bool = False,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        check_stem(stem)
        check_counts(in_channels=in_channels, num_classes=num_classes)
        check_width_mult(width_mult)
        self.in_channels = in_channels
        c64, c128, c192, c1024 = scale_channels((64, 128, 192, 1024), width_mult)
        if stem == "large":
            self.smallest = 15
            self.conv1 = BasicConv2d(in_channels, c64, 7, stride=2)
            self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
            self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        else:
            self.smallest = 2
            self.conv1 = BasicConv2d(in_channels, c64, 3)
            self.maxpool1 = nn.Identity()
            self.maxpool2 = nn.Identity()
        self.conv2 = BasicConv2d(c64, c64, 1)
        self.conv3 = BasicConv2d(c64, c192, 3)
        channels = c192
        for name, row in INCEPTIONS.items():
            block = Inception(
                channels, *scale_channels(row, width_mult), largest_kernel=largest_kernel
            )
            self.add_module(name, block)  # self.inception3a and so on
            channels = block.out_channels
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.aux1 = self.aux2 = None
        if aux_logits:
            self.aux1 = InceptionAux(self.inception4a.out_channels, c128, c1024, num_classes)
            self.aux2 = InceptionAux(self.inception4d.out_channels, c128, c1024, num_classes)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.01)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Images (N, C, H, W) -> logits (N, num_classes). Remarks: H and W for 224 × 224.

        While training with `aux_logits`: (logits, logits of aux2, logits of aux1), and the paper's
        loss is that of the first plus 0.3 times each of the others'.
        """
        check_images(images, self.in_channels, self.smallest)
        features = self.conv1(images)  # (N, 64, 112, 112)
        features = self.maxpool1(features)  # (N, 64, 56, 56)
        features = self.conv2(features)
        features = self.conv3(features)
        features = self.maxpool2(features)  # (N, 192, 28, 28)
        features = self.inception3a(features)
        features = self.inception3b(features)
        features = self.maxpool3(features)  # (N, 480, 14, 14)
        middle1 = self.inception4a(features)
        features = self.inception4b(middle1)
        features = self.inception4c(features)
        middle2 = self.inception4d(features)
        features = self.inception4e(middle2)
        features = self.maxpool4(features)  # (N, 832, 7, 7)
        features = self.inception5a(features)
        features = self.inception5b(features)
        features = self.avgpool(features)  # (N, 1024, 1, 1)
        features = features.flatten(1)
        features = self.dropout(features)
        logits = self.fc(features)
        if self.training and self.aux1 is not None:
            return logits, self.aux2(middle2), self.aux1(middle1)
        return logits


def scale_channels(channels: tuple[int, ...], width_mult: float) -> tuple[int, ...]:
    """Numbers of channels times a factor, rounded, at least 1. Taught in notebook 11."""
    return tuple(max(1, round(width_mult * count)) for count in channels)
