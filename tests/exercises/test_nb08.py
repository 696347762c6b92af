"""Notebook 08's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import copy
import math
import os
import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cnnlib import layers
from cnnlib.exercises import EXERCISES, examine
from cnnlib.exercises.nb08 import find_why
from cnnlib.exercises.nb08.carry_over import carry_over
from cnnlib.exercises.nb08.keras_to_torch import sequential_from_keras
from cnnlib.exercises.nb08.layer_table import layer_table
from cnnlib.exercises.nb08.max_pool_solution import MaxPool
from cnnlib.exercises.nb08.per_sample import per_sample_gradients
from cnnlib.exercises.nb08.unfold_conv_solution import Conv2d

from .mutants import Mutant, survives, words, wrong

MUTANTS: list[Mutant] = []
IDS = [name for name in EXERCISES if name.startswith("08.")]
CLASSES = {"08.2": MaxPool, "08.4": Conv2d}
FUNCTIONS = [name for name in IDS if callable(EXERCISES[name].solution)]


def mutant(exercise_id, *says, outcome="not yet"):
    return wrong(MUTANTS, exercise_id, *says, outcome=outcome)


# 08.1 value_and_gradients(function, *arrays)


def tensors_of(arrays, **settings):
    return [torch.tensor(array, requires_grad=True, **settings) for array in arrays]


def grads_of(tensors):
    return [np.zeros(t.shape) if t.grad is None else t.grad.numpy() for t in tensors]


@mutant("08.1", "requires_grad=True", outcome="error")
def asks_for_no_gradient(function, *arrays):
    tensors = [torch.tensor(array) for array in arrays]
    function(*tensors).backward()


@mutant("08.1", "is None", "zeros of its shape", outcome="error")
def takes_grad_of_what_is_not_used(function, *arrays):
    tensors = tensors_of(arrays)
    value = function(*tensors)
    value.backward()
    return value.item(), [tensor.grad.numpy() for tensor in tensors]


@mutant("08.1", "zeros")
def returns_none_for_what_is_not_used(function, *arrays):
    tensors = tensors_of(arrays)
    value = function(*tensors)
    value.backward()
    return value.item(), [None if t.grad is None else t.grad.numpy() for t in tensors]


@mutant("08.1", "doubled", "adds up")
def goes_back_twice(function, *arrays):
    tensors = tensors_of(arrays)
    function(*tensors).backward()
    value = function(*tensors)
    value.backward()
    return value.item(), grads_of(tensors)


@mutant("08.1", "became float32")
def computes_in_float32(function, *arrays):
    tensors = [torch.tensor(array).float().requires_grad_() for array in arrays]
    value = function(*tensors)
    value.backward()
    return value.item(), [g.astype(np.float64) for g in grads_of(tensors)]


@mutant("08.1", "became float32")
def computes_and_stays_in_float32(function, *arrays):
    tensors = [torch.tensor(array).float().requires_grad_() for array in arrays]
    value = function(*tensors)
    value.backward()
    return value.item(), grads_of(tensors)


@mutant("08.1", "same array was given twice")
def makes_one_tensor_for_one_array(function, *arrays):
    made = {id(a): torch.tensor(a, requires_grad=True) for a in arrays}
    tensors = [made[id(a)] for a in arrays]
    value = function(*tensors)
    value.backward()
    return value.item(), grads_of(tensors)


@mutant("08.1", "no leaves")
def asks_something_that_was_computed(function, *arrays):
    tensors = [1.0 * torch.tensor(array, requires_grad=True) for array in arrays]
    value = function(*tensors)
    value.backward()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return value.item(), grads_of(tensors)


@mutant("08.1", "value comes first")
def returns_the_gradients_first(function, *arrays):
    tensors = tensors_of(arrays)
    value = function(*tensors)
    value.backward()
    return grads_of(tensors), value.item()


@mutant("08.1", "value is wanted too")
def returns_gradients_only(function, *arrays):
    tensors = tensors_of(arrays)
    function(*tensors).backward()
    return grads_of(tensors)


@mutant("08.1", "one gradient for each array")
def returns_the_first_gradient(function, *arrays):
    tensors = tensors_of(arrays)
    value = function(*tensors)
    value.backward()
    return value.item(), grads_of(tensors)[0]


@mutant("08.1", "torch.tensor(array) copies", "caller's array")
def shares_the_callers_memory(function, *arrays):
    tensors = [torch.from_numpy(np.asarray(array)).requires_grad_() for array in arrays]
    value = function(*tensors)
    value.backward()
    return value.item(), grads_of(tensors)


@mutant("08.1", "dtype of what it belongs to")
def makes_everything_float64(function, *arrays):
    tensors = tensors_of(arrays, dtype=torch.float64)
    value = function(*tensors)
    value.backward()
    return value.item(), grads_of(tensors)


@mutant("08.1", "not equal")
def takes_differences(function, *arrays):
    tensors = [torch.tensor(array) for array in arrays]
    grads = []
    for tensor in tensors:
        grad = np.zeros(tensor.shape)
        for index in np.ndindex(grad.shape):
            tensor[index] += 1e-4
            right = function(*[t.clone() for t in tensors]).item()
            tensor[index] -= 2e-4
            left = function(*[t.clone() for t in tensors]).item()
            tensor[index] += 1e-4
            grad[index] = (right - left) / 2e-4
        grads.append(grad)
    return function(*tensors).item(), grads


# 08.2 MaxPool(torch.autograd.Function)


def pool_windows(images, k):
    N, C, H, W = images.shape
    out_h, out_w = H // k, W // k
    windows = images[:, :, : out_h * k, : out_w * k].reshape(N, C, out_h, k, out_w, k)
    return windows.transpose(3, 4).flatten(4)


def put_together(windows, shape, k, crop=True):
    N, C, out_h, out_w = windows.shape[:4]
    grad = windows.reshape(N, C, out_h, out_w, k, k).transpose(3, 4)
    grad = grad.reshape(N, C, out_h * k, out_w * k)
    if not crop:
        return grad
    return F.pad(grad, (0, shape[3] - out_w * k, 0, shape[2] - out_h * k))


def pooling(shares, results=lambda grad: (grad, None), upstream=True, crop=True):
    """A Function whose backward gives each window's pixels shares(windows) of the gradient."""

    class Pool(torch.autograd.Function):
        @staticmethod
        def forward(ctx, images, kernel_size):
            ctx.k = kernel_size
            ctx.save_for_backward(images)
            return pool_windows(images, kernel_size).amax(dim=4)

        @staticmethod
        def backward(ctx, grad_out):
            (images,) = ctx.saved_tensors
            windows = shares(pool_windows(images, ctx.k))
            if upstream:
                windows = windows * grad_out[..., None]
            return results(put_together(windows, images.shape, ctx.k, crop))

    return Pool


