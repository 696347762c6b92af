"""Exercise 10.2, Group norm, and with it layer and instance norm."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def group_norm(images, num_groups, weight=None, bias=None, eps=1e-5):
    N, C, H, W = images.shape
    groups = images.reshape(N, num_groups, C // num_groups, H, W)
    mean = groups.mean(axis=(2, 3, 4), keepdims=True)
    var = groups.var(axis=(2, 3, 4), keepdims=True)
    output = ((groups - mean) / np.sqrt(var + eps)).reshape(N, C, H, W)
    if weight is not None:
        output = output * weight[:, None, None]
    if bias is not None:
        output = output + bias[:, None, None]
    return output


def _by_torch(images, num_groups, weight=None, bias=None, eps=1e-5):
    import torch

    tensors = [None if a is None else torch.from_numpy(a) for a in (images, weight, bias)]
    images, weight, bias = tensors
    return torch.nn.functional.group_norm(images, num_groups, weight, bias, eps).numpy()


def _cases():
    rng = np.random.default_rng(102)

    def images(*shape):
        return rng.integers(-4, 9, shape) * 1.0

    yield Case((np.array([1.0, 3, 5, 11]).reshape(1, 1, 2, 2), 1), {}, "one channel, one group")
    yield Case((images(1, 2, 1, 2), 2), {}, "as many groups as channels: instance norm")
    yield Case((images(1, 2, 1, 2), 1), {}, "one group: layer norm over C, H and W")
    yield Case((images(2, 2, 1, 3), 1), {}, "two images")
    yield Case((images(1, 4, 1, 2), 2), {}, "four channels in two groups")
    yield Case((np.full((1, 2, 2, 2), 7.0), 1), {}, "an even image")
    yield Case((images(1, 2, 2, 2), 1), {"eps": 2.0}, "a large eps")
    weight, bias = np.array([2.0, -1, 0.5, 3]), np.array([1.0, 0, -2, 5])
    yield Case((images(2, 4, 2, 3), 2, weight), {}, "a weight without a bias")
    yield Case((images(2, 4, 2, 3), 2, None, bias), {}, "a bias without a weight")
    yield Case((images(2, 4, 3, 2), 2, weight, bias), {}, "weight and bias")
    yield Case((rng.normal(3, 2, (3, 6, 4, 5)), 3), {}, "six channels in three groups")
    yield Case((rng.normal(3, 2, (3, 6, 4, 5)), 2), {}, "six channels in two groups")
    yield Case((rng.normal(100, 0.1, (2, 6, 5, 3)), 6), {}, "a level far above the spread")
    few = rng.normal(size=(2, 4, 3, 3)).astype(np.float32)
    yield Case((few, 2, weight.astype(np.float32), bias.astype(np.float32)), {}, "float32")


def _twisted(axes=(2, 3, 4), ddof=0, centre=True, eps="inside", order=False, affine="channel"):
    """Group norm; each argument is one thing that may go wrong."""

    def wrong(images, num_groups, weight=None, bias=None, epsilon=1e-5, **kwargs):
        small = kwargs.get("eps", epsilon)
        N, C, H, W = images.shape
        G = num_groups
        if order:  # every G-th channel, not C / G neighbours
            groups = images.reshape(N, C // G, G, H, W).transpose(0, 2, 1, 3, 4)
        else:
            groups = images.reshape(N, G, C // G, H, W)
        mean = groups.mean(axis=axes, keepdims=True)
        with np.errstate(all="ignore"):
            var = groups.var(axis=axes, keepdims=True, ddof=ddof)
            if not centre:
                var, mean = (groups**2).mean(axis=axes, keepdims=True), 0
            scale = {
                "inside": np.sqrt(var + small),
                "outside": np.sqrt(var) + small,
                "none": np.sqrt(var),
                "variance": var + small,
            }[eps]
            output = (groups - mean) / scale
        if order:
            output = output.transpose(0, 2, 1, 3, 4)
        output = output.reshape(N, C, H, W)
        shape = {"channel": (C, 1, 1), "last": (C,)}.get(affine, (C, 1, 1))
        if weight is not None and affine != "none":
            if affine == "bias first" and bias is not None:
                return (output + bias[:, None, None]) * weight[:, None, None]
            output = output * weight.reshape(shape)
        if bias is not None and affine != "none":
            output = output + bias.reshape(shape)
        return output

    return wrong


def _one_group(images, num_groups, *args, **kwargs):
    return _by_torch(images, 1, *args, **kwargs)


def _each_channel(images, num_groups, *args, **kwargs):
    return _by_torch(images, images.shape[1], *args, **kwargs)


def _group_size(images, num_groups, *args, **kwargs):
    """num_groups taken for the number of channels in a group."""
    return _by_torch(images, images.shape[1] // num_groups, *args, **kwargs)


MISCONCEPTIONS = (
    Misconception(
        _twisted(axes=(0, 2, 3, 4)),
        "The mean was taken over the images of the batch too. Group norm looks at one image at a "
        "time: that is what makes it independent of the batch.",
    ),
    Misconception(
        _twisted(ddof=1),
        "The variance was divided by n − 1. What normalises is the biased one, divided by n: the "
        "numbers at hand are all there is, not a sample of something larger.",
    ),
    Misconception(
        _one_group, "The groups were not used: all channels share one mean and one variance."
    ),
    Misconception(
        _each_channel, "Each channel got a mean of its own; a group has C / num_groups channels."
    ),
    Misconception(
        _group_size,
        "num_groups was taken for the channels in a group; it is how many groups there are.",
    ),
    Misconception(
        _twisted(order=True),
        "A group holds every num_groups-th channel. It should hold C / num_groups neighbouring "
        "ones: reshape to (N, num_groups, C // num_groups, H, W), groups first.",
    ),
    Misconception(
        _twisted(axes=(3, 4)),
        "Each channel got a mean of its own: the mean runs over the channels of a group too.",
    ),
    Misconception(
        _twisted(axes=(2,)), "The mean runs over the channels only; rows and columns belong to it."
    ),
    Misconception(
        _twisted(eps="none"),
        "eps is missing: where all values are equal you divide 0 by 0.",
    ),
    Misconception(
        _twisted(eps="outside"), "eps stands under the root: √(var + eps), not √var + eps."
    ),
    Misconception(_twisted(eps="variance"), "Divided by the variance; divide by its square root."),
    Misconception(
        _twisted(centre=False),
        "The mean was not taken off. (Without it this is called RMS norm, which has uses of its "
        "own.)",
    ),
    Misconception(_twisted(affine="none"), "weight and bias were not used."),
    Misconception(
        _twisted(affine="bias first"),
        "The bias was added before the weight: first times weight, then plus bias.",
    ),
)


EXERCISE = Exercise(
    id="10.2",
    title="Group norm, and with it layer and instance norm",
    objective="write group norm, and say which norm it is for 1 group and for as many as channels",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "Which numbers share a mean? Give them axes of their own, with a reshape: (N, C, H, W) "
        "becomes (N, num_groups, C // num_groups, H, W).",
        "Mean and biased variance over axes 2, 3 and 4, with keepdims=True; eps is added to the "
        "variance, under the root. Then reshape back.",
        "weight and bias have one number a channel: weight[:, None, None] is (C, 1, 1) and fits "
        "(N, C, H, W). Either may be None.",
    ),
    solution=group_norm,
    examine=partial(
        examine_function, cases=_cases, oracle=_by_torch, misconceptions=MISCONCEPTIONS
    ),
)
