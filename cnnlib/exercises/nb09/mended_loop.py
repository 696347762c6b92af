"""Exercises 09.5 and 09.6, Three bugs in a training loop: named, and mended."""

from collections.abc import Iterable, Mapping

import numpy as np

from cnnlib.exercises.compare import as_numpy, kind, show
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised

SUSPECTS = {
    "softmax": "cross_entropy should be given probabilities, not logits",
    "order": "images and labels get out of step when they are shuffled",
    "last batch": "images at the end of the order are never trained on",
    "zero_grad": "gradients of several batches add up",
    "step": "step should come before backward",
    "item": "the sum of losses keeps every graph in memory",
    "mode": "training goes on in the wrong mode",
    "no_grad": "the evaluation records gradients",
    "dimension": "argmax is taken along the wrong axis",
}
BUGS = ("last batch", "zero_grad", "mode")


def mended_loop(model, optimizer, train, val, num_epochs, batch_size):
    import torch
    import torch.nn.functional as F

    (images, labels), (val_images, val_labels) = train, val
    history = []
    for _ in range(num_epochs):
        model.train()
        order = torch.randperm(len(images))
        total = 0.0
        for start in range(0, len(images), batch_size):
            index = order[start : start + batch_size]
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images[index]), labels[index])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(index)
        model.eval()
        with torch.inference_mode():
            val_acc = (model(val_images).argmax(dim=1) == val_labels).float().mean()
        history.append((total / len(images), val_acc.item()))
    return history


def loop_with(bugs, model, optimizer, train, val, num_epochs, batch_size):
    """The loop of exercise 09.6 with some of its bugs; an oracle that shares no line with it."""
    import torch

    history = []
    for epoch in range(num_epochs):
        if "mode" not in bugs or epoch == 0:
            model.train()
        if epoch == 0 or "one order" not in bugs:
            order = torch.randperm(len(train[0]))
        total = 0.0
        pieces = list(order.split(batch_size))
        if "last batch" in bugs:
            pieces = [p for n, p in enumerate(pieces) if n * batch_size < len(order) - batch_size]
        if "zero_grad" in bugs:
            optimizer.zero_grad()
        for index in pieces:
            if "zero_grad" not in bugs and "never zero" not in bugs:
                optimizer.zero_grad()
            logits = model(train[0][index])
            logits = logits.softmax(dim=1) if "softmax" in bugs else logits
            loss = torch.nn.CrossEntropyLoss()(logits, train[1][index])
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(index)
        with torch.no_grad():
            answers = model.train("evaluation" in bugs)(val[0]).argmax(dim=1)
        history.append((total / len(order), float((answers == val[1]).float().mean())))
    return history


_TRACES = {
    "last batch": "Some images are never trained on: count how many batches range(…) makes for 10 "
    "images and a batch_size of 4, and for 8.",
    "zero_grad": "Within an epoch the gradients of all batches add up: where is zero_grad called, "
    "and how often?",
    "mode": "From the second epoch on the network is in another mode than in the first: who has "
    "changed it, and who changes it back?",
}

# What a mend may bring in.
_NEW = {
    "never zero": "The gradients of all batches add up from the first to the last: zero_grad is "
    "gone. Once for each batch it has to come.",
    "one order": "There is one order for all epochs now: one torch.randperm an epoch.",
    "softmax": "There is a softmax now, and cross_entropy takes another one.",
    "evaluation": "The evaluation runs in training mode now, and batch norm writes the validation "
    "images' means into the network: model.eval() before it, model.train() after it.",
}


