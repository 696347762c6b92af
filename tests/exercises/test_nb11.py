"""Notebook 11's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import copy
import time

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlib import models
from cnnlib.exercises import EXERCISES, examine
from cnnlib.exercises.verdicts import solution_source

from .mutants import Mutant, survives, words, wrong

MUTANTS: list[Mutant] = []
IDS = [name for name in EXERCISES if name.startswith("11.")]


def mutant(exercise_id, *says, outcome="not yet"):
    return wrong(MUTANTS, exercise_id, *says, outcome=outcome)


# 11.1 stack_or_one(num_layers, kernel_size, channels)


def stack(field, layers, bias=True, pairs=2):
    def answer(n, k, c):
        size, count = field(n, k), layers(n)
        one = size * size * c**pairs + (c if bias else 0)
        return size, count * (k * k * c**pairs + (c if bias else 0)), one

    return answer


def seen(n, k):
    size = k
    for _ in range(n - 1):
        size += k - 1
    return size


@mutant("11.1", "biases are missing")
def forgets_biases(*args):
    return stack(seen, lambda n: n, bias=False)(*args)


@mutant("11.1", "overlap")
def multiplies_the_kernels(*args):
    return stack(lambda n, k: n * k, lambda n: n)(*args)


@mutant("11.1", "power")
def takes_the_power(*args):
    return stack(lambda n, k: k**n, lambda n: n)(*args)


@mutant("11.1", "too small by one")
def forgets_the_pixel_itself(*args):
    return stack(lambda n, k: n * (k - 1), lambda n: n)(*args)


@mutant("11.1", "One layer too few")
def counts_one_layer_too_few(*args):
    return stack(lambda n, k: seen(n, k) - (k - 1), lambda n: n)(*args)


@mutant("11.1", "channels² kernels")
def takes_channels_once(*args):
    return stack(seen, lambda n: n, pairs=1)(*args)


@mutant("11.1", "Only one layer")
def counts_one_layer(*args):
    return stack(seen, lambda n: 1)(*args)


@mutant("11.1", "stack's field as its kernel size")
def compares_with_the_same_kernel(n, k, c):
    return seen(n, k), n * (k * k * c * c + c), k * k * c * c + c


@mutant("11.1", "not kernel_size")
def forgets_the_square(n, k, c):
    return seen(n, k), n * (k * c * c + c), seen(n, k) * c * c + c


@mutant("11.1", "3 results are wanted")
def returns_two_numbers(n, k, c):
    return n * (k * k * c * c + c), seen(n, k) ** 2 * c * c + c


@mutant("11.1", "wrong order")
def returns_them_backwards(n, k, c):
    return stack(seen, lambda n: n)(n, k, c)[::-1]


# 11.2 inception_weights(in_channels, ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj)


def inception(c, a, r3, b, r5, d, p, **change):
    five = change.get("five", 25)
    always = c * a + (0 if change.get("pool") == "never" else c * p)
    reduced = c * r3 + r3 * b * 9 + c * r5 + r5 * d * five
    direct = c * b * 9 + c * d * five
    return always + reduced, always + direct


@mutant("11.2", "25 weights")
def takes_three_for_five(*sizes):
    return inception(*sizes, five=9)


@mutant("11.2", "through the pooling is missing")
def forgets_the_projection(*sizes):
    return inception(*sizes, pool="never")


@mutant("11.2", "still there")
def drops_the_projection_too(*sizes):
    return inception(*sizes)[0], inception(*sizes, pool="never")[1]


@mutant("11.2", "missing from the first")
def forgets_the_projection_once(*sizes):
    return inception(*sizes, pool="never")[0], inception(*sizes)[1]


@mutant("11.2", "reductions have weights themselves")
def gets_reductions_for_nothing(c, a, r3, b, r5, d, p):
    with_them, without = inception(c, a, r3, b, r5, d, p)
    return with_them - c * (r3 + r5), without


@mutant("11.2", "Biases were counted")
def counts_biases(c, a, r3, b, r5, d, p):
    with_them, without = inception(c, a, r3, b, r5, d, p)
    return with_them + a + r3 + b + r5 + d + p, without + a + b + d + p


@mutant("11.2", "beside each other")
def puts_the_ways_in_a_row(c, a, r3, b, r5, d, p):
    with_them = c * a + a * r3 + 9 * r3 * b + b * r5 + 25 * r5 * d + c * p
    return with_them, inception(c, a, r3, b, r5, d, p)[1]


@mutant("11.2", "changed places")
def exchanges_the_two(*sizes):
    return inception(*sizes)[::-1]


@mutant("11.2", "take all in_channels")
def keeps_the_narrow_input(c, a, r3, b, r5, d, p):
    return inception(c, a, r3, b, r5, d, p)[0], c * a + c * p + 9 * r3 * b + 25 * r5 * d


# 11.3 Bottleneck(in_channels, channels, stride)


class Block(nn.Module):
    """A bottleneck written out; each class below has one mistake of its own."""

    strides = (1, 0, 1)  # where the stride is not
    bias = False

    def __init__(self, in_channels, channels, stride=1):
        super().__init__()
        sizes = [(in_channels, channels, 1), (channels, channels, 3), (channels, 4 * channels, 1)]
        for number, (inside, outside, size) in enumerate(sizes):
            step = 1 if self.strides[number] else stride
            conv = nn.Conv2d(inside, outside, size, step, size // 2, bias=self.bias)
            setattr(self, f"conv{number + 1}", conv)
            setattr(self, f"bn{number + 1}", self.norm(outside))
        if stride > 1 or in_channels != 4 * channels:
            self.downsample = self.shortcut(in_channels, 4 * channels, stride)
        else:
            self.downsample = None

    def norm(self, channels):
        return nn.BatchNorm2d(channels)

    def shortcut(self, inside, outside, stride):
        conv = nn.Conv2d(inside, outside, 1, stride, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(outside))

    def aside(self, features):
        return features if self.downsample is None else self.downsample(features)

    def branch(self, features):
        out = self.bn1(self.conv1(features)).relu()
        out = self.bn2(self.conv2(out)).relu()
        return self.bn3(self.conv3(out))

    def forward(self, features):
        return (self.branch(features) + self.aside(features)).relu()


@mutant("11.3", "stride is in conv1", "v1.5")
class HasTheStrideFirst(Block):
    strides = (0, 1, 1)


@mutant("11.3", "stride is in conv3")
class HasTheStrideLast(Block):
    strides = (1, 1, 0)


@mutant("11.3", "must match", outcome="error")
class HasNoStride(Block):
    strides = (1, 1, 1)


@mutant("11.3", "ReLU came before the addition")
class ActivatesBeforeTheSum(Block):
    def forward(self, features):
        return self.branch(features).relu() + self.aside(features)


@mutant("11.3", "last ReLU is missing")
class ForgetsTheLastReLU(Block):
    def forward(self, features):
        return self.branch(features) + self.aside(features)


@mutant("11.3", "another after the addition")
class ActivatesTwice(Block):
    def forward(self, features):
        return F.relu(F.relu(self.branch(features)) + self.aside(features))


@mutant("11.3", "ReLU after bn1 is missing")
class ForgetsTheFirstReLU(Block):
    def branch(self, features):
        out = self.bn1(self.conv1(features))
        out = self.bn2(self.conv2(out)).relu()
        return self.bn3(self.conv3(out))


@mutant("11.3", "ReLU after bn2 is missing")
class ForgetsTheSecondReLU(Block):
    def branch(self, features):
        out = self.bn2(self.conv2(self.bn1(self.conv1(features)).relu()))
        return self.bn3(self.conv3(out))


@mutant("11.3", "before the batch norm")
class ActivatesBeforeTheNorm(Block):
    def branch(self, features):
        out = self.bn1(self.conv1(features).relu())
        out = self.bn2(self.conv2(out).relu())
        return self.bn3(self.conv3(out))


@mutant("11.3", "shortcut is not added")
class AddsNothing(Block):
    def forward(self, features):
        return self.branch(features).relu()


@mutant("11.3", "ReLU of its own")
class ActivatesTheShortcut(Block):
    def aside(self, features):
        return super().aside(features).relu()


@mutant("11.3", "bias=False")
class HasBiases(Block):
    bias = True


@mutant("11.3", "batch norm of its own", "downsample.1")
class HasABareShortcut(Block):
    def shortcut(self, inside, outside, stride):
        return nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False))


@mutant("11.3", "nn.Sequential of convolution and batch norm")
class NamesTheShortcutOtherwise(Block):
    def __init__(self, *args):
        super().__init__(*args)
        if self.downsample is not None:
            self.shortcut_conv, self.shortcut_norm = self.downsample
            self.downsample = None


@mutant("11.3", "shortcut is the input itself")
class AlwaysHasADownsample(Block):
    def __init__(self, in_channels, channels, stride=1):
        super().__init__(in_channels, channels, stride)
        self.downsample = self.shortcut(in_channels, 4 * channels, stride)


@mutant("11.3", "eps")
class HasAnotherEps(Block):
    def norm(self, channels):
        return nn.BatchNorm2d(channels, eps=1e-3)

    def shortcut(self, inside, outside, stride):
        conv = nn.Conv2d(inside, outside, 1, stride, bias=False)
        return nn.Sequential(conv, self.norm(outside))


@mutant("11.3", "another one after the pass")
class HasAnotherMomentum(Block):
    def norm(self, channels):
        return nn.BatchNorm2d(channels, momentum=0.01)


@mutant("11.3", "detached")
class DetachesTheShortcut(Block):
    def aside(self, features):
        return super().aside(features.detach())


@mutant("11.3", "changed its input")
class ActivatesItsInputInPlace(Block):
    def forward(self, features):
        out = super().forward(features.clone())
        with torch.no_grad():
            features.relu_()
        return out


@mutant("11.3", "another shape", "output channels")
class ExpandsByTwo(Block):
    def __init__(self, in_channels, channels, stride=1):
        super().__init__(in_channels, channels, stride)
        self.conv3 = nn.Conv2d(channels, 2 * channels, 1, bias=False)


@mutant("11.3", "Pass the class")
class IsAModuleAlready(Block):
    pass


MUTANTS[-1] = Mutant("11.3", "passes a module", Block(4, 1), ("Pass the class, not a module",))


# 11.4 resnet(depth)


class Net(nn.Module):
    """A ResNet with plain classes; `change` names what is done otherwise."""

    def __init__(self, depth, change=None):
        super().__init__()
        self.change = change = change or {}
        counts, deep = ((2, 2, 2, 2), False) if depth == 18 else ((3, 4, 6, 3), True)
        counts = change.get("counts", counts)
        self.conv1 = nn.Conv2d(
            3, 64, 7, 2, change.get("stem padding", 3), bias=change.get("bias", False)
        )
        self.bn1 = change.get("norm", nn.BatchNorm2d)(64)
        self.maxpool = change.get("pool", nn.MaxPool2d(3, 2, 1))
        channels = 64
        for stage, count in enumerate(counts):
            blocks = nn.Sequential()
            for number in range(count):
                first = change.get("first strides", (1, 2, 2, 2))[stage]
                stride = first if number == 0 else 1
                blocks.append(Part(channels, 64 * 2**stage, stride, deep, change))
                channels = 64 * 2**stage * (4 if deep else 1)
            setattr(self, f"layer{stage + 1}", blocks)
        self.fc = nn.Linear(channels, change.get("classes", 1000))

    def forward(self, images):
        out = self.change.get("stem", lambda x: x.relu())(self.bn1(self.conv1(images)))
        out = self.maxpool(out)
        out = self.layer4(self.layer3(self.layer2(self.layer1(out))))
        out = self.change.get("mean", lambda x: x.mean(dim=(2, 3)))(out)
        return self.change.get("end", lambda x: x)(self.fc(out))


class Part(nn.Module):
    def __init__(self, inside, channels, stride, deep, change):
        super().__init__()
        self.change, self.deep, outside = change, deep, channels * (4 if deep else 1)
        norm = change.get("norm", nn.BatchNorm2d)
        where = change.get("stride in", 2 if deep else 1) if deep else change.get("in basic", 1)
        sizes = [(inside, channels, 1), (channels, channels, 3), (channels, outside, 1)]
        sizes = sizes if deep else [(inside, channels, 3), (channels, channels, 3)]
        for number, (a, b, size) in enumerate(sizes, start=1):
            step = stride if number == where else 1
            conv = nn.Conv2d(a, b, size, step, size // 2, bias=change.get("bias", False))
            setattr(self, f"conv{number}", conv)
            setattr(self, f"bn{number}", norm(b))
        always = change.get("always") or (stride != 1 or inside != outside)
        if change.get("only strides") and stride == 1:
            always = False
        self.downsample = None
        if always:
            self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False))
            if not change.get("bare"):
                self.downsample.append(norm(outside))

    def forward(self, features):
        change = self.change
        relu = [lambda x: x] if "no inner" in change else [lambda x: x.relu()]
        out = relu[0](self.bn1(self.conv1(features)))
        out = self.bn2(self.conv2(out))
        if self.deep:
            out = self.bn3(self.conv3(out.relu()))
        aside = features if self.downsample is None else self.downsample(features)
        if self.downsample is not None and change.get("unused norm"):
            aside = self.downsample[0](features)
        if change.get("pick") and aside.shape != out.shape:
            aside = 0
        return change.get("sum", lambda out, aside: (out + aside).relu())(out, aside)


def net(**change):
    named = {key.replace("_", " "): value for key, value in change.items()}
    return lambda depth: Net(depth, named)


def enter(name, answer, *says, outcome="not yet"):
    MUTANTS.append(Mutant("11.4", name, answer, says, outcome))


for _name, _change, _says in (
    ("stride in conv1", {"stride_in": 1}, ("layer2.0.conv1", "v1.5", "conv2")),
    ("stride in conv3", {"stride_in": 3}, ("layer2.0.conv2", "stride is (1, 1)")),
    ("stride in conv2 of 18", {"in_basic": 2}, ("layer2.0.conv1", "should be (2, 2)")),
    ("ReLU before the addition", {"sum": lambda o, a: o.relu() + a}, ("layer1.0", "before the")),
    ("no last ReLU", {"sum": lambda o, a: o + a}, ("layer1.0:", "last ReLU", "missing")),
    ("no shortcut", {"sum": lambda o, a: o.relu()}, ("layer1.0", "not added")),
    ("neither", {"sum": lambda o, a: o}, ("layer1.0", "not added", "last ReLU")),
    ("two ReLUs", {"sum": lambda o, a: (o.relu() + a).relu()}, ("before the addition",)),
    ("ReLU on shortcut", {"sum": lambda o, a: (o + a.relu()).relu()}, ("ReLU of its own",)),
    ("doubles", {"sum": lambda o, a: (o + o).relu()}, ("added to itself",)),
    ("subtracts", {"sum": lambda o, a: (o - a).relu()}, ("subtracted",)),
    ("averages", {"sum": lambda o, a: ((o + a) / 2).relu()}, ("averaged",)),
    ("multiplies", {"sum": lambda o, a: (o * a).relu()}, ("add the shortcut, then ReLU",)),
    ("no inner ReLU", {"no_inner": True}, ("layer1.0.conv2", "ReLU after layer1.0.bn1")),
    ("biases", {"bias": True}, ("conv1.bias", "bias=False")),
    ("bare shortcut", {"bare": True}, ("downsample.1", "batch norm of its own")),
    ("shortcut's norm unused", {"unused_norm": True}, ("downsample.1, is not used",)),
    ("always a shortcut", {"always": True}, ("unexpected: layer1.0.downsample", "input itself")),
    ("shortcut only with stride", {"only_strides": True}, ("other channels",)),
    ("first stage halves", {"first_strides": (2, 2, 2, 2)}, ("layer1.0.downsample",)),
    ("third stage keeps", {"first_strides": (1, 2, 1, 2)}, ("layer3.0.conv1", "stride")),
    ("no stem ReLU", {"stem": lambda x: x}, ("ReLU after bn1 is missing",)),
    ("no max pool", {"pool": nn.Identity()}, ("max pooling after the stem is missing",)),
    ("average pool", {"pool": nn.AvgPool2d(3, 2, 1)}, ("maximum, not the mean",)),
    ("pool without padding", {"pool": nn.MaxPool2d(3, 2)}, ("padding is missing",)),
    ("pool of 2", {"pool": nn.MaxPool2d(2)}, ("overlap",)),
    ("pool with ceil", {"pool": nn.MaxPool2d(3, 2, ceil_mode=True)}, ("max pooling",)),
    ("pool of stride 1", {"pool": nn.MaxPool2d(3, 1, 1)}, ("stride 1",)),
    ("stem padding", {"stem_padding": 0}, ("conv1", "padding is (0, 0) and should be (3, 3)")),
    ("maximum at the end", {"mean": lambda x: x.amax(dim=(2, 3))}, ("fc", "not the maximum")),
    ("sum at the end", {"mean": lambda x: x.sum(dim=(2, 3))}, ("not the sum",)),
    ("softmax", {"end": lambda x: x.softmax(dim=1)}, ("softmax", "logits")),
    ("log_softmax", {"end": lambda x: x.log_softmax(dim=1)}, ("log_softmax",)),
    ("ReLU at the end", {"end": lambda x: x.relu()}, ("ends in a ReLU",)),
    ("dropout", {"end": lambda x: F.dropout(x, 0.5)}, ("fc gives",)),
    ("eps", {"norm": lambda c: nn.BatchNorm2d(c, eps=1e-3)}, ("bn1", "eps is 0.001")),
    ("momentum", {"norm": lambda c: nn.BatchNorm2d(c, momentum=0.01)}, ("momentum is 0.01",)),
    ("too many blocks", {"counts": (3, 4, 6, 3)}, ("counted from 0", "2, 2, 2, 2")),
    ("ten classes", {"classes": 10}, ("fc.weight (1000, 512)",)),
):  # fmt: skip
    enter(_name, net(**_change), *_says)

enter("no average", net(mean=lambda x: x.flatten(1)), "average pooling", "fc", outcome="error")
enter("keeps the axes", net(mean=lambda x: x.mean((2, 3), keepdim=True)), "flatten(1)", "fc",
      outcome="error")  # fmt: skip
enter("detached", net(mean=lambda x: x.detach().mean(dim=(2, 3))), "detached")
enter("basic blocks for 50", lambda depth: Net(18), "bottlenecks")


class Wrapped(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.model = Net(depth)

    def forward(self, images):
        return self.model(images)


class OtherNames(Net):
    def __init__(self, depth):
        super().__init__(depth)
        self.classifier = self.fc
        del self.fc


enter("wrapped", Wrapped, "inside self.model")
enter("names fc otherwise", OtherNames, "last layer", "self.fc")


@mutant("11.4", "torchvision's own")
def borrows_torchvisions(depth):
    import torchvision

    return getattr(torchvision.models, f"resnet{depth}")(weights=None)


@mutant("11.4", "no nn.Module", "end in a return")
def returns_nothing(depth):
    Net(depth)


@mutant("11.4", "images were changed")
def writes_into_the_images(depth):
    class Writes(Net):
        def forward(self, images):
            out = super().forward(images)
            images.mul_(0.5)
            return out

    return Writes(depth)


@mutant("11.4", "layer2.1", "never run")
def skips_a_block(depth):
    class Skips(Net):
        def forward(self, images):
            out = self.maxpool(self.bn1(self.conv1(images)).relu())
            out = self.layer2[0](self.layer1(out))
            return self.fc(self.layer4(self.layer3(out)).mean(dim=(2, 3)))

    return Skips(depth)


# 11.5 PreActBlock(in_channels, channels, stride)


class Clean(nn.Module):
    """The pre-activation block written out; each class below has one mistake of its own."""

    strides = (0, 1)  # where the stride is not

    def __init__(self, in_channels, channels, stride=1):
        super().__init__()
        first, second = (1 if off else stride for off in self.strides)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, first, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, second, 1, bias=False)
        self.changes = stride != 1 or in_channels != channels
        if self.changes:
            self.downsample = self.shortcut(in_channels, channels, stride)

    def shortcut(self, inside, outside, stride):
        return nn.Conv2d(inside, outside, 1, stride, bias=False)

    def one(self, features):
        return self.bn1(features).relu()

    def two(self, features):
        return self.bn2(features).relu()

    def aside(self, features):
        return self.downsample(self.one_again(features)) if self.changes else features

    def one_again(self, features):
        return self.active

    def forward(self, features):
        self.active = self.one(features)
        return self.conv2(self.two(self.conv1(self.active))) + self.aside(features)


@mutant("11.5", "ReLU after the addition")
class ActivatesTheSum(Clean):
    def forward(self, features):
        return super().forward(features).relu()


@mutant("11.5", "not the raw ones")
class GivesTheShortcutTheRawInput(Clean):
    def one_again(self, features):
        return features


@mutant("11.5", "as it came")
class HandsOnTheActive(Clean):
    def aside(self, features):
        return super().aside(features) if self.changes else self.active


@mutant("11.5", "ReLU came before the norm")
class ActivatesThenNormalises(Clean):
    def one(self, features):
        return self.bn1(features.relu())

    def two(self, features):
        return self.bn2(features.relu())


@mutant("11.5", "stride belongs to the first")
class HasTheStrideInTheSecond(Clean):
    strides = (1, 0)


@mutant("11.5", "ReLU after bn1")
class ForgetsReLUOne(Clean):
    def one(self, features):
        return self.bn1(features)


@mutant("11.5", "ReLU after bn2")
class ForgetsReLUTwo(Clean):
    def two(self, features):
        return self.bn2(features)


@mutant("11.5", "Both ReLUs")
class ForgetsBothReLUs(Clean):
    one, two = ForgetsReLUOne.one, ForgetsReLUTwo.two


@mutant("11.5", "shortcut is not added")
class ForgetsTheShortcut(Clean):
    def forward(self, features):
        return self.conv2(self.two(self.conv1(self.one(features))))


@mutant("11.5", "without a norm")
class NormalisesTheShortcut(Clean):
    def shortcut(self, inside, outside, stride):
        return nn.Sequential(super().shortcut(inside, outside, stride), nn.BatchNorm2d(outside))


@mutant("11.5", "not an nn.Sequential")
class PutsTheShortcutIntoASequential(Clean):
    def shortcut(self, inside, outside, stride):
        return nn.Sequential(super().shortcut(inside, outside, stride))


@mutant("11.5", "another shape")
class IsTheOldBlock(models.BasicBlock):
    """bn1 normalises what conv1 gives; the first setting cannot tell, the second can."""

    def __init__(self, in_channels, channels, stride=1):
        super().__init__(in_channels, channels, stride)
        if len(self.downsample):
            self.downsample = self.downsample[0]


MUTANTS[-1] = Mutant("11.5", "the old block", IsTheOldBlock, ("values",))


@mutant("11.5", "another one after the pass")
class NormalisesTwice(Clean):
    def one_again(self, features):
        return self.one(features)


# 11.6 dense_channels(growth_rate, block_config, num_init_features)


def dense(grown=lambda c, n, k: c + n * k, after=lambda c: c // 2):
    def answer(growth_rate, block_config, num_init_features):
        into, out = [num_init_features], []
        for n in block_config:
            out.append(grown(into[-1], n, growth_rate))
            into.append(after(out[-1]))
        return list(zip(into, out, strict=False))

    return answer


@mutant("11.6", "halves the number")
def never_halves(*args):
    return dense(after=lambda c: c)(*args)


@mutant("11.6", "the first one too")
def skips_the_first_layer(*args):
    return dense(grown=lambda c, n, k: c + (n - 1) * k)(*args)


@mutant("11.6", "counted as one layer")
def takes_a_block_for_a_layer(*args):
    return dense(grown=lambda c, n, k: c + k)(*args)


@mutant("11.6", "concatenated, not replaced")
def replaces_the_maps(*args):
    return dense(grown=lambda c, n, k: n * k)(*args)


@mutant("11.6", "as many new ones as it got")
def doubles_in_each_layer(*args):
    return dense(grown=lambda c, n, k: c * 2**n)(*args)


@mutant("11.6", "rounded down")
def rounds_up(*args):
    return dense(after=lambda c: (c + 1) // 2)(*args)


@mutant("11.6", "whole number")
def leaves_halves(*args):
    return dense(after=lambda c: c / 2)(*args)


@mutant("11.6", "After the last block")
def halves_at_the_end(*args):
    *pairs, (into, out) = dense()(*args)
    return [*pairs, (into, out // 2)]


@mutant("11.6", "before the transition halves it")
def shows_what_leaves_the_transition(*args):
    return [(into, out // 2) for into, out in dense()(*args)]


@mutant("11.6", "num_init_features maps")
def doubles_the_stem(growth_rate, block_config, num_init_features):
    return dense()(growth_rate, block_config, 2 * growth_rate)


# 11.7 separable_macs(in_channels, out_channels, kernel_size, image_size, stride)


def macs(C, O, k, size, stride=1, **change):
    padding = change.get("padding", k // 2)
    places = 1
    for n in size:
        places *= (n + 2 * padding - k) // stride + 1
    everywhere = size[0] * size[1]
    if change.get("floor"):
        places = (size[0] // stride) * (size[1] // stride)
    depth = change.get("depth", C) * k * k * (everywhere if change.get("late") else places)
    point = 0 if change.get("point") is False else places * C * O
    full = places * C * O * k * k
    if change.get("still"):
        full, depth, point = (x * everywhere // places for x in (full, depth, point))
    return full, depth * point if change.get("times") else depth + point


@mutant("11.7", "pointwise part is missing")
def forgets_the_pointwise(*args, **kwargs):
    return macs(*args, **kwargs, point=False)


@mutant("11.7", "input* map")
def filters_the_outputs(C, O, *args, **kwargs):
    return macs(C, O, *args, **kwargs, depth=O)


@mutant("11.7", "one map only")
def filters_across_maps(C, *args, **kwargs):
    return macs(C, *args, **kwargs, depth=C * C)


@mutant("11.7", "there are in_channels of them")
def filters_one_map(*args, **kwargs):
    return macs(*args, **kwargs, depth=1)


@mutant("11.7", "stride was ignored")
def ignores_the_stride(*args, **kwargs):
    return macs(*args, **kwargs, still=True)


@mutant("11.7", "stride belongs to the depthwise")
def has_the_stride_in_the_pointwise(*args, **kwargs):
    return macs(*args, **kwargs, late=True)


@mutant("11.7", "padding", "left out")
def forgets_the_padding(*args, **kwargs):
    return macs(*args, **kwargs, padding=0)


@mutant("11.7", "not H // stride")
def divides_and_rounds_down(*args, **kwargs):
    return macs(*args, **kwargs, floor=True)


@mutant("11.7", "add up")
def multiplies_the_parts(*args, **kwargs):
    return macs(*args, **kwargs, times=True)


@mutant("11.7", "wrong order")
def returns_the_separable_first(*args, **kwargs):
    return macs(*args, **kwargs)[::-1]


# 11.8 InvertedResidual(in_channels, out_channels, stride, expand_ratio)


class Inverted(nn.Module):
    """MobileNetV2's block written out; each class below has one mistake of its own."""

    activation = nn.ReLU6
    where = 1  # the convolution that has the stride

    def __init__(self, in_channels, out_channels, stride, expand_ratio):
        super().__init__()
        self.stride, self.fits = stride, stride == 1 and in_channels == out_channels
        inside = in_channels * expand_ratio
        self.conv = nn.Sequential()
        if self.expands(expand_ratio):
            self.conv.append(self.unit(in_channels, inside, 1, 0, 1))
        self.conv.append(self.unit(inside, inside, 3, 1, self.groups(inside)))
        step = stride if self.where == 2 else 1
        self.conv.append(nn.Conv2d(inside, out_channels, 1, step, bias=False))
        self.conv.append(nn.BatchNorm2d(out_channels))

    def expands(self, ratio):
        return ratio > 1

    def groups(self, channels):
        return channels

    def unit(self, inside, outside, size, number, groups):
        step = self.stride if number == self.where else 1
        conv = nn.Conv2d(inside, outside, size, step, size // 2, groups=groups, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(outside), self.activation())

    def forward(self, features):
        out = self.conv(features)
        return out + features if self.fits else out


@mutant("11.8", "after the projection", "linear")
class ActivatesTheProjection(Inverted):
    def forward(self, features):
        out = F.relu6(self.conv(features))
        return out + features if self.fits else out


@mutant("11.8", "after the projection")
class ActivatesTheProjectionWithReLU(Inverted):
    def forward(self, features):
        out = F.relu(self.conv(features))
        return out + features if self.fits else out


@mutant("11.8", "unlike in ResNet")
class ActivatesTheSumLikeResNet(Inverted):
    def forward(self, features):
        return super().forward(features).relu()


@mutant("11.8", "ReLU6 after the addition")
class ActivatesTheSumWithReLU6(Inverted):
    def forward(self, features):
        return F.relu6(super().forward(features))


@mutant("11.8", "input is not added")
class NeverAdds(Inverted):
    def forward(self, features):
        return self.conv(features)


@mutant("11.8", "cut off at 6")
class UsesReLU(Inverted):
    activation = nn.ReLU


@mutant("11.8", "activations, ReLU6, are missing")
class HasNoActivation(Inverted):
    activation = nn.Identity


@mutant("11.8", "stride is in the expansion")
class HasTheStrideInTheExpansion(Inverted):
    where = 0


@mutant("11.8", "stride is in the projection")
class HasTheStrideInTheProjection(Inverted):
    where = 2


@mutant("11.8", "stride is not used")
class IgnoresTheStride(Inverted):
    where = None


@mutant("11.8", "depthwise", "groups")
class MixesInTheMiddle(Inverted):
    def groups(self, channels):
        return 1


@mutant("11.8", "no expansion")
class AlwaysExpands(Inverted):
    def expands(self, ratio):
        return True


@mutant("11.8", "bias=False")
class HasBiasesInside(Inverted):
    def unit(self, inside, outside, size, number, groups):
        layers = super().unit(inside, outside, size, number, groups)
        old = layers[0]
        layers[0] = nn.Conv2d(inside, outside, size, old.stride, old.padding, groups=groups)
        return layers


@mutant("11.8", "stand bare")
class PutsTheProjectionIntoASequential(Inverted):
    def __init__(self, *args):
        super().__init__(*args)
        *rest, conv, norm = self.conv
        self.conv = nn.Sequential(*rest, nn.Sequential(conv, norm))


@mutant("11.8", "stride 1 and the same channels")
class AddsWhereTheShapesAgree(Inverted):
    def forward(self, features):
        out = self.conv(features)
        return out + features if out.shape == features.shape else out


# 11.9 ConvNeXtBlock(channels, layer_scale)


class Next(nn.Module):
    """ConvNeXt's block, kept in N C H W; each class below has one mistake of its own."""

    eps, shape, begins = 1e-6, (-1, 1, 1), None

    def __init__(self, channels, layer_scale=1e-6):
        super().__init__()
        conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        layers = [conv, nn.Identity(), nn.LayerNorm(channels, eps=self.eps)]
        layers += [
            nn.Linear(channels, 4 * channels),
            self.gelu(),
            nn.Linear(4 * channels, channels),
        ]
        self.block = nn.ModuleList(layers)
        start = layer_scale if self.begins is None else self.begins
        self.layer_scale = nn.Parameter(torch.full((channels,), start).reshape(self.shape))

    def gelu(self):
        return nn.GELU()

    def convolved(self, features):
        return self.block[0](features)

    def normed(self, features):
        return self.block[2](features.movedim(1, -1))

    def branch(self, features):
        values = self.normed(self.convolved(features))
        return self.block[5](self.block[4](self.block[3](values))).movedim(-1, 1)

    def forward(self, features):
        return features + self.branch(features) * self.layer_scale


@mutant("11.9", "layer_scale is there but not used")
class IgnoresTheScale(Next):
    def forward(self, features):
        return features + self.branch(features)


@mutant("11.9", "branch alone")
class ScalesTheSum(Next):
    def forward(self, features):
        return (features + self.branch(features)) * self.layer_scale


@mutant("11.9", "input is not added")
class AddsNoInput(Next):
    def forward(self, features):
        return self.branch(features) * self.layer_scale


@mutant("11.9", "multiplies the input")
class ScalesTheInput(Next):
    def forward(self, features):
        return features * self.layer_scale + self.branch(features)


@mutant("11.9", "approximate one")
class ApproximatesGELU(Next):
    def gelu(self):
        return nn.GELU(approximate="tanh")


@mutant("11.9", "ReLU in place of GELU")
class TakesReLU(Next):
    def gelu(self):
        return nn.ReLU()


@mutant("11.9", "GELU, is missing")
class TakesNoActivation(Next):
    def gelu(self):
        return nn.Identity()


@mutant("11.9", "1e-6")
class KeepsTheUsualEps(Next):
    eps = 1e-5


@mutant("11.9", "every pixel is normalised by itself")
class NormalisesTheWholeMap(Next):
    def normed(self, features):
        out = F.group_norm(features, 1, eps=1e-6).movedim(1, -1)
        return out * self.block[2].weight + self.block[2].bias


@mutant("11.9", "layer norm is not used")
class ForgetsTheNorm(Next):
    def normed(self, features):
        return features.movedim(1, -1)


@mutant("11.9", "norm came before the convolution")
class NormalisesFirst(Next):
    def convolved(self, features):
        return self.block[0](super().normed(features).movedim(-1, 1))

    def normed(self, features):
        return features.movedim(1, -1)


@mutant("11.9", "only one")
class ActivatesTheConvolution(Next):
    def convolved(self, features):
        return F.gelu(super().convolved(features))


@mutant("11.9", "nn.Parameter of shape")
class ScaleIsNoParameter(Next):
    def __init__(self, channels, layer_scale=1e-6):
        super().__init__(channels)
        del self.layer_scale
        self.layer_scale = layer_scale


@mutant("11.9", "begins with other values")
class BeginsWithOne(Next):
    begins = 1.0


@mutant("11.9", "layer_scale (2, 1, 1)")
class HasAFlatScale(Next):
    shape = (-1,)


@mutant("11.9", "has a bias")
class HasNoBias(Next):
    def __init__(self, channels, layer_scale=1e-6):
        super().__init__(channels, layer_scale)
        conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels, bias=False)
        self.block[0] = conv


