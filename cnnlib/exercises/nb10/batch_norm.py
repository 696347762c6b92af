"""Exercise 10.1, Batch norm from memory: the same steps for the learner's module and torch's."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnlib.exercises.compare import kind, show_pair
from cnnlib.exercises.nb10.batch_norm_faults import FAULTS, faulty
from cnnlib.exercises.nb10.tensors import attempt_raw
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised

TOLERANCE = 1e-6
STATE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Step:
    """One call of the module: what is special about it, in which mode, on images of which shape."""

    note: str
    shape: tuple[int, int, int, int] = (3, 2, 2, 3)
    training: bool = True
    grad: bool = True  # under no_grad when False


@dataclass(frozen=True)
class Scenario:
    """A module with these settings, and some steps in a row."""

    says: str
    settings: dict
    steps: tuple[Step, ...]
    loads: bool = False  # the state of a layer that has been used before


TRAIN, EVAL = Step("in training"), Step("in eval mode", training=False)
SCENARIOS = (
    Scenario("one batch in training", {}, (TRAIN,)),
    Scenario(
        "in training, but under torch.no_grad()",
        {},
        (Step("in training, under no_grad", grad=False),),
    ),
    Scenario("a batch in eval mode, fresh", {}, (EVAL,)),
    Scenario("two batches in training", {}, (TRAIN, Step("the second batch in training"))),
    Scenario("two batches in training, then one in eval mode", {}, (TRAIN, TRAIN, EVAL)),
    Scenario("momentum=0.4, eps=0.5", {"momentum": 0.4, "eps": 0.5}, (TRAIN, TRAIN, EVAL)),
    Scenario("eval mode, with gradients", {}, (TRAIN, EVAL, Step("in training again"))),
    Scenario("momentum=None", {"momentum": None}, (TRAIN, TRAIN, TRAIN, EVAL)),
    Scenario("the state of a used nn.BatchNorm2d, loaded", {}, (EVAL, TRAIN, EVAL), loads=True),
    Scenario(
        "loaded, momentum=None",
        {"momentum": None},
        (TRAIN, EVAL),
        loads=True,
    ),
    Scenario(
        "batches of other shapes",
        {},
        (Step("(1, 2, 4, 5)", (1, 2, 4, 5)), Step("(7, 2, 1, 1)", (7, 2, 1, 1)), EVAL),
    ),
)


def follow(module, scenario: Scenario):
    """What each step gives: output, gradients and state, as arrays; or the exception that came."""
    import torch

    generator = torch.Generator().manual_seed(SCENARIOS.index(scenario))
    path = []
    for step in scenario.steps:
        images = torch.randint(-4, 9, step.shape, generator=generator).double()
        grad_out = torch.randint(-3, 6, step.shape, generator=generator).double()
        module.train(step.training)
        module.zero_grad()
        given = images.clone().requires_grad_(step.grad)
        with torch.set_grad_enabled(step.grad):
            output, error = attempt_raw(module, given)
        if error:
            return path, error
        found = {"output": _array(output)}
        if step.grad and isinstance(output, torch.Tensor) and output.shape == grad_out.shape:
            _, error = attempt_raw(output.backward, grad_out)
            if error:
                return path, error
            found["gradient of the images"] = _array(given.grad)
            for name in ("weight", "bias"):
                found[f"gradient of the {name}"] = _array(getattr(module, name).grad)
        found |= _state(module)
        if not torch.equal(given.detach(), images):
            found["output"] = "changed"
        path.append(found)
    return path, None


def _array(value):
    import torch

    return value.detach().double().numpy().copy() if isinstance(value, torch.Tensor) else value


def _state(module) -> dict:
    return {name: _array(value) for name, value in module.state_dict().items()}


def _used_state(num_features=2):
    """The state_dict of an nn.BatchNorm2d that has seen some batches, in float64."""
    import torch

    generator = torch.Generator().manual_seed(99)
    module = torch.nn.BatchNorm2d(num_features).double()
    with torch.no_grad():
        module.weight.copy_(torch.tensor([1.5, -0.5]))
        module.bias.copy_(torch.tensor([0.25, 3.0]))
    for _ in range(4):
        module(torch.randint(-4, 9, (2, 2, 3, 3), generator=generator).double())
    return module.state_dict()


def made(make, scenario: Scenario):
    """A module in float64 with the scenario's settings and state."""
    module = make(2, **scenario.settings).double()
    if scenario.loads:
        module.load_state_dict(_used_state())
    return module


def _examine(answer) -> Verdict:
    import torch

    if answer is None or answer is Ellipsis:
        return not_attempted()
    if not isinstance(answer, type):
        if not callable(answer):
            cause = "check gets the name of the class alone, without parentheses."
            return not_yet(f"Pass the class itself to check, not {kind(answer)}.", cause=cause)
        _, error = attempt_raw(answer, 2)
        if error:
            return raised(error)
    if problem := _construction(answer, torch):
        return problem
    for number, scenario in enumerate(SCENARIOS):
        module, error = attempt_raw(made, answer, scenario)
        if error:
            return raised(error, ("case", scenario.says), attempted=True)
        path, error = follow(module, scenario)
        expected, _ = follow(made(torch.nn.BatchNorm2d, scenario), scenario)
        for place, (mine, wanted) in enumerate(zip(path, expected, strict=False)):
            if verdict := _compare(mine, wanted, scenario, place, path):
                return verdict
        if isinstance(error, NotImplementedError) and number == 0 and not path:
            return not_attempted()
        if error:
            note = f"{scenario.says}, call {len(path) + 1}: {scenario.steps[len(path)].note}"
            return raised(error, ("case", note), attempted=True)
    return correct(
        f"Outputs, gradients and state equal nn.BatchNorm2d's in {len(SCENARIOS)} scenarios, "
        "momentum=None, no_grad and a loaded state among them."
    )


