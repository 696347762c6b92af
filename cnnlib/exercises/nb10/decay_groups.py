"""Exercise 10.4, Who decays, and who does not."""

from cnnlib.exercises.compare import kind, show
from cnnlib.exercises.engine import unfit
from cnnlib.exercises.nb10.tensors import attempt_raw
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised


def decay_groups(model, weight_decay):
    decayed, spared = [], []
    for parameter in model.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 else spared).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]


def _models():
    """(what it is in words, a model), smallest first."""
    import torch
    from torch import nn

    yield "a Linear layer", nn.Linear(3, 2)
    yield (
        "Conv2d, BatchNorm2d, ReLU, Flatten, Linear",
        nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)
        ),
    )
    yield (
        "a GroupNorm and a LayerNorm within",
        nn.Sequential(
            nn.Conv2d(1, 4, 3, bias=False), nn.GroupNorm(2, 4), nn.Flatten(), nn.LayerNorm(4)
        ),
    )
    frozen = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1))
    frozen[0].requires_grad_(False)
    yield "the first of its layers frozen", frozen
    tied = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    tied[2].weight = tied[0].weight
    yield "two layers that share one weight", tied
    named = nn.Module()
    named.norm_conv, named.bias_net = nn.Conv2d(2, 2, 3), nn.Linear(4, 4, bias=False)
    named.scale = nn.Parameter(torch.ones(()))
    yield "parameters with misleading names, and a single number", named


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    for number, (says, model) in enumerate(_models()):
        got, error = attempt_raw(answer, model, 0.01)
        if isinstance(error, NotImplementedError) and number == 0:
            return not_attempted()
        at = ("case", f"{says}, weight_decay=0.01")
        if error:
            return raised(error, at, attempted=number > 0)
        if verdict := _look(got, model, at):
            return verdict
    return correct("Six models: norms, frozen layers, a shared weight, misleading names.")


def _look(got, model, at) -> Verdict | None:
    """The verdict on the groups for one model; None when they are right."""
    shape = "A list of two dictionaries, each with the keys params and weight_decay."
    if not isinstance(got, list | tuple) or not all(isinstance(g, dict) for g in got):
        cause = "Your function returned None: does it end in a return?" if got is None else shape
        return not_yet("A list of dictionaries is wanted.", at, ("got", kind(got)), cause=cause)
    for group in got:
        if not {"params", "weight_decay"} <= set(group):
            found = ", ".join(map(str, group)) or "none"
            return not_yet("A group lacks a key.", at, ("keys", found), cause=shape)
    lists = [(list(group["params"]), group["weight_decay"]) for group in got]
    if any(isinstance(p, tuple) for params, _ in lists for p in params):
        cause = "named_parameters gives pairs; put only the parameter into the list."
        return not_yet("params holds pairs of name and parameter.", at, cause=cause)
    names = {id(p): name for name, p in model.named_parameters()}
    rates: dict[str, list] = {}
    for params, rate in lists:
        for parameter in params:
            if id(parameter) not in names:
                cause = "params holds the model's own parameters, not copies or buffers."
                return not_yet("Something in params is no parameter.", at, cause=cause)
            rates.setdefault(names[id(parameter)], []).append(rate)
    for name, parameter in model.named_parameters():
        if verdict := _one(name, parameter, rates.get(name, []), at):
            return verdict
    return None


def _one(name, parameter, rates, at) -> Verdict | None:
    at = (at, ("parameter", f"{name} of shape {tuple(parameter.shape)}"))
    if len(rates) > 1:
        cause = "model.parameters() gives a shared weight once; named modules give it twice."
        return not_yet("A parameter is in the groups twice.", *at, cause=cause)
    if not parameter.requires_grad:
        cause = "It is frozen, requires_grad is False. Weight decay in some optimizers would move "
        cause += "even a parameter without a gradient of its own; leave it out."
        return not_yet("A frozen parameter is in a group.", *at, cause=cause) if rates else None
    if not rates:
        cause = "What is in no group is never trained. Is it a layer of a kind you did not list?"
        return not_yet("A parameter is in no group.", *at, cause=cause)
    wanted = 0.01 if parameter.ndim > 1 else 0.0
    if rates[0] == wanted:
        return None
    cause = "Kernels and matrices have two axes or more: they decay."
    if wanted == 0:
        cause = (
            "It has one axis or none: a bias, or the scale or level of a norm. Decay would pull a "
            "norm's scale towards 0, which makes nothing simpler."
        )
        if name.endswith("bias") or name.rpartition(".")[2] == "scale":
            cause = "It has one axis or none, as biases have: they do not decay."
    elif rates[0] == 0:
        cause += " Go by the number of axes, not by names."
    else:
        cause = "Use the weight_decay that is given."
    pair = ("expected", f"weight_decay {wanted}"), ("got", show(rates[0]))
    return not_yet("A parameter is in the wrong group.", *at, *pair, cause=cause)


EXERCISE = Exercise(
    id="10.4",
    title="Who decays, and who does not",
    objective="give an optimizer groups of parameters, with weight decay only where it makes sense",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "Kernels have four axes, matrices two; biases and the scales and levels of norms have one.",
        "Go through model.parameters(), which gives a shared weight only once. Leave out what has "
        "requires_grad False.",
        'Return [{"params": [...], "weight_decay": weight_decay}, {"params": [...], '
        '"weight_decay": 0.0}].',
    ),
    solution=decay_groups,
    examine=_examine,
)
