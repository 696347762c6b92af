"""Checks an nn.Module against an oracle with the same state_dict: keys, outputs, gradients, state.

torch is imported when a check runs, never when this package is imported.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cnnlib.exercises.compare import kind, show_pair
from cnnlib.exercises.engine import attempt
from cnnlib.exercises.verdicts import Verdict, correct, not_attempted, not_yet, raised

TOLERANCE = 1e-9  # in float64, relative to the largest output


@dataclass(frozen=True)
class Setting:
    """One module to build, (args), and the shape of the features that go in."""

    args: tuple
    shape: tuple[int, ...]
    note: str = ""


@dataclass(frozen=True)
class Fault:
    """A module with one thing wrong and the oracle's keys, and what that mistake means."""

    make: Callable
    says: str


def attempt_raw(function: Callable, *args: Any, **kwargs: Any) -> tuple[Any, BaseException | None]:
    """As engine.attempt, but tensors and modules stay what they are."""
    box = []

    def call():
        box.append(function(*args, **kwargs))

    _, error = attempt(call)
    return (box[0] if box else None), error


def examine_module(
    answer: Any,
    *,
    name: str,
    settings: Sequence[Setting],
    oracle: Callable,
    faults: Sequence[Fault],
    explain_keys: Callable[[list[str], list[str]], str],
    praise: str,
    scale: float = 1.0,
) -> Verdict:
    """Build the learner's module for every setting, load random weights, compare all it does.

    Args:
        answer: what the learner passed to `check`: a class, or a function that makes a module.
        name: what it is called in messages.
        settings: smallest first.
        oracle: makes the module that is right, from the same arguments.
        faults: mistakes that are recognised by their outputs.
        explain_keys: (missing, unexpected) keys -> the likely cause, or "".
        praise: said when all is right.
        scale: of the features that go in.
    """
    import torch

    if problem := unfit_class(answer):
        return problem
    for number, setting in enumerate(settings):
        at = [("case", f"{name}{setting.args}{setting.note and f', {setting.note}'}")]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            mine, error = attempt_raw(answer, *setting.args)
        if isinstance(error, NotImplementedError) and number == 0:
            return not_attempted()
        if error:
            return raised(error, *at, attempted=number > 0)
        right = oracle(*setting.args).double()
        if problem := unlike(mine, right, at, explain_keys):
            return problem
        fill(right, seed=number)
        mine, error = attempt_raw(loaded, mine, right)
        if error:
            return raised(error, *at, attempted=True)
        if problem := _runs_alike(mine, right, setting, faults, at, scale, number):
            return problem
    return correct(praise)


def unfit_class(answer: Any) -> Verdict | None:
    """The verdict on an answer that is no class or function; None when it is one."""
    import torch

    if answer is None or answer is Ellipsis:
        return not_attempted()
    if isinstance(answer, torch.nn.Module):
        cause = "The class itself is wanted: its name without parentheses after it."
        return not_yet("Pass the class, not a module made of it.", cause=cause)
    if not callable(answer):
        cause = "check gets the name alone, without parentheses after it."
        return not_yet(f"Pass the class itself to check, not {kind(answer)}.", cause=cause)
    return None


def unlike(mine: Any, right: Any, at: list, explain_keys: Callable) -> Verdict | None:
    """The verdict on something that is no module with the oracle's keys and shapes."""
    import torch

    if not isinstance(mine, torch.nn.Module):
        cause = "Derive the class from nn.Module, and call super().__init__() first."
        if mine is None:
            cause = "It returned None: does it end in a return?"
        return not_yet("That gives no nn.Module.", *at, ("got", kind(mine)), cause=cause)
    found, wanted = mine.state_dict(), right.state_dict()
    missing = [key for key in wanted if key not in found]
    unexpected = [key for key in found if key not in wanted]
    if missing or unexpected:
        parts = [("missing", _few(missing))] if missing else []
        parts += [("unexpected", _few(unexpected))] if unexpected else []
        cause = explain_keys(missing, unexpected) or (
            "A key is the path of names to a layer: self.conv1 gives conv1.weight. Names, and the "
            "order within an nn.Sequential, have to be those that are asked for."
        )
        return not_yet("The keys of the state_dict differ.", *at, *parts, cause=cause)
    for key, value in wanted.items():
        if not isinstance(found[key], torch.Tensor) or found[key].shape != value.shape:
            shape = tuple(getattr(found[key], "shape", ()))
            pair = ("expected", f"{key} {tuple(value.shape)}"), ("got", f"{shape}")
            return not_yet(
                "A weight has another shape.", *at, *pair, cause=_of_shape(shape, value.shape)
            )
    return None


def _of_shape(got: tuple, wanted: tuple) -> str:
    if len(got) == len(wanted) == 4:
        names = ("output channels", "input channels / groups", "kernel height", "kernel width")
        off = [n for n, g, w in zip(names, got, wanted, strict=True) if g != w]
        if off == ["input channels / groups"] and wanted[1] == 1:
            return "This convolution is depthwise: one filter for each map, groups=channels."
        return f"Look at {' and '.join(off)} of this layer."
    return "Look at how many channels reach this layer."


def _few(keys: list[str]) -> str:
    return ", ".join(keys[:4]) + (f" and {len(keys) - 4} more" if len(keys) > 4 else "")


