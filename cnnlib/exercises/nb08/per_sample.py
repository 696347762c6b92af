"""Exercise 08.8, Every image's own gradient."""

import numpy as np

from cnnlib.exercises.compare import kind
from cnnlib.exercises.engine import attempt, examine_function
from cnnlib.exercises.nb08.cases import Said, adapted, network, on_tensors
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict, correct, not_yet


def per_sample_gradients(model, loss_function, images, labels):
    import torch

    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss_of_one(parameters, image, label):
        logits = torch.func.functional_call(model, parameters, (image[None],))
        return loss_function(logits, label[None])

    gradient = torch.func.grad(loss_of_one)
    gradients = torch.func.vmap(gradient, in_dims=(None, 0, 0))(parameters, images, labels)
    return list(gradients.values())


def _cases():
    from torch import nn

    rng = np.random.default_rng(89)
    cross_entropy = Said(nn.functional.cross_entropy, "cross_entropy")
    squares = Said(lambda out, wanted: ((out - wanted) ** 2).mean(), "mean squared error")

    def numbers(*shape):
        return rng.normal(size=shape)

    one = network("Linear(2, 1)", nn.Linear(2, 1))
    yield Case((one, squares, numbers(1, 2), numbers(1, 1)), {}, "one image")
    yield Case((one, squares, numbers(3, 2), numbers(3, 1)), {}, "three images")
    two = network("Linear(3, 4) → ReLU → Linear(4, 3)", nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    labels = np.array([2, 0, 1, 1])
    yield Case((two, cross_entropy, numbers(4, 3), labels), {}, "class numbers as labels")
    body = (nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    cnn = network("Conv2d → ReLU → MaxPool2d → Flatten → Linear", *body, nn.Linear(12, 3))
    yield Case((cnn, cross_entropy, numbers(4, 1, 6, 6), labels), {}, "a small CNN")
    shared = nn.Conv2d(2, 2, 3, padding=1)
    twice = network("a Conv2d that runs twice, then Flatten → Linear", shared, nn.ReLU(), shared,
                    nn.Flatten(), nn.Linear(24, 3))  # fmt: skip
    yield Case((twice, cross_entropy, numbers(4, 2, 3, 4), labels), {}, "a layer that runs twice")


def _one_by_one(model, loss_function, images, labels):
    """Image by image, each in a batch of one."""
    import torch

    rows = []
    for image, label in zip(images, labels, strict=True):
        loss = loss_function(model(image[None]), label[None])
        rows.append(torch.autograd.grad(loss, list(model.parameters())))
    return [torch.stack(column).numpy() for column in zip(*rows, strict=True)]


def _in_order(answer, model, loss_function, images, labels):
    """A dictionary by name is as good as a list."""
    result = answer(model, loss_function, images, labels)
    if isinstance(result, dict):
        names = [name for name, _ in model.named_parameters()]
        return [result[name] for name in names] if set(result) == set(names) else list(
            result.values()
        )  # fmt: skip
    return list(result) if isinstance(result, tuple) else result


def _examine(answer) -> Verdict:
    verdict = examine_function(
        adapted(answer, _in_order),
        cases=_cases,
        oracle=on_tensors(_one_by_one),
        misconceptions=tuple(
            Misconception(on_tensors(known.wrong), known.says) for known in MISCONCEPTIONS
        ),
    )
    if verdict.outcome == "error":
        return _with_cause(verdict)
    return _leaves_a_trace(answer) or verdict if verdict.outcome == "correct" else verdict


def _with_cause(verdict: Verdict) -> Verdict:
    from dataclasses import replace

    known = {
        "item() on a Tensor": ".item() makes a plain number of a tensor, and vmap computes with "
        "many at once. Leave it out.",
        "in_dims": "in_dims says for each argument which axis counts the images: None for the "
        "parameters, 0 for images and labels.",
        "Expected input batch_size": "The loss wants batches: image[None] and label[None], both.",
        "expected target size": "The loss wants batches: image[None] and label[None], both.",
        "size mismatch (got input": "The loss wants batches: image[None] and label[None], both.",
        "element 0 of tensors does not require grad": "The loss has no graph: call the model under "
        "autograd, without no_grad or inference_mode.",
        "grad can be implicitly created only for scalar": "A loss for each image is a vector; "
        "ask for the gradient of one number at a time.",
    }
    cause = next((says for part, says in known.items() if part in verdict.headline), verdict.cause)
    return replace(verdict, cause=cause)


def _leaves_a_trace(answer) -> Verdict | None:
    """.grad must stay as it was; and a remark when the images were sent one by one."""
    import torch

    model, loss_function, *arrays = list(_cases())[3].args
    images, labels = map(torch.from_numpy, arrays)
    calls = [0]
    model.register_forward_hook(lambda *args: calls.__setitem__(0, calls[0] + 1))
    attempt(answer, (model, loss_function, images, labels))
    if any(p.grad is not None for p in model.parameters()):
        return not_yet(
            "The gradients are right, but they are also left in .grad of the parameters.",
            ("case", f"{kind(model)} whose parameters had no .grad"),
            cause="The next training step would add them in. torch.autograd.grad and "
            "torch.func.grad return gradients and leave .grad alone.",
        )
    if calls[0] >= len(images):
        return correct(
            f"Right for all cases. The network ran {calls[0]} times for {len(images)} images; with "
            "torch.func.vmap it runs once."
        )
    if torch.is_grad_enabled():
        return None
    torch.set_grad_enabled(True)
    return not_yet("The gradients are right, but autograd is switched off for everybody since.",
                   cause="Use torch.no_grad() in a with, not set_grad_enabled(False).")  # fmt: skip


def _of_batch(model, loss_function, images, labels):
    import torch

    loss = loss_function(model(images), labels)
    return torch.autograd.grad(loss, list(model.parameters()))


def _piled_up(model, *rest):
    import torch

    single = _one_by_one(model, *rest)
    return [torch.from_numpy(g).cumsum(0) for g in single]


MISCONCEPTIONS = (
    Misconception(
        lambda *args: list(_of_batch(*args)),
        "That is the gradient of the whole batch: one for each parameter, without an axis for "
        "the images.",
    ),
    Misconception(
        lambda *args: [g.sum(axis=0) for g in _one_by_one(*args)],
        "The images' gradients were summed up; each image's own is wanted, stacked along axis 0.",
    ),
    Misconception(
        lambda *args: [g[None].expand(len(args[2]), *g.shape) for g in _of_batch(*args)],
        "Every image has the gradient of the whole batch.",
    ),
    Misconception(
        lambda *args: [g / len(args[2]) for g in _one_by_one(*args)],
        "Each gradient is divided by the number of images. The loss of one image is a mean over "
        "one.",
    ),
    Misconception(
        _piled_up,
        "Each image's gradient holds those of the images before it: .grad adds up. Clear it before "
        "each backward, or use torch.autograd.grad.",
    ),
    Misconception(
        lambda *args: _one_by_one(*args)[::-1],
        "The parameters stand in the wrong order: that of model.parameters() is wanted.",
    ),
    Misconception(
        lambda *args: [(g.reshape(len(g), -1) ** 2).sum(1) ** 0.5 for g in _one_by_one(*args)],
        "These are the norms; the gradients themselves are wanted, (N, *parameter.shape).",
    ),
    Misconception(
        lambda *args: [g.reshape(len(g), -1) for g in _one_by_one(*args)],
        "The gradients were flattened: each keeps its parameter's shape, after the axis of images.",
    ),
    Misconception(
        lambda model, loss, images, labels: _one_by_one(model, loss, images, labels.roll(1, 0)),
        "Each image was paired with the label of another one.",
    ),
    Misconception(
        lambda *args: [g.swapaxes(0, 1) for g in _one_by_one(*args)],
        "The axis of the images comes first: (N, *parameter.shape).",
    ),
)


EXERCISE = Exercise(
    id="08.8",
    title="Every image's own gradient",
    objective="compute a gradient for each image of a batch at once, with torch.func",
    level=3,
    minutes=30,
    points=5,
    hints=(
        "Write the loss of one image as a function of (parameters, image, label). "
        "torch.func.functional_call(model, parameters, (image[None],)) runs the model with any "
        "parameters that you hand it.",
        "torch.func.grad makes of it a function that returns the gradients; torch.func.vmap makes "
        "of that one for a whole batch. For which arguments is there an axis of images?",
        "vmap(grad(loss_of_one), in_dims=(None, 0, 0))(parameters, images, labels) returns a "
        "dictionary like parameters, with one more axis in front.",
    ),
    solution=per_sample_gradients,
    examine=_examine,
)
