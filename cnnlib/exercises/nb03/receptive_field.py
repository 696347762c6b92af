"""Exercise 03.6, How far does a stack see?"""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def receptive_field(layers):
    size, jump, start = 1, 1, 0
    for kernel_size, stride, padding, dilation in layers:
        start -= padding * jump
        size += dilation * (kernel_size - 1) * jump
        jump *= stride
    return size, jump, start


def _traced_back(layers):
    """Every position that outputs 0 and 1 depend on, followed back one layer at a time."""
    first_two = []
    for output in (0, 1):
        seen = {output}
        for kernel_size, stride, padding, dilation in reversed(layers):
            seen = {r * stride - padding + i * dilation for r in seen for i in range(kernel_size)}
        first_two.append((min(seen), max(seen)))
    (start, end), (next_start, _) = first_two
    return end - start + 1, next_start - start, start


def _cases():
    yield Case(([(3, 1, 0, 1)],), {}, "one layer")
    yield Case(([(3, 1, 0, 1), (3, 1, 0, 1)],), {}, "two layers")
    yield Case(([(5, 1, 2, 1), (3, 1, 1, 1)],), {}, "padding")
    yield Case(([(2, 2, 0, 1), (3, 1, 0, 1)],), {}, "a stride below")
    yield Case(([(3, 1, 0, 1), (2, 2, 0, 1)],), {}, "a stride on top")
    yield Case(([(3, 2, 1, 1), (3, 2, 1, 1), (3, 2, 1, 1)],), {}, "three strides")
    yield Case(([(3, 1, 1, 1), (3, 1, 2, 2), (3, 1, 4, 4)],), {}, "dilation")
    yield Case(([(1, 1, 0, 1), (3, 1, 1, 1), (1, 3, 0, 1)],), {}, "1 × 1 layers")
    rng = np.random.default_rng(36)
    for _ in range(12):
        layers = [
            tuple(int(rng.integers(low, high)) for low, high in ((1, 6), (1, 4), (0, 3), (1, 4)))
            for _ in range(int(rng.integers(3, 6)))
        ]
        yield Case((layers,), {}, "everything together")


def _walk(step, ending=lambda size, jump, start: (size, jump, start)):
    """A wrong recurrence: step(size, jump, start, k, s, p, d) -> size, jump, start."""

    def wrong(layers):
        state = (1, 1, 0)
        for layer in layers:
            state = step(*state, *layer)
        return ending(*state)

    return wrong


def _other_way_round(layers):
    return receptive_field(layers[::-1])


EXERCISE = Exercise(
    id="03.6",
    title="How far does a stack see?",
    objective="compute size, jump and start of the receptive field of any stack of layers",
    level=2,
    minutes=20,
    points=4,
    hints=(
        "Go from the first layer to the last and keep three numbers: how large the field is, how "
        "far apart (in pixels of the input) two neighbouring values lie, and where the first field "
        "begins. Before any layer they are 1, 1 and 0.",
        "A kernel of k taps with dilation d reaches d(k − 1) values further, and each value is one "
        "jump of pixels from the next. Which jump: that before this layer's stride, or after?",
        "start −= padding · jump; size += dilation · (kernel_size − 1) · jump; and only then "
        "jump *= stride.",
    ),
    solution=receptive_field,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_traced_back,
        misconceptions=(
            Misconception(
                _walk(lambda n, j, b, k, s, p, d: (n + d * (k - 1) * j * s, j * s, b - p * j)),
                "The jump was multiplied by the stride too early. The kernel of this layer lies on "
                "values that are as far apart as the layers below made them.",
            ),
            Misconception(
                _walk(lambda n, j, b, k, s, p, d: (n + d * (k - 1) * j * s, j * s, b - p * j * s)),
                "The jump was multiplied by the stride too early. The kernel of this layer lies on "
                "values that are as far apart as the layers below made them.",
            ),
            Misconception(
                _walk(lambda n, j, b, k, s, p, d: (n + d * (k - 1), j * s, b - p * j)),
                "The kernel's reach has to be multiplied by the jump: above a stride, one step is "
                "several pixels.",
            ),
            Misconception(
                _walk(lambda n, j, b, k, s, p, d: (n + d * (k - 1) * j, j * s, b - p)),
                "The padding has to be multiplied by the jump: above a stride, one row of zeros is "
                "as wide as several pixels.",
            ),
            Misconception(
                _walk(lambda n, j, b, k, s, p, d: (n + d * (k - 1) * j, j * s, b + p * j)),
                "The sign of start: padding stands in front of the image, so the first field "
                "begins before pixel 0.",
            ),
            Misconception(
                _walk(lambda n, j, b, k, s, p, d: (n + (k - 1) * j, j * s, b - p * j)),
                "The dilation was not used: taps that stand d apart reach d(k − 1) values.",
            ),
            Misconception(
                _walk(lambda n, j, b, k, s, p, d: (n + (d * k - 1) * j, j * s, b - p * j)),
                "k taps have k − 1 gaps of d between them: d(k − 1), not d·k − 1.",
            ),
            Misconception(
                _walk(lambda n, j, b, k, s, p, d: (n + d * k * j, j * s, b - p * j)),
                "Each layer adds its kernel's k − 1 further taps, not all k.",
            ),
            Misconception(
                _walk(lambda n, j, b, k, s, p, d: (n * (d * (k - 1) + 1), j * s, b - p * j)),
                "Fields do not multiply: a second 3 × 3 layer adds 2 pixels, and 3 becomes 5.",
            ),
            Misconception(
                _walk(lambda n, j, b, k, s, p, d: (n + d * (k - 1) * j, j + s - 1, b - p * j)),
                "Jumps multiply: two layers of stride 2 are 4 pixels apart, three are 8.",
            ),
            Misconception(
                _walk(lambda n, j, b, k, s, p, d: (n + d * (k - 1) * j, s, b - p * j)),
                "The jump is the product of all strides so far, not this layer's alone.",
            ),
            Misconception(
                _other_way_round,
                "The layers were taken from the last to the first. With these formulas one goes "
                "from the image upwards.",
            ),
            Misconception(
                _walk(
                    lambda n, j, b, k, s, p, d: (n + d * (k - 1) * j - 2 * p * j, j * s, b - p * j)
                ),
                "Padding moves the field; it does not make it smaller.",
            ),
        ),
    ),
)
