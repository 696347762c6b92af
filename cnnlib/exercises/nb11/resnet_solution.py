import torch
import torch.nn.functional as F
from torch import nn


def conv_and_norm(in_channels, out_channels, kernel_size, stride=1):
    """A convolution without a bias, and its batch norm."""
    padding = kernel_size // 2
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
    return conv, nn.BatchNorm2d(out_channels)


class Block(nn.Module):
    """Two 3 × 3 convolutions, or with a bottleneck 1 × 1, 3 × 3, 1 × 1; the input is added."""

    def __init__(self, in_channels, channels, stride, bottleneck):
        super().__init__()
        out_channels = 4 * channels if bottleneck else channels
        if bottleneck:
            self.conv1, self.bn1 = conv_and_norm(in_channels, channels, 1)
            self.conv2, self.bn2 = conv_and_norm(channels, channels, 3, stride)
            self.conv3, self.bn3 = conv_and_norm(channels, out_channels, 1)
        else:
            self.conv1, self.bn1 = conv_and_norm(in_channels, channels, 3, stride)
            self.conv2, self.bn2 = conv_and_norm(channels, channels, 3)
        self.bottleneck, self.downsample = bottleneck, None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(*conv_and_norm(in_channels, out_channels, 1, stride))

    def forward(self, features):
        out = F.relu(self.bn1(self.conv1(features)))
        out = self.bn2(self.conv2(out))
        if self.bottleneck:
            out = self.bn3(self.conv3(F.relu(out)))
        shortcut = features if self.downsample is None else self.downsample(features)
        return F.relu(out + shortcut)


class ResNet(nn.Module):
    """Stem, four stages, the mean of each map, a linear layer."""

    def __init__(self, num_blocks, bottleneck):
        super().__init__()
        self.conv1, self.bn1 = conv_and_norm(3, 64, 7, stride=2)
        channels = 64
        for stage, count in enumerate(num_blocks):
            blocks, width = [], 64 * 2**stage
            for number in range(count):
                stride = 2 if stage > 0 and number == 0 else 1
                blocks.append(Block(channels, width, stride, bottleneck))
                channels = 4 * width if bottleneck else width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, 1000)

    def forward(self, images):
        features = F.relu(self.bn1(self.conv1(images)))
        features = F.max_pool2d(features, kernel_size=3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = stage(features)
        return self.fc(torch.mean(features, dim=(2, 3)))


def resnet(depth):
    """ResNet-18 or ResNet-50 for 1000 classes, its names those of torchvision."""
    return ResNet((2, 2, 2, 2), False) if depth == 18 else ResNet((3, 4, 6, 3), True)
