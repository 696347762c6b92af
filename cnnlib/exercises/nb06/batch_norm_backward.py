"""Exercise 06.8, Batch norm backward."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.nb06.oracles import autograd
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def batch_norm_backward(grad_out, images, weight, eps=1e-5):
    axes = (0, 2, 3)
    centred = images - images.mean(axis=axes, keepdims=True)
    std = np.sqrt(images.var(axis=axes, keepdims=True) + eps)
    normalised = centred / std
    along_ones = grad_out.mean(axis=axes, keepdims=True)
    along_itself = (grad_out * normalised).mean(axis=axes, keepdims=True)
    kept = grad_out - along_ones - along_itself * normalised
    grad_images = weight[:, None, None] / std * kept
    return grad_images, (grad_out * normalised).sum(axis=axes), grad_out.sum(axis=axes)


def _by_torch(grad_out, images, weight, eps=1e-5):
    def normalise(torch, images, weight, bias):
        return torch.nn.functional.batch_norm(
            images, None, None, weight, bias, training=True, eps=eps
        )

    return autograd(normalise, (images, weight, np.zeros_like(weight)), grad_out)


def _cases():
    rng = np.random.default_rng(68)

    def case(N, C, H, W, note="", weight=None, **kwargs):
        images = rng.integers(-4, 9, (N, C, H, W)) * 1.0
        images[0, :, 0, 0] += np.arange(1, C + 1)  # no channel is even
        grad_out = rng.integers(-4, 6, (N, C, H, W)) * 1.0
        weight = rng.integers(1, 5, C) * 1.0 if weight is None else weight
        return Case((grad_out, images, weight), kwargs, note)

    yield case(1, 1, 1, 3, weight=np.ones(1))
    yield case(1, 1, 2, 2, "a weight that is not 1", weight=np.array([3.0]))
    yield case(3, 1, 1, 2, "several images")
    yield case(1, 2, 2, 3, "two channels")
    yield case(2, 3, 3, 2, "three channels, two images")
    yield case(2, 2, 3, 3, "a large eps", eps=0.5)
    yield case(4, 3, 2, 2, "a weight of 0", weight=np.array([2.0, 0.0, -1.5]))
    for _ in range(5):
        N, C, H, W = (int(n) for n in rng.integers(2, 6, 4))
        yield Case(
            (rng.normal(size=(N, C, H, W)), rng.normal(3, 2, (N, C, H, W)), rng.normal(size=C)),
            {},
            "random numbers",
        )


def _twisted(ones=1, itself=1, ddof=0, use_eps=True, use_weight=True, axes=(0, 2, 3), use_std=True):
    """The three terms; each argument is one thing that may go wrong."""

    def wrong(grad_out, images, weight, **settings):
        small = settings.get("eps", 1e-5) if use_eps else 0
        mean = images.mean(axis=axes, keepdims=True)
        std = np.sqrt(images.var(axis=axes, keepdims=True, ddof=ddof) + small)
        normalised = (images - mean) / std
        kept = grad_out - ones * grad_out.mean(axis=axes, keepdims=True)
        kept = kept - itself * normalised * (grad_out * normalised).mean(axis=axes, keepdims=True)
        scale = weight[:, None, None] if use_weight else 1
        grad_images = scale * kept / (std if use_std else 1)
        return (
            grad_images,
            (grad_out * normalised).sum(axis=(0, 2, 3)),
            grad_out.sum(axis=(0, 2, 3)),
        )

    return wrong


def _changed(change):
    def wrong(grad_out, images, weight, eps=1e-5):
        return change(grad_out, images, *batch_norm_backward(grad_out, images, weight, eps))

    return wrong


def _sums(grad_out, images, weight, eps=1e-5):
    n = images.size // images.shape[1]
    return _twisted(ones=n, itself=n)(grad_out, images, weight, eps=eps)


def _over_channels(grad_out, images, weight, eps=1e-5):
    return _twisted(axes=(0, 1, 2, 3))(grad_out, images, weight, eps=eps)


def _over_places(grad_out, images, weight, eps=1e-5):
    return _twisted(axes=(2, 3))(grad_out, images, weight, eps=eps)


def _count(values):
    return values.size // values.shape[1]


EXERCISE = Exercise(
    id="06.8",
    title="Batch norm backward",
    objective="derive and write the backward pass of batch norm in closed form",
    level=3,
    minutes=35,
    points=6,
    hints=(
        "Everything happens within one channel, over all images and places: axes (0, 2, 3), "
        "with keepdims=True. Compute the normalised values again first.",
        "If mean and deviation stood still, the gradient would be weight / std · grad_out. Take "
        "out of grad_out its mean, and its share along the normalised values, "
        "mean(grad_out · normalised) · normalised.",
        "grad_images = weight / std · (grad_out − mean(grad_out) − normalised · mean(grad_out · "
        "normalised)); grad_weight and grad_bias are sums of grad_out · normalised and grad_out.",
    ),
    solution=batch_norm_backward,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_torch,
        tolerance=1e-8,
        misconceptions=(
            Misconception(
                _twisted(ones=0, itself=0),
                "Mean and deviation were taken for constants. They are made of the pixels, so each "
                "pixel moves all the others: two terms are missing.",
            ),
            Misconception(
                _twisted(itself=0),
                "The deviation was taken for a constant: stretching all pixels must change "
                "nothing, so the share of grad_out along the normalised values goes too.",
            ),
            Misconception(
                _twisted(ones=0),
                "The mean was taken for a constant: moving all pixels together must change "
                "nothing, so the mean of grad_out goes too.",
            ),
            Misconception(
                _sums,
                "Sums were subtracted where means are meant: divide by the number of values in a "
                "channel, N · H · W.",
            ),
            Misconception(
                _twisted(ddof=1),
                "The variance was divided by n − 1. A batch is normalised with the biased one, "
                "divided by n.",
            ),
            Misconception(_twisted(use_eps=False), "eps is missing under the root."),
            Misconception(
                _twisted(use_weight=False),
                "The weight is missing in the image's gradient: the normalised values are "
                "multiplied by it before they leave the layer.",
            ),
            Misconception(
                _twisted(use_std=False),
                "The division by the deviation is missing in the image's gradient.",
            ),
            Misconception(
                _over_channels,
                "Means were taken over all channels together; each channel has its own.",
            ),
            Misconception(
                _over_places,
                "Means were taken over each image alone; batch norm takes them over the whole "
                "batch, axes (0, 2, 3).",
            ),
            Misconception(
                _changed(lambda g, x, gi, gw, gb: (gi, gw / _count(x), gb / _count(x))),
                "The gradients of weight and bias were averaged; they are sums.",
            ),
            Misconception(
                _changed(lambda g, x, gi, gw, gb: (gi, (g * x).sum(axis=(0, 2, 3)), gb)),
                "The weight's gradient was made with the images; the weight multiplies the "
                "normalised values.",
            ),
            Misconception(
                _changed(lambda g, x, gi, gw, gb: (gi, gb, gw)),
                "The gradients of weight and bias have changed places.",
            ),
        ),
    ),
)