def first(windows):
    return F.one_hot(windows.argmax(dim=4), windows.shape[4]).double()


def largest(windows):
    return (windows == windows.amax(dim=4, keepdim=True)).double()


def last(windows):
    return first(windows.flip(4)).flip(4)


def enter(name, answer, *says, outcome="not yet"):
    answer.__name__ = name
    return wrong(MUTANTS, "08.2", *says, outcome=outcome)(answer)


enter("all_winners_at_a_tie", pooling(largest), "At a tie every")
enter("shares_at_a_tie", pooling(lambda w: largest(w) / largest(w).sum(4, keepdim=True)), "divided")
enter("last_at_a_tie", pooling(last), "the last largest")
enter("forgets_grad_out", pooling(first, upstream=False), "winners got 1")
enter("average", pooling(lambda w: torch.ones_like(w) / w.shape[4]), "average pooling")
enter("to_every_pixel", pooling(torch.ones_like), "Every pixel of a window")
enter("one_result", pooling(first, lambda g: g), "kernel_size is no tensor", outcome="error")
enter("cropped", pooling(first, crop=False), "another shape than the images", outcome="error")
enter("returns_none", pooling(first, lambda g: (None, None)), "no gradient reached the images")
enter("returns_arrays", pooling(first, lambda g: (g.numpy(), None)), "torch.from_numpy",
      outcome="error")  # fmt: skip


def no_gradient_of_the_gradient():
    class Pool(pooling(first)):
        @staticmethod
        def backward(ctx, grad_out):
            (images,) = ctx.saved_tensors
            windows = first(pool_windows(images, ctx.k)) * grad_out.detach()[..., None]
            return put_together(windows, images.shape, ctx.k), None

    return Pool


enter("detaches_grad_out", no_gradient_of_the_gradient(), "gradgradcheck")


