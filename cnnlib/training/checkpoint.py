"""Checkpoints: written whole or not at all, loaded without running any code in them."""

import os
import platform
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

FORMAT = "cnn-workbook checkpoint 1"


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; the message says why and which earlier one is left."""


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write a state of tensors, numbers, strings, lists and dictionaries to a file, safely.

    The state goes to a temporary file beside it, which is then renamed: a process killed at any
    moment leaves either the old checkpoint or the new one, whole. The old one is kept beside it as
    `previous_checkpoint(path)`.

    Args:
        path: the file; its folder is made.
        state: what `load_checkpoint` gives back, with the versions of this machine added.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "run" / "digits.pt"
        >>> save_checkpoint(path, {"epoch": 3})
        >>> load_checkpoint(path)["epoch"]
        3

    Taught in notebook 12.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    versions = {
        "torch": torch.__version__.split("+")[0],
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    part = path.with_name(f"{path.name}.part{os.getpid()}")
    try:
        with part.open("wb") as file:
            torch.save({"format": FORMAT, "versions": versions, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            copy = part.with_name(f"{part.name}.copy")
            shutil.copyfile(path, copy)
            os.replace(copy, previous_checkpoint(path))
        os.replace(part, path)
    finally:
        for left in path.parent.glob(f"{path.name}.part{os.getpid()}*"):
            left.unlink()


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU. Only plain data are read (weights_only=True).

    Raises:
        CheckpointError: no such file, a truncated one, or a file of another kind.

    Taught in notebook 12.
    """
    path = Path(path)
    previous = previous_checkpoint(path)
    mend = f"; the checkpoint before it is still there: {previous}" if previous.exists() else ""
    if not path.exists():
        raise CheckpointError(f"expected a checkpoint at {path}, found no such file{mend}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for files that it cannot read
        raise CheckpointError(
            f"expected a checkpoint at {path}, found {path.stat().st_size} bytes that torch cannot "
            f"read: truncated, damaged, or no checkpoint{mend}"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(
            f"expected {FORMAT!r} at {path}, found a torch file of another kind (weights "
            f"alone are loaded with model.load_state_dict){mend}"
        )
    return state


def previous_checkpoint(path: str | Path) -> Path:
    """Where the checkpoint before the last one is kept. Taught in notebook 12."""
    path = Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def random_states() -> dict[str, Any]:
    """Where torch's random numbers stand, on the CPU and on each GPU."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Go on where `random_states` was called; other GPUs than then keep theirs."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.device_count() == len(states["cuda"]):
        torch.cuda.set_rng_state_all(states["cuda"])
