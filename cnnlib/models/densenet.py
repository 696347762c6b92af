"""DenseNet: every layer sees the maps of all layers before it and adds a few of its own.

This is the form with bottlenecks and compression (DenseNet-BC). Keys and shapes of the state_dict
are torchvision's.
"""

import torch
from torch import Tensor, nn

from cnnlib.models.checks import check_counts, check_images, check_stem


class DenseLayer(nn.Module):
    """Make growth_rate new maps and hand them on with the old.

    Batch norm and ReLU come before the convolution, so that each layer weighs the old maps anew.

    Args:
        in_channels: maps of all layers before.
        growth_rate: new maps.
        bn_size: the bottleneck has bn_size times growth_rate channels.

    Source: Huang, Liu, van der Maaten and Weinberger, Densely connected convolutional networks
    (2016).

    Taught in notebook 11.
    """

    def __init__(self, in_channels: int, growth_rate: int, bn_size: int) -> None:
        super().__init__()
        channels = bn_size * growth_rate
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, growth_rate, kernel_size=3, padding=1, bias=False)
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C + growth_rate, H, W)."""
        new = self.norm1(features)
        new = self.relu(new)
        new = self.conv1(new)
        new = self.norm2(new)
        new = self.relu(new)
        new = self.conv2(new)
        return torch.cat([features, new], dim=1)


class Transition(nn.Module):
    """Between two dense blocks: fewer maps, each half the size.

    Taught in notebook 11.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        self.pool = nn.AvgPool2d(2)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out_channels, H // 2, W // 2)."""
        features = self.norm(features)
        features = self.relu(features)
        features = self.conv(features)
        return self.pool(features)


class DenseNet(nn.Module):
    """A stem, dense blocks with transitions between them, the mean of each map, one linear layer.

    The default is DenseNet-121: 7,978,856 parameters for 1000 classes.

    Args:
        growth_rate: maps that each layer adds; the paper's k.
        block_config: layers of each dense block.
        num_init_features: maps after the stem.
        bn_size: the bottlenecks have bn_size times growth_rate channels.
        in_channels, num_classes: counts.
        stem: "large" begins with 7 × 7, stride 2, and a pooling; "small", for 28 × 28 and
            32 × 32, with 3 × 3, stride 1, and no pooling.

    Raises:
        ValueError: another stem, no block, or images that the poolings use up; with four blocks
            below 29 × 29 ("large") or 8 × 8 ("small").

    Example:
        >>> model = DenseNet(8, (4, 5, 4), 16, in_channels=1, num_classes=10, stem="small")
        >>> model(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])

    Source: Huang, Liu, van der Maaten and Weinberger, Densely connected convolutional networks
    (2016).

    Taught in notebook 11.
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: tuple[int, ...] = (6, 12, 24, 16),
        num_init_features: int = 64,
        *,
        bn_size: int = 4,
        in_channels: int = 3,
        num_classes: int = 1000,
        stem: str = "large",
    ) -> None:
        super().__init__()
        check_stem(stem)
        check_counts(in_channels=in_channels, num_classes=num_classes, growth_rate=growth_rate)
        if not block_config or min(block_config) < 1:
            raise ValueError(
                f"expected block_config of at least one layer a block, got {block_config}"
            )
        self.in_channels = in_channels
        at_last = 2 ** (len(block_config) - 1)  # each transition halves it
        self.features = nn.Sequential()
        channels = num_init_features
        if stem == "large":
            self.smallest = 4 * at_last - 3  # the stem divides by 4 and rounds up
            conv0 = nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False)
            pool0 = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        else:
            self.smallest = at_last
            conv0 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
            pool0 = nn.Identity()
        self.features.add_module("conv0", conv0)
        self.features.add_module("norm0", nn.BatchNorm2d(channels))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", pool0)
        for number, num_layers in enumerate(block_config, start=1):
            if number > 1:
                transition = Transition(channels, channels // 2)
                self.features.add_module(f"transition{number - 1}", transition)
                channels = channels // 2
            block = nn.Sequential()
            for position in range(1, num_layers + 1):
                layer = DenseLayer(channels, growth_rate, bn_size)
                block.add_module(f"denselayer{position}", layer)
                channels = channels + growth_rate
            self.features.add_module(f"denseblock{number}", block)
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, num_classes)."""
        check_images(images, self.in_channels, self.smallest)
        features = self.features(images)  # (N, 1024, 7, 7) for DenseNet-121 and 224 × 224
        features = self.relu(features)
        features = self.avgpool(features)  # (N, 1024, 1, 1)
        features = features.flatten(1)
        return self.classifier(features)
