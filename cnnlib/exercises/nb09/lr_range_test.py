"""Exercise 09.3, A range test that leaves no trace."""

import math

import numpy as np

from cnnlib.exercises.compare import as_numpy, kind, show
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised


def lr_range_test(model, batches, lrs):
    import copy
    import itertools

    import torch
    import torch.nn.functional as F

    trial = copy.deepcopy(model).train()  # the model itself is never touched
    optimizer = torch.optim.SGD(trial.parameters(), lr=lrs[0])
    endless = itertools.chain.from_iterable(itertools.repeat(batches))
    losses = []
    for lr, (images, labels) in zip(lrs, endless):  # noqa: B905 (the batches never end)
        loss = F.cross_entropy(trial(images), labels)
        if not loss.isfinite() or (losses and loss > 4 * min(losses)):
            break
        losses.append(loss.item())
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def _follow(model, batches, lrs, fault="") -> list[float]:
    """The losses by plain arithmetic on a copy, or those of a test with one fault."""
    import copy

    import torch
    import torch.nn.functional as F

    trial, losses, velocity = copy.deepcopy(model), [], {}
    trial.train(fault != "eval mode")
    for step, lr in enumerate(lrs):
        if fault == "ends" and step == len(batches):
            break
        images, labels = batches[0 if fault == "first" else step % len(batches)]
        loss = F.cross_entropy(trial(images), labels)
        stop = not math.isfinite(loss.item()) or bool(losses and loss.item() > 4 * min(losses))
        if stop and fault != "goes on":
            return [*losses, loss.item()] if fault == "enters" else losses
        for parameter in trial.parameters():
            if fault != "adds up":
                parameter.grad = None
        loss.backward()
        with torch.no_grad():
            for name, parameter in trial.named_parameters():
                move = parameter.grad
                if fault == "momentum":
                    move = velocity[name] = 0.9 * velocity.get(name, 0) + parameter.grad
                rate = lrs[0] if fault == "one rate" else lr
                rate = lrs[max(step - 1, 0)] if fault == "late" else rate
                parameter -= rate * move
            after = F.cross_entropy(trial(images), labels).item() if fault == "after" else 0.0
        losses.append(after if fault == "after" else loss.item())
    return losses


_SAYS = {
    "ends": "The batches were used up before the rates were. Begin with the first batch again.",
    "first": "Every step saw the first batch: that tells how fast it can be learned by heart. Go "
    "on to the next batch at each step.",
    "eval mode": "The losses are those of a network in eval mode. Training has batch norm and "
    "dropout in training mode, so the test should too.",
    "goes on": "The test went on after the loss had exploded. Stop when it is not finite, or more "
    "than 4 times the smallest so far.",
    "enters": "The loss that ends the test is not entered: check before you append.",
    "adds up": "The gradients of all steps add up: optimizer.zero_grad() before backward.",
    "momentum": "These are the losses with momentum 0.9. Plain SGD was asked for, so that a rate "
    "means the same at each step.",
    "one rate": "All steps were taken with the first rate. Set it in "
    'optimizer.param_groups[0]["lr"] before each step.',
    "late": "Each step was taken with the rate of the step before: set the rate, then step.",
    "after": "These are the losses after each step. The one before it is had for nothing.",
}


def _model(kind_of: str):
    import torch
    from torch import nn

    torch.manual_seed(93)
    if kind_of == "linear":
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).double()
    return nn.Sequential(
        nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)
    ).double()


def _batches(num_batches: int):
    import torch

    generator = torch.Generator().manual_seed(num_batches)
    middles = torch.randn(3, 1, 2, 2, generator=generator, dtype=torch.float64)
    pairs = []
    for _ in range(num_batches):
        labels = torch.randint(0, 3, (6,), generator=generator)
        noise = torch.randn(6, 1, 2, 2, generator=generator, dtype=torch.float64)
        pairs.append((middles[labels] + noise, labels))
    return pairs


_CASES = (
    ("linear", 8, [0.01, 0.1, 0.5, 0.6], "a linear network, 8 batches, 4 rates"),
    ("linear", 2, [0.02, 0.04, 0.08, 0.16, 0.32], "2 batches, 5 rates"),
    ("norm", 4, list(np.geomspace(1e-3, 1, 12)), "a network with batch norm, 12 rates"),
    ("linear", 5, list(np.geomspace(0.01, 1e5, 30)), "30 rates up to 100,000"),
    ("linear", 5, [0.1, 0.1, math.inf, 0.1, 0.1], "a rate of infinity in the middle"),
)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    import torch

    with torch.random.fork_rng(devices=[]):
        for number, (kind_of, num_batches, lrs, words) in enumerate(_CASES):
            lrs = [float(lr) for lr in lrs]
            for training in (True, False):
                case = ("case", f"{words}; found in {'training' if training else 'eval'} mode")
                verdict = _one_case(answer, _model(kind_of).train(training), _batches(num_batches),
                                    lrs, case, first=number == 0 and training)  # fmt: skip
                if verdict:
                    return verdict
    return correct("Stops in time, goes round the batches, and leaves the network as it was.")


