"""Exercise 10.9, New light, old weights."""

import copy

import numpy as np

from cnnlib.exercises.compare import show_pair
from cnnlib.exercises.engine import unfit
from cnnlib.exercises.nb10.tensors import attempt_raw
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised


def adapt_batch_norm(model, batches):
    import torch
    from torch import nn

    modes = {module: module.training for module in model.modules()}
    norms = [module for module in modes if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
        norm.train()
    try:
        with torch.no_grad():
            for images in batches:
                model(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training


def _models():
    """(what it is in words, a model), smallest first."""
    import torch
    from torch import nn

    def filled(model, seed):
        generator = torch.Generator().manual_seed(seed)
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=generator) / 2 + ("var" in name))
                if "var" in name:
                    value.abs_()
            else:
                value.fill_(7)  # batches that were seen before
        return model.eval()

    yield "one BatchNorm2d", filled(nn.Sequential(nn.BatchNorm2d(2)), 0)
    yield (
        "two layers of batch norm, momenta 0.1 and 0.3, found in training",
        filled(
            nn.Sequential(
                nn.Conv2d(2, 3, 3),
                nn.BatchNorm2d(3),
                nn.ReLU(),
                nn.Conv2d(3, 2, 1),
                nn.BatchNorm2d(2, momentum=0.3),
            ),
            1,
        ).train(),
    )
    dropping = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.Dropout(0.5), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 5)
    )
    dropping.append(nn.BatchNorm1d(5))
    yield "dropout before batch norm, and a BatchNorm1d", filled(dropping, 2)
    frozen = filled(nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)), 3)
    frozen[0].requires_grad_(False)
    frozen[2].train()
    yield "some layers frozen, one left in training", frozen


def _batches():
    import torch

    generator = torch.Generator().manual_seed(9)
    return [torch.randn(n, 2, 5, 5, generator=generator) * 2 + 3 for n in (4, 6, 3)]


def _by_torch(model, batches):
    """torch's own update_bn on a copy without dropout."""
    from torch.optim.swa_utils import update_bn

    for module in model.modules():
        if "Dropout" in type(module).__name__:
            module.p = 0.0
    update_bn(batches, model)


def _plain(reset=True, momentum=None, train="norms", batches=lambda b: b, layers=None):
    """An adaptation on a copy; each argument is one thing that may go wrong."""

    def adapt(model, images):
        import torch

        norms = [m for m in model.modules() if "BatchNorm" in type(m).__name__]
        norms = norms if layers is None else [m for m in norms if type(m).__name__ == layers]
        model.eval()
        if train == "all":
            model.train()
        for norm in norms:
            if reset:
                norm.reset_running_stats()
            if momentum != "own":
                norm.momentum = momentum
            norm.train(train != "none")
        with torch.no_grad():
            for some in batches(images):
                model(some)

    return adapt


def _all_at_once(images):
    import torch

    return [torch.cat(list(images))]


FAULTS = (
    (
        _plain(train="none", reset=False),
        "The statistics are the old ones: in eval mode nothing moves. The batch norm layers, and "
        "only they, have to be in training.",
    ),
    (
        _plain(train="none"),
        "The statistics were reset and then nothing moved them: the layers of batch norm have to "
        "be in training while the images go through.",
    ),
    (
        _plain(reset=False, momentum="own"),
        "The old statistics were moved a little by each batch, so most of the old light is "
        "still in them. Reset first, and set momentum to None: the mean of all batches.",
    ),
    (
        _plain(momentum="own"),
        "A running mean with the layer's momentum began at 0 and 1 and has not arrived yet. "
        "With momentum None it is the mean of all batches.",
    ),
    (
        _plain(reset=False),
        "Without reset_running_stats() the count of batches goes on from before, and the old "
        "statistics stay in the mean.",
    ),
    (
        _plain(batches=lambda images: images[-1:]),
        "Only the last batch counts; the statistics should be the mean over all of them.",
    ),
    (
        _plain(batches=lambda images: images[:1]),
        "Only the first batch counts; the statistics should be the mean over all of them.",
    ),
    (_plain(batches=_all_at_once), "The batches were joined; take the mean of theirs, one by one."),
    (
        _plain(layers="BatchNorm2d"),
        "A BatchNorm1d was overlooked; nn.modules.batchnorm._BatchNorm is what they have in "
        "common.",
    ),
)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    import torch

    for number, (says, model) in enumerate(_models()):
        mine, oracle = copy.deepcopy(model), copy.deepcopy(model)
        modes, settings = _modes(mine), _settings(mine)
        state, at = torch.get_rng_state(), ("case", says)
        torch.manual_seed(0)
        _, error = attempt_raw(answer, mine, _batches())
        torch.set_rng_state(state)
        if isinstance(error, NotImplementedError) and number == 0:
            return not_attempted()
        if error:
            return raised(error, at, attempted=number > 0)
        _by_torch(oracle, _batches())
        if verdict := _statistics(mine, oracle, model, at):
            return verdict
        if verdict := _left_alone(mine, model, modes, settings, at):
            return verdict
    return correct("Four networks: statistics equal update_bn's, and all else is as it was.")


