"""Exercise 07.4, A conv layer's first weights."""

import math

import numpy as np

from cnnlib.exercises.compare import as_numpy, kind, structure
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_yet, raised


def kaiming_conv(in_channels, out_channels, kernel_size, groups, rng):
    kh, kw = kernel_size
    fan_in = in_channels // groups * kh * kw
    shape = (out_channels, in_channels // groups, kh, kw)
    return rng.standard_normal(shape) * np.sqrt(2 / fan_in)


# (in_channels, out_channels, kernel_size, groups, note); each has thousands of weights, so that
# the measured variance is within a few per cent of the true one.
_CASES = (
    (1000, 9, (1, 1), 1, "kernels of one pixel"),
    (16, 200, (3, 3), 1, "kernels of 3 × 3"),
    (200, 16, (3, 3), 1, "more channels in than out"),
    (3, 500, (5, 2), 1, "a kernel that is not square"),
    (60, 240, (3, 3), 6, "six groups"),
    (1024, 1024, (3, 3), 1024, "depthwise"),
)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    for place, (C, O, size, groups, note) in enumerate(_CASES):
        text = f"in_channels={C}, out_channels={O}, kernel_size={size}, groups={groups}"
        case = ("case", f"{note}: {text}")
        rng = np.random.default_rng(place)
        got, error = attempt(answer, (C, O, size, groups, rng))
        if error is not None:
            return raised(error, case, attempted=place > 0)
        if problem := _wrong(as_numpy(got), C, O, size, groups, case):
            return problem
        again, _ = attempt(answer, (C, O, size, groups, np.random.default_rng(place)))
        other, _ = attempt(answer, (C, O, size, groups, np.random.default_rng(place + 100)))
        if not np.array_equal(got, again) or np.array_equal(got, other):
            cause = "Draw from the rng that you are given, and from nothing else: then the same "
            cause += "seed gives the same network, and another seed another one."
            return not_yet("The numbers do not follow the generator.", case, cause=cause)
    return correct(f"{len(_CASES)} layers: shape, mean, variance and the normal form are right.")


def _wrong(got, C, O, size, groups, case) -> Verdict | None:
    """What is wrong with one layer's weights; None when they are right."""
    kh, kw = size
    shape = (O, C // groups, kh, kw)
    words = structure(got, np.empty(shape))
    if words or got.dtype.kind != "f":
        if isinstance(got, np.ndarray) and got.shape == (O, C, kh, kw):
            words = "With groups a kernel reaches through in_channels / groups channels only."
        found = f"shape {got.shape}, {got.dtype}" if isinstance(got, np.ndarray) else kind(got)
        return not_yet(
            "Weights of another form are wanted.", case, ("expected", f"floats of shape {shape}"),
            ("got", found), cause=words or "The weights should be floats.",
        )  # fmt: skip
    if not np.all(np.isfinite(got)):
        return not_yet("There are weights that are not finite.", case, cause="A division by 0?")
    fan_in = C // groups * kh * kw
    variance, count = float(got.var()), got.size
    spread = math.sqrt(2 / count)  # relative spread of a measured variance of normal numbers
    if abs(got.mean()) > 6 * math.sqrt(2 / fan_in / count) and abs(got.mean()) > 0.01 * got.std():
        cause = "The weights should lie around 0: rng.random gives numbers from 0 to 1, "
        cause += "rng.standard_normal such with mean 0."
        found = ("got", f"a mean of {got.mean():.4g} with a spread of {got.std():.4g}")
        return not_yet("The mean is not 0.", case, found, cause=cause)
    if abs(variance * fan_in / 2 - 1) > 6 * spread:
        return not_yet(
            "The variance is not that of Kaiming.",
            case,
            ("expected", f"{2 / fan_in:.4g}, which is 2 / {fan_in}"),
            ("got", f"{variance:.4g}, which is {variance * fan_in:.4g} / {fan_in}"),
            cause=_cause_of_variance(variance, C, O, kh, kw, groups, 6 * spread),
        )
    fourth = float((got**4).mean()) / variance**2  # 3 for normal numbers, 1.8 for uniform ones
    if abs(fourth - 3) > 6 * math.sqrt(24 / count) + 0.02:
        cause = "Uniform numbers have a fourth moment of 1.8, cut-off ones below 3. Use "
        cause += "rng.standard_normal or rng.normal."
        found = ("got", f"a fourth moment of {fourth:.2f} where normal numbers have 3")
        return not_yet("Mean and variance are right; the numbers are not normal.", case, found,
                       cause=cause)  # fmt: skip
    return None


def _cause_of_variance(variance, C, O, kh, kw, groups, within) -> str:
    """The mistake that leads to exactly this variance."""
    per_group = C // groups
    fan_in, area = per_group * kh * kw, kh * kw
    known = (
        (1.0, "This is plain normal noise, not scaled: multiply by √(2 / fan_in)."),
        (
            2 / per_group,
            f"The kernel's area is missing: each output adds up {area} pixels of each channel, so "
            f"fan_in is channels · {kh} · {kw}.",
        ),
        (
            2 / (C * area),
            "fan_in counts the channels that one kernel sees: with groups, in_channels / groups.",
        ),
        (2 / (O * area), "This is fan_out: the outputs were counted in place of the inputs."),
        (2 / (O * area / groups), "This is fan_out: the outputs were counted, not the inputs."),
        (1 / fan_in, "1 / fan_in is for layers without a ReLU. The ReLU throws half away: 2."),
        (4 / fan_in**2, "2 / fan_in is the variance. The factor is its square root."),
        ((2 / fan_in) ** 0.5, "The square root was taken twice, or passed on as a variance."),
        (2 / (fan_in + O * area / groups), "This is Glorot's rule, with fan_in + fan_out below."),
        (2 / (fan_in + O * area), "This is Glorot's rule, with fan_in + fan_out below."),
        (2 / (fan_in * O), "All weights were counted; fan_in counts the inputs of one output."),
        (2 / 3 / fan_in, "Uniform numbers from −a to a have a variance of a² / 3, not a²."),
        (1 / (3 * fan_in), "This is torch's own default for layers (variance 1 / (3 · fan_in)), "
         "not Kaiming's for a ReLU."),
        (6 / fan_in, "√(6 / fan_in) is the bound for uniform numbers; these are normal."),
    )  # fmt: skip
    for value, says in known:
        if abs(variance / value - 1) <= within:
            return says
    ratio = variance * fan_in / 2
    return (
        f"The variance is {ratio:.3g} times what it should be, the spread {ratio**0.5:.3g} times."
    )


EXERCISE = Exercise(
    id="07.4",
    title="A conv layer's first weights",
    objective="draw a convolution's first weights so that the signal keeps its size",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "fan_in is the number of products that are added up for one output value. How many does "
        "one kernel make?",
        "A kernel has in_channels / groups grids of kh × kw weights. That is both the shape of "
        "the weights and fan_in.",
        "rng.standard_normal(shape) * np.sqrt(2 / fan_in): the square root, because 2 / fan_in "
        "is a variance.",
    ),
    solution=kaiming_conv,
    examine=_examine,
)
