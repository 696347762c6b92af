"""Exercise 11.2, What a reduction saves."""

from functools import partial

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def inception_weights(in_channels, ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj):
    same = in_channels * (ch1x1 + pool_proj)
    reduced = in_channels * (ch3x3red + ch5x5red) + 9 * ch3x3red * ch3x3 + 25 * ch5x5red * ch5x5
    direct = 9 * in_channels * ch3x3 + 25 * in_channels * ch5x5
    return same + reduced, same + direct


def _counted(in_channels, ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj):
    """Layers built on torch's meta device, and their weights counted."""
    from torch import nn

    def weights(*layers):
        return sum(nn.Conv2d(*layer, bias=False, device="meta").weight.numel() for layer in layers)

    always = weights((in_channels, ch1x1, 1), (in_channels, pool_proj, 1))
    reduced = weights(
        (in_channels, ch3x3red, 1),
        (ch3x3red, ch3x3, 3),
        (in_channels, ch5x5red, 1),
        (ch5x5red, ch5x5, 5),
    )
    return always + reduced, always + weights((in_channels, ch3x3, 3), (in_channels, ch5x5, 5))


def _other(largest=25, pool_with=True, pool_without=True, reductions=True, bias=False, chain=False):
    def answer(C, ch1x1, r3, ch3x3, r5, ch5x5, pool):
        with_reductions = C * ch1x1 + 9 * r3 * ch3x3 + largest * r5 * ch5x5
        with_reductions += C * pool * pool_with + C * (r3 + r5) * reductions
        without = C * ch1x1 + 9 * C * ch3x3 + largest * C * ch5x5 + C * pool * pool_without
        if bias:
            with_reductions += ch1x1 + r3 + ch3x3 + r5 + ch5x5 + pool
            without += ch1x1 + ch3x3 + ch5x5 + pool
        if chain:
            with_reductions += (ch1x1 - C) * r3 + (ch3x3 - C) * r5
        return with_reductions, without

    return answer


MISCONCEPTIONS = (
    Misconception(
        _other(largest=9),
        "The third way has windows of 5 × 5, 25 weights for each pair of channels (torchvision's "
        "3 × 3 there is a slip of its own).",
    ),
    Misconception(
        _other(pool_with=False, pool_without=False),
        "The way through the pooling is missing: after it comes a 1 × 1 to pool_proj channels.",
    ),
    Misconception(
        _other(pool_without=False),
        "Without the two reductions the 1 × 1 after the pooling is still there.",
    ),
    Misconception(
        _other(pool_with=False), "The 1 × 1 after the pooling is missing from the first number."
    ),
    Misconception(
        _other(reductions=False),
        "The reductions have weights themselves: in_channels times ch3x3red and ch5x5red.",
    ),
    Misconception(
        _other(bias=True), "Biases were counted; batch norm follows, so there are none here."
    ),
    Misconception(
        _other(chain=True),
        "The four ways lie beside each other, not behind each other: each begins with in_channels.",
    ),
    Misconception(
        lambda *sizes: _other()(*sizes)[::-1],
        "The two numbers have changed places: with the reductions first.",
    ),
    Misconception(
        lambda C, a, r3, b, r5, c, p: (
            _other()(C, a, r3, b, r5, c, p)[0],
            C * (a + p) + 9 * r3 * b + 25 * r5 * c,
        ),
        "Without the reductions the large windows take all in_channels.",
    ),
)


def _cases():
    yield Case((4, 1, 2, 3, 1, 2, 1), note="small enough for paper")
    yield Case((192, 64, 96, 128, 16, 32, 32), note="inception3a")
    yield Case((832, 384, 192, 384, 48, 128, 128), note="inception5b")
    yield Case((3, 5, 7, 11, 13, 17, 19), note="reductions that do not reduce")
    yield Case((10, 1, 1, 1, 1, 1, 1))


def _examine(answer) -> Verdict:
    return partial(examine_function, cases=_cases, oracle=_counted, misconceptions=MISCONCEPTIONS)(
        answer
    )


EXERCISE = Exercise(
    id="11.2",
    title="What a reduction saves",
    objective="count the weights of an Inception block with and without its 1 × 1 reductions",
    level=1,
    minutes=12,
    points=2,
    hints=(
        "Draw the four ways. How many channels enter each of the six convolutions, and how many "
        "leave it?",
        "A convolution has in · out · k² weights. The 1 × 1 way and the one after the pooling are "
        "the same in both numbers; what changes is what enters the 3 × 3 and the 5 × 5.",
    ),
    solution=inception_weights,
    examine=_examine,
)
