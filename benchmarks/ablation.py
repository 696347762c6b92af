"""Which ingredient of a recipe earns its place? Each is added to a base, and taken from all.

    OMP_NUM_THREADS=1 uv run python benchmarks/ablation.py
    OMP_NUM_THREADS=1 uv run python benchmarks/ablation.py --choose

Trains the small network of notebook 10 on 3,000 images of Fashion-MNIST, with seeds 0, 1, … for
every recipe, and evaluates it on the 10,000 test images at the end of each run. A seed decides the
first weights, the order and the augmentation; the 3,000 images are the same in all runs. The result
goes to `ablation.json` beside this file after each recipe; a recipe that is there already, with as
many seeds, is not trained again, so that an interrupted run goes on. With --choose the learning
rate is chosen, with batch norm and without, on 5,000 other training images.
"""

import argparse
import json
import platform
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnnlib import augment, data
from cnnlib.batches import Batches
from cnnlib.training import TrainConfig, evaluate, fit, pick_device, seed_everything

RESULT = Path(__file__).with_suffix(".json")
MEAN, STD = 0.286, 0.353  # of the training pixels, 0 to 1
BLACK = -MEAN / STD  # what a black pixel becomes


@dataclass(frozen=True, kw_only=True)
class Recipe:
    num_images: int = 3000
    epochs: int = 12
    batch_size: int = 64  # images
    lr: float = 0.1
    warmup: float = 0.15
    batch_norm: bool = True
    dropout: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    ema_decay: float | None = None
    augment: tuple[str, ...] = ()


AUGMENTATIONS = {
    "flip": augment.random_flip,
    "shift": partial(augment.random_shift, max_shift=2, fill=BLACK),
    "erase": partial(augment.random_erase, size=8, fill=BLACK),
    "mixup": partial(augment.mixup, num_classes=10, alpha=0.2),
    "cutmix": partial(augment.cutmix, num_classes=10, alpha=1.0),
}
INGREDIENTS = {
    "dropout 0.2": {"dropout": 0.2},
    "weight decay 0.005": {"weight_decay": 0.005},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "weight average 0.98": {"ema_decay": 0.98},
    **{name: {"augment": (name,)} for name in AUGMENTATIONS},
}
BASE = Recipe()
NO_NORM = {"batch_norm": False, "lr": 0.05}  # each arm at the better rate of --choose
FULL = ("dropout 0.2", "weight decay 0.005", "flip", "mixup")


def combined(names: tuple[str, ...]) -> Recipe:
    """The base with these ingredients; augmentations in the order in which they are named."""
    recipe = BASE
    for name in names:
        change = dict(INGREDIENTS[name])
        change["augment"] = recipe.augment + change.get("augment", ())
        recipe = replace(recipe, **change)
    return recipe


def recipes() -> dict[str, Recipe]:
    """The base, base and one ingredient, all together, all but one; some three times as long."""
    found = {"base": BASE, "base − batch norm": replace(BASE, **NO_NORM)}
    found |= {f"base + {name}": combined((name,)) for name in INGREDIENTS}
    found["full"] = combined(FULL)
    found["full − batch norm"] = replace(combined(FULL), **NO_NORM)
    for name in FULL:
        found[f"full − {name}"] = combined(tuple(other for other in FULL if other != name))
    for name in ("base", "base + flip", "full"):
        found[f"{name}, 36 epochs"] = replace(found[name], epochs=36)
    return found


