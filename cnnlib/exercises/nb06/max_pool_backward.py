"""Exercise 06.4, Who was the maximum?"""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.nb06.oracles import autograd
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def max_pool2d_backward(grad_out, images, kernel_size, stride=None, padding=0):
    stride = kernel_size if stride is None else stride
    sides = (padding, padding)
    padded = np.pad(images, ((0, 0), (0, 0), sides, sides), constant_values=-np.inf)
    grad_padded = np.zeros_like(padded)
    for n, c, row, column in np.ndindex(grad_out.shape):
        top, left = row * stride, column * stride
        window = padded[n, c, top : top + kernel_size, left : left + kernel_size]
        i, j = np.unravel_index(window.argmax(), window.shape)  # of equal values the first
        grad_padded[n, c, top + i, left + j] += grad_out[n, c, row, column]
    H, W = images.shape[2:]
    return grad_padded[:, :, padding : padding + H, padding : padding + W]


def _by_torch(grad_out, images, kernel_size, stride=None, padding=0):
    def pool(torch, images):
        return torch.nn.functional.max_pool2d(images, kernel_size, stride, padding)

    return autograd(pool, (images,), grad_out)[0]


def _cases():
    rng = np.random.default_rng(64)

    def case(images, kernel_size, note="", **kwargs):
        stride = kwargs.get("stride") or kernel_size
        padding = kwargs.get("padding", 0)
        out_size = [(n + 2 * padding - kernel_size) // stride + 1 for n in images.shape[2:]]
        grad_out = rng.permutation(np.arange(2.0, 2 + images[:, :, 0, 0].size * np.prod(out_size)))
        return Case((grad_out.reshape(*images.shape[:2], *out_size), images, kernel_size),
                    kwargs, note)  # fmt: skip

    def different(*shape):  # all values different: no ties
        return rng.permutation(np.arange(np.prod(shape)) * 1.0).reshape(shape)

    yield case(different(1, 1, 2, 2), 2)
    yield case(different(1, 1, 2, 4), 2, "two windows side by side")
    yield case(np.array([[1.0, 5, 2], [0, 3, 4]])[None, None], 2, "a pixel that wins twice",
               stride=1)  # fmt: skip
    yield case(np.array([[1.0, 4], [4, 0]])[None, None], 2, "a tie")
    yield case(-1 - different(1, 1, 2, 2), 2, "padding around negative values", padding=1)
    yield case(different(1, 1, 5, 6), 2, "a row that no window sees")
    yield case(different(2, 3, 4, 4), 2, "several images and channels")
    yield case(np.zeros((1, 2, 5, 5)), 3, "ties everywhere", stride=2)
    yield case(rng.integers(0, 3, (2, 2, 7, 6)) * 1.0, 3, "overlap and ties", stride=2, padding=1)
    for _ in range(8):
        kernel_size = int(rng.integers(1, 4))
        shape = (int(rng.integers(1, 3)), int(rng.integers(1, 3)), *rng.integers(5, 9, 2))
        yield case(
            rng.integers(-4, 5, shape) * 1.0,
            kernel_size,
            "everything together",
            stride=int(rng.integers(1, 4)),
            padding=int(rng.integers(0, kernel_size // 2 + 1)),
        )
    images = rng.normal(size=(1, 2, 6, 5)).astype(np.float32)
    yield Case((rng.normal(size=(1, 2, 3, 2)).astype(np.float32), images, 2), {}, "float32")


def _windows(share, add=True, pad_value=-np.inf, crop=True, use_grad=True, default=None):
    """Walks over the windows; share(window) says how the gradient is divided among its pixels."""

    def wrong(grad_out, images, kernel_size, stride=None, padding=0):
        stride = (default or kernel_size) if stride is None else stride
        sides = ((0, 0), (0, 0), (padding, padding), (padding, padding))
        padded = np.pad(images, sides, constant_values=pad_value)
        grads = np.zeros_like(padded)
        for n, c, row, column in np.ndindex(grad_out.shape):
            rows = slice(row * stride, row * stride + kernel_size)
            columns = slice(column * stride, column * stride + kernel_size)
            shares = share(padded[n, c, rows, columns])
            given = shares * (grad_out[n, c, row, column] if use_grad else 1)
            place = grads[n, c, rows, columns]
            place[...] = place + given if add else np.where(shares > 0, given, place)
        H, W = images.shape[2:]
        start = padding if crop else 0
        return grads[:, :, start : start + H, start : start + W]

    return wrong


def _first(window):
    shares = np.zeros(window.size)
    shares[window.argmax()] = 1
    return shares.reshape(window.shape)


def _last(window):
    return _first(window[::-1, ::-1])[::-1, ::-1]


def _all(window):
    return (window == window.max()) * 1.0


def _transposed(window):
    return _first(window.T).T


EXERCISE = Exercise(
    id="06.4",
    title="Who was the maximum?",
    objective="write the backward pass of max pooling with overlap, padding and ties",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "Loop over the outputs. For each, cut out its window as in the forward pass, find the "
        "place of its maximum, and add the output's gradient to that place.",
        "Pad with −np.inf and keep a second, equally large array of zeros for the gradients; in "
        "the end cut the padding off it. window.argmax() counts row by row and takes the first.",
        "i, j = np.unravel_index(window.argmax(), window.shape), then "
        "grad_padded[n, c, top + i, left + j] += grad_out[n, c, row, column].",
    ),
    solution=max_pool2d_backward,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_torch,
        misconceptions=(
            Misconception(
                _windows(_first, add=False),
                "A pixel that was the maximum of two windows receives from both: += in place of =.",
            ),
            Misconception(
                _windows(_all),
                "At a tie all the equal maxima received the full gradient; one of them, the first, "
                "takes it.",
            ),
            Misconception(
                _windows(lambda window: _all(window) / _all(window).sum()),
                "At a tie the gradient was divided among the equal maxima. That is a fair choice, "
                "but the rule here is PyTorch's: the first, row by row, takes all.",
            ),
            Misconception(_windows(_last), "At a tie the last maximum was chosen, not the first."),
            Misconception(
                _windows(_transposed),
                "At a tie the first maximum is found row by row, not column by column.",
            ),
            Misconception(
                _windows(_first, pad_value=0),
                "The padding took part with its zeros, won, and the gradient was lost outside the "
                "image: pad with −np.inf.",
            ),
            Misconception(
                _windows(_first, crop=False),
                "The padding was cut off at the wrong end: the image begins at row and column "
                "`padding` of the padded array.",
            ),
            Misconception(
                _windows(_first, use_grad=False),
                "The winners got 1; they get the gradient of their output.",
            ),
            Misconception(
                _windows(lambda window: np.full(window.shape, 1 / window.size)),
                "That is average pooling: every pixel of the window got a share.",
            ),
            Misconception(
                _windows(lambda window: np.ones(window.shape)),
                "Every pixel of the window got the gradient; only the maximum moves the output.",
            ),
        ),
    ),
)
