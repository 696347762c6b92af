"""The fast network, several processes, and the benchmark of the speed run."""

import copy
import importlib.util
import itertools
import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from cnnlib import distributed, models

ROOT = Path(__file__).resolve().parent.parent
needs_gloo = pytest.mark.skipif(sys.platform == "win32", reason="torch for Windows has no libuv")


def test_the_fast_network_is_as_small_as_it_says():
    model = models.make_fast_cnn()
    assert models.count_macs(model, (1, 28, 28)) == 357_376
    assert models.count_parameters(model) == 27_074
    shapes = []
    for layer in model:
        layer.register_forward_hook(lambda module, x, y: shapes.append(tuple(y.shape)))
    assert model(torch.randn(2, 1, 28, 28)).shape == (2, 10)
    assert shapes[0] == (2, 1, 24, 24)
    assert (2, 16, 6, 6) in shapes
    assert (2, 64, 2, 2) in shapes


def test_the_fast_network_does_not_look_at_the_rim():
    model, images = models.make_fast_cnn().eval(), torch.randn(2, 1, 28, 28)
    changed = images.clone()
    changed[..., :2], changed[..., 26:, :] = 9.0, -9.0
    assert torch.equal(model(images), model(changed))
    changed[..., 2, 2] += 1
    assert not torch.equal(model(images), model(changed))


@pytest.fixture
def alone(tmp_path):
    """A process group of this process only."""
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@needs_gloo
@pytest.mark.parametrize("momentum", [0.1, 0.4])
def test_a_synchronised_norm_of_one_process_is_batch_norm(alone, momentum):
    generator = torch.Generator().manual_seed(0)
    theirs = nn.BatchNorm2d(3, momentum=momentum).double()
    nn.init.normal_(theirs.weight, generator=generator)
    mine = distributed.SyncBatchNorm2d(3, momentum=momentum).double()
    mine.load_state_dict(theirs.state_dict())
    for _ in range(2):
        images = torch.randn(4, 3, 5, 2, generator=generator, dtype=torch.float64) * 3 + 1
        upstream = torch.randn(images.shape, generator=generator, dtype=torch.float64)
        inputs = [images.clone().requires_grad_() for _ in range(2)]
        for module, given in zip((mine, theirs), inputs, strict=True):
            module.zero_grad()
            module(given).backward(upstream)
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
        torch.testing.assert_close(mine.weight.grad, theirs.weight.grad)
        torch.testing.assert_close(mine.bias.grad, theirs.bias.grad)
        torch.testing.assert_close(mine.state_dict(), theirs.state_dict())
    images = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(mine.eval()(images), theirs.eval()(images))


def test_without_other_processes_it_is_batch_norm():
    images, theirs = torch.randn(4, 3, 5, 5), nn.BatchNorm2d(3)
    assert torch.equal(distributed.SyncBatchNorm2d(3)(images), theirs(images))


@pytest.fixture(scope="module")
def from_two():
    return distributed.launch(num_processes=2)


@needs_gloo
@pytest.mark.parametrize("norm", ["no norm", "synchronised"])
def test_two_processes_have_the_gradient_of_one(from_two, norm):
    if norm == "synchronised":  # the reference is torch's own batch norm
        model = distributed.make_cnn("batch norm")
    else:
        model = distributed.make_cnn(norm)
    whole = distributed.gradients(model, *distributed.make_batch())
    assert from_two["gradients"][norm].keys() == whole.keys()
    for name, grad in whole.items():
        torch.testing.assert_close(from_two["gradients"][norm][name], grad, rtol=0, atol=1e-6)
        assert grad.abs().max() > 1e-3 or name in ("0.bias", "3.bias")  # taken off by the norm


@needs_gloo
def test_plain_batch_norm_is_the_exception(from_two):
    whole = distributed.gradients(distributed.make_cnn("batch norm"), *distributed.make_batch())
    found = from_two["gradients"]["batch norm"]
    assert max(float((found[name] - grad).abs().max()) for name, grad in whole.items()) > 1e-2
    images, labels = distributed.make_batch()
    halves = [
        distributed.gradients(distributed.make_cnn("batch norm"), images[r::2], labels[r::2])
        for r in range(2)
    ]
    for name, grad in found.items():  # it is the mean of what each half gives on its own
        torch.testing.assert_close(grad, (halves[0][name] + halves[1][name]) / 2)


@needs_gloo
def test_steps_are_timed_for_every_batch_size(from_two):
    assert [row["batch_size"] for row in from_two["steps"]] == list(distributed.BATCH_SIZES)
    for row in from_two["steps"]:
        assert 0 < row["update_s"] < row["one_s"]
        assert row["many_s"] > 0


@needs_gloo
def test_a_process_that_fails_is_reported(monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "there-is-no-such-interface")
    with pytest.raises(RuntimeError, match="torchrun ended with"):
        distributed.launch(num_processes=2)


# The benchmark


@pytest.fixture(scope="module")
def speed_run():
    spec = importlib.util.spec_from_file_location("speed_run", ROOT / "benchmarks/speed_run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["speed_run"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["speed_run"]


def test_each_step_of_the_ladder_changes_one_thing(speed_run):
    steps = [asdict(step) for step in speed_run.LADDER.values()]
    changes = [
        {key for key in before if before[key] != after[key]}
        for before, after in itertools.pairwise(steps)
    ]
    assert changes == [
        {"network"}, {"in_memory"}, {"channels_last"}, {"network", "recipe"}, {"batch_size"},
        {"precision"}, {"compile"},
    ]  # fmt: skip


def test_without_norms_the_fast_network_has_biases(speed_run):
    model = speed_run.make_small_maps()
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model)
    assert all(layer.bias is not None for layer in model if isinstance(layer, nn.Conv2d))
    macs = models.count_macs(model, (1, 28, 28))
    assert macs == models.count_macs(models.make_fast_cnn(), (1, 28, 28))
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_the_stored_runs_reach_the_goal():
    stored = json.loads((ROOT / "benchmarks/speed_run.json").read_text(encoding="utf-8"))
    run = stored["run"]
    assert len(run["test_accs"]) == len(run["seconds"]) == 5
    assert sum(run["test_accs"]) / 5 > 0.99
    assert run["settings"]["lr"] == 0.2
    for name in ("threads", "torch", "python", "device", "command"):
        assert run[name]
    assert len(stored["ladder"]["steps"]) == 8
    assert [row["batch_size"] for row in stored["scale"]["steps"]] == [32, 128, 512]


def test_image_by_image_and_in_memory_are_the_same_images(speed_run):
    device = torch.device("cpu")
    one = copy.copy(speed_run.train_batches(speed_run.Step(in_memory=False), 0, device).dataset)
    memory = speed_run.train_batches(speed_run.Step(), 0, device)
    images, labels = next(iter(memory))
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(0))[:64]
    assert torch.equal(labels, torch.tensor([one[int(n)][1] for n in order]))
    for number, image in zip(order[:4], images, strict=False):
        torch.testing.assert_close(one[int(number)][0], image, rtol=0, atol=1e-5)
