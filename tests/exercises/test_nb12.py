"""Notebook 12's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import itertools
import math
import os
import shutil
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlib.exercises import EXERCISES, examine
from cnnlib.exercises.nb12.next_scale import next_scale

from .mutants import Mutant, survives, words, wrong

MUTANTS: list[Mutant] = []
IDS = [name for name in EXERCISES if name.startswith("12.")]


def mutant(exercise_id, *says, outcome="not yet"):
    return wrong(MUTANTS, exercise_id, *says, outcome=outcome)


# 12.1 How long will it take?


@mutant("12.1", "factor of 2", "product and a sum")
def counts_a_multiply_add_once(macs, num_images, epochs, gflops):
    return 3 * macs * num_images * epochs / gflops / 1e9


@mutant("12.1", "only the forward pass")
def counts_forward_only(macs, num_images, epochs, gflops):
    return 2 * macs * num_images * epochs / (gflops * 1e9)


@mutant("12.1", "4 FLOP", "no more than forward")
def takes_backward_for_as_much_as_forward(macs, num_images, epochs, gflops):
    forward = 2 * macs
    return (forward + forward) * num_images * epochs / (gflops * 1e9)


@mutant("12.1", "factor of 6")
def counts_macs_and_nothing_else(macs, num_images, epochs, gflops):
    return macs * num_images * epochs / (gflops * 1e9)


@mutant("12.1", "epochs are forgotten")
def forgets_the_epochs(macs, num_images, epochs, gflops):
    return 6 * macs * num_images / (gflops * 1e9)


@mutant("12.1", "one image")
def forgets_the_images(macs, num_images, epochs, gflops):
    return 6 * macs * epochs / (gflops * 1e9)


@mutant("12.1", "in billions", "1e9")
def forgets_the_giga(macs, num_images, epochs, gflops):
    return 6 * macs * num_images * epochs / gflops


@mutant("12.1", "1e6 was used")
def takes_giga_for_mega(macs, num_images, epochs, gflops):
    return 6 * macs * num_images * epochs / (gflops * 1e6)


@mutant("12.1", "upside down")
def divides_rate_by_work(macs, num_images, epochs, gflops):
    return gflops * 1e9 / (6 * macs * num_images * epochs)


@mutant("12.1", "minutes")
def answers_in_minutes(macs, num_images, epochs, gflops):
    return 6 * macs * num_images * epochs / (gflops * 1e9) / 60


@mutant("12.1", "cuts off the fraction")
def divides_with_two_slashes(macs, num_images, epochs, gflops):
    return 6 * macs * num_images * epochs // (gflops * 1e9)


# 12.2 Sixteen bits by hand


def as_floats(bits):
    return bits.astype(np.uint32).view(np.float32)


@mutant("12.2", "cut off", "towards 0")
def truncates(values):
    return as_floats(values.view(np.uint32) & 0xFFFF0000)


@mutant("12.2", "cut off", "towards 0")
def truncates_with_nan_kept(values):
    return np.where(np.isnan(values), values, as_floats((values.view(np.uint32) >> 16) << 16))


@mutant("12.2", "tie", "away from 0", "treat NaN by itself")
def adds_half(values):
    return as_floats((values.view(np.uint32) + 0x8000) & 0xFFFF0000)


@mutant("12.2", "tie", "away from 0", "0x7FFF")
def adds_half_with_nan_kept(values):
    return np.where(np.isnan(values), values, adds_half(values))


@mutant("12.2", "tie", "towards 0")
def adds_a_little_less_than_half(values):
    rounded = as_floats((values.view(np.uint32) + 0x7FFF) & 0xFFFF0000)
    return np.where(np.isnan(values), np.float32("nan"), rounded)


@mutant("12.2", "odd neighbour")
def ties_to_odd(values):
    bits = values.view(np.uint32)
    up = 1 - ((bits >> 16) & 1)
    return np.where(np.isnan(values), values, as_floats((bits + 0x7FFF + up) & 0xFFFF0000))


@mutant("12.2", "ties go up")
def ties_towards_plus_infinity(values):
    bits = values.view(np.uint32)
    down = (bits >> 31) & 1
    return np.where(np.isnan(values), values, as_floats((bits + 0x8000 - down) & 0xFFFF0000))


@mutant("12.2", "NaN is not", "sign", "0x400000")
def forgets_nan(values):
    bits = values.view(np.uint32)
    return as_floats((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000)


@mutant("12.2", "NaN", "infinite")
def cuts_a_nan_down_to_infinity(values):
    bits = values.view(np.uint32)
    rounded = as_floats((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000)
    return np.where(np.isnan(values), np.float32("inf"), rounded)


@mutant("12.2", "only NaN, becomes NaN")
def makes_infinity_nan(values):
    right = with_torch(values)
    return np.where(np.isinf(right), np.float32("nan"), right)


@mutant("12.2", "NaN became 0")
def cleans_nan_up(values):
    return np.nan_to_num(with_torch(values), nan=0, posinf=np.inf, neginf=-np.inf)


@mutant("12.2", "lower sixteen bits")
def forgets_to_clear_the_lower_half(values):
    bits = values.view(np.uint32)
    return as_floats(bits + 0x7FFF + ((bits >> 16) & 1))


@mutant("12.2", "float16")
def rounds_to_float16(values):
    with np.errstate(all="ignore"):
        return values.astype(np.float16).astype(np.float32)


@mutant("12.2", "decimal", "binary")
def rounds_decimals(values):
    with np.errstate(all="ignore"):
        return np.round(values, 3)


@mutant("12.2", "decimal", "binary")
def keeps_three_digits(values):
    return np.array([float(f"{v:.3g}") for v in values.ravel()], np.float32).reshape(values.shape)


@mutant("12.2", "nothing was rounded")
def gives_it_back(values):
    return values.copy()


@mutant("12.2", "clipped", "infinite")
def clips_to_the_largest(values):
    largest = np.uint32(0x7F7F0000).view(np.float32)
    right = with_torch(values)
    return np.where(np.isinf(values), values, np.clip(right, -largest, largest))


@mutant("12.2", "subnormals became 0")
def flushes_subnormals(values):
    right = with_torch(values)
    right[abs(values) < np.finfo(np.float32).tiny] *= 0
    return right


@mutant("12.2", "lost its sign")
def loses_the_sign_of_zero(values):
    right = with_torch(values)
    return np.where(right == 0, np.float32(0), right)


@mutant("12.2", "changed its input")
def works_in_place(values):
    bits = values.view(np.uint32)
    bits += 0x7FFF + ((bits >> 16) & 1)
    bits &= 0xFFFF0000
    return values


@mutant("12.2", "whole numbers", ".view(np.float32)")
def returns_the_bits(values):
    return with_torch(values).view(np.uint32)


@mutant("12.2", "float64")
def returns_float64(values):
    return with_torch(values).astype(np.float64)


@mutant("12.2", "shape")
def returns_one_axis(values):
    return with_torch(values).ravel()


# 12.3 A scale that finds itself


@mutant("12.3", "a step too late", "before")
def compares_before_it_counts(scale, good_steps, grads_finite, growth_interval):
    if not grads_finite:
        return scale / 2, 0, False
    if good_steps == growth_interval:
        return scale * 2, 0, True
    return scale, good_steps + 1, True


@mutant("12.3", "a step too early")
def grows_one_early(scale, good_steps, grads_finite, growth_interval):
    if not grads_finite:
        return scale / 2, 0, False
    if good_steps + 2 == growth_interval:
        return scale * 2, 0, True
    return scale, good_steps + 1, True


@mutant("12.3", "after growing", "begins again at 0")
def goes_on_counting_after_growth(scale, good_steps, grads_finite, growth_interval):
    if not grads_finite:
        return scale * 0.5, 0, False
    good_steps += 1
    return (scale * 2 if good_steps % growth_interval == 0 else scale), good_steps, True


@mutant("12.3", "ends the row")
def keeps_the_count_after_a_bad_step(scale, good_steps, grads_finite, growth_interval):
    if not grads_finite:
        return scale * 0.5, good_steps, False
    return next_scale(scale, good_steps, True, growth_interval)


@mutant("12.3", "must not be taken")
def takes_every_step(scale, good_steps, grads_finite, growth_interval):
    return (*next_scale(scale, good_steps, grads_finite, growth_interval)[:2], True)


@mutant("12.3", "wrong way round", "third")
def says_whether_it_skips(scale, good_steps, grads_finite, growth_interval):
    return (*next_scale(scale, good_steps, grads_finite, growth_interval)[:2], not grads_finite)


@mutant("12.3", "has to be halved")
def never_shrinks(scale, good_steps, grads_finite, growth_interval):
    return (
        next_scale(scale, good_steps, True, growth_interval) if grads_finite else (scale, 0, False)
    )


@mutant("12.3", "never grows")
def never_grows(scale, good_steps, grads_finite, growth_interval):
    new, steps, taken = next_scale(scale, good_steps, grads_finite, growth_interval)
    return min(new, scale), steps, taken


@mutant("12.3", "every good step")
def doubles_each_time(scale, good_steps, grads_finite, growth_interval):
    if grads_finite:
        return scale * 2, good_steps + 1, True
    return scale / 2, 0, False


@mutant("12.3", "too large", "halve it")
def doubles_after_a_bad_step(scale, good_steps, grads_finite, growth_interval):
    if not grads_finite:
        return scale * 2, 0, False
    return next_scale(scale, good_steps, True, growth_interval)


@mutant("12.3", "other way round")
def reads_finite_as_found_inf(scale, good_steps, grads_finite, growth_interval):
    return next_scale(scale, good_steps, not grads_finite, growth_interval)


@mutant("12.3", "not counted")
def does_not_count(scale, good_steps, grads_finite, growth_interval):
    new, steps, taken = next_scale(scale, good_steps, grads_finite, growth_interval)
    return new, min(steps, good_steps), taken


@mutant("12.3", "wrong order")
def returns_the_flag_first(scale, good_steps, grads_finite, growth_interval):
    return next_scale(scale, good_steps, grads_finite, growth_interval)[::-1]


@mutant("12.3", "//")
def halves_with_two_slashes(scale, good_steps, grads_finite, growth_interval):
    if not grads_finite:
        return scale // 2, 0, False
    return next_scale(scale, good_steps, True, growth_interval)


@mutant("12.3", "3 results")
def returns_the_scale_alone(scale, good_steps, grads_finite, growth_interval):
    return next_scale(scale, good_steps, grads_finite, growth_interval)[0]


# 12.4 Killed, and none the wiser


class Loop:
    """A resumable loop in small pieces; each class below has one mistake of its own."""

    def __new__(cls):
        loop = super().__new__(cls)

        def train_resumable(model, images, labels, num_epochs, seed, path, save):
            return loop.run(model, images, labels, num_epochs, seed, path, save)

        train_resumable.__name__ = cls.__name__
        return train_resumable

    def run(self, model, images, labels, num_epochs, seed, path, save):
        self.model, self.N, self.seed, self.num_epochs = model, len(images), seed, num_epochs
        self.order = torch.Generator().manual_seed(seed)
        self.optimizer = self.sgd()
        self.first = 0
        if self.found(path):
            self.first = self.load(self.read(path))
        for epoch in self.epochs():
            self.set_rate(epoch)
            for index in self.batches(epoch):
                self.step(images, labels, index)
            self.after(epoch, path, save)

    def sgd(self):
        return torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)

    def found(self, path):
        return os.path.isfile(path)

    def read(self, path):
        return torch.load(path)

    def load(self, state):
        self.model.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["momentum"])
        self.order.set_state(state["order"])
        torch.random.set_rng_state(state["random"])
        return state["finished"]

    def epochs(self):
        return range(self.first, self.num_epochs)

    def set_rate(self, epoch):
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(epoch)

    def rate(self, epoch):
        return 0.1 * (1 - epoch / self.num_epochs)

    def batches(self, epoch):
        order = torch.randperm(self.N, generator=self.order)
        return [order[k : k + 32] for k in range(0, self.N, 32)]

    def step(self, images, labels, index):
        self.optimizer.zero_grad()
        self.loss(self.model(images[index]), labels[index]).backward()
        self.optimizer.step()

    def loss(self, logits, labels):
        return F.cross_entropy(logits, labels)

    def state(self, epoch):
        return {
            "weights": self.model.state_dict(),
            "momentum": self.optimizer.state_dict(),
            "order": self.order.get_state(),
            "random": torch.random.get_rng_state(),
            "finished": epoch + 1,
        }

    def after(self, epoch, path, save):
        self.write(self.state(epoch), path, save)

    def write(self, state, path, save):
        part = path.parent / "new.pt"
        save(state, part)
        part.replace(path)


def loop_mutant(*says, outcome="not yet"):
    """Enter a class of this kind as the function that it makes."""

    def enter(cls):
        mutant("12.4", *says, outcome=outcome)(cls())
        return cls

    return enter


@loop_mutant("from the start", "file at path")
class StartsOver(Loop):
    def found(self, path):
        return False


@loop_mutant("all epochs are done again", "begin at the saved one")
class LoadsAndDoesAllEpochs(Loop):
    def epochs(self):
        return range(self.num_epochs)


@loop_mutant("one epoch too many", "epoch + 1")
class SavesTheEpochNotTheCount(Loop):
    def state(self, epoch):
        return super().state(epoch) | {"finished": epoch}


@loop_mutant("one epoch too few")
class SkipsAnEpoch(Loop):
    def epochs(self):
        return range(self.first + 1 if self.first else 0, self.num_epochs)


@loop_mutant("load_state_dict is missing")
class ForgetsToLoadTheWeights(Loop):
    def load(self, state):
        self.optimizer.load_state_dict(state["momentum"])
        self.order.set_state(state["order"])
        torch.set_rng_state(state["random"])
        return state["finished"]


@loop_mutant("momentum is lost")
class ForgetsTheMomentum(Loop):
    def load(self, state):
        return super().load(state | {"momentum": self.optimizer.state_dict()})


@loop_mutant("momentum is missing")
class MakesAnOptimizerInEachEpoch(Loop):
    def set_rate(self, epoch):
        self.optimizer = self.sgd()
        super().set_rate(epoch)


@loop_mutant("learning rate is 0.1 in an epoch where it should be 0.06")
class CountsTheRateFromTheResume(Loop):
    def rate(self, epoch):
        return super().rate(epoch - self.first)


@loop_mutant("learning rate is 0.08", "should be 0.06")
class LetsAScheduleRunAndDoesNotSaveIt(Loop):
    def run(self, *args):
        self.schedule = None
        super().run(*args)

    def set_rate(self, epoch):
        if self.schedule is None:
            how = torch.optim.lr_scheduler.LambdaLR
            for group in self.optimizer.param_groups:
                group.pop("initial_lr", None)
                group["lr"] = 0.1
            self.schedule = how(self.optimizer, lambda k: 1 - k / self.num_epochs)
            if self.first:
                self.optimizer.param_groups[0]["lr"] = 0.08  # what was loaded
        else:
            self.schedule.step()


@loop_mutant("killed twice", "not from the resume")
class CountsEpochsFromTheResume(Loop):
    def state(self, epoch):
        state = super().state(epoch)
        return state | {"finished": state["finished"] - (self.first if self.first > 0 else 0)}


@loop_mutant("killed twice", "each epoch has to be saved")
class SavesOnlyBeforeTheFirstResume(Loop):
    def after(self, epoch, path, save):
        if not self.first:
            super().after(epoch, path, save)


@loop_mutant("order of the first epoch came again", "get_state")
class SeedsTheOrderAnew(Loop):
    def load(self, state):
        return super().load(state | {"order": self.order.get_state()})


@loop_mutant("another order", "set_state")
class DrawsOneOrderTooMany(Loop):
    def load(self, state):
        done = super().load(state)
        torch.randperm(self.N, generator=self.order)
        return done


@loop_mutant("last finished epoch came again", "end of the epoch")
class SavesTheOrdersStateTooEarly(Loop):
    def batches(self, epoch):
        self.before = self.order.get_state()
        return super().batches(epoch)

    def state(self, epoch):
        return super().state(epoch) | {"order": self.before}


@loop_mutant("dropout", "get_rng_state")
class ForgetsTheGlobalChance(Loop):
    def load(self, state):
        return super().load(state | {"random": torch.get_rng_state()})


@loop_mutant("dropout", "get_rng_state")
class SeedsTheGlobalChanceAtTheStart(ForgetsTheGlobalChance):
    def run(self, *args):
        torch.manual_seed(0)
        super().run(*args)


@loop_mutant("running statistics", "buffers")
class SavesParametersOnly(Loop):
    def state(self, epoch):
        return super().state(epoch) | {"weights": dict(self.model.named_parameters())}

    def load(self, state):
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(state["weights"][name])
        return super().load(state | {"weights": self.model.state_dict()})


@loop_mutant("half written", "os.replace")
class WritesStraightToPath(Loop):
    def write(self, state, path, save):
        save(state, path)


@loop_mutant("half written", "began from the start")
class StartsOverAfterHalfAFile(WritesStraightToPath):
    def found(self, path):
        try:
            torch.load(path)
        except Exception:
            return False
        return True


@loop_mutant("half written", "began from the start")
class RemovesTheOldFileFirst(Loop):
    def write(self, state, path, save):
        path.unlink(missing_ok=True)
        super().write(state, path, save)


@loop_mutant("Sequential", "runs code")
class PicklesTheModel(Loop):
    def state(self, epoch):
        return super().state(epoch) | {"weights": self.model}

    def load(self, state):
        return super().load(state | {"weights": state["weights"].state_dict()})


@loop_mutant("state['order'] is a Generator")
class PicklesTheGenerator(Loop):
    def state(self, epoch):
        return super().state(epoch) | {"order": self.order}


@loop_mutant("state['momentum'] is a SGD", "state_dict()")
class PicklesTheOptimizer(Loop):
    def state(self, epoch):
        return super().state(epoch) | {"momentum": self.optimizer}


@loop_mutant("another folder")
class WritesToTheTemporaryFolder(Loop):
    def write(self, state, path, save):
        folder = path.parent.parent / "elsewhere"
        folder.mkdir(exist_ok=True)
        save(state, folder / "new.pt")
        shutil.move(folder / "new.pt", path)


@loop_mutant("no file at path", "os.replace")
class NeverRenames(Loop):
    def write(self, state, path, save):
        save(state, f"{path}.part")


@loop_mutant("after every epoch", "inside the loop")
class SavesAtTheEnd(Loop):
    def after(self, epoch, path, save):
        if epoch == self.num_epochs - 1:
            super().after(epoch, path, save)


@loop_mutant("after every epoch", "none after epoch 1, 3, 5")
class SavesEverySecondEpoch(Loop):
    def after(self, epoch, path, save):
        if epoch % 2:
            super().after(epoch, path, save)


@loop_mutant("in place of torch.save")
class UsesTorchSave(Loop):
    def write(self, state, path, save):
        super().write(state, path, torch.save)


@loop_mutant("loop went on", "finally")
class SavesWhenItIsKilled(Loop):
    def run(self, *args):
        try:
            super().run(*args)
        finally:
            args[-1](self.state(0), args[-2])


@loop_mutant("loop went on", "bare except")
class CatchesEverything(Loop):
    def step(self, images, labels, index):
        try:
            super().step(images, labels, index)
        except:  # noqa: E722
            self.optimizer.zero_grad()


@loop_mutant("stays 0.1")
class KeepsTheRate(Loop):
    def rate(self, epoch):
        return 0.1


@loop_mutant("one epoch ahead")
class CountsTheRateFromOne(Loop):
    def rate(self, epoch):
        return 0.1 * (1 - (epoch + 1) / self.num_epochs)


@loop_mutant("pile up")
class MultipliesTheRate(Loop):
    def set_rate(self, epoch):
        self.optimizer.param_groups[0]["lr"] *= 1 - epoch / self.num_epochs


@loop_mutant("momentum is missing")
class HasNoMomentum(Loop):
    def sgd(self):
        return torch.optim.SGD(self.model.parameters(), lr=0.1)


@loop_mutant("weight decay")
class DecaysWeights(Loop):
    def sgd(self):
        return torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)


@loop_mutant("mean was asked for")
class SumsTheLoss(Loop):
    def loss(self, logits, labels):
        return F.cross_entropy(logits, labels, reduction="sum")


@loop_mutant("zero_grad")
class NeverZeroesGradients(Loop):
    def step(self, images, labels, index):
        self.loss(self.model(images[index]), labels[index]).backward()
        self.optimizer.step()


@loop_mutant("optimizer.step()", "not moved")
class NeverSteps(Loop):
    def step(self, images, labels, index):
        self.loss(self.model(images[index]), labels[index]).backward()


@loop_mutant("same index")
class LeavesTheLabelsWhereTheyAre(Loop):
    def step(self, images, labels, index):
        super().step(images, torch.roll(labels, 0), index)

    def batches(self, epoch):
        self.at = 0
        return super().batches(epoch)

    def loss(self, logits, labels):
        some = self.all_labels[self.at : self.at + len(logits)]
        self.at += len(logits)
        return F.cross_entropy(logits, some)

    def run(self, model, images, labels, *args):
        self.all_labels = labels
        super().run(model, images, labels, *args)


@loop_mutant("smaller batch", "missing")
class DropsTheLastBatch(Loop):
    def batches(self, epoch):
        return [index for index in super().batches(epoch) if len(index) == min(32, self.N)]


@loop_mutant("one batch", "32 at a time")
class TakesAllImagesAtOnce(Loop):
    def batches(self, epoch):
        return [torch.randperm(self.N, generator=self.order)]


@loop_mutant("randperm gives each index once")
class DrawsWithReplacement(Loop):
    def batches(self, epoch):
        return torch.randint(self.N, (self.N,), generator=self.order).split(32)


@loop_mutant("as they lie")
class DoesNotShuffle(Loop):
    def batches(self, epoch):
        return torch.arange(self.N).split(32)


@loop_mutant("same order", "seed the generator once")
class ShufflesOnce(Loop):
    def batches(self, epoch):
        return torch.randperm(self.N, generator=torch.Generator().manual_seed(self.seed)).split(32)


@loop_mutant("global random numbers", "generator=order")
class ShufflesByGlobalChance(Loop):
    def batches(self, epoch):
        return torch.randperm(self.N).split(32)


@loop_mutant("another seed")
class IgnoresTheSeed(Loop):
    def run(self, model, images, labels, num_epochs, seed, path, save):
        super().run(model, images, labels, num_epochs, 0, path, save)


@loop_mutant("called twice")
class CallsTheModelTwice(Loop):
    def step(self, images, labels, index):
        self.model(images[index])
        super().step(images, labels, index)


@loop_mutant("finished weights")
class ReturnsAtOnceWhenDone(Loop):
    def found(self, path):
        if super().found(path) and self.read(path)["finished"] == self.num_epochs:
            self.num_epochs = 0
            return False
        return super().found(path)


@loop_mutant("far too many")
class NeverEnds(Loop):
    def epochs(self):
        return iter(lambda: 0, 1)


@loop_mutant("KeyError", outcome="error")
class ReadsAnotherName(Loop):
    def load(self, state):
        return super().load({"weights": state["model"]})


# 12.5 As sure as it should be?


def bins_of(probabilities, labels, num_bins):
    """(confidence, right) of the images in each bin."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    edges = np.linspace(0, 1, num_bins + 1)
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        yield confidence[inside], right[inside]


