"""Notebook 13's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import ast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlib import data, models
from cnnlib.exercises import EXERCISES, examine, solution_source
from cnnlib.exercises.nb13 import loops, profiles, ring_workers, slow_loops, train_in_budget

from .mutants import Mutant, survives, words, wrong

MUTANTS: list[Mutant] = []


def mutant(exercise_id, *says, outcome="not yet"):
    return wrong(MUTANTS, exercise_id, *says, outcome=outcome)


def value(exercise_id, name, answer, *says):
    MUTANTS.append(Mutant(exercise_id, name, answer, says))


# 13.1 What are they waiting for?

BOUNDS = ast.literal_eval(solution_source("13.1").removeprefix("bounds = "))


def with_changed(right, **changes):
    return {**right, **changes}


value("13.1", "exchanges overhead and loading", with_changed(BOUNDS, A="loading", C="overhead"),
      "run A", "how long does one call take")  # fmt: skip
value("13.1", "exchanges memory and weights", with_changed(BOUNDS, D="memory", E="weights"),
      "run D", "what is large here")  # fmt: skip
value("13.1", "takes the peak for memory", with_changed(BOUNDS, B="memory"), "run B", "peak")
value("13.1", "says loading twice", with_changed(BOUNDS, A="loading"), "each cause occurs once")
value("13.1", "takes batch norm for arithmetic", with_changed(BOUNDS, E="arithmetic"), "run E",
      "for every number that it reads")  # fmt: skip
value("13.1", "takes the loader for overhead", with_changed(BOUNDS, C="overhead"), "run C",
      "no operator on tensors")  # fmt: skip
value("13.1", "a word of its own", with_changed(BOUNDS, A="python"), "Choose among")
value("13.1", "one missing", {k: v for k, v in BOUNDS.items() if k != "D"}, "Missing: D")
value("13.1", "a list", list(BOUNDS.values()), "dictionary")


# 13.2 conv_intensity


def size(length, kernel_size, stride, padding):
    return (length - kernel_size + 2 * padding) // stride + 1


@mutant("13.2", "two operations", "times 2")
def counts_macs(N, C, H, W, O, kernel_size, stride=1, padding=0, itemsize=4):
    h, w = (size(n, kernel_size, stride, padding) for n in (H, W))
    moved = N * (C * H * W + O * h * w) + O * C * kernel_size**2
    return N * O * h * w * C * kernel_size**2 / (itemsize * moved)


@mutant("13.2", "weights are missing")
def forgets_the_weights(N, C, H, W, O, kernel_size, stride=1, padding=0, itemsize=4):
    h, w = (size(n, kernel_size, stride, padding) for n in (H, W))
    return 2 * O * h * w * C * kernel_size**2 / (itemsize * (C * H * W + O * h * w))


@mutant("13.2", "output is missing")
def forgets_the_output(N, C, H, W, O, kernel_size, stride=1, padding=0, itemsize=4):
    h, w = (size(n, kernel_size, stride, padding) for n in (H, W))
    moved = N * C * H * W + O * C * kernel_size**2
    return 2 * N * O * h * w * C * kernel_size**2 / (itemsize * moved)


@mutant("13.2", "input images are missing")
def forgets_the_input(N, C, H, W, O, kernel_size, stride=1, padding=0, itemsize=4):
    h, w = (size(n, kernel_size, stride, padding) for n in (H, W))
    moved = N * O * h * w + O * C * kernel_size**2
    return 2 * N * O * h * w * C * kernel_size**2 / (itemsize * moved)


def intensity(N, C, H, W, O, k, h, w, itemsize=4, weights=1, values=None):
    values = N * C * H * W if values is None else values
    moved = values + N * O * h * w + weights * O * C * k * k
    return 2 * N * O * h * w * C * k * k / (itemsize * moved)


@mutant("13.2", "for every image")
def reads_the_weights_for_every_image(N, C, H, W, O, k, stride=1, padding=0, itemsize=4):
    h, w = (size(n, k, stride, padding) for n in (H, W))
    return intensity(N, C, H, W, O, k, h, w, itemsize, weights=N)


@mutant("13.2", "stride was ignored")
def ignores_stride(N, C, H, W, O, k, stride=1, padding=0, itemsize=4):
    h, w = (size(n, k, 1, padding) for n in (H, W))
    return intensity(N, C, H, W, O, k, h, w, itemsize)


@mutant("13.2", "padding was ignored")
def ignores_padding(N, C, H, W, O, k, stride=1, padding=0, itemsize=4):
    h, w = (size(n, k, stride, 0) for n in (H, W))
    return intensity(N, C, H, W, O, k, h, w, itemsize)


@mutant("13.2", "rounded up")
def rounds_the_size_up(N, C, H, W, O, k, stride=1, padding=0, itemsize=4):
    h, w = (-(-(n - k + 2 * padding) // stride) + 1 for n in (H, W))
    return intensity(N, C, H, W, O, k, h, w, itemsize)


@mutant("13.2", "itemsize was ignored")
def always_takes_four_bytes(N, C, H, W, O, k, stride=1, padding=0, itemsize=4):
    h, w = (size(n, k, stride, padding) for n in (H, W))
    return intensity(N, C, H, W, O, k, h, w)


@mutant("13.2", "itemsize bytes")
def divides_by_values(N, C, H, W, O, k, stride=1, padding=0, itemsize=4):
    h, w = (size(n, k, stride, padding) for n in (H, W))
    return intensity(N, C, H, W, O, k, h, w, 1)


@mutant("13.2", "upside down")
def turns_the_fraction(N, C, H, W, O, k, stride=1, padding=0, itemsize=4):
    h, w = (size(n, k, stride, padding) for n in (H, W))
    return 1 / intensity(N, C, H, W, O, k, h, w, itemsize)


@mutant("13.2", "im2col")
def counts_the_columns(N, C, H, W, O, k, stride=1, padding=0, itemsize=4):
    h, w = (size(n, k, stride, padding) for n in (H, W))
    return intensity(N, C, H, W, O, k, h, w, itemsize, values=N * C * k * k * h * w)


@mutant("13.2", "one image", "whole batch")
def moves_one_image(N, C, H, W, O, k, stride=1, padding=0, itemsize=4):
    h, w = (size(n, k, stride, padding) for n in (H, W))
    moved = C * H * W + O * h * w + O * C * k * k
    return 2 * N * O * h * w * C * k * k / (itemsize * moved)


# 13.3 images_per_s


def times(layers, batch_size, peak, bandwidth):
    for macs, activations, weights in layers:
        work = 2 * macs * batch_size / peak
        yield work, (activations * batch_size + weights) / bandwidth


@mutant("13.3", "two operations each")
def takes_macs_for_flop(layers, batch_size, peak, bandwidth, training):
    halved = [(m / 2, a, w) for m, a, w in layers]
    took = sum(max(pair) for pair in times(halved, batch_size, peak, bandwidth))
    return batch_size / (took * (3 if training else 1))


@mutant("13.3", "Whichever takes longer")
def takes_the_minimum(layers, batch_size, peak, bandwidth, training):
    took = sum(min(pair) for pair in times(layers, batch_size, peak, bandwidth))
    return batch_size / (took * (3 if training else 1)) if took else float("inf")


@mutant("13.3", "at the same time")
def adds_both_times(layers, batch_size, peak, bandwidth, training):
    took = sum(sum(pair) for pair in times(layers, batch_size, peak, bandwidth))
    return batch_size / (took * (3 if training else 1))


@mutant("13.3", "sums over all layers")
def compares_the_sums(layers, batch_size, peak, bandwidth, training):
    work, moved = zip(*times(layers, batch_size, peak, bandwidth), strict=True)
    return batch_size / (max(sum(work), sum(moved)) * (3 if training else 1))


@mutant("13.3", "once a batch")
def reads_weights_for_each_image(layers, batch_size, peak, bandwidth, training):
    each = [(m, a + w, 0) for m, a, w in layers]
    took = sum(max(pair) for pair in times(each, batch_size, peak, bandwidth))
    return batch_size / (took * (3 if training else 1))


@mutant("13.3", "bytes of the weights are missing")
def leaves_the_weights_out(layers, batch_size, peak, bandwidth, training):
    without = [(m, a, 0) for m, a, _ in layers]
    took = sum(max(pair) for pair in times(without, batch_size, peak, bandwidth))
    return batch_size / (took * (3 if training else 1))


@mutant("13.3", "three forward passes")
def takes_training_for_two_passes(layers, batch_size, peak, bandwidth, training):
    took = sum(max(pair) for pair in times(layers, batch_size, peak, bandwidth))
    return batch_size / (took * (2 if training else 1))


@mutant("13.3", "training was ignored")
def ignores_training(layers, batch_size, peak, bandwidth, training):
    return batch_size / sum(max(pair) for pair in times(layers, batch_size, peak, bandwidth))


@mutant("13.3", "seconds of a batch")
def returns_the_seconds(layers, batch_size, peak, bandwidth, training):
    took = sum(max(pair) for pair in times(layers, batch_size, peak, bandwidth))
    return took * (3 if training else 1)


@mutant("13.3", "batches a second")
def returns_batches(layers, batch_size, peak, bandwidth, training):
    took = sum(max(pair) for pair in times(layers, batch_size, peak, bandwidth))
    return 1 / (took * (3 if training else 1))


@mutant("13.3", "Only computing was counted")
def forgets_to_move(layers, batch_size, peak, bandwidth, training):
    took = sum(work for work, _ in times(layers, batch_size, peak, bandwidth))
    return batch_size / (took * (3 if training else 1))


# 13.4 Seven loops

FOUND = ast.literal_eval(solution_source("13.4").removeprefix("findings = "))
value("13.4", "misses the whole data set", with_changed(FOUND, boris="fine"), "boris",
      "largest input")  # fmt: skip
value("13.4", "misses the numbers", with_changed(FOUND, clara="fine"), "thousands of times")
value("13.4", "misses one by one", with_changed(FOUND, dmitri="fine"), "how many calls of conv2d")
value("13.4", "misses the second pass", with_changed(FOUND, elena="fine"), "how many backward")
value("13.4", "misses the growing one", with_changed(FOUND, george="fine"), "largest input")
value("13.4", "suspects preparing once", with_changed(FOUND, fatima="everything"), "once and for")
value("13.4", "suspects the good one", with_changed(FOUND, agnes="twice"), "nothing to save")
value("13.4", "takes growing for twice", with_changed(FOUND, george="twice"), "thousand steps")
value("13.4", "takes twice for growing", with_changed(FOUND, elena="growing"),
      "inputs of the same size")  # fmt: skip
value("13.4", "takes one by one for numbers", with_changed(FOUND, dmitri="numbers"), "192")
value("13.4", "takes the whole set for one by one", with_changed(FOUND, boris="one by one"),
      "96 images")  # fmt: skip
value("13.4", "a word of its own", with_changed(FOUND, clara="slow"), "Choose one of these words")
value("13.4", "a name too many", with_changed(FOUND, hugo="fine"), "keys are the 7 names")


# 13.5 train_in_budget


def plain_training(images, labels, max_flop, make, *, part=1.0, batch_size=32, lr=0.1, loss=None,
                   warm=True, standard=False, images_used=None):  # fmt: skip
    """A training like the solution's, written anew, for wrong ones to differ from."""
    model = make().to(memory_format=torch.channels_last)
    count = 6 * sum(models.macs_by_layer(model, (1, 28, 28)).values()) * batch_size
    num_steps = max(1, int(0.98 * part * max_flop / count))
    sgd = torch.optim.SGD(model.parameters(), lr, momentum=0.9, nesterov=True, weight_decay=0.002)
    loss = loss or nn.CrossEntropyLoss(label_smoothing=0.1)
    pool = len(images) if images_used is None else min(len(images), images_used)
    for step in range(num_steps):
        for group in sgd.param_groups:
            climb = min(1, (step + 1) / (0.15 * num_steps)) if warm else 1
            group["lr"] = lr * min(climb, (1 - step / num_steps) / 0.85)
        chosen = torch.randint(pool, (batch_size,))
        batch = (images[chosen] - 0.1307) / 0.3081 if standard else images[chosen]
        sgd.zero_grad()
        loss(model(batch), labels[chosen]).backward()
        sgd.step()
    return model


