"""Exercise 05.3, A softmax that cannot overflow."""

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)  # the largest is now 0
    powers = np.exp(shifted)  # from 0 to 1: nothing can overflow
    return powers / powers.sum(axis=1, keepdims=True)


def _torch_softmax(logits):
    import torch

    return torch.from_numpy(logits.astype(np.float64)).softmax(dim=1).numpy().astype(logits.dtype)


def _cases():
    rng = np.random.default_rng(52)
    yield Case((np.array([[0.0, 0.0]]),), {}, "two equal scores")
    yield Case((np.array([[2.0, 1.0, 0.0]]),), {}, "three scores")
    yield Case((np.array([[1.0, -2.0]]),), {}, "a negative score")
    yield Case((np.array([[0.0, 1.0], [3.0, 3.0], [-1.0, 2.0]]),), {}, "a batch of three")
    yield Case((rng.normal(size=(3, 3)),), {}, "as many images as classes")
    yield Case((np.array([[1000.0, 1000.0, 999.0]]),), {}, "large scores")
    yield Case((np.array([[-1000.0, -1001.0]]),), {}, "very negative scores")
    yield Case((np.array([[0.0, 2000.0], [-3000.0, -3001.0]]),), {}, "rows far apart")
    yield Case((np.array([[5.0, 90.0, 89.0]], dtype=np.float32),), {}, "float32, where e^89 is ∞")
    yield Case((np.array([[4.0], [-900.0]]),), {}, "a single class")
    yield Case((rng.normal(0, 5, size=(20, 10)),), {}, "ten classes")


def _naive(logits, axis=1):
    return np.exp(logits) / np.exp(logits).sum(axis=axis, keepdims=True)


def _shifted_by(reduce, **kwargs):
    return lambda logits: _naive(logits - reduce(logits, **kwargs))


MISCONCEPTIONS = (
    Misconception(
        _naive,
        "The exponential of a large score is ∞, and ∞ / ∞ is not a number; of very negative ones "
        "all are 0, and 0 / 0 is none either. Subtract each row's largest score first.",
    ),
    Misconception(
        _shifted_by(np.max),
        "One maximum for the whole batch was subtracted: a row far below it becomes 0 / 0. Each "
        "row has its own maximum: max(axis=1, keepdims=True).",
    ),
    Misconception(
        _shifted_by(np.max, axis=0, keepdims=True),
        "The maximum was taken over the batch; each image, a row, has its own: axis=1.",
    ),
    Misconception(
        _shifted_by(np.mean, axis=1, keepdims=True),
        "The mean was subtracted. A score far above the mean still overflows; after subtracting "
        "the largest, no exponent is above 0.",
    ),
    Misconception(
        _shifted_by(np.min, axis=1, keepdims=True),
        "The smallest score was subtracted, which leaves the others large; subtract the largest.",
    ),
    Misconception(
        lambda logits: _naive(logits - logits.max(axis=1, keepdims=True), axis=0),
        "Divided by the sum over the batch (axis 0): each row shall add up to 1, so sum along "
        "axis 1.",
    ),
    Misconception(
        lambda logits: _naive(logits - logits.max(), axis=(0, 1)),
        "All rows together add up to 1; each row shall: sum along axis 1, keepdims=True.",
    ),
    Misconception(
        lambda logits: (
            np.exp(logits - logits.max(axis=1, keepdims=True))
            / np.exp(logits - logits.max(axis=1, keepdims=True)).sum()
        ),
        "All rows together add up to 1; each row shall: sum along axis 1, keepdims=True.",
    ),
    Misconception(
        lambda logits: logits / logits.sum(axis=1, keepdims=True),
        "The scores were divided by their sum: they can be negative, and so would the "
        "probabilities. Exponentials come first.",
    ),
    Misconception(
        lambda logits: 1 / (1 + np.exp(-logits)),
        "This is the sigmoid of each score for itself. The rows do not add up to 1.",
    ),
    Misconception(
        lambda logits: np.exp(logits - logits.max(axis=1, keepdims=True)),
        "Not divided: each row has to add up to 1.",
    ),
    Misconception(
        lambda logits: np.log(softmax(logits)),
        "These are the logarithms of the probabilities.",
    ),
    Misconception(
        lambda logits: softmax(-logits),
        "The smallest score got the largest probability: a sign is turned, e to the z, not −z.",
    ),
    Misconception(
        lambda logits: (
            2 ** (logits - logits.max(axis=1, keepdims=True))
            / (2 ** (logits - logits.max(axis=1, keepdims=True))).sum(axis=1, keepdims=True)
        ),
        "Powers of 2 were taken; softmax uses powers of e, np.exp.",
    ),
    Misconception(
        lambda logits: np.nan_to_num(_naive(logits)),
        "What is not a number was replaced by 0, which hides the overflow and loses the answer. "
        "Subtract each row's largest score before the exponential.",
    ),
    Misconception(
        lambda logits: _naive(np.clip(logits, -80, 80)),
        "The scores were clipped: those above the limit all look alike afterwards. Subtracting "
        "each row's largest score loses nothing.",
    ),
)


def _examine(answer) -> Verdict:
    with np.errstate(all="ignore"):  # the verdict says what overflowed
        return examine_function(
            answer, cases=_cases, oracle=_torch_softmax, misconceptions=MISCONCEPTIONS
        )


EXERCISE = Exercise(
    id="05.3",
    title="A softmax that cannot overflow",
    objective="turn scores of any size into probabilities",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "Adding the same number to all scores of a row changes no probability. Which number makes "
        "the largest exponent 0?",
        "Subtract logits.max(axis=1, keepdims=True). What does keepdims do for the shapes?",
        "powers = np.exp(logits − that maximum), then powers / powers.sum(axis=1, keepdims=True).",
    ),
    solution=softmax,
    examine=_examine,
)
