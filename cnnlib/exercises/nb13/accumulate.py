"""Exercise 13.6, A big batch in small bites."""

import copy

import numpy as np

from cnnlib.exercises.compare import kind, show
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised


def accumulate(model, images, labels, max_images):
    import torch.nn.functional as F

    model.zero_grad()
    total = 0.0
    for part, answers in zip(images.split(max_images), labels.split(max_images), strict=True):
        loss = F.cross_entropy(model(part), answers, reduction="sum") / len(images)
        loss.backward()  # adds to .grad, and frees what it needed
        total += loss.item()
    return total


def _problems():
    """(words, network, images, labels, max_images), smallest first."""
    import torch
    from torch import nn

    def case(words, layers, shape, max_images, seed, left=False):
        generator = torch.Generator().manual_seed(seed)
        model = nn.Sequential(*layers()).double()
        for parameter in model.parameters():
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / 2)
            if left:
                parameter.grad = torch.ones_like(parameter)
        images = torch.randn(shape, generator=generator, dtype=torch.float64)
        labels = torch.randint(3, shape[:1], generator=generator)
        return words, model, images, labels, max_images

    def linear():
        return nn.Flatten(), nn.Linear(4, 3)

    def conv():
        return nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)

    yield case("4 images, 2 at a time", linear, (4, 1, 2, 2), 2, 0)
    yield case("4 images, 4 at a time", linear, (4, 1, 2, 2), 4, 1)
    yield case("5 images, 2 at a time: the last part has one", linear, (5, 1, 2, 2), 2, 2)
    yield case("7 images, 3 at a time, a convolution", conv, (7, 1, 3, 3), 3, 3)
    yield case(
        "6 images, 4 at a time, and gradients of an earlier step are still there",
        conv, (6, 1, 3, 3), 4, 4, left=True,
    )  # fmt: skip
    yield case("3 images, at most 8 at a time", conv, (3, 1, 3, 3), 8, 5)


def _reference(model, images, labels):
    """The loss and the gradients of the whole batch at once, by autograd.grad."""
    import torch

    picked = model(images).log_softmax(dim=1)[torch.arange(len(labels)), labels]
    loss = -picked.mean()
    return loss.item(), torch.autograd.grad(loss, list(model.parameters()))


def _gradients_of_parts(model, images, labels, max_images):
    """The gradient of each part's mean loss, and the parts' sizes."""
    pieces = list(zip(images.split(max_images), labels.split(max_images), strict=True))
    return [_reference(model, *piece)[1] for piece in pieces], [len(x) for x, _ in pieces]


def _mixes(parts, sizes, max_images, left):
    """Known wrong ways to add the parts up: (gradients, what it means)."""
    n, total = len(parts), sum(sizes)

    def mix(weights, extra=None):
        sums = [sum(w * g for w, g in zip(weights, column, strict=True))
                for column in zip(*parts, strict=True)]  # fmt: skip
        return [s + e for s, e in zip(sums, extra, strict=True)] if extra else sums

    right = [size / total for size in sizes]
    yield (
        mix([1 / n] * n),
        "You took the mean of the parts' means. The last part is smaller, so its images count for "
        "too much: weigh every part with its number of images, as in len(part) / len(images).",
    )
    yield (
        mix([1] * n),
        "The parts' mean losses were added without weights: with k parts the gradient is about k "
        "times too long. Each part counts len(part) / len(images).",
    )
    yield (
        mix(sizes),
        "The sum over all images; the mean is wanted: divide by len(images).",
    )
    yield (
        mix([max_images / total] * n),
        "Every part was weighed as if it had max_images images; the last one has fewer.",
    )
    yield (
        mix([size / max_images / n for size in sizes]),
        "The parts' sums were divided by max_images times the number of parts; there are fewer "
        "images, since the last part is not full. Divide by len(images).",
    )
    yield (
        mix([0] * (n - 1) + right[-1:]),
        "Only the last part is left: zero_grad is called for each part. Once, before the first.",
    )
    yield (
        mix([0] * (n - 1) + [1]),
        "Only the last part is left: zero_grad is called for each part. Once, before the first.",
    )
    whole = [size / total if size == max_images else 0 for size in sizes]
    yield (
        mix(whole),
        "The last, smaller part was left out: its images belong to the batch as well.",
    )
    kept = total // max_images * max_images
    if kept:
        yield (
            mix([w * total / kept for w in whole]),
            "The last, smaller part was left out: its images belong to the batch as well.",
        )
    if left:
        yield (
            mix(right, left),
            "The gradients of an earlier step are still in there: zero_grad once, before the "
            "first part.",
        )


class _Watcher:
    """Notes how many images go through the network at once, and graphs that wait for backward."""

    def __init__(self, model) -> None:
        self.sizes, self.waiting, self.most_waiting = [], 0, 0
        self.handle = model.register_forward_hook(self._forward)

    def _forward(self, module, inputs, output) -> None:
        self.sizes.append(len(inputs[0]))
        if getattr(output, "requires_grad", False):
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
            output.register_hook(self._backward)

    def _backward(self, grad_output) -> None:
        self.waiting -= 1


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    num_cases, loss_verdict = 0, None
    for number, (words, model, images, labels, max_images) in enumerate(_problems()):
        at = ("case", f"{words}; images {tuple(images.shape)}, max_images={max_images}")
        original = copy.deepcopy(model)
        given = images.clone(), labels.clone()
        watcher = _Watcher(model)
        got, error = attempt(answer, (model, *given, max_images))
        watcher.handle.remove()
        if error is not None:
            if isinstance(error, NotImplementedError) and number == 0:
                return not_attempted()
            return raised(error, at, attempted=number > 0)
        verdict = _left_alone(model, original, given, (images, labels), at)
        verdict = verdict or _sizes(watcher, images, max_images, at)
        verdict = verdict or _gradients(model, original, images, labels, max_images, at)
        verdict = verdict or _waiting(watcher, at)
        if verdict:
            return verdict
        # The gradients of all cases come first: they say more about what went wrong.
        loss_verdict = loss_verdict or _loss(got, original, images, labels, max_images, at)
        num_cases += 1
    if loss_verdict:
        return loss_verdict
    return correct(
        f"{num_cases} batches: gradients equal to those of the whole batch, to 1e-10, and never "
        "more than max_images at once."
    )


