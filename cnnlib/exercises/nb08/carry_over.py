"""Exercise 08.3, Weights that move both ways."""

import numpy as np

from cnnlib import layers
from cnnlib.exercises.compare import show
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised


def carry_over(source, target):
    import torch

    def named(model):
        if isinstance(model, torch.nn.Module):
            return dict(model.named_parameters())
        return model.parameters

    values, places = named(source), named(target)
    for name in values.keys() | places.keys():
        shapes = [tuple(some[name].shape) if name in some else None for some in (values, places)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"expected {name} of shape {shapes[1]}, got {shapes[0]}")
    with torch.no_grad():  # nothing is changed before everything is known to fit
        for name, place in places.items():
            if isinstance(place, np.ndarray):
                place[...] = torch.as_tensor(values[name]).cpu().numpy()
            else:
                place.copy_(torch.as_tensor(values[name]))


def _numpy_model(seed=0, hidden=4, out=3, dtype=np.float64, bias=True):
    rng = np.random.default_rng(seed)
    conv = layers.Conv2d(2, hidden, 3, rng=rng, dtype=dtype, bias=bias)
    linear = layers.Linear(hidden, out, rng=rng, dtype=dtype)
    model = layers.Sequential(conv, layers.ReLU(), layers.Flatten(), linear)
    for array in model.parameters.values():
        array[...] = rng.normal(size=array.shape)
    return model


def _torch_model(seed=1, hidden=4, out=3, dtype="float64", bias=True):
    import torch
    from torch import nn

    model = nn.Sequential(
        nn.Conv2d(2, hidden, 3, bias=bias), nn.ReLU(), nn.Flatten(), nn.Linear(hidden, out)
    ).to(getattr(torch, dtype))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def _values(model) -> dict[str, np.ndarray]:
    """Copies of a model's parameters, whichever kind it is."""
    if isinstance(model, layers.Sequential):
        return {name: array.copy() for name, array in model.parameters.items()}
    return {name: p.detach().cpu().numpy().copy() for name, p in model.named_parameters()}


WAYS = (
    ("from NumPy to PyTorch", _numpy_model, _torch_model),
    ("from PyTorch to NumPy", _torch_model, _numpy_model),
)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    for number, (way, make_source, make_target) in enumerate(WAYS):
        source, target = make_source(), make_target()
        case = ("case", f"{way}: a Conv2d, a ReLU, a Flatten and a Linear")
        wanted, before = _values(source), _held(target)
        _, error = attempt(answer, (source, target))
        if isinstance(error, NotImplementedError) and number == 0:
            return not_attempted()
        if error:
            return _error(error, case)
        if problem := _not_carried(source, target, wanted, before, case):
            return problem
    checks = (_shares_memory, _changes_dtype, _accepts_what_does_not_fit)
    for check in checks:
        if problem := check(answer):
            return problem
    return correct("both ways, float32 and float64, and four pairs that do not fit refused.")


def _held(model) -> dict:
    """The very objects that an optimizer would hold on to."""
    return model.parameters if isinstance(model, layers.Sequential) else dict(
        model.named_parameters()
    )  # fmt: skip


def _error(error, case) -> Verdict:
    from dataclasses import replace

    said = str(error)
    cause = ""
    if "leaf Variable" in said or "leaf variable" in said:
        cause = "To write into a parameter is no step of the computation: with torch.no_grad()."
    elif "call numpy() on Tensor that requires grad" in said.replace("Can't ", "").lower() or (
        "requires grad" in said and "numpy" in said
    ):
        cause = "A parameter belongs to autograd. parameter.detach().numpy() gives its values."
    elif "expected np.ndarray" in said or "expected a torch.Tensor" in said:
        cause = "A state_dict holds tensors: torch.from_numpy(array) for each."
    elif isinstance(error, ValueError):
        cause = "These two models fit: the same names, and the same shapes as tuples."
    elif isinstance(error, AttributeError):
        cause = (
            "The NumPy model keeps a dictionary `parameters`; of a torch model, "
            "dict(model.named_parameters()) is one. Ask which of the two it is: "
            "isinstance(model, torch.nn.Module)."
        )
    return replace(raised(error, case, attempted=True), cause=cause)


def _not_carried(source, target, wanted, before, case) -> Verdict | None:
    found, after = _values(target), _held(target)
    if any(not np.array_equal(_values(source)[name], wanted[name]) for name in wanted):
        return not_yet(
            "The source has changed.",
            case,
            cause="Values go from source to target, and in that direction only: were the two "
            "exchanged?",
        )
    for name, array in wanted.items():
        if name not in after or after[name] is not before[name]:
            return not_yet(
                f"{name} of the target is another object than before.",
                case,
                cause="An optimizer that was made before still holds the old one, and would train "
                "what nobody uses. Copy the values into the object that is there: copy_ in "
                "torch, [...] = in NumPy.",
            )
        if not np.array_equal(found[name], array):
            transposed = found[name].shape == array.T.shape and np.array_equal(found[name], array.T)
            return not_yet(
                f"{name} of the target has other values than that of the source.",
                case,
                ("expected", show(array.ravel()[:4])),
                ("got", show(found[name].ravel()[:4])),
                cause="It came over transposed: our layers store weights as torch does, so nothing "
                "is exchanged."
                if transposed
                else "Every parameter has to be copied, weights and biases, and into the model "
                "itself: parameter + 0 or .numpy().copy() would be a copy of it.",
            )
    if not isinstance(target, layers.Sequential):
        for name, parameter in after.items():
            if not parameter.requires_grad or parameter.grad_fn is not None:
                return not_yet(
                    f"{name} of the target can no longer be trained.",
                    case,
                    cause="It should still be a leaf with requires_grad=True; copy under "
                    "torch.no_grad() and leave requires_grad alone.",
                )
    return None