@mutant("12.5", "counts alike", "share")
def weighs_full_bins_alike(probabilities, labels, num_bins):
    return np.mean(
        [abs(c.mean() - r.mean()) for c, r in bins_of(probabilities, labels, num_bins) if len(c)]
    )


@mutant("12.5", "counts alike", "empty ones too")
def weighs_all_bins_alike(probabilities, labels, num_bins):
    gaps = [abs(c.mean() - r.mean()) for c, r in bins_of(probabilities, labels, num_bins) if len(c)]
    return sum(gaps) / num_bins


@mutant("12.5", "without their weights")
def adds_the_gaps(probabilities, labels, num_bins):
    return sum(
        abs(c.mean() - r.mean()) for c, r in bins_of(probabilities, labels, num_bins) if len(c)
    )


@mutant("12.5", "have signs", "abs")
def adds_signed_gaps(probabilities, labels, num_bins):
    return sum(
        len(c) / len(labels) * (c.mean() - r.mean())
        for c, r in bins_of(probabilities, labels, num_bins)
        if len(c)
    )


@mutant("12.5", "inside the sum")
def takes_abs_at_the_end(probabilities, labels, num_bins):
    return abs(adds_signed_gaps(probabilities, labels, num_bins))


@mutant("12.5", "exactly on an edge")
def puts_edges_above(probabilities, labels, num_bins):
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    where = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    return sum(
        (where == k).mean() * abs(confidence[where == k].mean() - right[where == k].mean())
        for k in set(where)
    )


