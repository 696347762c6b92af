"""MNIST to 99 % in seconds: notebook 13's speed run over five seeds, and the steps that lead to it.

    uv run python benchmarks/speed_run.py           # five seeds, about half a minute
    uv run python benchmarks/speed_run.py ladder    # each step, a quarter of an hour
    uv run python benchmarks/speed_run.py scale     # one process and two, a minute

Every run trains on all 60,000 training images and is then judged by the 10,000 test images; what
was chosen, was chosen on the last 10,000 training images. The seconds are those of training
alone, without loading the data and without the evaluation. The result goes to `speed_run.json`
beside this file.
"""

import argparse
import json
import platform
import shutil
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from cnnlib import data, distributed, models
from cnnlib.batches import Batches
from cnnlib.training import TrainConfig, evaluate, fit, pick_device, seed_everything

RESULT = Path(__file__).with_suffix(".json")
SCALE = {"mean": 0.1307, "std": 0.3081}  # of the training pixels, 0 to 1
FAST = {"lr": 0.2, "schedule": "linear", "warmup": 0.15, "weight_decay": 0.002}
FAST |= {"label_smoothing": 0.1, "channels_last": True}
BATCH_SIZE, TARGET = 128, 0.99


@dataclass(frozen=True, kw_only=True)
class Step:
    """One rung of the ladder; each differs from the one before in one respect."""

    network: str = "conventional"  # "small maps", "fast"
    in_memory: bool = True
    channels_last: bool = True
    recipe: str = "adadelta"  # or "one cycle": SGD with the settings FAST
    batch_size: int = 64  # images
    precision: str = "float32"
    compile: bool = False


LADDER = {
    "conventional": Step(in_memory=False, channels_last=False),
    "small maps early": Step(network="small maps", in_memory=False, channels_last=False),
    "in memory": Step(network="small maps", channels_last=False),
    "channels_last": Step(network="small maps"),
    "batch norm, one cycle": Step(network="fast", recipe="one cycle"),
    "batches of 128": Step(network="fast", recipe="one cycle", batch_size=128),
    "bfloat16": Step(network="fast", recipe="one cycle", batch_size=128, precision="bfloat16"),
    "compiled": Step(network="fast", recipe="one cycle", batch_size=128, precision="bfloat16",
                     compile=True),
}  # fmt: skip


