"""Exercise 08.9, The gradient of a gradient."""

from cnnlib.exercises.compare import as_numpy
from cnnlib.exercises.engine import attempt, examine_function
from cnnlib.exercises.nb08.cases import Said, say_if_close
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict, not_yet


def hessian_product(loss_function, parameters, vector):
    import torch

    loss = loss_function(*parameters)
    gradients = torch.autograd.grad(
        loss, parameters, create_graph=True, allow_unused=True, materialize_grads=True
    )
    along = sum((g * v).sum() for g, v in zip(gradients, vector, strict=True))
    if not along.requires_grad:  # a linear loss: its gradient is the same everywhere
        return [torch.zeros_like(parameter) for parameter in parameters]
    return list(torch.autograd.grad(along, parameters, allow_unused=True, materialize_grads=True))


def _cases():
    import torch

    generator = torch.Generator().manual_seed(88)

    def numbers(*shape):
        return torch.randn(shape, generator=generator).double()

    def case(function, says, *shapes, note=""):
        parameters = [numbers(*shape).requires_grad_() for shape in shapes]
        return Case(
            (Said(function, says), parameters, [numbers(*shape) for shape in shapes]), {}, note
        )

    matrix, images, labels = numbers(4, 4), numbers(5, 1, 6, 6), torch.tensor([0, 2, 1, 1, 0])

    def small_cnn(kernels, bias, weight):
        maps = torch.conv2d(images, kernels, bias).tanh()
        return torch.nn.functional.cross_entropy(maps.flatten(1) @ weight.T, labels)

    yield case(lambda x: 3 * x**2, "loss(x) = 3 x²", ())
    yield case(lambda x: (x**3).sum(), "loss(x) = Σ x³", (3,), note="several numbers")
    yield case(lambda x: x @ matrix @ x, "loss(x) = x · A x", (4,), note="numbers that interact")
    yield case(lambda x, y: x * y**2, "loss(x, y) = x y²", (), (), note="two parameters")
    yield case(
        lambda x, y: (x * y).sum() + (x**2).sum(),
        "loss(x, y) = Σ (x y + x²)",
        (2, 3),
        (2, 3),
        note="parameters that interact",
    )
    yield case(lambda x, y: (x**4).sum(), "loss(x, y) = Σ x⁴", (2,), (3,), note="y is not used")
    yield case(lambda x: 3 * x.sum() + 1, "loss(x) = 3 Σ x + 1", (3,), note="a linear loss")
    yield case(
        lambda x, y: x.exp().sum() + y.sum(),
        "loss(x, y) = Σ eˣ + Σ y",
        (2,),
        (2,),
        note="linear in one of two",
    )
    yield case(
        small_cnn, "the loss of a small CNN", (2, 1, 3, 3), (2,), (3, 32), note="a small CNN"
    )


def _whole_matrix(loss_function, parameters, vector):
    """The whole Hessian, row by row, times the vector."""
    import torch

    parameters = tuple(p.detach().clone() for p in parameters)
    hessian = torch.autograd.functional.hessian(loss_function, parameters)
    return [
        sum(
            (block.reshape(p.numel(), v.numel()) @ v.reshape(-1)).reshape(p.shape)
            for block, v in zip(row, vector, strict=True)
        ).numpy()
        for row, p in zip(hessian, parameters, strict=True)
    ]


def _examine(answer) -> Verdict:
    def examined(tolerance, known):
        return examine_function(
            answer, cases=_cases, oracle=_whole_matrix, misconceptions=known, tolerance=tolerance
        )

    verdict = say_if_close(
        examined(1e-9, MISCONCEPTIONS),
        lambda: examined(1e-2, ()),
        "Close, but not equal. Differences of gradients are right to some digits; the gradient of "
        "the gradient is right to the last.",
    )
    return _leaves_gradients(answer) or verdict if verdict.outcome == "correct" else verdict


def _leaves_gradients(answer) -> Verdict | None:
    """A question about the curvature must not move what a training step will use."""
    import torch

    case = list(_cases())[3]
    function, parameters, vector = case.args
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    attempt(answer, (function, parameters, vector))
    if any(p.grad is None or not torch.equal(p.grad, torch.ones_like(p)) for p in parameters):
        return not_yet(
            "The product is right, but .grad of the parameters has changed.",
            ("case", "parameters whose .grad holds ones from a training step"),
            ("got", ", ".join(str(as_numpy(p.grad)) for p in parameters)),
            cause="backward() adds to .grad. torch.autograd.grad returns the gradients and "
            "touches nothing.",
        )
    return None


def _gradients(loss_function, parameters, **settings):
    import torch

    return torch.autograd.grad(
        loss_function(*parameters),
        parameters,
        allow_unused=True,
        materialize_grads=True,
        **settings,
    )