@mutant("12.5", "exactly on an edge", "1.0 into none")
def loses_the_upper_edge(probabilities, labels, num_bins):
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    total = 0
    for k in range(num_bins):
        inside = (confidence >= k / num_bins) & (confidence < (k + 1) / num_bins)
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return total


@mutant("12.5", "exactly 1.0 were lost")
def loses_the_certain_images(probabilities, labels, num_bins):
    certain = probabilities.max(1) == 1
    some = probabilities[~certain], labels[~certain]
    return sum(
        len(c) * abs(c.mean() - r.mean()) for c, r in bins_of(*some, num_bins) if len(c)
    ) / len(labels)


@mutant("12.5", "true class")
def takes_the_true_classs_probability(probabilities, labels, num_bins):
    sure = probabilities[range(len(labels)), labels]
    right = probabilities.argmax(1) == labels
    total = 0
    for k in range(num_bins):
        inside = (sure > k / num_bins) & (sure <= (k + 1) / num_bins)
        if inside.any():
            total += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    return total


@mutant("12.5", "equally many", "equally wide")
def makes_bins_of_equal_counts(probabilities, labels, num_bins):
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    parts = np.array_split(np.argsort(confidence, kind="stable"), num_bins)
    return sum(
        len(p) / len(labels) * abs(confidence[p].mean() - right[p].mean()) for p in parts if len(p)
    )


