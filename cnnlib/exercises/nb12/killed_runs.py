"""Exercise 12.4's trials: a training loop is run, watched, and killed as by SIGKILL."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BATCH = 32


class Killed(BaseException):
    """What a loop is stopped with. No `except Exception` catches it, as none catches a SIGKILL."""


@dataclass(frozen=True)
class Problem:
    """What there is to train. `kind` is one of the networks of `network`."""

    says: str
    kind: str
    num_images: int
    num_epochs: int

    @property
    def num_batches(self) -> int:
        return -(-self.num_images // BATCH)


@dataclass
class Log:
    """What one call of a loop did."""

    passes: list = field(default_factory=list)  # (the images' numbers, the state before) of each
    saves: list = field(default_factory=list)  # how many passes had been made at each
    state: dict = field(default_factory=dict)  # the model at the end
    error: BaseException | None = None
    killed: bool = False
    survived: bool = False  # the loop went on after it was killed
    endless: bool = False
    impure: str = ""  # what the checkpoint holds that weights_only does not read
    elsewhere: str = ""  # where it was written, if not in the folder of path
    began: dict = field(default_factory=dict)  # the model as it was given
    files: dict = field(default_factory=dict)  # the folder at the moment of the kill

    @property
    def states(self) -> list[dict]:
        """The model's state before each pass, and at the end."""
        return [state for _, state in self.passes] + [self.state]


def network(kind: str, seed: int):
    """A fresh network in float64: "plain", with "dropout" or with "batch norm"."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    if kind == "batch norm":
        layers = [nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)]
    else:
        layers = [nn.Flatten(), nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3)]
    if kind == "dropout":
        layers.insert(3, nn.Dropout(0.5))
    return nn.Sequential(*layers).double()


def images_and_labels(num_images: int):
    """Images (N, 1, 2, 3) in three classes that can be told apart, mostly."""
    import torch

    generator = torch.Generator().manual_seed(num_images)
    middles = torch.randn(3, 1, 2, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (num_images,), generator=generator)
    noise = torch.randn(num_images, 1, 2, 3, generator=generator, dtype=torch.float64)
    return middles[labels] + noise, labels


def run(
    loop,
    problem: Problem,
    path: Path,
    *,
    weights: int = 0,
    chance: int = 0,
    seed: int = 12,
    kill_in_pass: int | None = None,
    kill_in_save: int | None = None,
) -> Log:
    """Call a loop once and write down what it does.

    Args:
        loop: the learner's function.
        problem: what to train.
        path: where the checkpoint is to be; its folder is made, and put back as it was at the
            moment of a kill.
        weights: another number makes another fresh network, as in another process.
        chance: the seed of torch's global random numbers when the call begins.
        seed: the seed that the loop is given.
        kill_in_pass: kill the loop in this forward pass, counted from 1.
        kill_in_save: kill the loop when half of the file is written, in the first save after so
            many passes.
    """
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    model, log = network(problem.kind, 100 + weights), Log()
    log.began = _copy(model)
    images, labels = images_and_labels(problem.num_images)
    marks = images.flatten(1)[:, 0].clone()

    def forward(module, args):
        if log.killed:
            log.survived = True
            raise Killed
        if len(log.passes) > 3 * problem.num_batches * problem.num_epochs:
            log.endless = True
            raise Killed
        log.passes.append((_numbers(args[0], marks), _copy(model)))
        if len(log.passes) == kill_in_pass:
            _die(log, path.parent)

    def save(state: Any, file: Any) -> None:
        if log.killed:
            log.survived = True
            raise Killed
        log.saves.append(len(log.passes))
        data = _written(state, log)
        half = kill_in_save is not None and len(log.passes) == kill_in_save
        _write(data[: len(data) // 2] if half else data, file)
        if not hasattr(file, "write") and Path(file).resolve().parent != path.parent.resolve():
            log.elsewhere = str(Path(file).parent)
        if half:
            _die(log, path.parent)

    model[0].register_forward_pre_hook(forward)
    torch.manual_seed(chance)
    try:
        loop(model, images, labels, problem.num_epochs, seed, path, save)
        log.survived = log.survived or log.killed
    except Killed:
        pass
    except (Exception, SystemExit) as error:
        if log.killed:
            log.survived = True
        else:
            log.error = error
    log.state = _copy(model)
    if log.killed:
        _put_back(log, path.parent)
    return log


def _copy(model) -> dict:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _numbers(batch, marks) -> tuple[int, ...]:
    """Which images a batch holds, told by their first pixels."""
    firsts = batch.detach().reshape(len(batch), -1)[:, 0]
    return tuple((firsts[:, None] - marks).abs().argmin(dim=1).tolist())


def _die(log: Log, folder: Path) -> None:
    log.killed = True
    log.files = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    raise Killed


def _put_back(log: Log, folder: Path) -> None:
    """What happened to files after the kill, in a `finally` say, did not happen."""
    for place in folder.rglob("*"):
        if place.is_file() and place not in log.files:
            place.unlink()
    for place, data in log.files.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def _written(state: Any, log: Log) -> bytes:
    """The file that torch.save makes, if torch.load reads it with weights_only=True."""
    import torch

    buffer = io.BytesIO()
    try:
        torch.save(state, buffer)
        torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
    except Exception:  # pickle and torch have many kinds
        log.impure = _foreign(state, "state") or f"state is a {type(state).__name__}"
        raise Killed from None
    return buffer.getvalue()


def _foreign(value: Any, name: str, depth: int = 6) -> str:
    """The first part of a state that is not plain data, in words."""
    import torch

    if isinstance(value, dict) and depth:
        parts = ((v, f"{name}[{k!r}]") for k, v in value.items())
    elif isinstance(value, list | tuple) and depth:
        parts = ((v, f"{name}[{k}]") for k, v in enumerate(value))
    elif isinstance(value, torch.Tensor) or type(value) in (int, float, bool, str, type(None)):
        return ""
    else:
        return f"{name} is a {type(value).__name__}"
    return next((found for v, n in parts if (found := _foreign(v, n, depth - 1))), "")


def _write(data: bytes, file: Any) -> None:
    if hasattr(file, "write"):
        file.write(data)
        file.flush()
    else:
        Path(file).write_bytes(data)
