"""Exercise 09.4, Ten runs, ten causes."""

from dataclasses import dataclass

from cnnlib.exercises.findings import examine_diagnosis
from cnnlib.exercises.verdicts import Exercise, Verdict

CAUSES = {
    "fine": "nothing is wrong",
    "high": "the learning rate is too high",
    "low": "the learning rate is too low",
    "sorted": "the images come sorted by their label and are not shuffled",
    "labels": "the labels belong to other images",
    "gradients": "the gradients of earlier steps are never set to zero",
    "raw": "the pixels go in as 0 to 255",
    "mode": "the network is evaluated in training mode",
    "few": "there are too few images, and they are learned by heart",
    "leak": "the validation images are among the training images",
}

_ANSWER = {"A": "labels", "B": "raw", "C": "leak", "D": "low", "E": "gradients",
           "F": "fine", "G": "sorted", "H": "mode", "I": "high", "J": "few"}  # fmt: skip

# What there is to see in a run, said without naming the cause.
_CLUES = {
    "fine": "it falls fast, then slowly; training, validation and fresh images agree within a few "
    "hundredths",
    "high": "it begins where most runs begin and goes to log 10, the loss of equal guesses, at "
    "once: what kills a network in a few steps?",
    "low": "it does the right thing all the time, but what does its loss look like at the end: "
    "flat, or still falling?",
    "sorted": "within an epoch the loss is nearly 0 again and again, and then jumps: what do the "
    "images of one batch have in common?",
    "labels": "not even the training accuracy leaves 0.1 behind, and yet its loss is calm: it "
    "does the best that can be done if the pictures tell nothing about the answer",
    "gradients": "it is right at first, and its steps grow and grow: what could add up from step "
    "to step?",
    "raw": "look at its very first loss, before a single step: the numbers that come in must be "
    "very large",
    "mode": "its two evaluations of the same weights on the same images do not agree",
    "few": "the training accuracy is 1, and the validation images and the fresh ones agree that it "
    "is worth much less",
    "leak": "the validation images and the fresh ones do not agree, though both were drawn at "
    "random",
}


@dataclass(frozen=True, kw_only=True)
class GalleryRun:
    """One training of the gallery, as it would stand in a logbook."""

    step_losses: list[float]  # of each batch
    train_acc: list[float]  # of the batches since the evaluation before
    val_acc: list[float]  # six evaluations, evenly spaced
    val_acc_again: float  # the last evaluation, repeated
    fresh_acc: float  # on images that nobody has used, at the very end


def ten_runs(*, num_steps: int = 300) -> dict[str, GalleryRun]:
    """Train one small network ten times on Fashion-MNIST, nine times with a fault.

    Args:
        num_steps: for each run, of batches of 50; six times on the way it is evaluated.

    Returns:
        A GalleryRun for each of the letters "A" to "J".
    """
    from cnnlib import data

    clothes = data.load_fashion_mnist()
    images, labels = clothes.train_images, clothes.train_labels
    parts = {
        "train": (images[:3000], labels[:3000]),
        "val": (images[50_000:51_000], labels[50_000:51_000]),
        "fresh": (images[52_000:54_000], labels[52_000:54_000]),
    }
    return {letter: _train(cause, parts, num_steps) for letter, cause in _ANSWER.items()}


def _train(cause: str, parts: dict, num_steps: int) -> GalleryRun:
    import torch
    import torch.nn.functional as F

    from cnnlib.batches import Batches
    from cnnlib.training import evaluate

    parts = _spoil(cause, parts)
    pixels = {"mean": 0.0, "std": 1 / 255} if cause == "raw" else {"mean": 0.286, "std": 0.353}
    train = Batches(*parts["train"], batch_size=50, shuffle=cause != "sorted", **pixels)
    val, fresh = (Batches(*parts[name], batch_size=500, **pixels) for name in ("val", "fresh"))
    torch.manual_seed(0)
    model = _network(dropout=0.6 if cause == "mode" else 0.0)
    lr = {"high": 3.0, "low": 3e-4}.get(cause, 0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    losses, right, train_acc, val_acc = [], [], [], []
    endless = (pair for _ in range(num_steps) for pair in train)
    for step in range(1, num_steps + 1):
        batch, answers = next(endless)
        logits = model.train()(batch)
        loss = F.cross_entropy(logits, answers)
        if cause != "gradients":
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        right.append(int((logits.argmax(dim=1) == answers).sum()))
        if step % (num_steps // 6) == 0:
            train_acc.append(sum(right) / (50 * len(right)))
            right = []
            val_acc.append(_acc(model, val, training=cause == "mode"))
    return GalleryRun(
        step_losses=losses,
        train_acc=train_acc,
        val_acc=val_acc,
        val_acc_again=_acc(model, val, training=cause == "mode"),
        fresh_acc=evaluate(model, fresh).acc,
    )


def _spoil(cause: str, parts: dict) -> dict:
    """The images and labels, with what the fault does to them."""
    import numpy as np

    images, labels = parts["train"]
    if cause == "sorted":
        order = np.argsort(labels, kind="stable")
        return parts | {"train": (images[order], labels[order])}
    if cause == "labels":
        return parts | {"train": (images, np.roll(labels, 1))}
    if cause == "few":
        return parts | {"train": (images[:100], labels[:100])}
    if cause == "leak":
        val_images, val_labels = parts["val"]
        images = np.concatenate([images[:200], val_images])
        return parts | {"train": (images, np.concatenate([labels[:200], val_labels]))}
    return parts


def _network(dropout: float):
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(16 * 49, 10),
    )


def _acc(model, batches, *, training: bool) -> float:
    """The accuracy in the mode that the fault leaves the network in."""
    import torch

    model.train(training)
    with torch.inference_mode():
        right = sum(int((model(b).argmax(dim=1) == answers).sum()) for b, answers in batches)
    return right / batches.num_images


def _examine(answer) -> Verdict:
    praise = "Ten of ten. Seven of these can be told within an epoch."
    return examine_diagnosis(answer, _ANSWER, CAUSES, _CLUES, praise=praise)


EXERCISE = Exercise(
    id="09.4",
    title="Ten runs, ten causes",
    objective="tell from the curves of a training what went wrong in it",
    level=2,
    minutes=20,
    points=4,
    hints=(
        "Begin with the first loss of each run. Ten classes and random weights give about log 10 = "
        "2.303. One run is far from it before it has taken a step.",
        "Then the training accuracy. Four runs end near 0.1: one is calm from start to end, two "
        "die at once (you have one by now), and one dies after it had learned something.",
        "Of the runs that learn, compare three numbers: validation, the same evaluation again, and "
        "the fresh images. A pair that should agree and does not is the trace.",
    ),
    solution="diagnosis = " + repr(_ANSWER).replace("'", '"'),
    examine=_examine,
)