def _modes(model) -> list[bool]:
    return [module.training for module in model.modules()]


def _settings(model) -> list:
    return [getattr(module, "momentum", None) for module in model.modules()]


def _values(model, part: str) -> dict[str, np.ndarray]:
    return {k: v.numpy().copy() for k, v in model.state_dict().items() if part in k}


def _statistics(mine, oracle, model, at) -> Verdict | None:
    got, wanted = _values(mine, "running"), _values(oracle, "running")
    wrong = [k for k, v in wanted.items() if not np.allclose(got[k], v, rtol=1e-4, atol=1e-5)]
    if not wrong:
        return None
    cause = "Statistics of each batch as it comes through the network, averaged over the batches."
    if any("Dropout" in type(m).__name__ for m in model.modules()):
        cause = (
            "Dropout was on: model.train() wakes it up, and the statistics are those of images "
            "with holes. model.eval() first, then .train() on the layers of batch norm alone."
        )
    for fault, says in FAULTS:
        other = copy.deepcopy(model)
        fault(other, _batches())
        if all(
            np.allclose(got[k], v, rtol=1e-4, atol=1e-5)
            for k, v in _values(other, "running").items()
        ):
            cause = says
            break
    pair = show_pair(wanted[wrong[0]], got[wrong[0]])
    return not_yet(
        f"{', '.join(wrong)} should be other numbers.",
        at,
        (f"expected {wrong[0]}", pair[0]),
        ("got", pair[1]),
        cause=cause,
    )


def _left_alone(mine, model, modes, settings, at) -> Verdict | None:
    """Everything but the statistics should be as it was before."""
    before = {k: v for k, v in model.state_dict().items() if "running" not in k}
    after = mine.state_dict()
    moved = [k for k, v in before.items() if "tracked" not in k and not np.array_equal(after[k], v)]
    if moved:
        cause = "No labels, no loss, no step: only the statistics are estimated anew."
        return not_yet(f"{', '.join(moved)} changed.", at, cause=cause)
    if any(p.grad is not None for p in mine.parameters()):
        return not_yet("Gradients were computed.", at, cause="Nothing here needs a backward pass.")
    if [p.requires_grad for p in mine.parameters()] != [
        p.requires_grad for p in model.parameters()
    ]:
        cause = "Use torch.no_grad() for the passes in place of requires_grad_."
        return not_yet("Parameters were frozen or thawed.", at, cause=cause)
    if _settings(mine) != settings:
        cause = "Note each layer's momentum before you set it to None, and put it back."
        return not_yet("A layer's momentum is no longer what it was.", at, cause=cause)
    if _modes(mine) != modes:
        cause = "Note module.training of every module, and put each back: model.eval() or "
        cause += "model.train() at the end treats all alike."
        return not_yet("A module is in another mode than before.", at, cause=cause)
    return None


EXERCISE = Exercise(
    id="10.9",
    title="New light, old weights",
    objective="adapt a trained network to images of another kind by its statistics alone",
    level=3,
    minutes=25,
    points=5,
    hints=(
        "Which mode must batch norm be in for its statistics to move? Which mode must everything "
        "else be in?",
        "model.eval(), then for each layer of batch norm: reset_running_stats(), momentum = None, "
        "train(). Then every batch through the model, under torch.no_grad().",
        "Before: note {module: module.training for module in model.modules()} and each momentum. "
        "After: put them back. isinstance(module, nn.modules.batchnorm._BatchNorm) finds the "
        "layers.",
    ),
    solution=adapt_batch_norm,
    examine=_examine,
)
