"""Which architecture makes the most of a budget? Small members of every family, Fashion-MNIST.

    OMP_NUM_THREADS=1 uv run python benchmarks/tournament.py
    OMP_NUM_THREADS=1 uv run python benchmarks/tournament.py --depth
    OMP_NUM_THREADS=1 uv run python benchmarks/tournament.py --timing

Every contestant has 45,000 to 56,000 parameters, takes 28 × 28 grey images and is trained with the
same AdamW, batches of 64, a cosine with warm-up, and no dropout. Its learning rate is the best of
RATES on 5,000 images that nobody trains on, after 200 steps with seed 100: the same search for
each. There are two rounds. In the first all get the same arithmetic, BUDGET multiply-accumulates
for the whole training (three times a forward pass for each image), so that a cheap network sees
more images; in the second all see the same 25,600 images once. Seeds 0, 1 and 2 decide first
weights and order; scores are on the 10,000 test images. The result goes to `tournament.json` beside
this file after each contestant; what is there already is not trained again, so that an interrupted
run goes on.

With --timing, the contestants take training steps in turn, and the shortest of each is stored, so
that what else the machine was doing counts as little as it can; that takes a minute.

With --depth, plain and residual networks of 8, 20 and 56 layers learn images of 14 × 14 for 400
steps, each at the best of DEPTH_RATES (the lowest training loss of seed 100), seeds 0, 1 and 2.
"""

import argparse
import json
import math
import platform
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnnlib import data, models
from cnnlib.batches import Batches
from cnnlib.models import mobilenet_v3
from cnnlib.training import TrainConfig, evaluate, fit, seed_everything

RESULT = Path(__file__).with_suffix(".json")
MEAN, STD = 0.286, 0.353  # of the training pixels, 0 to 1
BATCH_SIZE, NUM_VALIDATION = 64, 5000
RATES = (0.001, 0.003, 0.01, 0.03)
BUDGET = 3 * 10**11  # multiply-accumulates, forward and backward, for one training
ROUNDS = ("equal MACs", "equal images")
DEPTHS, DEPTH_RATES = (8, 20, 56), (0.05, 0.1)
EQUAL_STEPS, CHOICE_STEPS, CHOICE_SEED = 400, 200, 100

GREY = {"in_channels": 1, "num_classes": 10}
SMALL = GREY | {"stem": "small"}


def small_vgg() -> models.VGG:
    """With the usual first weights in the linear layers.

    Those of the paper, 0.01 times a normal number, are meant for 25,088 inputs; for 48 they are so
    small that hundreds of steps pass before anything happens.
    """
    stages = ((16,), (32,), (48, 48))
    model = models.VGG(stages, final_size=1, hidden=64, batch_norm=True, dropout=0.0, **GREY)
    for layer in model.classifier:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    return model


def small_mobilenet_v3() -> models.MobileNetV3:
    """With batch norm's usual momentum.

    The paper's 0.01 is meant for a million steps: after 200, an eighth of the running statistics is
    still what they began with, and the network is at chance in eval mode.
    """
    rows = mobilenet_v3.SMALL[:6]
    model = models.MobileNetV3(rows, width_mult=0.5, last_channels=64, dropout=0.0, **SMALL)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
    return model


V1_ROWS = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1))
V2_ROWS = ((1, 16, 1, 1), (4, 24, 2, 2), (4, 40, 2, 2))
CONTESTANTS = {
    "LeNet-5": partial(models.LeNet5, hidden=(100, 64), **GREY),
    "AlexNet": partial(
        models.AlexNet, channels=(8, 16, 24, 24, 16), hidden=56, dropout=0.0, **SMALL
    ),
    "VGG": small_vgg,
    "GoogLeNet": partial(models.GoogLeNet, width_mult=0.09, dropout=0.0, **SMALL),
    "plain": partial(
        models.ResNet, models.BasicBlock, (1, 1, 1, 0), width=13, residual=False, **SMALL
    ),
    "ResNet": partial(models.ResNet, models.BasicBlock, (1, 1, 1, 0), width=13, **SMALL),
    "DenseNet": partial(models.DenseNet, 8, (2, 4, 7), 16, **SMALL),
    "MobileNetV1": partial(models.MobileNetV1, V1_ROWS, width_mult=0.95, **GREY),
    "MobileNetV2": partial(models.MobileNetV2, V2_ROWS, last_channels=320, dropout=0.0, **GREY),
    "MobileNetV3": small_mobilenet_v3,
    "ConvNeXt": partial(models.ConvNeXt, (1, 1, 1), (16, 32, 56), patch_size=2, **GREY),
}  # fmt: skip


