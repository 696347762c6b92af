"""Exercise 11.10, Batch norm disappears."""

from collections.abc import Callable

from cnnlib.exercises.compare import kind
from cnnlib.exercises.engine import unfit
from cnnlib.exercises.nb11.modules import attempt_raw, fill, first_wrong, near
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised


def folded_conv(conv, bn):
    import copy

    import torch
    from torch import nn

    scale = torch.rsqrt(bn.running_var + bn.eps)  # (O,)
    if bn.weight is not None:
        scale = scale * bn.weight
    bias = -bn.running_mean if conv.bias is None else conv.bias - bn.running_mean
    bias = bias * scale
    if bn.bias is not None:
        bias = bias + bn.bias
    folded = copy.deepcopy(conv)
    folded.weight = nn.Parameter((conv.weight * scale[:, None, None, None]).detach())
    folded.bias = nn.Parameter(bias.detach())
    return folded


CASES = (
    ("one channel, no bias", {"in_channels": 1, "out_channels": 1, "bias": False}, {}),
    ("two channels, no bias", {"in_channels": 2, "out_channels": 3, "bias": False}, {}),
    ("with a bias", {"in_channels": 3, "out_channels": 2}, {}),
    ("eps=0.3", {"in_channels": 2, "out_channels": 4}, {"eps": 0.3}),
    ("groups=2", {"in_channels": 4, "out_channels": 6, "groups": 2, "bias": False}, {}),
    ("depthwise, stride 2, padding 1", {"in_channels": 5, "out_channels": 5, "groups": 5,
                                        "stride": 2, "padding": 1}, {}),
    ("dilation 2, not square", {"in_channels": 2, "out_channels": 3, "kernel_size": (3, 2),
                                "dilation": (2, 1), "padding": (1, 2)}, {}),
    ("padding_mode='circular'", {"in_channels": 2, "out_channels": 2, "padding": 1,
                                 "padding_mode": "circular"}, {}),
    ("affine=False", {"in_channels": 2, "out_channels": 3}, {"affine": False}),
    ("in training mode, as found", {"in_channels": 3, "out_channels": 3}, {}),
)  # fmt: skip


def _pair(settings: dict, of_norm: dict, seed: int):
    """A convolution and a batch norm in float64, with values that hide nothing; some γ negative."""
    import torch
    from torch import nn

    conv = nn.Conv2d(**{"kernel_size": 3} | settings).double()
    bn = nn.BatchNorm2d(conv.out_channels, **of_norm).double()
    fill(conv, seed)
    fill(bn, seed + 50)
    if bn.weight is not None and len(bn.weight) > 1:
        with torch.no_grad():
            bn.weight[0] *= -1
    return conv, bn


# Each piece of the answer, right unless a fault replaces it.
RIGHT = {
    "root": lambda bn: (bn.running_var + bn.eps).sqrt(),
    "gamma": lambda bn: 1 if bn.weight is None else bn.weight,
    "beta": lambda bn: 0 if bn.bias is None else bn.bias,
    "mean": lambda bn: bn.running_mean,
    "bias": lambda conv: 0 if conv.bias is None else conv.bias,
    "combine": lambda bias, mean, scale, beta: (bias - mean) * scale + beta,
    "axis": 0,
}


def _weights(conv, bn, **changed):
    """(weight, bias) of the folded convolution, with some pieces changed."""
    piece = RIGHT | changed
    scale = piece["gamma"](bn) / piece["root"](bn)
    bias = piece["combine"](piece["bias"](conv), piece["mean"](bn), scale, piece["beta"](bn))
    shape = [1, 1, 1, 1]
    shape[piece["axis"]] = -1
    return conv.weight * scale.reshape(shape), bias


