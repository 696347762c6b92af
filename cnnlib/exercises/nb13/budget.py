"""Counting what a training spends, for exercise 13.5: every operation that torch counts."""

from dataclasses import dataclass
from typing import Any

SLACK = 1.05  # a training that goes on beyond this part of its budget is stopped


class Overspent(BaseException):
    """Ends a training that is over its budget. No `except Exception` of a learner catches it."""


@dataclass
class Spending:
    """Operations spent, and whether MNIST was loaded by the learner's own function."""

    flop: float = 0.0
    backward_flop: float = 0.0
    loaded: bool = False


def watched(answer, images, labels, max_flop) -> tuple[Any, BaseException | None, Spending]:
    """Call the learner's function: (its result, the exception, what was spent)."""
    from torch.nn.modules.module import register_module_forward_pre_hook
    from torch.utils.flop_counter import FlopCounterMode

    from cnnlib import data

    spending, counter = Spending(), FlopCounterMode(display=False)
    load = data.load_mnist

    def note(*args, **kwargs):
        spending.loaded = True
        return load(*args, **kwargs)

    def look(module, inputs):
        if counter.get_total_flops() > SLACK * max_flop:
            raise Overspent

    got, error = None, None
    handle = register_module_forward_pre_hook(look)
    data.load_mnist = note
    try:
        with counter:
            got = answer(images, labels, max_flop)
    except (Exception, SystemExit, Overspent) as problem:
        error = problem
    finally:
        data.load_mnist = load
        handle.remove()
    for operator, flop in counter.get_flop_counts().get("Global", {}).items():
        spending.flop += flop
        # A linear layer goes forward as addmm, and backward as mm.
        is_backward = "backward" in str(operator) or str(operator) == "aten.mm"
        spending.backward_flop += flop * is_backward
    return got, error, spending
