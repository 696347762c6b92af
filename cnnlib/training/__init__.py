"""Training in PyTorch: configuration, loop, evaluation, checkpoints. The same on CPU and GPU."""

from cnnlib.training.checkpoint import (
    CheckpointError,
    load_checkpoint,
    previous_checkpoint,
    save_checkpoint,
)
from cnnlib.training.config import TrainConfig, learning_rate, pick_device, seed_everything
from cnnlib.training.evaluation import Evaluation, collect_logits, evaluate
from cnnlib.training.loop import TrainingError, fit
from cnnlib.training.run import History

__all__ = [
    "CheckpointError",
    "Evaluation",
    "History",
    "TrainConfig",
    "TrainingError",
    "collect_logits",
    "evaluate",
    "fit",
    "learning_rate",
    "load_checkpoint",
    "pick_device",
    "previous_checkpoint",
    "save_checkpoint",
    "seed_everything",
]