@mutant("12.5", "0 / 0", "empty bins")
def divides_by_empty_bins(probabilities, labels, num_bins):
    with np.errstate(all="ignore"):
        return sum(
            len(c) / len(labels) * abs(np.float64(c.sum()) / len(c) - np.float64(r.sum()) / len(r))
            for c, r in bins_of(probabilities, labels, num_bins)
        )


@mutant("12.5", "maximum")
def takes_the_largest_gap(probabilities, labels, num_bins):
    return max(
        abs(c.mean() - r.mean()) for c, r in bins_of(probabilities, labels, num_bins) if len(c)
    )


@mutant("12.5", "squared")
def squares_the_gaps(probabilities, labels, num_bins):
    return np.sqrt(
        sum(
            len(c) / len(labels) * (c.mean() - r.mean()) ** 2
            for c, r in bins_of(probabilities, labels, num_bins)
            if len(c)
        )
    )


@mutant("12.5", "middle of the bin")
def takes_the_middle(probabilities, labels, num_bins):
    return sum(
        len(c) / len(labels) * abs((k + 0.5) / num_bins - r.mean())
        for k, (c, r) in enumerate(bins_of(probabilities, labels, num_bins))
        if len(c)
    )


@mutant("12.5", "number of images")
def forgets_to_divide(probabilities, labels, num_bins):
    return sum(
        len(c) * abs(c.mean() - r.mean())
        for c, r in bins_of(probabilities, labels, num_bins)
        if len(c)
    )


