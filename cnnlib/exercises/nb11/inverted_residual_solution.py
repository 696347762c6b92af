from torch import nn


class InvertedResidual(nn.Module):
    """Expand, filter each map, project without an activation; add the input where it fits."""

    def __init__(self, in_channels, out_channels, stride, expand_ratio):
        super().__init__()
        channels = in_channels * expand_ratio

        def layers(inside, outside, kernel_size, stride=1, groups=1):
            padding = kernel_size // 2
            conv = nn.Conv2d(
                inside, outside, kernel_size, stride, padding, groups=groups, bias=False
            )
            return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.ReLU6())

        parts = [layers(in_channels, channels, 1)] if expand_ratio != 1 else []
        parts.append(layers(channels, channels, 3, stride, groups=channels))
        parts.append(nn.Conv2d(channels, out_channels, 1, bias=False))
        parts.append(nn.BatchNorm2d(out_channels))
        self.conv = nn.Sequential(*parts)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, features):
        out = self.conv(features)
        return features + out if self.residual else out