def plan(num_steps: int) -> tuple[int, int]:
    """(Epochs, images of each): as few passes as these steps need over at most 55,000 images."""
    num_images = num_steps * BATCH_SIZE
    epochs = math.ceil(num_images / (60_000 - NUM_VALIDATION))
    return epochs, round(num_steps / epochs) * BATCH_SIZE


def steps_of(name: str, macs: int) -> int:
    """The steps that a contestant may take in a round."""
    return round(BUDGET / (3 * macs * BATCH_SIZE)) if name == "equal MACs" else EQUAL_STEPS


def train(build, lr: float, num_steps: int, seed: int, parts: dict, scored_on: str) -> dict:
    """Train once, and score on the validation or the test images."""
    scale = {"mean": MEAN, "std": STD, "channels_last": True}
    epochs, num_images = plan(num_steps)
    seed_everything(seed)
    images, labels = (array[:num_images] for array in parts["training"])
    batches = Batches(
        images, labels, batch_size=BATCH_SIZE, shuffle=True, drop_last=True, seed=seed, **scale
    )
    config = TrainConfig(
        epochs=epochs, lr=lr, optimizer="adamw", warmup=0.15, channels_last=True, seed=seed
    )
    model = build()
    start = time.perf_counter()
    history = fit(model, batches, config, progress=False)
    seconds = time.perf_counter() - start
    result = evaluate(model, Batches(*parts[scored_on], batch_size=500, **scale))
    return {
        "acc": round(result.acc, 4),
        "train_acc": round(history.train_acc[-1], 4),  # over the last pass
        "num_images": epochs * len(batches) * BATCH_SIZE,
        "passes": epochs,
        "seconds": round(seconds, 1),
    }