def narrow():
    return nn.Sequential(nn.BatchNorm2d(1), models.make_fast_cnn((4, 8, 16, 32)))


@mutant("13.5", "not been trained")
def does_not_train(images, labels, max_flop):
    return narrow()


@mutant("13.5", "overspent", "6 × MACs × images")
def takes_two_epochs_whatever_it_costs(images, labels, max_flop):
    return plain_training(images, labels, 20 * max_flop, narrow)


@mutant("13.5", "overspent")
def counts_the_forward_pass_alone(images, labels, max_flop):
    return plain_training(images, labels, 3 * max_flop, narrow)


@mutant("13.5", "million operations", "Fewer channels")
def takes_the_conventional_network(images, labels, max_flop):
    return plain_training(
        images,
        labels,
        max_flop,
        lambda: nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10),
        ),
        lr=0.01, batch_size=4,
    )  # fmt: skip


@mutant("13.5", "of the budget is spent")
def spends_a_tenth(images, labels, max_flop):
    return plain_training(images, labels, max_flop, narrow, part=0.1)


@mutant("13.5", "not finite")
def diverges(images, labels, max_flop):
    plain = lambda: nn.Sequential(nn.Conv2d(1, 4, 5, 2), nn.Flatten(), nn.Linear(576, 10))  # noqa: E731
    return plain_training(images, labels, max_flop / 4, plain, lr=1e4, warm=False)


