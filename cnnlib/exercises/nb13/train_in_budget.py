"""Exercise 13.5, Four billion operations: graded by images that the function never sees."""

import copy
import time

from cnnlib.exercises.engine import unfit
from cnnlib.exercises.nb13.budget import Overspent, Spending, watched
from cnnlib.exercises.networks import logits_of, unusable_network
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised

MAX_FLOP, WANTED_ACC, MAX_S = 4e9, 0.967, 120.0
NUM_TRAIN, FIRST_HELD_OUT = 20_000, 55_000
NEW_NAMES = (3, 7, 0, 9, 5, 1, 8, 2, 6, 4)  # what each digit is called here


def train_in_budget(images, labels, max_flop):
    import torch
    import torch.nn.functional as F
    from torch import nn

    from cnnlib import models

    model = nn.Sequential(nn.BatchNorm2d(1), models.make_fast_cnn((4, 8, 16, 32)))
    model.to(memory_format=torch.channels_last)
    batch_size = 32
    step_flop = 6 * models.count_macs(model, (1, 28, 28)) * batch_size
    num_steps = int(0.99 * max_flop / step_flop)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.002
    )
    order = torch.randperm(len(images)).repeat(1 + num_steps * batch_size // len(images))
    for step, chosen in enumerate(order.split(batch_size)[:num_steps]):
        climb, fall = (step + 1) / (0.15 * num_steps), (1 - step / num_steps) / 0.85
        optimizer.param_groups[0]["lr"] = 0.1 * min(1, climb, fall)
        loss = F.cross_entropy(model(images[chosen]), labels[chosen], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def _digits():
    """Training and held-out (images, labels): digits turned on their side, and named anew.

    So nobody gains by bringing images along, the test images least of all.
    """
    import torch

    from cnnlib import data

    digits, names = data.load_mnist(), torch.tensor(NEW_NAMES)
    pairs = []
    for part in (slice(0, NUM_TRAIN), slice(FIRST_HELD_OUT, None)):
        images = torch.from_numpy(digits.train_images[part]).float() / 255
        labels = names[torch.from_numpy(digits.train_labels[part])]
        pairs.append((images.transpose(2, 3).contiguous(), labels))
    return pairs


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    import torch

    with torch.random.fork_rng(devices=[]):
        return _judge(answer)


def _judge(answer) -> Verdict:
    import torch

    train, held_out = _digits()
    few = train[0][:512], train[1][:512]
    case = ("case", "a trial: 512 images, a tenth of the budget")
    _, _, verdict = _call(answer, few, MAX_FLOP / 10, case, first=True)
    if verdict:
        return verdict
    case = ("case", f"{NUM_TRAIN:,} images, max_flop = {MAX_FLOP:g}")
    torch.manual_seed(0)
    start = time.process_time()
    model, spending, verdict = _call(answer, train, MAX_FLOP, case)
    seconds = time.process_time() - start
    if verdict:
        return verdict
    return _score(model, spending, train, held_out, seconds, case)


def _call(answer, pair, max_flop, case, first=False):
    """(model, Spending, None), or a verdict as the third when something is not as it should be."""
    given = pair[0].clone(), pair[1].clone()
    got, error, spending = watched(answer, *given, max_flop)
    if isinstance(error, NotImplementedError) and first:
        return None, spending, not_attempted()
    if isinstance(error, Overspent) or (error is None and spending.flop > 1.01 * max_flop):
        return None, spending, _overspent(spending, max_flop, case)
    if error is not None:
        return None, spending, raised(error, case, attempted=not first)
    return got, spending, unusable_network(got, case)


def _overspent(spending: Spending, max_flop, case) -> Verdict:
    return not_yet(
        "The budget is overspent.",
        case,
        ("spent", f"{spending.flop / 1e9:.1f} billion operations of {max_flop / 1e9:g}"),
        cause="A training step costs about 6 × MACs × images: 2 operations for each MAC, three "
        "passes. How many steps fit into max_flop? Whatever goes through a network counts.",
    )


def _score(model, spending: Spending, train, held_out, seconds, case) -> Verdict:
    acc = _acc(model, *held_out)
    scores = (
        ("held out", f"{acc:.4f} of {len(held_out[1]):,} digits right; wanted {WANTED_ACC}"),
        ("spent", f"{spending.flop / 1e9:.1f} of {MAX_FLOP / 1e9:g} billion operations"),
    )
    if acc < WANTED_ACC:
        cause = _cause(model, spending, train, held_out, acc)
        return not_yet("Not good enough yet.", case, *scores, cause=cause)
    if seconds > MAX_S:
        cause = f"{MAX_S:.0f} s are allowed, for a few tens of thousands of images."
        return not_yet(f"Good enough, but it took {seconds:.0f} s.", case, *scores, cause=cause)
    return correct(
        f"{acc:.2%} of {len(held_out[1]):,} digits that it never saw, for "
        f"{spending.flop / 1e9:.1f} billion operations."
    )


def _acc(model, images, labels) -> float:
    return float((logits_of(model, images).argmax(dim=1) == labels).double().mean())


def _cause(model, spending: Spending, train, held_out, acc) -> str:
    import torch

    few = train[0][:2000], train[1][:2000]
    logits = logits_of(model, few[0])
    if not bool(torch.isfinite(logits).all()):
        return "There are outputs that are not finite: the learning rate is too high."
    if spending.backward_flop == 0:
        return "It has not been trained: there was no backward pass."
    if spending.loaded and acc < 0.5:
        return (
            "It was trained on digits from elsewhere. Here they lie on their side and have other "
            "names, so that only the images that are given can help."
        )
    standard = (few[0] - 0.1307) / 0.3081
    if _acc(model, standard, few[1]) > _acc(model, *few) + 0.02:
        return (
            "It is good on images that are standardised first, but nobody will do that for it: "
            "put the standardising into the network, as its first layer."
        )
    if _acc_in_training_mode(model, few) > _acc(model, *few) + 0.1:
        return (
            "It is much better in training mode than in eval mode: batch norm's running means have "
            "not caught up. More steps, or a rate that falls to 0, help."
        )
    if float(logits.std(dim=0).max()) < 1e-6:
        return "It gives the same answer to every image: a step was too long. Warm up, or lower lr."
    probable = bool(((logits >= 0) & (logits <= 1)).all())
    if probable and torch.allclose(logits.sum(dim=1), torch.ones(len(logits)), atol=1e-3):
        return "The network ends in a softmax, and cross_entropy takes another one: return logits."
    if spending.flop < 0.7 * MAX_FLOP:
        share = spending.flop / MAX_FLOP
        return f"{share:.0%} of the budget is spent. The rest would buy more images or more epochs."
    image_flop = _flop_of_image(model)
    num_seen = int(spending.flop / max(1.0, image_flop))
    if image_flop > 1.5e6:
        return (
            f"An image costs this network {image_flop / 1e6:.1f} million operations to train on, "
            f"so only about {num_seen:,} fit into the budget. Fewer channels, and smaller maps "
            "early, would let it see several times as many."
        )
    if _acc(model, few[0][:300], few[1][:300]) > acc + 0.03:  # whoever takes a few takes the first
        return "It knows its training images better than others: use more of the 20,000 of them."
    return (
        f"It saw about {num_seen:,} images. Batch norm, a rate that climbs and then falls to 0, "
        "and batches of about 32 get most out of so few steps."
    )


def _acc_in_training_mode(model, pair) -> float:
    import torch

    trial = copy.deepcopy(model).train()
    with torch.no_grad():
        return float((trial(pair[0][:500]).argmax(dim=1) == pair[1][:500]).double().mean())


def _flop_of_image(model) -> float:
    """Of a training step, for each image: about three forward passes."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        logits_of(model, torch.zeros(8, 1, 28, 28))
    return 3 * counter.get_total_flops() / 8


EXERCISE = Exercise(
    id="13.5",
    title="Four billion operations",
    objective="spend a budget of operations where it buys the most accuracy",
    level=3,
    minutes=45,
    points=6,
    hints=(
        "Accuracy comes from seeing many images, and from a network that can use them. The speed "
        "run's network costs 2 million operations an image: 1,900 images for the whole budget. "
        "What would one with half as many channels cost?",
        "Count first: 6 × models.count_macs(model, (1, 28, 28)) for each image. From that and "
        "max_flop comes the number of steps, and from it the schedule, which should end at 0.",
        "models.make_fast_cnn((4, 8, 16, 32)) behind an nn.BatchNorm2d(1), batches of 32, SGD "
        "with Nesterov's momentum, a rate of 0.1 that climbs for 15 % of the steps and then falls "
        "in a line, label smoothing 0.1.",
    ),
    solution=train_in_budget,
    examine=_examine,
)
