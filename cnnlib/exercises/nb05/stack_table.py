"""Exercise 05.5, Shapes, parameters and work of any stack."""

import math
from dataclasses import replace

import numpy as np

from cnnlib.exercises.compare import show
from cnnlib.exercises.engine import attempt, examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict, not_yet, raised


def stack_table(layers, input_shape):
    def windows(size, kernel_size, stride, padding=0):
        if size + 2 * padding < kernel_size:
            raise ValueError(f"a kernel of {kernel_size} does not fit {size} pixels")
        return (size + 2 * padding - kernel_size) // stride + 1

    shape, rows = tuple(input_shape), []
    for kind, *settings in layers:
        if kind in ("conv", "pool") and len(shape) != 3:
            raise ValueError(f"{kind} needs maps (C, H, W), got {shape}")
        parameters = macs = 0
        if kind == "conv":
            out_channels, kernel_size, stride, padding = settings
            products = shape[0] * kernel_size**2  # for one value of the output
            size = [windows(n, kernel_size, stride, padding) for n in shape[1:]]
            shape = (out_channels, *size)
            parameters, macs = out_channels * (products + 1), int(np.prod(shape)) * products
        elif kind == "pool":
            shape = (shape[0], *(windows(n, *settings) for n in shape[1:]))
        elif kind == "flatten":
            shape = (int(np.prod(shape)),)
        elif kind == "linear":
            if len(shape) != 1:
                raise ValueError(f"linear needs a list of features, got {shape}; flatten first")
            (out_features,) = settings
            parameters, macs = out_features * (shape[0] + 1), out_features * shape[0]
            shape = (out_features,)
        rows.append((shape, parameters, macs))
    return rows


def _by_torch(layers, input_shape):
    """torch's own layers, asked: with ones for values and weights the output counts products."""
    import torch
    from torch import nn

    shape, rows = tuple(input_shape), []
    for kind, *settings in layers:
        values, rim = torch.ones(1, *shape), 0
        if kind == "conv":
            out_channels, kernel_size, stride, rim = settings
            layer = nn.Conv2d(shape[0], out_channels, kernel_size, stride)
        elif kind == "pool":
            layer = nn.MaxPool2d(*settings)
        elif kind == "linear":
            layer = nn.Linear(shape[0], *settings)
        else:
            layer = nn.ReLU() if kind == "relu" else nn.Flatten()
        parameters = list(layer.parameters())
        if parameters:
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
            values = nn.functional.pad(values, [rim] * 4, value=1.0) if rim else values
        with torch.no_grad():
            output = layer(values)
        shape = tuple(output.shape[1:])
        macs = round(output.double().sum().item()) if parameters else 0
        rows.append((shape, sum(p.numel() for p in parameters), macs))
    return tuple(rows)


_HEAD = [("flatten",), ("linear", 10)]


def _cases():
    yield Case(([("linear", 3)], (4,)), {}, "one fully connected layer")
    yield Case(([("conv", 2, 3, 1, 0)], (1, 5, 6)), {}, "one convolution")
    yield Case(([("conv", 2, 3, 1, 1)], (3, 4, 4)), {}, "three channels, padding")
    yield Case(([("pool", 2, 2)], (3, 5, 8)), {}, "a pooling that leaves a row over")
    yield Case(([("flatten",)], (2, 3, 4)), {}, "flatten")
    yield Case(([("relu",)], (2, 3, 4)), {}, "ReLU")
    yield Case(([("conv", 4, 3, 2, 0)], (2, 8, 9)), {}, "a stride that leaves a remainder")
    yield Case(([("pool", 3, 2)], (2, 7, 9)), {}, "a pooling whose windows overlap")
    yield Case(([("conv", 2, 3, 1, 0), ("relu",), ("pool", 2, 2), *_HEAD], (1, 8, 8)), {}, "a CNN")
    yield Case(
        ([("flatten",), ("linear", 5), ("relu",), ("linear", 3)], (2, 2, 2)), {}, "two linear"
    )
    yield Case(
        ([("conv", 16, 3, 1, 0), ("relu",), ("pool", 2, 2), ("conv", 32, 3, 1, 0), ("relu",),
          ("pool", 2, 2), *_HEAD], (1, 28, 28)), {}, "notebook 00's network",
    )  # fmt: skip
    yield Case(([("conv", 32, 3, 1, 0), ("relu",)], (3, 64, 64)), {}, "the introduction's layer")
    rng = np.random.default_rng(55)
    for _ in range(6):
        a, b, k, s, p = (int(rng.integers(low, 5)) for low in (1, 1, 2, 1, 0))
        layers = [("conv", a, k, s, p), ("relu",), ("pool", 2, 1), ("conv", b, 2, 1, 1), *_HEAD]
        shape = tuple(int(n) for n in rng.integers((1, 14, 14), (4, 25, 25)))
        yield Case((layers, shape), {}, "a random stack")


