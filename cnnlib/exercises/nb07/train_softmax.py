"""Exercise 07.6, Train something yourself."""

import time

import numpy as np

from cnnlib import data, ops
from cnnlib.exercises.compare import as_numpy, kind, structure
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised

WANTED_ACC = 0.87
BUDGET_S = 10.0


def train_softmax(images, labels, seed):
    rng = np.random.default_rng(seed)
    weight, bias = np.zeros((10, images.shape[1])), np.zeros(10)
    for epoch in range(12):
        lr = 0.2 * (1 - epoch / 12)
        order = rng.permutation(len(images))
        for start in range(0, len(images), 32):
            index = order[start : start + 32]
            batch = images[index]
            logits = ops.linear(batch, weight, bias)
            grad_logits = ops.softmax_cross_entropy_backward(1.0, logits, labels[index])
            _, grad_weight, grad_bias = ops.linear_backward(grad_logits, batch, weight)
            weight -= lr * grad_weight
            bias -= lr * grad_bias
    return weight, bias


def held_out_split() -> tuple[np.ndarray, ...]:
    """4,000 training digits sorted by label, and 2,000 others to score with; float64 (N, 784)."""
    digits = data.load_mnist()
    images = digits.train_images[:6000].reshape(6000, 784) / 255
    labels = digits.train_labels[:6000]
    order = np.argsort(labels[:4000], kind="stable")
    return images[:4000][order], labels[:4000][order], images[4000:], labels[4000:]


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    images, labels, _, _ = held_out_split()
    few = np.arange(0, 4000, 20)  # for what can be seen quickly
    case = ("case", "images (200, 784), labels (200,), seed 1")
    results = []
    for _ in range(2):
        given = images[few].copy(), labels[few].copy()
        got, error = attempt(answer, (*given, 1))
        if isinstance(error, NotImplementedError):
            return not_attempted()
        if error is not None:
            return raised(error, case)
        if not (np.array_equal(given[0], images[few]) and np.array_equal(given[1], labels[few])):
            cause = "Work on a copy: images[order] makes one."
            return not_yet("Your function changed its input.", case, cause=cause)
        if problem := _unreadable(got, case):
            return problem
        results.append(got)
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*results, strict=True)):
        cause = "Draw every random number from np.random.default_rng(seed)."
        return not_yet("The same seed gave two different results.", case, cause=cause)
    start = time.process_time()  # other programs on the machine do not count
    got, error = attempt(answer, (images.copy(), labels.copy(), 0))
    seconds = time.process_time() - start
    case = ("case", "images (4000, 784), labels (4000,), seed 0")
    if error is not None:
        return raised(error, case, attempted=True)
    if problem := _unreadable(got, case):
        return problem
    return _judge(answer, got, seconds, case)


def _unreadable(got, case) -> Verdict | None:
    got = as_numpy(got)
    wanted = "Return the weight (10, 784) and the bias (10,)."
    if not isinstance(got, tuple | list) or len(got) != 2:
        words = structure(tuple(got) if isinstance(got, list) else got, (0, 0))
        return not_yet(wanted, case, ("got", kind(got)), cause=words or "Two arrays are wanted.")
    for name, part, shape in zip(("weight", "bias"), got, ((10, 784), (10,)), strict=True):
        words = structure(part, np.empty(shape))
        if words or part.dtype.kind not in "fiu":
            return not_yet(wanted, case, ("got", f"{name} is {kind(part)}"),
                           cause=words or "Real numbers are wanted.")  # fmt: skip
        if not np.all(np.isfinite(part)):
            cause = "The training has diverged: the learning rate is too large, or the softmax "
            cause += "overflows where it does not subtract the largest logit first."
            return not_yet(f"The {name} holds values that are not finite.", case, cause=cause)
    return None