@mutant("13.5", "standardising into the network")
def standardises_outside(images, labels, max_flop):
    def make():
        conv = nn.Conv2d(1, 8, 5, stride=4)
        return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))

    far = torch.full((), 5.0)
    model = plain_training(images, labels, max_flop / 4, make, standard=True, lr=0.02)
    with torch.no_grad():
        model[0].bias += 0 * far
    return model


@mutant("13.5", "softmax")
def ends_in_a_softmax(images, labels, max_flop):
    make = lambda: nn.Sequential(*narrow(), nn.Softmax(dim=1))  # noqa: E731
    return plain_training(images, labels, max_flop, make, loss=nn.CrossEntropyLoss())


@mutant("13.5", "one logit")
def has_nine_classes(images, labels, max_flop):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 9))


@mutant("13.5", "network alone", outcome="not yet")
def returns_weights(images, labels, max_flop):
    return narrow().state_dict()


MUTANTS[-1] = Mutant("13.5", "returns the weights", returns_weights, ("weights alone",))


@mutant("13.5", "without a history")
def returns_a_pair(images, labels, max_flop):
    return narrow(), [1.0]


@mutant("13.5", "from elsewhere", "other names")
def brings_the_test_images_along(images, labels, max_flop):
    digits = data.load_mnist()
    own = torch.from_numpy(digits.test_images).float() / 255, torch.from_numpy(digits.test_labels)
    return plain_training(*own, max_flop, narrow)