def _problem(number: int):
    """A small network with dropout and batch norm, and images for it."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(number)
    N = (10, 24)[number]
    middles = torch.randn(3, 1, 2, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (N + 30,), generator=generator)
    noise = torch.randn(N + 30, 1, 2, 3, generator=generator, dtype=torch.float64)
    images = middles[labels] + noise
    torch.manual_seed(94 + number)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(12, 3),
    ).double()  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=(0.0, 0.9)[number])
    return model, optimizer, (images[:N], labels[:N]), (images[N:], labels[N:]), 3, (4, 8)[number]


def _run(loop, number: int):
    """What a loop returns and the weights that it ends with; or the exception."""
    import torch

    problem = _problem(number)
    torch.manual_seed(95)
    got, error = attempt(loop, problem)
    state = {name: value.clone() for name, value in problem[0].state_dict().items()}
    return as_numpy(got), state, error


def _equal(state, other) -> str:
    """ "bits", "nearly" (the rounding of another order of sums) or ""."""
    import torch

    if all(torch.equal(state[name], other[name]) for name in other):
        return "bits"
    near = (torch.allclose(state[n].double(), other[n].double(), rtol=1e-11, atol=1e-13)
            for n in other)  # fmt: skip
    return "nearly" if all(near) else ""


def _subsets():
    """All sets of bugs, the smaller ones first."""
    sets = [{b for n, b in enumerate(BUGS) if mask >> n & 1} for mask in range(1, 8)]
    return sorted(sets, key=len)


def _examine_loop(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    import torch

    how = []
    with torch.random.fork_rng(devices=[]):
        for number in (0, 1):
            N, size = ((10, 4), (24, 8))[number]
            case = ("case", f"{N} images, batch_size={size}, 3 epochs, dropout and batch norm")
            expected, right, _ = _run(lambda *args: loop_with((), *args), number)
            got, state, error = _run(answer, number)
            if error is not None:
                if number == 0 and isinstance(error, NotImplementedError):
                    return not_attempted()
                return raised(error, case, attempted=number > 0)
            if not (same := _equal(state, right)):
                return _explain_weights(state, number, case)
            how.append(same)
            if problem := _wrong_history(got, expected, case):
                return problem
    if "nearly" in how:
        return correct("All weights are right to the rounding of float64: your sums have another "
                       "order than the reference.")  # fmt: skip
    return correct("All weights are those of the reference, to the last bit.")


def _explain_weights(state, number, case) -> Verdict:
    for bugs in _subsets():
        _, theirs, _ = _run(lambda *args, bugs=bugs: loop_with(bugs, *args), number)
        if _equal(state, theirs):
            left = [_TRACES[bug] for bug in BUGS if bug in bugs]
            mended = len(BUGS) - len(bugs)
            return not_yet(
                f"{mended} of 3 are mended." if mended else "The loop is as it was.",
                case, cause=" ".join(left),
            )  # fmt: skip
    for fault, says in _NEW.items():
        _, theirs, _ = _run(lambda *args, fault=fault: loop_with({fault}, *args), number)
        if _equal(state, theirs):
            return not_yet("The three are mended, and something else is broken.", case, cause=says)
    _, untrained, _ = _run(lambda *args: None, number)
    names = [name for name, _ in _problem(number)[0].named_parameters()]
    if _equal({n: state[n] for n in names}, {n: untrained[n] for n in names}):
        cause = "Either optimizer.step() is missing, or zero_grad comes between backward and step, "
        cause += "so that all gradients are zero when they are needed."
        return not_yet("The weights have not moved.", case, cause=cause)
    return not_yet(
        "The weights are neither the right ones, nor those of the loop as it was.",
        case,
        cause="Something else is different now. Mend as little as you can: one torch.randperm an "
        "epoch and no other random numbers; a zero_grad, a backward and a step for each batch.",
    )


def _wrong_history(got, expected, case) -> Verdict | None:
    try:
        got = np.array(got, dtype=np.float64)
    except (TypeError, ValueError):
        got = np.zeros(0)
    if got.shape != (len(expected), 2):
        cause = "A list with a pair (training loss, validation accuracy) for each epoch is wanted."
        return not_yet("The weights are right, what is returned is not.", case, cause=cause)
    if not np.allclose(got, expected, rtol=1e-6):
        epoch = int(np.argmax(~np.isclose(got, expected, rtol=1e-6).all(axis=1)))
        cause = "The training loss is a mean over the images, weighted by the sizes of the batches."
        if np.allclose(got[:, 0], np.array(expected)[:, 0], rtol=1e-6):
            cause = "The accuracy is that of all validation images, in eval mode, after the epoch."
        return not_yet(
            "The weights are right, the history is not.", case,
            ("expected", f"{show(expected[epoch])} in epoch {epoch + 1}"),
            ("got", show(tuple(got[epoch].tolist()))), cause=cause,
        )  # fmt: skip
    return None


_INNOCENT = {
    "softmax": "cross_entropy takes logits and does the softmax itself. That line is right.",
    "order": "Images and labels are picked by the same index. They stay together.",
    "step": "backward computes the gradients, step uses them. The order is right.",
    "item": "loss.item() is a plain number that keeps nothing.",
    "no_grad": "torch.inference_mode() records no gradients.",
    "dimension": "Axis 1 of (N, num_classes) are the classes. It is right.",
}


def _examine_names(answer) -> Verdict:
    if answer is None or answer is Ellipsis:
        return not_attempted()
    wanted = 'Write a set of three of the words in SUSPECTS, such as {"softmax", "order", "step"}.'
    if isinstance(answer, str | Mapping) or not isinstance(answer, Iterable):
        return not_yet(wanted, ("got", show(answer)), cause=f"This is {kind(answer)}.")
    words = [w.strip().lower() if isinstance(w, str) else w for w in list(answer)[:20]]
    unknown = [w for w in words if not isinstance(w, str) or w not in SUSPECTS]
    if unknown:
        cause = f"{show(unknown[0])} is none of {', '.join(SUSPECTS)}."
        return not_yet(wanted, cause=cause)
    named = set(words)
    if named == set(BUGS):
        return correct("None of the three raises an error, and the loss falls all the same.")
    wrong = [word for word in SUSPECTS if word in named and word not in BUGS]
    right = len(named & set(BUGS))
    if wrong:
        return not_yet(f"{right} of 3 are found. One that is not guilty: {wrong[0]}.",
                       cause=_INNOCENT[wrong[0]])  # fmt: skip
    missing = next(bug for bug in BUGS if bug not in named)
    clues = {
        "last batch": "Print how many images an epoch trains on.",
        "zero_grad": "Print the norm of a gradient before each step of an epoch.",
        "mode": "Print model.training at the beginning of each epoch.",
    }
    return not_yet(f"{right} of 3 are found, and nothing is wrongly accused.", cause=clues[missing])


NAMES = Exercise(
    id="09.5",
    title="Three bugs, named",
    objective="find by experiment what is wrong in a training loop that seems to work",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "Do not read for long; measure. Three prints in the loop are enough: len(index), "
        "model.training, and the norm of a gradient.",
        "For each line ask how often it runs: once a training, once an epoch, once a batch. Two "
        "of the bugs are a line at the wrong depth.",
        "The third is in the bounds of the range.",
    ),
    solution='bugs = {"last batch", "zero_grad", "mode"}',
    examine=_examine_names,
)

EXERCISE = Exercise(
    id="09.6",
    title="Three bugs, mended",
    objective="mend a training loop and prove it against a reference, weight for weight",
    level=3,
    minutes=15,
    points=4,
    hints=(
        "Copy the loop, give it the new name, and move two lines.",
        "The third mend takes away a term: range(0, len(images), batch_size). The last slice may "
        "be shorter than batch_size; that is fine.",
    ),
    solution=mended_loop,
    examine=_examine_loop,
)