def _left_alone(model, original, given, before, at) -> Verdict | None:
    import torch

    pairs = zip(model.parameters(), original.parameters(), strict=False)
    if any(a.shape != b.shape or not torch.equal(a, b) for a, b in pairs):
        cause = "No step is asked for: only the gradients are to be left in .grad."
        return not_yet("The network's weights changed.", at, cause=cause)
    if not all(torch.equal(a, b) for a, b in zip(given, before, strict=True)):
        return not_yet("Your function changed its input.", at, cause="Work on copies.")
    return None


def _sizes(watcher, images, max_images, at) -> Verdict | None:
    if not watcher.sizes:
        cause = "Send the parts through model(…): nothing has gone through it."
        return not_yet("The network was never called.", at, cause=cause)
    if max(watcher.sizes) > max_images:
        return not_yet(
            f"{max(watcher.sizes)} images went through the network at once.",
            at,
            cause=f"max_images is what fits into memory, here {max_images}: "
            "images.split(max_images) cuts them into parts.",
        )
    return None


def _gradients(model, original, images, labels, max_images, at) -> Verdict | None:
    import torch

    _, wanted = _reference(original, images, labels)
    names = [name for name, _ in model.named_parameters()]
    got = [parameter.grad for parameter in model.parameters()]
    if any(g is None for g in got):
        cause = "call backward() on each part's loss: it adds to .grad. (autograd.grad does not.)"
        return not_yet("There is no gradient in .grad.", at, cause=cause)
    near = [torch.allclose(g, w, rtol=1e-10, atol=1e-10) for g, w in zip(got, wanted, strict=True)]
    if all(near):
        return None
    left = [p.grad for p in original.parameters()]
    left = None if any(g is None for g in left) else left
    cause = "Compare with the gradient of the mean loss of all images at once."
    for mixed, says in _mixes(*_gradients_of_parts(original, images, labels, max_images),
                              max_images, left):  # fmt: skip
        pairs = zip(got, mixed, strict=True)
        if all(torch.allclose(g, m, rtol=1e-9, atol=1e-9) for g, m in pairs):
            cause = says
            break
    first = near.index(False)
    ratio = float(got[first].norm() / wanted[first].norm())
    return not_yet(
        f"The gradient of {names[first]} is not that of the whole batch.",
        at,
        ("length", f"{ratio:.3g} times the right one's"),
        cause=cause,
    )


def _waiting(watcher, at) -> Verdict | None:
    if watcher.most_waiting > 1:
        return not_yet(
            f"The gradients are right, but {watcher.most_waiting} parts were in memory at once.",
            at,
            cause="You added up the losses and called backward at the end: until then the "
            "activations of every part are kept. Call backward for each part, which frees them.",
        )
    return None


def _loss(got, original, images, labels, max_images, at) -> Verdict | None:
    wanted, _ = _reference(original, images, labels)
    number = isinstance(got, int | float | np.number | np.ndarray) and np.size(got) == 1
    number = number and not isinstance(got, bool) and np.asarray(got).dtype.kind in "iuf"
    if number and abs(float(np.ravel(got)[0]) - wanted) < 1e-9 * (1 + wanted):
        return None
    if not number:
        words = "Your function returned None: does it end in a return?" if got is None else ""
        return not_yet(
            "The gradients are right. Return the mean loss as a number as well.",
            at,
            ("got", kind(got)),
            cause=words or "One number, the mean loss of all images.",
        )
    pieces = [_reference(original, x, y)[0] for x, y in
              zip(images.split(max_images), labels.split(max_images), strict=True)]  # fmt: skip
    cause = "The mean over all images, each part weighed with its size."
    if abs(float(np.ravel(got)[0]) - np.mean(pieces)) < 1e-9:
        cause = "That is the mean of the parts' means; weigh each part with its size."
    elif abs(float(np.ravel(got)[0]) - pieces[-1]) < 1e-9:
        cause = "That is the loss of the last part alone."
    elif abs(float(np.ravel(got)[0]) - wanted * len(images)) < 1e-9 * len(images):
        cause = "That is the sum over all images; divide by their number."
    pair = (("expected", show(wanted)), ("got", show(float(np.ravel(got)[0]))))
    return not_yet("The gradients are right, the loss is not.", at, *pair, cause=cause)


EXERCISE = Exercise(
    id="13.6",
    title="A big batch in small bites",
    objective="compute the gradient of a batch that does not fit into memory, exactly",
    level=2,
    minutes=20,
    points=4,
    hints=(
        "backward() adds to .grad, it does not replace. So each part's loss may have a backward "
        "of its own: what must it be multiplied with, so that the sum is the mean over all images?",
        'reduction="sum" gives a part\'s sum of losses. Divided by len(images), the parts add up '
        "to the mean, however unequal they are.",
        "zero_grad once, before the first part; backward for each part, at once, so that its "
        "activations can be forgotten; loss.item() adds up the number that you return.",
    ),
    solution=accumulate,
    examine=_examine,
)