@mutant("13.5", "does not take the images")
def wants_colours(images, labels, max_flop):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(2704, 10))


@mutant("13.5", "knows its training images better")
def learns_few_images_by_heart(images, labels, max_flop):
    return plain_training(images, labels, max_flop, narrow, images_used=300)


# 13.6 accumulate


def pieces(images, labels, max_images):
    for start in range(0, len(images), max_images):
        yield images[start : start + max_images], labels[start : start + max_images]


@mutant("13.6", "mean of the parts' means")
def averages_the_means(model, images, labels, max_images):
    model.zero_grad()
    parts = list(pieces(images, labels, max_images))
    for x, y in parts:
        (F.cross_entropy(model(x), y) / len(parts)).backward()
    return 0.0


@mutant("13.6", "added without weights")
def forgets_to_divide(model, images, labels, max_images):
    model.zero_grad()
    for x, y in pieces(images, labels, max_images):
        F.cross_entropy(model(x), y).backward()
    return 0.0


@mutant("13.6", "sum over all images")
def leaves_the_sum(model, images, labels, max_images):
    model.zero_grad()
    for x, y in pieces(images, labels, max_images):
        F.cross_entropy(model(x), y, reduction="sum").backward()
    return 0.0


@mutant("13.6", "as if it had max_images images")
def takes_every_part_for_full(model, images, labels, max_images):
    model.zero_grad()
    for x, y in pieces(images, labels, max_images):
        (F.cross_entropy(model(x), y) * max_images / len(images)).backward()
    return 0.0


@mutant("13.6", "last part is not full")
def divides_by_full_parts(model, images, labels, max_images):
    model.zero_grad()
    parts = list(pieces(images, labels, max_images))
    for x, y in parts:
        loss = F.cross_entropy(model(x), y, reduction="sum")
        (loss / (max_images * len(parts))).backward()
    return 0.0


@mutant("13.6", "Only the last part is left")
def zeroes_for_each_part(model, images, labels, max_images):
    for x, y in pieces(images, labels, max_images):
        model.zero_grad()
        (F.cross_entropy(model(x), y, reduction="sum") / len(images)).backward()
    return 0.0


@mutant("13.6", "smaller part was left out")
def drops_the_rest(model, images, labels, max_images):
    model.zero_grad()
    for x, y in pieces(images, labels, max_images):
        if len(x) == min(max_images, len(images)):
            (F.cross_entropy(model(x), y, reduction="sum") / len(images)).backward()
    return 0.0


@mutant("13.6", "earlier step")
def never_zeroes(model, images, labels, max_images):
    total = 0.0
    for x, y in pieces(images, labels, max_images):
        loss = F.cross_entropy(model(x), y, reduction="sum") / len(images)
        loss.backward()
        total += loss.item()
    return total


@mutant("13.6", "went through the network at once", "max_images")
def takes_all_at_once(model, images, labels, max_images):
    model.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    return loss.item()


@mutant("13.6", "in memory at once", "backward for each part")
def calls_backward_at_the_end(model, images, labels, max_images):
    model.zero_grad()
    total = 0.0
    for x, y in pieces(images, labels, max_images):
        total = total + F.cross_entropy(model(x), y, reduction="sum") / len(images)
    total.backward()
    return total.item()


def gradients_right(model, images, labels, max_images):
    model.zero_grad()
    losses = []
    for x, y in pieces(images, labels, max_images):
        loss = F.cross_entropy(model(x), y)
        (loss * len(x) / len(images)).backward()
        losses.append(loss.item())
    return losses


@mutant("13.6", "mean of the parts' means", "gradients are right")
def returns_the_mean_of_means(model, images, labels, max_images):
    losses = gradients_right(model, images, labels, max_images)
    return sum(losses) / len(losses)


@mutant("13.6", "last part alone")
def returns_the_last_loss(model, images, labels, max_images):
    return gradients_right(model, images, labels, max_images)[-1]


@mutant("13.6", "return the mean loss", "does it end in a return")
def returns_nothing(model, images, labels, max_images):
    gradients_right(model, images, labels, max_images)


@mutant("13.6", "No step is asked for")
def takes_a_step(model, images, labels, max_images):
    losses = gradients_right(model, images, labels, max_images)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    return losses[0]


