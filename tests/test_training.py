"""Configuration, training loop and evaluation."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlib import training
from cnnlib.batches import Batches
from cnnlib.training import TrainConfig, evaluate, fit, learning_rate
from cnnlib.training.config import make_optimizer
from cnnlib.training.evaluation import eval_mode

CONFIG = TrainConfig(epochs=3, lr=0.1)


def make_model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4 * 6 * 6, 3),
    )


def make_batches(**settings):
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(50, 1, 8, 8, generator=generator)
    labels = (images.mean(dim=(1, 2, 3)) * 300).long() % 3
    return Batches(images, labels, **{"batch_size": 16, "shuffle": True, **settings})


def train(config=CONFIG, model=None, batches=None, **settings):
    model = model or make_model()
    torch.manual_seed(1)  # for dropout
    settings.setdefault("progress", False)
    return model, fit(model, batches or make_batches(), config, **settings)


def equal(model, other):
    pairs = zip(model.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


# configuration


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"optimizer": "adam"}, "expected optimizer of ('sgd', 'adamw'), got 'adam'"),
        ({"schedule": "step"}, "expected schedule"),
        ({"precision": "half"}, "expected precision"),
        ({"epochs": 0}, "expected epochs from 1"),
        ({"lr": -1.0}, "expected lr from 0"),
        ({"lr": math.nan}, "expected lr from 0"),
        ({"warmup": 1.5}, "expected warmup from 0 to 1"),
        ({"patience": 0}, "expected patience from 1"),
        ({"ema_decay": 2.0}, "expected ema_decay from 0 to 1"),
    ],
)
def test_a_wrong_setting_is_named(change, says):
    with pytest.raises(ValueError, match="expected") as caught:
        replace(CONFIG, **change)
    assert says in str(caught.value)


def test_schedules():
    constant = replace(CONFIG, schedule="constant")
    assert [learning_rate(constant, step, 5) for step in range(5)] == [0.1] * 5
    cosine = [learning_rate(CONFIG, step, 100) for step in range(100)]
    assert cosine[0] == 0.1
    assert cosine[50] == pytest.approx(0.05)
    assert all(later < earlier for earlier, later in itertools.pairwise(cosine))
    warm = [learning_rate(replace(CONFIG, warmup=0.3), step, 100) for step in range(100)]
    assert warm[29] == warm[30] == 0.1
    assert warm[0] == pytest.approx(0.1 / 30)
    assert min(cosine + warm) > 0
    oracle = torch.optim.lr_scheduler.CosineAnnealingLR(
        torch.optim.SGD([torch.zeros(1)], lr=0.1), T_max=100
    )
    for value in cosine:
        assert value == pytest.approx(oracle.get_last_lr()[0], abs=1e-12)
        oracle.optimizer.step()
        oracle.step()


def test_decay_falls_on_kernels_and_matrices_only():
    model = make_model()
    optimizer = make_optimizer(model, replace(CONFIG, weight_decay=0.1))
    decayed = {id(p) for g in optimizer.param_groups for p in g["params"] if g["weight_decay"]}
    names = {name for name, p in model.named_parameters() if id(p) in decayed}
    assert names == {"0.weight", "3.weight", "6.weight"}
    in_all = sum(len(group["params"]) for group in optimizer.param_groups)
    assert in_all == len(list(model.parameters()))


def test_frozen_parameters_are_left_alone_and_all_frozen_is_an_error():
    model = make_model()
    model[0].weight.requires_grad_(False)
    before = model[0].weight.clone()
    train(replace(CONFIG, weight_decay=0.1), model)
    assert torch.equal(model[0].weight, before)
    with pytest.raises(ValueError, match="none that require a grad"):
        train(model=nn.Sequential(nn.Flatten()))


# the loop, against one written out


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_fit_is_the_loop_that_everyone_writes(name):
    config = replace(CONFIG, optimizer=name, lr=0.01, weight_decay=0.1, label_smoothing=0.1)
    model, history = train(config)
    other, batches = make_model(), make_batches()
    torch.manual_seed(1)
    optimizer = make_optimizer(other, config)
    losses, num_steps = [], 3 * len(batches)
    for _ in range(3):
        for images, labels in batches:
            lr = 0.01 * (1 + math.cos(math.pi * len(losses) / num_steps)) / 2
            for group in optimizer.param_groups:
                group["lr"] = lr
            loss = F.cross_entropy(other(images), labels, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert equal(model, other)
    assert history.step_losses == losses
    assert history.train_loss == pytest.approx([sum(losses[i : i + 4]) / 4 for i in (0, 4, 8)])


def test_sgd_has_nesterovs_momentum_unless_it_has_none():
    assert make_optimizer(make_model(), CONFIG).defaults["nesterov"]
    assert not make_optimizer(make_model(), replace(CONFIG, momentum=0.0)).defaults["nesterov"]


def test_adamw_takes_momentum_as_its_first_beta():
    config = replace(CONFIG, optimizer="adamw", momentum=0.8)
    assert make_optimizer(make_model(), config).defaults["betas"] == (0.8, 0.999)


def test_a_model_that_comes_in_eval_mode_is_trained_all_the_same():
    model, _ = train(model=make_model().eval())
    other, _ = train(model=make_model())
    assert equal(model, other)


def test_the_last_rate_of_each_epoch_is_kept():
    _, history = train()
    assert history.lr == [learning_rate(CONFIG, step, 12) for step in (3, 7, 11)]


def test_compile_is_asked_for_only_when_wanted(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or model)
    train()
    assert not compiled
    model, _ = train(replace(CONFIG, compile=True))
    assert compiled == [model]


def test_clipping_shortens_every_step():
    config = replace(CONFIG, clip_norm=1e-3, momentum=0.0, schedule="constant", lr=1.0)
    model, before = make_model(), make_model()
    train(config, model)
    moved = [(a - b).norm() for a, b in zip(model.parameters(), before.parameters(), strict=True)]
    assert torch.stack(moved).norm() <= 12 * 1e-3 * 1.001  # 12 steps


def test_averaged_weights_follow_the_running_mean():
    config = replace(CONFIG, ema_decay=0.9)
    model, _ = train(config)
    plain, mean, batches = make_model(), None, make_batches()
    torch.manual_seed(1)
    optimizer = make_optimizer(plain, config)
    step = 0
    for _ in range(3):
        for images, labels in batches:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step, 12)
            optimizer.zero_grad()
            F.cross_entropy(plain(images), labels).backward()
            optimizer.step()
            step += 1
            state = {k: v.clone() for k, v in plain.state_dict().items()}
            if mean is None:
                mean = state
            else:
                for key, value in state.items():
                    if value.is_floating_point():
                        mean[key] = 0.9 * mean[key] + 0.1 * value
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, mean[key], rtol=1e-5, atol=1e-6)


def test_averaged_weights_are_the_ones_that_are_evaluated():
    val = make_batches(shuffle=False)
    model, history = train(replace(CONFIG, ema_decay=0.9), val_batches=val)
    plain, plain_history = train(val_batches=val)
    assert evaluate(model, val).loss == pytest.approx(history.val_loss[-1], abs=1e-9)
    assert history.val_loss != plain_history.val_loss
    assert history.step_losses == plain_history.step_losses


def test_early_stopping_keeps_the_best_weights():
    val = make_batches(shuffle=False)
    config = TrainConfig(epochs=30, lr=0.3, schedule="constant", patience=2)
    model, history = train(config, val_batches=val)
    best = min(range(len(history.val_loss)), key=history.val_loss.__getitem__)
    assert len(history.val_loss) == best + 3 < 30
    assert evaluate(model, val).loss == pytest.approx(history.val_loss[best], abs=1e-9)


@pytest.mark.parametrize("mixed", [False, True])
def test_training_accuracy_is_counted(mixed):
    def spread(images, labels, generator):
        return images, F.one_hot(labels, 3).float() * 0.8 + 0.2 / 3

    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].bias.copy_(torch.tensor([0.0, 5.0, 0.0]))
    batches = make_batches(augment=spread if mixed else None)
    ones = (batches.labels == 1).double().mean().item()
    _, history = train(replace(CONFIG, epochs=1, lr=0.0), model, batches)
    assert history.train_acc == [pytest.approx(ones)]


def test_bfloat16_trains_close_to_float32():
    model, history = train(replace(CONFIG, precision="bfloat16"))
    _, exact = train()
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert history.step_losses != exact.step_losses
    assert history.step_losses[0] == pytest.approx(exact.step_losses[0], rel=0.05)


def test_channels_last_gives_the_same_training():
    model, history = train(replace(CONFIG, channels_last=True), batches=make_batches())
    _, exact = train()
    assert model[3].weight.is_contiguous(memory_format=torch.channels_last)
    assert not model[3].weight.is_contiguous()
    assert history.step_losses == pytest.approx(exact.step_losses, rel=1e-4)


def test_what_cannot_be_served_is_said():
    with pytest.raises(ValueError, match="float16 needs a GPU"):
        train(replace(CONFIG, precision="float16"))
    with pytest.raises(ValueError, match="patience needs val_batches"):
        train(replace(CONFIG, patience=2))


def test_a_loss_that_is_not_finite_stops_and_says_where(tmp_path):
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside, self.calls = make_model(), 0

        def forward(self, images):
            self.calls += self.training
            return self.inside(images) * (math.nan if self.calls == 6 else 1)

    with pytest.raises(training.TrainingError) as caught:
        train(model=Fails(), checkpoint=tmp_path / "run.pt")
    assert "nan at step 6 (learning rate 0.0" in str(caught.value)
    assert f"after epoch 1, is {tmp_path / 'run.pt'}" in str(caught.value)
    with pytest.raises(training.TrainingError, match="no checkpoint was asked for"):
        train(model=Fails())


def test_the_history_is_shown_as_a_table():
    _, history = train(val_batches=make_batches(shuffle=False))
    lines = repr(history).splitlines()
    assert " ".join(lines[0].split()) == "epoch train_loss train_acc val_loss val_acc lr seconds"
    assert len(lines) == 4
    _, history = train()
    assert "val_loss" not in repr(history)


def test_the_bar_counts_steps(capsys):
    train(progress=True)
    assert "12/12" in capsys.readouterr().err
    train()
    assert capsys.readouterr().err == ""


def test_log_dir_without_tensorboard_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="pip install tensorboard"):
        train(log_dir=tmp_path)


def test_tensorboard_gets_every_epoch(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, history = train(val_batches=make_batches(shuffle=False), log_dir=tmp_path)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    for name in ("train_loss", "train_acc", "val_loss", "val_acc", "lr"):
        rows = events.Scalars(name)
        assert [row.step for row in rows] == [1, 2, 3]
        assert [row.value for row in rows] == pytest.approx(getattr(history, name))


# evaluation


def test_evaluation_counts_all_images_and_restores_every_mode():
    model, batches = make_model(), make_batches(shuffle=False)
    model.train()
    model[1].eval()  # a frozen norm
    modes = [module.training for module in model.modules()]
    state = {key: value.clone() for key, value in model.state_dict().items()}
    result = evaluate(model, batches)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    model.eval()
    with torch.no_grad():
        logits = model(batches.images)
    assert result.acc == (logits.argmax(1) == batches.labels).double().mean().item()
    assert result.loss == pytest.approx(F.cross_entropy(logits, batches.labels).item(), abs=1e-6)
    assert result.num_images == 50


def test_the_mode_is_restored_after_an_error():
    model = make_model()
    with pytest.raises(KeyError), eval_mode(model):
        raise KeyError
    assert model.training


def test_logits_come_in_order_as_float32_on_the_cpu():
    model, batches = make_model(), make_batches(shuffle=False, batch_size=7)
    logits, labels = training.collect_logits(model, batches, precision="bfloat16")
    assert logits.dtype == torch.float32
    assert logits.shape == (50, 3)
    assert torch.equal(labels, batches.labels)
    exact, _ = training.collect_logits(model, batches)
    assert not torch.equal(logits, exact)
    torch.testing.assert_close(logits, exact, rtol=0.1, atol=0.05)


# the machine


def test_seeding_covers_python_numpy_and_torch():
    import random

    import numpy as np

    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002

    training.seed_everything(3)
    first = draw()
    training.seed_everything(3)
    assert draw() == first
    training.seed_everything(4)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_the_device_is_the_fastest_one_here(monkeypatch):
    for cuda, mps, expected in [(1, 0, "cuda"), (0, 1, "mps"), (0, 0, "cpu"), (1, 1, "cuda")]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: bool(cuda))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: bool(mps))
        assert training.pick_device().type == expected