def make_conventional() -> nn.Sequential:
    """(N, 1, 28, 28) -> logits (N, 10), as in the best-known example program."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(128, 10),
    )  # fmt: skip


def make_small_maps() -> nn.Sequential:
    """The fast network without its norms, so with biases."""
    model = models.make_fast_cnn()
    layers = [layer for layer in model if not isinstance(layer, nn.BatchNorm2d)]
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            layers[number] = nn.Conv2d(
                layer.in_channels, layer.out_channels, 3, padding=layer.padding
            )
    return nn.Sequential(*layers)


NETWORKS = {"conventional": make_conventional, "small maps": make_small_maps}
NETWORKS |= {"fast": models.make_fast_cnn}


class ImageByImage(Dataset):
    """Each image becomes a tensor and is standardised on its own."""

    def __init__(self, images, labels) -> None:
        self.images, self.labels = images, labels
        self.transform = v2.Compose(
            [
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([SCALE["mean"]], [SCALE["std"]]),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int):
        return self.transform(self.images[number, 0, :, :, None]), int(self.labels[number])


def train_batches(step: Step, seed: int, device: torch.device):
    digits = data.load_mnist()
    images, labels = digits.train_images, digits.train_labels
    if not step.in_memory:
        return DataLoader(ImageByImage(images, labels), batch_size=step.batch_size, shuffle=True)
    return Batches(
        images,
        labels,
        batch_size=step.batch_size,
        shuffle=True,
        drop_last=True,
        seed=seed,
        channels_last=step.channels_last,
        device=device,
        **SCALE,
    )


def test_batches(device: torch.device) -> Batches:
    digits = data.load_mnist()
    return Batches(
        digits.test_images,
        digits.test_labels,
        batch_size=1000,
        device=device,
        channels_last=True,
        **SCALE,
    )


def faster_precision(device: torch.device) -> str:
    """ "bfloat16" where products in it are at least a third faster than in float32."""
    took_s = {}
    for name in ("float32", "bfloat16"):
        left, right = torch.randn(2, 512, 512, device=device).to(getattr(torch, name))
        times = []
        for _ in range(20):
            start = time.perf_counter()
            (left @ right)[0, 0].item()  # .item() waits for a GPU
            times.append(time.perf_counter() - start)
        took_s[name] = statistics.median(times)
    return "bfloat16" if took_s["bfloat16"] < 0.75 * took_s["float32"] else "float32"


def fast_run(seed: int, device: torch.device, precision: str | None = None) -> dict:
    """One speed run: seconds of training and accuracy on the test images."""
    precision = precision or faster_precision(device)
    config = TrainConfig(epochs=1, precision=precision, seed=seed, **FAST)
    batches = train_batches(Step(batch_size=BATCH_SIZE), seed, device)
    warm_up(device, precision)
    seed_everything(seed)
    model = models.make_fast_cnn()
    start, cpu_start = time.perf_counter(), time.process_time()
    fit(model, batches, config, progress=False)
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
    result = evaluate(model, test_batches(device), precision=precision)
    return {
        "seconds": seconds,
        "cpu_s": cpu_s,  # of all threads together: what it takes however busy the machine is
        "test_acc": result.acc,
        "precision": precision,
    }


def warm_up(device: torch.device, precision: str) -> None:
    """A few steps on noise: the first ones of a process choose algorithms and start threads."""
    noise = torch.randint(256, (10 * BATCH_SIZE, 1, 28, 28), dtype=torch.uint8)
    labels = torch.arange(len(noise)) % 10
    batches = Batches(noise, labels, batch_size=BATCH_SIZE, channels_last=True, device=device)
    config = TrainConfig(epochs=1, precision=precision, **FAST)
    fit(models.make_fast_cnn(), batches, config, progress=False)


def images_per_s(step: Step, device: torch.device, num_steps: int = 40) -> dict:
    """Images a second of training steps with everything that belongs to them; the median step."""
    seed_everything(0)
    layout = torch.channels_last if step.channels_last else torch.contiguous_format
    model = NETWORKS[step.network]().to(device, memory_format=layout).train()
    forward = torch.compile(model) if step.compile else model
    optimizer = make_optimizer(step, model)
    half = step.precision != "float32"
    times, start, first_s = [], time.perf_counter(), None
    for images, labels in train_batches(step, 0, device):
        with torch.autocast(device.type, torch.bfloat16 if half else None, enabled=half):
            loss = F.cross_entropy(forward(images.to(device)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        times.append(time.perf_counter() - start)
        first_s = first_s or times[0]
        start = time.perf_counter()
        if len(times) == num_steps:
            break
    rate = step.batch_size / statistics.median(times[5:])
    return {"images_per_s": round(rate, 1), "first_step_s": round(first_s, 2)}


def make_optimizer(step: Step, model: nn.Module) -> torch.optim.Optimizer:
    if step.recipe == "adadelta":
        return torch.optim.Adadelta(model.parameters(), lr=1.0)
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)


def accuracies(step: Step, seed: int, device: torch.device, num_epochs: int) -> list[float]:
    """Test accuracy after each epoch, until it is 99 %. Adadelta's rate falls by 0.7 after each, as
    in the example; with one cycle there is one epoch."""
    seed_everything(seed)
    model, batches = NETWORKS[step.network](), train_batches(step, seed, device)
    if step.recipe == "one cycle":
        config = TrainConfig(epochs=1, precision=step.precision, seed=seed, **FAST)
        fit(model, batches, config, progress=False)
        return [evaluate(model, test_batches(device), precision=step.precision).acc]
    model.to(device, memory_format=torch.channels_last)
    optimizer = make_optimizer(step, model)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    found = []
    for _ in range(num_epochs):
        model.train()
        for images, labels in batches:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        found.append(evaluate(model, test_batches(device)).acc)
        print(f"  seed {seed}: {found[-1]:.4f}", flush=True)
        if found[-1] >= TARGET:
            break
    return found


def ladder(device: torch.device, num_seeds: int) -> dict:
    """Speed and accuracy of every step. In memory or not, channels_last or not, compiled or not:
    the numbers that come out are the same, so that these share one training."""
    found, known = {}, {}
    for name, step in LADDER.items():
        row = {"step": asdict(step)}
        if step.compile and not has_compiler():
            row["skipped"] = "no C++ compiler here"
        else:
            row |= images_per_s(step, device)
        key = (step.network, step.recipe, step.batch_size, step.precision)
        if key not in known:
            num_epochs = 4 if name == "conventional" else 1
            alike = Step(**asdict(step) | {"in_memory": True, "channels_last": True})
            known[key] = [accuracies(alike, s, device, num_epochs) for s in range(num_seeds)]
        row["test_accs"] = known[key]  # a list for each seed, an entry for each epoch
        found[name] = row
        print(name, {k: v for k, v in row.items() if k != "step"}, flush=True)
    return {"steps": found}


def has_compiler() -> bool:
    """torch.compile writes C++ on a CPU, and needs somebody to compile it."""
    return any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl"))


def five_seeds(device: torch.device, num_seeds: int) -> dict:
    runs = [fast_run(seed, device) for seed in range(num_seeds)]
    for run in runs:
        print(run, flush=True)
    return {
        "test_accs": [run["test_acc"] for run in runs],
        "seconds": [round(run["seconds"], 2) for run in runs],
        "cpu_s": [round(run["cpu_s"], 2) for run in runs],
        "precision": runs[0]["precision"],
        "batch_size": BATCH_SIZE,
        "settings": FAST,
    }


def scale(device: torch.device, num_seeds: int) -> dict:
    """Steps in one process and in two, one thread each: it needs two idle cores."""
    return {"steps": distributed.launch(num_processes=2)["steps"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=("run", "ladder", "scale"), default="run")
    parser.add_argument("--seeds", type=int)
    arguments = parser.parse_args()
    device = pick_device()
    part = {"run": five_seeds, "ladder": ladder, "scale": scale}[arguments.part]
    found = part(device, arguments.seeds or {"run": 5, "ladder": 3, "scale": 1}[arguments.part])
    command = "python benchmarks/speed_run.py" + f" {arguments.part}" * (arguments.part != "run")
    found |= {
        "command": command,
        "threads": torch.get_num_threads(),
        "device": str(device),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    stored = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    stored[arguments.part] = found
    RESULT.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
