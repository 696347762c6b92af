"""What the checkers of this notebook share: arrays as tensors, tensors as results, and chance.

torch is imported when a check runs, never when this package is imported.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnlib.exercises.compare import kind, show
from cnnlib.exercises.engine import attempt
from cnnlib.exercises.verdicts import Verdict, not_yet


def with_tensors(answer: Callable) -> Callable:
    """`answer` called with tensors for arrays, and a generator with the given seed at the end."""

    def call(*args: Any, seed: int) -> Any:
        import torch

        tensors = [torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in args]
        return answer(*tensors, torch.Generator().manual_seed(seed))

    return call


def tensor_problem(got: Any, like: Any) -> Verdict | None:
    """The verdict on a result that is no tensor of the shape and dtype of `like`; None if it is."""
    import torch

    if not isinstance(got, torch.Tensor):
        cause = "Your function returned None: does it end in a return?" if got is None else ""
        cause = cause or f"A tensor is wanted; this is {kind(got)}."
        return not_yet("The result should be a tensor.", ("got", show(got)), cause=cause)
    if got.shape != like.shape:
        return not_yet(
            "The result has another shape.",
            ("expected", f"shape {tuple(like.shape)}"),
            ("got", f"shape {tuple(got.shape)}"),
            cause="Every value has its place: the shape stays that of the input.",
        )
    if got.dtype != like.dtype:
        return not_yet(
            "The result has another dtype.",
            ("expected", str(like.dtype)),
            ("got", str(got.dtype)),
            cause="A mask takes on the dtype of what it is multiplied with: mask.to(x.dtype).",
        )
    return None


def call_twice(function: Callable) -> tuple[Any, BaseException | None, bool]:
    """(result, error, whether torch's global random numbers took part) of `function()`.

    It is called twice, with global random numbers that differ; the state is put back afterwards.
    """
    import torch

    state = torch.get_rng_state()
    try:
        torch.manual_seed(1)
        first, error = attempt_raw(function)
        if error:
            return None, error, False
        torch.manual_seed(2)
        second, error = attempt_raw(function)
    finally:
        torch.set_rng_state(state)
    if error:
        return None, error, False
    return first, None, not _alike(first, second)


def attempt_raw(function: Callable, *args: Any, **kwargs: Any) -> tuple[Any, BaseException | None]:
    """As engine.attempt, but tensors stay tensors."""
    box = []

    def call():
        box.append(function(*args, **kwargs))

    _, error = attempt(call)
    return (box[0] if box else None), error


def _alike(first: Any, second: Any) -> bool:
    import torch

    if isinstance(first, tuple | list) and isinstance(second, tuple | list):
        return len(first) == len(second) and all(map(_alike, first, second))
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        same_kind = first.shape == second.shape and first.dtype == second.dtype
        return same_kind and bool(torch.allclose(first, second, rtol=0, atol=0, equal_nan=True))
    return True
