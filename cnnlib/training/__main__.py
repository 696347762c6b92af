"""Train from a terminal, in one process or in several.

    python -m cnnlib.training --data fashion_mnist --model lenet5 --epochs 5 --lr 0.05
    torchrun --nproc-per-node 2 -m cnnlib.training --checkpoint runs/lenet5.pt

Every field of TrainConfig is an option. Under torchrun each process takes its part of every
batch, and the gradients are averaged (gloo on a CPU, NCCL on GPUs).
"""

import argparse
import os
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist

from cnnlib import data, models
from cnnlib.batches import Batches
from cnnlib.training import TrainConfig, evaluate, fit, pick_device, seed_everything

DATA = {"mnist": data.load_mnist, "fashion_mnist": data.load_fashion_mnist}
SMALL = {"in_channels": 1, "num_classes": 10, "stem": "small"}  # for grey images of 28 × 28
MODELS = {
    "lenet5": models.LeNet5,
    "resnet18": partial(models.make_resnet, 18, **SMALL),
    "mobilenet_v2": partial(models.MobileNetV2, width_mult=0.5, **SMALL),
}
NUM_VAL = 5000  # the last images of the training set choose nothing here, but are shown


def make_parser() -> argparse.ArgumentParser:
    """Options: the data, the network, the files, and all of TrainConfig."""
    form = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser("cnnlib.training", description=__doc__, formatter_class=form)
    parser.add_argument("--data", choices=sorted(DATA), default="fashion_mnist", help="data set")
    parser.add_argument("--model", choices=sorted(MODELS), default="lenet5", help="network")
    parser.add_argument("--batch-size", type=int, default=128, help="over all processes together")
    parser.add_argument("--checkpoint", type=Path, help="save here, and go on from here")
    parser.add_argument("--log-dir", type=Path, help="folder for TensorBoard")
    parser.add_argument("--limit", type=int, help="train on this many images only")
    defaults = {"epochs": 5, "lr": 0.05}
    for field in fields(TrainConfig):
        name, default = f"--{field.name.replace('_', '-')}", field.default
        if default is MISSING:
            default = defaults[field.name]
        if isinstance(default, bool):
            parser.add_argument(name, action="store_true", help="see TrainConfig")
        else:
            kind = number if default is None else type(default)
            parser.add_argument(name, type=kind, default=default, help="see TrainConfig")
    return parser


def number(text: str) -> int | float:
    """A whole number where there is no point in it, else a float."""
    return int(text) if text.lstrip("-").isdigit() else float(text)


def main() -> None:
    """Train, then say how good the network is on the test images."""
    parser = make_parser()
    options = parser.parse_args()
    try:
        config = TrainConfig(**{f.name: getattr(options, f.name) for f in fields(TrainConfig)})
    except ValueError as error:
        parser.error(str(error))
    device, part = pick_device(), (0, 1)
    if "WORLD_SIZE" in os.environ:  # set by torchrun
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        part = (dist.get_rank(), dist.get_world_size())
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    seed_everything(config.seed)  # the same first weights in every process
    image_set, model = DATA[options.data](), MODELS[options.model]()
    images, labels = image_set.train_images[:-NUM_VAL], image_set.train_labels[:-NUM_VAL]
    images, labels = images[: options.limit], labels[: options.limit]
    shared = {
        "mean": float(images.mean() / 255),
        "std": float(images.std() / 255),
        "device": device,
        "channels_last": config.channels_last,
    }
    size, seed = options.batch_size, config.seed
    train_batches = Batches(
        images,
        labels,
        batch_size=size,
        shuffle=True,
        drop_last=True,
        seed=seed,
        part=part,
        **shared,
    )
    held_out = image_set.train_images[-NUM_VAL:], image_set.train_labels[-NUM_VAL:]
    val_batches = Batches(*held_out, batch_size=1000, **shared)
    test_batches = Batches(image_set.test_images, image_set.test_labels, batch_size=1000, **shared)
    history = fit(
        model,
        train_batches,
        config,
        val_batches=val_batches,
        checkpoint=options.checkpoint,
        log_dir=options.log_dir,
    )
    if part[0] == 0:
        print(history)
        print(f"test accuracy {evaluate(model, test_batches, precision=config.precision).acc:.4f}")
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
