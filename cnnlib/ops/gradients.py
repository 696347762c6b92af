"""A check for backward passes: compare them with differences of the forward pass."""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class GradientReport:
    """What check_gradients found; shown, it is one line that names the worst entry."""

    ok: bool  # every entry that was compared is within the tolerance
    worst_error: float  # |got - expected|, relative as check_gradients says; NaN if one is NaN
    worst_input: str  # the input's name
    worst_index: tuple[int, ...]  # the entry in it
    expected: float  # by differences
    got: float  # by the backward pass
    num_compared: int
    num_kinks: int  # entries left out: the function has a corner there

    def __repr__(self) -> str:
        entries = f"{self.num_compared} entries compared, {self.num_kinks} at a kink left out"
        if self.ok:
            return f"gradients agree: {entries}"
        index = ", ".join(str(i) for i in self.worst_index)
        return (
            f"gradients differ, most in {self.worst_input}[{index}]: the backward pass says "
            f"{self.got:.6g}, differences say {self.expected:.6g} ({entries})"
        )


def check_gradients(
    function: Callable[..., np.ndarray],
    inputs: Sequence[np.ndarray],
    *,
    backward: Callable[..., np.ndarray | Sequence[np.ndarray]],
    step: float = 1e-5,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> GradientReport:
    """Compare a backward pass with central differences, entry by entry, in float64.

    The output is summed up with random weights, the upstream gradient, so that no mistake can
    hide behind gradients of one. An error counts relative to max(1, |slope|); where all slopes of
    an input are below 1, relative to the largest of them, so that none passes for being small.

    An entry where the slopes to the left and to the right differ, and differ as much ten times
    closer, sits at a corner of the function (a ReLU at zero, a tie in a maximum): no single slope
    is right there, and it is counted but not compared. Where the function only bends, the two
    slopes come together, and the entry is compared.

    Args:
        function: function(*inputs) -> an array or a number, the same one each time.
        inputs: floating-point arrays; they are copied as float64.
        backward: backward(grad_out, *inputs) -> the gradient of each input, in their order (or
            the one gradient, for one input).
        step: how far each entry is moved to either side. Longer ones err where the function
            bends, shorter ones by rounding; 1e-5 is near the best for values around 1.
        tolerance: the largest relative error allowed.
        seed: of the upstream gradient.

    Returns:
        A GradientReport; its `ok` is the answer, and shown it names the worst entry.

    Raises:
        TypeError: an input that is not an array of floating-point numbers, or a function or a
            backward pass that does not return arrays.
        ValueError: a backward pass that returns another number of gradients, or other shapes; a
            function that is random, or whose every entry sits at a kink; a step that is lost
            beside a large input.

    Example:
        >>> double = lambda values: 2 * values
        >>> check_gradients(double, [np.ones(3)], backward=lambda grad_out, values: 2 * grad_out)
        gradients agree: 3 entries compared, 0 at a kink left out

    Taught in notebook 06.
    """
    inputs = copied_inputs(inputs, step, tolerance)
    names = input_names(function, len(inputs))

    def output() -> np.ndarray:
        return returned_array(function(*[array.copy() for array in inputs]))

    out = output()
    if not np.array_equal(out, output(), equal_nan=True):
        raise ValueError(
            "expected a function that returns the same for the same inputs, got two outputs; a "
            "random function should make its generator anew in every call, from a fixed seed"
        )
    # Numbers that no input is likely to hold: were grad_out equal to the images, which may well
    # come from default_rng(0) too, batch norm's gradient would be zero and hide its mistakes.
    grad_out = np.random.default_rng([seed, len(inputs), out.size]).standard_normal(out.shape)
    given = backward(grad_out.copy(), *[array.copy() for array in inputs])
    gradients = returned_gradients(given, [array.shape for array in inputs])

    def change() -> float:
        with np.errstate(invalid="ignore"):
            return float(((output() - out) * grad_out).sum())

    # What ten roundings of the output, or of numbers around 1 on the way to it, do to a slope.
    size = float(np.linalg.norm(np.maximum(1, np.abs(out)) * grad_out))
    rounding = 10 * np.finfo(np.float64).eps * size / step
    findings, num_kinks = [], 0
    for name, array, got in zip(names, inputs, gradients, strict=True):
        expected, kinks = differences(change, array, got, step, tolerance, rounding)
        errors = np.abs(got - expected) / scales(expected, rounding / tolerance)
        num_kinks += int(kinks.sum())
        for index in map(tuple, np.argwhere(~kinks).tolist()):
            numbers = (float(values[index]) for values in (errors, expected, got))
            findings.append((name, index, *numbers))
    if not findings:
        raise ValueError(
            "expected inputs at which the function is smooth; every entry is a kink"
            if num_kinks
            else "expected at least one entry to compare, got empty inputs"
        )
    # NaN is the worst of all.
    worst = max(findings, key=lambda finding: math.inf if math.isnan(finding[2]) else finding[2])
    name, index, error, expected, got = worst
    return GradientReport(
        ok=error <= tolerance,
        worst_error=error,
        worst_input=name,
        worst_index=index,
        expected=expected,
        got=got,
        num_compared=len(findings),
        num_kinks=num_kinks,
    )


def differences(
    change: Callable[[], float],
    array: np.ndarray,
    got: np.ndarray,
    step: float,
    tolerance: float,
    rounding: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The slope at each entry by central differences, and which entries are kinks."""
    left, right = np.empty_like(array), np.empty_like(array)
    for index in np.ndindex(array.shape):
        left[index], right[index] = slopes(change, array, index, step)
    with np.errstate(invalid="ignore"):
        expected, gap = (left + right) / 2, np.abs(right - left)
    kinks = np.zeros(array.shape, bool)
    suspects = gap > tolerance * scales(expected, rounding / tolerance)
    for index in map(tuple, np.argwhere(suspects)):
        # Ten times closer, a bend's gap is a tenth, and one made of rounding is tenfold; that of
        # a kink stays as it is.
        near_left, near_right = slopes(change, array, index, step / 10)
        kinks[index] = 0.5 * gap[index] < abs(near_right - near_left) < 2 * gap[index]
        # At a bend both differences are fair: this one less bent, the other one less rounded.
        near = (near_left + near_right) / 2
        if abs(got[index] - near) < abs(got[index] - expected[index]):
            expected[index] = near
    return expected, kinks


def slopes(
    change: Callable[[], float], array: np.ndarray, index: tuple, step: float
) -> tuple[float, float]:
    """The slope of the loss to the left and to the right of one entry, which is put back."""
    value, both = float(array[index]), []
    for moved in (value - step, value + step):
        if moved == value:
            raise ValueError(f"expected a larger step: {step} is lost beside an input of {value:g}")
        array[index] = moved
        both.append(change() / (moved - value))  # by what was moved after rounding
    array[index] = value
    return both[0], both[1]


def scales(expected: np.ndarray, at_least: float) -> np.ndarray:
    """What each error is divided by: the slope, or the largest slope up to 1 if that is more."""
    size = np.abs(expected)
    return np.maximum(size, min(1, np.fmax.reduce(size, axis=None, initial=at_least)))


def copied_inputs(inputs: Sequence[np.ndarray], step: float, tolerance: float) -> list[np.ndarray]:
    """The inputs in float64, or an error that says what is wrong with them or the settings."""
    if isinstance(inputs, np.ndarray):
        raise TypeError("expected inputs as a list of arrays, got one array; use [array]")
    if not (step > 0 and tolerance > 0):
        raise ValueError(f"expected step and tolerance above 0, got {step} and {tolerance}")
    for array in inputs:
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise TypeError(f"expected inputs of floating-point arrays, got {describe(array)}")
    return [np.array(array, np.float64) for array in inputs]


def returned_array(out: object) -> np.ndarray:
    """What a function returned, as a float64 array of its own, or an error that says why not."""
    if isinstance(out, (tuple, list)) or np.asarray(out).dtype.kind not in "fiu":
        raise TypeError(f"expected a function that returns an array or number, got {describe(out)}")
    return np.array(out, np.float64)


def returned_gradients(given: object, shapes: list[tuple]) -> list[np.ndarray]:
    """The gradients a backward pass returned, or an error that says what is wrong with them."""
    given = list(given) if isinstance(given, (tuple, list)) else [given]
    for gradient in given:
        if np.asarray(gradient).dtype.kind not in "fiu":
            raise TypeError(f"expected gradients as arrays, got {describe(gradient)}")
    if [np.shape(gradient) for gradient in given] != shapes:
        raise ValueError(
            f"expected gradients of the inputs' shapes {shapes}, got {[np.shape(g) for g in given]}"
        )
    return [np.array(gradient, np.float64) for gradient in given]


def input_names(function: Callable, count: int) -> list[str]:
    """The names of the function's first parameters, for messages; else input 0, input 1, …"""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    if len(parameters) >= count and all(p.kind != p.VAR_POSITIONAL for p in parameters[:count]):
        return [p.name for p in parameters[:count]]
    return [f"input {number}" for number in range(count)]


def describe(value: object) -> str:
    """What a value is, in a few words."""
    return f"dtype {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
