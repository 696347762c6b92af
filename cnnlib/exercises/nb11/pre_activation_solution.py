import torch.nn.functional as F
from torch import nn


class PreActBlock(nn.Module):
    """Norm and ReLU before each convolution, so that nothing stands in the shortcut's way."""

    def __init__(self, in_channels, channels, stride=1):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.downsample = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)

    def forward(self, features):
        active = F.relu(self.bn1(features))
        shortcut = features if self.downsample is None else self.downsample(active)
        out = self.conv1(active)
        out = self.conv2(F.relu(self.bn2(out)))
        return shortcut + out
