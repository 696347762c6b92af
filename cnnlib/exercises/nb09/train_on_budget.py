"""Exercise 09.10, As good as you can in 120 steps."""

import time

from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.networks import logits_of, unusable_network
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised

NUM_STEPS, BATCH_SIZE, WANTED_ACC, BUDGET_S = 120, 64, 0.81, 60.0
FIRST_HELD_OUT, NUM_HELD_OUT = 54_000, 3000


def train_on_budget(batches, num_steps, seed):
    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.BatchNorm2d(1), nn.Conv2d(1, 8, 5, stride=2, padding=2),  # the first one standardises
        nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1),
        nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 49, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step, (images, labels) in enumerate(batches):
        climb, fall = (step + 1) / (0.1 * num_steps), 1 - step / num_steps
        optimizer.param_groups[0]["lr"] = 0.01 * min(1, climb) * fall
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


class Dealer:
    """Deals a number of batches, each one once."""

    def __init__(self, pairs) -> None:
        self.pairs, self.num_dealt = iter(pairs), 0

    def __iter__(self):
        return self

    def __next__(self):
        images, labels = next(self.pairs)
        self.num_dealt += 1
        return images.clone(), labels.clone()

    def __repr__(self) -> str:
        return "the batches of your budget, dealt once"


def _batches(num_steps: int):
    """Training batches (0 to 1, float32) for a number of steps, and held-out ones to score with."""
    from cnnlib import data
    from cnnlib.batches import Batches

    clothes = data.load_fashion_mnist()
    images, labels = clothes.train_images, clothes.train_labels
    N, last = num_steps * BATCH_SIZE, FIRST_HELD_OUT + NUM_HELD_OUT
    train = Batches(images[:N], labels[:N], batch_size=BATCH_SIZE, shuffle=True, seed=9)
    held_out = slice(FIRST_HELD_OUT, last)
    return list(train), Batches(images[held_out], labels[held_out], batch_size=500)


