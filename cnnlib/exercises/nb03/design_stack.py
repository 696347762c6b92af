"""Exercise 03.7, A stack to order."""

from itertools import pairwise

import numpy as np

from cnnlib.exercises.compare import kind, show
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_yet, raised


def design_stack(size, channels, max_parameters):
    parameters_per_layer = 9 * channels * channels + channels
    num_layers = max_parameters // parameters_per_layer
    if size % 2 == 0 or size > 3**num_layers:
        raise ValueError(f"no stack of {num_layers} layers sees exactly {size} pixels")
    wanted, reach = (size - 1) // 2, 0  # how far to each side, from the middle
    dilations = []
    while reach < wanted:
        dilation = min(2 * reach + 1, wanted - reach)
        dilations.append(dilation)
        reach += dilation
    return dilations


# (size, channels, layers that the budget pays for, what is left over of it)
_POSSIBLE = (
    (3, 1, 1, 0),
    (5, 2, 2, 0),
    (7, 4, 3, 5),
    (9, 2, 2, 0),
    (11, 3, 5, 1),
    (27, 8, 3, 0),
    (21, 8, 10, 0),
    (31, 4, 4, 30),
    (81, 16, 4, 2),
    (83, 16, 5, 0),
    (121, 3, 5, 2),
    (243, 32, 5, 0),
    (601, 2, 6, 1),
)
_IMPOSSIBLE = (
    (8, 4, 6, 0, "an even size: every layer adds 2 · dilation, so 1 + an even number is odd"),
    (5, 8, 1, 500, "size 5 with a budget for one layer"),
    (29, 8, 3, 583, "size 29 with a budget for three layers, which see 27 at most"),
    (245, 2, 5, 37, "size 245 with a budget for five layers, which see 243 at most"),
)


def _budget(channels: int, num_layers: int, left: int) -> int:
    return num_layers * (9 * channels**2 + channels) + left


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    for number, (size, channels, num_layers, left) in enumerate(_POSSIBLE):
        budget = _budget(channels, num_layers, left)
        case = ("case", f"size={size}, channels={channels}, max_parameters={budget}")
        got, error = attempt(answer, (size, channels, budget))
        if error:
            verdict = raised(error, case, attempted=number > 0)
            if isinstance(error, ValueError):
                return not_yet(
                    "This one can be built; your function raised a ValueError.",
                    *verdict.details,
                    ("got", verdict.headline),
                    cause=f"The budget pays for {num_layers} layers, and these can see up to "
                    f"3^{num_layers} = {3**num_layers} pixels without a hole.",
                )
            return verdict
        if problem := _unreadable(got, case) or _wrong(got, size, channels, budget, case):
            return problem
    for size, channels, num_layers, left, why in _IMPOSSIBLE:
        budget = _budget(channels, num_layers, left)
        case = ("case", f"size={size}, channels={channels}, max_parameters={budget}: {why}")
        got, error = attempt(answer, (size, channels, budget))
        if error is None:
            return not_yet(
                "No such stack exists, so a ValueError was asked for.",
                case,
                ("expected", "a ValueError"),
                ("got", show(got)),
                cause="Check before you return: the size must be odd, and the budget must pay for "
                "all the layers that you use.",
            )
        if not isinstance(error, ValueError):
            return raised(error, case, ("expected", "a ValueError"), attempted=True)
    return correct(f"{len(_POSSIBLE)} stacks built, {len(_IMPOSSIBLE)} impossible orders refused.")


def _unreadable(got, case) -> Verdict | None:
    """What is wrong with the kind of answer; None when it is a list of dilations."""
    if isinstance(got, np.ndarray) and got.ndim == 1 and got.dtype.kind in "iu":
        return None
    wanted = "Return a list of dilations, one for each layer."
    if got is None:
        return not_yet(wanted, case, cause="Your function returned None: does it end in a return?")
    if not isinstance(got, list | tuple):
        return not_yet(
            wanted, case, ("got", show(got)), cause=f"A list is wanted; this is {kind(got)}."
        )
    whole = all(isinstance(d, int | np.integer) and not isinstance(d, bool) for d in got)
    if not whole or any(d < 1 for d in got):
        cause = "Every dilation is an integer of at least 1: the taps stand that many pixels apart."
        return not_yet(wanted, case, ("got", show(got)), cause=cause)
    return None


def _wrong(got, size: int, channels: int, budget: int, case) -> Verdict | None:
    """What is wrong with a stack of dilations: its field, a hole in it, or its price."""
    dilations = [int(d) for d in got]
    shown = ("got", f"dilations {show(dilations)}")
    field = 1 + 2 * sum(dilations)
    if field != size:
        return not_yet(
            f"The receptive field should be {size}, and is {field}.",
            case,
            shown,
            cause=_cause_of_size(dilations, size, field),
        )
    seen = {0}  # the pixels that a path leads to, counted from the one in the middle
    for d in dilations:
        seen = {pixel + tap * d for pixel in seen for tap in (-1, 0, 1)}
    price = len(dilations) * (9 * channels**2 + channels)
    holes = sorted(set(range(min(seen), max(seen) + 1)) - seen)
    if holes:
        return not_yet(
            f"The field is {size} pixels, but {len(holes)} of them are not seen.",
            case,
            shown,
            ("hole", f"no path leads to pixel {holes[-1]}, counted from the middle"),
            cause="Holes: a dilation is too large for what stands beside it. Layers that reach R "
            "to each side fill 2R + 1 pixels; the next dilation may be 2R + 1, and no more.",
        )
    if price > budget:
        return not_yet(
            "The field is right and has no holes; the stack costs too much.",
            case,
            shown,
            ("parameters", f"{price}, {len(dilations)} layers of 9 · C · C + C; allowed {budget}"),
            cause=_cause_of_price(dilations),
        )
    return None


def _cause_of_size(dilations: list[int], size: int, field: int) -> str:
    if sum(dilations) == size:
        return (
            "The dilations sum to the size. Each reaches to both sides: 1 + 2 · sum is the field."
        )
    if field == size + 1 or field == size - 1:
        return "One off: the field is 1 + 2 · (sum of the dilations)."
    if field < size:
        return "Too small: the field is 1 + 2 · (sum of the dilations)."
    return (
        "Too large: the last dilation has to be cut to what is still missing; the field is "
        "1 + 2 · (sum of the dilations)."
    )


def _cause_of_price(dilations: list[int]) -> str:
    if all(d == 1 for d in dilations):
        return "Every dilation is 1, which is safe and slow: larger ones need fewer layers."
    if all(b <= 2 * a for a, b in pairwise(dilations)):
        return (
            "Doubling the dilation leaves no holes, but it is not the fastest growth that "
            "does: layers that reach R to each side fill 2R + 1 pixels."
        )
    return "The same field can be had with fewer layers: how fast may dilations grow?"


EXERCISE = Exercise(
    id="03.7",
    title="A stack to order",
    objective="design a stack with an exact receptive field, without holes, within a budget",
    level=3,
    minutes=30,
    points=6,
    hints=(
        "What does a layer of dilation d add to the field, and what does a layer cost? Forget the "
        "holes for a moment: which sizes are possible at all?",
        "Suppose that the layers so far see every pixel from −R to R. A layer of dilation d lays "
        "three copies of that field at −d, 0 and d. How large may d be if no gap is to open "
        "between the copies?",
        "Start at reach 0 and take dilation min(2 · reach + 1, what is missing) until the reach "
        "is (size − 1) / 2. The fields are 3, 9, 27, …: n layers reach at most 3^n.",
    ),
    solution=design_stack,
    examine=_examine,
)
