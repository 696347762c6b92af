"""What does each part of notebook 12's default recipe earn? Each is left out, or put in, in turn.

    OMP_NUM_THREADS=1 uv run python benchmarks/full_training.py

Trains the three-convolution network of notebook 12 on 55,000 images of Fashion-MNIST for four
epochs, with seeds 0, 1, 2 for every recipe, and evaluates it on the 5,000 images held out and on
the 10,000 test images, as they are and averaged with their mirror image. The result goes to
`full_training.json` beside this file after each run; runs that are there already are not repeated.
"""

import argparse
import json
import platform
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from cnnlib import augment, data
from cnnlib.batches import Batches
from cnnlib.models import make_three_conv
from cnnlib.training import TrainConfig, collect_logits, fit, pick_device, seed_everything

RESULT = Path(__file__).with_suffix(".json")
MEAN, STD = 0.286, 0.353  # of the training pixels, 0 to 1
NUM_VAL, BATCH_SIZE = 5000, 128
DEFAULT = TrainConfig(
    epochs=4,
    lr=0.1,
    warmup=0.2,
    schedule="linear",
    weight_decay=5e-4,
    label_smoothing=0.1,
    channels_last=True,
    precision="bfloat16",
)
# name -> what differs from DEFAULT
RECIPES = {
    "default": {},
    "constant rate 0.02": {"schedule": "constant", "warmup": 0.0, "lr": 0.02},
    "averaged weights": {"ema_decay": 0.99},
    "no mirroring": {},  # of training images
    "one value a map": {},  # the maximum of each map in place of its 3 × 3 values
}


def run_one(recipe: str, seed: int) -> dict:
    """Train and evaluate once."""
    config = replace(DEFAULT, seed=seed, **RECIPES[recipe])
    seed_everything(seed)
    clothes = data.load_fashion_mnist()
    images, labels = clothes.train_images, clothes.train_labels
    shared = {"mean": MEAN, "std": STD, "device": pick_device(), "channels_last": True}
    train_batches = Batches(
        images[:-NUM_VAL],
        labels[:-NUM_VAL],
        batch_size=BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        augment=None if recipe == "no mirroring" else augment.random_flip,
        seed=seed,
        **shared,
    )
    model = make_three_conv()
    if recipe == "one value a map":
        model[3] = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
        model[4] = nn.Linear(128, 10)
    history = fit(model, train_batches, config, progress=False)
    found = {"seed": seed, "seconds": round(sum(history.seconds), 1)}
    sets = {
        "val": (images[-NUM_VAL:], labels[-NUM_VAL:]),
        "test": (clothes.test_images, clothes.test_labels),
    }
    for name, (held_images, held_labels) in sets.items():
        both = []
        for view in (held_images, held_images[..., ::-1].copy()):
            batches = Batches(view, held_labels, batch_size=1000, **shared)
            logits, answers = collect_logits(model, batches)
            both.append(logits.softmax(dim=1))
        found[f"{name}_acc"] = float((both[0].argmax(1) == answers).double().mean())
        found[f"{name}_acc_mirrored"] = float((sum(both).argmax(1) == answers).double().mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="runs for each recipe")
    options = parser.parse_args()
    report = json.loads(RESULT.read_text()) if RESULT.exists() else {"recipes": {}}
    report["made_with"] = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "config": asdict(DEFAULT),
        "batch_size": BATCH_SIZE,
    }
    for seed in range(options.seeds):
        for recipe in RECIPES:
            runs = report["recipes"].setdefault(recipe, [])
            if any(run["seed"] == seed for run in runs):
                continue
            runs.append(run_one(recipe, seed))
            print(recipe, runs[-1], file=sys.stderr, flush=True)
            RESULT.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