def _one_case(answer, model, pairs, lrs, case, first) -> Verdict | None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training, expected = model.training, _follow(model, pairs, lrs)
    given = list(lrs)
    got, error = attempt(answer, (model, pairs, given))
    if error is not None:
        return (
            not_attempted()
            if first and isinstance(error, NotImplementedError)
            else raised(error, case, attempted=not first)
        )
    got = as_numpy(got)
    got = got.tolist() if isinstance(got, np.ndarray) else got
    if not isinstance(got, tuple | list) or any(np.size(g) != 1 for g in got):
        words = "Your function returned None: does it end in a return?" if got is None else ""
        return not_yet("Return the list of losses.", case, ("got", kind(got)),
                       cause=words or "One number for each step is wanted.")  # fmt: skip
    if any(np.asarray(g).dtype.kind not in "iuf" for g in got):
        return not_yet("Return the list of losses.", case, ("got", show(got)), cause="These are "
                       "no numbers: loss.item() makes one.")  # fmt: skip
    got = [float(np.asarray(g).item()) for g in got]
    if not _same(got, expected):
        return _explain(got, expected, model, before, training, pairs, lrs, case)
    if problem := _traces(model, before, training, case):
        return problem
    if given != lrs:
        return not_yet("Your function changed the list of rates.", case, cause="Work on a copy.")
    return None


def _same(got, expected) -> bool:
    return len(got) == len(expected) and np.allclose(got, expected, rtol=1e-7, equal_nan=True)


def _explain(got, expected, model, before, training, pairs, lrs, case) -> Verdict:
    """Which fault gives just these losses; the network is put back for that first."""
    model.load_state_dict(before)
    for parameter in model.parameters():
        parameter.grad = None
    model.train(training)
    cause = next((_SAYS[f] for f in _SAYS if _same(got, _follow(model, pairs, lrs, f))), "")
    if len(got) != len(expected):
        shown = [("expected", f"{len(expected)} losses"), ("got", f"{len(got)}")]
        cause = cause or "One loss for each rate, up to the one at which the test stops."
    else:
        at = next(n for n, pair in enumerate(zip(got, expected, strict=True))
                  if not np.allclose(*pair, rtol=1e-7))  # fmt: skip
        shown = [("expected", f"loss {show(expected[at])} at step {at + 1}"),
                 ("got", show(got[at]))]  # fmt: skip
        cause = cause or "Loss of the batch, then one step of plain SGD with this step's rate."
        if at == 0 and not any(cause == says for says in _SAYS.values()):
            cause = "Even the first loss differs: mean cross-entropy of the first batch, with the "
            cause += "weights as they are found, in training mode."
    return not_yet("The losses differ.", case, *shown, cause=cause)


def _traces(model, before, training, case) -> Verdict | None:
    changed = [
        name
        for name, value in model.state_dict().items()
        if not bool((value == before[name]).all())
    ]
    if changed:
        names = ("got", f"changed: {', '.join(changed)}")
        if all("running" in name or "num_batches" in name for name in changed):
            cause = "The weights are back, but batch norm's running means and variances are not: "
            cause += "they are buffers, no parameters. state_dict() has both."
        else:
            cause = "A test must leave the network as it found it. Mind that state_dict() gives "
            cause += "the very tensors, which the steps change: copy them (copy.deepcopy), or test "
            cause += "on a copy of the whole network."
        return not_yet("The losses are right, but the network is another one.", case, names,
                       cause=cause)  # fmt: skip
    if model.training != training:
        cause = "Put it back into the mode in which you found it, training or eval."
        return not_yet("The losses are right; the mode is another one.", case, cause=cause)
    return None


EXERCISE = Exercise(
    id="09.3",
    title="A range test that leaves no trace",
    objective="find a learning rate with a test that stops in time and leaves the network alone",
    level=2,
    minutes=20,
    points=4,
    hints=(
        "The easiest way to leave a network alone is never to touch it: copy.deepcopy(model).",
        "itertools.cycle remembers the batches of the first round; a while loop with an iterator "
        "that is made anew at its end does not have to.",
        "In this order: loss; stop?; enter it; set the rate; zero_grad, backward, step.",
    ),
    solution=lr_range_test,
    examine=_examine,
)
