"""The training loop, the only one of the workbook."""

import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm.auto import tqdm

from cnnlib.batches import Batches
from cnnlib.training.config import TrainConfig, learning_rate
from cnnlib.training.evaluation import autocast, evaluate
from cnnlib.training.run import History, Run


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where it stopped and what is left."""


def fit(
    model: nn.Module,
    train_batches: Batches,
    config: TrainConfig,
    *,
    val_batches: Batches | None = None,
    checkpoint: str | Path | None = None,
    log_dir: str | Path | None = None,
    progress: bool = True,
) -> History:
    """Train a network in place, on the device of the batches.

    After each epoch the network is evaluated on the validation batches and, if a checkpoint is
    named, everything that the rest of the training depends on is saved. If that file is there
    already, training goes on from it, and ends with the very parameters that it would have ended
    with uninterrupted (to the bit on a CPU with the same number of threads).

    Args:
        model: images (N, C, H, W) -> logits (N, num_classes); moved to the batches' device.
        train_batches: their augmentation and order are part of the saved state.
        config: see TrainConfig.
        val_batches: for the history, and for early stopping.
        checkpoint: a file to save to after each epoch, and to go on from.
        log_dir: a folder for TensorBoard, which must be installed.
        progress: show a bar.

    Returns:
        The History. With `ema_decay` the model ends with the averaged weights, with `patience`
        with those of the lowest validation loss.

    Raises:
        TrainingError: a loss that is not a finite number; says at which step and learning rate.
        CheckpointError: the file is damaged, or was made by another configuration or network.
        ValueError: settings that this device or these batches cannot serve.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> batches = Batches(torch.rand(8, 1, 2, 2), torch.arange(8) % 2, batch_size=4)
        >>> history = fit(model, batches, TrainConfig(epochs=2, lr=0.1), progress=False)
        >>> len(history.train_loss), len(history.step_losses)
        (2, 4)

    Taught in notebook 09.
    """
    device = train_batches.device
    _check(config, device, val_batches)
    memory_format = torch.channels_last if config.channels_last else torch.preserve_format
    model.to(device, memory_format=memory_format)
    run = Run(model, train_batches, config, checkpoint)
    if checkpoint is not None and Path(checkpoint).exists():
        run.resume()
    forward = _in_parallel(torch.compile(model) if config.compile else model, device)
    writer = _writer(log_dir, run.epoch)
    is_first = not dist.is_initialized() or dist.get_rank() == 0
    total = config.epochs * len(train_batches)
    bar = tqdm(total=total, initial=run.step, disable=not progress or not is_first, leave=True)
    with bar:
        while run.epoch < config.epochs and not run.stopped_early:
            train_epoch(run, forward, bar)
            if val_batches is not None:
                result = evaluate(run.evaluated, val_batches, precision=config.precision)
                run.note(result)
                bar.set_postfix(val_loss=f"{result.loss:.4f}", val_acc=f"{result.acc:.4f}")
            if writer is not None:
                for name in ("train_loss", "train_acc", "val_loss", "val_acc", "lr"):
                    if values := getattr(run.history, name):
                        writer.add_scalar(name, values[-1], run.epoch)
            if checkpoint is not None and is_first:
                run.save()
    if writer is not None:
        writer.close()
    run.finish()
    return run.history


def train_epoch(run: Run, forward: nn.Module, bar: tqdm) -> None:
    """One pass over the training batches; losses and right answers go into the history."""
    config, device = run.config, run.train_batches.device
    num_steps = config.epochs * len(run.train_batches)
    look_every = 1 if device.type == "cpu" else 50  # looking makes a GPU wait
    losses, num_right, num_images, start = [], 0, 0, time.perf_counter()
    run.model.train()
    for images, labels in run.train_batches:
        lr = learning_rate(config, run.step, num_steps)
        for group in run.optimizer.param_groups:
            group["lr"] = lr
        with autocast(device, config.precision):
            logits = forward(images)
            loss = F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
        _update(run, loss)
        losses.append(loss.detach())
        answers = labels if labels.ndim == 1 else labels.argmax(dim=1)  # mixed labels
        num_right = num_right + (logits.detach().argmax(dim=1) == answers).sum()
        num_images += len(images)
        run.step += 1
        if run.step % look_every == 0 or len(losses) == len(run.train_batches):
            _check_finite(run, losses, lr)
        bar.update()
    sums = torch.stack([torch.stack(losses).sum().double(), num_right.double()])
    counts = torch.tensor([len(losses), num_images], dtype=torch.float64, device=device)
    means = sums / counts
    if dist.is_initialized():  # every process has seen its part
        dist.all_reduce(means)
        means /= dist.get_world_size()
    train_loss, train_acc = means.tolist()
    run.history.step_losses += [float(loss) for loss in losses]
    run.history.train_loss.append(train_loss)
    run.history.train_acc.append(train_acc)
    run.history.lr.append(lr)
    run.history.seconds.append(time.perf_counter() - start)
    run.epoch += 1


def _update(run: Run, loss: torch.Tensor) -> None:
    """Backward pass and one step of the optimizer, and of the averaged weights."""
    run.optimizer.zero_grad(set_to_none=True)
    run.scaler.scale(loss).backward()
    if run.config.clip_norm is not None:
        run.scaler.unscale_(run.optimizer)
        nn.utils.clip_grad_norm_(run.model.parameters(), run.config.clip_norm)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    if run.average:
        run.average.update_parameters(run.model)


def _check_finite(run: Run, losses: list[torch.Tensor], lr: float) -> None:
    finite = torch.stack(losses).isfinite()
    if finite.all():
        return
    first = run.step - len(losses) + int((~finite).nonzero()[0]) + 1
    left = "no checkpoint was asked for"
    if run.checkpoint is not None:
        left = f"the last good checkpoint, after epoch {run.last_saved}, is {run.checkpoint}"
        if run.last_saved == 0:
            left = "no epoch had been saved"
    raise TrainingError(
        f"the loss was {float(losses[int((~finite).nonzero()[0])])} at step {first} (learning rate "
        f"{lr:.3g}); {left}. A lower lr, a warm-up or clip_norm usually mends it"
    )


def _check(config: TrainConfig, device: torch.device, val_batches: Batches | None) -> None:
    if config.precision == "float16" and device.type == "cpu":
        raise ValueError("float16 needs a GPU; expected precision float32 or bfloat16 on a CPU")
    if config.patience is not None and val_batches is None:
        raise ValueError("patience needs val_batches, to see when the loss no longer falls")
    if val_batches is not None and val_batches.device != device:
        raise ValueError(f"expected val_batches on {device}, got {val_batches.device}")


def _in_parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """Under torchrun, a network whose gradients are the mean over all processes."""
    if not dist.is_initialized():
        return model
    return DistributedDataParallel(model, device_ids=None if device.type == "cpu" else [device])


def _writer(log_dir: str | Path | None, epoch: int):
    if log_dir is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError("log_dir needs TensorBoard: pip install tensorboard") from error
    return SummaryWriter(log_dir, purge_step=epoch + 1)
