"""ResNet: a block learns what to add to its input, and the input passes by unchanged.

As in torchvision, a bottleneck's stride is in its 3 × 3 convolution; the paper has it in the first
1 × 1. Keys and shapes of the state_dict are torchvision's.
"""

from torch import Tensor, nn

from cnnlib.models.checks import check_counts, check_images, check_stem


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions: (N, C, H, W) -> (N, channels, H / stride, W / stride).

    Args:
        in_channels, channels: counts.
        stride: of the first convolution and of the shortcut.
        residual: without it this is a block of the paper's plain network.

    Source: He, Zhang, Ren and Sun, Deep residual learning for image recognition (2015).

    Taught in notebook 11.
    """

    expansion = 1

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, *, residual: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.downsample = make_shortcut(in_channels, channels, stride) if residual else None

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, channels, H / stride, W / stride), sizes rounded up."""
        out = self.conv1(features)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)
        if self.downsample is not None:
            out = out + self.downsample(features)
        return self.relu(out)


class Bottleneck(nn.Module):
    """1 × 1 to fewer channels, 3 × 3, 1 × 1 to four times as many.

    Args:
        in_channels, channels: counts; `channels` are those inside, 4 channels come out.
        stride: of the 3 × 3 convolution and of the shortcut.
        residual: as in BasicBlock.

    Source: He, Zhang, Ren and Sun, Deep residual learning for image recognition (2015).

    Taught in notebook 11.
    """

    expansion = 4

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, *, residual: bool = True
    ) -> None:
        super().__init__()
        out_channels = 4 * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.downsample = make_shortcut(in_channels, out_channels, stride) if residual else None

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 4 channels, H / stride, W / stride), sizes rounded up."""
        out = self.conv1(features)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)
        out = self.relu(out)
        out = self.conv3(out)
        out = self.bn3(out)
        if self.downsample is not None:
            out = out + self.downsample(features)
        return self.relu(out)


def make_shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """What passes by: the input itself, or a 1 × 1 convolution of it where the shape changes.

    Args:
        in_channels, out_channels, stride: those of the block.

    Returns:
        An empty Sequential, which returns its input, or a convolution and a batch norm.

    Example:
        >>> make_shortcut(64, 64, stride=1)
        Sequential()

    Taught in notebook 11.
    """
    if stride == 1 and in_channels == out_channels:
        return nn.Sequential()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class ResNet(nn.Module):
    """A stem, four stages of residual blocks, the mean of each map, one fully connected layer.

    Args:
        block: BasicBlock or Bottleneck.
        num_blocks: of each of the four stages; 0 leaves a stage out.
        in_channels, num_classes: counts.
        width: channels inside the first stage's blocks; each stage has twice those of the last.
        stem: "large" begins with 7 × 7, stride 2, and a pooling, which make 56 × 56 of 224 × 224;
            "small", for 28 × 28 and 32 × 32, with 3 × 3, stride 1, and no pooling.
        zero_init_residual: start every block as the identity: 0 for the last batch norm's weight.
        residual: False builds the plain network that the paper compares with.

    Raises:
        ValueError: another stem, not four stages, or no residual to be initialised.

    Example:
        >>> import torch
        >>> model = ResNet(
        ...     BasicBlock, (1, 1, 1, 0), in_channels=1, num_classes=10, width=13, stem="small"
        ... )
        >>> model(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])

    Source: He, Zhang, Ren and Sun, Deep residual learning for image recognition (2015).

    Taught in notebook 11.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        num_blocks: tuple[int, int, int, int],
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        width: int = 64,
        stem: str = "large",
        zero_init_residual: bool = False,
        residual: bool = True,
    ) -> None:
        super().__init__()
        check_stem(stem)
        check_counts(in_channels=in_channels, num_classes=num_classes, width=width)
        if len(num_blocks) != 4 or num_blocks[0] < 1:
            raise ValueError(
                f"expected num_blocks of four stages, 0 for one that is left out but not the "
                f"first, such as (2, 2, 2, 0), got {num_blocks}"
            )
        if zero_init_residual and not residual:
            raise ValueError("expected residual=True with zero_init_residual: a plain block of 0")
        self.in_channels = in_channels
        if stem == "large":
            self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
            self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        else:
            self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
            self.maxpool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()

        stages, channels = [], width
        for number, blocks in enumerate(num_blocks):
            stage = nn.Sequential()
            for position in range(blocks):
                stride = 2 if number > 0 and position == 0 else 1
                stage.append(block(channels, width * 2**number, stride, residual=residual))
                channels = width * 2**number * block.expansion
            stages.append(stage)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)

        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, block):
                last = module.bn2 if block is BasicBlock else module.bn3
                nn.init.zeros_(last.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, num_classes). Remarks: ResNet-18, 224 × 224."""
        check_images(images, self.in_channels)
        features = self.conv1(images)  # (N, 64, 112, 112)
        features = self.bn1(features)
        features = self.relu(features)
        features = self.maxpool(features)  # (N, 64, 56, 56)
        features = self.layer1(features)
        features = self.layer2(features)  # (N, 128, 28, 28)
        features = self.layer3(features)  # (N, 256, 14, 14)
        features = self.layer4(features)  # (N, 512, 7, 7)
        features = self.avgpool(features)  # (N, 512, 1, 1)
        features = features.flatten(1)
        return self.fc(features)


# Blocks of each stage, from the paper's table 1.
DEPTHS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


def make_resnet(
    depth: int,
    *,
    in_channels: int = 3,
    num_classes: int = 1000,
    stem: str = "large",
    zero_init_residual: bool = False,
) -> ResNet:
    """ResNet-18, 34, 50, 101 or 152.

    Args:
        depth: layers with weights, shortcuts not counted: 18, 34, 50, 101 or 152.
        in_channels, num_classes, stem, zero_init_residual: as in ResNet.

    Returns:
        The network, with random weights.

    Raises:
        ValueError: another depth or stem.

    Example:
        >>> sum(parameter.numel() for parameter in make_resnet(18).parameters())
        11689512

    Source: He, Zhang, Ren and Sun, Deep residual learning for image recognition (2015).

    Taught in notebook 11.
    """
    if depth not in DEPTHS:
        raise ValueError(f"expected a depth of 18, 34, 50, 101 or 152, got {depth!r}")
    block, num_blocks = DEPTHS[depth]
    return ResNet(
        block,
        num_blocks,
        in_channels=in_channels,
        num_classes=num_classes,
        stem=stem,
        zero_init_residual=zero_init_residual,
    )
