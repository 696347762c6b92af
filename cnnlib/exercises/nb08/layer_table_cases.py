"""The networks of exercise 08.6: shared, nested, and run in another order than made in."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnlib.exercises.nb08.cases import network
from cnnlib.exercises.verdicts import Case


def _shared():
    from torch import nn

    conv, relu = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
    words = "a network that runs one Conv2d and one ReLU twice"
    return network(words, nn.Conv2d(1, 4, 3), relu, conv, relu, conv, nn.Flatten())


def _tied():
    from torch import nn

    first, last = nn.Linear(6, 6), nn.Linear(6, 6)
    model = network("two Linear layers that share one weight", first, nn.ReLU(), last)
    last.weight = first.weight
    return model


def nested() -> Any:
    """Blocks within a network, with batch norm and dropout."""
    from torch import nn

    block = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5))
    return network("blocks within a network, with batch norm", block, nn.Dropout(0.5), head)


def _out_of_order():
    """Parts that run in another order than that of their registration, one of them never."""
    import torch

    class Forked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(4, 2)
            self.body = torch.nn.Linear(3, 4)
            self.spare = torch.nn.Linear(7, 7)
            self.scale = torch.nn.Parameter(torch.ones(4))

        def forward(self, images):
            return self.head(self.body(images).relu() * self.scale)

        def __repr__(self):
            return "a network whose parts run in another order than they were made in"

    return Forked().double()


def cases() -> Iterator[Case]:
    """Networks and images, simplest first."""
    from torch import nn

    def images(*shape):
        return np.linspace(-1, 1, math.prod(shape)).reshape(shape)

    yield Case((network("a single Linear", nn.Linear(3, 2)), images(1, 3)))
    small = network("a Conv2d, a ReLU, a Flatten", nn.Conv2d(1, 2, 2), nn.ReLU(), nn.Flatten())
    yield Case((small, images(2, 1, 3, 4)), {}, "layers without parameters")
    yield Case((_out_of_order(), images(2, 3)), {}, "another order, and a part that never runs")
    yield Case((nested(), images(3, 3, 4, 4)), {}, "blocks within blocks")
    yield Case((_shared(), images(2, 1, 6, 5)), {}, "a layer that runs twice")
    yield Case((_tied(), images(4, 6)), {}, "a weight that two layers share")
