"""LeNet-5: convolve, pool, convolve, pool, then classify what is left with fully connected layers.

The form is today's: ReLU in place of tanh, maximum in place of a scaled average, every map of the
second convolution connected to every map of the first, and plain logits at the end.
"""

from torch import Tensor, nn

from cnnlib.geometry import Size, to_pair
from cnnlib.models.checks import check_counts, check_image_size, check_images

SMALLEST = 12  # from 12 × 12, the second pooling leaves one pixel


class LeNet5(nn.Module):
    """LeNet-5 for images of one fixed size.

    Args:
        in_channels, num_classes: counts.
        image_size: (height, width), or one integer for a square; at least 12.
        channels: feature maps after the first and the second convolution.
        hidden: units of the two fully connected layers between.

    Raises:
        ValueError: an image_size below 12, or images of another size than image_size.

    Example:
        >>> import torch
        >>> model = LeNet5()
        >>> model(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
        >>> sum(parameter.numel() for parameter in model.parameters())
        61706

    Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document
    recognition (1998).

    Taught in notebook 11.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        num_classes: int = 10,
        image_size: Size = 28,
        channels: tuple[int, int] = (6, 16),
        hidden: tuple[int, int] = (120, 84),
    ) -> None:
        super().__init__()
        check_counts(in_channels=in_channels, num_classes=num_classes)
        self.in_channels = in_channels
        self.image_size = to_pair(image_size, "image_size", at_least=SMALLEST)
        rows, columns = ((size // 2 - 4) // 2 for size in self.image_size)
        self.conv1 = nn.Conv2d(in_channels, channels[0], kernel_size=5, padding=2)
        self.conv2 = nn.Conv2d(channels[0], channels[1], kernel_size=5)
        self.fc1 = nn.Linear(channels[1] * rows * columns, hidden[0])
        self.fc2 = nn.Linear(hidden[0], hidden[1])
        self.fc3 = nn.Linear(hidden[1], num_classes)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, num_classes). Remarks: H and W for 28 × 28."""
        check_images(images, self.in_channels, SMALLEST)
        check_image_size(images, self.image_size)
        features = self.conv1(images)  # (N, 6, 28, 28)
        features = self.relu(features)
        features = self.pool(features)  # (N, 6, 14, 14)
        features = self.conv2(features)  # (N, 16, 10, 10)
        features = self.relu(features)
        features = self.pool(features)  # (N, 16, 5, 5)
        features = features.flatten(1)  # (N, 400)
        features = self.fc1(features)
        features = self.relu(features)
        features = self.fc2(features)
        features = self.relu(features)
        return self.fc3(features)
