"""How well, and how fast, does a CNN in NumPy alone learn MNIST? Several seeds of notebook 07.

    uv run python benchmarks/numpy_cnn.py
    uv run python benchmarks/numpy_cnn.py --choose

Trains the network of notebook 07 by the notebook's recipe, on the 55,000 training digits that are
not kept for validation, and looks at the test digits once at the end of each run. The result goes
to `numpy_cnn.json` beside this file. With --choose no test digit is looked at: several recipes are
tried on the validation digits, and their scores stored; that is how the recipe was found.
"""

import argparse
import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cnnlib import data, layers, ops

RESULT = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    num_epochs: int = 2
    batch_size: int = 32  # images
    max_lr: float = 0.05  # reached after warm_up, then down to 0 in a line
    warm_up: float = 0.2  # part of all steps
    momentum: float = 0.9
    weight_decay: float = 1e-3
    channels: tuple[int, int] = (8, 24)  # kernels of the two convolutions


# What was tried with --choose: the recipe that was taken, and neighbours of it.
TRIED = {
    "taken": Recipe(),
    "a first try": Recipe(
        batch_size=64, warm_up=0.0, weight_decay=0.0, channels=(8, 16), num_epochs=2
    ),
    "16 kernels": Recipe(channels=(8, 16)),
    "32 kernels": Recipe(channels=(8, 32)),
    "no weight decay": Recipe(weight_decay=0.0),
    "lr 0.02": Recipe(max_lr=0.02),
    "lr 0.1": Recipe(max_lr=0.1),
    "batches of 64": Recipe(batch_size=64),
    "one epoch": Recipe(num_epochs=1),
    "no warm-up": Recipe(warm_up=0.0),
}


def build_model(recipe: Recipe, rng: np.random.Generator) -> layers.Sequential:
    first, second = recipe.channels
    return layers.Sequential(
        layers.Conv2d(1, first, 5, rng=rng),
        layers.MaxPool2d(2),
        layers.ReLU(),
        layers.Conv2d(first, second, 5, rng=rng),
        layers.MaxPool2d(2),
        layers.ReLU(),
        layers.Flatten(),
        layers.Linear(second * 4 * 4, 10, rng=rng),
    )


def lr_factor(part: float, warm_up: float) -> float:
    """Up to 1 in a line during the warm-up, then down to 0; part is 0 to 1 of the training."""
    return part / warm_up if part < warm_up else (1 - part) / (1 - warm_up)


def train(recipe: Recipe, images: np.ndarray, labels: np.ndarray, seed: int) -> layers.Sequential:
    rng = np.random.default_rng(seed)
    model = build_model(recipe, rng)
    optimizer = layers.SGD(
        model, lr=0.0, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    N, B = len(images), recipe.batch_size
    step, num_steps = 0, recipe.num_epochs * -(-N // B)
    for _ in range(recipe.num_epochs):
        order = rng.permutation(N)
        for start in range(0, N, B):
            index = order[start : start + B]
            optimizer.lr = recipe.max_lr * lr_factor(step / num_steps, recipe.warm_up)
            logits = model.forward(images[index])
            model.backward(ops.softmax_cross_entropy_backward(1.0, logits, labels[index]))
            optimizer.step()
            step += 1
    return model


def accuracy(model: layers.Sequential, images: np.ndarray, labels: np.ndarray) -> float:
    starts = range(0, len(images), 500)
    answers = [model.forward(images[start : start + 500]).argmax(axis=1) for start in starts]
    return float((np.concatenate(answers) == labels).mean())


def load() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Standardised images and labels of the three parts."""
    digits = data.load_mnist()
    train_index, validation_index = data.split(digits.train_labels, 5000, seed=0)
    pixels = digits.train_images[train_index] / np.float32(255)
    mean, std = pixels.mean(dtype=np.float64), pixels.std(dtype=np.float64)

    def scaled(images):
        return ((images / np.float32(255) - mean) / std).astype(np.float32)

    labels = digits.train_labels
    return {
        "training": (scaled(digits.train_images[train_index]), labels[train_index]),
        "validation": (scaled(digits.train_images[validation_index]), labels[validation_index]),
        "test": (scaled(digits.test_images), digits.test_labels),
    }


def runs(recipe: Recipe, parts: dict, scored_on: str, num_seeds: int) -> dict:
    """Train with seeds 0, 1, …; accuracies on one part, their mean and spread, and seconds.

    Seconds are those of training alone: on the clock, and of computing.
    """
    accs, seconds, cpu_seconds = [], [], []
    for seed in range(num_seeds):
        start, cpu_start = time.perf_counter(), time.process_time()
        model = train(recipe, *parts["training"], seed)
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
        accs.append(accuracy(model, *parts[scored_on]))
        print(f"  seed {seed}: {scored_on} accuracy {accs[-1]:.4f} after {seconds[-1]:.1f} s")
    return {
        f"{scored_on}_acc": accs,
        "mean": round(float(np.mean(accs)), 5),
        "std": round(float(np.std(accs, ddof=1)), 5),
        "train_s": [round(s, 1) for s in seconds],
        "train_cpu_s": [round(s, 1) for s in cpu_seconds],  # what a busy machine does not change
    }


def provenance(command: str) -> dict:
    return {
        "command": command,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
        "cores": os.cpu_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--choose",
        nargs="*",
        metavar="NAME",
        help="try all recipes, or these, on validation digits",
    )
    arguments = parser.parse_args()
    parts = load()
    stored = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    command = "python benchmarks/numpy_cnn.py"
    if arguments.choose is not None:
        num_seeds = min(arguments.seeds, 2)
        found = stored.get("chosen_among", {}).get("recipes", {})
        for name in arguments.choose or TRIED:
            print(name)
            found[name] = runs(TRIED[name], parts, "validation", num_seeds)
        stored["chosen_among"] = provenance(f"{command} --choose") | {"recipes": found}
    else:
        result = runs(Recipe(), parts, "test", arguments.seeds)
        stored["result"] = provenance(command) | {"recipe": asdict(Recipe())} | result
        print(f"mean {result['mean']:.4f}, standard deviation {result['std']:.4f}")
    RESULT.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
