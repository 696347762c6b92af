"""Exercise 12.4's oracle: SGD by hand on given batches, and the ways in which it goes wrong."""

from dataclasses import dataclass, replace

from cnnlib.exercises.nb12.killed_runs import Log, Problem, images_and_labels, network


@dataclass(frozen=True)
class Recipe:
    """What a step is made of; each field is one thing that may go wrong."""

    momentum: float = 0.9
    dampening: float = 0.0
    nesterov: bool = False
    decay: float = 0.0
    rate: str = "falling"
    reduction: str = "mean"
    zero: bool = True
    labels: str = "with the images"
    softmax: bool = False


RATES = {
    "falling": lambda epoch, num_epochs: 0.1 * (1 - epoch / num_epochs),
    "constant": lambda epoch, num_epochs: 0.1,
    "one late": lambda epoch, num_epochs: 0.1 * (1 - max(epoch - 1, 0) / num_epochs),
    "one early": lambda epoch, num_epochs: 0.1 * (1 - (epoch + 1) / num_epochs),
    "to zero": lambda epoch, num_epochs: 0.1 * (1 - epoch / max(num_epochs - 1, 1)),
    "product": lambda epoch, num_epochs: _product(epoch, num_epochs),
    "upwards": lambda epoch, num_epochs: 0.1 * epoch / num_epochs,
}

FAULTS = (
    ({"rate": "constant"}, "The learning rate stays 0.1; it should fall: "
     "0.1 · (1 − epoch / num_epochs), set in optimizer.param_groups[0][\"lr\"]."),
    ({"rate": "one early"}, "The learning rate is one epoch ahead: epoch counts from 0, so the "
     "first one has 0.1."),
    ({"rate": "one late"}, "The learning rate is one epoch behind: set it before the epoch."),
    ({"rate": "to zero"}, "The learning rate falls to 0 in the last epoch; divide by num_epochs, "
     "not by num_epochs − 1."),
    ({"rate": "product"}, "The factors pile up: each epoch multiplies the rate that is left. "
     "Compute it from 0.1 each time."),
    ({"rate": "upwards"}, "The learning rate grows from 0; it should fall from 0.1."),
    ({"momentum": 0.0}, "The momentum is missing: momentum=0.9. (A new optimizer in every epoch "
     "has none, either.)"),
    ({"dampening": 0.9}, "Dampened momentum, 0.1 of the gradient; torch.optim.SGD takes all of "
     "it."),
    ({"nesterov": True}, "This is Nesterov's momentum; the plain one was asked for."),
    ({"decay": 1e-2}, "There is weight decay; none was asked for."),
    ({"decay": 5e-4}, "There is weight decay; none was asked for."),
    ({"decay": 1e-4}, "There is weight decay; none was asked for."),
    ({"reduction": "sum"}, "The loss is summed over the batch; its mean was asked for."),
    ({"zero": False}, "The gradients add up from batch to batch: optimizer.zero_grad() belongs "
     "before each backward."),
    ({"labels": "as they lie"}, "The labels do not follow the images: pick both by the same "
     "index."),
    ({"softmax": True}, "There is a softmax before cross_entropy, which does it itself."),
)  # fmt: skip


def _product(epoch: int, num_epochs: int) -> float:
    rate = 0.1
    for k in range(epoch + 1):
        rate *= 1 - k / num_epochs
    return rate


def follow(problem: Problem, batches: list[tuple[int, ...]], recipe: Recipe = Recipe()) -> dict:
    """The parameters after SGD by hand on these batches."""
    import torch
    import torch.nn.functional as F

    model = network(problem.kind, 100)
    images, labels = images_and_labels(problem.num_images)
    parameters = list(model.parameters())
    velocity: list = [None] * len(parameters)
    sums = [torch.zeros_like(p) for p in parameters]
    for number, index in enumerate(batches):
        rate = RATES[recipe.rate](number // problem.num_batches, problem.num_epochs)
        start = number % problem.num_batches * 32
        where = list(index) if recipe.labels == "with the images" else slice(start, start + 32)
        logits = model(images[list(index)])
        logits = logits.softmax(dim=1) if recipe.softmax else logits
        loss = F.cross_entropy(logits, labels[where][: len(logits)], reduction=recipe.reduction)
        grads = torch.autograd.grad(loss, parameters)
        sums = grads if recipe.zero else [s + g for s, g in zip(sums, grads, strict=True)]
        with torch.no_grad():
            for k, (parameter, grad) in enumerate(zip(parameters, sums, strict=True)):
                grad = grad + recipe.decay * parameter
                old = velocity[k]
                share = 1 - recipe.dampening
                velocity[k] = grad if old is None else recipe.momentum * old + share * grad
                step = grad + recipe.momentum * velocity[k] if recipe.nesterov else velocity[k]
                parameter -= rate * step
    return {name: value.detach() for name, value in model.named_parameters()}


def near(state: dict, wanted: dict) -> bool:
    import torch

    return all(torch.allclose(state[n].double(), v, rtol=1e-7, atol=1e-10)
               for n, v in wanted.items())  # fmt: skip


def cause_of_training(problem: Problem, log: Log) -> str:
    """What is wrong with an uninterrupted run; empty when its weights are the reference's."""
    batches = [numbers for numbers, _ in log.passes]
    if near(log.state, follow(problem, batches)):
        return ""
    if near(log.state, {name: log.began[name] for name in follow(problem, [])}):
        return (
            "The weights have not moved. Is optimizer.step() there, after backward, and no "
            "zero_grad between the two?"
        )
    for change, says in FAULTS:
        if near(log.state, follow(problem, batches, replace(Recipe(), **change))):
            return says
    return (
        "SGD with momentum 0.9, learning rate 0.1 · (1 − epoch / num_epochs), mean cross-entropy; "
        "zero_grad, backward and step once for each batch."
    )


def cause_of_step(problem: Problem, whole: Log, resumed: Log, done: int, at: int) -> str:
    """Why step `at` after a resume differs though the weights before it did not.

    The step of SGD is −lr · (0.9 · velocity + gradient); both parts are known from the run that
    was not interrupted, so the two factors of the learner's step can be solved for.
    """
    import torch

    def flat(state):
        names = [name for name, _ in network(problem.kind, 100).named_parameters()]
        return torch.cat([state[name].flatten() for name in names])

    k = done * problem.num_batches + at
    rates = [RATES["falling"](j // problem.num_batches, problem.num_epochs) for j in (k - 1, k)]
    before, here, after = (flat(whole.states[j]) for j in (k - 1, k, k + 1))
    carried = 0.9 * (here - before) / rates[0]
    own = (after - here) / rates[1] - carried
    step = flat(resumed.states[at + 1]) - here
    pair = torch.stack([carried, own], dim=1)
    old, new = torch.linalg.lstsq(pair, step[:, None]).solution[:, 0].tolist()
    if not torch.allclose(pair @ torch.tensor([old, new]).double(), step, rtol=1e-6, atol=1e-9):
        return ""
    if abs(old) < 1e-6 * abs(new):
        return (
            "The momentum is lost: the first step after the resume uses the gradient alone. "
            "optimizer.state_dict() holds the velocities; save it, and load it."
        )
    return (
        f"The learning rate is {new:.4g} in an epoch where it should be {rates[1]:.4g}. It "
        "depends on the number of the epoch since the beginning of all training, and loading an "
        "optimizer's state brings back the rate of another epoch: set it anew in each."
    )
