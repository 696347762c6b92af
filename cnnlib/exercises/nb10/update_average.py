"""Exercise 10.8, A running mean of the weights."""

import copy

import numpy as np

from cnnlib.exercises.engine import unfit
from cnnlib.exercises.nb10.tensors import attempt_raw
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised


def update_average(average, model, decay, num_updates):
    import torch

    values = model.state_dict()
    with torch.no_grad():
        for name, place in average.state_dict().items():
            if num_updates == 0 or not place.is_floating_point():
                place.copy_(values[name])
            else:
                place.mul_(decay).add_(values[name], alpha=1 - decay)


DECAY, NUM_STEPS = 0.8, 4


def _models():
    """An average that knows nothing yet, and the model after each of NUM_STEPS steps."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(0)

    def filled():
        model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=generator) + ("var" in name))
            else:
                value.fill_(7)
        return model

    return filled(), [filled() for _ in range(NUM_STEPS)]


def _floats(model) -> dict[str, np.ndarray]:
    items = model.state_dict().items()
    return {k: v.numpy().copy() for k, v in items if v.is_floating_point()}


def _by_torch(average, models) -> list[dict]:
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    averaged = AveragedModel(average, multi_avg_fn=get_ema_multi_avg_fn(DECAY), use_buffers=True)
    path = []
    for model in models:
        averaged.update_parameters(model)
        path.append(_floats(averaged.module))
    return path


def _formula(first, change):
    """Steps by a formula in NumPy, as a learner may have it wrong."""

    def path(average, models):
        state, found = _floats(average), []
        for number, model in enumerate(models):
            new = _floats(model)
            for name, value in new.items():
                if number == 0 and first:
                    state[name] = value
                else:
                    state[name] = change(name, state[name], value, number)
            found.append(dict(state))
        return found

    return path


def _mean(name, old, new, number):
    return DECAY * old + (1 - DECAY) * new


FAULTS = (
    (
        _formula(True, lambda name, old, new, n: (1 - DECAY) * old + DECAY * new),
        "decay is the share of the *old* average: decay · average + (1 − decay) · model.",
    ),
    (
        _formula(False, _mean),
        "The first update should copy the model: an average that starts from something else drags "
        "it along for 1 / (1 − decay) steps.",
    ),
    (
        _formula(True, lambda k, old, new, n: old if "running" in k else _mean(k, old, new, n)),
        "The running statistics of batch norm stayed behind. They are buffers, not parameters, "
        "and averaged weights with foreign statistics compute something else: go through "
        "state_dict().",
    ),
    (
        _formula(True, lambda k, old, new, n: new if "running" in k else _mean(k, old, new, n)),
        "The running statistics were copied, not averaged. AveragedModel does so by default; with "
        "use_buffers=True, as asked for here, they are averaged like the weights.",
    ),
    (
        _formula(True, lambda k, old, new, n: new),
        "The average is the model itself: the old average is missing.",
    ),
    (
        _formula(True, lambda k, old, new, n: old + (new - old) / (n + 1)),
        "This is the plain mean of all models so far; decay was not used.",
    ),
    (
        _formula(True, lambda k, old, new, n: old),
        "The average stays as the first model was: nothing is written into it. "
        "place = … only gives a new meaning to the name; place.copy_(…) writes.",
    ),
)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    average, models = _models()
    expected = _by_torch(average, models)
    faults = [(path(average, models), says) for path, says in FAULTS]
    mine = copy.deepcopy(average)
    held = list(mine.parameters())
    for number, model in enumerate(models):
        at = ("case", f"update {number + 1} of {NUM_STEPS}, decay={DECAY}, num_updates={number}")
        before = _floats(model)
        _, error = attempt_raw(answer, mine, model, DECAY, number)
        # torch itself raises a NotImplementedError, with words, for lerp of whole numbers
        if isinstance(error, NotImplementedError) and not str(error):
            return not_attempted()
        if error:
            return _error(error, at)
        if any(not np.array_equal(value, before[k]) for k, value in _floats(model).items()):
            cause = "Only the average changes. Do the two share a tensor?"
            return not_yet("Your function changed the model.", at, cause=cause)
        if any(a is not b for a, b in zip(held, mine.parameters(), strict=True)):
            cause = "Write into the tensors that are there, with copy_, mul_, add_ or lerp_."
            return not_yet("The average has new parameters.", at, cause=cause)
        if any(p.grad_fn is not None for p in mine.state_dict(keep_vars=True).values()):
            cause = "Wrap the update in torch.no_grad(): it is not part of any loss."
            return not_yet("A graph of all updates is kept.", at, cause=cause)
        if verdict := _compare(_floats(mine), expected, number, faults, at):
            return verdict
    return correct(f"Weights and statistics equal AveragedModel's over {NUM_STEPS} updates.")


def _compare(mine, expected, number, faults, at) -> Verdict | None:
    wrong = [k for k, v in expected[number].items() if not np.allclose(mine[k], v, atol=1e-5)]
    if not wrong:
        return None
    name = wrong[0]
    causes = [
        says
        for path, says in faults
        if all(np.allclose(mine[k], v, atol=1e-5) for k, v in path[number].items())
    ]
    cause = "average ← decay · average + (1 − decay) · model, for each tensor of the state."
    if number == 0:
        cause = "With num_updates=0 nothing has been averaged yet: copy the model."
    return not_yet(
        f"{len(wrong)} of {len(mine)} tensors differ from AveragedModel's.",
        at,
        ("wrong", ", ".join(wrong)),
        (f"expected {name}", f"{expected[number][name].ravel()[0]:.5f} in its first place"),
        ("got", f"{mine[name].ravel()[0]:.5f}"),
        cause=causes[0] if causes else cause,
    )


def _error(error, at) -> Verdict:
    from dataclasses import replace

    verdict, text = raised(error, at, attempted=True), str(error)
    known = {
        "leaf Variable that requires grad": "An update by hand is not to be recorded: "
        "with torch.no_grad():.",
        "can't be cast": "num_batches_tracked holds a whole number, and a fraction does not fit: "
        "copy what is not place.is_floating_point().",
        "not implemented for 'Long'": "num_batches_tracked holds a whole number: copy what is not "
        "place.is_floating_point().",
        "expected dtype": "num_batches_tracked holds a whole number: copy what is not "
        "place.is_floating_point().",
    }
    cause = next((says for part, says in known.items() if part in text), verdict.cause)
    return replace(verdict, cause=cause)


EXERCISE = Exercise(
    id="10.8",
    title="A running mean of the weights",
    objective="average weights and statistics of a network over its steps, as AveragedModel does",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "decay · average + (1 − decay) · model, for every tensor; the very first time, when "
        "num_updates is 0, a copy.",
        "average.state_dict() gives the tensors themselves, parameters and buffers: writing into "
        "them changes the module. Under torch.no_grad().",
        "place.mul_(decay).add_(value, alpha=1 − decay). num_batches_tracked is a whole number; "
        "copy it, place.copy_(value).",
    ),
    solution=update_average,
    examine=_examine,
)