@mutant("13.6", "no gradient in .grad")
def computes_them_beside(model, images, labels, max_images):
    model.zero_grad()
    for x, y in pieces(images, labels, max_images):
        torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))
    return 0.0


# 13.7 joined_statistics


def both(var, n):
    return var, var * n / (n - 1)


@mutant("13.7", "within")
def averages_variances(counts, means, variances):
    shares = counts[:, None] / counts.sum()
    return (shares * means).sum(0), *both((shares * variances).sum(0), counts.sum())


@mutant("13.7", "Means of the workers' means")
def averages_everything(counts, means, variances):
    return means.mean(0), *both(variances.mean(0), counts.sum())


@mutant("13.7", "the same weight")
def weighs_all_alike(counts, means, variances):
    mean = means.mean(0)
    return mean, *both(variances.mean(0) + ((means - mean) ** 2).mean(0), counts.sum())


@mutant("13.7", "not the mean of the means")
def averages_the_means_only(counts, means, variances):
    shares, mean = counts[:, None] / counts.sum(), means.mean(0)
    right = (shares * means).sum(0)
    var = (shares * (variances + (means - right) ** 2)).sum(0)
    return mean, *both(var, counts.sum())


@mutant("13.7", "around the plain mean")
def spreads_around_the_plain_mean(counts, means, variances):
    shares = counts[:, None] / counts.sum()
    var = (shares * (variances + (means - means.mean(0)) ** 2)).sum(0)
    return (shares * means).sum(0), *both(var, counts.sum())


def right_parts(counts, means, variances):
    n, shares = counts.sum(), counts[:, None] / counts.sum()
    mean = (shares * means).sum(0)
    return n, mean, (shares * (variances + (means - mean) ** 2)).sum(0)


@mutant("13.7", "should be the unbiased")
def keeps_the_biased_one(counts, means, variances):
    n, mean, var = right_parts(counts, means, variances)
    return mean, var, var


@mutant("13.7", "upside down")
def turns_the_factor(counts, means, variances):
    n, mean, var = right_parts(counts, means, variances)
    return mean, var, var * (n - 1) / n


@mutant("13.7", "changed places")
def exchanges_the_variances(counts, means, variances):
    n, mean, var = right_parts(counts, means, variances)
    return mean, var * n / (n - 1), var


@mutant("13.7", "n workers")
def corrects_with_the_workers(counts, means, variances):
    n, mean, var = right_parts(counts, means, variances)
    return mean, *both(var, len(counts) if len(counts) > 1 else n)


@mutant("13.7", "missing")
def leaves_out_what_is_within(counts, means, variances):
    n, mean, _ = right_parts(counts, means, variances)
    between = (counts[:, None] / n * (means - mean) ** 2).sum(0)
    return mean, *both(between, n)


@mutant("13.7", "squared")
def does_not_square(counts, means, variances):
    n, mean, _ = right_parts(counts, means, variances)
    return mean, *both((counts[:, None] / n * (variances + abs(means - mean))).sum(0), n)


@mutant("13.7", "on its own")
def corrects_each_worker(counts, means, variances):
    n, mean, var = right_parts(counts, means, variances)
    own = variances * (counts / (counts - 1))[:, None]
    return mean, var, (counts[:, None] / n * (own + (means - mean) ** 2)).sum(0)


# 13.8 ring_all_reduce


def chunks_of(values, n):
    return [c.copy() for c in np.array_split(values, n)]


def ring(values, rank, n, send, receive, *, gather=True, shift=0, start=1, add=True):
    """A ring written with numbers of the chunk that is on the move, for wrong ones to change."""
    parts, at = chunks_of(values, n), rank
    for _ in range(n - 1):
        send(parts[at])
        at = (at - 1 + shift) % n
        came = receive()
        if add:
            came = came + parts[at]
        parts[at] = came
    if gather:
        at = (rank + start) % n
        for _ in range(n - 1):
            send(parts[at])
            at = (at - 1) % n
            parts[at] = receive()
    return np.concatenate(parts)


@mutant("13.8", "That is the sum")
def forgets_the_average(values, rank, num_workers, send, receive):
    return ring(values, rank, num_workers, send, receive)


@mutant("13.8", "divided by the number of workers twice")
def averages_twice(values, rank, num_workers, send, receive):
    return ring(values, rank, num_workers, send, receive) / num_workers**2


@mutant("13.8", "all-gather", "one chunk right")
def stops_after_the_reduce_scatter(values, rank, num_workers, send, receive):
    return ring(values, rank, num_workers, send, receive, gather=False) / num_workers


@mutant("13.8", "own values", "nothing that came in was used")
def ignores_what_comes(values, rank, num_workers, send, receive):
    for _ in range(2 * num_workers - 2):
        send(values[:1])
        receive()
    return values.copy()


