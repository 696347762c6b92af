"""Checkpoints: whole or not at all, and training that goes on to the very same end."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from cnnlib import augment
from cnnlib.batches import Batches
from cnnlib.training import (
    CheckpointError,
    TrainConfig,
    fit,
    load_checkpoint,
    previous_checkpoint,
    save_checkpoint,
    seed_everything,
)
from cnnlib.training import checkpoint as checkpoint_module

CONFIG = TrainConfig(epochs=6, lr=0.1, weight_decay=0.01, ema_decay=0.9, warmup=0.1)


def train(path=None, config=CONFIG, classes=3, each_step=lambda: None):
    """A small network with everything that has a state: norm, dropout, augmentation, momentum."""
    seed_everything(config.seed)
    generator = torch.Generator().manual_seed(2)
    images = (torch.rand(60, 1, 8, 8, generator=generator) * 255).byte()
    labels = torch.arange(60) % 3

    def moved(images, labels, generator):
        each_step()
        return augment.random_shift(images, labels, generator)

    batches = Batches(images, labels, batch_size=16, shuffle=True, augment=moved)
    val_batches = Batches(images, labels, batch_size=60)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(4 * 6 * 6, classes),
    )
    history = fit(model, batches, config, val_batches=val_batches, checkpoint=path, progress=False)
    return model, history


def assert_equal(model, other):
    pairs = zip(model.state_dict().items(), other.state_dict().items(), strict=True)
    for (name, value), (other_name, other_value) in pairs:
        assert name == other_name
        assert torch.equal(value, other_value), name


def without_seconds(history):
    return replace(history, seconds=[])


class Stopped(Exception):
    pass


def stop_at(step):
    """A function that raises at its `step`-th call."""
    calls = iter(range(1, 1000))

    def count():
        if next(calls) == step:
            raise Stopped

    return count


# resuming


CONFIGS = {
    "sgd": CONFIG,
    "adamw": replace(CONFIG, optimizer="adamw", lr=0.01, ema_decay=None),
    "early stopping": replace(CONFIG, ema_decay=None, patience=2, lr=1.0),
    "bfloat16": replace(CONFIG, precision="bfloat16"),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("step", [9, 16, 17, 24])
def test_a_stopped_training_ends_as_if_it_had_not_been(tmp_path, name, step):
    config = CONFIGS[name]
    whole, history = train(config=config)
    if step <= len(history.step_losses):
        with pytest.raises(Stopped):
            train(tmp_path / "run.pt", config, each_step=stop_at(step))
    resumed, resumed_history = train(tmp_path / "run.pt", config)
    assert_equal(whole, resumed)
    assert without_seconds(history) == without_seconds(resumed_history)


def test_a_finished_training_is_loaded_and_not_repeated(tmp_path):
    first, history = train(tmp_path / "run.pt")
    second, again = train(tmp_path / "run.pt", each_step=stop_at(1))
    assert_equal(first, second)
    assert history == again


KILLED = """
import sys, time
from tests.test_checkpoints import train
print("ready", flush=True)
train(sys.argv[1], each_step=lambda: time.sleep(0.05))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("seed", [0, 1])
def test_a_killed_process_is_resumed_to_the_bit(tmp_path, seed):
    path = tmp_path / "run.pt"
    whole, _ = train(config=CONFIG)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 100
    while not path.exists() or load_checkpoint(path)["epoch"] < 3:
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0, 0.15))  # somewhere in the fourth epoch
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert 3 <= load_checkpoint(path)["epoch"] < 6
    resumed, _ = train(path)
    assert_equal(whole, resumed)


# what a checkpoint is


def test_only_plain_data_and_all_that_is_needed(tmp_path):
    train(tmp_path / "run.pt")
    state = torch.load(tmp_path / "run.pt", weights_only=True)
    wanted = {"model", "optimizer", "scaler", "average", "best", "history", "batches", "random"}
    assert wanted | {"config", "versions", "format", "epoch", "step"} == state.keys()
    assert state["versions"]["torch"] == torch.__version__.split("+")[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.previous.pt", "run.pt"]
    assert load_checkpoint(previous_checkpoint(tmp_path / "run.pt"))["epoch"] == 5


@pytest.mark.parametrize("where", ["torch.save", "copy", "first rename", "last rename"])
def test_a_write_that_fails_leaves_the_old_one_whole(tmp_path, monkeypatch, where):
    path = tmp_path / "run.pt"
    save_checkpoint(path, {"epoch": 1})
    save_checkpoint(path, {"epoch": 2})
    replaced = []

    def fail(*args, **kwargs):
        raise OSError("no space left")

    def fail_at_rename(source, target):
        replaced.append(target)
        if len(replaced) == (1 if where == "first rename" else 2):
            raise OSError("no space left")
        os.rename(source, target)

    if where == "torch.save":
        monkeypatch.setattr(checkpoint_module.torch, "save", fail)
    elif where == "copy":
        monkeypatch.setattr(checkpoint_module.shutil, "copyfile", fail)
    else:
        monkeypatch.setattr(checkpoint_module.os, "replace", fail_at_rename)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(path, {"epoch": 3})
    assert load_checkpoint(path)["epoch"] == 2
    assert load_checkpoint(previous_checkpoint(path))["epoch"] in (1, 2)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_new_file_is_on_the_disk_before_it_takes_the_old_ones_name(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, n=name, f=real: done.append(n) or f(*a))
    save_checkpoint(tmp_path / "run.pt", {"epoch": 1})
    assert done == ["fsync", "replace"]


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


def scribble(path):
    path.write_text("not a checkpoint")


def weights_alone(path):
    torch.save(nn.Linear(2, 2).state_dict(), path)


class Code:
    def __reduce__(self):
        return os.system, ("echo run",)


def code(path):
    torch.save({"format": checkpoint_module.FORMAT, "model": Code()}, path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (cut, "1000 bytes that torch cannot read"),
        (scribble, "that torch cannot read"),
        (lambda path: path.write_bytes(b""), "0 bytes"),
        (weights_alone, "a torch file of another kind"),
        (code, "that torch cannot read"),
        (lambda path: path.unlink(), "found no such file"),
    ],
    ids=["cut", "text", "empty", "weights", "code", "missing"],
)
def test_a_file_that_is_no_checkpoint_is_refused_and_the_one_before_named(tmp_path, spoil, says):
    path = tmp_path / "run.pt"
    for epoch in (1, 2):
        save_checkpoint(path, {"epoch": epoch})
    spoil(path)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert says in str(caught.value)
    assert f"the checkpoint before it is still there: {tmp_path / 'run.previous.pt'}" in str(
        caught.value
    )
    assert load_checkpoint(previous_checkpoint(path))["epoch"] == 1


def test_a_damaged_checkpoint_stops_fit_before_it_trains(tmp_path):
    path = tmp_path / "run.pt"
    train(path)
    cut(path)
    with pytest.raises(CheckpointError, match="cannot read"):
        train(path, each_step=stop_at(1))
    assert path.stat().st_size == 1000  # and is not written over


def test_another_configuration_or_network_is_refused(tmp_path):
    train(tmp_path / "run.pt")
    with pytest.raises(CheckpointError, match=r"another configuration \(lr 0.1 -> 0.2\)"):
        train(tmp_path / "run.pt", replace(CONFIG, lr=0.2))
    with pytest.raises(CheckpointError, match="another network"):
        train(tmp_path / "run.pt", classes=4)