FAULTS: tuple[tuple[dict, str], ...] = (
    ({"root": lambda bn: bn.running_var.sqrt()}, "eps is missing: the root is √(running_var + "
     "eps)."),
    ({"root": lambda bn: bn.running_var.sqrt() + bn.eps}, "eps stands under the root: "
     "√(running_var + eps)."),
    ({"root": lambda bn: (bn.running_var + 1e-5).sqrt()}, "eps is always 1e-5; use bn.eps."),
    ({"root": lambda bn: bn.running_var + bn.eps}, "The root is missing: batch norm divides by the "
     "standard deviation, √(running_var + eps)."),
    ({"root": lambda bn: 1 / (bn.running_var + bn.eps).sqrt()}, "Multiplied by the root in place "
     "of divided."),
    ({"gamma": lambda bn: 1}, "bn.weight, γ, is missing from the scale."),
    ({"beta": lambda bn: 0}, "bn.bias, β, is missing from the new bias."),
    ({"mean": lambda bn: 0}, "The running mean is not subtracted."),
    ({"bias": lambda conv: 0}, "The convolution's own bias is lost: it goes through the batch norm "
     "like everything else."),
    ({"combine": lambda b, m, s, beta: b - m * s + beta}, "The convolution's own bias is not "
     "scaled: (bias − mean) · scale + β."),
    ({"combine": lambda b, m, s, beta: b * s - m + beta}, "The running mean is not scaled: "
     "(bias − mean) · scale + β."),
    ({"combine": lambda b, m, s, beta: (b - m + beta) * s}, "β is scaled; it is added last."),
    ({"combine": lambda b, m, s, beta: (b + m) * s + beta}, "The running mean has the wrong sign."),
    ({"combine": lambda b, m, s, beta: (b - m) * s - beta}, "β has the wrong sign."),
    ({"combine": lambda b, m, s, beta: b}, "The bias is the old one; only the weights were "
     "changed."),
    ({"axis": 1}, "The scale ran along the input channels; batch norm scales output channels, the "
     "weight's first axis: scale[:, None, None, None]."),
)  # fmt: skip


def _examine(answer: Callable) -> Verdict:
    if problem := unfit(answer):
        return problem
    for number, (note, settings, of_norm) in enumerate(CASES):
        verdict = _one(answer, number, note, settings, of_norm)
        if verdict:
            return verdict
    return correct(f"{len(CASES)} pairs: one convolution gives what two layers gave.")


def _one(answer, number: int, note: str, settings: dict, of_norm: dict) -> Verdict | None:
    import copy

    import torch
    from torch import nn

    conv, bn = _pair(settings, of_norm, seed=number)
    if "training" not in note:
        conv.eval(), bn.eval()
    given = copy.deepcopy(conv), copy.deepcopy(bn)
    got, error = attempt_raw(answer, *given)
    at = [("case", f"{note}: {conv}, {bn}")]
    if isinstance(error, NotImplementedError) and number == 0:
        return not_attempted()
    if error:
        return raised(error, *at, attempted=number > 0)
    if problem := _kind_problem(got, conv, at):
        return problem
    if problem := _changed(given, (conv, bn), at):
        return problem
    images = torch.randn(2, conv.in_channels, 7, 6, dtype=torch.float64,
                         generator=torch.Generator().manual_seed(number))  # fmt: skip
    with torch.no_grad():
        wanted = copy.deepcopy(bn).eval()(conv(images))
        result, error = attempt_raw(got, images)
    if error:
        return raised(error, *at, attempted=True)
    if not near(result, wanted):
        return _differs(got, conv, bn, result, wanted, at)
    if any(own is old for own in got.parameters() for old in (*given[0].parameters(),)):
        cause = "Make new parameters: a step of one network would move the other."
        return not_yet("The new convolution shares a parameter with the old one.", *at, cause=cause)
    if not isinstance(got.weight, nn.Parameter) or not got.weight.is_leaf:
        cause = "nn.Parameter((…).detach()) makes it a parameter of its own."
        return not_yet("The weight hangs on the old graph.", *at, cause=cause)
    return None