def _twisted(**twist):
    """The solution with one thing changed, as a learner may have it wrong."""

    def wrong(layers, input_shape):
        shape, rows = tuple(input_shape), []
        for kind, *settings in layers:
            before, parameters, macs = shape, 0, 0
            if kind in ("conv", "pool"):
                k, s, p = (*settings[-3:], 0)[:3] if kind == "conv" else (*settings, 0)
                s = 1 if twist.get("no_stride") else s
                p = p * twist.get("sides", 2)
                up = s - 1 if twist.get("round_up") else 0
                size = [(n + p - k + up) // s + 1 for n in shape[1:]]
                shape = (settings[0] if kind == "conv" else shape[0], *size)
            if kind == "conv":
                reach = twist.get("channels", lambda C: C)(before[0])
                products = reach * k**2
                parameters = settings[0] * (products + twist.get("bias", 1))
                places = twist.get("places", lambda out, into: math.prod(out[1:]))(shape, before)
                macs = places * settings[0] * (products + twist.get("bias_work", 0))
            elif kind == "flatten":
                shape = (math.prod(shape),)
            elif kind == "linear":
                parameters = settings[0] * (shape[0] + twist.get("bias", 1))
                macs = settings[0] * (shape[0] + twist.get("bias_work", 0))
                shape = (settings[0],)
            if twist.get("one_bias") and parameters:
                parameters -= shape[0] - 1
            if twist.get("relu_work") and kind == "relu":
                macs = math.prod(shape)
            if twist.get("pool_work") and kind == "pool":
                macs = math.prod(shape) * k**2
            if twist.get("batch"):
                rows.append(((1, *shape), parameters, macs))
            elif twist.get("before"):
                rows.append((before, parameters, macs))
            elif twist.get("exchanged"):
                rows.append((shape, macs, parameters))
            else:
                rows.append((shape, parameters, macs))
        return rows

    return wrong


MISCONCEPTIONS = (
    Misconception(
        _twisted(bias=0), "The biases are missing: every output channel, or feature, has one."
    ),
    Misconception(
        _twisted(one_bias=True),
        "One bias for the whole layer; every output channel, or feature, has one of its own.",
    ),
    Misconception(
        _twisted(bias_work=1), "The bias was counted as a product; it is added, not multiplied."
    ),
    Misconception(
        _twisted(channels=lambda C: 1),
        "A kernel reaches through all channels of its input: C · k · k weights, not k · k.",
    ),
    Misconception(
        _twisted(sides=1), "The padding was counted once; it stands on both sides: 2 · padding."
    ),
    Misconception(_twisted(sides=0), "The padding was not used."),
    Misconception(_twisted(no_stride=True), "The stride was not used."),
    Misconception(
        _twisted(round_up=True),
        "Rounded up: the last window would hang over the edge. Round down, with //.",
    ),
    Misconception(
        _twisted(places=lambda out, into: math.prod(into[1:])),
        "The MACs were counted for every pixel of the input; it is the values of the output that "
        "cost a window of products each.",
    ),
    Misconception(
        _twisted(places=lambda out, into: 1),
        "These MACs are those of a single place. The kernel is applied at out_h · out_w places.",
    ),
    Misconception(
        _twisted(relu_work=True), "A ReLU compares; it multiplies nothing, so its MACs are 0."
    ),
    Misconception(
        _twisted(pool_work=True), "Pooling compares; it multiplies nothing, so its MACs are 0."
    ),
    Misconception(
        _twisted(batch=True),
        "The shapes are those of one image, without the batch axis: (C, H, W).",
    ),
    Misconception(
        _twisted(before=True), "The shape in each row is the one that comes out of the layer."
    ),
    Misconception(_twisted(exchanged=True), "Parameters and MACs have changed places in the rows."),
    Misconception(
        lambda layers, input_shape: stack_table(layers, input_shape)[-1],
        "Only the last layer's row came back; a list with a row for every layer is wanted.",
    ),
    Misconception(
        lambda layers, input_shape: [
            (tuple(input_shape), 0, 0),
            *stack_table(layers, input_shape),
        ],
        "The first row is the input; there is one row for each layer, and the input is none.",
    ),
    Misconception(
        lambda layers, input_shape: [
            row
            for row, layer in zip(stack_table(layers, input_shape), layers, strict=True)
            if layer[0] in ("conv", "linear")
        ],
        "Layers without parameters were left out; they have a row too, with 0 and 0.",
    ),
)

_IMPOSSIBLE = (
    (
        [("pool", 2, 2), ("pool", 2, 2), ("conv", 4, 3, 1, 0)],
        (1, 8, 10),
        "Compare the kernel with the padded size before you divide: after two poolings 8 rows have "
        "become 2, and a kernel of 3 does not fit.",
    ),
    (
        [("pool", 3, 3)],
        (1, 2, 9),
        "A window of 3 does not fit 2 rows. A negative number divided by the stride and rounded "
        "down can end up looking like a size.",
    ),
    (
        [("conv", 4, 3, 1, 0), ("linear", 10)],
        (1, 8, 8),
        "A fully connected layer takes a list of features, (F,). Maps have to be flattened first, "
        "and forgetting it is the commonest mistake of all in building a network.",
    ),
    (
        [("flatten",), ("conv", 4, 1, 1, 0)],
        (1, 8, 8),
        "A convolution needs maps (C, H, W); after flatten there are none.",
    ),
)


def _examine(answer) -> Verdict:
    verdict = examine_function(
        answer, cases=_cases, oracle=_by_torch, misconceptions=MISCONCEPTIONS
    )
    if "results are wanted, with commas" in verdict.cause:
        rows = "A list is wanted with one row, (output shape, parameters, MACs), for each layer."
        return replace(verdict, cause=f"{rows} {verdict.cause}")
    if verdict.outcome != "correct":
        return verdict
    for layers, input_shape, why in _IMPOSSIBLE:
        got, error = attempt(answer, (list(layers), input_shape))
        case = ("case", f"input {input_shape}, layers {layers}")
        expected = ("expected", "a ValueError: this stack cannot be built")
        if error is None:
            return not_yet(
                "Every stack that can be built is right. An impossible one went through:",
                case,
                expected,
                ("got", show(got)),
                cause=why,
            )
        if not isinstance(error, ValueError):
            wrong = raised(error, case, expected, attempted=True)
            return not_yet(
                "Every stack that can be built is right. An impossible one was refused with "
                "another error.",
                *wrong.details,
                ("got", wrong.headline),
                cause=why,
            )
    return verdict


EXERCISE = Exercise(
    id="05.5",
    title="Shapes, parameters and work of any stack",
    objective="write down the shape table and the costs of a network before it is run",
    level=2,
    minutes=30,
    points=4,
    hints=(
        "Keep one variable, the shape so far, and let each kind of layer replace it. Start with "
        "relu and flatten, then linear, then the two with windows.",
        "A convolution and a pooling have the same size formula; a pooling has no padding here and "
        "keeps the channels. One output value costs C · k · k products.",
        "conv: parameters O · (C · k · k + 1), MACs O · out_h · out_w · C · k · k; linear: "
        "out · (in + 1) and out · in; all others 0 and 0. Check len(shape) for maps or features.",
    ),
    solution=stack_table,
    examine=_examine,
)