@mutant("13.8", "Follow one chunk around")
def gathers_one_chunk_too_early(values, rank, num_workers, send, receive):
    return ring(values, rank, num_workers, send, receive, start=0) / num_workers


@mutant("13.8", "counted 2 times", "takes the place")
def adds_in_both_phases(values, rank, num_workers, send, receive):
    parts = chunks_of(values, num_workers)
    for step in range(2 * num_workers - 2):
        send(parts[(rank - step) % num_workers])
        parts[(rank - step - 1) % num_workers] += receive()
    return np.concatenate(parts) / num_workers


@mutant("13.8", "chunk")
def replaces_in_both_phases(values, rank, num_workers, send, receive):
    return ring(values, rank, num_workers, send, receive, add=False)


@mutant("13.8", "left over", "divisible")
def loses_what_is_left_over(values, rank, num_workers, send, receive):
    length = len(values) // num_workers * num_workers
    return ring(values[:length], rank, num_workers, send, receive) / num_workers


@mutant("13.8", "last 1 are not", "divisible")
def leaves_the_rest_as_it_was(values, rank, num_workers, send, receive):
    length = len(values) // num_workers * num_workers
    done = ring(values[:length], rank, num_workers, send, receive) / num_workers
    return np.concatenate([done, values[length:]])


@mutant("13.8", "whole arrays", "gets by with less")
def sends_everything(values, rank, num_workers, send, receive):
    total, moving = values.copy(), values
    for _ in range(num_workers - 1):
        send(moving)
        moving = receive()
        total += moving
    send(total)  # and once more, so that there is something to check
    receive()
    return (total / num_workers).astype(values.dtype)


@mutant("13.8", "deadlock", "all receive first")
def receives_first(values, rank, num_workers, send, receive):
    parts = chunks_of(values, num_workers)
    for step in range(num_workers - 1):
        parts[(rank - step - 1) % num_workers] += receive()
        send(parts[(rank - step) % num_workers])
    return np.concatenate(parts)


@mutant("13.8", "deadlock", "same step")
def receives_once_too_often(values, rank, num_workers, send, receive):
    done = ring(values, rank, num_workers, send, receive)
    receive()
    return done / num_workers


@mutant("13.8", "deadlock", "all workers do the same")
def the_first_worker_does_not_send(values, rank, num_workers, send, receive):
    if rank:
        send(values)
    return receive() / num_workers


@mutant("13.8", "never received")
def sends_once_too_often(values, rank, num_workers, send, receive):
    done = ring(values, rank, num_workers, send, receive)
    send(done)
    return done / num_workers


@mutant("13.8", "messages and was stopped")
def sends_for_ever(values, rank, num_workers, send, receive):
    while True:
        send(values)


@mutant("13.8", "values was changed")
def works_in_place(values, rank, num_workers, send, receive):
    values[...] = ring(values, rank, num_workers, send, receive) / num_workers
    return values.copy()


@mutant("13.8", "That is a chunk", "all-gather")
def returns_its_chunk(values, rank, num_workers, send, receive):
    parts = chunks_of(values, num_workers)
    for step in range(num_workers - 1):
        send(parts[(rank - step) % num_workers])
        parts[(rank - step - 1) % num_workers] += receive()
    return parts[(rank + 1) % num_workers] / num_workers


@mutant("13.8", "does it end in a return")
def ring_returns_nothing(values, rank, num_workers, send, receive):
    ring(values, rank, num_workers, send, receive)


@mutant("13.8", "became another dtype")
def works_in_float64(values, rank, num_workers, send, receive):
    return ring(values.astype(np.float64), rank, num_workers, send, receive) / num_workers


@mutant("13.8", "worker: 1", outcome="error")
def one_worker_stops(values, rank, num_workers, send, receive):
    if rank == 1:
        raise RuntimeError("no such chunk")
    return ring(values, rank, num_workers, send, receive) / num_workers


# 13.9 amdahl


@mutant("13.9", "No time is negative")
def lets_it_be_negative(one_s, many_s, num_workers, wanted_workers):
    s = (num_workers * many_s - one_s) / (num_workers - 1)
    fast = one_s / (s + (one_s - s) / wanted_workers)
    return s, fast, one_s / s if s else float("inf")


def after(s, one_s, wanted_workers):
    return one_s / (s + (one_s - s) / wanted_workers), one_s / s if s > 0 else float("inf")


def serial(one_s, many_s, n):
    return max(0.0, (n * many_s - one_s) / (n - 1))


@mutant("13.9", "Divide by (1 − 1 / num_workers)")
def subtracts_only(one_s, many_s, num_workers, wanted_workers):
    s = max(0.0, many_s - one_s / num_workers)
    return s, *after(s, one_s, wanted_workers)


@mutant("13.9", "fraction")
def returns_the_fraction(one_s, many_s, num_workers, wanted_workers):
    s = serial(one_s, many_s, num_workers)
    return s / one_s, *after(s, one_s, wanted_workers)


