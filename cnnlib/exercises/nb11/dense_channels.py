"""Exercise 11.6, How many maps?"""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def dense_channels(growth_rate, block_config, num_init_features):
    channels, pairs = num_init_features, []
    for num_layers in block_config:
        pairs.append((channels, channels + num_layers * growth_rate))
        channels = pairs[-1][1] // 2
    return pairs


def _read_off(growth_rate, block_config, num_init_features):
    """Maps are really concatenated, and every second one left out, on arrays of one pixel."""
    maps, pairs = np.zeros(num_init_features), []
    for num_layers in block_config:
        entered = len(maps)
        for _ in range(num_layers):
            maps = np.concatenate([maps, np.ones(growth_rate)])
        pairs.append((entered, len(maps)))
        maps = maps[1::2]
    return pairs


def _other(step=lambda c, n, k: c + n * k, between=lambda c: c // 2, shown=lambda a, b: (a, b)):
    def answer(growth_rate, block_config, num_init_features):
        channels, pairs = num_init_features, []
        for num_layers in block_config:
            after = step(channels, num_layers, growth_rate)
            pairs.append(shown(channels, after))
            channels = between(after)
        return pairs

    return answer


def _halved_at_the_end(growth_rate, block_config, num_init_features):
    pairs = _other()(growth_rate, block_config, num_init_features)
    return [*pairs[:-1], (pairs[-1][0], pairs[-1][1] // 2)]


MISCONCEPTIONS = (
    Misconception(
        _other(between=lambda c: c),
        "Between two blocks a transition halves the number of maps.",
    ),
    Misconception(
        _other(step=lambda c, n, k: c + (n - 1) * k),
        "Every layer of a block adds growth_rate maps, the first one too.",
    ),
    Misconception(
        _other(step=lambda c, n, k: c + k),
        "A block was counted as one layer: each of its layers adds growth_rate maps.",
    ),
    Misconception(
        _other(step=lambda c, n, k: n * k),
        "The maps that enter a block are still there when it ends: concatenated, not replaced.",
    ),
    Misconception(
        _other(step=lambda c, n, k: c * 2**n),
        "A layer adds growth_rate maps; it does not hand on as many new ones as it got.",
    ),
    Misconception(
        _other(between=lambda c: -(-c // 2)),
        "With an odd number of maps the half is rounded down.",
    ),
    Misconception(
        _other(between=lambda c: c / 2), "A number of maps is a whole number: // in place of /."
    ),
    Misconception(
        _halved_at_the_end,
        "After the last block there is no transition; all its maps go to the classifier.",
    ),
    Misconception(
        _other(shown=lambda a, b: (a, b // 2)),
        "The second number is what leaves the block, before the transition halves it.",
    ),
    Misconception(
        lambda k, config, c: _other()(k, config, 2 * k),
        "The first block gets num_init_features maps.",
    ),
)


def _cases():
    yield Case((2, (3,), 4), note="one block")
    yield Case((2, (1, 1), 4), note="two blocks of one layer")
    yield Case((32, (6, 12, 24, 16), 64), note="DenseNet-121")
    yield Case((5, (3, 2, 4), 10), note="an odd number of maps")
    yield Case((48, (6, 12, 36, 24), 96), note="DenseNet-161")
    yield Case((1, (2, 2, 2), 7))


def _pairs(answer):
    """Pairs as tuples, whether the learner wrote tuples or lists."""

    def call(*args):
        got = answer(*args)
        nested = isinstance(got, list | tuple) and all(isinstance(p, list | tuple) for p in got)
        return [tuple(pair) for pair in got] if nested else got

    return call


def _examine(answer) -> Verdict:
    check = partial(examine_function, cases=_cases, oracle=_read_off, misconceptions=MISCONCEPTIONS)
    return check(_pairs(answer) if callable(answer) else answer)


EXERCISE = Exercise(
    id="11.6",
    title="How many maps?",
    objective="follow the number of maps through any DenseNet",
    level=2,
    minutes=12,
    points=2,
    hints=(
        "Within a block nothing is thrown away. What does one layer add? What do n layers add?",
        "A transition stands between two blocks, so there is one fewer than blocks; it halves the "
        "maps, rounded down.",
    ),
    solution=dense_channels,
    examine=_examine,
)