def reshaped_only():
    class Pool(torch.autograd.Function):
        @staticmethod
        def forward(ctx, images, k):
            (N, C, H, W), ctx.shape = images.shape, images.shape
            kept = images[:, :, : H // k * k, : W // k * k]
            values, winners = kept.reshape(N, C, H // k, W // k, k * k).max(dim=4)
            ctx.save_for_backward(winners)
            ctx.k = k
            return values

        @staticmethod
        def backward(ctx, grad_out):
            (winners,), (N, C, H, W), k = ctx.saved_tensors, ctx.shape, ctx.k
            windows = F.one_hot(winners, k * k) * grad_out[..., None]
            grad = windows.reshape(N, C, H // k * k, W // k * k)
            return F.pad(grad, (0, W % k, 0, H % k)), None

    return Pool


enter("cuts_windows_by_reshape", reshaped_only(), "reads on in memory")


class ForwardOnly(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images, k):
        return pool_windows(images, k).amax(dim=4)

    @staticmethod
    def backward(ctx, grad_out):
        raise NotImplementedError


enter("forward_only", ForwardOnly, "backward is still to be written")
MUTANTS.append(Mutant("08.2", "an instance", MaxPool(), ("Pass the class itself",)))
MUTANTS.append(Mutant("08.2", "a function", lambda images, k: images, ("Pass the class itself",)))


# 08.3 carry_over(source, target)


def names_and_parameters(model):
    return dict(model.named_parameters()) if isinstance(model, nn.Module) else model.parameters


def to_array(values):
    return values if isinstance(values, np.ndarray) else values.detach().numpy()


def fits(source, target):
    ours, theirs = names_and_parameters(source), names_and_parameters(target)
    shapes = [{name: tuple(v.shape) for name, v in some.items()} for some in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise ValueError("these two do not fit")
    return ours, theirs


@mutant("08.3", "share their memory", "do not copy")
def shares_memory(source, target):
    ours, theirs = fits(source, target)
    if not isinstance(target, nn.Module):
        return carry_over(source, target)
    for name, place in theirs.items():
        place.data = torch.from_numpy(ours[name]).to(place.dtype)


@mutant("08.3", "another object", "optimizer")
def makes_new_parameters(source, target):
    ours, theirs = fits(source, target)
    if not isinstance(target, nn.Module):
        return carry_over(source, target)
    for name in theirs:
        layer, part = name.split(".")
        old = getattr(target[int(layer)], part)
        new = nn.Parameter(torch.tensor(ours[name], dtype=old.dtype))
        setattr(target[int(layer)], part, new)


@mutant("08.3", "another object", "optimizer")
def replaces_the_arrays(source, target):
    if isinstance(target, nn.Module):
        return carry_over(source, target)
    ours, _ = fits(source, target)
    for number, layer in enumerate(target.layers):
        for part, old in layer.parameters.items():
            layer.parameters[part] = to_array(ours[f"{number}.{part}"]).astype(old.dtype)


@mutant("08.3", "no_grad", outcome="error")
def writes_under_autograd(source, target):
    ours, theirs = fits(source, target)
    if not isinstance(target, nn.Module):
        return carry_over(source, target)
    for name, place in theirs.items():
        place[...] = torch.from_numpy(ours[name])


@mutant("08.3", "parameter.detach().numpy()", outcome="error")
def takes_numpy_of_a_parameter(source, target):
    ours, theirs = fits(source, target)
    if isinstance(target, nn.Module):
        return carry_over(source, target)
    for name, place in theirs.items():
        place[...] = ours[name].numpy()


@mutant("08.3", "other values", "biases")
def forgets_the_biases(source, target):
    ours, theirs = fits(source, target)
    with torch.no_grad():
        for name, place in theirs.items():
            if name.endswith("weight"):
                value = to_array(ours[name])
                place[...] = torch.from_numpy(value) if torch.is_tensor(place) else value


@mutant("08.3", "no longer be trained")
def leaves_them_frozen(source, target):
    carry_over(source, target)
    if isinstance(target, nn.Module):
        target.requires_grad_(False)


@mutant("08.3", "ValueError was asked for", "Compare")
def copies_whatever_is_there(source, target):
    ours, theirs = names_and_parameters(source), names_and_parameters(target)
    with torch.no_grad():
        for name in set(ours) & set(theirs):
            value = to_array(ours[name])
            theirs[name][...] = torch.from_numpy(value) if torch.is_tensor(theirs[name]) else value


@mutant("08.3", "ValueError was asked for", "broadcast")
def compares_the_names_only(source, target):
    if set(names_and_parameters(source)) != set(names_and_parameters(target)):
        raise ValueError("names differ")
    copies_whatever_is_there(source, target)


@mutant("08.3", "too late", "First compare")
def compares_as_it_goes(source, target):
    ours, theirs = names_and_parameters(source), names_and_parameters(target)
    with torch.no_grad():
        for name, value in ours.items():
            if name not in theirs or tuple(value.shape) != tuple(theirs[name].shape):
                raise ValueError(f"{name} does not fit")
            value, place = to_array(value), theirs[name]
            place[...] = torch.from_numpy(value) if torch.is_tensor(place) else value
    if set(ours) != set(theirs):
        raise ValueError("names differ")


@mutant("08.3", "source has changed", "exchanged")
def carries_the_other_way(source, target):
    carry_over(target, source)


@mutant("08.3", "ValueError that names the parameter")
def lets_load_state_dict_complain(source, target):
    if not isinstance(target, nn.Module):
        return carry_over(source, target)
    target.load_state_dict({n: torch.tensor(a) for n, a in source.parameters.items()})


@mutant("08.3", "isinstance", outcome="error")
def knows_one_way_only(source, target):
    for name, array in source.parameters.items():
        with torch.no_grad():
            dict(target.named_parameters())[name].copy_(torch.from_numpy(array))


@mutant("08.3", "changed its dtype")
def changes_the_dtype(source, target):
    carry_over(source, target)
    if isinstance(target, nn.Module):
        target.to(torch.from_numpy(source.parameters["0.weight"]).dtype)


# 08.4 Conv2d(nn.Module)


class Convolution(Conv2d):
    """The solution in pieces, each of which a learner may get wrong."""

    def set_up(self, shape, bias):
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(shape[0]).uniform_(-bound, bound)) if bias else None

    def __init__(
        self, in_channels, out_channels, kernel_size,
        stride=1, padding=0, dilation=1, groups=1, bias=True,
    ):  # fmt: skip
        nn.Module.__init__(self)
        pairs = [s if isinstance(s, tuple) else (s, s) for s in (kernel_size, stride, padding)]
        self.kernel_size, self.stride, self.padding = pairs
        self.dilation = dilation if isinstance(dilation, tuple) else (dilation, dilation)
        self.groups = groups
        self.set_up((out_channels, in_channels // groups, *self.kernel_size), bias)


def conv_mutant(*says, outcome="not yet"):
    return wrong(MUTANTS, "08.4", *says, outcome=outcome)


@conv_mutant("PyTorch's own layer")
class WrapsTorchsLayer(nn.Module):
    def __init__(self, *args, **kwargs):
        super().__init__()
        self.conv = nn.Conv2d(*args, **kwargs)

    def forward(self, images):
        return self.conv(images)


@conv_mutant("PyTorch's own convolution")
class AsksTorch(Convolution):
    def forward(self, images):
        return F.conv2d(images, self.weight, self.bias, self.stride, self.padding,
                        self.dilation, self.groups)  # fmt: skip


@conv_mutant("no parameters", "nn.Parameter")
class PlainTensors(Convolution):
    def set_up(self, shape, bias):
        self.weight = torch.randn(shape, requires_grad=True)
        self.bias = torch.randn(shape[0], requires_grad=True)


@conv_mutant("names weight and bias")
class OtherNames(Convolution):
    def set_up(self, shape, bias):
        self.kernels, self.biases = nn.Parameter(torch.randn(shape)), nn.Parameter(torch.randn(4))


@conv_mutant("names weight and bias", "(O, C / groups, kh, kw)")
class FlatWeights(Convolution):
    def set_up(self, shape, bias):
        self.weight = nn.Parameter(torch.randn(shape[0], math.prod(shape[1:])))
        self.bias = nn.Parameter(torch.randn(shape[0]))


@conv_mutant("Without a bias there is none")
class AlwaysABias(Convolution):
    def set_up(self, shape, bias):
        super().set_up(shape, True)


@conv_mutant("bias was not added")
class NeverAddsTheBias(Convolution):
    def forward(self, images):
        bias = 0 if self.bias is None else self.bias[:, None, None]
        return super().forward(images) - bias


class With(Convolution):
    """Calls unfold with other settings than it was made with."""

    changed = ()

    def forward(self, images):
        kept = {name: getattr(self, name) for name in self.changed}
        for name in kept:
            setattr(self, name, (0, 0) if name == "padding" else (1, 1))
        output = super().forward(images)
        for name, value in kept.items():
            setattr(self, name, value)
        return output


@conv_mutant("stride was not used")
class NoStride(With):
    changed = ("stride",)


@conv_mutant("padding was not used")
class NoPadding(With):
    changed = ("padding",)


@conv_mutant("dilation was not used")
class NoDilation(With):
    changed = ("dilation",)


@conv_mutant("have changed places", "out_h, out_w")
class OutputTransposed(Convolution):
    def forward(self, images):
        output = super().forward(images)
        N, O, h, w = output.shape
        return output.reshape(N, O, w, h).transpose(2, 3).reshape(N, O, h, w)


@conv_mutant("turned by 180°")
class Flips(Convolution):
    def forward(self, images):
        whole = self.weight
        del self.weight
        self.weight = whole.flip(2, 3)
        output = super().forward(images)
        del self.weight
        self.weight = whole
        return output


@conv_mutant("no gradient reached the weights")
class UsesData(Convolution):
    def forward(self, images):
        whole = self.weight
        del self.weight
        self.weight = whole.data
        output = super().forward(images) + 0 * whole.sum()
        del self.weight
        self.weight = whole
        return output


@conv_mutant("other channels than its own")
class MixesGroups(Convolution):
    def forward(self, images):
        N, C, H, W = images.shape
        mixed = images.reshape(N, C // self.groups, self.groups, H, W).transpose(1, 2)
        return super().forward(mixed.reshape(N, C, H, W))


@conv_mutant("drawn otherwise", "Kaiming's variance")
class KaimingWeights(Convolution):
    def set_up(self, shape, bias):
        super().set_up(shape, bias)
        with torch.no_grad():
            self.weight.normal_(0, math.sqrt(2 / math.prod(shape[1:])))


@conv_mutant("drawn otherwise", "not the spread")
class SpreadForBound(Convolution):
    def set_up(self, shape, bias):
        super().set_up(shape, bias)
        with torch.no_grad():
            self.weight.normal_(0, 1 / math.sqrt(math.prod(shape[1:])))


@conv_mutant("bias are drawn otherwise", "same number")
class ZeroBiases(Convolution):
    def set_up(self, shape, bias):
        super().set_up(shape, bias)
        if bias:
            nn.init.zeros_(self.bias)


@conv_mutant("drawn otherwise", "kernel's area")
class ChannelsForFanIn(Convolution):
    def set_up(self, shape, bias):
        super().set_up(shape, bias)
        with torch.no_grad():
            self.weight.uniform_(-1 / math.sqrt(shape[1]), 1 / math.sqrt(shape[1]))


@conv_mutant("same weights")
class OnlyOnes(Convolution):
    def set_up(self, shape, bias):
        super().set_up(shape, bias)
        nn.init.ones_(self.weight)


@conv_mutant("super().__init__()", outcome="error")
class ForgetsSuper(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, **settings):
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))


@conv_mutant("forward is still to be written")
class NoForward(Convolution):
    def forward(self, images):
        raise NotImplementedError


# 08.5 diagnoses

RIGHT = {
    "ada": "unseen", "ben": "piled up", "cleo": "healthy", "dev": "cut", "eva": "stranger",
    "finn": "squashed", "gil": "healthy",
}  # fmt: skip


for name, answer, says in (
    ("one missing", {k: v for k, v in RIGHT.items() if k != "gil"}, ("missing", "gil")),
    ("a name too many", RIGHT | {"hal": "cut"}, ("not one of the 7", "hal")),
    ("another word", RIGHT | {"ada": "a list"}, ("Choose one of these words",)),
    ("a list", list(RIGHT.values()), ("A dictionary is wanted",)),
    ("ada healthy", RIGHT | {"ada": "healthy"}, ("6 of 7", "named_parameters")),
    ("ben healthy", RIGHT | {"ben": "healthy"}, ("one and the same batch",)),
    ("dev healthy", RIGHT | {"dev": "healthy"}, (".grad None",)),
    ("eva healthy", RIGHT | {"eva": "healthy"}, ("which have moved",)),
    ("finn healthy", RIGHT | {"finn": "healthy"}, ("how low its loss",)),
    ("cleo sick", RIGHT | {"cleo": "piled up"}, ("two halves",)),
    ("gil sick", RIGHT | {"gil": "stranger"}, ("needs none",)),
    ("ada and dev exchanged", RIGHT | {"ada": "cut", "dev": "unseen"}, ("3 of 5", "__init__")),
    ("eva cut", RIGHT | {"eva": "cut"}, ("4 of 5", "in what order")),
    ("all healthy", dict.fromkeys(RIGHT, "healthy"), ("2 of 7",)),
):
    MUTANTS.append(Mutant("08.5", name, answer, says))


# 08.6 layer_table(model, images)


def table(
    leaf=lambda m: not list(m.children()), count="new", total="parameters", prepare="eval",
    remove=True, restore="each", row=lambda r: r, order=lambda rows, model: rows, cleanup=True,
):  # fmt: skip
    """A table in pieces; each argument is one thing that a learner may get wrong."""

    def answer(model, images):
        names, rows, seen, handles = {m: n for n, m in model.named_modules()}, [], set(), []

        def note(module, inputs, output):
            own = list(module.parameters())
            fresh = [p for p in own if id(p) not in seen]
            seen.update(map(id, own))
            chosen = {"new": fresh, "all": own, "state": module.state_dict().values()}.get(count)
            number = len(fresh) if count == "tensors" else sum(p.numel() for p in chosen)
            made = (names[module], type(module).__name__, tuple(output.shape), number)
            rows.append(row(made))

        modes = {m: m.training for m in names}

        def clean():
            for handle in handles if remove else ():
                handle.remove()
            if restore == "each":
                for m, training in modes.items():
                    m.training = training
            elif restore == "train":
                model.train()

        handles += [m.register_forward_hook(note) for m in names if leaf(m)]
        if prepare == "eval":
            model.eval()
        try:
            with torch.no_grad():
                model(images)
        finally:
            if cleanup:
                clean()
        clean()
        sums = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "rows": sum(r[3] for r in rows if len(r) == 4 and isinstance(r[3], int)),
            "state": sum(v.numel() for v in model.state_dict().values()),
        }
        return order(rows, model), sums[total]

    return answer


def once(rows, model):
    found = {}
    for made in rows:
        found.setdefault(made[0], made)
    return list(found.values())


def as_registered(rows, model):
    places = [name for name, _ in model.named_modules()]
    return sorted(rows, key=lambda made: places.index(made[0]))


for name, answer, says in (
    ("containers too", table(leaf=lambda m: True), ("Containers have a row",)),
    ("no hooks", table(leaf=lambda m: False), ("There are no rows",)),
    ("counts again", table(count="all"), ("counted again", "by id")),
    ("counts again in all", table(count="all", total="rows"), ("counted twice",)),
    ("sums the rows", table(total="rows"), ("that of the rows", "model.parameters()")),
    ("sums the state", table(total="state"), ("whole state_dict",)),
    ("buffers in rows", table(count="state"), ("Buffers were counted",)),
    ("counts tensors", table(count="tensors"), ("p.numel()",)),
    ("as registered", table(order=as_registered), ("order in which they run",)),
    ("by name", table(order=once), ("runs twice has two rows",)),
    ("no batch", table(row=lambda r: (*r[:2], r[2][1:], r[3])), ("lacks the first axis",)),
    ("kind first", table(row=lambda r: (r[1], r[0], *r[2:])), ("the name comes first",)),
    ("leaves hooks", table(remove=False), ("hooks are still", "handle.remove()")),
    ("all into train", table(restore="train"), ("another mode", "put each back")),
    ("stays in eval", table(restore=""), ("another mode",)),
    ("in train mode", table(prepare=""), ("statistics have moved", "eval()")),
    ("not after an error", table(cleanup=False), ("finally",)),
):
    MUTANTS.append(Mutant("08.6", name, answer, says))


# 08.7 sequential_from_keras(rows, input_shape)


def keras(
    kernel=lambda k: k.transpose(3, 2, 0, 1), dense="place", relu=True, eps=True, momentum=True,
    norm=(0, 1, 2, 3), pool=True, strides=True, padding=True, refuse=True, load_norm=True,
    frozen=False, dry_run_in_eval=True,
):  # fmt: skip
    """A converter in pieces; each argument is one thing that a learner may get wrong."""

    def answer(rows, input_shape):
        H, W, C = input_shape
        maps, parts, shape = torch.zeros(1, C, H, W), [], None
        for name, settings, weights in rows:
            if name == "Conv2D":
                if refuse and settings["padding"] == "same" and settings["strides"] != (1, 1):
                    raise ValueError("same with a stride")
                kh, kw = settings["kernel_size"]
                same = settings["padding"] == "same" and padding
                part = nn.Conv2d(
                    maps.shape[1], settings["filters"], (kh, kw),
                    settings["strides"] if strides else 1, (kh // 2, kw // 2) if same else 0,
                )  # fmt: skip
                part.weight.data = torch.tensor(kernel(weights[0]).copy())
                part.bias.data = torch.tensor(weights[1])
            elif name == "MaxPooling2D":
                part = nn.MaxPool2d(settings["pool_size"], settings["strides"] if pool else None)
            elif name == "BatchNormalization":
                part = nn.BatchNorm2d(
                    maps.shape[1],
                    eps=settings["epsilon"] if eps else 1e-5,
                    momentum=1 - settings["momentum"] if momentum else settings["momentum"],
                )
                if load_norm:
                    tensors = [torch.tensor(weights[i]) for i in norm]
                    part.weight.data, part.bias.data = tensors[:2]
                    part.running_mean, part.running_var = tensors[2:]
            elif name == "Flatten":
                part, shape = nn.Flatten(), maps.shape[1:]
            elif name == "Dense":
                matrix = weights[0]
                if shape and dense != "transpose":
                    C, H, W = shape
                    sizes = {"place": (H, W, C), "swapped": (W, H, C)}[dense]
                    moved = matrix.reshape(*sizes, -1)
                    axes = (2, 0, 1, 3) if dense == "place" else (2, 1, 0, 3)
                    matrix = moved.transpose(axes).reshape(len(matrix), -1)
                part, shape = nn.Linear(*matrix.shape), None
                part.weight.data = torch.tensor(matrix.T.copy())
                part.bias.data = torch.tensor(weights[1])
            elif refuse:
                raise ValueError(f"unknown: {name}")
            else:
                continue
            parts.append(part)
            maps = (part.eval() if dry_run_in_eval else part.train())(maps)
            if relu and settings.get("activation") == "relu":
                parts.append(nn.ReLU())
                maps = maps.relu()
        model = nn.Sequential(*parts)
        return model.requires_grad_(False) if frozen else model

    return answer


def reshape_kernel(kernel):
    kh, kw, C, O = kernel.shape
    return kernel.reshape(O, C, kh, kw)


def unknown_kinds_pass(rows, input_shape):
    known = [row for row in rows if row[0] != "LSTM"]
    return keras()(known, input_shape)


for name, answer, says in (
    ("plain transpose", keras(dense="transpose"), ("shape of the maps before the Flatten",)),
    ("H and W exchanged", keras(dense="swapped"), ("Height and width",)),
    ("reshaped kernel", keras(kernel=reshape_kernel), ("permute moves axes",)),
    ("turned", keras(kernel=lambda k: k.transpose(3, 2, 0, 1)[..., ::-1, ::-1]), ("180°",)),
    ("no relu", keras(relu=False), ("nn.ReLU()",)),
    ("own eps", keras(eps=False), ("1e-5", "1e-3")),
    ("same momentum", keras(momentum=False), ("part that is kept",)),
    ("beta first", keras(norm=(1, 0, 2, 3)), ("gamma and beta have changed places",)),
    ("variance first", keras(norm=(0, 1, 3, 2)), ("mean and running variance",)),
    ("norm not loaded", keras(load_norm=False), ("did nothing",)),
    ("pool strides", keras(pool=False), ("pooling's strides",)),
    ("no strides", keras(strides=False), ("strides of the convolution",)),
    ("no padding", keras(padding=False), ("padding was not used",)),
    ("accepts same with stride", keras(refuse=False), ("to be refused", "other windows")),
    ("leaves out LSTM", unknown_kinds_pass, ("to be refused", "LSTM")),
    ("frozen", keras(frozen=True), ("to be trained",)),
    ("learns from zeros", keras(dry_run_in_eval=False), ("sent through it in train mode",)),
    ("returns rows", lambda rows, shape: rows, ("array",)),
):
    MUTANTS.append(Mutant("08.7", name, answer, says))
MUTANTS.append(
    Mutant("08.7", "kernel as it is", keras(kernel=lambda k: k), ("channels", "N C H W"), "error")
)


# 08.8 per_sample_gradients(model, loss_function, images, labels)


def singly(change=lambda grads, N: grads, clear=True, add_axis=True, shift=0):
    """Image by image with backward; each argument is one thing that a learner may get wrong."""

    def answer(model, loss_function, images, labels):
        model, columns = model if clear is None else copy.deepcopy(model), []
        for image, label in zip(images, labels.roll(shift, 0), strict=True):
            if clear:
                model.zero_grad()
            loss_function(model(image[None]), label[None]).backward()
            columns.append([p.grad.clone() for p in model.parameters()])
        grads = [torch.stack(column) for column in zip(*columns, strict=True)]
        return change(grads, len(images))

    return answer


def batch_gradient(model, loss_function, images, labels):
    loss = loss_function(model(images), labels)
    return list(torch.autograd.grad(loss, list(model.parameters())))


def batch_gradient_repeated(model, loss_function, images, labels):
    grads = batch_gradient(model, loss_function, images, labels)
    return [g.expand(len(images), *g.shape) for g in grads]


def fills_grad(model, loss_function, images, labels):
    columns = []
    for image, label in zip(images, labels, strict=True):
        model.zero_grad()
        loss_function(model(image[None]), label[None]).backward()
        columns.append([p.grad.clone() for p in model.parameters()])
    return [torch.stack(column) for column in zip(*columns, strict=True)]


def forgets_the_axis_of_images(model, loss_function, images, labels):
    def loss_of_one(parameters, image, label):
        return loss_function(torch.func.functional_call(model, parameters, (image,)), label)

    parameters = {n: p.detach() for n, p in model.named_parameters()}
    each = torch.func.vmap(torch.func.grad(loss_of_one), in_dims=(None, 0, 0))
    return list(each(parameters, images, labels[:, None]).values())


def under_no_grad(model, loss_function, images, labels):
    with torch.no_grad():
        loss = loss_function(model(images[:1]), labels[:1])
    loss.backward()


def a_vector_of_losses(model, loss_function, images, labels):
    pairs = zip(images, labels, strict=True)
    losses = torch.stack([loss_function(model(i[None]), k[None]) for i, k in pairs])
    return list(torch.autograd.grad(torch.cat([losses, losses]), list(model.parameters())))


def norms(grads, N):
    return [g.flatten(1).norm(dim=1) for g in grads]


for name, answer, says in (
    ("batch gradient", batch_gradient, ("without an axis for the images",)),
    ("batch repeated", batch_gradient_repeated, ("gradient of the whole batch",)),
    ("summed", singly(lambda grads, N: [g.sum(0) for g in grads]), ("summed up",)),
    ("divided by N", singly(lambda grads, N: [g / N for g in grads]), ("divided by the number",)),
    ("piled up", singly(clear=False), ("images before it", "adds up")),
    ("reversed", singly(lambda grads, N: grads[::-1]), ("wrong order",)),
    ("norms", singly(norms), ("are the norms",)),
    ("flat", singly(lambda grads, N: [g.flatten(1) for g in grads]), ("flattened",)),
    ("labels shifted", singly(shift=1), ("label of another",)),
    ("images last", singly(lambda grads, N: [g.movedim(0, 1) for g in grads]), ("axis",)),
    ("leaves grad", fills_grad, ("left in .grad",)),
):
    MUTANTS.append(Mutant("08.8", name, answer, says))
MUTANTS.append(Mutant("08.8", "no axis", forgets_the_axis_of_images, ("image[None]",), "error"))
MUTANTS.append(Mutant("08.8", "no grad", under_no_grad, ("under autograd",), "error"))
MUTANTS.append(Mutant("08.8", "a vector", a_vector_of_losses, ("one number at a time",), "error"))


# 08.9 hessian_product(loss_function, parameters, vector)


def grads_with_graph(loss_function, parameters, **settings):
    settings = {"create_graph": True, "allow_unused": True, "materialize_grads": True} | settings
    return torch.autograd.grad(loss_function(*parameters), parameters, **settings)


def second(along, parameters):
    if not along.requires_grad:
        return [torch.zeros_like(p) for p in parameters]
    return list(torch.autograd.grad(along, parameters, allow_unused=True, materialize_grads=True))


@mutant("08.9", "create_graph=True", outcome="error")
def forgets_create_graph(loss_function, parameters, vector):
    grads = torch.autograd.grad(loss_function(*parameters), parameters)
    along = sum((g * v).sum() for g, v in zip(grads, vector, strict=True))
    return list(torch.autograd.grad(along, parameters))


@mutant("08.9", "gradient itself")
def returns_the_gradient(loss_function, parameters, vector):
    return list(grads_with_graph(loss_function, parameters))


@mutant("08.9", "H times ones")
def forgets_the_vector(loss_function, parameters, vector):
    return second(sum(g.sum() for g in grads_with_graph(loss_function, parameters)), parameters)


@mutant("08.9", "belongs in between")
def multiplies_at_the_end(loss_function, parameters, vector):
    found = forgets_the_vector(loss_function, parameters, vector)
    return [h * v for h, v in zip(found, vector, strict=True)]


@mutant("08.9", "Parameters interact")
def asks_each_for_itself(loss_function, parameters, vector):
    grads = grads_with_graph(loss_function, parameters)
    return [
        torch.autograd.grad((g * v).sum(), p, retain_graph=True, allow_unused=True,
                            materialize_grads=True)[0] if g.requires_grad else torch.zeros_like(p)
        for g, v, p in zip(grads, vector, parameters, strict=True)
    ]  # fmt: skip


@mutant("08.9", "number by number")
def multiplies_the_sums(loss_function, parameters, vector):
    grads = grads_with_graph(loss_function, parameters)
    along = sum(g.sum() * v.sum() for g, v in zip(grads, vector, strict=True))
    return second(along, parameters)


@mutant("08.9", "H times the gradient")
def takes_the_gradients_length(loss_function, parameters, vector):
    grads = grads_with_graph(loss_function, parameters)
    return second(sum((g * g).sum() for g in grads) / 2, parameters)


@mutant("08.9", "no way back", "materialize_grads=True", outcome="error")
def does_not_allow_unused(loss_function, parameters, vector):
    grads = torch.autograd.grad(loss_function(*parameters), parameters, create_graph=True)
    along = sum((g * v).sum() for g, v in zip(grads, vector, strict=True))
    return list(torch.autograd.grad(along, parameters))


@mutant("08.9", "linear loss", "along.requires_grad", outcome="error")
def forgets_the_linear_loss(loss_function, parameters, vector):
    grads = grads_with_graph(loss_function, parameters)
    along = sum((g * v).sum() for g, v in zip(grads, vector, strict=True))
    return list(torch.autograd.grad(along, parameters, allow_unused=True, materialize_grads=True))


@mutant("08.9", ".grad of the parameters has changed")
def uses_backward(loss_function, parameters, vector):
    grads = grads_with_graph(loss_function, parameters)
    along = sum((g * v).sum() for g, v in zip(grads, vector, strict=True))
    before = [None if p.grad is None else p.grad.clone() for p in parameters]
    if along.requires_grad:
        along.backward()
    return [
        torch.zeros_like(p) if p.grad is None else p.grad - (0 if b is None else b)
        for p, b in zip(parameters, before, strict=True)
    ]


@mutant("08.9", "not equal")
def takes_coarse_differences(loss_function, parameters, vector):
    sides = []
    for sign in (1, -1):
        moved = [
            (p.detach() + sign * 1e-3 * v).requires_grad_()
            for p, v in zip(parameters, vector, strict=True)
        ]
        sides.append([g.detach() for g in grads_with_graph(loss_function, moved)])
    return [(a - b) / 2e-3 for a, b in zip(*sides, strict=True)]


# Right answers in other ways


def gradients_by_forward_mode(function, *arrays):
    tensors = [torch.tensor(array, dtype=torch.float64) for array in arrays]
    argnums = tuple(range(len(tensors)))
    grads, value = torch.func.grad_and_value(function, argnums)(*tensors)
    kinds = [np.asarray(array).dtype for array in arrays]
    return value.item(), [g.detach().numpy().astype(k) for g, k in zip(grads, kinds, strict=True)]


class PoolByLoops(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images, k):
        N, C, H, W = images.shape
        output = images.new_empty(N, C, H // k, W // k)
        places = torch.empty(output.shape, dtype=torch.long)
        for n, c, i, j in np.ndindex(*output.shape):
            window = images[n, c, i * k : i * k + k, j * k : j * k + k]
            best = int(window.reshape(-1).argmax())
            places[n, c, i, j] = (i * k + best // k) * W + j * k + best % k
            output[n, c, i, j] = window.max()
        ctx.places, ctx.shape = places, images.shape
        return output

    @staticmethod
    def backward(ctx, grad_out):
        N, C, H, W = ctx.shape
        flat = grad_out.new_zeros(N, C, H * W)
        flat = flat.scatter_add(2, ctx.places.flatten(2), grad_out.flatten(2))
        return flat.reshape(N, C, H, W), None


def carry_by_state_dict(source, target):
    fits(source, target)
    if isinstance(target, nn.Module):
        target.load_state_dict({n: torch.tensor(a) for n, a in source.parameters.items()})
    else:
        for name, tensor in source.state_dict().items():
            np.copyto(target.parameters[name], tensor.numpy(), casting="same_kind")


class ConvByWindows(Convolution):
    """Strided views and einsum in place of unfold."""

    def forward(self, images):
        (ph, pw), (dh, dw), (sh, sw) = self.padding, self.dilation, self.stride
        kh, kw = self.kernel_size
        padded = F.pad(images, (pw, pw, ph, ph))
        windows = padded.unfold(2, dh * (kh - 1) + 1, sh).unfold(3, dw * (kw - 1) + 1, sw)
        windows = windows[..., ::dh, ::dw].unflatten(1, (self.groups, -1))
        weight = self.weight.unflatten(0, (self.groups, -1))
        output = torch.einsum("ngcrqij,gocij->ngorq", windows, weight).flatten(1, 2)
        return output if self.bias is None else output + self.bias[:, None, None]


def hessian_by_func(loss_function, parameters, vector):
    def gradient(*tensors):
        grads = torch.func.grad(loss_function, tuple(range(len(tensors))))(*tensors)
        return tuple(grads)

    values = tuple(p.detach() for p in parameters)
    return list(torch.func.jvp(gradient, values, tuple(vector))[1])


def per_sample_as_dictionary(model, loss_function, images, labels):
    grads = singly()(model, loss_function, images, labels)
    return dict(zip([n for n, _ in model.named_parameters()], grads, strict=True))


ACCEPTED = [
    ("08.1", gradients_by_forward_mode),
    ("08.2", PoolByLoops),
    ("08.2", pooling(first)),
    ("08.3", carry_by_state_dict),
    ("08.4", ConvByWindows),
    ("08.4", Convolution),
    ("08.5", RIGHT),
    ("08.6", table()),
    ("08.6", lambda model, images: [list(map(list, part)) if isinstance(part, list) else part
                                    for part in layer_table(model, images)]),
    ("08.7", keras()),
    ("08.8", singly()),
    ("08.8", per_sample_as_dictionary),
    ("08.9", hessian_by_func),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def warm():
    """The first use of torch.func and of an optimizer imports much; that is not a check's time."""
    torch.func.grad(torch.sin)(torch.ones(()))
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_wrong_answer_is_rejected_and_its_cause_named(mutant):
    assert survives(mutant) == ""


@pytest.mark.parametrize("exercise_id", IDS)
def test_there_are_at_least_ten_wrong_answers(exercise_id):
    assert sum(mutant.exercise_id == exercise_id for mutant in MUTANTS) >= 10


@pytest.mark.parametrize(
    ("exercise_id", "answer"), ACCEPTED, ids=lambda p: getattr(p, "__name__", str(p)[:8])
)
def test_right_answer_in_another_way_is_accepted(exercise_id, answer):
    verdict = examine(exercise_id, answer)
    assert verdict.outcome == "correct", words(verdict)


@pytest.mark.parametrize("exercise_id", [*CLASSES, "08.5"])
def test_the_source_that_is_shown_is_a_right_answer(exercise_id, capfd, recwarn):
    source, namespace = EXERCISES[exercise_id].solution, {}
    exec(source, namespace)
    name = re.findall(r"^(?:class )?(\w+)(?: =|\()", source, re.M)[-1]
    verdict = examine(exercise_id, namespace[name])
    assert verdict.outcome == "correct", words(verdict)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


class StubPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images, kernel_size):
        raise NotImplementedError

    @staticmethod
    def backward(ctx, grad_out):
        raise NotImplementedError


class StubConv(nn.Module):
    def __init__(self, *args, **kwargs):
        super().__init__()
        raise NotImplementedError


@pytest.mark.parametrize(("exercise_id", "stub"), [("08.2", StubPool), ("08.4", StubConv)])
def test_stubs_of_classes_are_not_attempted(exercise_id, stub):
    assert examine(exercise_id, stub).outcome == "not attempted"


def test_checkers_leave_torchs_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for exercise_id in IDS:
        if exercise_id not in CLASSES:
            state = torch.random.get_rng_state()
            examine(exercise_id, EXERCISES[exercise_id].solution)
            torch.random.set_rng_state(state)  # a network with random weights may be made
    assert torch.equal(torch.rand(3), expected)


# The patients: what they are said to have, they have


def moved_and_reached(name):
    """Two steps on random images: which parameters moved, which have a gradient."""
    torch.manual_seed(0)
    model, step = find_why.load_patients()[name]()
    images, labels = torch.rand(32, 1, 28, 28), torch.arange(32) % 10
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    for _ in range(2):
        step(images, labels)
    moved = {n: not torch.equal(p, before[n]) for n, p in model.named_parameters()}
    reached = {n: p.grad is not None for n, p in model.named_parameters()}
    return model, step, moved, reached


@pytest.mark.parametrize("name", ["ben", "cleo", "finn", "gil"])
def test_all_parameters_of_these_patients_move(name):
    _, _, moved, _ = moved_and_reached(name)
    assert all(moved.values())


def test_what_is_wrong_with_the_others():
    model, _, _, _ = moved_and_reached("ada")
    assert len(model.convs) == 2
    assert not any("convs" in name for name, _ in model.named_parameters())
    _, _, moved, reached = moved_and_reached("dev")
    assert [n for n, r in reached.items() if not r] == ["body.weight", "body.bias"]
    _, _, moved, reached = moved_and_reached("eva")
    assert [n for n, m in moved.items() if not m] == ["5.weight"]
    assert reached["5.weight"]
    model, _, _, _ = moved_and_reached("finn")
    assert torch.allclose(model(torch.rand(2, 1, 28, 28)).sum(1), torch.ones(2))


@pytest.mark.parametrize(("name", "grows"), [("ben", True), ("cleo", False)])
def test_gradients_pile_up_in_one_of_the_two_that_accumulate(name, grows):
    model, step, _, _ = moved_and_reached(name)
    images, labels = torch.rand(32, 1, 28, 28), torch.arange(32) % 10
    loss = F.cross_entropy(model(images), labels)
    fresh = torch.autograd.grad(loss, list(model.parameters()))
    step(images, labels)
    found = next(iter(model.parameters())).grad
    assert torch.allclose(found, fresh[0], atol=1e-4) != grows


def test_every_cause_but_two_is_there_once():
    causes = [cause for cause in RIGHT.values() if cause != "healthy"]
    assert len(causes) == len(set(causes)) == 5
    assert set(find_why.CAUSES) - set(RIGHT.values()) == {"frozen", "uphill"}


# The solutions, where the notebook relies on them


def test_per_sample_gradients_sum_to_that_of_the_batch():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 4)).double()
    images, labels = torch.rand(6, 1, 6, 6).double(), torch.arange(6) % 4
    each = per_sample_gradients(model, F.cross_entropy, images, labels)
    F.cross_entropy(model(images), labels).backward()
    for grad, parameter in zip(each, model.parameters(), strict=True):
        assert torch.allclose(grad.mean(0), parameter.grad)


def test_a_keras_model_is_converted():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    library = pytest.importorskip("keras")

    model = library.Sequential([
        library.Input(shape=(14, 12, 2)),
        library.layers.Conv2D(5, (3, 2), activation="relu"),
        library.layers.BatchNormalization(),
        library.layers.MaxPooling2D((2, 2)),
        library.layers.Conv2D(4, 3, padding="same", activation="relu"),
        library.layers.Flatten(),
        library.layers.Dense(7, activation="relu"),
        library.layers.Dense(3),
    ])  # fmt: skip
    rng = np.random.default_rng(0)
    model.set_weights([rng.random(w.shape).astype(np.float32) + 0.1 for w in model.get_weights()])
    rows = [(type(e).__name__, e.get_config(), e.get_weights()) for e in model.layers]
    images = rng.normal(size=(3, 14, 12, 2)).astype(np.float32)
    wanted = library.ops.convert_to_numpy(model(images, training=False))
    converted = sequential_from_keras(rows, (14, 12, 2)).eval()
    with torch.no_grad():
        found = converted(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_carry_over_survives_a_training_step():
    rng = np.random.default_rng(0)
    ours = layers.Sequential(layers.Flatten(), layers.Linear(4, 3, rng=rng))
    theirs = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=1.0)
    carry_over(ours, theirs)
    theirs(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    assert not np.allclose(theirs[1].bias.detach().numpy(), ours.parameters["1.bias"])
