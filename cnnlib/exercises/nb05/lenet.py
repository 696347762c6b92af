"""Exercise 05.6, LeNet-5 from a dictionary of parameters."""

from functools import partial

import numpy as np

from cnnlib import ops
from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.nb05.parameters import Parameters
from cnnlib.exercises.verdicts import Case, Exercise, Misconception

WITH_WEIGHTS = ("0", "3", "7", "9", "11")  # the layers of the list that have parameters


def lenet(images, parameters):
    def of(position):
        return parameters[f"{position}.weight"], parameters[f"{position}.bias"]

    maps = ops.relu(ops.conv2d(images, *of(0), padding=2))  # (N, 6, 28, 28)
    maps = ops.max_pool2d(maps, 2)  # (N, 6, 14, 14)
    maps = ops.relu(ops.conv2d(maps, *of(3)))  # (N, 16, 10, 10)
    maps = ops.max_pool2d(maps, 2)  # (N, 16, 5, 5)
    features = maps.reshape(len(images), -1)  # (N, 400)
    features = ops.relu(ops.linear(features, *of(7)))
    features = ops.relu(ops.linear(features, *of(9)))
    return ops.linear(features, *of(11))


def _torch_lenet(images, parameters):
    import torch
    from torch.nn import functional

    p = {name: torch.from_numpy(values.astype(np.float64)) for name, values in parameters.items()}
    maps = torch.from_numpy(images.astype(np.float64))
    for name, padding in (("0", 2), ("3", 0)):
        maps = functional.conv2d(maps, p[f"{name}.weight"], p[f"{name}.bias"], padding=padding)
        maps = functional.max_pool2d(maps.clamp(min=0), 2)
    features = maps.flatten(1)
    for name in ("7", "9", "11"):
        features = functional.linear(features, p[f"{name}.weight"], p[f"{name}.bias"])
        features = features.clamp(min=0) if name != "11" else features
    return features.numpy().astype(images.dtype)


def _parameters(rng, widths=(6, 16, 120, 84, 10), dtype=np.float64):
    """Random parameters, large enough that every step shows in the logits."""
    a, b, c, d, e = widths
    shapes = {"0": (a, 1, 5, 5), "3": (b, a, 5, 5)}
    shapes |= {"7": (c, 25 * b), "9": (d, c), "11": (e, d)}
    found = Parameters()
    for name, shape in shapes.items():
        scale = np.sqrt(2 / np.prod(shape[1:]))
        found[f"{name}.weight"] = (scale * rng.normal(size=shape)).astype(dtype)
        found[f"{name}.bias"] = rng.normal(0, 0.5, size=shape[0]).astype(dtype)
    return found


def _cases():
    rng = np.random.default_rng(56)
    for N, widths, dtype, note in (
        (1, (1, 1, 2, 2, 2), np.float64, "one image, a LeNet with one or two of everything"),
        (2, (2, 3, 4, 5, 3), np.float64, "two images, a small LeNet"),
        (1, (6, 16, 120, 84, 10), np.float64, "one image, the real size"),
        (5, (6, 16, 120, 84, 10), np.float64, "five images, the real size"),
        (3, (6, 16, 120, 84, 10), np.float32, "float32"),
    ):
        images = rng.uniform(0, 1, size=(N, 1, 28, 28)).astype(dtype)
        yield Case((images, _parameters(rng, widths, dtype)), {}, note)


def _twisted(**twist):
    """LeNet with one thing changed, as a learner may have it wrong."""

    def keep(values):
        return values

    def wrong(images, parameters):
        maps = images
        for name, padding in (("0", 2), ("3", 0)):
            bias = None if name in twist.get("no_bias", ()) else parameters[f"{name}.bias"]
            maps = ops.conv2d(maps, parameters[f"{name}.weight"], bias, padding=padding)
            maps = maps if twist.get("bare") == name else twist.get("conv_relu", ops.relu)(maps)
            maps = twist.get("pool", ops.max_pool2d)(maps, 2)
        maps = twist.get("order", keep)(maps)
        features = maps.reshape(len(images), -1)
        for name in ("7", "9", "11"):
            bias = None if name in twist.get("no_bias", ()) else parameters[f"{name}.bias"]
            features = ops.linear(features, parameters[f"{name}.weight"], bias)
            if (name != "11" or twist.get("last_relu")) and twist.get("bare") != name:
                features = twist.get("fc_relu", ops.relu)(features)
        return twist.get("finish", keep)(features)

    return wrong


MISCONCEPTIONS = (
    Misconception(
        _twisted(conv_relu=lambda v: v, fc_relu=lambda v: v),
        "There is no ReLU. One follows each layer with weights, except the last.",
    ),
    Misconception(
        _twisted(conv_relu=lambda v: v),
        "The ReLUs after the two convolutions are missing.",
    ),
    Misconception(
        _twisted(fc_relu=lambda v: v),
        "The ReLUs after layers 7 and 9 are missing: without them the last three are one layer.",
    ),
    Misconception(
        _twisted(last_relu=True),
        "A ReLU follows the last layer too. Scores may be negative; they are returned as they are.",
    ),
    Misconception(
        _twisted(finish=lambda v: ops.softmax(v)),
        "These are probabilities. The network returns the logits; softmax belongs to the loss.",
    ),
    Misconception(
        _twisted(pool=ops.avg_pool2d),
        "The pooling takes the mean. LeNet as it is written today takes the largest value.",
    ),
    Misconception(
        _twisted(order=lambda maps: maps.transpose(0, 2, 3, 1)),
        "The maps were flattened with the channel last. Ours stay N C H W: no transpose before "
        "reshape.",
    ),
    Misconception(
        _twisted(order=lambda maps: maps.swapaxes(2, 3)),
        "Rows and columns changed places before the maps were flattened.",
    ),
    Misconception(_twisted(no_bias=WITH_WEIGHTS), "The biases were not used."),
    *(
        Misconception(_twisted(no_bias=(name,)), f"The bias of layer {name} was not used.")
        for name in WITH_WEIGHTS
    ),
    *(
        Misconception(_twisted(bare=name), f"The ReLU after layer {name} is missing.")
        for name in WITH_WEIGHTS[:-1]
    ),
    Misconception(
        _twisted(finish=lambda v: v.argmax(axis=1)),
        "These are the answers; the ten scores of each image are wanted, (N, 10).",
    ),
    Misconception(
        _twisted(conv_relu=np.tanh, fc_relu=np.tanh),
        "tanh is what the paper of 1998 used; here a ReLU stands in its place.",
    ),
    Misconception(
        lambda images, parameters: _twisted()(images, parameters)[:1],
        "Only the first image's scores came back.",
    ),
    Misconception(
        lambda images, parameters: _twisted()(images / np.array(255, images.dtype), parameters),
        "The images were divided by 255 once more; they come in as they should go in.",
    ),
)


EXERCISE = Exercise(
    id="05.6",
    title="LeNet-5 from a dictionary of parameters",
    objective="write the forward pass of a complete network",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "Write one line for each row of the shape table. What does layer 0 need so that 28 × 28 "
        "stays 28 × 28?",
        "ops.conv2d, ops.relu, ops.max_pool2d, a reshape to (N, −1), ops.linear: each takes the "
        "weight and the bias from the dictionary, as in parameters['0.weight'].",
        "Five layers have weights, and a ReLU follows the first four. The last one's scores are "
        "returned as they are, without softmax.",
    ),
    solution=lenet,
    examine=partial(
        examine_function, cases=_cases, oracle=_torch_lenet, misconceptions=MISCONCEPTIONS
    ),
)