def _shares_memory(answer) -> Verdict | None:
    for way, make_source, make_target in WAYS:
        source, target = make_source(), make_target()
        attempt(answer, (source, target))
        kept = _values(target)
        for values in _held(source).values():
            array = values if isinstance(values, np.ndarray) else values.detach().numpy()
            array += 1
        if any(not np.array_equal(_values(target)[name], kept[name]) for name in kept):
            return not_yet(
                "The values are right, but the two models share their memory.",
                ("case", f"{way}; then the source is trained on, and the target moves with it"),
                cause="from_numpy and .numpy() do not copy. Write the values into the target's own "
                "memory: copy_ in torch, [...] = in NumPy.",
            )
    return None


def _changes_dtype(answer) -> Verdict | None:
    for source, target, dtype in (
        (_numpy_model(), _torch_model(dtype="float32"), np.float32),
        (_torch_model(), _numpy_model(dtype=np.float32), np.float32),
        (_torch_model(dtype="float32"), _numpy_model(), np.float64),
    ):
        wanted = _values(source)
        _, error = attempt(answer, (source, target))
        case = ("case", f"values of {wanted['0.bias'].dtype} for a model of {dtype.__name__}")
        if error:
            return _error(error, case)
        found = _values(target)
        if any(array.dtype != dtype for array in found.values()):
            return not_yet(
                "The target has changed its dtype.",
                case,
                ("expected", dtype.__name__),
                ("got", str(found["0.bias"].dtype)),
                cause="A model keeps its dtype, and its weights become that dtype: copy_ and "
                "[...] = convert by themselves.",
            )
        if any(not np.array_equal(found[n], a.astype(dtype)) for n, a in wanted.items()):
            return not_yet("The values of the target are not those of the source.", case,
                           cause="copy_ and [...] = convert from one dtype to the other by "
                           "themselves; a view of the memory does not.")  # fmt: skip
    return None


def _accepts_what_does_not_fit(answer) -> Verdict | None:
    pairs = (
        ("the target has no bias in its first layer", _numpy_model(), _torch_model(bias=False)),
        ("the source has no bias in its first layer", _torch_model(bias=False), _numpy_model()),
        ("a last layer of 1 class for one of 3", _numpy_model(out=1), _torch_model(out=3)),
        ("a last layer of 1 class for one of 3", _torch_model(out=1), _numpy_model(out=3)),
    )
    for words, source, target in pairs:
        kept = _values(target)
        _, error = attempt(answer, (source, target))
        found = _values(target)
        case = ("case", words)
        if error is None:
            return not_yet(
                "These two do not fit, so a ValueError was asked for.",
                case,
                ("expected", "a ValueError"),
                ("got", "no error"),
                cause="Compare names and shapes of both sides first. A shape that differs may pass "
                "in silence: one number is broadcast to three."
                if "class" in words
                else "Compare the names of both sides: one that is missing on either side would "
                "keep its random values.",
            )
        if not isinstance(error, ValueError):
            return not_yet(
                "These two do not fit, so a ValueError was asked for.",
                case,
                ("expected", "a ValueError"),
                ("got", f"{type(error).__name__}: {str(error).splitlines()[0]}"),
                cause="Compare names and shapes of both sides before you copy, and raise a "
                "ValueError that names the parameter.",
            )
        if any(not np.array_equal(found[name], kept[name]) for name in kept):
            return not_yet(
                "The error is right, but it comes too late.",
                case,
                ("expected", "a target as it was"),
                ("got", "a target that is half new, half old"),
                cause="First compare all names and shapes, then copy.",
            )
    return None


EXERCISE = Exercise(
    id="08.3",
    title="Weights that move both ways",
    objective="carry parameters between frameworks without sharing memory or losing an optimizer",
    level=1,
    minutes=15,
    points=3,
    hints=(
        "Make a dictionary from name to parameter of both models: `parameters` of ours, "
        "dict(model.named_parameters()) of torch's.",
        "Compare the two dictionaries, names and shapes, before anything is changed. Then copy "
        "values into what is there.",
        "Into NumPy: place[...] = parameter.detach().numpy(). Into torch: with torch.no_grad(): "
        "place.copy_(torch.from_numpy(array)). Both convert the dtype.",
    ),
    solution=carry_over,
    examine=_examine,
)