def fill(module: Any, seed: int) -> None:
    """Random weights and statistics, so that nothing can hide behind a 0 or a 1."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for key, value in module.state_dict().items():
        if not value.is_floating_point():
            value.fill_(3)
        elif "var" in key or (value.ndim == 1 and "weight" in key):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.ndim > 1 and value.shape[1:].numel() > 1:
            fan_in = value[0].numel()
            value.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
        else:
            value.normal_(0, 0.5, generator=generator)


def loaded(module: Any, right: Any) -> Any:
    """The module in float64 with the oracle's values."""
    module = module.double()
    module.load_state_dict(copy.deepcopy(right.state_dict()), strict=True)
    return module


def features_like(shape: Sequence[int], seed: int, scale: float = 1.0) -> Any:
    import torch

    generator = torch.Generator().manual_seed(1000 + seed)
    return scale * torch.randn(*shape, dtype=torch.float64, generator=generator)


def near(got: Any, wanted: Any) -> bool:
    """Whether a tensor has the right shape and all the right values."""
    import torch

    if not isinstance(got, torch.Tensor) or got.shape != wanted.shape:
        return False
    got, wanted = got.detach().double(), wanted.detach().double()
    limit = TOLERANCE * (1 + float(wanted.abs().max()))
    return bool(((got - wanted).abs() <= limit).all())


def first_wrong(got: Any, wanted: Any) -> list[tuple[str, str]]:
    """The first value that differs, and how many do, of two tensors of the same shape."""
    if getattr(got, "shape", None) != wanted.shape:
        return [("expected", f"shape {tuple(wanted.shape)}"), ("got", kind(got))]
    got, wanted = got.detach(), wanted.detach()
    limit = TOLERANCE * (1 + float(wanted.abs().max()))
    wrong = ~((got - wanted).abs() <= limit)  # NaN counts as wrong
    index = tuple(wrong.nonzero()[0].tolist())
    texts = show_pair(float(wanted[index]), float(got[index]))
    number = f"{int(wrong.sum())} of {wrong.numel()} differ"
    return [("expected", f"{texts[0]} at {list(index)}"), ("got", f"{texts[1]} there; {number}")]


def _runs_alike(mine, right, setting, faults, at, scale, seed) -> Verdict | None:
    features = features_like(setting.shape, seed, scale)
    for training in (False, True):
        mode = "in training" if training else "in eval mode"
        case = [*at, ("features", f"{setting.shape}, {mode}")]
        mine.train(training)
        right.train(training)
        given = features.clone().requires_grad_()
        state = copy.deepcopy(right.state_dict())
        with_mine = given * 1  # so that even an in-place change is seen, and allowed by autograd
        before = with_mine.detach().clone()
        got, error = attempt_raw(mine, with_mine)
        theirs = features.clone().requires_grad_()
        wanted = right(theirs)
        if error:
            cause = _known(faults, setting, state, features, training, None, error)
            return replace(raised(error, *case, attempted=True), cause=cause)
        if not near(got, wanted):
            return _outputs_differ(got, wanted, setting, faults, state, features, training, case)
        if not bool((with_mine.detach() == before).all()):
            cause = "An in-place ReLU on the input itself: nn.ReLU() without inplace, or a copy."
            return not_yet("The module changed its input.", *case, cause=cause)
        if problem := _same_after(mine, right, got, wanted, given, theirs, case):
            return problem
    return None


def _outputs_differ(got, wanted, setting, faults, state, features, training, case) -> Verdict:
    import torch

    cause = _known(faults, setting, state, features, training, got, None)
    if not isinstance(got, torch.Tensor):
        word = "None: does forward end in a return?" if got is None else kind(got)
        return not_yet("forward should return a tensor.", *case, ("got", word), cause=cause or word)
    if got.shape != wanted.shape:
        pair = ("expected", f"{tuple(wanted.shape)}"), ("got", f"{tuple(got.shape)}")
        cause = cause or "Look at stride and padding of each layer, in the order in which they run."
        return not_yet("The output has another shape.", *case, *pair, cause=cause)
    cause = cause or (
        "The keys fit, so every layer is there: it is the order in which forward uses them, or a "
        "setting that no weight shows (stride, padding, eps, an activation)."
    )
    return not_yet("The output has other values.", *case, *first_wrong(got, wanted), cause=cause)


def _known(faults, setting, state, features, training, got, error) -> str:
    """The mistake that gives just this output, or stops with just this error."""
    for fault in faults:
        module, failed = attempt_raw(fault.make, *setting.args)
        if failed:
            continue
        module = module.double().train(training)
        _, failed = attempt_raw(module.load_state_dict, copy.deepcopy(state))
        if failed:
            continue
        theirs, stopped = attempt_raw(module, features.clone())
        if error is not None:
            if type(stopped) is type(error) and str(stopped) == str(error):
                return fault.says
        elif not stopped and near(got, theirs):
            return fault.says
    return ""


def _same_after(mine, right, got, wanted, given, theirs, case) -> Verdict | None:
    """Gradients of the input, and running statistics, after a pass with the right output."""
    import torch

    upstream = features_like(wanted.shape, seed=99)
    wanted.backward(upstream)
    _, error = attempt_raw(got.backward, upstream)
    if error or given.grad is None or not near(given.grad, theirs.grad):
        cause = "Something on the way is detached, or computed under no_grad or with .data."
        return not_yet("The output is right, its gradient is not.", *case, cause=cause)
    for key, value in right.state_dict().items():
        found = mine.state_dict()[key]
        if not torch.allclose(found.double(), value.double(), rtol=1e-6, atol=1e-9):
            texts = show_pair(value.flatten()[:4].numpy(), found.detach().flatten()[:4].numpy())
            return not_yet(
                f"{key} is another one after the pass.",
                *case,
                ("expected", texts[0]),
                ("got", texts[1]),
                cause="Batch norm with its defaults keeps the right statistics; each norm runs "
                "once in each pass.",
            )
    return None
