"""Backward passes, right and wrong, that the checker of exercise 06.3 has to judge."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Trial:
    """One backward pass that the learner's checker has to judge."""

    words: str
    function: Callable
    inputs: tuple
    backward: Callable
    right: bool
    says: str  # what a wrong judgement usually means
    may_raise: bool = False  # refusing loudly is as good as False


def _softmax(values):
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _sigmoid(values):
    return 1 / (1 + np.exp(-values))


def _first_maximum(grad_out, values):
    grad = np.zeros_like(values)
    grad[values.argmax()] = 1e4 * grad_out
    return (grad,)


def _one_entry_wrong(grad_out, values):
    grad = 3 * values**2 * grad_out
    grad[-1, -1] *= 1.01
    return (grad,)


def _with_nan(grad_out, values):
    grad = 2 * grad_out
    grad[0] = np.nan
    return (grad,)


_V = np.array([0.5, -1.0, 2.0])
_M = np.array([[0.3, -1.2, 0.7], [1.1, 0.4, -0.6]])
_RELU_AT_ZERO = np.array([-1.0, 0.0, 2.0, 0.5])

TRIALS = (
    Trial(
        "two numbers multiplied, entry by entry",
        lambda a, b: a * b,
        (_V, _V[::-1] + 3),
        lambda grad_out, a, b: (grad_out * b, grad_out * a),
        True,
        "Backward gets the upstream gradient that the outputs are summed up with: the same "
        "numbers in both places? And is every entry put back before the next is moved?",
    ),
    Trial(
        "the same, with half the gradient for the first input",
        lambda a, b: a * b,
        (_V, _V[::-1] + 3),
        lambda grad_out, a, b: (grad_out * b / 2, grad_out * a),
        False,
        "Does the comparison have an effect? It must end in False when an entry differs.",
    ),
    Trial(
        "the same, with half the gradient for the second input",
        lambda a, b: a * b,
        (_V, _V[::-1] + 3),
        lambda grad_out, a, b: (grad_out * b, grad_out * a / 2),
        False,
        "Only the first input was looked at. Every input has a gradient to compare.",
    ),
    Trial(
        "cubes",
        lambda values: values**3,
        (_M,),
        lambda grad_out, values: (3 * values**2 * grad_out,),
        True,
        "The function is curved. A step to one side alone is off by about step times half the "
        "second derivative, more than the tolerance: step to both sides.",
    ),
    Trial(
        "cubes, with the last entry's gradient a hundredth too large",
        lambda values: values**3,
        (_M,),
        _one_entry_wrong,
        False,
        "One entry of six is wrong, the last, by a hundredth. Every entry is to be compared, each "
        "with the tolerance: means, sums and samples hide a single mistake.",
    ),
    Trial(
        "a sigmoid, whose backward forgets grad_out",
        _sigmoid,
        (_V,),
        lambda grad_out, values: (_sigmoid(values) * (1 - _sigmoid(values)),),
        False,
        "An upstream gradient of ones hides a backward that never uses it. Draw it at random.",
    ),
    Trial(
        "a softmax, whose backward returns zeros",
        _softmax,
        (_M,),
        lambda grad_out, values: (np.zeros_like(values),),
        False,
        "The probabilities of a row always add up to 1, so with an upstream gradient of equal "
        "numbers every gradient is 0. Draw a number of its own for every output.",
    ),
    Trial(
        "ten million times x²",
        lambda values: 1e7 * values**2,
        (_V,),
        lambda grad_out, values: (2e7 * values * grad_out,),
        True,
        "The gradients are in the millions, and differences cannot be right to a millionth there: "
        "the outputs have only 16 digits. Divide the error by |slope| where that is above 1.",
    ),
    Trial(
        "1000 (x + 0.1) − 1000 x, which is 100 for every x: the gradient is 0",
        lambda values: 1e3 * (values + 0.1) - 1e3 * values,
        (_V,),
        lambda grad_out, values: (np.zeros_like(values),),
        True,
        "Where the true gradient is 0, the differences are tiny rounding errors, and a relative "
        "error compares 0 with them: divide by max(1, |slope|), so that small gradients are "
        "compared absolutely.",
    ),
    Trial(
        "cubes of float32 numbers",
        lambda values: values**3,
        (_M.astype(np.float32),),
        lambda grad_out, values: (3 * values**2 * grad_out,),
        True,
        "In float32 a step of 0.00001 is lost in the rounding: copy the inputs as float64 first.",
    ),
    Trial(
        "squares of float32 numbers, whose backward is 2 times too small",
        lambda values: values**2,
        (_M.astype(np.float32),),
        lambda grad_out, values: (values * grad_out,),
        False,
        "With float32 inputs a mistake by a factor of 2 went through. Are they copied as float64?",
    ),
    Trial(
        "10,000 times a ReLU, with one value at 0",
        lambda values: 1e4 * np.maximum(values, 0),
        (_RELU_AT_ZERO,),
        lambda grad_out, values: (1e4 * grad_out * (values > 0),),
        True,
        "At 0 the ReLU has a kink: slope 0 to the left, but not to the right, and the mean of "
        "both is nobody's gradient. Leave out entries whose two one-sided slopes differ.",
    ),
    Trial(
        "10,000 times a ReLU, with one value at 0, whose backward lets everything through",
        lambda values: 1e4 * np.maximum(values, 0),
        (_RELU_AT_ZERO,),
        lambda grad_out, values: (1e4 * grad_out,),
        False,
        "Only the entry at the kink is to be left out, not the others.",
    ),
    Trial(
        "10,000 times the maximum of three numbers, two of them equal",
        lambda values: 1e4 * values.max(),
        (np.array([2.0, 1.0, 2.0]),),
        _first_maximum,
        True,
        "At a tie the maximum has a kink, for both of the equal numbers. The output here is one "
        "number, not an array: np.asarray gives it a shape, ().",
    ),
    Trial(
        "1000 x³, steeply curved, whose backward is a hundredth too small",
        lambda values: 1e3 * values**3,
        (np.array([1.0, -2.0]),),
        lambda grad_out, values: (0.99 * 3e3 * values**2 * grad_out,),
        False,
        "A curve is not a kink: its one-sided slopes differ too, a little. Call it a kink only "
        "where they differ by more than about a hundredth of the slope.",
    ),
    Trial(
        "a backward that returns NaN",
        lambda values: 2 * values,
        (_V,),
        _with_nan,
        False,
        "NaN > tolerance is False, as every comparison with NaN. Ask whether the error is within "
        "the tolerance, not whether it is above.",
        may_raise=True,
    ),
    Trial(
        "a backward that returns an array of another shape",
        lambda values: values + 1,
        (np.ones((3, 1)),),
        lambda grad_out, values: (np.broadcast_to(grad_out, (3, 3)),),
        False,
        "A gradient has the shape of its input; here (3, 3) came for (3, 1), and the extra numbers "
        "went unseen. Compare the shapes first.",
        may_raise=True,
    ),
    Trial(
        "a backward that returns one gradient for two inputs",
        lambda a, b: a * b,
        (_V, _V + 1),
        lambda grad_out, a, b: (grad_out * b,),
        False,
        "One gradient is missing, and zip ends in silence with the shorter list: count them, or "
        "use zip(…, strict=True).",
        may_raise=True,
    ),
    Trial(
        "a matrix product and a bias",
        lambda x, w, b: x @ w.T + b,
        (_M, _M[::-1] * 2, np.array([0.5, -0.5])),
        lambda grad_out, x, w, b: (grad_out @ w, grad_out.T @ x, grad_out.sum(axis=0)),
        True,
        "Three inputs of different shapes: does each have its own loop over all its entries?",
    ),
)