def _train(answer, pairs, seed: int):
    """The model, the exception, the batches dealt, the steps taken, the seconds."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    steps, dealer = [], Dealer(pairs)
    handle = register_optimizer_step_pre_hook(lambda *args: steps.append(1))
    start = time.process_time()
    try:
        got, error = attempt(answer, (dealer, len(pairs), seed))
    finally:
        handle.remove()
    return got, error, dealer.num_dealt, len(steps), time.process_time() - start


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    import torch

    with torch.random.fork_rng(devices=[]):
        return _judge(answer)


def _judge(answer) -> Verdict:
    import torch

    pairs, held_out = _batches(NUM_STEPS)
    outputs, case = [], ("case", "a budget of 4 steps, seed 1")
    for chance in (10, 20):
        torch.manual_seed(chance)
        got, error, _, num_steps, _ = _train(answer, pairs[:4], 1)
        if error is not None:
            if isinstance(error, NotImplementedError) and chance == 10:
                return not_attempted()
            return raised(error, case)
        if problem := unusable_network(got, case):
            return problem
        if num_steps > 4:
            return _overspent(num_steps, 4, case)
        outputs.append(logits_of(got, pairs[5][0]))
    if not torch.equal(*outputs):
        cause = "torch.manual_seed(seed) before the network is made: its first weights are random."
        return not_yet("The same seed gave two different networks.", case, cause=cause)
    torch.manual_seed(30)
    got, error, num_dealt, num_steps, seconds = _train(answer, pairs, 0)
    case = ("case", f"a budget of {NUM_STEPS} steps, seed 0")
    if error is not None:
        return raised(error, case, attempted=True)
    if problem := unusable_network(got, case):
        return problem
    if num_steps > NUM_STEPS:
        return _overspent(num_steps, NUM_STEPS, case)
    return _score(got, pairs, held_out, num_dealt, num_steps, seconds, case)


def _overspent(num_steps, allowed, case) -> Verdict:
    return not_yet(
        "The budget is overspent.", case, ("got", f"{num_steps} steps of an optimizer"),
        cause=f"{allowed} are allowed. One step for each batch that is dealt.",
    )  # fmt: skip


def _score(model, pairs, held_out, num_dealt, num_steps, seconds, case) -> Verdict:
    import torch

    from cnnlib.training import collect_logits

    logits, labels = collect_logits(model, held_out)
    acc = float((logits.argmax(dim=1) == labels).double().mean())
    seen = torch.cat([images for images, _ in pairs[:20]]), torch.cat([y for _, y in pairs[:20]])
    train_logits = logits_of(model, seen[0])
    train_acc = float((train_logits.argmax(dim=1) == seen[1]).double().mean())
    scores = (
        ("held out", f"{acc:.3f} of {NUM_HELD_OUT:,} images right; wanted at least {WANTED_ACC}"),
        ("training", f"{train_acc:.3f} right; {num_dealt} batches taken, {num_steps} steps"),
    )
    if acc >= WANTED_ACC and seconds > BUDGET_S:
        cause = f"{BUDGET_S:.0f} s are allowed: a smaller network will do."
        return not_yet(f"Good enough, but it took {seconds:.0f} s.", case, *scores, cause=cause)
    if acc >= WANTED_ACC:
        return correct(f"{acc:.1%} of {NUM_HELD_OUT:,} clothes that it never saw, in "
                       f"{num_steps or num_dealt} steps.")  # fmt: skip
    modes = _acc_in_training_mode(model, pairs)
    cause = _cause(model, logits, labels, acc, train_acc, num_dealt, num_steps, modes, pairs)
    return not_yet("Not good enough yet.", case, *scores, cause=cause)


def _acc_in_training_mode(model, pairs) -> float:
    """The accuracy on some batches in training mode, on a copy of the network."""
    import copy

    import torch

    trial = copy.deepcopy(model).train()
    with torch.no_grad():
        right = [(trial(x).argmax(dim=1) == y).double().mean() for x, y in pairs[:8]]
    return float(torch.stack(right).mean())


def _cause(model, logits, labels, acc, train_acc, num_dealt, num_steps, modes, pairs) -> str:
    import torch

    if num_dealt == 0 or (num_steps == 0 and acc < 0.2):
        return "It has not been trained: go through the batches, with one step for each."
    if not bool(torch.isfinite(logits).all()):
        return "There are outputs that are not finite: the learning rate is too high."
    if float(logits.std(dim=0).max()) < 1e-6:
        return (
            "It gives the same answer to every image: all units are dead, most likely after a "
            "step that was too long. Try a lower rate, or a warm-up."
        )
    shifted, scaled = _acc_on(model, pairs, 0.286, 0.353), _acc_on(model, pairs, 0.0, 1 / 255)
    if max(shifted, scaled) > train_acc + 0.05:
        return (
            "It is good on images that are standardised first, but nobody will do that for it: put "
            "the standardising into the network (as its first layer, for example)."
        )
    num_used = min(num_dealt, num_steps or num_dealt)
    if num_used < NUM_STEPS:
        return f"{NUM_STEPS - num_used} of the batches were never used: every step counts."
    if modes > train_acc + 0.1:
        return (
            "It is much better in training mode than in eval mode: batch norm's running means have "
            "not caught up. A larger momentum of the norm, or a falling learning rate, helps."
        )
    if bool(((logits >= 0) & (logits <= 1)).all()) and torch.allclose(
        logits.sum(dim=1), torch.ones(len(logits)), atol=1e-3
    ):
        return (
            "The network ends in a softmax, and cross_entropy takes another one: that flattens the "
            "gradient. Return logits."
        )
    counts = torch.bincount(logits.argmax(dim=1), minlength=10)
    wrong_by_one = float(((logits.argmax(dim=1) + 1) % 10 == labels).double().mean())
    if wrong_by_one > 0.5:
        return "The answers are off by one class: labels count from 0."
    if acc < 0.3 and int(counts.max()) > 0.4 * len(labels):
        return (
            "Hardly better than guessing: is zero_grad called before each backward, are images and "
            "labels of the same batch, is the rate neither 100 times too high nor too low?"
        )
    if _still_falls(model, pairs):
        return (
            "It would still get better fast: the steps are too short. A higher rate, momentum, "
            "Adam, or batch norm, which bears higher rates."
        )
    return (
        "Close. A learning rate that falls to 0 gains two or three per cent, and so does batch "
        "norm after each convolution."
    )


def _acc_on(model, pairs, mean, std) -> float:
    """The accuracy on training images that are standardised first."""
    import torch

    right = [
        (logits_of(model, (x - mean) / std).argmax(dim=1) == y).double().mean()
        for x, y in pairs[:8]
    ]
    return float(torch.stack(right).mean())


def _still_falls(model, pairs) -> bool:
    """Whether a few more steps with Adam make the training loss much smaller."""
    import copy

    import torch
    import torch.nn.functional as F

    trial = copy.deepcopy(model)
    for parameter in trial.parameters():
        parameter.requires_grad_(True)
    images = torch.cat([x for x, _ in pairs[:6]])
    labels = torch.cat([y for _, y in pairs[:6]])
    before = float(F.cross_entropy(logits_of(trial, images), labels))
    optimizer = torch.optim.Adam(trial.parameters(), lr=3e-3)
    for x, y in pairs[6:36]:
        loss = F.cross_entropy(trial(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(F.cross_entropy(logits_of(trial, images), labels)) < 0.85 * before


EXERCISE = Exercise(
    id="09.10",
    title="As good as you can in 120 steps",
    objective="design a network and a training that reach a stated accuracy within a budget",
    level=3,
    minutes=40,
    points=6,
    hints=(
        "Begin with the small network of this notebook and look at three things in turn: are the "
        "pixels standardised (within the network)? Is the rate as high as it can be? Does it fall "
        "to 0 at the last step?",
        "Choose on your own validation images, which need not be among the dealt ones: any of "
        "Fashion-MNIST's training images will do for trying things out at home.",
        "nn.BatchNorm2d(1) as the first layer standardises, one after each convolution lets you "
        "take Adam with a rate of 0.01; climb for 12 steps, then fall in a line to 0.",
    ),
    solution=train_on_budget,
    examine=_examine,
)