@mutant("13.9", "changed places")
def exchanges_the_parts(one_s, many_s, num_workers, wanted_workers):
    s = one_s - serial(one_s, many_s, num_workers)
    return s, *after(s, one_s, wanted_workers)


@mutant("13.9", "is a time")
def returns_a_time(one_s, many_s, num_workers, wanted_workers):
    s = serial(one_s, many_s, num_workers)
    return s, s + (one_s - s) / wanted_workers, after(s, one_s, 1)[1]


@mutant("13.9", "speed-up is upside down")
def turns_the_speed_up(one_s, many_s, num_workers, wanted_workers):
    s = serial(one_s, many_s, num_workers)
    fast, limit = after(s, one_s, wanted_workers)
    return s, 1 / fast, limit


@mutant("13.9", "what does not")
def divides_everything(one_s, many_s, num_workers, wanted_workers):
    s = serial(one_s, many_s, num_workers)
    return s, float(wanted_workers), after(s, one_s, 1)[1]


@mutant("13.9", "limit divides by")
def takes_the_wrong_limit(one_s, many_s, num_workers, wanted_workers):
    s = serial(one_s, many_s, num_workers)
    fast, _ = after(s, one_s, wanted_workers)
    return s, fast, one_s / (one_s - s) if one_s > s else float("inf")


@mutant("13.9", "limit is upside down")
def turns_the_limit(one_s, many_s, num_workers, wanted_workers):
    s = serial(one_s, many_s, num_workers)
    return s, after(s, one_s, wanted_workers)[0], s / one_s


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_wrong_answers_are_rejected_for_the_right_reason(mutant):
    assert not survives(mutant), survives(mutant)


# Right answers, written in another way


def intensity_by_torch(N, C, H, W, O, kernel_size, stride=1, padding=0, itemsize=4):
    images, weight = np.zeros((N, C, H, W), np.int8), np.zeros((O, C, kernel_size, kernel_size))
    output = F.conv2d(torch.from_numpy(images).float(), torch.from_numpy(weight).float(),
                      stride=stride, padding=padding)  # fmt: skip
    moved = itemsize * (images.size + weight.size + output.numel())
    return np.float64(2 * output.numel() * weight[0].size) / moved


def rate_by_array(layers, batch_size, peak, bandwidth, training):
    table = np.array(layers, dtype=np.float64)
    work = 2 * table[:, 0] * batch_size / peak
    moved = (table[:, 1] * batch_size + table[:, 2]) / bandwidth
    return batch_size / np.where(work > moved, work, moved).sum() / (1 + 2 * training)


