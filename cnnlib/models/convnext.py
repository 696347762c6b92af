"""ConvNeXt: a ResNet with every choice asked again, by the light of vision transformers.

Patches for a stem, 7 × 7 depthwise convolutions, an inverted bottleneck, one normalisation and one
activation a block, layer norm for batch norm and GELU for ReLU. Keys and shapes of the state_dict
are torchvision's.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnlib.models.checks import check_counts, check_images


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each pixel. Taught in notebook 11."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        features = features.permute(0, 2, 3, 1)  # (N, H, W, C)
        features = F.layer_norm(features, self.normalized_shape, self.weight, self.bias, self.eps)
        return features.permute(0, 3, 1, 2)  # (N, C, H, W)


class Permute(nn.Module):
    """Axes in another order, as a layer. Taught in notebook 11."""

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, features: Tensor) -> Tensor:
        """The axes in the order given."""
        return features.permute(self.axes)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.axes))


class StochasticDepth(nn.Module):
    """In training, leave a whole residual branch out, for each image by chance.

    Args:
        p: the probability, 0 to 1 (1 excluded). What is kept is enlarged by 1 / (1 - p).

    Raises:
        ValueError: p outside that range.

    Example:
        >>> StochasticDepth(0.5).eval()(torch.ones(2)).tolist()
        [1.0, 1.0]

    Source: Huang et al., Deep networks with stochastic depth (2016).

    Taught in notebook 11.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"expected a probability of 0 to 1, 1 excluded, got {p}")
        self.p = p

    def forward(self, features: Tensor) -> Tensor:
        """(N, …) -> the same shape; in training some images' values are 0."""
        if not self.training or self.p == 0:
            return features
        shape = (features.shape[0],) + (1,) * (features.ndim - 1)
        kept = torch.rand(shape, device=features.device) >= self.p
        return features * kept / (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class ConvNeXtBlock(nn.Module):
    """Depthwise 7 × 7, layer norm, to four times the channels and back, scaled, added to the input.

    Args:
        channels: count, in and out.
        layer_scale: first value of the learned factor of each channel; small, so that a deep
            network starts almost as the identity.
        stochastic_depth_prob: see StochasticDepth.

    Source: Liu et al., A ConvNet for the 2020s (2022).

    Taught in notebook 11.
    """

    def __init__(
        self, channels: int, *, layer_scale: float = 1e-6, stochastic_depth_prob: float = 0.0
    ) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=7, padding=3, groups=channels),
            Permute(0, 2, 3, 1),  # (N, H, W, C): a linear layer is a 1 × 1 convolution here
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
            Permute(0, 3, 1, 2),  # (N, C, H, W)
        )
        self.layer_scale = nn.Parameter(torch.full((channels, 1, 1), layer_scale))
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        out = self.block(features)
        out = self.layer_scale * out
        out = self.stochastic_depth(out)
        return features + out


class ConvNeXt(nn.Module):
    """Patches, then stages of blocks with a halving between them, the mean, one linear layer.

    The default is ConvNeXt-Tiny: 28,589,128 parameters for 1000 classes. Small has depths
    (3, 3, 27, 3), Base those and channels (128, 256, 512, 1024).

    Args:
        depths: blocks of each stage.
        channels: channels of each stage.
        in_channels, num_classes: counts.
        patch_size: the stem cuts the image into patches of this size: 4 for 224 × 224, 2 for
            28 × 28 and 32 × 32.
        layer_scale: see ConvNeXtBlock.
        stochastic_depth_prob: of the last block; it grows evenly from 0 at the first.

    Raises:
        ValueError: depths and channels of different lengths, or images that the stem and the
            halvings use up: with four stages and patches of 4 below 32 × 32.

    Example:
        >>> model = ConvNeXt((1, 1, 1), (16, 32, 56), in_channels=1, num_classes=10, patch_size=2)
        >>> model(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])

    Source: Liu et al., A ConvNet for the 2020s (2022).

    Taught in notebook 11.
    """

    def __init__(
        self,
        depths: Sequence[int] = (3, 3, 9, 3),
        channels: Sequence[int] = (96, 192, 384, 768),
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        patch_size: int = 4,
        layer_scale: float = 1e-6,
        stochastic_depth_prob: float = 0.0,
    ) -> None:
        super().__init__()
        check_counts(in_channels=in_channels, num_classes=num_classes, patch_size=patch_size)
        if not depths or len(depths) != len(channels):
            raise ValueError(
                f"expected depths and channels, one of each a stage, got {depths} and {channels}"
            )
        self.in_channels = in_channels
        self.smallest = patch_size * 2 ** (len(depths) - 1)
        self.features = nn.Sequential(
            nn.Sequential(
                nn.Conv2d(in_channels, channels[0], patch_size, stride=patch_size),
                LayerNorm2d(channels[0], eps=1e-6),
            )
        )
        probs = torch.linspace(0, stochastic_depth_prob, sum(depths), device="cpu").tolist()
        for number, depth in enumerate(depths):
            if number > 0:
                halving = nn.Conv2d(channels[number - 1], channels[number], 2, stride=2)
                norm = LayerNorm2d(channels[number - 1], eps=1e-6)
                self.features.append(nn.Sequential(norm, halving))
            stage = nn.Sequential()
            for _ in range(depth):
                block = ConvNeXtBlock(
                    channels[number],
                    layer_scale=layer_scale,
                    stochastic_depth_prob=probs.pop(0),
                )
                stage.append(block)
            self.features.append(stage)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            LayerNorm2d(channels[-1], eps=1e-6),
            nn.Flatten(1),
            nn.Linear(channels[-1], num_classes),
        )
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, num_classes)."""
        check_images(images, self.in_channels, self.smallest)
        features = self.features(images)  # (N, 768, 7, 7) for 224 × 224
        features = self.avgpool(features)  # (N, 768, 1, 1)
        return self.classifier(features)