def _only_gradient(loss_function, parameters, vector):
    return list(_gradients(loss_function, parameters))


def _no_graph(loss_function, parameters, vector):
    import torch

    gradients = _gradients(loss_function, parameters)
    along = sum((g * v).sum() for g, v in zip(gradients, vector, strict=True))
    return list(torch.autograd.grad(along, parameters))


def _nothing_for_linear(loss_function, parameters, vector):
    import torch

    gradients = _gradients(loss_function, parameters, create_graph=True)
    along = sum((g * v).sum() for g, v in zip(gradients, vector, strict=True))
    return list(torch.autograd.grad(along, parameters, allow_unused=True, materialize_grads=True))


def _unused(loss_function, parameters, vector):
    import torch

    gradients = torch.autograd.grad(loss_function(*parameters), parameters, create_graph=True)
    along = sum((g * v).sum() for g, v in zip(gradients, vector, strict=True))
    return list(torch.autograd.grad(along, parameters))


def _each_for_itself(loss_function, parameters, vector):
    """Only the diagonal blocks: each parameter's gradient asked of itself alone."""
    import torch

    gradients = _gradients(loss_function, parameters, create_graph=True)
    found = []
    for p, g, v in zip(parameters, gradients, vector, strict=True):
        if not g.requires_grad:
            found.append(torch.zeros_like(p))
            continue
        part = torch.autograd.grad(
            (g * v).sum(), [p], retain_graph=True, allow_unused=True, materialize_grads=True
        )
        found.append(part[0])
    return found


def _scaled_by(weigh):
    """The second gradient, of another combination of the first ones."""

    def wrong(loss_function, parameters, vector):
        import torch

        gradients = _gradients(loss_function, parameters, create_graph=True)
        along = weigh(gradients, vector)
        if not along.requires_grad:
            return [torch.zeros_like(parameter) for parameter in parameters]
        return list(
            torch.autograd.grad(along, parameters, allow_unused=True, materialize_grads=True)
        )

    return wrong


def _times_afterwards(loss_function, parameters, vector):
    ones = _scaled_by(lambda grads, vector: sum(g.sum() for g in grads))
    found = ones(loss_function, parameters, vector)
    return [h * v for h, v in zip(found, vector, strict=True)]


MISCONCEPTIONS = (
    Misconception(
        _nothing_for_linear,
        "A linear loss has the same gradient everywhere: it depends on no parameter, there is no "
        "graph, and H v is zeros. Ask along.requires_grad before you go back.",
    ),
    Misconception(
        _no_graph,
        "The first gradient was computed without a graph, so there is nothing to go back through "
        "a second time: create_graph=True.",
    ),
    Misconception(
        _unused,
        "A parameter that the loss does not use, or uses only linearly, has no way back. Its part "
        "is zeros: allow_unused=True, materialize_grads=True.",
    ),
    Misconception(_only_gradient, "That is the gradient itself; the vector was not used."),
    Misconception(
        _times_afterwards,
        "The vector was multiplied at the end. It belongs in between: Σ g v first, one number, "
        "then its gradient. (H times ones, times v, is something else.)",
    ),
    Misconception(
        _scaled_by(lambda grads, vector: sum(g.sum() for g in grads)),
        "That is H times ones: the vector was not used.",
    ),
    Misconception(
        _scaled_by(lambda grads, vector: sum((g * g).sum() for g in grads) / 2),
        "That is H times the gradient: the vector was not used.",
    ),
    Misconception(
        _each_for_itself,
        "Each parameter was asked about its own gradient only. Parameters interact: one sum of "
        "g · v over all of them, and its gradient for all of them.",
    ),
    Misconception(
        _scaled_by(
            lambda grads, vector: sum(g.sum() * v.sum() for g, v in zip(grads, vector, strict=True))
        ),
        "Σ g times Σ v is not Σ g v: multiply number by number, then sum.",
    ),
)


EXERCISE = Exercise(
    id="08.9",
    title="The gradient of a gradient",
    objective="multiply by the Hessian of any loss without ever writing it down",
    level=3,
    minutes=25,
    points=5,
    hints=(
        "The Hessian holds the slopes of the gradient. Σ g v is one number that depends on the "
        "parameters; what is its gradient?",
        "torch.autograd.grad(loss, parameters, create_graph=True) gives gradients that have a "
        "graph of their own. Multiply by the vector, sum everything up, and call it again.",
        "Two special cases: a parameter that is not used (allow_unused=True, "
        "materialize_grads=True), and a loss that is linear in all of them: then the sum has no "
        "graph at all, and the answer is zeros.",
    ),
    solution=hessian_product,
    examine=_examine,
)
