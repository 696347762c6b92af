"""Whole data sets in memory, handed out as shuffled, normalised, augmented batches on a device."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

# Whole-batch augmentation: (images, labels, generator) -> (images, labels).
Augment = Callable[[torch.Tensor, torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor]]


class Batches:
    """Iterate over images and labels batch by batch; each `for` loop is one epoch.

    The images stay in memory as they are (one byte a pixel for uint8) and only a batch at a time
    becomes float32. There are no workers and no files: for data that fit into memory, this is
    many times faster than loading image by image.

    Args:
        images: uint8 (N, C, H, W), 0 to 255, or float32, which are taken as they are; an array
            or a tensor.
        labels: int64 (N,), class numbers.
        batch_size: images in a batch; the last one may be smaller.
        mean, std: of the pixels on the scale 0 to 1, a number or one for each channel. A pixel
            becomes (pixel - mean) / std.
        shuffle: a new random order in each epoch, from `seed`.
        augment: changes each batch after normalising: (images, labels, generator) -> (images,
            labels). See `cnnlib.augment`.
        drop_last: leave out a last batch that is smaller.
        device: where the batches are needed; all images are moved there at once.
        channels_last: lay batches out in memory as N H W C (the shape stays N C H W).
        seed: decides order and augmentation.
        part: (number, count): this is one of `count` processes that share every batch.

    Raises:
        TypeError: images or labels of another dtype.
        ValueError: shapes, sizes or parts that do not go together.

    Example:
        >>> images, labels = np.zeros((10, 1, 28, 28), np.uint8), np.arange(10)
        >>> batches = Batches(images, labels, batch_size=4, mean=0.13, std=0.31, shuffle=True)
        >>> [tuple(images.shape) for images, labels in batches]
        [(4, 1, 28, 28), (4, 1, 28, 28), (2, 1, 28, 28)]

    Taught in notebook 09.
    """

    def __init__(
        self,
        images: np.ndarray | torch.Tensor,
        labels: np.ndarray | torch.Tensor,
        *,
        batch_size: int,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        shuffle: bool = False,
        augment: Augment | None = None,
        drop_last: bool = False,
        device: str | torch.device = "cpu",
        channels_last: bool = False,
        seed: int = 0,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        images, labels = torch.as_tensor(images), torch.as_tensor(labels)
        _check(images, labels, batch_size, part)
        self.device = torch.device(device)
        if drop_last and len(images) < batch_size:
            raise ValueError(
                f"expected at least one whole batch with drop_last, got {len(images)} images for "
                f"a batch_size of {batch_size}"
            )
        self.images, self.labels = images.to(self.device), labels.to(self.device)
        self.batch_size, self.shuffle, self.augment = batch_size, shuffle, augment
        self.drop_last, self.part = drop_last, part
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        # (pixel / 255 - mean) / std is one multiplication and one addition.
        full = 255.0 if images.dtype == torch.uint8 else 1.0
        mean, std = (_per_channel(values, images.shape[1]) for values in (mean, std))
        if (std <= 0).any():
            raise ValueError(f"expected std above 0, got {std.flatten().tolist()}")
        self.factor = (1 / (full * std)).to(self.device)
        self.offset = (-mean / std).to(self.device)
        # Every process draws the same order, and an augmentation of its own.
        self.order_generator = torch.Generator().manual_seed(seed)
        self.augment_generator = torch.Generator().manual_seed(seed + 1_000_003 * (part[0] + 1))

    @property
    def num_images(self) -> int:
        """Images in an epoch; with `drop_last`, fewer than there are."""
        return len(self) * self.batch_size if self.drop_last else len(self.images)

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self.images), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        N = len(self.images)
        number, count = self.part
        order = torch.randperm(N, generator=self.order_generator) if self.shuffle else None
        for batch in range(len(self)):
            chosen = slice(batch * self.batch_size, min(N, (batch + 1) * self.batch_size))
            if order is not None:
                chosen = order[chosen][number::count].to(self.device)
            elif count > 1:
                chosen = slice(chosen.start + number, chosen.stop, count)
            images = self.images[chosen].float() * self.factor + self.offset
            images = images.contiguous(memory_format=self.memory_format)
            labels = self.labels[chosen]
            if self.augment is not None:
                images, labels = self.augment(images, labels, self.augment_generator)
                images = images.contiguous(memory_format=self.memory_format)
            yield images, labels

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Where the random numbers stand: save it after an epoch to go on with the same ones."""
        generators = {"order": self.order_generator, "augment": self.augment_generator}
        return {name: generator.get_state() for name, generator in generators.items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Go on where `state_dict` was called."""
        self.order_generator.set_state(state["order"])
        self.augment_generator.set_state(state["augment"])

    def __repr__(self) -> str:
        shape = tuple(self.images.shape[1:])
        return f"Batches({len(self)} of {self.batch_size} images {shape} on {self.device})"


def _check(images: torch.Tensor, labels: torch.Tensor, batch_size: int, part: tuple) -> None:
    if images.dtype not in (torch.uint8, torch.float32):
        raise TypeError(f"expected images of uint8 or float32, got {images.dtype}")
    if labels.dtype != torch.int64:
        raise TypeError(f"expected labels of int64, got {labels.dtype}; use labels.long()")
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(
            f"expected images (N, C, H, W), at least one, got {tuple(images.shape)}; grey images "
            "(N, H, W) become (N, 1, H, W) with images[:, None]"
        )
    if labels.shape != images.shape[:1]:
        raise ValueError(f"expected labels ({len(images)},), got {tuple(labels.shape)}")
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"expected a batch_size of at least 1, got {batch_size!r}")
    number, count = part
    if not 0 <= number < count or batch_size % count:
        raise ValueError(
            f"expected part (number, count) with number below count and a batch_size that count "
            f"divides, got part={part} and batch_size={batch_size}"
        )


def _per_channel(values: float | Sequence[float], channels: int) -> torch.Tensor:
    values = torch.as_tensor(values, dtype=torch.float32).reshape(-1)
    if len(values) not in (1, channels):
        raise ValueError(f"expected one number or {channels}, one a channel, got {len(values)}")
    return values[:, None, None]
