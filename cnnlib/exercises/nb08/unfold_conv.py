"""Exercise 08.4, nn.Conv2d on top of unfold."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from cnnlib.exercises.compare import kind
from cnnlib.exercises.engine import attempt, examine_function
from cnnlib.exercises.nb08.cases import name_parts
from cnnlib.exercises.nb08.conv_faults import faulty, native
from cnnlib.exercises.verdicts import (
    Case,
    Exercise,
    Misconception,
    Verdict,
    correct,
    not_attempted,
    not_yet,
    raised,
)

NAMES = ("in_channels", "out_channels", "kernel_size")
PARTS = ("output", "gradient of the images", "gradient of the weight", "gradient of the bias")


class Settings(dict):
    """The arguments of a layer, shown as the call."""

    def __repr__(self) -> str:
        return f"Conv2d({', '.join(f'{name}={value}' for name, value in self.items())})"


def _run(layer_class, settings, images, weight, bias, grad_out):
    """Load weights, go forward, go back: -> output and the gradients of images, weight, bias."""
    import torch

    layer = layer_class(**settings).double()
    state = {"weight": torch.tensor(weight)}
    if bias is not None:
        state["bias"] = torch.tensor(bias)
    layer.load_state_dict(state)
    inputs = torch.tensor(images, requires_grad=True)
    output = layer(inputs)
    if not isinstance(output, torch.Tensor) or tuple(output.shape) != grad_out.shape:
        return output, None, None, None
    parameters = [layer.weight] + ([layer.bias] if bias is not None else [])
    leaves = [inputs, *parameters]
    grads = torch.autograd.grad(
        output, leaves, torch.tensor(grad_out), allow_unused=True, materialize_grads=True
    )
    return (output, *grads) if bias is not None else (output, *grads, np.zeros(0))


def _cases():
    rng = np.random.default_rng(84)

    def case(C, O, kernel_size, size, note="", N=1, **settings):
        kh, kw = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
        images = rng.integers(-3, 4, size=(N, C, *size)) * 1.0
        weight = rng.integers(-3, 4, size=(O, C // settings.get("groups", 1), kh, kw)) * 1.0
        bias = rng.integers(1, 9, size=O) * 1.0 if settings.get("bias", True) else None
        named = Settings({**dict(zip(NAMES, (C, O, kernel_size), strict=True)), **settings})
        shape = native(named, images, weight, bias)[0].shape
        grad_out = rng.integers(-3, 4, size=shape) * 1.0
        return Case((named, images, weight, bias, grad_out), {}, note)

    yield case(1, 1, 1, (1, 2), "a kernel of one weight")
    yield case(1, 1, 2, (3, 3), "one kernel")
    yield case(2, 3, 2, (3, 4), "several channels in and out")
    yield case(1, 2, 2, (3, 3), "no bias", bias=False)
    yield case(1, 1, 2, (4, 5), "several images", N=3)
    yield case(1, 1, 2, (5, 6), "stride 2", stride=2)
    yield case(1, 1, 3, (3, 4), "padding 1", padding=1)
    yield case(1, 1, 2, (4, 5), "dilation 2", dilation=2)
    yield case(4, 6, 1, (2, 2), "two groups, kernels of one pixel", groups=2)
    yield case(4, 2, 2, (3, 3), "two groups", groups=2)
    yield case(3, 3, 3, (4, 5), "one channel for each kernel", groups=3)
    yield case(2, 2, (1, 3), (4, 5), "a kernel (1, 3)")
    yield case(2, 2, (3, 2), (7, 6), "pairs for all", stride=(2, 1), padding=(0, 1),
               dilation=(1, 2))  # fmt: skip
    for _ in range(8):
        groups = int(rng.integers(1, 4))
        settings = {"stride": int(rng.integers(1, 4)), "padding": int(rng.integers(0, 3))}
        settings |= {"dilation": int(rng.integers(1, 3)), "bias": bool(rng.integers(0, 2))}
        sizes = [int(size) for size in rng.integers(6, 10, 2)]
        yield case(2 * groups, 3 * groups, int(rng.integers(1, 4)), sizes,
                   "everything together", N=2, groups=groups, **settings)  # fmt: skip


def _examine(answer) -> Verdict:
    import torch

    if answer is None or answer is Ellipsis:
        return not_attempted()
    if not (isinstance(answer, type) and issubclass(answer, torch.nn.Module)):
        return not_yet(
            "Pass the class itself to check: a subclass of nn.Module.",
            ("got", kind(answer)),
            cause="class Conv2d(nn.Module), and check gets the class without parentheses.",
        )
    layer, error = attempt(answer, (2, 4, 3))
    if isinstance(error, NotImplementedError):
        return not_attempted()
    if error:
        return _error(raised(error, ("case", "Conv2d(2, 4, 3)")))
    if problem := _unlike_torch(answer, layer):
        return problem
    verdict = examine_function(
        partial(_run, answer), cases=_cases, oracle=native, misconceptions=MISCONCEPTIONS
    )
    verdict = name_parts(verdict, *PARTS)
    if verdict.outcome in ("error", "not attempted"):
        if verdict.outcome == "not attempted":
            return not_yet("The layer can be made; forward is still to be written.",
                           cause="Unfold the images, one matrix product, and fold the result into "
                           "rows and columns.")  # fmt: skip
        return _error(verdict)
    if verdict.outcome != "correct":
        return verdict
    problem = _first_weights(answer) or _uses_torchs_own(answer)
    return problem or correct(
        f"{verdict.headline} The first weights are drawn as torch draws them."
    )


def _error(verdict: Verdict) -> Verdict:
    known = {
        "Missing key(s)": "load_state_dict wants the names of nn.Conv2d, weight and bias, and both "
        "have to be an nn.Parameter; without a bias there is no key for it.",
        "Unexpected key(s)": "The layer has no such parameter: it is called bias, and is an "
        "nn.Parameter whenever bias=True.",
        "size mismatch": "The weights have the shape (out_channels, in_channels / groups, kh, kw), "
        "the biases (out_channels,).",
        "before Module.__init__": "super().__init__() has to come first in __init__.",
        "cannot assign module": "super().__init__() has to come first in __init__.",
        "expected m1 and m2 to have the same dtype": "A tensor is made in float32 inside forward. "
        "Make it like the images: images.new_zeros(…).",
        "must have same dtype": "A tensor is made in float32 inside forward: make it like the "
        "images, as in images.new_zeros(…).",
        "is invalid for input of size": "out_h and out_w do not fit: ⌊(H + 2p − d(k − 1) − 1) / s⌋ "
        "+ 1 for each side, with its own kernel, stride, padding and dilation.",
        "'int' object is not": "Every setting may be one number or a pair: make pairs of them "
        "first.",
        "object is not iterable": "Every setting may be one number or a pair: make pairs of them "
        "first.",
    }
    cause = next((says for part, says in known.items() if part in verdict.headline), verdict.cause)
    return replace(verdict, cause=cause)


def _unlike_torch(answer, layer) -> Verdict | None:
    """Names, shapes and dtypes of the parameters against nn.Conv2d's."""
    import torch

    wanted = {"weight": (4, 2, 3, 3), "bias": (4,)}
    found = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    case = ("case", "Conv2d(2, 4, 3)")
    shown = (("expected", f"{wanted}"), ("got", f"{found}"))
    if any(isinstance(part, torch.nn.Conv2d) for part in layer.modules()):
        return not_yet(
            "That is PyTorch's own layer.",
            case,
            cause="The parameters and the sums are to be yours: an nn.Module with nn.functional."
            "unfold and one matrix product.",
        )
    if not found:
        return not_yet(
            "The layer has no parameters.", case, *shown,
            cause="A tensor as an attribute is not seen: wrap it in nn.Parameter, and do so after "
            "super().__init__().",
        )  # fmt: skip
    if found != wanted:
        return not_yet(
            "The parameters are not those of nn.Conv2d.", case, *shown,
            cause="The state_dict of an nn.Conv2d is to fit: names weight and bias, shapes "
            "(O, C / groups, kh, kw) and (O,).",
        )  # fmt: skip
    names = set(layer.state_dict()) - set(wanted)
    bare, error = attempt(answer, (2, 4, 3), {"bias": False})
    if error:
        return _error(raised(error, ("case", "Conv2d(2, 4, 3, bias=False)"), attempted=True))
    names |= set(bare.state_dict()) - {"weight"}
    if names:
        return not_yet(
            "The state_dict holds more than nn.Conv2d's.",
            ("case", "with and without a bias"),
            ("too many", ", ".join(sorted(names))),
            cause="Without a bias there is none in the state_dict: self.bias = None. And what can "
            "be computed from the settings is no buffer.",
        )
    return None


