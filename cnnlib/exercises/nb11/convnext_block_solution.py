import torch
from torch import nn

from cnnlib.models.convnext import Permute


class ConvNeXtBlock(nn.Module):
    """Depthwise 7 × 7, layer norm of each pixel, four times as wide and back, scaled, added."""

    def __init__(self, channels, layer_scale=1e-6):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            Permute(0, 2, 3, 1),  # (N, H, W, C)
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
            Permute(0, 3, 1, 2),  # (N, C, H, W)
        )
        self.layer_scale = nn.Parameter(torch.full((channels, 1, 1), layer_scale))

    def forward(self, features):
        return features + self.layer_scale * self.block(features)
