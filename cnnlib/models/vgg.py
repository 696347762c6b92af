"""VGG: nothing but 3 × 3 convolutions. Two of them see 5 × 5, three see 7 × 7, with fewer weights.

Keys and shapes of the state_dict are torchvision's.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from cnnlib.models.checks import check_counts, check_images, check_stem

# Feature maps of every convolution; a stage ends with a pooling. The paper's A, B, D and E.
STAGES = {
    11: ((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2),
    13: ((64,) * 2, (128,) * 2, (256,) * 2, (512,) * 2, (512,) * 2),
    16: ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3),
    19: ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4),
}


class VGG(nn.Module):
    """Stages of 3 × 3 convolutions, each stage half the size of the one before.

    Args:
        stages: for each stage, the feature maps of each of its convolutions.
        in_channels, num_classes: counts.
        batch_norm: normalise after every convolution.
        stem: "small" leaves out the first stage's pooling.
        final_size: height and width to which the last maps are averaged.
        hidden: units of each of the two fully connected layers between.
        dropout: the probability with which their outputs are dropped in training.

    Raises:
        ValueError: another stem, an empty stage, or images that the poolings use up: below 32 × 32
            with five poolings, 16 × 16 with four.

    Example:
        >>> import torch
        >>> model = VGG(
        ...     ((12,), (24,), (40, 40)), in_channels=1, num_classes=10, final_size=2, hidden=96
        ... )
        >>> model(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])

    Source: Simonyan and Zisserman, Very deep convolutional networks for large-scale image
    recognition (2014).

    Taught in notebook 11.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[int]],
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        batch_norm: bool = False,
        stem: str = "large",
        final_size: int = 7,
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_stem(stem)
        check_counts(in_channels=in_channels, num_classes=num_classes, final_size=final_size)
        if not stages or not all(stages):
            raise ValueError(
                f"expected stages of at least one convolution, such as ((16,), (32, 32)), "
                f"got {stages}"
            )
        self.in_channels = in_channels
        num_poolings = len(stages) - (stem == "small")
        self.smallest = 2**num_poolings
        self.features = nn.Sequential()
        channels = in_channels
        for number, stage in enumerate(stages):
            for out_channels in stage:
                conv = nn.Conv2d(channels, out_channels, kernel_size=3, padding=1)
                self.features.append(conv)
                if batch_norm:
                    self.features.append(nn.BatchNorm2d(out_channels))
                self.features.append(nn.ReLU())
                channels = out_channels
            without = stem == "small" and number == 0
            self.features.append(nn.Identity() if without else nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d(final_size)
        self.classifier = nn.Sequential(
            nn.Linear(channels * final_size**2, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, num_classes)."""
        check_images(images, self.in_channels, self.smallest)
        features = self.features(images)
        features = self.avgpool(features)  # (N, 512, 7, 7)
        features = features.flatten(1)
        return self.classifier(features)


def make_vgg(
    depth: int,
    *,
    in_channels: int = 3,
    num_classes: int = 1000,
    batch_norm: bool = False,
    stem: str = "large",
) -> VGG:
    """VGG-11, 13, 16 or 19; VGG-16 has 138,357,544 parameters for 1000 classes.

    Args:
        depth: layers with weights: 11, 13, 16 or 19.
        in_channels, num_classes, batch_norm: as in VGG.
        stem: "small", for 28 × 28 and 32 × 32, leaves out the first pooling and makes the fully
            connected layers small: 512 inputs, 512 units.

    Returns:
        The network, with random weights.

    Raises:
        ValueError: another depth or stem.

    Taught in notebook 11.
    """
    check_stem(stem)
    if depth not in STAGES:
        raise ValueError(f"expected a depth of 11, 13, 16 or 19, got {depth!r}")
    return VGG(
        STAGES[depth],
        in_channels=in_channels,
        num_classes=num_classes,
        batch_norm=batch_norm,
        stem=stem,
        final_size=7 if stem == "large" else 1,
        hidden=4096 if stem == "large" else 512,
    )
