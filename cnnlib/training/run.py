"""The state of a training: what a checkpoint saves, and what training goes on from."""

import copy
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cnnlib.batches import Batches
from cnnlib.training.checkpoint import (
    CheckpointError,
    load_checkpoint,
    random_states,
    restore_random_states,
    save_checkpoint,
)
from cnnlib.training.config import TrainConfig, describe_difference, make_optimizer
from cnnlib.training.evaluation import Evaluation


@dataclass
class History:
    """What happened: one entry an epoch in each list, but `step_losses`, one a step.

    Shown, it is a table. Taught in notebook 09.
    """

    train_loss: list[float] = field(default_factory=list)
    train_acc: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)  # empty without validation batches
    val_acc: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)  # of the epoch's last step
    seconds: list[float] = field(default_factory=list)  # training alone, evaluation left out
    step_losses: list[float] = field(default_factory=list)

    def __repr__(self) -> str:
        names = ["train_loss", "train_acc", "val_loss", "val_acc", "lr", "seconds"]
        columns = {name: getattr(self, name) for name in names if getattr(self, name)}
        rows = ["epoch  " + "  ".join(f"{name:>10}" for name in columns)]
        for number, row in enumerate(zip(*columns.values(), strict=True), start=1):
            rows.append(f"{number:5}  " + "  ".join(f"{value:10.4f}" for value in row))
        return "\n".join(rows)


class Run:
    """All that a training consists of. `fit` makes one; a checkpoint holds what is in it."""

    def __init__(
        self,
        model: nn.Module,
        train_batches: Batches,
        config: TrainConfig,
        checkpoint: str | Path | None,
    ) -> None:
        self.model, self.train_batches, self.config = model, train_batches, config
        self.checkpoint = checkpoint
        self.optimizer = make_optimizer(model, config)
        self.scaler = torch.amp.GradScaler(enabled=config.precision == "float16")
        average = get_ema_multi_avg_fn(config.ema_decay) if config.ema_decay else None
        self.average = (
            AveragedModel(model, multi_avg_fn=average, use_buffers=True) if average else None
        )
        self.history = History()
        self.epoch, self.step, self.last_saved = 0, 0, 0
        self.best_state, self.best_loss, self.waited = None, float("inf"), 0

    @property
    def evaluated(self) -> nn.Module:
        """The network that is evaluated and kept: the averaged one, if there is one."""
        return self.average.module if self.average else self.model

    @property
    def stopped_early(self) -> bool:
        """Whether the validation loss has not fallen for long enough."""
        return self.config.patience is not None and self.waited >= self.config.patience

    def note(self, result: Evaluation) -> None:
        """Enter an evaluation; remember the weights if it is the best so far."""
        self.history.val_loss.append(result.loss)
        self.history.val_acc.append(result.acc)
        if self.config.patience is None:
            return
        self.waited += 1
        if result.loss < self.best_loss:
            self.best_loss, self.waited = result.loss, 0
            self.best_state = copy.deepcopy(self.evaluated.state_dict())

    def finish(self) -> None:
        """Leave the model with the weights that count, the averaged or the best ones."""
        if self.best_state is not None:
            self.model.load_state_dict(self.best_state)
        elif self.average:
            self.model.load_state_dict(self.average.module.state_dict())

    def save(self) -> None:
        """Write everything that the rest of the training depends on."""
        save_checkpoint(
            self.checkpoint,
            {
                "config": asdict(self.config),
                "epoch": self.epoch,
                "step": self.step,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "average": self.average.state_dict() if self.average else None,
                "best": [self.best_state, self.best_loss, self.waited],
                "history": asdict(self.history),
                "batches": self.train_batches.state_dict(),
                "random": random_states(),
            },
        )
        self.last_saved = self.epoch

    def resume(self) -> None:
        """Go on from the checkpoint, to the bit; or say why it belongs to another training."""
        state = load_checkpoint(self.checkpoint)
        if difference := describe_difference(state["config"], asdict(self.config)):
            raise CheckpointError(
                f"the checkpoint {self.checkpoint} was made with another configuration "
                f"({difference}); use that one, or another file"
            )
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint {self.checkpoint} holds the weights of another network; use that "
                f"one, or another file. {error}"
            ) from error
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.best_state, self.best_loss, self.waited = state["best"]
        self.history = History(**state["history"])
        self.train_batches.load_state_dict(state["batches"])
        restore_random_states(state["random"])
        self.epoch, self.step, self.last_saved = state["epoch"], state["step"], state["epoch"]