def _first_weights(answer) -> Verdict | None:
    """The distribution of the first weights: uniform, up to 1 / √fan_in."""
    import torch

    state = torch.random.get_rng_state()
    try:
        torch.manual_seed(84)
        layers = [answer(16, 128, (3, 5), groups=2) for _ in range(2)]
        wide = answer(3, 2000, 2)
    finally:
        torch.random.set_rng_state(state)
    if torch.equal(layers[0].weight, layers[1].weight):
        return not_yet("Two layers start with the same weights.",
                       cause="Draw them at random in __init__, for each layer anew.")  # fmt: skip
    for part, values, fan_in in (
        ("weight", layers[0].weight, 8 * 15),
        ("bias", wide.bias, 12),
    ):
        bound, numbers = 1 / math.sqrt(fan_in), values.detach().double()
        far, spread = (
            numbers.abs().max().item() / bound,
            numbers.std().item() * math.sqrt(3) / bound,
        )
        uniform = 0.97 < far <= 1.0001 and 0.95 < spread < 1.05 and abs(numbers.mean()) < 0.05
        if not uniform:
            return not_yet(
                f"All sums are right; the first values of {part} are drawn otherwise than torch's.",
                ("case", f"fan_in {fan_in}: uniform from −{bound:.4f} to {bound:.4f}"),
                ("got", f"mean {numbers.mean():.4f}, spread {numbers.std():.4f}, largest "
                 f"{numbers.abs().max():.4f}; expected spread {bound / math.sqrt(3):.4f}"),
                cause=_cause_of_spread(part, spread, far, fan_in),
            )  # fmt: skip
    return None


