"""Train the small CNN that notebook 00 shows, on MNIST's training digits, and save its weights.

    uv run python -m data.first_cnn.train

Takes one to three minutes on two CPU cores. The test digits are looked at once, after training.
"""

import hashlib
import platform
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from cnnlib import data

SEED = 0
NUM_EPOCHS = 6
BATCH_SIZE = 128
MAX_LR = 4e-3


def build_model() -> nn.Sequential:
    """Two convolutions, each followed by ReLU and pooling, and one fully connected layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, kernel_size=3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 5 * 5, 10),
    )


def to_inputs(images: np.ndarray) -> torch.Tensor:
    """uint8 images (N, 1, H, W), 0 to 255 -> float32, 0 to 1."""
    return torch.from_numpy(images).to(torch.float32) / 255


def train(model: nn.Sequential, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Adam with a one-cycle learning rate, over shuffled whole batches."""
    steps_per_epoch = len(images) // BATCH_SIZE
    optimizer = torch.optim.Adam(model.parameters(), lr=MAX_LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, MAX_LR, total_steps=NUM_EPOCHS * steps_per_epoch
    )
    for epoch in range(NUM_EPOCHS):
        order = torch.randperm(len(images))
        total_loss = 0.0
        for index in order[: steps_per_epoch * BATCH_SIZE].split(BATCH_SIZE):
            batch = images[index].contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(model(batch), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total_loss += loss.item()
        print(f"epoch {epoch + 1}: mean training loss {total_loss / steps_per_epoch:.4f}")


@torch.inference_mode()
def num_correct(model: nn.Sequential, images: torch.Tensor, labels: torch.Tensor) -> int:
    """How many of the images get their own label as the most likely class."""
    predictions = torch.cat([model(batch).argmax(dim=1) for batch in images.split(1000)])
    return int((predictions == labels).sum())


def main() -> None:
    torch.manual_seed(SEED)
    digits = data.load_mnist()
    model = build_model().to(memory_format=torch.channels_last)  # the faster layout on a CPU
    start = time.perf_counter()
    train(model, to_inputs(digits.train_images), torch.from_numpy(digits.train_labels))
    train_s = time.perf_counter() - start

    model = model.to(memory_format=torch.contiguous_format).eval()
    test_images, test_labels = to_inputs(digits.test_images), torch.from_numpy(digits.test_labels)
    test_acc = num_correct(model, test_images, test_labels) / len(test_labels)

    path = Path(__file__).with_name("first_cnn.pt")
    torch.save(model.state_dict(), path)
    print(f"test accuracy {test_acc:.2%} after {train_s:.0f} s of training, seed {SEED}")
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}")
    print(f"{path.name} {path.stat().st_size:,} bytes")
    print(f"SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
