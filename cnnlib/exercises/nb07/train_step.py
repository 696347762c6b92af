"""Exercise 07.7, A whole network's step."""

import numpy as np

from cnnlib import ops
from cnnlib.exercises.compare import as_numpy, kind, show, show_pair
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.nb07.train_step_faults import MISCONCEPTIONS
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_yet, raised


def train_step(parameters, velocity, images, labels, lr, momentum):
    # Forward. Each stage keeps what its backward pass needs.
    maps = ops.conv2d(images, parameters["0.weight"], parameters["0.bias"], padding=1)
    active = ops.relu(maps)
    pooled = ops.max_pool2d(active, 2)
    features = pooled.reshape(len(images), -1)
    logits = ops.linear(features, parameters["4.weight"], parameters["4.bias"])
    loss = ops.softmax_cross_entropy(logits, labels)
    # Backward, in the opposite order.
    grads = {}
    grad = ops.softmax_cross_entropy_backward(1.0, logits, labels)
    grad, grads["4.weight"], grads["4.bias"] = ops.linear_backward(
        grad, features, parameters["4.weight"]
    )
    grad = ops.max_pool2d_backward(grad.reshape(pooled.shape), active, 2)
    grad = ops.relu_backward(grad, maps)
    _, grads["0.weight"], grads["0.bias"] = ops.conv2d_backward(
        grad, images, parameters["0.weight"], padding=1
    )
    # The step.
    for name, parameter in parameters.items():
        velocity[name] *= momentum
        velocity[name] += grads[name]
        parameter -= lr * velocity[name]
    return float(loss)


NUM_STEPS = 20
TOLERANCE = 1e-9
LOSS_DIFFERS = "The loss differs."
_SHAPES = ((2, 1, 6, 6), 2), ((5, 3, 8, 6), 4)  # images, kernels


def _problem(place: int) -> tuple:
    """Start values, and NUM_STEPS batches, of one of the two problems."""
    (N, C, H, W), O = _SHAPES[place]
    rng = np.random.default_rng(70 + place)
    parameters = {
        "0.weight": rng.normal(size=(O, C, 3, 3)) * np.sqrt(2 / (9 * C)),
        "0.bias": rng.normal(size=O) * 0.1,
        "4.weight": rng.normal(size=(4, O * (H // 2) * (W // 2))) * 0.2,
        "4.bias": rng.normal(size=4) * 0.1,
    }
    batches = [
        (rng.normal(size=(N, C, H, W)), rng.integers(0, 4, size=N)) for _ in range(NUM_STEPS)
    ]
    return parameters, batches


def _by_torch(parameters, batches, lr, momentum) -> list[tuple[float, dict]]:
    """The loss of each step, and the parameters after it."""
    import torch
    from torch import nn

    O, C = parameters["0.weight"].shape[:2]
    model = nn.Sequential(
        nn.Conv2d(C, O, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(parameters["4.weight"].shape[1], 4),
    ).double()
    model.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in parameters.items()})
    velocity, path = dict.fromkeys(parameters, 0.0), []
    for images, labels in batches:
        logits = model(torch.from_numpy(images))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels))
        model.zero_grad()
        loss.backward()
        with torch.no_grad():  # torch's optimizers would take seconds to be imported
            for name, tensor in model.named_parameters():
                velocity[name] = momentum * velocity[name] + tensor.grad
                tensor -= lr * velocity[name]
        after = {k: v.numpy().copy() for k, v in model.state_dict().items()}
        path.append((float(loss.detach()), after))
    return path


def _follow(answer, parameters, batches, lr, momentum) -> tuple[list, object]:
    """The learner's path, and the exception or word for what ended it early."""
    parameters = {name: array.copy() for name, array in parameters.items()}
    velocity = {name: np.zeros_like(array) for name, array in parameters.items()}
    originals, path = dict(parameters), []
    for images, labels in batches:
        given = images.copy(), labels.copy()
        got, error = attempt(answer, (parameters, velocity, *given, lr, momentum))
        if error is not None:
            return path, error
        if not (np.array_equal(given[0], images) and np.array_equal(given[1], labels)):
            return path, "input"
        if any(parameters.get(name) is not array for name, array in originals.items()):
            return path, "replaced"
        if isinstance(got, int) and got.bit_length() > 1000:  # more than a float can hold
            got = np.inf
        path.append((as_numpy(got), {name: array.copy() for name, array in parameters.items()}))
    return path, ""


