"""Exercise 12.3, A scale that finds itself."""

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def next_scale(scale, good_steps, grads_finite, growth_interval):
    if not grads_finite:
        return scale * 0.5, 0, False
    if good_steps + 1 == growth_interval:
        return scale * 2.0, 0, True
    return scale, good_steps + 1, True


def _oracle(scale, good_steps, grads_finite, growth_interval):
    """The exponent of 2 by which the scale changes, looked up by how the step went."""
    left = growth_interval - good_steps - 1  # good steps still missing after this one
    outcomes = {(False, False): -1, (False, True): -1, (True, False): 0, (True, True): 1}
    change = outcomes[bool(grads_finite), left == 0]
    return float(scale) * 2.0**change, good_steps + 1 if change == 0 else 0, bool(grads_finite)


def _cases():
    yield Case((1024.0, 0, True, 2000), note="a good step")
    yield Case((1024.0, 7, True, 2000), note="the eighth good step in a row")
    yield Case((1024.0, 0, False, 2000), note="a gradient that is not finite")
    yield Case((1024.0, 7, False, 2000), note="a bad step after seven good ones")
    yield Case((1024.0, 2, True, 4), note="the third good step of four")
    yield Case((1024.0, 3, True, 4), note="the fourth good step of four")
    yield Case((1024.0, 3, False, 4), note="a bad step where the fourth good one was due")
    yield Case((65536.0, 1998, True, 2000), note="the last but one of 2,000")
    yield Case((65536.0, 1999, True, 2000), note="the last of 2,000")
    yield Case((8.0, 0, True, 1), note="an interval of one step")
    yield Case((1.0, 2, False, 5), note="a scale of 1 that is halved")
    yield Case((0.75, 4, True, 5), note="a scale below 1 that is doubled")


def _rule(grow=2.0, shrink=0.5, late=0, reset_grown=True, reset_bad=True, taken=None, count=1):
    """The rule; each argument is one thing that may go wrong."""

    def wrong(scale, good_steps, grads_finite, growth_interval):
        step = grads_finite if taken is None else taken(grads_finite)
        if not grads_finite:
            return scale * shrink, 0 if reset_bad else good_steps, step
        good_steps += count
        if good_steps - count + 1 == growth_interval + late:
            return scale * grow, 0 if reset_grown else good_steps, step
        return scale, good_steps, step

    return wrong


def _doubles_always(scale, good_steps, grads_finite, growth_interval):
    return (scale * 2.0, good_steps + 1, True) if grads_finite else (scale * 0.5, 0, False)


def _swapped(scale, good_steps, grads_finite, growth_interval):
    return _rule()(scale, good_steps, not grads_finite, growth_interval)


def _counts_then_falls(scale, good_steps, grads_finite, growth_interval):
    good_steps = good_steps + 1 if grads_finite else 0
    if good_steps == growth_interval:
        return scale * 2.0, 0, grads_finite
    return scale, good_steps, grads_finite


MISCONCEPTIONS = (
    Misconception(
        _rule(late=1),
        "The growth comes a step too late: good_steps is the count *before* this step. Count this "
        "one first, then compare.",
    ),
    Misconception(
        _rule(late=-1), "The growth comes a step too early: this step was counted twice."
    ),
    Misconception(
        _rule(reset_grown=False),
        "After growing, the count begins again at 0: the new scale has to prove itself over a "
        "whole interval.",
    ),
    Misconception(
        _rule(reset_bad=False),
        "A bad step ends the row: the count goes back to 0. Otherwise the scale would grow again "
        "before it has been good for an interval.",
    ),
    Misconception(
        _rule(taken=lambda finite: True),
        "With a gradient that is infinite or NaN the step must not be taken: one such step and "
        "every weight is NaN.",
    ),
    Misconception(
        _rule(taken=lambda finite: not finite),
        "The third result is the wrong way round: the step is taken when all gradients are finite.",
    ),
    Misconception(
        _counts_then_falls, "After a bad step the scale was too large: it has to be halved."
    ),
    Misconception(
        _doubles_always,
        "The scale is doubled at every good step; only growth_interval good steps in a row do it.",
    ),
    Misconception(_rule(grow=1.0), "The scale never grows: it is doubled after the interval."),
    Misconception(
        _rule(shrink=2.0),
        "A gradient that is not finite says that the scale is too large: halve it, do not double.",
    ),
    Misconception(
        _swapped, "grads_finite is True when all is well; it was read the other way round."
    ),
    Misconception(_rule(count=0), "Good steps are not counted: good_steps + 1."),
    Misconception(
        _rule(shrink=0.1), "The scale is divided by 10 after a bad step; it is halved."
    ),
    Misconception(
        lambda scale, *args: (_rule()(scale, *args) if args[1] else (scale // 2, 0, False)),
        "A scale of 1 became 0: // cuts off the half. From then on every loss is 0.",
    ),
)  # fmt: skip


def _examine(answer) -> Verdict:
    return examine_function(
        answer, cases=_cases, oracle=_oracle, misconceptions=MISCONCEPTIONS, keep_dtype=False
    )


EXERCISE = Exercise(
    id="12.3",
    title="A scale that finds itself",
    objective="say when a gradient scaler doubles, halves and skips a step",
    level=2,
    minutes=12,
    points=3,
    hints=(
        "Three things can happen: a bad step, a good one, and a good one that completes the row.",
        "A bad step: half the scale, 0, False. A good one is number good_steps + 1 of its row.",
        "If good_steps + 1 == growth_interval: twice the scale, 0, True. Otherwise the same "
        "scale, good_steps + 1, True.",
    ),
    solution=next_scale,
    examine=_examine,
)