def load() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images and labels to train on (in random order), to choose with, and to score on."""
    fashion = data.load_fashion_mnist()
    order = np.random.default_rng(0).permutation(len(fashion.train_labels))
    parts = {"training": order[:-NUM_VALIDATION], "validation": order[-NUM_VALIDATION:]}
    found = {k: (fashion.train_images[i], fashion.train_labels[i]) for k, i in parts.items()}
    return found | {"test": (fashion.test_images, fashion.test_labels)}


def timing(stored: dict, parts: dict, num_turns: int = 15) -> None:
    """Seconds of one training step of 64 images: the shortest of some, all contestants in turn."""
    scale = {"mean": MEAN, "std": STD, "channels_last": True}
    images, labels = (array[:BATCH_SIZE] for array in parts["training"])
    batches = Batches(images, labels, batch_size=BATCH_SIZE, **scale)
    took_s: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    nets = {name: build() for name, build in CONTESTANTS.items()}
    config = TrainConfig(epochs=3, lr=1e-4, optimizer="adamw", channels_last=True)
    for _ in range(num_turns):
        for name, model in nets.items():
            history = fit(model, batches, config, progress=False)  # three epochs of one step
            took_s[name].append(min(history.seconds))
    for name, some in took_s.items():
        stored["contestants"][name]["step_s"] = round(min(some), 5)
        print(f"{name:12} {1000 * min(some):.1f} ms a step", flush=True)
    RESULT.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def train_deep(num_layers: int, residual: bool, lr: float, seed: int, parts: dict) -> dict:
    """Training losses of a deep, narrow network: means of 20 steps each."""
    images, labels = (array[: EQUAL_STEPS * BATCH_SIZE] for array in parts["training"])
    images = nn.functional.avg_pool2d(torch.from_numpy(images).float() / 255, 2)  # (N, 1, 14, 14)
    batches = Batches(
        images, labels, batch_size=BATCH_SIZE, shuffle=True, seed=seed, mean=MEAN, std=STD,
        channels_last=True,
    )  # fmt: skip
    seed_everything(seed)
    n = (num_layers - 2) // 6
    model = models.ResNet(models.BasicBlock, (n, n, n, 0), width=8, residual=residual, **SMALL)
    config = TrainConfig(epochs=1, lr=lr, warmup=0.2, schedule="constant", channels_last=True)
    start = time.perf_counter()
    losses = fit(model, batches, config, progress=False).step_losses
    means = np.reshape(losses, (-1, 20)).mean(axis=1)
    return {
        "losses": [round(float(mean), 4) for mean in means],
        "loss": round(float(means[-3:].mean()), 4),  # of the last 60 steps
        "seconds": round(time.perf_counter() - start, 1),
    }


def depth(stored: dict, parts: dict, num_seeds: int) -> None:
    """Plain and residual networks of three depths; what is there already is kept."""
    found = stored.setdefault("depth", {})
    for residual in (False, True):
        for num_layers in DEPTHS:
            name = f"{'residual' if residual else 'plain'} {num_layers}"
            if len(found.get(name, {}).get("loss", ())) == num_seeds:
                continue
            choice = {
                lr: train_deep(num_layers, residual, lr, CHOICE_SEED, parts)["loss"]
                for lr in DEPTH_RATES
            }
            lr = min(DEPTH_RATES, key=choice.get)
            runs = [train_deep(num_layers, residual, lr, s, parts) for s in range(num_seeds)]
            found[name] = {"choice": choice, "lr": lr}
            found[name] |= {key: [run[key] for run in runs] for key in runs[0]}
            print(f"{name:12} {choice} {found[name]['loss']}", flush=True)
            RESULT.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--depth", action="store_true", help="plain and residual networks instead")
    parser.add_argument("--timing", action="store_true", help="time training steps instead")
    arguments = parser.parse_args()
    num_seeds = arguments.seeds
    stored = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    parts, old = load(), stored.get("contestants", {})
    if arguments.depth:
        depth(stored, parts, num_seeds)
        return
    if arguments.timing:
        timing(stored, parts)
        return
    deep = stored.get("depth", {})
    stored = {
        "command": "OMP_NUM_THREADS=1 python benchmarks/tournament.py",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "seeds": num_seeds,
        "budget_macs": BUDGET,
        "contestants": old,
        "depth": deep,
    }

    def save() -> None:
        stored["contestants"] = {name: old[name] for name in CONTESTANTS if name in old}
        RESULT.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")

    for name, build in CONTESTANTS.items():
        macs = models.count_macs(build(), (1, 28, 28))
        facts = {"parameters": models.count_parameters(build()), "macs": macs}
        if {key: old.get(name, {}).get(key) for key in facts} != facts:
            old[name] = dict(facts)  # another network than the one that is stored
        entry = old[name]
        if list(entry.get("choice", {})) != [str(lr) for lr in RATES]:
            entry["choice"] = {
                str(lr): train(build, lr, CHOICE_STEPS, CHOICE_SEED, parts, "validation")["acc"]
                for lr in RATES
            }
            entry["lr"] = max(RATES, key=lambda lr: entry["choice"][str(lr)])
            print(f"{name:12} {entry['choice']}", flush=True)
            save()
    for round_name in ROUNDS:
        for name, build in CONTESTANTS.items():
            entry = old[name]
            if len(entry.get(round_name, {}).get("acc", ())) == num_seeds:
                continue
            num_steps = steps_of(round_name, entry["macs"])
            runs = [
                train(build, entry["lr"], num_steps, seed, parts, "test")
                for seed in range(num_seeds)
            ]
            entry[round_name] = {key: [run[key] for run in runs] for key in runs[0]}
            accs, seconds = entry[round_name]["acc"], entry[round_name]["seconds"]
            print(
                f"{round_name:12} {name:12} {np.mean(accs):.4f} ± {np.std(accs, ddof=1):.4f}, "
                f"{runs[0]['num_images']:7,} images, {np.mean(seconds):.0f} s",
                flush=True,
            )
            save()


if __name__ == "__main__":
    main()
