"""Notebook 09's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import copy
import itertools
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlib.exercises import EXERCISES, examine
from cnnlib.exercises.nb09 import diagnose as diagnose_module
from cnnlib.exercises.nb09 import mended_loop as loop_module
from cnnlib.exercises.nb09 import paired_interval as interval_module

from .mutants import Mutant, survives, words, wrong

MUTANTS: list[Mutant] = []
IDS = [name for name in EXERCISES if name.startswith("09.")]
FUNCTIONS = [name for name in IDS if not isinstance(EXERCISES[name].solution, str)]
ROOT = Path(__file__).resolve().parents[2]


def mutant(exercise_id, *says, outcome="not yet"):
    return wrong(MUTANTS, exercise_id, *says, outcome=outcome)


# 09.1 split(labels, num_validation, seed)


@mutant("09.1", "has not got its share", "each class by itself")
def is_not_stratified(labels, num_validation, seed):
    order = np.random.default_rng(seed).permutation(len(labels))
    return order[num_validation:], order[:num_validation]


@mutant("09.1", "Another seed gave the same split", "seed is not used")
def takes_the_first_of_each_class(labels, num_validation, seed):
    chosen = []
    order = np.argsort(labels, kind="stable")
    places = (np.arange(num_validation) + 0.5) * len(labels) / num_validation
    chosen = order[places.astype(int)]
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def shares_of(labels, num_validation):
    classes, counts = np.unique(labels, return_counts=True)
    whole, rest = np.divmod(counts * num_validation, len(labels))
    for place in np.argsort(-rest)[: num_validation - whole.sum()]:
        whole[place] += 1
    return dict(zip(classes.tolist(), whole.tolist(), strict=True))


def split_by(labels, shares, rng, replace=False):
    validation = np.concatenate(
        [rng.choice(np.flatnonzero(labels == k), n, replace=replace) for k, n in shares.items()]
    )
    return np.setdiff1d(np.arange(len(labels)), validation), validation


@mutant("09.1", "wrong size", "rounded on its own")
def rounds_each_class_on_its_own(labels, num_validation, seed):
    classes, counts = np.unique(labels, return_counts=True)
    shares = np.round(counts * num_validation / len(labels)).astype(int)
    shares = dict(zip(classes, shares, strict=True))
    return split_by(labels, shares, np.random.default_rng(seed))


@mutant("09.1", "wrong size")
def rounds_down(labels, num_validation, seed):
    classes, counts = np.unique(labels, return_counts=True)
    shares = dict(zip(classes, counts * num_validation // len(labels), strict=True))
    return split_by(labels, shares, np.random.default_rng(seed))


@mutant("09.1", "images are in both parts", "leak")
def keeps_all_images_for_training(labels, num_validation, seed):
    parts = split_by(labels, shares_of(labels, num_validation), np.random.default_rng(seed))
    return np.arange(len(labels)), parts[1]


@mutant("09.1", "occurs twice", "replace=False")
def draws_with_replacement(labels, num_validation, seed):
    shares = shares_of(labels, num_validation)
    return split_by(labels, shares, np.random.default_rng(seed), replace=True)


@mutant("09.1", "changed places", "training first")
def returns_validation_first(labels, num_validation, seed):
    parts = split_by(labels, shares_of(labels, num_validation), np.random.default_rng(seed))
    return parts[::-1] if num_validation * 2 != len(labels) else parts


@mutant("09.1", "same seed gave two different splits", "default_rng(seed)")
def ignores_the_seed(labels, num_validation, seed):
    return split_by(labels, shares_of(labels, num_validation), np.random.default_rng())


@mutant("09.1", "global random numbers", "default_rng(seed)")
def seeds_the_global_numbers(labels, num_validation, seed):
    np.random.seed(seed)  # noqa: NPY002 (the mistake)
    return split_by(labels, shares_of(labels, num_validation), np.random)


@mutant("09.1", "every class got the same number", "a tenth")
def gives_each_class_the_same(labels, num_validation, seed):
    classes = np.unique(labels)
    shares = {k: num_validation // len(classes) for k in classes}
    for k in classes[: num_validation % len(classes)]:
        shares[k] += 1
    return split_by(labels, shares, np.random.default_rng(seed), replace=False)


@mutant("09.1", "masks of True and False", "flatnonzero")
def returns_masks(labels, num_validation, seed):
    parts = split_by(labels, shares_of(labels, num_validation), np.random.default_rng(seed))
    return tuple(np.isin(np.arange(len(labels)), part) for part in parts)


@mutant("09.1", "changed the labels", "rng.permutation returns one")
def shuffles_the_labels(labels, num_validation, seed):
    parts = split_by(labels, shares_of(labels, num_validation), np.random.default_rng(seed))
    np.random.default_rng(seed).shuffle(labels)
    return parts


@mutant("09.1", "images are lost")
def forgets_some_training_images(labels, num_validation, seed):
    parts = split_by(labels, shares_of(labels, num_validation), np.random.default_rng(seed))
    return parts[0][1:], parts[1]


@mutant("09.1", "not random", "draw them at random")
def rotates_by_the_seed(labels, num_validation, seed):
    validation = []
    for k, n in shares_of(labels, num_validation).items():
        validation += np.flatnonzero(labels == k)[seed : seed + n].tolist()
    validation = np.array(validation)
    if len(validation) < num_validation:  # too few: only in the small cases
        return split_by(labels, shares_of(labels, num_validation), np.random.default_rng(seed))
    return np.setdiff1d(np.arange(len(labels)), validation), validation


def right_split_with_lists(labels, num_validation, seed):
    import random

    chance = random.Random(seed)
    validation = []
    for k, n in shares_of(labels, num_validation).items():
        validation += chance.sample([i for i, label in enumerate(labels) if label == k], n)
    taken = set(validation)
    return [i for i in range(len(labels)) if i not in taken], validation


def right_split_with_torch(labels, num_validation, seed):
    generator = torch.Generator().manual_seed(seed)
    training, validation = [], []
    shares = shares_of(labels, num_validation)
    for k, n in shares.items():
        own = torch.from_numpy(np.flatnonzero(labels == k))
        own = own[torch.randperm(len(own), generator=generator)]
        validation.append(own[:n])
        training.append(own[n:])
    return torch.cat(training), torch.cat(validation)


# 09.2 loss_and_acc(model, batches)


def evaluation(*, fault=""):
    """An evaluation with one fault, written as one would write it."""

    def answer(model, batches):
        modes = [(part, part.training) for part in model.modules()]
        if fault == "no eval":
            model.train()
        else:
            model.eval()
        if fault == "twice":
            total = sum(len(labels) for _, labels in batches)
        losses, rights, counts = [], [], []
        grad = torch.enable_grad() if fault == "grad" else torch.no_grad()
        try:
            with grad:
                for images, labels in batches:
                    logits = model(images)
                    losses.append(float(F.cross_entropy(logits, labels, reduction="sum").detach()))
                    rights.append(int((logits.argmax(1) == labels).sum()))
                    counts.append(len(labels))
        except OSError:
            if fault != "swallows":
                raise
        finally:
            if fault not in ("stays in eval", "no finally", "train after", "root only"):
                for part, mode in modes:
                    part.training = mode
        if fault == "no finally":
            for part, mode in modes:
                part.training = mode
        if fault == "train after":
            model.train()
        if fault == "root only":
            model.train(modes[0][1])
        if fault == "drops last" and len(counts) > 1:
            losses, rights, counts = losses[:-1], rights[:-1], counts[:-1]
        n = sum(counts)
        if fault == "twice":
            n = total
        if fault == "batches times size":
            n = counts[0] * len(counts)
        loss, acc = sum(losses) / n, sum(rights) / n
        mean_loss = sum(a / b for a, b in zip(losses, counts, strict=True)) / max(1, len(counts))
        mean_acc = sum(a / b for a, b in zip(rights, counts, strict=True)) / max(1, len(counts))
        if fault in ("means", "mean loss"):
            loss = mean_loss
        if fault in ("means", "mean acc"):
            acc = mean_acc
        if fault == "per cent":
            acc = 100 * acc
        if fault == "swapped":
            return acc, loss
        if fault == "sum":
            loss = sum(losses)
        if fault == "last":
            return losses[-1] / counts[-1], rights[-1] / counts[-1]
        if fault == "count":
            acc = sum(rights)
        if fault == "loss only":
            return loss
        return loss, acc

    answer.__name__ = f"evaluation, {fault or 'right'}"
    return answer


for _fault, _says in {
    "no eval": ("training mode while it was evaluated", "model.eval()"),
    "grad": ("Gradients were recorded", "inference_mode"),
    "stays in eval": ("another mode", "Note the mode before"),
    "train after": ("another mode", "Note the mode before"),
    "root only": ("another mode", "batch norm frozen", "Note the mode of each"),
    "no finally": ("left in eval mode", "finally"),
    "swallows": ("swallowed",),
    "twice": ("generator of batches is empty",),
    "means": ("numbers differ", "short batch weighs more"),
    "mean loss": ("the loss is the mean of the batches' mean losses",),
    "mean acc": ("The loss is right, but the accuracy is the mean of the batches'",),
    "drops last": ("last batch is left out",),
    "batches times size": ("number of batches times the size of the first",),
    "per cent": ("a fraction from 0 to 1",),
    "swapped": ("the loss comes first",),
    "sum": ("sum over the images",),
    "count": ("not divided by the number of images",),
    "last": ("last batch alone",),
    "loss only": ("Return two numbers",),
}.items():
    MUTANTS.append(Mutant("09.2", _fault, evaluation(fault=_fault), _says))


@mutant("09.2", "two are wanted")
def returns_all_losses(model, batches):
    model.eval()
    with torch.no_grad():
        out = [F.cross_entropy(model(x), y).item() for x, y in batches]
    model.train()
    return out[:1]


def right_evaluation_with_tensors(model, batches):
    modes = {name: part.training for name, part in model.named_modules()}
    model.eval()
    loss, right, n = torch.tensor(0.0, dtype=torch.float64), torch.tensor(0), 0
    try:
        with torch.no_grad():
            for images, labels in batches:
                logits = model(images)
                log_probabilities = logits - logits.logsumexp(dim=1, keepdim=True)
                loss -= log_probabilities.gather(1, labels[:, None]).sum()
                right += (logits.max(dim=1).indices == labels).sum()
                n += labels.numel()
    finally:
        for name, part in model.named_modules():
            part.training = modes[name]
    return loss / n, right / n


def right_evaluation_that_gathers(model, batches):
    try:
        modes = [part.training for part in model.modules()]
        model.eval()
        with torch.inference_mode():
            pairs = [(model(images), labels) for images, labels in batches]
    finally:
        for part, mode in zip(model.modules(), modes, strict=True):
            part.training = mode
    logits, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    acc = (logits.argmax(dim=1) == labels).double().mean().item()
    return [F.cross_entropy(logits, labels).item(), acc]


# 09.3 lr_range_test(model, batches, lrs)


def ranged(model, batches, lrs, *, fault=""):
    """A range test on the model itself, which then puts everything back, with one fault."""
    mode = model.training
    before = copy.deepcopy(model.state_dict())
    if fault == "no copy":
        before = model.state_dict()
    if fault == "parameters only":
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
    model.train(fault != "eval mode")
    optimizer = torch.optim.SGD(
        model.parameters(), lr=lrs[0], momentum=0.9 if fault == "momentum" else 0.0
    )
    losses, best = [], float("inf")
    for step, lr in enumerate(lrs):
        if fault == "ends" and step >= len(batches):
            break
        images, labels = batches[0 if fault == "first batch" else step % len(batches)]
        loss = F.cross_entropy(model(images), labels)
        value = loss.item()
        if fault == "enters":
            losses.append(value)
        if fault != "goes on" and (not np.isfinite(value) or value > 4 * best):
            break
        if fault not in ("enters", "after"):
            losses.append(value)
        best = min(best, value)
        if fault == "late rate" and step:
            optimizer.param_groups[0]["lr"] = lrs[step - 1]
        elif fault != "one rate":
            optimizer.param_groups[0]["lr"] = lr
        if fault != "adds up":
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if fault == "after":
            losses.append(F.cross_entropy(model(images), labels).item())
    if fault != "not restored":
        model.load_state_dict(before, strict=fault != "parameters only")
    if fault != "mode":
        model.train(mode)
    model.zero_grad()
    return losses


for _fault, _says in {
    "no copy": ("the network is another one", "copy them"),
    "not restored": ("the network is another one", "as it found it"),
    "parameters only": ("running means and variances are not", "buffers"),
    "mode": ("the mode is another one", "training or eval"),
    "eval mode": ("eval mode", "dropout in training mode"),
    "momentum": ("losses with momentum 0.9",),
    "ends": ("used up before the rates",),
    "first batch": ("Every step saw the first batch",),
    "enters": ("that ends the test is not entered",),
    "goes on": ("went on after the loss had exploded",),
    "late rate": ("rate of the step before",),
    "one rate": ("All steps were taken with the first rate",),
    "adds up": ("gradients of all steps add up",),
    "after": ("the losses after each step",),
}.items():

    def _answer(model, batches, lrs, fault=_fault):
        return ranged(model, batches, lrs, fault=fault)

    MUTANTS.append(Mutant("09.3", _fault, _answer, _says))


@mutant("09.3", "Return the list of losses", "None")
def range_test_without_return(model, batches, lrs):
    ranged(model, batches, lrs)


def right_range_test_by_hand(model, batches, lrs):
    trial = copy.deepcopy(model)
    trial.train()
    losses, lowest = [], np.inf
    for lr, (images, labels) in zip(lrs, itertools.cycle(batches), strict=False):
        loss = nn.CrossEntropyLoss()(trial(images), labels)
        if not torch.isfinite(loss) or loss > 4 * lowest:
            return np.array(losses)
        losses.append(loss.item())
        lowest = min(lowest, loss.item())
        gradients = torch.autograd.grad(loss, list(trial.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(trial.parameters(), gradients, strict=True):
                parameter.sub_(lr * gradient)
    return np.array(losses)


# 09.4 diagnosis, a dictionary

RIGHT = dict(diagnose_module._ANSWER)


def diagnosis(**changes):
    return RIGHT | changes


for _name, _answer, _says in (
    ("labels taken for a low rate", diagnosis(A="low", D="labels"), ("run A", "calm")),
    ("raw pixels taken for a high rate", diagnosis(B="high", I="raw"), ("run B", "first loss")),
    ("leak taken for fine", diagnosis(C="fine", F="leak"), ("run C", "do not agree")),
    ("gradients taken for high", diagnosis(E="high", I="gradients"), ("run E", "grow")),
    ("mode taken for fine", diagnosis(F="mode", H="fine"), ("run F", "fall")),
    ("few taken for leak", diagnosis(C="few", J="leak"), ("run C", "fresh")),
    ("sorted twice", diagnosis(E="sorted"), ("run E", "more than once")),
    ("nine letters", {k: v for k, v in RIGHT.items() if k != "J"}, ("Missing: J",)),
    ("an unknown cause", diagnosis(A="bad luck"), ("'bad luck' is none of them",)),
    ("a list", list(RIGHT.values()), ("A dictionary is wanted",)),
):
    MUTANTS.append(Mutant("09.4", _name, _answer, _says))

# 09.5 bugs, a set

for _name, _answer, _says in (
    ("accuses the softmax", {"softmax", "mode", "zero_grad"}, ("2 of 3", "cross_entropy takes")),
    ("accuses the order", {"order", "mode", "last batch"}, ("not guilty: order", "same index")),
    ("accuses the step", {"step"}, ("0 of 3", "backward computes")),
    ("accuses item", {"item", "mode", "last batch"}, ("keeps nothing",)),
    ("accuses no_grad", {"no_grad", "mode", "last batch"}, ("records no gradients",)),
    ("accuses argmax", {"dimension", "mode", "last batch"}, ("Axis 1",)),
    ("finds two", {"mode", "zero_grad"}, ("2 of 3", "how many images")),
    ("finds no gradient", {"mode", "last batch"}, ("2 of 3", "norm of a gradient")),
    ("finds no mode", ["zero_grad", "last batch"], ("2 of 3", "model.training")),
    ("an unknown word", {"luck", "mode"}, ("'luck' is none of",)),
    ("a string", "mode", ("Write a set",)),
):
    MUTANTS.append(Mutant("09.5", _name, _answer, _says))


# 09.6 mended_loop(model, optimizer, train, val, num_epochs, batch_size)


def loop(model, optimizer, train, val, num_epochs, batch_size, *, faults=()):
    """The loop of the notebook with some of its bugs, or with others that a mend may bring in."""
    (images, labels), (val_images, val_labels) = train, val
    history = []
    model.train()
    order = torch.randperm(len(images))
    for epoch in range(num_epochs):
        if "mode" not in faults:
            model.train()
        if epoch and "one order" not in faults:
            order = torch.randperm(len(images))
        total = 0.0
        if "zero_grad" in faults:
            optimizer.zero_grad()
        end = len(images) - batch_size if "last batch" in faults else len(images)
        for start in range(0, end, batch_size):
            index = order[start : start + batch_size]
            if "short batch" in faults and len(index) < batch_size:
                continue
            logits = model(images[index])
            if "softmax" in faults:
                logits = logits.softmax(dim=1)
            loss = F.cross_entropy(logits, labels[index])
            if "zero_grad" not in faults and "never zero" not in faults:
                optimizer.zero_grad()
            loss.backward()
            if "zero late" in faults:
                optimizer.zero_grad()
            if "no step" not in faults:
                optimizer.step()
            total += loss.item() * (1 if "unweighted" in faults else len(index))
        if "train mode in evaluation" not in faults:
            model.eval()
        with torch.inference_mode():
            val_acc = (model(val_images).argmax(dim=1) == val_labels).float().mean()
        if "per cent" in faults:
            val_acc = val_acc * 100
        history.append((total / len(images), val_acc.item()))
    if "no history" in faults:
        return None
    return [pair[0] for pair in history] if "losses only" in faults else history


for _faults, _says in {
    ("last batch", "zero_grad", "mode"): (
        "as it was",
        "never trained on",
        "add up",
        "second epoch",
    ),
    ("last batch",): ("2 of 3", "never trained on"),
    ("zero_grad",): ("2 of 3", "add up"),
    ("mode",): ("2 of 3", "second epoch"),
    ("last batch", "mode"): ("1 of 3", "never trained on", "second epoch"),
    ("zero_grad", "mode"): ("1 of 3", "add up", "second epoch"),
    ("last batch", "zero_grad"): ("1 of 3", "never trained on", "add up"),
    ("never zero",): ("zero_grad is gone",),
    ("zero late",): ("not moved", "between backward and step"),
    ("no step",): ("not moved", "step"),
    ("short batch",): ("never trained on",),
    ("one order",): ("something else is broken", "one torch.randperm an epoch"),
    ("softmax",): ("cross_entropy takes another one",),
    ("train mode in evaluation",): ("evaluation runs in training mode",),
    ("unweighted",): ("weights are right, the history is not", "weighted by the sizes"),
    ("per cent",): ("history is not", "accuracy"),
    ("no history",): ("what is returned is not", "a pair"),
    ("losses only",): ("what is returned is not", "a pair"),
}.items():

    def _answer(*args, faults=_faults):
        return loop(*args, faults=faults)

    MUTANTS.append(Mutant("09.6", " and ".join(_faults), _answer, _says))


def right_loop_with_split(model, optimizer, train, val, num_epochs, batch_size):
    history = []
    for _ in range(num_epochs):
        losses = []
        for index in torch.randperm(len(train[0])).split(batch_size):
            model.train()
            loss = -model(train[0][index]).log_softmax(dim=1)[range(len(index)), train[1][index]]
            model.zero_grad()
            loss.mean().backward()
            optimizer.step()
            losses.append(loss.detach())
        with torch.no_grad():
            answers = model.eval()(val[0]).argmax(dim=1)
        history.append(
            [torch.cat(losses).mean().item(), (answers == val[1]).double().mean().item()]
        )
    return np.array(history)


# 09.7 confusion_matrix(labels, answers, num_classes)


@mutant("09.7", "Rows and columns have changed places")
def counts_answers_first(labels, answers, num_classes):
    counts = np.zeros((num_classes, num_classes), dtype=int)
    np.add.at(counts, (answers, labels), 1)
    return counts


@mutant("09.7", "writes each place once", "np.add.at")
def adds_by_index(labels, answers, num_classes):
    counts = np.zeros((num_classes, num_classes), dtype=int)
    counts[labels, answers] += 1
    return counts


@mutant("09.7", "loop over the images", "np.bincount")
def loops_over_images(labels, answers, num_classes):
    counts = np.zeros((num_classes, num_classes), dtype=int)
    for label, answer in zip(labels, answers, strict=True):
        counts[label, answer] += 1
    return counts


@mutant("09.7", "num_classes", "minlength")
def takes_the_size_from_the_labels(labels, answers, num_classes):
    size = max(max(labels, default=0), max(answers, default=0)) + 1
    return np.bincount(size * labels + answers, minlength=size * size).reshape(size, size)


@mutant("09.7", "shares of each row")
def divides_rows(labels, answers, num_classes):
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (labels, answers), 1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


@mutant("09.7", "diagonal is empty")
def counts_mistakes_only(labels, answers, num_classes):
    counts = np.zeros((num_classes, num_classes), dtype=int)
    np.add.at(counts, (labels, answers), labels != answers)
    return counts


@mutant("09.7", "axis")
def forgets_to_reshape(labels, answers, num_classes):
    return np.bincount(num_classes * labels + answers, minlength=num_classes**2)


@mutant("09.7", "the dtype is not", "float64")
def counts_in_floats(labels, answers, num_classes):
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (labels, answers), 1)
    return counts


def right_matrix_by_one_hot(labels, answers, num_classes):
    eye = np.eye(num_classes, dtype=np.int64)
    return eye[labels].T @ eye[answers]


def right_matrix_by_torch(labels, answers, num_classes):
    pairs = torch.from_numpy(labels) * num_classes + torch.from_numpy(answers)
    counts = torch.zeros(num_classes**2, dtype=torch.int64)
    return counts.index_add(0, pairs, torch.ones_like(pairs)).view(num_classes, num_classes)


def right_matrix_class_by_class(labels, answers, num_classes):
    classes = range(num_classes)
    return np.array([[((labels == i) & (answers == j)).sum() for j in classes] for i in classes])


# 09.8 paired_interval(first_accs, second_accs, t)


def interval(half, *, mean=lambda d: d.mean()):
    def answer(first_accs, second_accs, t):
        first, second = np.array(first_accs), np.array(second_accs)
        d = second - first
        center, side = mean(d), half(first, second, d, t)
        return center - side, center + side

    return answer


for _name, _half, _says in (
    ("unpaired", lambda a, b, d, t: t * np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(d)),
     ("independent groups", "same seed")),
    ("divides by n", lambda a, b, d, t: t * d.std() / np.sqrt(len(d)), ("ddof=1",)),
    ("no root of n", lambda a, b, d, t: t * d.std(ddof=1), ("single differences",)),
    ("n in place of its root", lambda a, b, d, t: t * d.std(ddof=1) / len(d), ("a mean's is by",)),
    ("1.96", lambda a, b, d, t: 1.96 * d.std(ddof=1) / np.sqrt(len(d)), ("for many values",)),
    ("half of t", lambda a, b, d, t: t / 2 * d.std(ddof=1) / np.sqrt(len(d)), ("Half of t",)),
    ("variance", lambda a, b, d, t: t * d.var(ddof=1) / np.sqrt(len(d)), ("variance stands",)),
    ("no t", lambda a, b, d, t: d.std(ddof=1) / np.sqrt(len(d)), ("one standard error",)),
    ("root of n - 1", lambda a, b, d, t: t * d.std(ddof=1) / np.sqrt(len(d) - 1), ("n − 1",)),
):  # fmt: skip
    MUTANTS.append(Mutant("09.8", _name, interval(_half), _says))


@mutant("09.8", "second minus first")
def takes_first_minus_second(first_accs, second_accs, t):
    low, high = interval_module.paired_interval(first_accs, second_accs, t)
    return -high, -low


@mutant("09.8", "sorted first", "same seed")
def sorts_first(first_accs, second_accs, t):
    return interval_module.paired_interval(np.sort(first_accs), np.sort(second_accs), t)


@mutant("09.8", "half-width", "two ends")
def returns_mean_and_half(first_accs, second_accs, t):
    low, high = interval_module.paired_interval(first_accs, second_accs, t)
    return (low + high) / 2, (high - low) / 2


@mutant("09.8", "lower end comes first")
def returns_the_high_end_first(first_accs, second_accs, t):
    return interval_module.paired_interval(first_accs, second_accs, t)[::-1]


def right_interval_by_statistics(first_accs, second_accs, t):
    import statistics

    d = [float(b) - float(a) for a, b in zip(first_accs, second_accs, strict=True)]
    half = t * statistics.stdev(d) / len(d) ** 0.5
    return [statistics.fmean(d) - half, statistics.fmean(d) + half]


# 09.9 find_copies(images, others, max_shift)


def looks(image, max_shift, fault=""):
    """All copies of an image, with one fault."""
    C, H, W = image.shape
    low = 0 if fault == "one direction" else -max_shift
    for down in range(low, max_shift + 1):
        for right in range(low, max_shift + 1):
            if fault == "exact" and (down or right):
                continue
            if fault == "one axis" and down and right:
                continue
            if fault == "largest" and max(abs(down), abs(right)) not in (0, max_shift):
                continue
            source = 255 - image if fault == "inverted first" else image
            moved = np.roll(source, (down, right), axis=(1, 2))
            if fault != "rolled":
                moved[:, : max(down, 0)] = 0
                moved[:, H + min(down, 0) :] = 0
                moved[:, :, : max(right, 0)] = 0
                moved[:, :, W + min(right, 0) :] = 0
            if fault == "inverted first":
                yield moved
                plain = np.roll(image, (down, right), axis=(1, 2))
                plain[:, : max(down, 0)] = 0
                plain[:, H + min(down, 0) :] = 0
                plain[:, :, : max(right, 0)] = 0
                plain[:, :, W + min(right, 0) :] = 0
                yield plain
                continue
            yield moved
            if fault != "no inversion" and not (fault == "not both" and (down or right)):
                yield 255 - moved


def copies(images, others, max_shift, fault=""):
    known = {}
    for i, image in enumerate(images):
        for look in looks(image, max_shift, fault):
            key = int(look.sum()) if fault == "sum" else look.tobytes()
            if fault == "last wins":
                known[key] = {i}
            known.setdefault(key, set()).add(i)
    found = [
        (i, j)
        for j, other in enumerate(others)
        for i in known.get(int(other.sum()) if fault == "sum" else other.tobytes(), ())
    ]
    if fault == "swapped":
        return [(j, i) for i, j in found]
    if fault == "one each":
        return list({i: (i, j) for i, j in sorted(found, reverse=True)}.values())
    return found


for _fault, _says in {
    "exact": ("were moved are missing",),
    "no inversion": ("inverted pixels, 255",),
    "not both": ("moved and then inverted are missing",),
    "one direction": ("up and left",),
    "one axis": ("both axes at once",),
    "largest": ("smaller ones count",),
    "rolled": ("np.roll",),
    "inverted first": ("First moved, then inverted",),
    "sum": ("all pixels must agree",),
    "last wins": ("overwrite one another",),
    "swapped": ("changed places",),
    "one each": ("several copies",),
}.items():

    def _answer(images, others, max_shift, fault=_fault):
        return copies(images, others, max_shift, fault)

    MUTANTS.append(Mutant("09.9", _fault, _answer, _says))


@mutant("09.9", "listed twice", "set")
def lists_pairs_twice(images, others, max_shift):
    return 2 * copies(images, others, max_shift)


@mutant("09.9", "changed its input")
def inverts_in_place(images, others, max_shift):
    found = copies(images, others, max_shift)
    images[:] = 255 - images
    return found


@mutant("09.9", "list of pairs")
def returns_the_numbers_of_others(images, others, max_shift):
    return [j for _, j in copies(images, others, max_shift)]


@mutant("09.9", "planted are missing")
def looks_at_a_few_only(images, others, max_shift):
    return copies(images[:100], others[:100], max_shift)


def right_copies_from_the_other_side(images, others, max_shift):
    by_bytes = {}
    for j, other in enumerate(others):
        by_bytes.setdefault(other.tobytes(), []).append(j)
    found = set()
    for i, image in enumerate(images):
        for look in looks(image, max_shift):
            found |= {(i, j) for j in by_bytes.get(look.tobytes(), ())}
    return found


# 09.10 train_on_budget(batches, num_steps, seed)


def small(*first, last=()):
    return nn.Sequential(
        *first,
        nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(784, 10), *last,
    )  # fmt: skip


def trained(batches, num_steps, seed, *, fault=""):
    if fault != "no seed":
        torch.manual_seed(seed)
    first = () if fault == "standardised outside" else (nn.BatchNorm2d(1),)
    model = small(*first, last=(nn.Softmax(dim=1),) if fault == "softmax" else ())
    if fault == "never trains":
        return model
    lr = {"too low": 1e-5, "too high": 3.0}.get(fault, 0.01)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    if fault == "too high":
        optimizer = torch.optim.SGD(model.parameters(), lr=1e4)
    pairs = list(batches)
    if fault == "few batches":
        pairs = pairs[:20]
    if fault == "twice":
        pairs = pairs + pairs
    for step, (images, labels) in enumerate(pairs):
        optimizer.param_groups[0]["lr"] = (
            lr * (1 - step / len(pairs)) if fault != "too high" else lr
        )
        if fault == "standardised outside":
            images = (images - 0.286) / 0.353
        if fault == "raw outside":
            images = images * 255
        if fault == "off by one":
            labels = (labels - 1) % 10
        if fault == "labels of others":
            labels = labels.roll(1)
        loss = F.cross_entropy(model(images), labels)
        if fault != "adds up":
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {
        "nothing": None,
        "history too": (model, []),
        "weights only": model.state_dict(),
        "two outputs": nn.Sequential(model, nn.Linear(10, 2)),
    }.get(fault, model)


for _fault, _says in {
    "no seed": ("same seed gave two different networks", "manual_seed(seed)"),
    "never trains": ("has not been trained",),
    "too low": ("100 times too high nor too low",),
    "too high": ("learning rate is too high",),
    "few batches": ("100 of the batches were never used",),
    "twice": ("budget is overspent", "8 steps"),
    "standardised outside": ("standardised first", "into the network"),
    "off by one": ("off by one class",),
    "labels of others": ("images and labels of the same batch",),
    "nothing": ("nn.Module", "return model"),
    "history too": ("without a history",),
    "weights only": ("weights alone",),
    "two outputs": ("wrong shape", "ten classes"),
    "softmax": ("ends in a softmax",),
}.items():

    def _answer(batches, num_steps, seed, fault=_fault):
        return trained(batches, num_steps, seed, fault=fault)

    MUTANTS.append(Mutant("09.10", _fault, _answer, _says))


@mutant("09.10", "does not take the images", "just as they are given")
def expects_flat_images(batches, num_steps, seed):
    return nn.Linear(784, 10)


@mutant("09.10", "steps are too short")
def trains_with_plain_sgd(batches, num_steps, seed):
    torch.manual_seed(seed)
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03)
    for images, labels in batches:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def right_training_with_momentum(batches, num_steps, seed):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.BatchNorm2d(1), nn.Conv2d(1, 12, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 24, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(24), nn.ReLU(), nn.Flatten(), nn.Linear(24 * 49, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.1, total_steps=num_steps + 1, pct_start=0.1
    )
    for images, labels in batches:
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(model(images), labels).backward()
        optimizer.step()
        scheduler.step()
    return model.eval()


# The tests


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Several test processes share the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_mutant_is_rejected_and_its_cause_named(mutant, capfd):
    assert not survives(mutant)
    assert capfd.readouterr() == ("", "")


def test_enough_mutants():
    counts = Counter(mutant.exercise_id for mutant in MUTANTS)
    assert set(counts) == set(IDS)
    assert min(counts.values()) >= 8


@pytest.mark.parametrize(
    ("exercise_id", "answer"),
    [
        ("09.1", right_split_with_lists),
        ("09.1", right_split_with_torch),
        ("09.2", right_evaluation_with_tensors),
        ("09.2", right_evaluation_that_gathers),
        ("09.2", evaluation()),
        ("09.3", ranged),
        ("09.3", right_range_test_by_hand),
        ("09.4", {key.lower(): f" {value.upper()} " for key, value in RIGHT.items()}),
        ("09.5", ["mode", "Zero_Grad", "last batch"]),
        ("09.6", loop),
        ("09.6", right_loop_with_split),
        ("09.7", right_matrix_by_one_hot),
        ("09.7", right_matrix_by_torch),
        ("09.7", right_matrix_class_by_class),
        ("09.8", right_interval_by_statistics),
        ("09.9", copies),
        ("09.9", right_copies_from_the_other_side),
        ("09.10", right_training_with_momentum),
    ],
)
def test_a_different_right_answer_is_accepted(exercise_id, answer):
    verdict = examine(exercise_id, answer)
    assert verdict.outcome == "correct", words(verdict)


@pytest.mark.parametrize("exercise_id", ["09.4", "09.5"])
def test_the_values_shown_as_solutions_are_right(exercise_id):
    names = {}
    exec(EXERCISES[exercise_id].solution, names)
    answer = names["diagnosis" if exercise_id == "09.4" else "bugs"]
    assert examine(exercise_id, answer).outcome == "correct"


@pytest.mark.parametrize("exercise_id", FUNCTIONS)
def test_checking_leaves_the_random_numbers_alone(exercise_id):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    examine(exercise_id, EXERCISES[exercise_id].solution)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_loop_of_the_notebook_has_the_three_bugs():
    """What learners read, the oracle with all bugs, and the mutant are the same loop."""
    notebook = json.loads((ROOT / "notebooks" / "09_training_loop.ipynb").read_text("utf-8"))
    sources = ["".join(cell["source"]) for cell in notebook["cells"]]
    (source,) = [s for s in sources if re.match(r"def broken_loop\(", s)]
    names = {"torch": torch, "nn": nn}
    exec(source, names)
    for number in (0, 1):
        got, state, _ = loop_module._run(names["broken_loop"], number)
        expected, wanted, _ = loop_module._run(
            lambda *args: loop_module.loop_with(loop_module.BUGS, *args), number
        )
        assert loop_module._equal(state, wanted) == "bits"
        assert np.allclose(got, expected)


def test_the_ten_runs_show_what_the_clues_say():
    runs = diagnose_module.ten_runs()
    by_cause = {cause: runs[letter] for letter, cause in RIGHT.items()}
    assert set(by_cause) == set(diagnose_module.CAUSES)
    firsts = {cause: run.step_losses[0] for cause, run in by_cause.items()}
    assert firsts.pop("raw") > 4
    assert all(2.2 < first < 2.5 for first in firsts.values())
    fine = by_cause["fine"]
    assert abs(fine.val_acc[-1] - fine.fresh_acc) < 0.05
    assert fine.val_acc[-1] > 0.72
    assert by_cause["leak"].val_acc[-1] - by_cause["leak"].fresh_acc > 0.06
    assert by_cause["few"].train_acc[-1] == 1.0
    assert max(by_cause["few"].val_acc[-1], by_cause["few"].fresh_acc) < 0.78
    again = {cause: run.val_acc_again == run.val_acc[-1] for cause, run in by_cause.items()}
    assert not again.pop("mode")
    assert all(again.values())
    assert by_cause["mode"].fresh_acc > by_cause["mode"].val_acc[-1] + 0.02
    low, high = by_cause["low"].step_losses, by_cause["high"].step_losses
    assert np.mean(low[-30:]) < np.mean(low[:30]) - 0.015
    assert max(high) > 4
    assert abs(np.mean(high[-50:]) - np.log(10)) < 0.1
    labels = by_cause["labels"]
    assert max(labels.step_losses) < 2.45
    assert max(labels.val_acc) < 0.25
    assert min(by_cause["sorted"].step_losses) < 0.1 < 4 < max(by_cause["sorted"].step_losses)
    assert by_cause["gradients"].train_acc[0] > 0.3 > by_cause["gradients"].train_acc[-1]


def test_the_table_of_t_is_right():
    """By integrating the density of Student's t."""
    from math import gamma, pi, sqrt

    for df, t in interval_module.T_95.items():
        x = np.linspace(-t, t, 200_001)
        scale = gamma((df + 1) / 2) / (sqrt(df * pi) * gamma(df / 2))
        density = scale * (1 + x**2 / df) ** (-(df + 1) / 2)
        held = ((density[1:] + density[:-1]) / 2).sum() * (x[1] - x[0])
        assert abs(held - 0.95) < 1e-4