# 12.6 One number for all


def grid_search(low=0.04, high=25, num=1200, loss=None, scale=lambda x, T: x / T, best=min):
    temperatures = np.exp(np.linspace(np.log(low), np.log(high), num))

    def cross_entropy(logits, labels):
        shifted = logits - logits.max(1, keepdims=True)
        probabilities = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
        return -np.log(probabilities[range(len(labels)), labels] + 1e-300).mean()

    def fit(logits, labels):
        measure = loss or cross_entropy
        return best(temperatures, key=lambda T: measure(scale(logits, T), labels))

    return fit


def softmax(logits):
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


@mutant("12.6", "1 / T", "divided")
def multiplies_by_t(logits, labels):
    return grid_search(scale=lambda x, T: x * T)(logits, labels)


@mutant("12.6", "log T")
def returns_the_logarithm(logits, labels):
    return np.log(grid_search()(logits, labels))


@mutant("12.6", "lowest cross-entropy itself")
def returns_the_loss(logits, labels):
    T = grid_search()(logits, labels)
    return -np.log(softmax(logits / T)[range(len(labels)), labels]).mean()


@mutant("12.6", "calibration error")
def minimises_the_calibration_error(logits, labels):
    def error(logits, labels):
        return EXERCISES["12.5"].solution(softmax(logits), labels, 15)

    return grid_search(loss=error)(logits, labels)


