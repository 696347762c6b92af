"""Exercise 06.2, Backward through a fully connected layer."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.nb06.oracles import autograd
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def linear_backward(grad_out, features, weight):
    grad_features = grad_out @ weight
    grad_weight = grad_out.T @ features
    grad_bias = grad_out.sum(axis=0)
    return grad_features, grad_weight, grad_bias


def _by_torch(grad_out, features, weight):
    bias = np.zeros(len(weight), weight.dtype)
    return autograd(lambda torch, x, w, b: x @ w.T + b, (features, weight, bias), grad_out)


def _cases():
    rng = np.random.default_rng(62)
    shapes = [
        (1, 2, 1, "one image, one output"),
        (1, 2, 3, "several outputs"),
        (2, 3, 1, "two images"),
        (3, 2, 2, "as many outputs as inputs"),
        (4, 4, 4, "all sizes alike"),
        (3, 5, 4, "all sizes different"),
    ]
    for N, in_features, out_features, note in shapes:
        sizes = ((N, out_features), (N, in_features), (out_features, in_features))
        yield Case(tuple(rng.integers(-4, 6, size) * 1.0 for size in sizes), {}, note)
    yield Case(tuple(rng.normal(size=size) for size in ((6, 3), (6, 7), (3, 7))))


def _twisted(change):
    """A wrong answer: the three right gradients, changed."""

    def wrong(grad_out, features, weight):
        return change(grad_out, features, weight, *linear_backward(grad_out, features, weight))

    return wrong


def _ignores_upstream(grad_out, features, weight):
    return linear_backward(np.ones_like(grad_out), features, weight)


EXERCISE = Exercise(
    id="06.2",
    title="Backward through a fully connected layer",
    objective="write the three gradients of a fully connected layer as matrix products",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "Each gradient has the shape of what it belongs to. Which product of grad_out "
        "(N, out_features) and weight (out_features, in_features) has the shape of features?",
        "The weight [o, i] is used once for every image: its gradient is the sum over the images "
        "of grad_out[n, o] · features[n, i]. The bias [o] is added once for every image.",
        "grad_out @ weight, grad_out.T @ features, grad_out.sum(axis=0).",
    ),
    solution=linear_backward,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_torch,
        misconceptions=(
            Misconception(
                _twisted(lambda g, x, w, gx, gw, gb: (gx, gw / len(g), gb / len(g))),
                "The gradients of weight and bias were averaged over the images. They are summed: "
                "if the loss is a mean, its 1/N is in grad_out already.",
            ),
            Misconception(
                _twisted(lambda g, x, w, gx, gw, gb: (gx, gw, gb / len(g))),
                "The bias's gradient was averaged over the images; it is a sum, as the weight's.",
            ),
            Misconception(
                _twisted(lambda g, x, w, gx, gw, gb: (gx, gw / len(g), gb)),
                "The weight's gradient was averaged over the images; it is a sum.",
            ),
            Misconception(
                _ignores_upstream,
                "grad_out was not used (or taken for ones): every slope is multiplied by what "
                "arrives from above.",
            ),
            Misconception(
                _twisted(lambda g, x, w, gx, gw, gb: (gx, gw.T, gb)),
                "The weight's gradient is transposed: it has the weight's own shape, "
                "(out_features, in_features).",
            ),
            Misconception(
                _twisted(
                    lambda g, x, w, gx, gw, gb: (g @ w.T if len(w) == len(w.T) else gx, gw, gb)
                ),
                "Going forward the features meet weight.T, going backward the weight as it stands. "
                "(Where there are as many outputs as inputs, the shapes do not tell.)",
            ),
            Misconception(
                _twisted(lambda g, x, w, gx, gw, gb: (gx, gw, g)),
                "The bias is the same number for every image: its gradient is summed over them, "
                "to the shape (out_features,).",
            ),
            Misconception(
                _twisted(lambda g, x, w, gx, gw, gb: (gx, gw, np.ones_like(gb))),
                "The bias's local slope is 1, and it still has to be multiplied by grad_out.",
            ),
            Misconception(
                _twisted(lambda g, x, w, gx, gw, gb: (gx, gw, g.sum())),
                "The bias's gradient was summed over everything; each output has its own bias.",
            ),
            Misconception(
                _twisted(lambda g, x, w, gx, gw, gb: (gw, gx, gb)),
                "The results are right, but returned in the wrong order: features, weight, bias.",
            ),
        ),
    ),
)