def _kind_problem(got, conv, at) -> Verdict | None:
    import torch
    from torch import nn

    if not isinstance(got, nn.Conv2d):
        cause = "One nn.Conv2d with the settings of the old one is wanted."
        if isinstance(got, tuple | list):
            cause += " Put weight and bias into it."
        if got is None:
            cause = "It returned None: does it end in return folded?"
        return not_yet("The result is no nn.Conv2d.", *at, ("got", kind(got)), cause=cause)
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation",
             "groups", "padding_mode")  # fmt: skip
    for name in names:
        mine, right = getattr(got, name), getattr(conv, name)
        if mine != right:
            cause = f"Hand on every setting, or begin with copy.deepcopy(conv): here {name}."
            pair = ("expected", f"{name}={right}"), ("got", f"{mine}")
            return not_yet("The new convolution has another setting.", *at, *pair, cause=cause)
    if got.bias is None:
        cause = "Even if the old one had none: batch norm's shift has to go somewhere."
        return not_yet("The new convolution has no bias.", *at, cause=cause)
    shapes = tuple(got.weight.shape), tuple(got.bias.shape)
    wanted = tuple(conv.weight.shape), (conv.out_channels,)
    if shapes != wanted:
        cause = "The weight keeps its shape (O, C / groups, kh, kw), the bias has (O,)."
        pair = ("expected", f"{wanted}"), ("got", f"{shapes}")
        return not_yet("Weight or bias has another shape.", *at, *pair, cause=cause)
    if got.weight.dtype != torch.float64:
        return not_yet("The dtype changed.", *at, ("got", str(got.weight.dtype)),
                       cause="Values in float64 should stay in float64.")  # fmt: skip
    return None


def _changed(given, before, at) -> Verdict | None:
    import torch

    for module, old, name in zip(given, before, ("conv", "bn"), strict=True):
        state = module.state_dict()
        same = state.keys() == old.state_dict().keys() and all(
            torch.equal(state[key], value) for key, value in old.state_dict().items()
        )
        if not same:
            cause = "Make a copy first: copy.deepcopy(conv). The old network may still be needed."
            return not_yet(f"{name} was changed.", *at, cause=cause)
    return None


def _differs(got, conv, bn, result, wanted, at) -> Verdict:
    cause = ""
    for change, says in FAULTS:
        pair, error = attempt_raw(_weights, conv, bn, **change)
        if not error and near(got.weight, pair[0]) and near(got.bias, pair[1] + 0 * got.bias):
            cause = says
            break
    if not cause:
        weight, bias = _weights(conv, bn)
        if near(got.weight, weight):
            cause = "The weights are right, the bias is not: (bias − mean) · scale + β."
        elif near(got.bias, bias + 0 * got.bias):
            cause = (
                "The bias is right, the weights are not: weight · scale, scale = γ / √(var + ε)."
            )
    return not_yet(
        "The new convolution gives other values than convolution and batch norm in eval mode.",
        *at,
        *first_wrong(result, wanted),
        cause=cause or "scale = γ / √(var + ε); weight · scale; (bias − mean) · scale + β.",
    )


EXERCISE = Exercise(
    id="11.10",
    title="Two layers become one",
    objective="fold a batch norm into the convolution before it, whatever the settings",
    level=3,
    minutes=25,
    points=5,
    hints=(
        "In eval mode batch norm is a straight line for each channel: scale · y + shift. Write "
        "down scale and shift, then put y = conv(x) in.",
        "scale = γ / √(running_var + eps). The weight of output channel o is multiplied by "
        "scale[o]; the bias becomes (bias − running_mean) · scale + β, with 0 for a bias that was "
        "not there.",
        "copy.deepcopy(conv) keeps every setting; then give the copy a new weight and a new bias, "
        "nn.Parameter(… .detach()). With affine=False bn.weight and bn.bias are None.",
    ),
    solution=folded_conv,
    examine=_examine,
)