@mutant("12.6", "same T", "accuracy")
def maximises_the_accuracy(logits, labels):
    def mistakes(logits, labels):
        return (logits.argmax(1) != labels).mean()

    return grid_search(loss=mistakes)(logits, labels)


@mutant("12.6", "same T")
def returns_one(logits, labels):
    return 1.0


@mutant("12.6", "overflow", "maximum first")
def lets_exp_overflow(logits, labels):
    def cross_entropy(logits, labels):
        with np.errstate(all="ignore"):
            p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            return -np.log(p[range(len(labels)), labels]).mean()

    return grid_search(loss=cross_entropy)(logits, labels)


@mutant("12.6", "NaN", "maximum first")
def descends_with_overflow(logits, labels):
    a = 1.0
    with np.errstate(all="ignore"):
        for _ in range(2000):
            p = np.exp(a * logits) / np.exp(a * logits).sum(1, keepdims=True)
            slope = ((p * logits).sum(1) - logits[range(len(labels)), labels]).mean()
            curve = ((p * logits**2).sum(1) - (p * logits).sum(1) ** 2).mean()
            a -= 0.5 * slope / curve
    return 1 / a


@mutant("12.6", "too coarse")
def searches_in_halves(logits, labels):
    return grid_search(0.05, 20, 20)(logits, labels)


@mutant("12.6", "range", "0.05 and 20")
def searches_a_narrow_range(logits, labels):
    return grid_search(0.3, 5, 1500)(logits, labels)


@mutant("12.6", "range", "0.05 and 20")
def searches_from_one_on(logits, labels):
    return grid_search(1, 25, 1500)(logits, labels)


@mutant("12.6", "stop too early")
def takes_ten_small_steps(logits, labels):
    T = torch.ones((), requires_grad=True)
    optimizer = torch.optim.SGD([T], lr=0.05)
    for _ in range(10):
        optimizer.zero_grad()
        F.cross_entropy(torch.tensor(logits).double() / T, torch.tensor(labels)).backward()
        optimizer.step()
    return T.item()


@mutant("12.6", "squared distance")
def minimises_squares(logits, labels):
    def squares(logits, labels):
        return ((softmax(logits) - np.eye(logits.shape[1])[labels]) ** 2).mean()

    return grid_search(loss=squares)(logits, labels)


@mutant("12.6", "logarithm")
def forgets_the_logarithm(logits, labels):
    def unsure(logits, labels):
        return -softmax(logits)[range(len(labels)), labels].mean()

    return grid_search(0.05, 20, loss=unsure)(logits, labels)


@mutant("12.6", "own answers", "smallest T")
def uses_its_own_answers(logits, labels):
    return grid_search(0.05, 20)(logits, logits.argmax(1))


@mutant("12.6", "not the logits", "twice")
def divides_the_probabilities(logits, labels):
    return grid_search(0.05, 20, scale=lambda x, T: softmax(x) / T)(logits, labels)


@mutant("12.6", "softmax was taken twice")
def takes_softmax_twice(logits, labels):
    return grid_search(0.05, 20, scale=lambda x, T: softmax(x / T))(logits, labels)


@mutant("12.6", "one number")
def returns_a_temperature_for_each_class(logits, labels):
    return np.full(logits.shape[1], grid_search()(logits, labels))


