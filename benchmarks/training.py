"""How fast is training here? Four questions, each answered in one run on the same threads.

    uv run python benchmarks/training.py            # all, about fifteen minutes on two cores
    uv run python benchmarks/training.py switches   # or some of them

target      seconds of training to 99 % of MNIST's test digits: the recipe of the best-known example
            program (two 3 × 3 convolutions, dropout, a DataLoader that transforms image by image,
            Adadelta, batches of 64), and notebook 13's
equal_time  the accuracy of both recipes after the same seconds of training
loading     images a second of one epoch: batches in memory, and a DataLoader with 0 and 2 workers
switches    operations a second in training notebook 12's networks as a part of the machine's
            measured matrix-product peak: as it is, channels_last, bfloat16, compiled

The results go to `training.json` beside this file. Seconds hold for one machine; the ratios are
what to compare.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from speed_run import SCALE, ImageByImage, fast_run, make_conventional, test_batches
from torch.utils.data import DataLoader

from cnnlib import data, models
from cnnlib.batches import Batches
from cnnlib.training import evaluate, pick_device, seed_everything

RESULT = Path(__file__).with_suffix(".json")
TARGET = 0.99


def conventional_training(digits, device, on_step):
    """Train epoch after epoch, for ever; yields the model after each. on_step() once a step."""
    seed_everything(0)
    model = make_conventional().to(device)
    loader = DataLoader(
        ImageByImage(digits.train_images, digits.train_labels), batch_size=64, shuffle=True
    )
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
    while True:
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            if on_step():
                yield model
                return
        schedule.step()
        yield model


def peak_flops(device: torch.device, dtype: torch.dtype, size: int = 2048) -> float:
    """Operations a second of a square matrix product, the best of a few."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    times = [seconds(lambda: left @ right, device) for _ in range(8)]
    return 2 * size**3 / min(times)


def seconds(function, device: torch.device) -> float:
    """Of one call; a GPU is waited for."""
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def switches(device: torch.device) -> dict:
    """Training steps of notebook 12's two networks, one more switch in each row."""
    peak = peak_flops(device, torch.float32)
    found = {"peak_gflops": peak / 1e9}
    found["peak_gflops_bfloat16"] = peak_flops(device, torch.bfloat16) / 1e9
    rows = {
        "as it is": (False, False, False),
        "channels_last": (True, False, False),
        "channels_last, bfloat16": (True, True, False),
        "channels_last, bfloat16, compiled": (True, True, True),
    }
    for network in (models.make_three_conv, models.make_resnet8):
        flop = 6 * models.count_macs(network(), (1, 28, 28)) * 128
        for name, (last, half, compiled) in rows.items():
            step = training_step(network, device, last=last, half=half, compiled=compiled)
            first = seconds(step, device)
            times = [seconds(step, device) for _ in range(20)]
            found[f"{network.__name__}: {name}"] = {
                "images_per_s": 128 / statistics.median(times),
                "first_step_s": first,
                "part_of_float32_peak": flop / statistics.median(times) / peak,
            }
    return found


def training_step(network, device: torch.device, *, last: bool, half: bool, compiled: bool):
    """A function that does one step on a batch of 128 random images."""
    seed_everything(0)
    layout = torch.channels_last if last else torch.contiguous_format
    model = network().to(device, memory_format=layout).train()
    images = torch.randn(128, 1, 28, 28, device=device).contiguous(memory_format=layout)
    labels = torch.randint(10, (128,), device=device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    forward = torch.compile(model) if compiled else model

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = F.cross_entropy(forward(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def loading(device: torch.device) -> dict:
    """One epoch of MNIST, batches of 64, without a network and with notebook 12's small one."""
    digits = data.load_mnist()
    dataset = ImageByImage(digits.train_images, digits.train_labels)
    memory = Batches(
        digits.train_images,
        digits.train_labels,
        batch_size=64,
        shuffle=True,
        device=device,
        **SCALE,
    )
    sources = {"in memory": memory}
    for workers in (0, 2):
        sources[f"DataLoader, {workers} workers"] = DataLoader(
            dataset, batch_size=64, shuffle=True, num_workers=workers
        )
    found = {}
    for name, source in sources.items():
        model = models.make_three_conv().to(device, memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

        def without(source=source) -> None:
            for images, _ in source:
                images.to(device)

        def training(source=source, model=model, optimizer=optimizer) -> None:
            for images, labels in source:
                images = images.to(device, memory_format=torch.channels_last)
                loss = F.cross_entropy(model(images), labels.to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        found[name] = {
            "batches_alone_images_per_s": len(dataset) / seconds(without, device),
            "training_images_per_s": len(dataset) / seconds(training, device),
        }
    return found


def target(device: torch.device, *, max_epochs: int = 10) -> dict:
    """Seconds of training to 99 %: the example's recipe to the epoch that reaches it, and ours."""
    digits, test = data.load_mnist(), test_batches(device)
    took_s, accs, start = 0.0, [], time.perf_counter()
    for model in conventional_training(digits, device, lambda: False):
        took_s += time.perf_counter() - start
        accs.append(evaluate(model, test).acc)
        if accs[-1] >= TARGET or len(accs) == max_epochs:
            break
        start = time.perf_counter()
    found = {"conventional": {"seconds": took_s, "accs": accs}}
    runs = [fast_run(seed, device) for seed in range(3)]
    fast_s = statistics.median(run["seconds"] for run in runs)
    found["notebook 13"] = {"seconds": fast_s, "accs": [run["test_acc"] for run in runs]}
    found["times_as_fast"] = took_s / fast_s
    return found


def equal_time(device: torch.device) -> dict:
    """Both recipes, stopped after the seconds that notebook 13's needs."""
    digits, fast, test = data.load_mnist(), fast_run(0, device), test_batches(device)
    start = time.perf_counter()
    steps = conventional_training(
        digits, device, lambda: time.perf_counter() - start > fast["seconds"]
    )
    model = next(steps)
    return {
        "seconds": fast["seconds"],
        "conventional_acc": evaluate(model, test).acc,
        "notebook_13_acc": fast["test_acc"],
    }


PARTS = {f.__name__: f for f in (switches, loading, target, equal_time)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all, if none is named")
    parts = parser.parse_args().parts or list(PARTS)
    device = pick_device()
    report = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache  # compile from scratch
        for part in parts:
            report[part] = {
                **PARTS[part](device),
                "device": str(device),
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
                "python": platform.python_version(),
            }
            RESULT.write_text(json.dumps(report, indent=1) + "\n")
            print(json.dumps({part: report[part]}, indent=1), flush=True)


if __name__ == "__main__":
    main()
