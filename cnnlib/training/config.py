"""How a network is trained, in one object; and where, and from which random numbers."""

import math
import random
from dataclasses import dataclass, fields

import numpy as np
import torch

CHOICES = {
    "optimizer": ("sgd", "adamw"),
    "schedule": ("constant", "linear", "cosine"),
    "precision": ("float32", "bfloat16", "float16"),
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides how `fit` trains; `dataclasses.replace` makes a variant.

    Raises:
        ValueError: a choice that there is not, or a number out of range.

    Example:
        >>> TrainConfig(epochs=3, lr=0.1).schedule
        'cosine'

    Taught in notebook 09.
    """

    epochs: int  # passes over the training images
    lr: float  # the highest learning rate
    optimizer: str = "sgd"  # or "adamw"
    momentum: float = 0.9  # of sgd, with Nesterov's correction; of adamw, beta 1
    weight_decay: float = 0.0  # on kernels and matrices; never on biases and norms
    schedule: str = "cosine"  # how the rate falls to 0: "cosine", "linear"; or "constant"
    warmup: float = 0.0  # part of all steps in which the rate climbs from near 0, 0 to 1
    label_smoothing: float = 0.0  # part of the target that is spread over all classes, 0 to 1
    clip_norm: float | None = None  # longest gradient allowed, in all parameters together
    ema_decay: float | None = None  # evaluate a running mean of the weights; 0.9 to 0.999
    patience: int | None = None  # stop after this many epochs without a lower validation loss
    precision: str = "float32"  # "bfloat16", or "float16" (on a GPU only)
    channels_last: bool = False  # lay images and kernels out as N H W C: faster on most machines
    compile: bool = False  # torch.compile the network: slow to start, then faster
    seed: int = 0  # for seed_everything; fit itself draws nothing from it

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"expected {name} of {allowed}, got {getattr(self, name)!r}")
        limits = {
            "epochs": (1, math.inf),
            "lr": (0, math.inf),
            "momentum": (0, 1),
            "weight_decay": (0, math.inf),
            "warmup": (0, 1),
            "label_smoothing": (0, 1),
            "clip_norm": (0, math.inf),
            "ema_decay": (0, 1),
            "patience": (1, math.inf),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"expected {name} from {low} to {high}, got {value}")


def describe_difference(config: dict, other: dict) -> str:
    """Which settings differ between two configurations given as dictionaries: "lr 0.1 -> 0.2"."""
    names = [field.name for field in fields(TrainConfig)]
    names += sorted((config.keys() | other.keys()) - set(names))
    pairs = [(name, config.get(name), other.get(name)) for name in names]
    return ", ".join(f"{name} {old} -> {new}" for name, old, new in pairs if old != new)


def learning_rate(config: TrainConfig, step: int, num_steps: int) -> float:
    """The learning rate of one step: it climbs in the warm-up, then falls as the schedule says.

    Args:
        config: its lr, schedule and warmup count.
        step: 0 to num_steps - 1.
        num_steps: of the whole training.

    Returns:
        A rate above 0 and up to config.lr.

    Example:
        >>> config = TrainConfig(epochs=1, lr=1.0, schedule="linear", warmup=0.2)
        >>> [round(learning_rate(config, step, 10), 2) for step in range(10)]
        [0.5, 1.0, 1.0, 0.88, 0.75, 0.62, 0.5, 0.38, 0.25, 0.12]

    Taught in notebook 09.
    """
    warmup_steps = round(config.warmup * num_steps)
    if step < warmup_steps:
        return config.lr * (step + 1) / warmup_steps
    if config.schedule == "constant":
        return config.lr
    done = (step - warmup_steps) / max(1, num_steps - warmup_steps)  # 0 to just below 1
    left = 1 - done if config.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return config.lr * left


def make_optimizer(model: torch.nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer of a configuration. Weight decay is for weights that multiply, with two axes or
    more; biases and the two vectors of a norm have one, and are left alone. Taught in notebook 10.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("expected a model with parameters to train, got none that require a grad")
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, betas=(config.momentum, 0.999))
    nesterov = config.momentum > 0
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov)


def seed_everything(seed: int) -> None:
    """Seed the random numbers of Python, NumPy (its old global ones) and torch, on all devices.

    Example:
        >>> seed_everything(0)
        >>> round(float(torch.rand(())), 4)
        0.4963

    Taught in notebook 08.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (what other libraries draw from)
    torch.manual_seed(seed)


def pick_device() -> torch.device:
    """The fastest device here: an NVIDIA or AMD GPU, Apple's, or the CPU. Taught in notebook 08."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