@mutant("12.6", "changed its input")
def scales_in_place(logits, labels):
    T = grid_search()(logits, labels)
    logits /= T
    return T


# 12.7 Better no answer than a wrong one


def accuracy_of(probabilities, labels, chosen):
    return (probabilities[chosen].argmax(1) == labels[chosen]).mean()


@mutant("12.7", "least")
def takes_the_least_sure(probabilities, labels, coverage):
    k = math.ceil(coverage * len(labels))
    return accuracy_of(probabilities, labels, probabilities.max(1).argsort(kind="stable")[:k])


@mutant("12.7", "rounded down")
def rounds_down(probabilities, labels, coverage):
    order = np.argsort(-probabilities.max(1), kind="stable")
    return accuracy_of(probabilities, labels, order[: max(int(coverage * len(labels)), 1)])


@mutant("12.7", "always goes up")
def rounds_to_the_nearest(probabilities, labels, coverage):
    order = np.argsort(-probabilities.max(1), kind="stable")
    return accuracy_of(probabilities, labels, order[: max(round(coverage * len(labels)), 1)])


@mutant("12.7", "threshold", "share of the images")
def takes_coverage_for_a_threshold(probabilities, labels, coverage):
    sure = probabilities.max(1) >= coverage
    return (probabilities.argmax(1) == labels)[sure].sum() / max(sure.sum(), 1)


@mutant("12.7", "all N images")
def divides_by_all(probabilities, labels, coverage):
    order = np.argsort(-probabilities.max(1), kind="stable")[: math.ceil(coverage * len(labels))]
    return (probabilities[order].argmax(1) == labels[order]).sum() / len(labels)


@mutant("12.7", "coverage · N")
def divides_by_the_fraction(probabilities, labels, coverage):
    order = np.argsort(-probabilities.max(1), kind="stable")[: math.ceil(coverage * len(labels))]
    return (probabilities[order].argmax(1) == labels[order]).sum() / (coverage * len(labels))


@mutant("12.7", "equally sure", "turns ties")
def turns_the_order_round(probabilities, labels, coverage):
    order = np.argsort(probabilities.max(1), kind="stable")[::-1]
    return accuracy_of(probabilities, labels, order[: math.ceil(coverage * len(labels))])


@mutant("12.7", "equally sure", "stable")
def sorts_by_a_sort_that_is_not_stable(probabilities, labels, coverage):
    order = np.argsort(-probabilities.max(1))
    return accuracy_of(probabilities, labels, order[: math.ceil(coverage * len(labels))])


@mutant("12.7", "true class")
def sorts_by_the_true_class(probabilities, labels, coverage):
    sure = probabilities[range(len(labels)), labels]
    order = np.argsort(-sure, kind="stable")
    return accuracy_of(probabilities, labels, order[: math.ceil(coverage * len(labels))])


@mutant("12.7", "second largest")
def sorts_by_the_margin(probabilities, labels, coverage):
    ranked = np.sort(probabilities, axis=1)
    order = np.argsort(ranked[:, -2] - ranked[:, -1], kind="stable")
    return accuracy_of(probabilities, labels, order[: math.ceil(coverage * len(labels))])


@mutant("12.7", "as they come")
def takes_the_first(probabilities, labels, coverage):
    return accuracy_of(probabilities, labels, slice(math.ceil(coverage * len(labels))))


@mutant("12.7", "share of mistakes")
def answers_with_the_mistakes(probabilities, labels, coverage):
    return 1 - by_sorted(probabilities, labels, coverage)


@mutant("12.7", "not used")
def ignores_the_coverage(probabilities, labels, coverage):
    return (probabilities.argmax(1) == labels).mean()


# Right answers, written in another way


def seconds_layer_by_layer(macs, num_images, epochs, gflops):
    flop = 0
    for _ in range(epochs):
        flop += 6 * macs * num_images
    return flop / gflops * 1e-9


def with_torch(values):
    return torch.tensor(values.tolist()).to(torch.bfloat16).float().numpy().reshape(values.shape)


def by_neighbours(values):
    """Both neighbours in float64, and the nearer one; no bits are added."""
    low = as_floats(values.view(np.uint32) & 0xFFFF0000)
    up_bits = (low.view(np.uint32).astype(np.uint64) + 0x10000) & 0xFFFFFFFF
    high = as_floats(up_bits)
    even = (low.view(np.uint32) >> 16) % 2 == 0
    with np.errstate(all="ignore"):
        far = high.astype(np.float64)
        far = np.where(np.isinf(far), np.copysign(2.0**128, far), far)
        down, up = abs(values - low.astype(np.float64)), abs(far - values.astype(np.float64))
    nearest = np.where((down < up) | ((down == up) & even), low, high)
    return np.where(np.isfinite(values), nearest, values).astype(np.float32)


def scale_of_a_grad_scaler(scale, good_steps, grads_finite, growth_interval):
    scales, counts = torch.tensor([scale]), torch.tensor([good_steps], dtype=torch.int32)
    found = torch.tensor([0.0 if grads_finite else 1.0])
    torch._amp_update_scale_(scales, counts, found, 2.0, 0.5, growth_interval)
    return scales.item(), counts.item(), grads_finite


class WindsForward(Loop):
    """Saves no state of the order: draws as many orders again as there were."""

    def load(self, state):
        done = super().load(state | {"order": self.order.get_state()})
        for _ in range(done):
            super().batches(0)
        return done

    def write(self, state, path, save):
        with open(f"{path}~", "wb") as file:
            save(state, file)
        os.replace(f"{path}~", path)


