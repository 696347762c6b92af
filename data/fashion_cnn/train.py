"""Train the network of notebook 12's long configuration on Fashion-MNIST, and save its weights.

    uv run python -m data.fashion_cnn.train
    OMP_NUM_THREADS=1 uv run python -m data.fashion_cnn.train --precision float32

Takes half an hour to an hour on two CPU cores, less than a minute on a GPU. Interrupted, it goes on
from the last epoch when it is called again. The last 5,000 training images are held out for the
curve; the test images are looked at once, after training.
"""

import argparse
import hashlib
import json
import platform
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from cnnlib import augment, data
from cnnlib.batches import Batches
from cnnlib.models import make_resnet8
from cnnlib.training import TrainConfig, collect_logits, fit, pick_device, seed_everything

HERE = Path(__file__).parent
MEAN, STD = 0.286, 0.353  # of the training pixels, 0 to 1
BLACK = -MEAN / STD  # what a black pixel becomes
NUM_VAL = 5000
BATCH_SIZE = 128
LONG = TrainConfig(
    epochs=16,
    lr=0.1,
    warmup=0.2,
    schedule="linear",
    weight_decay=5e-4,
    label_smoothing=0.1,
    channels_last=True,
    precision="bfloat16",
)
AUGMENT = augment.in_turn(
    augment.random_flip,
    partial(augment.random_shift, max_shift=2, fill=BLACK),
    partial(augment.random_erase, size=8, fill=BLACK),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    config = TrainConfig(**{**asdict(LONG), "precision": parser.parse_args().precision})
    seed_everything(config.seed)
    clothes, device = data.load_fashion_mnist(), pick_device()
    shared = {"mean": MEAN, "std": STD, "device": device, "channels_last": True}
    images, labels = clothes.train_images, clothes.train_labels
    train_batches = Batches(
        images[:-NUM_VAL],
        labels[:-NUM_VAL],
        batch_size=BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        augment=AUGMENT,
        **shared,
    )
    val_batches = Batches(images[-NUM_VAL:], labels[-NUM_VAL:], batch_size=1000, **shared)
    model = make_resnet8()
    checkpoint = Path(tempfile.gettempdir()) / f"fashion_cnn_{config.precision}.pt"
    history = fit(model, train_batches, config, val_batches=val_batches, checkpoint=checkpoint)
    print(history)

    # float16 halves the file; the test below is of the rounded weights.
    weights = {
        name: value.cpu().contiguous().half() if value.is_floating_point() else value.cpu()
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(weights)
    results = {}
    for name, view in {"plain": lambda x: x, "mirrored": lambda x: x.flip(-1)}.items():
        test_images = view(torch.from_numpy(clothes.test_images))
        test_batches = Batches(test_images, clothes.test_labels, batch_size=1000, **shared)
        results[name], answers = collect_logits(model, test_batches)
    averaged = results["plain"].softmax(1) + results["mirrored"].softmax(1)
    right = averaged.argmax(1) == answers
    report = {
        "test_acc": float((results["plain"].argmax(1) == answers).double().mean()),
        "test_acc_averaged_with_mirrored": float(right.double().mean()),
        "num_right_of_first_2000": int(right[:2000].sum()),  # for a quick check
        "config": asdict(config),
        "batch_size": BATCH_SIZE,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "history": {k: v for k, v in asdict(history).items() if k != "step_losses"},
    }
    torch.save(weights, HERE / "fashion_cnn.pt")
    (HERE / "history.json").write_text(json.dumps(report, indent=1) + "\n")
    content = (HERE / "fashion_cnn.pt").read_bytes()
    print(f"test accuracy {report['test_acc']:.2%}, averaged with the mirrored image ", end="")
    print(f"{report['test_acc_averaged_with_mirrored']:.2%}")
    print(f"fashion_cnn.pt {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
