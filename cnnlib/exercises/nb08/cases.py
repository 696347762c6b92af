"""What the checkers of this notebook share: functions and networks that say in words what they are.

torch is imported when a check runs, never when this package is imported.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from cnnlib.exercises.verdicts import Verdict


@dataclass(frozen=True)
class Said:
    """A function of a case; a verdict shows it as `says`."""

    function: Callable
    says: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return self.says


def network(says: str, *layers: Any, seed: int = 0) -> Any:
    """An nn.Sequential in float64, shown as `says`, with parameters drawn from a seed of its own.

    The global random numbers of torch are left as they are.
    """
    import torch

    class Network(torch.nn.Sequential):
        def __repr__(self) -> str:
            return says

    generator = torch.Generator().manual_seed(seed)
    model = Network(*layers).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator).double() / 2)
    return model


def with_warnings(make: Callable[[], Any]) -> tuple[Any, list[str]]:
    """Call `make` and catch what it warns of: -> its result, the warnings' texts."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = make()
    return result, [str(warning.message) for warning in caught]


def name_parts(verdict: Verdict, *names: str) -> Verdict:
    """Say which result differs by its name, in place of "2 of the 4 that are returned"."""
    details = tuple(
        (label, names[int(text[0]) - 1] if label == "part" else text)
        for label, text in verdict.details
    )
    return replace(verdict, details=details)


def say_if_close(verdict: Verdict, again: Callable[[], Verdict], says: str) -> Verdict:
    """Give the cause `says` to a wrong answer that a loose tolerance would let pass."""
    if verdict.outcome == "not yet" and again().outcome == "correct":
        return replace(verdict, cause=says)
    return verdict


def on_tensors(function: Callable) -> Callable:
    """The function, given tensors where it is called with arrays: cases hold arrays, which a
    verdict shows by shape, and which the engine compares before and after the call.
    """

    def wrapped(*args: Any) -> Any:
        import torch

        return function(*[torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in args])

    return wrapped


def adapted(answer: Any, adapter: Callable) -> Any:
    """adapter(answer, …) as a function of the rest, on tensors; what is no function stays as it is,
    for the engine to name.
    """
    return on_tensors(partial(adapter, answer)) if callable(answer) else answer