class KeepsTheLastButOne(Loop):
    """Writes straight to path, after putting the old file aside, and reads that if need be."""

    def write(self, state, path, save):
        if path.exists():
            shutil.copy(path, f"{path}.old")
        save(state, path)

    def found(self, path):
        return path.exists() or os.path.exists(f"{path}.old")

    def read(self, path):
        try:
            return torch.load(path, weights_only=True)
        except Exception:
            if not os.path.exists(f"{path}.old"):
                return None
            return torch.load(f"{path}.old", weights_only=True)

    def load(self, state):
        return super().load(state) if state else 0


class SeedsEachEpoch(Loop):
    """No state of any generator: seed and epoch say what comes, the momentum is a list."""

    def batches(self, epoch):
        torch.manual_seed(1000 * self.seed + epoch)
        self.order.manual_seed(2000 * self.seed + epoch)
        return super().batches(epoch)

    def state(self, epoch):
        kept = [self.optimizer.state[p]["momentum_buffer"] for p in self.model.parameters()]
        return [self.model.state_dict(), kept, epoch]

    def load(self, state):
        self.model.load_state_dict(state[0])
        for parameter, kept in zip(self.model.parameters(), state[1], strict=True):
            self.optimizer.state[parameter]["momentum_buffer"] = kept
        return state[2] + 1


def calibration_by_histogram(probabilities, labels, num_bins):
    confidence = probabilities.max(axis=1)
    gaps = confidence - (probabilities.argmax(axis=1) == labels)
    where = np.digitize(confidence, np.linspace(0, 1, num_bins + 1), right=True)
    return np.abs(np.bincount(where, weights=gaps)).sum() / len(labels)


def temperature_by_lbfgs(logits, labels):
    logits, labels = torch.tensor(logits, dtype=torch.float64), torch.tensor(labels)
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(logits / log_t.exp(), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return log_t.exp()


def by_sorted(probabilities, labels, coverage):
    order = sorted(range(len(labels)), key=lambda k: -max(probabilities[k]))
    some = order[: -int(-coverage * len(labels) // 1)]
    return sum(probabilities[k].argmax() == labels[k] for k in some) / len(some)


ANOTHER_WAY = [
    ("12.1", seconds_layer_by_layer),
    ("12.2", with_torch),
    ("12.2", by_neighbours),
    ("12.3", scale_of_a_grad_scaler),
    ("12.4", Loop()),
    ("12.4", WindsForward()),
    ("12.4", KeepsTheLastButOne()),
    ("12.4", SeedsEachEpoch()),
    ("12.5", calibration_by_histogram),
    ("12.6", temperature_by_lbfgs),
    ("12.6", grid_search()),
    ("12.7", by_sorted),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_wrong_answer_is_rejected_and_its_cause_named(mutant):
    start = time.perf_counter()
    problem = survives(mutant)
    assert not problem, problem
    assert time.perf_counter() - start < 30


@pytest.mark.parametrize(("exercise_id", "answer"), ANOTHER_WAY)
def test_right_answer_written_in_another_way_is_accepted(exercise_id, answer):
    verdict = examine(exercise_id, answer)
    assert verdict.outcome == "correct", words(verdict)


@pytest.mark.parametrize("exercise_id", IDS)
def test_there_are_enough_wrong_answers(exercise_id):
    assert sum(mutant.exercise_id == exercise_id for mutant in MUTANTS) >= 11
    assert 2 <= len(EXERCISES[exercise_id].hints) <= 3
    assert exercise_id in dict(ANOTHER_WAY)


@pytest.mark.parametrize("grads_finite", [True, False])
@pytest.mark.parametrize("growth_interval", [1, 2, 5])
def test_next_scale_is_the_rule_of_torch_over_many_steps(grads_finite, growth_interval):
    ours = theirs = (1024.0, 0)
    for number in range(20):
        finite = grads_finite or number % 4 > 0
        *ours, taken = next_scale(*ours, finite, growth_interval)
        *theirs, _ = scale_of_a_grad_scaler(*theirs, finite, growth_interval)
        assert tuple(ours) == tuple(theirs)
        assert taken == finite


def test_checking_the_resumable_loop_leaves_chance_and_threads_alone():
    torch.manual_seed(3)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    assert examine("12.4", EXERCISES["12.4"].solution).outcome == "correct"
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_a_kill_is_undone_in_the_folder_as_if_the_process_were_gone(tmp_path):
    from cnnlib.exercises.nb12.killed_runs import Problem, run

    def tidy(model, images, labels, num_epochs, seed, path, save):
        path.write_text("before")
        try:
            model(images)
        finally:
            path.write_text("after")
            path.with_name("more").write_text("more")

    log = run(tidy, Problem("", "plain", 4, 1), tmp_path / "run" / "x.pt", kill_in_pass=1)
    assert (log.killed, log.survived, log.error) == (True, False, None)
    assert (tmp_path / "run" / "x.pt").read_text() == "before"
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["x.pt"]


def test_a_reader_of_the_file_needs_no_class(tmp_path):
    """The solution's file as torch.load with weights_only=True sees it."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    images, labels = torch.randn(40, 1, 2, 2), torch.randint(0, 2, (40,))
    path = tmp_path / "run.pt"
    EXERCISES["12.4"].solution(model, images, labels, 2, 0, path, torch.save)
    state = torch.load(path, weights_only=True)
    assert state["done"] == 2
    assert torch.equal(state["model"]["1.weight"], model[1].weight)
    assert list(tmp_path.iterdir()) == [path]