def small_cnn(batch_norm: bool, dropout: float, width: int = 12) -> nn.Sequential:
    """Three convolutions, 1 -> width -> 2 width -> 4 width channels, and a linear layer."""
    layers, C = [], 1
    for O, k, stride in ((width, 5, 2), (2 * width, 3, 2), (4 * width, 3, 1)):
        layers.append(nn.Conv2d(C, O, k, stride, padding=k // 2, bias=not batch_norm))
        layers += [nn.BatchNorm2d(O), nn.ReLU()] if batch_norm else [nn.ReLU()]
        C = O
    return nn.Sequential(
        *layers, nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(dropout), nn.Linear(9 * C, 10)
    )


def load(recipe: Recipe) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images and labels to train on, to choose with, and to test on."""
    fashion = data.load_fashion_mnist()
    order = np.random.default_rng(0).permutation(len(fashion.train_labels))
    parts = {"training": order[: recipe.num_images], "validation": order[-5000:]}
    found = {k: (fashion.train_images[i], fashion.train_labels[i]) for k, i in parts.items()}
    return found | {"test": (fashion.test_images, fashion.test_labels)}


def train(recipe: Recipe, parts: dict, scored_on: str, seed: int) -> dict[str, float]:
    seed_everything(seed)
    scale = {"mean": MEAN, "std": STD, "device": pick_device(), "channels_last": True}
    steps = [AUGMENTATIONS[name] for name in recipe.augment]
    batches = Batches(
        *parts["training"],
        batch_size=recipe.batch_size,
        shuffle=True,
        drop_last=True,
        augment=augment.in_turn(*steps) if steps else None,
        seed=seed,
        **scale,
    )
    names = ("epochs", "lr", "warmup", "weight_decay", "label_smoothing", "ema_decay")
    settings = {name: getattr(recipe, name) for name in names}
    config = TrainConfig(**settings, channels_last=True, seed=seed)
    model = small_cnn(recipe.batch_norm, recipe.dropout)
    start = time.perf_counter()
    history = fit(model, batches, config, progress=False)
    seconds = time.perf_counter() - start
    result = evaluate(model, Batches(*parts[scored_on], batch_size=1000, **scale))
    return {
        "acc": round(result.acc, 4),
        "loss": round(result.loss, 4),
        "train_acc": round(history.train_acc[-1], 4),  # on the batches as they were trained on
        "seconds": round(seconds, 1),
    }


def runs(name: str, recipe: Recipe, parts: dict, scored_on: str, num_seeds: int) -> dict:
    found = [train(recipe, parts, scored_on, seed) for seed in range(num_seeds)]
    columns = {key: [run[key] for run in found] for key in found[0]}
    accs = np.array(columns["acc"])
    print(f"{name:28} {accs.mean():.4f} ± {accs.std(ddof=num_seeds > 1):.4f}", flush=True)
    return {"recipe": asdict(recipe), "scored_on": scored_on, **columns}


def provenance(command: str) -> dict:
    return {
        "command": command,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "device": str(pick_device()),
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--choose", action="store_true", help="compare learning rates instead")
    arguments = parser.parse_args()
    stored = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    parts = load(BASE)
    command = "OMP_NUM_THREADS=1 python benchmarks/ablation.py"
    if arguments.choose:
        # Without batch norm 0.2 ends in a loss that is not a number, at step 98.
        tried = {False: (0.025, 0.05, 0.1), True: (0.05, 0.1, 0.2)}
        named = {
            f"{'batch norm' if norm else 'no norm'}, lr {lr}": Recipe(batch_norm=norm, lr=lr)
            for norm, rates in tried.items()
            for lr in rates
        }
        part, scored_on, num_seeds, command = "choice_of_lr", "validation", 2, f"{command} --choose"
    else:
        part, scored_on, num_seeds, named = "ablation", "test", arguments.seeds, recipes()
    known = list(stored.get(part, {}).get("runs", {}).values())
    found = {}
    for name, recipe in named.items():
        same = json.loads(json.dumps(asdict(recipe)))  # as it is stored, with lists for tuples
        done = [r for r in known if r["recipe"] == same and len(r["acc"]) == num_seeds]
        if done:
            found[name] = done[0]
    for name, recipe in named.items():
        if name not in found:
            found[name] = runs(name, recipe, parts, scored_on, num_seeds)
        in_order = {name: found[name] for name in named if name in found}
        stored[part] = provenance(command) | {"seeds": num_seeds, "runs": in_order}
        RESULT.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
