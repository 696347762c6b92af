"""Training in two processes: torchrun with gloo, on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ONE_STEP = """
import sys
import numpy as np, torch, torch.distributed as dist
from torch import nn
from cnnlib.batches import Batches
from cnnlib.training import TrainConfig, fit

part = (0, 1)
if sys.argv[2] == "two":
    dist.init_process_group("gloo")
    part = (dist.get_rank(), dist.get_world_size())
torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(1))
batches = Batches(images, torch.arange(40) % 5, batch_size=8, shuffle=True, part=part)
config = TrainConfig(epochs=2, lr=0.1)
history = fit(model, batches, config, progress=False, checkpoint=sys.argv[1] + "/run.pt")
if part[0] == 0:
    grads = [p.grad for p in model.parameters()]
    values = [p.detach() for p in model.parameters()]
    torch.save({"grads": grads, "values": values, "loss": history.train_loss,
                "acc": history.train_acc}, sys.argv[1] + "/found.pt")
if dist.is_initialized():
    dist.destroy_process_group()
"""


def torchrun(*words, cwd):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*command, "--nproc-per-node=2", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=250,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="torch for Windows has no libuv store")
def test_two_processes_train_as_one_does(tmp_path):
    import torch

    script = tmp_path / "train.py"
    script.write_text(ONE_STEP)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, script, tmp_path / "one", "one"]
    subprocess.run(list(map(str, words)), check=True, env=environment, timeout=100)
    done = torchrun(script, tmp_path / "two", "two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / n / "found.pt", weights_only=True) for n in ("one", "two"))
    for name in ("grads", "values"):
        for a, b in zip(one[name], two[name], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    assert one["loss"] == pytest.approx(two["loss"], abs=1e-6)
    assert one["acc"] == pytest.approx(two["acc"])
    assert (tmp_path / "two" / "run.pt").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="torch for Windows has no libuv store")
def test_the_command_trains_in_two_processes(tmp_path):
    words = ["-m", "cnnlib.training", "--data", "mnist", "--limit", "2000", "--epochs", "1"]
    done = torchrun(*words, "--checkpoint", tmp_path / "run.pt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test accuracy 0.") == 1
    assert (tmp_path / "run.pt").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "lenet"], "invalid choice: 'lenet'"),
        (["--epochs", "0"], "expected epochs from 1"),
        (["--data", "cifar"], "invalid choice"),
    ],
)
def test_the_command_says_what_is_wrong(words, says, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "cnnlib.training", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=100,
    )
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr
