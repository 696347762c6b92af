"""Exercise 08.1, Value and gradients of anything."""

import numpy as np

from cnnlib.exercises.engine import attempt, examine_function
from cnnlib.exercises.nb08.cases import Said, name_parts, say_if_close
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict, not_yet


def value_and_gradients(function, *arrays):
    import torch

    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]  # copies, and leaves
    value = function(*tensors)
    value.backward()
    gradients = [
        np.zeros_like(array) if tensor.grad is None else tensor.grad.numpy()
        for array, tensor in zip(arrays, tensors, strict=True)
    ]
    return value.item(), gradients


SQUARE = Said(lambda x: x**2, "x ** 2")
FORK = Said(lambda x: (2 * x) * (x + 1), "(2 * x) * (x + 1)")
PRODUCT = Said(lambda w, x: (w @ x).sum(), "(w @ x).sum()")
UNUSED = Said(lambda x, y: (3 * x).sum(), "(3 * x).sum(), which does not use y")
CURVES = Said(lambda x, y: (x.exp() * y.sin() / (1 + x * x)).sum(), "(eˣ sin(y) / (1 + x²)).sum()")
SMALL = Said(lambda x: ((1 + 1e-10 * x) ** 2).sum(), "((1 + 1e-10 * x) ** 2).sum()")
MEAN = Said(lambda x: x.relu().mean(), "x.relu().mean()")


def _overwrites(x):
    y = x * 1
    y[0] = 0
    return (y * y).sum()


def _writes_into_its_argument(x):
    loss = (x * x).sum()
    x.data.zero_()  # a careless function: it empties what it was given
    return loss


CLEARS = Said(_overwrites, "a function that sets a copy's first entry to 0, then sums squares")
CARELESS = Said(_writes_into_its_argument, "a careless function that empties its own argument")


def _cases():
    rng = np.random.default_rng(81)
    yield Case((SQUARE, np.array(3.0)))
    yield Case((FORK, np.array(3.0)), {}, "a fork")
    yield Case((UNUSED, np.array([1.0, 2.0]), np.array([4.0, 5.0, 6.0])), {}, "one is not used")
    yield Case((PRODUCT, rng.normal(size=(2, 3)), rng.normal(size=(3, 2))), {}, "two arrays")
    same = rng.normal(size=(2, 2))
    yield Case((PRODUCT, same, same), {}, "the same array twice")
    yield Case((SMALL, np.array([1.0, -2.0])), {}, "a slope that float32 cannot hold")
    yield Case((CLEARS, rng.normal(size=4)), {}, "one entry is overwritten")
    yield Case((MEAN, rng.normal(size=(3, 4, 2))), {}, "three axes")
    yield Case((MEAN, rng.normal(size=(4, 3)).T), {}, "an array that is not contiguous")
    yield Case((CURVES, rng.normal(size=(2, 5)), rng.normal(size=(2, 5))), {}, "curves")


def _by_grad(function, *arrays):
    import torch

    leaves = [torch.tensor(array, dtype=torch.float64).requires_grad_() for array in arrays]
    value = function(*leaves)
    gradients = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
    return value.item(), [gradient.numpy() for gradient in gradients]


def _examine(answer) -> Verdict:
    def examined(tolerance):
        known = MISCONCEPTIONS if tolerance < 1e-6 else ()
        verdict = examine_function(
            answer, cases=_cases, oracle=_by_grad, misconceptions=known, tolerance=tolerance
        )
        return name_parts(verdict, "the value", "the list of gradients")

    verdict = examined(1e-12)
    if "float32" not in verdict.cause:
        verdict = say_if_close(
            verdict,
            lambda: examined(1e-3),
            "Close, but not equal. Differences are right to a few digits; autograd follows the "
            "rules of notebook 06, and is right to the last.",
        )
    return _more(answer) or verdict if verdict.outcome == "correct" else verdict


def _more(answer) -> Verdict | None:
    """float32 stays float32, and the caller's array is not what the function gets to write into."""
    array = np.array([1.0, 2.0, 3.0])
    result, error = attempt(answer, (CARELESS, array))
    if error is None and not np.array_equal(array, [1, 2, 3]):
        return not_yet(
            "The results are right; the caller's array has changed.",
            ("case", f"called with {CARELESS}"),
            ("expected", "the array [1, 2, 3] as it was"),
            ("got", str(array)),
            cause="torch.from_numpy and torch.as_tensor share the array's memory, so whatever the "
            "function writes lands in it. torch.tensor(array) copies.",
        )
    for wanted in ("float32", "float64"):
        result, error = attempt(answer, (MEAN, np.ones((2, 2), dtype=wanted)))
        found = "an error" if error else str(np.asarray(result[1][0]).dtype)
        if found == wanted:
            continue
        return not_yet(
            "Nearly: every value is right, the dtype of a gradient is not.",
            ("case", f"an array of {wanted}"),
            ("expected", wanted),
            ("got", found),
            cause="A gradient has the shape and the dtype of what it belongs to. torch.tensor("
            "array) keeps the dtype of a NumPy array.",
        )
    return None


def _wrong(make=None, after=None, empty=None):
    """The solution with one step changed."""

    def answer(function, *arrays):
        import torch

        tensors = (make or (lambda all_: [torch.tensor(a, requires_grad=True) for a in all_]))(
            arrays
        )
        value = function(*tensors)
        value.backward()
        grads = [t.grad.numpy() if t.grad is not None else empty(t) for t in tensors]
        return after(value.item(), grads) if after else (value.item(), grads)

    return answer


def _float32(arrays):
    import torch

    return [torch.tensor(a, dtype=torch.float32, requires_grad=True) for a in arrays]


def _widened(value, grads):
    return value, [grad.astype(np.float64) for grad in grads]


def _one_tensor_for_equal_arrays(arrays):
    import torch

    made = {}
    return [
        made.setdefault(a.tobytes() + bytes(str(a.shape), "ascii"),
                        torch.tensor(a, requires_grad=True)) for a in arrays
    ]  # fmt: skip


def _not_leaves(function, *arrays):
    value, _ = _by_grad(function, *arrays)
    return value, [np.zeros(np.shape(array)) for array in arrays]


def _zeros(tensor):
    return np.zeros(tuple(tensor.shape))


def _none_is_used(function, *arrays):
    return _wrong(empty=lambda tensor: tensor.grad.numpy())(function, *arrays)


def _backward_twice(function, *arrays):
    import torch

    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    value = function(*tensors)
    value.backward(retain_graph=True)
    value.backward()
    grads = [_zeros(t) if t.grad is None else t.grad.numpy() for t in tensors]
    return value.item(), grads


def _no_requires_grad(function, *arrays):
    import torch

    value = function(*[torch.tensor(a) for a in arrays])
    value.backward()


MISCONCEPTIONS = (
    Misconception(
        _none_is_used,
        "The function does not use this array, so no gradient ever reached it and its .grad is "
        "None. Its slope is 0: return zeros of its shape.",
    ),
    Misconception(
        _no_requires_grad,
        "No graph was kept, since no tensor asked for one: "
        "torch.tensor(array, requires_grad=True).",
    ),
    Misconception(
        _wrong(empty=lambda t: None),
        "For an array that the function does not use .grad is None. Its slope is 0: return zeros "
        "of its shape.",
    ),
    Misconception(
        _backward_twice,
        "Every gradient is doubled: .grad adds up, and backward ran twice.",
    ),
    Misconception(
        _wrong(make=_float32, after=_widened, empty=_zeros),
        "On the way the numbers became float32, with seven digits: torch.tensor(array) keeps "
        "NumPy's float64; .float() and dtype=torch.float32 do not.",
    ),
    Misconception(
        _wrong(make=_one_tensor_for_equal_arrays, empty=_zeros),
        "The same array was given twice, and both became one tensor, whose .grad adds up what "
        "belongs to two. Make a tensor for each argument.",
    ),
    Misconception(
        _not_leaves,
        "All gradients are zeros: these tensors are no leaves. A .grad is kept only where "
        "requires_grad was set, not on what was computed from it.",
    ),
    Misconception(
        _wrong(after=lambda value, grads: (grads, value), empty=_zeros),
        "The value comes first, then the gradients.",
    ),
    Misconception(
        _wrong(after=lambda value, grads: grads, empty=_zeros),
        "Only the gradients came back; the value is wanted too: return value, gradients.",
    ),
    Misconception(
        _wrong(after=lambda value, grads: (value, grads[0]), empty=_zeros),
        "Only the first array's gradient came back. The second result is a list, with one gradient "
        "for each array, also when there is only one.",
    ),
)


EXERCISE = Exercise(
    id="08.1",
    title="Value and gradients of anything",
    objective="get the gradients of any function by autograd, and hand them back to NumPy",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "Make a tensor of each array with requires_grad=True, call the function, then backward() "
        "on what came back.",
        "Which constructor copies the array, and which shares its memory? And what is .grad of a "
        "tensor that the function never used?",
        "value.item() is a plain number, tensor.grad.numpy() an array. Where tensor.grad is None, "
        "np.zeros_like(array).",
    ),
    solution=value_and_gradients,
    examine=_examine,
)