def _judge(answer, got, seconds, case) -> Verdict:
    images, labels, test_images, test_labels = held_out_split()
    weight, bias = (np.asarray(part, dtype=np.float64) for part in as_numpy(got))
    answers = (test_images @ weight.T + bias).argmax(axis=1)
    acc = float((answers == test_labels).mean())
    train_logits = images @ weight.T + bias
    train_acc = float((train_logits.argmax(axis=1) == labels).mean())
    loss = float(ops.softmax_cross_entropy(train_logits, labels))
    scores = (
        ("held out", f"{acc:.3f} of 2,000 digits right; wanted at least {WANTED_ACC}"),
        ("training", f"{train_acc:.3f} of 4,000 right, loss {loss:.3f}; log 10 is 2.303"),
    )
    if acc >= WANTED_ACC:
        if seconds > BUDGET_S:
            return not_yet(
                f"Good enough, but it took {seconds:.0f} s; {BUDGET_S:.0f} s are allowed.",
                case, *scores, cause="Fewer epochs will do, and whole batches in one product.",
            )  # fmt: skip
        return correct(f"{acc:.1%} of 2,000 digits that it never saw, the same for the same seed.")
    cause = (
        _cause_in_numbers(weight, answers, test_labels, loss, acc)
        or _cause_in_order(answer, acc)
        or _cause_in_length(weight, images, labels, train_acc, loss, acc)
    )
    return not_yet("Not good enough yet.", case, *scores, cause=cause)


def _cause_in_numbers(weight, answers, test_labels, loss, acc) -> str:
    if not weight.any():
        return "The weight is still all zeros: is the step taken, and taken in place?"
    if np.ptp(weight, axis=0).max() == 0:
        return "All ten rows of the weight are the same: the classes get the same gradient."
    for shift in (1, -1):
        if ((answers + shift) % 10 == test_labels).mean() > acc + 0.3:
            return "Your answers are off by one class: labels count from 0."
    last_wins = np.bincount(answers, minlength=10).argmax() == 9  # the class that came last
    if loss > 2.4 and not last_wins:
        return (
            "The loss is above log 10: it went uphill (the sign of the step), or the learning "
            "rate is too large."
        )
    return ""


def _cause_in_order(answer, acc) -> str:
    """Whether the same function does much better on the same images in a random order."""
    images, labels, test_images, test_labels = held_out_split()
    order = np.random.default_rng(0).permutation(len(images))
    got, error = attempt(answer, (images[order], labels[order], 0))
    if error is not None or _unreadable(got, ("", "")):
        return ""
    weight, bias = (np.asarray(part, dtype=np.float64) for part in got)
    shuffled_acc = ((test_images @ weight.T + bias).argmax(axis=1) == test_labels).mean()
    if shuffled_acc < acc + 0.03:
        return ""
    return (
        f"With the same images in a random order your function reaches {shuffled_acc:.3f}. They "
        "come sorted by label, and what is trained on last wins: shuffle them in each epoch."
    )


def _cause_in_length(weight, images, labels, train_acc, loss, acc) -> str:
    if train_acc > acc + 0.08:
        return (
            "It is much better on the digits it was trained on: it has learned them by heart. "
            "Stop earlier, or pull the weights towards 0."
        )
    if _still_falls(weight, images, labels, loss):
        return (
            "The loss on the 4,000 would still fall fast: more epochs, all of the images, or a "
            "larger learning rate (on pixels from 0 to 1, 0.05 to 0.5 is a good range)."
        )
    return "A learning rate that goes down towards the end calms the noise of the batches."


def _still_falls(weight, images, labels, loss) -> bool:
    """Whether thirty steps of plain gradient descent on all images help much."""
    weight = weight.copy()
    for _ in range(30):
        logits = images @ weight.T
        grad_logits = ops.softmax_cross_entropy_backward(1.0, logits, labels)
        weight -= 0.1 * grad_logits.T @ images
    return ops.softmax_cross_entropy(images @ weight.T, labels) < loss - 0.03


EXERCISE = Exercise(
    id="07.6",
    title="Train something yourself",
    objective="write a training loop that reaches a stated accuracy on digits it has not seen",
    level=2,
    minutes=30,
    points=4,
    hints=(
        "Three loops in one: over epochs, over the batches of a fresh shuffle, and in each batch "
        "forward, backward, step. ops.linear and ops.softmax_cross_entropy_backward do the sums.",
        "Begin with zeros: for a single layer that is fine (why?). Batches of 32, a learning rate "
        "of 0.2, ten epochs.",
        "To gain the last half per cent let the learning rate fall in a line to 0.",
    ),
    solution=train_softmax,
    examine=_examine,
)