_FAULTS = {
    "input": ("Your function changed the batch.", "Something works in place on images or labels."),
    "replaced": (
        "The dictionary holds a new array where a parameter was.",
        "Change the arrays themselves: parameter -= … in place of parameters[name] = ….",
    ),
}


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    settings = {"lr": 0.1, "momentum": 0.9}
    for place, (shape, _) in enumerate(_SHAPES):
        parameters, batches = _problem(place)
        path, fault = _follow(answer, parameters, batches, **settings)
        expected = _by_torch(parameters, batches, **settings)
        for number, (got, wanted) in enumerate(zip(path, expected, strict=False)):
            at = ("case", f"batch {shape}, step {number + 1} of {NUM_STEPS}, lr=0.1, momentum=0.9")
            if problem := _wrong(got, wanted, parameters, number, at):
                headline, details, cause = problem
                loss_only = headline == LOSS_DIFFERS
                known = _known_cause(path, number, parameters, batches, settings, loss_only)
                return not_yet(headline, at, *details, cause=known or cause)
        at = ("case", f"batch {shape}, step {len(path) + 1} of {NUM_STEPS}")
        if isinstance(fault, BaseException):
            return raised(fault, at, attempted=place > 0 or bool(path))
        if fault:
            headline, cause = _FAULTS[fault]
            return not_yet(headline, at, cause=cause)
    return correct(
        f"Losses and all parameters equal torch's over {NUM_STEPS} steps, for two shapes."
    )


def _wrong(got, wanted, before, number, at) -> tuple | None:
    """Headline, details and cause of what differs after one step; None when all agrees."""
    (loss, mine), (right_loss, theirs) = got, wanted
    if not isinstance(loss, float | int | np.floating | np.ndarray) or np.size(loss) != 1:
        cause = "Your function returned None: end it in return loss." if loss is None else ""
        cause = cause or f"A number is wanted; this is {kind(loss)}."
        return "The step should return the loss of its batch.", (("got", show(loss)),), cause
    loss = float(np.asarray(loss).item()) if np.asarray(loss).dtype.kind in "fiu" else np.nan
    if not abs(loss - right_loss) <= TOLERANCE * (1 + abs(right_loss)):
        pair = show_pair(right_loss, loss)
        cause = "The forward pass differs: convolution with padding 1, ReLU, maximum over 2 × 2, "
        cause += "rows of features, the linear layer; then the mean loss of the batch."
        return LOSS_DIFFERS, (("expected", pair[0]), ("got", pair[1])), cause
    wrong = [
        name for name, value in theirs.items()
        if not np.all(np.abs(mine[name] - value) <= TOLERANCE * (1 + np.abs(value)))
    ]  # fmt: skip
    if not wrong:
        return None
    right = [name for name in theirs if name not in wrong]
    details = [("wrong", ", ".join(wrong)), ("right", ", ".join(right) or "none")]
    name = wrong[0]
    if number == 0 and np.array_equal(mine[name], before[name]):
        details.append(("got", f"{name} has not moved"))
    return "The loss is right, the parameters after the step are not.", details, _where(wrong)


def _where(wrong: list[str]) -> str:
    """Which part of the backward pass the wrong parameters point to."""
    if any(name.startswith("4") for name in wrong):
        return (
            "The last layer is the first on the way back: look at the gradient of the loss, at "
            "linear_backward, and at the step itself."
        )
    return (
        "The linear layer is right and the convolution is not, so the fault lies between them on "
        "the way back: the pooling, the ReLU, or the convolution."
    )


def _known_cause(path, number, parameters, batches, settings, loss_only) -> str:
    """The misconception that comes to the same loss, or also to the same parameters."""
    for misconception in MISCONCEPTIONS:
        theirs, _ = _follow(misconception.wrong, parameters, batches[: number + 1], **settings)
        if len(theirs) == number + 1 and _same(path[number], theirs[number], loss_only):
            return misconception.says
    return ""


def _same(mine: tuple, theirs: tuple, loss_only: bool) -> bool:
    """Whether the losses, and all parameters, of two answers are equal after a step."""
    pairs = [(mine[0], theirs[0])]
    if not loss_only:
        pairs += [(mine[1][name], theirs[1][name]) for name in theirs[1]]
    try:
        return all(np.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in pairs)
    except (TypeError, ValueError):
        return False


EXERCISE = Exercise(
    id="07.7",
    title="A whole network's step",
    objective="write forward, backward and step of a small CNN from single operations",
    level=3,
    minutes=35,
    points=5,
    hints=(
        "Forward first, and give every result a name: each backward function asks for what its "
        "forward twin was given. Compare the loss; the checker does that before all else.",
        "Backward runs in the opposite order: softmax_cross_entropy, linear, a reshape to the "
        "pooled maps' shape, the pooling, the ReLU, the convolution with the same padding.",
        "All gradients first, then the step for all four parameters: velocity *= momentum, "
        "velocity += gradient, parameter -= lr * velocity, each in place.",
    ),
    solution=train_step,
    examine=_examine,
)