@mutant("11.9", "depthwise")
class MixesWithTheLargeWindow(Next):
    def __init__(self, channels, layer_scale=1e-6):
        super().__init__(channels, layer_scale)
        self.block[0] = nn.Conv2d(channels, channels, 7, padding=3)


# 11.10 folded_conv(conv, bn)


def fold(conv, bn, **change):
    """Folded by fuse-like arithmetic; each keyword is one thing that may go wrong."""
    new = nn.Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding,
        conv.dilation, conv.groups, True, conv.padding_mode, dtype=conv.weight.dtype,
    )  # fmt: skip
    O = conv.out_channels
    gamma = torch.ones(O).double() if bn.weight is None else bn.weight.detach()
    beta = torch.zeros(O).double() if bn.bias is None else bn.bias.detach()
    old = torch.zeros(O).double() if conv.bias is None else conv.bias.detach()
    gamma, beta = change.get("gamma", gamma), change.get("beta", beta)
    old, mean = change.get("old", old), change.get("mean", bn.running_mean)
    root = change.get("root", lambda var, eps: (var + eps) ** 0.5)(bn.running_var, bn.eps)
    scale = gamma / root
    weight = change.get("weigh", lambda w, s: w * s.reshape(-1, 1, 1, 1))(conv.weight, scale)
    bias = change.get("shift", lambda o, m, s, b: (o - m) * s + b)(old, mean, scale, beta)
    with torch.no_grad():
        new.weight.copy_(weight)
        new.bias.copy_(bias)
    return new


