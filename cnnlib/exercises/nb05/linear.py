"""Exercise 05.1, The fully connected layer."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def linear(features, weight, bias=None):
    output = features @ weight.T  # (N, in_features) @ (in_features, out_features)
    return output if bias is None else output + bias


def _torch_linear(features, weight, bias=None):
    import torch

    tensors = [
        None if a is None else torch.from_numpy(a.astype(np.float64))
        for a in (features, weight, bias)
    ]
    return torch.nn.functional.linear(*tensors).numpy().astype(features.dtype)


def _cases():
    rng = np.random.default_rng(51)

    def case(N, num_in, num_out, note="", bias=True, dtype=np.float64):
        shapes = (N, num_in), (num_out, num_in), (num_out,)
        arrays = [rng.integers(-4, 6, shape).astype(dtype) for shape in shapes]
        return Case(tuple(arrays if bias else arrays[:2]), {}, note)

    yield case(1, 2, 1)
    yield case(1, 2, 2, "two outputs")
    yield case(1, 3, 2, "more features than outputs")
    yield case(3, 2, 4, "a batch of three")
    yield case(2, 2, 2, "as many images as features and outputs")
    yield case(3, 3, 3, "all sizes equal, no bias", bias=False)
    yield case(2, 5, 1, "one output, no bias", bias=False)
    yield case(4, 800, 10, "the last layer of notebook 00's network", dtype=np.float32)


def _bias_per_image(features, weight, bias=None):
    return features @ weight.T + (0 if bias is None else bias[: len(features), None])


EXERCISE = Exercise(
    id="05.1",
    title="The fully connected layer",
    objective="write a fully connected layer for a batch, with shapes that fit",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "One output of one image is the sum of its features times one row of the weights, plus "
        "that row's bias. Which axis is summed over?",
        "The features are (N, in_features), the weights (out_features, in_features). A matrix "
        "product sums over the left one's columns and the right one's rows: which of the two has "
        "to be transposed?",
        "features @ weight.T has shape (N, out_features), and a bias of shape (out_features,) is "
        "added to every row by itself. Mind bias=None.",
    ),
    solution=linear,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_torch_linear,
        misconceptions=(
            Misconception(
                lambda features, weight, bias=None: linear(features, weight.T, bias),
                "The weights were used the wrong way round. Row o of weight belongs to output o, "
                "so the sum runs along its rows: features @ weight.T.",
            ),
            Misconception(
                lambda features, weight, bias=None: features * weight,
                "features * weight multiplies entry by entry and adds nothing up. A sum over the "
                "features is wanted, which is what @ does.",
            ),
            Misconception(
                lambda features, weight, bias=None: linear(features, weight),
                "The bias was not added.",
            ),
            Misconception(
                lambda features, weight, bias=None: (
                    features @ weight.T + (0 if bias is None else bias[:, None])
                ),
                "The bias was added as a column, (out_features, 1). It belongs to an output, so it "
                "goes along the rows of the result: + bias, as it is.",
            ),
            Misconception(
                _bias_per_image,
                "The bias was added by image; it belongs to an output: one number for each column "
                "of the result.",
            ),
            Misconception(
                lambda features, weight, bias=None: np.maximum(linear(features, weight, bias), 0),
                "Negative values became 0. The ReLU is a step of its own; the layer is linear.",
            ),
            Misconception(
                lambda features, weight, bias=None: linear(features[:1], weight, bias),
                "Only the first image was used: the result has a row for each image of the batch.",
            ),
            Misconception(
                lambda features, weight, bias=None: linear(features, weight, bias).T,
                "Images and outputs have changed places: the result is (N, out_features), a row "
                "for each image.",
            ),
            Misconception(
                lambda features, weight, bias=None: (
                    linear(features, weight) + (0 if bias is None else bias.sum())
                ),
                "Every output got the sum of all biases; output o gets bias[o] and no other.",
            ),
            Misconception(
                lambda features, weight, bias=None: (
                    linear(features, weight) - (0 if bias is None else bias)
                ),
                "The bias was subtracted; it is added.",
            ),
            Misconception(
                lambda features, weight, bias=None: (
                    linear(features, weight) + (0 if bias is None else bias * features.shape[1])
                ),
                "The bias was added once for every feature; it is added once, after the sum.",
            ),
        ),
    ),
)
