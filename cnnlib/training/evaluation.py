"""What a network does on a set of images: the only evaluation of the workbook."""

from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from cnnlib.batches import Batches


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a network does on a set of images. Taught in notebook 09."""

    loss: float  # mean cross-entropy
    acc: float  # fraction of right answers
    num_images: int


@torch.inference_mode()
def collect_logits(
    model: nn.Module, batches: Batches, *, precision: str = "float32"
) -> tuple[torch.Tensor, torch.Tensor]:
    """A network's logits on all images, in order, and the labels: on the CPU, as float32.

    Args:
        model: put into eval mode meanwhile, and back into the mode in which it was found.
        batches: not shuffled.
        precision: see TrainConfig.

    Returns:
        logits float32 (N, num_classes) and labels int64 (N,).

    Taught in notebook 09.
    """
    with eval_mode(model), autocast(batches.device, precision):
        pairs = [(model(images), labels) for images, labels in batches]
    logits, labels = zip(*pairs, strict=True)
    return torch.cat(logits).float().cpu(), torch.cat(labels).cpu()


def evaluate(model: nn.Module, batches: Batches, *, precision: str = "float32") -> Evaluation:
    """Loss and accuracy of a network, in eval mode and without gradients.

    Args:
        model, batches, precision: as for collect_logits.

    Returns:
        An Evaluation.

    Example:
        >>> batches = Batches(torch.rand(6, 1, 2, 2), torch.arange(6) % 3, batch_size=4)
        >>> evaluate(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), batches).num_images
        6

    Taught in notebook 09.
    """
    logits, labels = collect_logits(model, batches, precision=precision)
    acc = (logits.argmax(dim=1) == labels).double().mean()
    loss = F.cross_entropy(logits.double(), labels)
    return Evaluation(loss=float(loss), acc=float(acc), num_images=len(labels))


@contextmanager
def eval_mode(model: nn.Module):
    """Eval mode inside the block; afterwards every part is in the mode in which it was found."""
    found = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield model
    finally:
        for module, training in found.items():
            module.training = training


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision for the block: products in 16 bits, sums and weights in 32."""
    dtype = getattr(torch, precision)
    half = precision != "float32"
    return torch.autocast(device.type, dtype=dtype if half else None, enabled=half)