for _name, _change, _says in (
    ("no eps", {"root": lambda v, e: v**0.5}, ("eps is missing",)),
    ("eps outside", {"root": lambda v, e: v**0.5 + e}, ("under the root",)),
    ("always 1e-5", {"root": lambda v, e: (v + 1e-5) ** 0.5}, ("use bn.eps",)),
    ("no root", {"root": lambda v, e: v + e}, ("root is missing",)),
    ("times the root", {"root": lambda v, e: (v + e) ** -0.5}, ("in place of divided",)),
    ("no gamma", {"gamma": 1.0}, ("γ, is missing",)),
    ("no beta", {"beta": 0.0}, ("β, is missing",)),
    ("no mean", {"mean": 0.0}, ("running mean is not subtracted",)),
    ("no old bias", {"old": 0.0}, ("own bias is lost",)),
    ("old bias unscaled", {"shift": lambda o, m, s, b: o - m * s + b}, ("is not scaled",)),
    ("mean unscaled", {"shift": lambda o, m, s, b: o * s - m + b}, ("running mean is not scaled",)),
    ("beta scaled", {"shift": lambda o, m, s, b: (o - m + b) * s}, ("β is scaled",)),
    ("mean added", {"shift": lambda o, m, s, b: (o + m) * s + b}, ("wrong sign",)),
    ("beta subtracted", {"shift": lambda o, m, s, b: (o - m) * s - b}, ("β has the wrong sign",)),
    ("bias left", {"shift": lambda o, m, s, b: o + 0 * s}, ("bias is the old one",)),
):
    MUTANTS.append(
        Mutant("11.10", _name, lambda conv, bn, change=_change: fold(conv, bn, **change), _says)
    )


