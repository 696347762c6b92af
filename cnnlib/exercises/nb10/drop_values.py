"""Exercise 10.3, Dropout, value by value and map by map."""

import numpy as np

from cnnlib.exercises.compare import show
from cnnlib.exercises.engine import unfit
from cnnlib.exercises.nb10.tensors import attempt_raw, call_twice, tensor_problem
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised


def drop_values(values, p, training, generator, spatial=False):
    import torch

    if not training or p == 0:
        return values
    if p == 1:
        return values * 0
    shape = values.shape[:2] + (1,) * (values.ndim - 2) if spatial else values.shape
    kept = torch.rand(shape, generator=generator) >= p
    return values * (kept.to(values.device, values.dtype) / (1 - p))


SHAPE = (40, 10, 6, 8)  # 19,200 values in 400 maps


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    import torch

    generator = torch.Generator().manual_seed(0)
    values = torch.rand(SHAPE, generator=generator) + 1
    for number, look in enumerate((_not_training, _elementwise, _maps, _extremes, _chance)):
        verdict = look(answer, values)
        if verdict is None:
            continue
        if verdict.outcome == "not attempted" and number:
            continue
        return verdict
    return correct("In training and not, p from 0 to 1, value by value and map by map.")


def _call(answer, values, p, training, spatial, seed=0):
    """The result, whether global chance took part, or a verdict on an error or a spoilt input."""
    import torch

    given = values.clone()

    def call():
        generator = torch.Generator().manual_seed(seed)
        return answer(given, p, training, generator, **({"spatial": True} if spatial else {}))

    got, error, by_chance = call_twice(call)
    said = f"values {tuple(values.shape)}, p={p}, training={training}, spatial={spatial}"
    at = ("case", said)
    if isinstance(error, NotImplementedError):
        return None, None, not_attempted()
    if error:
        return None, None, raised(error, at)
    if not torch.equal(given, values):
        cause = "Multiply by a mask, which makes a new tensor, in place of writing into values."
        return None, None, not_yet("Your function changed its input.", at, cause=cause)
    if problem := tensor_problem(got, values):
        return None, None, problem
    if by_chance:
        cause = (
            "With the same generator seed two calls gave different results: somewhere torch's "
            "global random numbers are used. Draw with torch.rand(shape, generator=generator); "
            "F.dropout and bernoulli without a generator cannot be repeated."
        )
        return None, None, not_yet("The generator does not decide everything.", at, cause=cause)
    return got.detach(), at, None


def _not_training(answer, values):
    import torch

    for spatial in (False, True):
        got, at, problem = _call(answer, values, 0.4, False, spatial)
        if problem:
            return problem
        if torch.equal(got, values):
            continue
        cause = "When training is False nothing is dropped, whatever p is."
        if torch.allclose(got, values * 0.6):
            cause = (
                "The values were multiplied by 1 − p. That belongs to the old form of dropout; "
                "inverted dropout enlarges in training, and does nothing afterwards."
            )
        elif torch.allclose(got, values / 0.6):
            cause = "The values were enlarged though none was dropped: only in training."
        return not_yet("Outside of training the values should stay as they are.", at, cause=cause)
    return None


def _share_and_size(got, values, p, at, what):
    """The verdict on how many are dropped and how much the others are enlarged."""
    import torch

    dropped = got == 0
    if not dropped.any():
        return not_yet("Nothing was dropped in training.", at, cause=f"Draw which {what} to drop.")
    ratios = (got / values)[~dropped]
    factor = float(ratios.mean()) if len(ratios) else 0.0
    if len(ratios) and not torch.allclose(ratios, ratios.new_full((), factor), rtol=1e-4):
        cause = "Each value is either 0 or itself times one and the same factor."
        return not_yet("The values that are left changed unevenly.", at, cause=cause)
    share = float(dropped.float().mean())
    count = dropped.numel() if what == "values" else dropped.shape[0] * dropped.shape[1]
    spread = np.sqrt(p * (1 - p) / count)
    if abs(share - p) > 5 * spread:
        cause = f"p is the probability of 0: about {p:.0%} of the {what} should be dropped."
        if abs(share - (1 - p)) < 5 * spread:
            cause = "p is the probability of being dropped; here it is that of being kept."
        return not_yet(
            f"The share of {what} that are dropped is wrong.",
            at,
            ("expected", f"about {p}"),
            ("got", f"{share:.3f}"),
            cause=cause,
        )
    if not np.isclose(factor, 1 / (1 - p), rtol=1e-4):
        cause = "What is left is divided by 1 − p, so that the mean stays."
        if np.isclose(factor, 1):
            cause = (
                "The others were not enlarged: the mean falls by p, and the next layer would see "
                "other sizes in training than afterwards. Divide by 1 − p."
            )
        elif np.isclose(factor, 1 / p, rtol=1e-4):
            cause = "Divided by p; divide by 1 − p, the probability of being kept."
        elif np.isclose(factor, 1 - p, rtol=1e-4):
            cause = "Multiplied by 1 − p; divide by it, or the mean shrinks twice."
        return not_yet(
            "The values that are left have the wrong size.",
            at,
            ("expected", f"{1 / (1 - p):.4f} times what they were"),
            ("got", f"{factor:.4f} times"),
            cause=cause,
        )
    return None


