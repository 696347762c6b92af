"""Exercise 06.1, A graph with two forks."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def graph_gradients(x, w, b):
    u = w * x + b
    grad_p, grad_q = 1, -1  # loss = p - q
    grad_u = grad_p * 2 * u + grad_q * x  # p = u², q = u · x
    grad_x = grad_u * w + grad_q * u
    return grad_x, grad_u * x, grad_u


def _autograd(x, w, b):
    import torch

    x, w, b = (torch.tensor(float(n), dtype=torch.float64, requires_grad=True) for n in (x, w, b))
    u = w * x + b
    (u**2 - u * x).backward()
    return x.grad.item(), w.grad.item(), b.grad.item()


def _cases():
    yield Case((1.0, 2.0, 3.0))
    yield Case((3.0, 2.0, -1.0), {}, "a negative number")
    yield Case((-2.0, 0.5, 4.0), {}, "a fraction")
    rng = np.random.default_rng(61)
    for _ in range(5):
        yield Case(tuple(float(n) for n in rng.normal(size=3).round(2)), {}, "random numbers")


def _from(grad_u, grad_x=lambda g, x, w, u: g * w - u, grad_w=lambda g, x, w, u: g * x):
    """The gradients, when that of u, or what is made of it, is wrong."""

    def wrong(x, w, b):
        u = w * x + b
        g = grad_u(u, x)
        return grad_x(g, x, w, u), grad_w(g, x, w, u), g

    return wrong


def _right(u, x):
    return 2 * u - x


EXERCISE = Exercise(
    id="06.1",
    title="A graph with two forks",
    objective="find the gradients of a small graph by hand, with forks",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "Go backwards, one step at a time: how does the loss move with p, and with q? Then with u? "
        "Then with x, w and b?",
        "u goes into p and into q, so two gradients arrive at u, and they are added. x is a fork "
        "too: it goes into u, and straight into q.",
        "grad_u = 1 · 2u + (−1) · x. Then x receives grad_u · w through u, and (−1) · u from q.",
    ),
    solution=graph_gradients,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_autograd,
        misconceptions=(
            Misconception(
                _from(lambda u, x: 2 * u),
                "Only the path through p reached u. u goes into q as well: gradients that meet "
                "at a fork are added.",
            ),
            Misconception(
                _from(lambda u, x: -x),
                "Only the path through q reached u. u goes into p as well: gradients that meet "
                "at a fork are added.",
            ),
            Misconception(
                _from(lambda u, x: 2 * u * -x),
                "The two gradients that meet at u were multiplied. Along a path slopes multiply, "
                "at a fork they add.",
            ),
            Misconception(
                _from(_right, grad_x=lambda g, x, w, u: g * w),
                "x has a second way to the loss: it goes straight into q = u · x.",
            ),
            Misconception(
                _from(_right, grad_x=lambda g, x, w, u: -u),
                "x reaches the loss through u as well, and u moves by w for each step of x.",
            ),
            Misconception(
                _from(lambda u, x: 2 * u + x, grad_x=lambda g, x, w, u: g * w + u),
                "q is subtracted: its gradient is −1, not 1.",
            ),
            Misconception(
                _from(_right, grad_x=lambda g, x, w, u: g * w + u),
                "On x's straight path the minus was lost: q is subtracted, so its gradient is −1.",
            ),
            Misconception(
                _from(lambda u, x: u - x),
                "The slope of u² is 2u: nudge u by a little, and both factors grow.",
            ),
            Misconception(
                _from(
                    _right,
                    grad_x=lambda g, x, w, u: g * x - u,
                    grad_w=lambda g, x, w, u: g * w,
                ),
                "In the product w · x each factor's slope is the other factor.",
            ),
            Misconception(
                _from(_right, grad_x=lambda g, x, w, u: w - u, grad_w=lambda g, x, w, u: x),
                "The local slopes of w · x were not multiplied by what arrives from above, the "
                "gradient of u.",
            ),
        ),
    ),
)
