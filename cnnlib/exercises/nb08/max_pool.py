"""Exercise 08.2, An operation that autograd does not know."""

from functools import partial
from pathlib import Path

import numpy as np

from cnnlib.exercises.compare import kind
from cnnlib.exercises.engine import attempt, examine_function
from cnnlib.exercises.nb08.cases import name_parts
from cnnlib.exercises.verdicts import (
    Case,
    Exercise,
    Misconception,
    Verdict,
    correct,
    not_attempted,
    not_yet,
)


def _run(function, images, kernel_size, grad_out):
    """Forward and backward of a Function: -> output, gradient of the images."""
    import torch

    tensor = torch.tensor(images, requires_grad=True)
    output = function.apply(tensor, kernel_size)
    if not isinstance(output, torch.Tensor) or output.shape != grad_out.shape:
        return output, None
    if output.grad_fn is None:
        return output, None
    return output, *torch.autograd.grad(output, tensor, torch.tensor(grad_out), allow_unused=True)


def _by_torch(images, kernel_size, grad_out):
    import torch

    tensor = torch.tensor(images, requires_grad=True)
    output = torch.nn.functional.max_pool2d(tensor, kernel_size)
    return output.detach().numpy(), torch.autograd.grad(output, tensor, torch.tensor(grad_out))[
        0
    ].numpy()


