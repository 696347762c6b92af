"""Exercise 11.1, Three small ones or one large one."""

from functools import partial

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def stack_or_one(num_layers, kernel_size, channels):
    field = num_layers * (kernel_size - 1) + 1
    stack = num_layers * (kernel_size**2 * channels**2 + channels)
    one = field**2 * channels**2 + channels
    return field, stack, one


def _measured(num_layers, kernel_size, channels):
    """Counted in torch's layers; the field by the gradient of one output."""
    import torch
    from torch import nn

    ones = torch.ones(1, 1, 1, 121, dtype=torch.float64, requires_grad=True)
    out, row = ones, torch.ones(1, 1, 1, kernel_size, dtype=torch.float64)
    for _ in range(num_layers):
        out = nn.functional.conv2d(out, row)
    out[..., out.shape[-1] // 2].sum().backward()
    field = int(torch.count_nonzero(ones.grad))

    def count(size):
        layer = nn.Conv2d(channels, channels, size, device="meta")
        return sum(parameter.numel() for parameter in layer.parameters())

    return field, num_layers * count(kernel_size), count(field)


def _other(field=None, bias=1, per_stack=None, squared=True, one_field=None):
    """The answer with one thing changed."""

    def answer(num_layers, kernel_size, channels):
        size = (field or (lambda n, k: n * (k - 1) + 1))(num_layers, kernel_size)
        seen = (one_field or (lambda n, k: size))(num_layers, kernel_size)
        pairs = channels**2 if squared else channels
        layer = kernel_size**2 * pairs + bias * channels
        stack = (per_stack or (lambda n, layer: n * layer))(num_layers, layer)
        return size, stack, seen**2 * pairs + bias * channels

    return answer


MISCONCEPTIONS = (
    Misconception(
        _other(bias=0), "The biases are missing: every layer has one for each output channel."
    ),
    Misconception(
        _other(field=lambda n, k: n * k),
        "The field came out as num_layers · kernel_size. Neighbouring windows overlap: each "
        "further layer sees kernel_size − 1 more.",
    ),
    Misconception(
        _other(field=lambda n, k: k**n),
        "The field came out as kernel_size to the power of num_layers; at stride 1 it only grows "
        "by kernel_size − 1 a layer.",
    ),
    Misconception(
        _other(field=lambda n, k: n * (k - 1)),
        "The field is too small by one: a single pixel sees itself, and each layer adds "
        "kernel_size − 1 to that 1.",
    ),
    Misconception(
        _other(field=lambda n, k: (n - 1) * (k - 1) + 1),
        "One layer too few was counted: the first one adds kernel_size − 1 too.",
    ),
    Misconception(
        _other(squared=False),
        "Each of the output channels has weights for each of the input channels: channels² kernels "
        "a layer.",
    ),
    Misconception(
        _other(per_stack=lambda n, layer: layer), "Only one layer of the stack was counted."
    ),
    Misconception(
        _other(one_field=lambda n, k: k),
        "The one layer that is compared has the stack's field as its kernel size.",
    ),
    Misconception(
        lambda n, k, c: (n * (k - 1) + 1, n * (k * c**2 + c), (n * (k - 1) + 1) * c**2 + c),
        "A kernel has kernel_size² weights for each pair of channels, not kernel_size.",
    ),
)


def _cases():
    yield Case((2, 3, 1), note="two 3 × 3 on one channel")
    yield Case((3, 3, 64), note="three 3 × 3")
    yield Case((1, 5, 8), note="a stack of one")
    yield Case((4, 2, 3), note="an even kernel")
    yield Case((2, 7, 10))
    yield Case((5, 1, 6), note="1 × 1, which sees one pixel for ever")
    yield Case((6, 5, 16))


def _examine(answer) -> Verdict:
    return partial(examine_function, cases=_cases, oracle=_measured, misconceptions=MISCONCEPTIONS)(
        answer
    )


EXERCISE = Exercise(
    id="11.1",
    title="Three small ones or one large one",
    objective="weigh a stack of small kernels against one kernel that sees as much",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "What does one pixel after the last layer see of the layer before? And of the one before "
        "that?",
        "Each layer adds kernel_size − 1 to a field that begins at 1. A layer from C to C channels "
        "has kernel_size² · C² weights and C biases.",
    ),
    solution=stack_or_one,
    examine=_examine,
)