def _elementwise(answer, values):
    for p in (0.5, 0.2):
        got, at, problem = _call(answer, values, p, True, False)
        if problem or (problem := _share_and_size(got, values, p, at, "values")):
            return problem
        dropped = (got == 0).flatten(2).float().mean(dim=2)  # (N, C)
        if bool(((dropped == 0) | (dropped == 1)).all()):
            cause = "Whole maps were dropped; that is asked for with spatial=True only."
            return not_yet("Without spatial each value has its own chance.", at, cause=cause)
        if bool(((got == 0) == (got == 0)[:1]).all()):
            cause = "All images got the same mask: draw it in the full shape, (N, C, H, W)."
            return not_yet("Every image should have a mask of its own.", at, cause=cause)
        if bool(((got == 0) == (got == 0)[:, :1]).all()):
            cause = "All channels got the same mask: draw it in the full shape, (N, C, H, W)."
            return not_yet("Every channel should have a mask of its own.", at, cause=cause)
    return None


def _maps(answer, values):
    for p in (0.5, 0.2):
        got, at, problem = _call(answer, values, p, True, True)
        if problem:
            return problem
        dropped = (got == 0).flatten(2).float().mean(dim=2)
        if not bool(((dropped == 0) | (dropped == 1)).all()):
            cause = "Draw one number for each image and channel, shape (N, C, 1, 1)."
            by_place = (got == 0).float().mean(dim=1)
            if bool(((by_place == 0) | (by_place == 1)).all()):
                cause = (
                    "Places were dropped, through all channels; a map is a channel: (N, C, 1, 1)."
                )
            return not_yet(
                "With spatial=True a map is dropped whole or not at all.", at, cause=cause
            )
        if bool((dropped == dropped[:1]).all()):
            cause = "All images lost the same channels: draw (N, C, 1, 1), not (1, C, 1, 1)."
            return not_yet("Every image should have a mask of its own.", at, cause=cause)
        if bool((dropped == dropped[:, :1]).all()):
            cause = "Whole images were dropped: draw (N, C, 1, 1), not (N, 1, 1, 1)."
            return not_yet("Every channel should have a chance of its own.", at, cause=cause)
        if problem := _share_and_size(got, values, p, at, "maps"):
            return problem
    return None


def _extremes(answer, values):
    import torch

    for p, wanted in ((0.0, values), (1.0, torch.zeros_like(values))):
        got, at, problem = _call(answer, values, p, True, False)
        if problem:
            return problem
        if not torch.equal(got, wanted):
            cause = "With p = 0 nothing is dropped, with p = 1 everything."
            if got.isnan().any() or got.isinf().any():
                cause = "Here 1 − p is 0, and 0 divided by 0 is no number: treat p = 1 by itself."
            return not_yet(f"p = {p:g} goes wrong.", at, ("got", show(got[0, 0, 0])), cause=cause)
    return None


def _chance(answer, values):
    """Two seeds differ, one generator goes on, and a gradient flows."""
    import torch

    first, at, problem = _call(answer, values, 0.5, True, False, seed=1)
    second, _, again = _call(answer, values, 0.5, True, False, seed=2)
    if problem or again:
        return problem or again
    if torch.equal(first, second):
        cause = "The generator was not used, or was seeded anew inside your function."
        return not_yet("Two generators gave the same mask.", at, cause=cause)
    generator, few = torch.Generator().manual_seed(0), values[:4]
    calls = [attempt_raw(answer, few, 0.5, True, generator)[0] for _ in range(2)]
    if torch.equal(*calls):
        cause = "The generator was seeded anew, or copied, inside your function: every step would "
        cause += "drop the same values."
        return not_yet("Two calls with one generator gave the same mask.", at, cause=cause)
    inputs = few.clone().requires_grad_()
    output, error = attempt_raw(answer, inputs, 0.5, True, torch.Generator().manual_seed(0))
    if error or not output.requires_grad:
        cause = "The graph is cut, by detach, .data or .numpy(): multiply by the mask with torch."
        return not_yet("No gradient would flow back.", at, cause=cause)
    (grad,) = torch.autograd.grad(output.sum(), inputs)
    if not torch.allclose(grad, (output / inputs).detach(), rtol=1e-4):
        cause = "The gradient should be the mask itself, 0 or 1 / (1 − p)."
        return not_yet("The gradient is wrong.", at, cause=cause)
    return None


EXERCISE = Exercise(
    id="10.3",
    title="Dropout, value by value and map by map",
    objective="write inverted and spatial dropout, and say why nothing is left to do in eval mode",
    level=1,
    minutes=15,
    points=3,
    hints=(
        "A mask of 0 and 1: torch.rand(shape, generator=generator) >= p is True with probability "
        "1 − p.",
        "What is kept is divided by 1 − p: the expected value is then the value itself, and "
        "outside of training there is nothing to make up for. For p = 1 there is nothing to keep.",
        "Spatial dropout needs one number for each image and channel: a mask (N, C, 1, 1) spreads "
        "over rows and columns by itself.",
    ),
    solution=drop_values,
    examine=_examine,
)
