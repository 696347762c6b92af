"""Exercise 05.8, A network for pictures of any size."""

import math
from functools import partial

import numpy as np

from cnnlib import ops
from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.nb05.parameters import Parameters
from cnnlib.exercises.verdicts import Case, Exercise, Misconception

FIELD, JUMP = 26, 4  # pixels that one output of the network sees; how far apart the fields are


def digit_map(canvas, parameters):
    maps = canvas
    for name in ("0", "3"):
        maps = ops.conv2d(maps, parameters[f"{name}.weight"], parameters[f"{name}.bias"])
        maps = ops.max_pool2d(ops.relu(maps), 2)
    weight, bias = parameters["7.weight"], parameters["7.bias"]  # (10, C * 5 * 5)
    kernel = weight.reshape(len(weight), maps.shape[1], 5, 5)
    return ops.conv2d(maps, kernel, bias)  # (N, 10, h, w)


def _crop_by_crop(canvas, parameters, jump=JUMP, size=FIELD):
    """The network on every cut-out of the canvas for itself, in torch."""
    import torch
    from torch.nn import functional

    N, _, H, W = canvas.shape
    rows, columns = ((n - size) // jump + 1 for n in (H, W))
    places = [(jump * r, jump * c) for r, c in np.ndindex(rows, columns)]
    crops = np.stack([canvas[:, :, r : r + FIELD, c : c + FIELD] for r, c in places])
    maps = torch.from_numpy(crops.reshape(-1, 1, FIELD, FIELD).astype(np.float64))
    p = {name: torch.from_numpy(values.astype(np.float64)) for name, values in parameters.items()}
    for name in ("0", "3"):
        maps = functional.conv2d(maps, p[f"{name}.weight"], p[f"{name}.bias"])
        maps = functional.max_pool2d(maps.clamp(min=0), 2)
    logits = functional.linear(maps.flatten(1), p["7.weight"], p["7.bias"]).numpy()
    logits = logits.reshape(rows, columns, N, -1).transpose(2, 3, 0, 1)
    return np.ascontiguousarray(logits).astype(canvas.dtype)


def _parameters(rng, first, second, classes, dtype=np.float64):
    shapes = {"0": (first, 1, 3, 3), "3": (second, first, 3, 3), "7": (classes, 25 * second)}
    found = Parameters()
    for name, shape in shapes.items():
        scale = np.sqrt(2 / math.prod(shape[1:]))
        found[f"{name}.weight"] = (scale * rng.normal(size=shape)).astype(dtype)
        found[f"{name}.bias"] = rng.normal(0, 0.5, size=shape[0]).astype(dtype)
    return found


def _cases():
    rng = np.random.default_rng(58)
    for N, H, W, widths, dtype, note in (
        (1, 28, 28, (1, 1, 2), np.float64, "one digit: a map of one place"),
        (1, 28, 32, (2, 3, 2), np.float64, "a wide canvas"),
        (1, 34, 28, (2, 2, 3), np.float64, "a high canvas"),
        (2, 30, 30, (2, 3, 2), np.float64, "two canvases"),
        (1, 33, 47, (3, 4, 10), np.float64, "sizes that leave pixels over"),
        (1, 56, 60, (16, 32, 10), np.float32, "the real widths, float32"),
    ):
        canvas = rng.uniform(0, 1, size=(N, 1, H, W)).astype(dtype)
        yield Case((canvas, _parameters(rng, *widths, dtype)), {}, note)


def _twisted(**twist):
    def keep(values):
        return values

    def wrong(canvas, parameters):
        maps = canvas
        for name in ("0", "3"):
            maps = ops.conv2d(maps, parameters[f"{name}.weight"], parameters[f"{name}.bias"])
            maps = ops.max_pool2d(twist.get("relu", ops.relu)(maps), 2)
        weight, bias = parameters["7.weight"], parameters["7.bias"]
        kernel = weight.reshape(len(weight), maps.shape[1], 5, 5)
        kernel = twist.get("kernel", keep)(kernel)
        bias = None if twist.get("no_bias") else bias
        logits = ops.conv2d(maps, kernel, bias, stride=twist.get("stride", 1))
        return twist.get("finish", keep)(logits)

    return wrong


def _channels_last(kernel):
    O, C, H, W = kernel.shape
    return np.ascontiguousarray(kernel.reshape(O, H, W, C).transpose(0, 3, 1, 2))


def _averaged(canvas, parameters):
    """Averages the maps down to 5 × 5 by cropping: one answer for the whole canvas."""
    return digit_map(canvas, parameters).mean(axis=(2, 3), keepdims=True)


def _softmax_over_classes(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


MISCONCEPTIONS = (
    Misconception(_twisted(relu=lambda v: v), "The ReLUs are missing."),
    Misconception(
        _twisted(finish=ops.relu),
        "A ReLU follows the last layer too. Scores may be negative, and are returned as they are.",
    ),
    Misconception(
        _twisted(kernel=_channels_last),
        "The last layer's weights were read with the channel varying fastest. The maps were "
        "flattened from N C H W, so the kernel is weight.reshape(O, C, 5, 5).",
    ),
    Misconception(
        _twisted(kernel=lambda k: k.swapaxes(2, 3)),
        "In the last layer's kernel rows and columns have changed places.",
    ),
    Misconception(
        _twisted(kernel=lambda k: k[:, :, ::-1, ::-1]),
        "The last layer's kernel was turned by 180°; a convolutional layer does not flip.",
    ),
    Misconception(_twisted(no_bias=True), "The last layer's bias was not added."),
    Misconception(
        _twisted(finish=_softmax_over_classes),
        "These are probabilities; the logits are wanted.",
    ),
    Misconception(
        _twisted(stride=5),
        "The last kernel jumps by its own size, so that most places are left out: stride 1.",
    ),
    Misconception(
        _averaged,
        "The whole canvas got one answer. The map has a place for every position of the last "
        "kernel.",
    ),
    Misconception(
        partial(_crop_by_crop, size=28),
        "Cut-outs of 28 × 28 were counted. The network sees only 26 × 26 of each (its stride "
        "leaves two rows over), so there can be one more place.",
    ),
    Misconception(
        partial(_crop_by_crop, jump=28, size=28),
        "The canvas was cut into digits side by side. Two poolings of 2 let the network step by 4 "
        "pixels.",
    ),
    Misconception(
        partial(_crop_by_crop, jump=2),
        "The places are 2 pixels apart; with two poolings of stride 2 they are 4 apart.",
    ),
    Misconception(
        partial(_crop_by_crop, jump=1),
        "The network was laid at every pixel. With two poolings of stride 2 its places are 4 "
        "pixels apart.",
    ),
    Misconception(
        _twisted(finish=lambda logits: logits.argmax(axis=1)),
        "These are the answers; the scores of all classes are wanted, (N, 10, h, w).",
    ),
    Misconception(
        _twisted(finish=lambda logits: logits.transpose(0, 2, 3, 1)),
        "The classes stand last; like channels they stand second: (N, 10, h, w).",
    ),
)


EXERCISE = Exercise(
    id="05.8",
    title="A network for pictures of any size",
    objective="turn a classifier into a detector that scans a large picture in one pass",
    level=3,
    minutes=30,
    points=5,
    hints=(
        "Which layers of the network mind the size of the picture? Only one: replace it, and keep "
        "the others as they are.",
        "The fully connected layer saw maps of (C, 5, 5). As a convolution it has a kernel of "
        "5 × 5 that slides over larger maps. Exercise 05.2 made its weights.",
        "weight.reshape(len(weight), C, 5, 5), with C the number of channels after the second "
        "pooling, and ops.conv2d with the bias. No flatten, no loop over cut-outs.",
    ),
    solution=digit_map,
    examine=partial(
        examine_function, cases=_cases, oracle=_crop_by_crop, misconceptions=MISCONCEPTIONS
    ),
)