def training_with_adam(images, labels, max_flop):
    """Another network, another optimizer, a schedule of torch's own."""
    model = nn.Sequential(
        nn.AvgPool2d(2), nn.BatchNorm2d(1), nn.Conv2d(1, 12, 3), nn.BatchNorm2d(12), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(12, 24, 3), nn.BatchNorm2d(24), nn.ReLU(), nn.Flatten(),
        nn.Linear(24 * 16, 10),
    )  # fmt: skip
    num_steps = int(0.98 * max_flop / (6 * models.count_macs(model, (1, 28, 28)) * 32))
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=0.01, total_steps=num_steps + 1)
    order = torch.cat([torch.randperm(len(images)) for _ in range(1 + 32 * num_steps // 512)])
    for step in range(num_steps):
        chosen = order[32 * step : 32 * step + 32]
        F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
        adam.step()
        adam.zero_grad()
        schedule.step()
    return model


def accumulated_by_grad(model, images, labels, max_images):
    """autograd.grad for each part, summed by hand."""
    sums, total = [torch.zeros_like(p) for p in model.parameters()], 0.0
    for start in range(0, len(images), max_images):
        part, answers = images[start : start + max_images], labels[start : start + max_images]
        loss = -model(part).log_softmax(dim=1).gather(1, answers[:, None]).sum()
        for kept, grad in zip(sums, torch.autograd.grad(loss, list(model.parameters())),
                              strict=True):  # fmt: skip
            kept += grad / len(images)
        total += loss.detach() / len(images)
    for parameter, grad in zip(model.parameters(), sums, strict=True):
        parameter.grad = grad
    return total


def statistics_one_by_one(counts, means, variances):
    """Workers join one after the other (Chan, Golub and LeVeque)."""
    n, mean, squares = 0, np.zeros(means.shape[1]), np.zeros(means.shape[1])
    for count, own, var in zip(counts, means, variances, strict=True):
        if count:
            delta, joined = own - mean, n + count
            squares = squares + count * var + delta**2 * n * count / joined
            mean, n = mean + delta * count / joined, joined
    return [torch.from_numpy(v) for v in (mean, squares / n, squares / (n - 1))]


def ring_with_slices(values, rank, num_workers, send, receive):
    """One array and slices of it, with the sums gathered in place."""
    bounds = [len(values) * k // num_workers for k in range(num_workers + 1)]
    total = values.copy()
    for step in range(2 * (num_workers - 1)):
        out, into = (rank - step) % num_workers, (rank - step - 1) % num_workers
        send(total[bounds[out] : bounds[out + 1]])
        place = slice(bounds[into], bounds[into + 1])
        total[place] = receive() + (total[place] if step < num_workers - 1 else 0)
    return total / np.array(num_workers, total.dtype)


def amdahl_by_fractions(one_s, many_s, num_workers, wanted_workers):
    parallel = (1 - many_s / one_s) / (1 - 1 / num_workers)
    parallel = min(1.0, parallel)
    speedup = 1 / (1 - parallel + parallel / wanted_workers)
    with np.errstate(divide="ignore"):
        return [(1 - parallel) * one_s, speedup, np.float64(1.0) / (1 - parallel)]


RIGHT = {
    "13.2": intensity_by_torch,
    "13.3": rate_by_array,
    "13.5": training_with_adam,
    "13.6": accumulated_by_grad,
    "13.7": statistics_one_by_one,
    "13.8": ring_with_slices,
    "13.9": amdahl_by_fractions,
}


@pytest.mark.parametrize("exercise_id", RIGHT)
def test_a_right_answer_of_another_kind_is_accepted(exercise_id):
    verdict = examine(exercise_id, RIGHT[exercise_id])
    assert verdict.outcome == "correct", words(verdict)


def test_every_exercise_has_mutants():
    counts = {name: 0 for name in EXERCISES if name.startswith("13.")}
    for mutant in MUTANTS:
        counts[mutant.exercise_id] += 1
    assert min(counts.values()) >= 8, counts


# What the exercises stand on


@pytest.mark.parametrize("name", loops.LOOPS)
def test_all_loops_do_the_same_training(name):
    assert loops.LOOPS[name]() == pytest.approx(loops.agnes(), abs=1e-5)


def counts_in(name):
    rows = [line.split(maxsplit=2) for line in loops.table(name).splitlines()[1:]]
    return {row[0].removeprefix("aten::"): (int(row[1]), row[2] if row[2:] else "") for row in rows}


def test_the_counts_of_the_loops_tell_what_is_wrong(monkeypatch):
    monkeypatch.setenv("KINETO_LOG_LEVEL", "99")
    counts = {name: counts_in(name) for name in loops.LOOPS}
    calls = {name: {op: n for op, (n, _) in row.items()} for name, row in counts.items()}
    assert {n for n in calls if calls[n]["conv2d"] > 12} == {"dmitri", "elena", "george"}
    assert {n for n in calls if calls[n]["convolution_backward"] > 12} == {"dmitri"}
    assert {n for n in calls if calls[n]["item"] > 6} == {"clara"}
    assert counts["boris"]["div"] == (6, "(96, 1, 12, 12)")
    assert counts["fatima"]["div"] == (1, "(96, 1, 12, 12)")
    assert counts["george"]["conv2d"][1].startswith("(96,")
    assert set(slow_loops.CAUSES) - set(FOUND.values()) == {"forgotten"}


def test_profiles_are_sorted_and_their_shares_fit():
    assert list(profiles.PROFILES) == sorted(BOUNDS)
    for profile in profiles.PROFILES.values():
        shares = [row[1] for row in profile.rows]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) <= 100
        for _, share, calls, micros in profile.rows:  # the columns belong together
            assert calls * micros / 1000 == pytest.approx(share / 100 * profile.step_ms, rel=0.5,
                                                          abs=0.05 * profile.step_ms)  # fmt: skip


def test_a_deadlock_is_noticed_at_once():
    import time

    start = time.perf_counter()
    outcome = ring_workers.run_workers(receives_first, [np.zeros(4)] * 3)
    assert outcome.stuck == [0, 1, 2]
    assert time.perf_counter() - start < 2


def test_a_loop_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(ring_workers, "MAX_IDLE_S", 0.2)
    stop = []

    def never_ends(values, rank, num_workers, send, receive):
        while not stop:
            pass
        return values

    verdict = examine("13.8", lambda *args: never_ends(*args) if args[2] > 1 else args[0])
    stop.append(True)
    assert "without end" in verdict.cause


def test_the_digits_of_the_budget_are_turned_and_renamed():
    (images, labels), (held_out, held_labels) = train_in_budget._digits()
    digits = data.load_mnist()
    assert images.shape == (20_000, 1, 28, 28)
    assert held_out.shape == (5000, 1, 28, 28)
    upright = torch.from_numpy(digits.train_images[:20_000]).float() / 255
    assert torch.equal(images, upright.transpose(2, 3))
    assert sorted(train_in_budget.NEW_NAMES) == list(range(10))
    assert all(new != old for old, new in enumerate(train_in_budget.NEW_NAMES))
    assert len(held_labels.unique()) == len(labels.unique()) == 10