@mutant("11.10", "no nn.Conv2d", "Put weight and bias")
def returns_weight_and_bias(conv, bn):
    new = fold(conv, bn)
    return new.weight, new.bias


@mutant("11.10", "has no bias")
def makes_no_bias(conv, bn):
    new = fold(conv, bn)
    new.bias = None
    return new


@mutant("11.10", "groups")
def loses_the_groups(conv, bn):
    if conv.groups == 1:
        return fold(conv, bn)
    return nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size).double()


@mutant("11.10", "stride")
def loses_the_stride(conv, bn):
    new = fold(conv, bn)
    new.stride = (1, 1)
    return new


@mutant("11.10", "conv was changed")
def changes_the_convolution(conv, bn):
    new = fold(conv, bn)
    with torch.no_grad():
        conv.weight.copy_(new.weight)
    return new


@mutant("11.10", "first axis")
def scales_the_inputs(conv, bn):
    if conv.in_channels != conv.out_channels or conv.groups > 1:
        return fold(conv, bn)
    return fold(conv, bn, weigh=lambda w, s: w * s.reshape(1, -1, 1, 1))


@mutant("11.10", "AttributeError", outcome="error")
def forgets_that_there_may_be_no_gamma(conv, bn):
    return fold(conv, bn, gamma=bn.weight.detach())


