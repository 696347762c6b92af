"""AlexNet: LeNet grown deep and wide enough for photographs, with ReLU, dropout and two GPUs.

This is the one-GPU form of 2014, as in torchvision: five convolutions without groups and without
local response normalisation. Keys and shapes of its state_dict are torchvision's.
"""

from torch import Tensor, nn

from cnnlib.models.checks import check_counts, check_images, check_stem


class AlexNet(nn.Module):
    """Five convolutions, three overlapping poolings, three fully connected layers.

    The default is torchvision's: 61,100,840 parameters for 1000 classes.

    Args:
        in_channels, num_classes: counts.
        stem: "large" begins with 11 × 11, stride 4, and a pooling; "small", for 28 × 28 and
            32 × 32, with 3 × 3, stride 1, and no pooling, which leaves the same 6 × 6 at the end.
        channels: feature maps after each of the five convolutions.
        hidden: units of each of the two fully connected layers between.
        dropout: the probability with which each of their inputs is dropped in training.

    Raises:
        ValueError: another stem, or images below 63 × 63 ("large") or 7 × 7 ("small").

    Example:
        >>> import torch
        >>> model = AlexNet(
        ...     in_channels=1, num_classes=10, stem="small", channels=(8, 16, 24, 24, 16), hidden=56
        ... )
        >>> model(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])

    Source: Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional
    neural networks (2012); Krizhevsky, One weird trick for parallelizing convolutional neural
    networks (2014).

    Taught in notebook 11.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        stem: str = "large",
        channels: tuple[int, int, int, int, int] = (64, 192, 384, 256, 256),
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_stem(stem)
        check_counts(in_channels=in_channels, num_classes=num_classes)
        self.in_channels = in_channels
        c1, c2, c3, c4, c5 = channels
        if stem == "large":
            self.smallest = 63
            first = nn.Conv2d(in_channels, c1, kernel_size=11, stride=4, padding=2)
            first_pool = nn.MaxPool2d(kernel_size=3, stride=2)
        else:
            self.smallest = 7
            first = nn.Conv2d(in_channels, c1, kernel_size=3, padding=1)
            first_pool = nn.Identity()
        self.features = nn.Sequential(
            first,
            nn.ReLU(),
            first_pool,
            nn.Conv2d(c1, c2, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(c2, c3, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(c3, c4, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(c4, c5, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(c5 * 6 * 6, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, num_classes)."""
        check_images(images, self.in_channels, self.smallest)
        features = self.features(images)
        features = self.avgpool(features)  # (N, 256, 6, 6)
        features = features.flatten(1)
        return self.classifier(features)