def _cause_of_spread(part: str, spread: float, far: float, fan_in: int) -> str:
    def near(value):
        return 0.9 < spread / value < 1.1

    if spread < 1e-6:
        return f"Every {part} starts at the same number; torch draws the biases at random too."
    if near(1) and far > 1.1:
        return "The spread is right, but these are normal numbers; torch draws uniform ones."
    if near(math.sqrt(6)):
        return (
            "That is Kaiming's variance, 2 / fan_in, of notebook 07. torch's default is uniform up "
            "to 1 / √fan_in, and its variance a sixth of that."
        )
    if near(math.sqrt(3)):
        return "The spread is 1 / √fan_in. For uniform numbers that is the bound, not the spread."
    if part == "weight" and near(math.sqrt(15)):
        return "fan_in was taken for the number of channels; the kernel's area belongs to it."
    if part == "weight" and near(1 / math.sqrt(2)):
        return "fan_in counts in_channels / groups: a kernel sees only its own group."
    if part == "bias" and spread > 1:
        return "The biases have the same bound as the weights, 1 / √fan_in of the weights."
    return (
        "uniform_(-bound, bound) with bound = 1 / √fan_in, fan_in = in_channels / groups · kh · kw."
    )


def _uses_torchs_own(answer) -> Verdict | None:
    """Whether forward asks torch for a convolution."""
    import torch
    from torch.overrides import TorchFunctionMode

    called = []

    class Watch(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            called.append(getattr(function, "__name__", ""))
            return function(*args, **(kwargs or {}))

    with Watch(), torch.no_grad():
        answer(1, 1, 2)(torch.zeros(1, 1, 3, 3))
    if any("conv" in name for name in called):
        return not_yet(
            "All is right, but the sums are PyTorch's own convolution.",
            cause="Build it on nn.functional.unfold and a matrix product.",
        )
    return None


MISCONCEPTIONS = tuple(Misconception(partial(native, **fault), says) for fault, says in faulty())


EXERCISE = Exercise(
    id="08.4",
    title="nn.Conv2d on top of unfold",
    objective="write a full-featured layer that takes the place of PyTorch's, weights included",
    level=3,
    minutes=45,
    points=8,
    hints=(
        "unfold is notebook 02's im2col with padding, stride and dilation: (N, C · kh · kw, number "
        "of windows), the channel slowest. What shape must the weights have to multiply it?",
        "Groups: give the windows an axis for the group, (N, groups, C / groups · kh · kw, L), and "
        "the weights too, (groups, O / groups, C / groups · kh · kw). @ does the rest.",
        "Without a bias self.bias = None, so that the state_dict has no such key. The first "
        "weights and biases: nn.Parameter(torch.empty(shape).uniform_(-bound, bound)), bound = "
        "1 / √(C / groups · kh · kw).",
    ),
    solution=(Path(__file__).parent / "unfold_conv_solution.py").read_text(),
    examine=_examine,
)