@mutant("11.10", "bn was changed")
def leaves_batch_norm_in_training(conv, bn):
    new = fold(conv, bn)
    bn.train()(torch.randn(2, conv.out_channels, 3, 3).double())
    return new


@mutant("11.10", "dtype")
def falls_to_float32(conv, bn):
    return fold(conv, bn).float()


@mutant("11.10", "old graph")
def hangs_on_the_graph(conv, bn):
    new = fold(conv, bn)
    weight = new.weight.detach().clone().requires_grad_()
    del new.weight
    new.weight = weight * 1
    return new


# 11.11 design_network()


def unit(inside, outside, size, stride=1):
    conv = nn.Conv2d(inside, outside, size, stride, size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.ReLU())


@mutant("11.11", "Too many parameters", "linear layers")
def flattens_too_early():
    return nn.Sequential(unit(1, 8, 3, 2), nn.Flatten(), nn.Linear(8 * 196, 10))


@mutant("11.11", "Too many parameters", "Fewer channels")
def is_too_wide():
    return nn.Sequential(
        unit(1, 32, 3, 2), unit(32, 64, 3, 2), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(256, 10),
    )  # fmt: skip


@mutant("11.11", "Too many multiply-accumulates", "28 × 28")
def works_at_full_size():
    return nn.Sequential(
        unit(1, 16, 3), unit(16, 16, 3), nn.MaxPool2d(7), nn.Flatten(), nn.Linear(256, 10)
    )