def _cases():
    rng = np.random.default_rng(82)

    def case(images, kernel_size, note=""):
        N, C, H, W = images.shape
        shape = (N, C, H // kernel_size, W // kernel_size)
        grad_out = rng.permutation(np.arange(2.0, 2 + np.prod(shape))).reshape(shape)
        return Case((images, kernel_size, grad_out), {}, note)

    def different(*shape):
        return rng.permutation(np.arange(np.prod(shape)) * 1.0).reshape(shape)

    yield case(np.array([[1.0, 4], [2, 3]])[None, None], 2)
    yield case(different(1, 1, 2, 4), 2, "two windows side by side")
    yield case(different(1, 1, 4, 4), 2, "four windows")
    yield case(-1 - different(1, 1, 4, 2), 2, "all values negative")
    yield case(np.array([[4.0, 4], [4, 0]])[None, None], 2, "a tie")
    yield case(np.array([[0.0, 7], [7, 0]])[None, None], 2, "a tie on the diagonal")
    yield case(different(1, 1, 5, 6), 2, "a row that no window sees")
    yield case(different(1, 1, 3, 7), 3, "a column that no window sees")
    yield case(different(2, 3, 6, 9), 3, "several images and channels")
    yield case(rng.integers(0, 3, (2, 2, 8, 10)) * 1.0, 4, "many ties")
    yield case(different(1, 2, 3, 4), 1, "windows of one pixel")


def _examine(answer) -> Verdict:
    import torch

    if answer is None or answer is Ellipsis:
        return not_attempted()
    if not (isinstance(answer, type) and issubclass(answer, torch.autograd.Function)):
        return not_yet(
            "Pass the class itself to check: a subclass of torch.autograd.Function.",
            ("got", kind(answer)),
            cause="class MaxPool(torch.autograd.Function), with static methods forward and "
            "backward, and check gets the class without parentheses.",
        )
    verdict = examine_function(
        partial(_run, answer), cases=_cases, oracle=_by_torch, misconceptions=MISCONCEPTIONS
    )
    verdict = name_parts(verdict, "the output", "the gradient of the images")
    if verdict.outcome == "error":
        return _with_cause(verdict)
    if verdict.outcome == "not attempted":
        _, error = attempt(answer.apply, (torch.ones(1, 1, 2, 2), 2))
        if error is None:
            return not_yet(
                "forward can be called; backward is still to be written.",
                cause="backward(ctx, grad_out) returns the gradient of the images, and None for "
                "kernel_size.",
            )
    return verdict if verdict.outcome != "correct" else _check_gradients(answer)


def _with_cause(verdict: Verdict) -> Verdict:
    """torch's own words about a Function, in other words."""
    from dataclasses import replace

    known = {
        "incorrect number of gradients": "backward returns one gradient for each argument of "
        "forward after ctx: the images have one; kernel_size is no tensor and gets None.",
        "invalid gradient at index 0": "The gradient has another shape than the images. Rows and "
        "columns that no window sees belong to it too: their gradient is 0.",
        "must implement the backward": "There is no backward yet, or it is no @staticmethod.",
        "Legacy autograd function": "forward and backward are static methods: @staticmethod stands "
        "above each, and ctx is their first argument.",
        "expected Variable or None (got": "backward must return tensors: turn arrays back with "
        "torch.from_numpy, or better, stay with torch.",
        "does not require grad": "The output is cut off from the images: return what was computed "
        "from them, and leave detach and no_grad alone; forward keeps no graph anyway.",
        "object has no attribute 'saved_tensors'": "ctx is the first argument of both, and "
        "what forward saved comes back in ctx.saved_tensors.",
    }
    cause = next((says for part, says in known.items() if part in verdict.headline), verdict.cause)
    return replace(verdict, cause=cause)


def _check_gradients(function) -> Verdict:
    """gradcheck, and gradcheck of the backward pass itself."""
    import torch

    generator = torch.Generator().manual_seed(0)
    images = torch.randperm(2 * 5 * 7, generator=generator).reshape(1, 2, 5, 7).double()
    images.requires_grad_()
    for test, words, cause in (
        (torch.autograd.gradcheck, "torch.autograd.gradcheck", ""),
        (
            torch.autograd.gradgradcheck,
            "torch.autograd.gradgradcheck, which differentiates your backward pass once more",
            "backward is itself made of operations that autograd should follow: no .numpy(), no "
            "detach, no item by item copying into a tensor outside the graph. Scatter grad_out "
            "to the winners with torch's own operations.",
        ),
    ):
        _, error = attempt(test, (lambda x: function.apply(x, 2), (images,)))
        if error:
            said = str(error).strip().splitlines()
            return not_yet(
                f"Values and gradients are right; {words}, does not pass.",
                ("it says", f"{type(error).__name__}: {said[0] if said else ''}"),
                cause=cause
                or "The backward pass works only for the upstream gradients tried "
                "above, or it keeps something from one call to the next.",
            )
    return correct("11 cases, gradcheck, and gradcheck of the backward pass itself.")


def _pool(share, sees_all=False, use_grad=True, grid=None):
    """Window by window; share(window) says how the gradient is divided among its pixels."""

    def wrong(images, k, grad_out):
        N, C, H, W = images.shape
        out_h, out_w = H // k, W // k
        output, grads = np.zeros((N, C, out_h, out_w)), np.zeros(images.shape)
        for n, c, i, j in np.ndindex(output.shape):
            at = np.s_[n, c, i * k : i * k + k, j * k : j * k + k]
            output[n, c, i, j] = images[at].max()
            grads[at] = share(images[at]) * (grad_out[n, c, i, j] if use_grad else 1)
        return (grid or (lambda x, k: x))(output, k), grads

    return wrong


def _first(window):
    shares = np.zeros(window.size)
    shares[window.argmax()] = 1
    return shares.reshape(window.shape)


def _last(window):
    return _first(window[::-1, ::-1])[::-1, ::-1]


def _all(window):
    return (window == window.max()) * 1.0


def _no_transpose(images, k, grad_out):
    """Windows cut by a reshape that reads on in memory, without exchanging the axes."""
    N, C, H, W = images.shape
    windows = images[:, :, : H // k * k, : W // k * k].reshape(N, C, H // k, W // k, k * k)
    winners = windows.argmax(axis=4)[..., None]
    grads, spread = np.zeros(images.shape), np.zeros(windows.shape)
    np.put_along_axis(spread, winners, grad_out[..., None], axis=4)
    grads[:, :, : H // k * k, : W // k * k] = spread.reshape(N, C, H // k * k, W // k * k)
    return np.take_along_axis(windows, winners, axis=4)[..., 0], grads


MISCONCEPTIONS = (
    Misconception(
        _pool(_all),
        "At a tie every largest value received the full gradient; the first of them, row by row, "
        "takes it all.",
    ),
    Misconception(
        _pool(lambda window: _all(window) / _all(window).sum()),
        "At a tie the gradient was divided among the largest values; here the first takes it all, "
        "as in torch.max.",
    ),
    Misconception(_pool(_last), "At a tie the last largest value was chosen, not the first."),
    Misconception(
        lambda images, k, grad: _pool(lambda window: _first(window.T).T)(images, k, grad),
        "At a tie the first is found row by row, not column by column.",
    ),
    Misconception(
        _pool(_first, use_grad=False),
        "The winners got 1. They get grad_out, the upstream gradient of their output.",
    ),
    Misconception(
        _pool(lambda window: np.full(window.shape, 1 / window.size)),
        "Every pixel got a share, as in average pooling; only the winner moves the output.",
    ),
    Misconception(
        _pool(lambda window: np.ones(window.shape)),
        "Every pixel of a window got the gradient; only the winner moves the output.",
    ),
    Misconception(
        _no_transpose,
        "The windows were cut by a reshape alone, which reads on in memory: four pixels in a row "
        "are no window. Reshape to (N, C, out_h, k, out_w, k), then exchange axes 3 and 4.",
    ),
    Misconception(
        lambda images, k, grad: (_pool(_first)(images, k, grad)[0], None),
        "The output is right, but no gradient reached the images: backward returned None for them.",
    ),
)


EXERCISE = Exercise(
    id="08.2",
    title="An operation that autograd does not know",
    objective="give autograd a forward and a backward pass of your own, and prove that they fit",
    level=2,
    minutes=25,
    points=4,
    hints=(
        "forward may compute as it likes, autograd does not look inside. What backward needs from "
        "it goes into ctx.save_for_backward (tensors) or onto ctx (numbers, shapes).",
        "Cut the images to whole windows, reshape to (N, C, out_h, k, out_w, k), exchange axes 3 "
        "and 4, flatten the last two: .max(dim=4) gives the values and the winners' places.",
        "Backward: zeros of shape (N, C, out_h, out_w, k · k), .scatter(4, winners[..., None], "
        "grad_out[..., None]), then the same reshapes backwards, and nn.functional.pad for the "
        "rows and columns that no window saw. Return (grad_images, None).",
    ),
    solution=(Path(__file__).parent / "max_pool_solution.py").read_text(),
    examine=_examine,
)