def _construction(answer, torch) -> Verdict | None:
    module, error = attempt_raw(answer, 3)
    if isinstance(error, NotImplementedError):
        return not_attempted()
    if error:
        return raised(error, ("case", "BatchNorm(3)"))
    if not isinstance(module, torch.nn.Module):
        cause = "class BatchNorm(nn.Module), with super().__init__() as the first line of __init__."
        return not_yet("Your class is no nn.Module.", ("got", kind(module)), cause=cause)
    theirs = torch.nn.BatchNorm2d(3)
    found, wanted = (list(m.state_dict()) for m in (module, theirs))
    if sorted(found) != sorted(wanted):
        missing = [name for name in wanted if name not in found]
        held = [n for n in missing if isinstance(getattr(module, n, None), torch.Tensor)]
        cause = "weight and bias are nn.Parameter; the statistics belong to register_buffer."
        if held:
            cause = (
                f"{', '.join(held)} is a plain attribute: it would not be saved, nor moved to a "
                "GPU. self.register_buffer(name, tensor) makes it part of the module."
            )
        return not_yet(
            "state_dict has other keys than nn.BatchNorm2d's.",
            ("expected", ", ".join(wanted)),
            ("got", ", ".join(found) or "none"),
            cause=cause,
        )
    parameters = {name for name, _ in module.named_parameters()}
    if parameters != {"weight", "bias"}:
        extra = sorted(parameters - {"weight", "bias"})
        cause = "An optimizer would train them." if extra else "nn.Parameter makes them trainable."
        which = ", ".join(extra) if extra else ", ".join(sorted({"weight", "bias"} - parameters))
        word = "should be buffers" if extra else "should be parameters"
        return not_yet(f"{which} {word}.", cause=cause)
    for name in STATE:
        mine, right = module.state_dict()[name], theirs.state_dict()[name]
        if mine.shape != right.shape or not torch.equal(mine.double(), right.double()):
            pair = show_pair(right.numpy(), mine.detach().numpy())
            return not_yet(
                f"{name} of BatchNorm(3) begins with other values.",
                ("expected", pair[0]),
                ("got", pair[1]),
                cause="Begin with weight 1, bias 0, running mean 0, running variance 1, 0 batches.",
            )
    return None


def _compare(mine, wanted, scenario, place, path) -> Verdict | None:
    """The verdict on one step; None when all agrees."""
    wrong = [name for name, value in wanted.items() if not _near(mine.get(name), value)]
    if not wrong:
        return None
    step, name = scenario.steps[place], wrong[0]
    details = [("case", f"{scenario.says}; call {place + 1}, {step.note}, images {step.shape}")]
    cause = _known(scenario, path[: place + 1])
    if isinstance(mine.get("output"), str):
        cause = cause or "Your module wrote into the images; make a new tensor."
        return not_yet("The images were changed.", *details, cause=cause)
    details.append(("wrong", ", ".join(wrong)))
    got = mine.get(name)
    if isinstance(got, np.ndarray) and got.shape == wanted[name].shape:
        pair = show_pair(wanted[name].ravel()[:6], got.ravel()[:6])
        details += [(f"expected {name}", pair[0]), ("got", pair[1])]
    else:
        found = f"shape {got.shape}" if isinstance(got, np.ndarray) else kind(got)
        details += [(f"expected {name}", f"shape {wanted[name].shape}"), ("got", found)]
    return not_yet(
        f"{name[0].upper()}{name[1:]} differs from nn.BatchNorm2d's.",
        *details,
        cause=cause or _hint(wrong, step),
    )


def _near(got, wanted) -> bool:
    if not isinstance(got, np.ndarray) or got.shape != wanted.shape:
        return False
    return bool(np.all(np.abs(got - wanted) <= TOLERANCE * (1 + np.abs(wanted))))


def _hint(wrong: list[str], step: Step) -> str:
    """Where to look when no known mistake gives these numbers."""
    if "output" in wrong:
        which = "the batch's own mean and biased variance" if step.training else "the running ones"
        return f"Look at what normalises: {which}, √(var + eps), then times weight plus bias."
    if any(name.startswith("gradient") for name in wrong):
        return "The output is right: something is detached, or computed outside of torch."
    return "Output and gradients are right: look at how the running statistics are moved."


def _known(scenario: Scenario, path: list[dict]) -> str:
    """The mistake that gives just these numbers, up to and with the last step."""
    for change, says in FAULTS:
        module, error = attempt_raw(made, faulty(change), scenario)
        if error:
            continue
        theirs, _ = follow(module, scenario)
        if len(theirs) >= len(path) and all(
            all(_near(m.get(k), v) for k, v in t.items() if isinstance(v, np.ndarray))
            for m, t in zip(path, theirs, strict=False)
        ):
            return says
    return ""


EXERCISE = Exercise(
    id="10.1",
    title="Batch norm from memory",
    objective="write batch norm as a module that can take the place of nn.BatchNorm2d anywhere",
    level=3,
    minutes=40,
    points=6,
    hints=(
        "Two parameters, weight and bias, and three buffers: running_mean, running_var, "
        "num_batches_tracked (a whole number). self.register_buffer(name, tensor) makes a buffer.",
        "In training normalise with the batch's mean and var(correction=0); move the buffers with "
        "mean.detach() and the variance times n / (n − 1), where n counts N · H · W. Otherwise "
        "use the buffers and move nothing. What decides is self.training.",
        "running += share · (new − running), share = momentum; with momentum None the share is "
        "1 / num_batches_tracked, counted up before, which makes it the mean of all batches.",
    ),
    solution=(Path(__file__).parent / "batch_norm_solution.py").read_text(),
    examine=_examine,
)
