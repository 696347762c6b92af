"""Augmentation of whole batches: (images, labels, generator) -> (images, labels).

Random numbers are drawn on the CPU, so that a seed gives the same images on every device. A
function with more arguments is fixed with `functools.partial`, and several are put in a row with
`in_turn`.

Example:
    >>> from functools import partial
    >>> augment = in_turn(random_flip, partial(random_shift, max_shift=2))
    >>> images, labels = torch.rand(8, 1, 28, 28), torch.arange(8)
    >>> augment(images, labels, torch.Generator().manual_seed(0))[0].shape
    torch.Size([8, 1, 28, 28])
"""

import numpy as np
import torch
import torch.nn.functional as F

from cnnlib.batches import Augment

Pair = tuple[torch.Tensor, torch.Tensor]


def in_turn(*steps: Augment) -> Augment:
    """One augmentation made of several, the first one first. Taught in notebook 10."""

    def augment(images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> Pair:
        for step in steps:
            images, labels = step(images, labels, generator)
        return images, labels

    return augment


def random_flip(images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> Pair:
    """Mirror each image left to right with probability one half: for clothes, never for digits.

    Taught in notebook 10.
    """
    flipped = torch.rand(len(images), generator=generator) < 0.5
    flipped = flipped.to(images.device)[:, None, None, None]
    return torch.where(flipped, images.flip(3), images), labels


def random_shift(
    images: torch.Tensor,
    labels: torch.Tensor,
    generator: torch.Generator,
    *,
    max_shift: int = 2,
    fill: float = 0.0,
) -> Pair:
    """Move each image by up to max_shift pixels in each direction; `fill` comes in at the rim.

    Taught in notebook 10.
    """
    N, C, H, W = images.shape
    padded = F.pad(images, (max_shift,) * 4, value=fill)
    starts = torch.randint(0, 2 * max_shift + 1, (2, N, 1), generator=generator)
    rows, columns = (starts[0] + torch.arange(H)).to(images.device), starts[1] + torch.arange(W)
    columns = columns.to(images.device)
    numbers = torch.arange(N, device=images.device)[:, None, None]
    # Three index arrays on axes 0, 2 and 3 give (N, H, W, C): the channels come last.
    moved = padded[numbers, :, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2), labels


def random_erase(
    images: torch.Tensor,
    labels: torch.Tensor,
    generator: torch.Generator,
    *,
    size: int = 8,
    fill: float = 0.0,
) -> Pair:
    """Cover a random square of size × size pixels in each image; part of it may lie outside.

    Source: DeVries and Taylor, Improved regularization with cutout (2017). Taught in notebook 10.
    """
    N, C, H, W = images.shape
    middle = torch.rand(2, N, 1, generator=generator)
    inside = []
    for share, length in zip(middle, (H, W), strict=True):
        first = (share * length).floor() - size // 2
        places = torch.arange(length)
        inside.append((places >= first) & (places < first + size))
    covered = (inside[0][:, :, None] & inside[1][:, None, :]).to(images.device)[:, None]
    return images.masked_fill(covered, fill), labels


def mixup(
    images: torch.Tensor,
    labels: torch.Tensor,
    generator: torch.Generator,
    *,
    num_classes: int,
    alpha: float = 0.2,
) -> Pair:
    """Mix each image with another one of the batch, and the labels in the same proportion.

    Labels become probabilities (N, num_classes), which F.cross_entropy takes as well. The share
    is drawn once a batch, from Beta(alpha, alpha).

    Source: Zhang et al., mixup (2018). Taught in notebook 10.
    """
    share = _beta(alpha, generator)
    order = torch.randperm(len(images), generator=generator).to(images.device)
    targets = one_hot(labels, num_classes)
    mixed = share * images + (1 - share) * images[order]
    return mixed, share * targets + (1 - share) * targets[order]


def cutmix(
    images: torch.Tensor,
    labels: torch.Tensor,
    generator: torch.Generator,
    *,
    num_classes: int,
    alpha: float = 1.0,
) -> Pair:
    """Replace a rectangle of each image by that of another, and the labels by area.

    Source: Yun et al., CutMix (2019). Taught in notebook 10.
    """
    N, C, H, W = images.shape
    side = (1 - _beta(alpha, generator)) ** 0.5
    middle = torch.rand(2, generator=generator) * torch.tensor([H, W])
    half = side * torch.tensor([H, W]) / 2
    top, left = (middle - half).round().clamp(min=0).int().tolist()
    bottom, right = torch.minimum((middle + half).round(), torch.tensor([H, W])).int().tolist()
    order = torch.randperm(N, generator=generator).to(images.device)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[order, :, top:bottom, left:right]
    share = 1 - (bottom - top) * (right - left) / (H * W)  # by what was really replaced
    targets = one_hot(labels, num_classes)
    return mixed, share * targets + (1 - share) * targets[order]


def one_hot(labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Class numbers (N,) as float32 probabilities (N, num_classes); probabilities stay as they are.

    Taught in notebook 10.
    """
    return labels if labels.ndim == 2 else F.one_hot(labels, num_classes).float()


def _beta(alpha: float, generator: torch.Generator) -> float:
    """A number from Beta(alpha, alpha). torch's own takes no generator, so NumPy's is seeded."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    return float(np.random.default_rng(seed).beta(alpha, alpha))