class Hidden(nn.Module):
    """Its convolutions are functions: a count by layers finds nothing."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.Parameter(torch.randn(16, C, 3, 3) * 0.2) for C in (1, 16))
        self.last = nn.Parameter(torch.randn(10, 256) * 0.1)

    def forward(self, images):
        out = F.conv2d(F.conv2d(images, self.first, padding=1).relu(), self.second, padding=1)
        return F.max_pool2d(out.relu(), 7).flatten(1) @ self.last.T


MUTANTS.append(Mutant("11.11", "hides its operations", Hidden, ("Too many multiply",)))


@mutant("11.11", "wrong shape", "logits (N, 10)")
def forgets_the_classes():
    return nn.Sequential(unit(1, 8, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@mutant("11.11", "RuntimeError", outcome="error")
def has_sizes_that_do_not_fit():
    return nn.Sequential(unit(1, 8, 3, 2), nn.Flatten(), nn.Linear(100, 10))


@mutant("11.11", "softmax")
def ends_in_a_softmax():
    return nn.Sequential(good(), nn.Softmax(dim=1))


@mutant("11.11", "no convolution")
def has_no_convolution():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 12), nn.ReLU(), nn.Linear(12, 10))


@mutant("11.11", "one number each")
def averages_too_early():
    return nn.Sequential(
        unit(1, 8, 5, 2), unit(8, 16, 3, 2), unit(16, 32, 3), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


@mutant("11.11", "dropout only slows")
def drops_most_of_it():
    network = good()
    return nn.Sequential(*list(network)[:-1], nn.Dropout(0.8), network[-1])


@mutant("11.11", "no norm in it")
def has_no_norm():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, 2), nn.ReLU(), nn.Conv2d(6, 12, 3, 2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(48, 10),
    )  # fmt: skip


@mutant("11.11", "spend the budget")
def is_too_shallow():
    return nn.Sequential(unit(1, 8, 5, 3), nn.MaxPool2d(3), nn.Flatten(), nn.Linear(72, 10))


@mutant("11.11", "nothing to train")
def freezes_itself():
    return good().requires_grad_(False)


@mutant("11.11", "two answers")
def rolls_dice():
    return nn.Sequential(good(), Dice())


class Dice(nn.Module):
    def forward(self, logits):
        return logits + torch.rand_like(logits)


@mutant("11.11", "with parentheses")
def returns_a_class():
    return Hidden


@mutant("11.11", "end in a return")
def returns_no_network():
    good()


def good():
    return nn.Sequential(
        unit(1, 8, 5, 2), unit(8, 16, 3, 2), unit(16, 32, 3), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(288, 10),
    )  # fmt: skip


# right answers, written in another way than the solution


def stack_by_layers(num_layers, kernel_size, channels):
    with torch.device("meta"):
        layers = [nn.Conv2d(channels, channels, kernel_size) for _ in range(num_layers)]
        left = nn.Sequential(*layers)(torch.zeros(1, channels, 60, 60)).shape[-1]
        one = nn.Conv2d(channels, channels, 60 - left + 1)
    return 60 - left + 1, sum(map(models.count_parameters, layers)), models.count_parameters(one)


def inception_by_block(*sizes):
    block = models.Inception(*sizes)
    convs = {n: m for n, m in block.named_modules() if isinstance(m, nn.Conv2d)}
    with_them = sum(conv.weight.numel() for conv in convs.values())
    without = convs["branch1.conv"].weight.numel() + convs["branch4.1.conv"].weight.numel()
    for name in ("branch2.1.conv", "branch3.1.conv"):
        conv = convs[name]
        without += sizes[0] * conv.out_channels * conv.kernel_size[0] ** 2
    return with_them, without


def dense_recursively(growth_rate, block_config, num_init_features):
    if not block_config:
        return []
    first, *rest = block_config
    out = sum([growth_rate] * first, num_init_features)
    return [[num_init_features, out], *dense_recursively(growth_rate, rest, out // 2)]


def macs_by_network(in_channels, out_channels, kernel_size, image_size, stride=1):
    shape, padding = (in_channels, *image_size), kernel_size // 2
    full = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding)
    depth = nn.Conv2d(in_channels, in_channels, kernel_size, stride, padding, groups=in_channels)
    split = nn.Sequential(depth, nn.Conv2d(in_channels, out_channels, 1))
    return models.count_macs(full, shape), models.count_macs(split, shape)


def network_with_functions():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([unit(1, 8, 5, 2), unit(8, 16, 3, 2), unit(16, 32, 3)])
            self.last = nn.Linear(288, 10)

        def forward(self, images):
            for layer in self.layers:
                images = layer(images)
            return self.last(F.max_pool2d(images, 2).reshape(len(images), -1))

    return Own()


ANOTHER_WAY = {
    "11.1": stack_by_layers,
    "11.2": inception_by_block,
    "11.3": models.Bottleneck,
    "11.4": models.make_resnet,
    "11.5": Clean,
    "11.6": dense_recursively,
    "11.7": macs_by_network,
    "11.8": models.InvertedResidual,
    "11.9": Next,
    "11.10": fold,
    "11.11": network_with_functions,
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_wrong_answer_is_rejected_and_its_cause_named(mutant):
    start = time.perf_counter()
    problem = survives(mutant)
    assert not problem, problem
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize("exercise_id", IDS)
def test_right_answer_written_in_another_way_is_accepted(exercise_id):
    verdict = examine(exercise_id, ANOTHER_WAY[exercise_id])
    assert verdict.outcome == "correct", words(verdict)


@pytest.mark.parametrize("exercise_id", IDS)
def test_there_are_enough_wrong_answers(exercise_id):
    assert sum(mutant.exercise_id == exercise_id for mutant in MUTANTS) >= 8
    assert 2 <= len(EXERCISES[exercise_id].hints) <= 3


WRITTEN = {
    "11.3": "Bottleneck",
    "11.4": "resnet",
    "11.5": "PreActBlock",
    "11.8": "InvertedResidual",
    "11.9": "ConvNeXtBlock",
}


@pytest.mark.parametrize("exercise_id", WRITTEN)
def test_a_solution_that_is_source_is_accepted(exercise_id, capfd, recwarn):
    scope = {}
    exec(solution_source(EXERCISES[exercise_id]), scope)
    answer = scope[WRITTEN[exercise_id]]
    verdict = examine(exercise_id, answer)
    assert verdict.outcome == "correct", words(verdict)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.parametrize("exercise_id", WRITTEN)
def test_the_stub_of_a_class_is_not_attempted(exercise_id):
    class Stub(nn.Module):
        def __init__(self, *args):
            super().__init__()
            raise NotImplementedError

    assert examine(exercise_id, Stub).outcome == "not attempted"


@pytest.mark.parametrize("exercise_id", ["11.3", "11.5", "11.8", "11.9"])
def test_a_forward_that_is_not_written_is_an_error_in_it(exercise_id):
    base = {"11.3": Block, "11.5": Clean, "11.8": Inverted, "11.9": Next}[exercise_id]

    class Half(base):
        def forward(self, features):
            raise NotImplementedError

    assert examine(exercise_id, Half).outcome == "error"


def test_checking_leaves_the_random_numbers_alone():
    for exercise_id in ("11.4", "11.11"):
        torch.manual_seed(5)
        before = torch.get_rng_state()
        examine(exercise_id, copy.deepcopy(ANOTHER_WAY[exercise_id]))
        assert torch.equal(torch.get_rng_state(), before)
