"""Seven backward passes for exercise 06.9. Some are right."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Suspect:
    """forward(*inputs) -> output, and backward(grad_out, *inputs) -> a gradient for each input."""

    forward: Callable
    backward: Callable
    inputs: tuple[np.ndarray, ...]


def scale_and_shift(images, weight, bias):
    return images * weight[:, None, None] + bias[:, None, None]


def scale_and_shift_backward(grad_out, images, weight, bias):
    grad_images = grad_out * weight[:, None, None]
    grad_weight = (grad_out * images).sum(axis=(0, 2, 3))
    grad_bias = grad_out.sum(axis=(2, 3)).mean(axis=0)
    return grad_images, grad_weight, grad_bias


def leaky_relu(values):
    return np.where(values > 0, values, 0.1 * values)


def leaky_relu_backward(grad_out, values):
    return (np.where(values > 0, grad_out, 0.1 * grad_out),)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def softmax_backward(grad_out, logits):
    probabilities = softmax(logits)
    return (grad_out * probabilities * (1 - probabilities),)


def swish(values):
    return values / (1 + np.exp(-values))


def swish_backward(grad_out, values):
    output = swish(values)
    return (grad_out * (output + (1 - output) / (1 + np.exp(-values))),)


def squared_error(scores, targets):
    return ((scores - targets) ** 2).mean()


def squared_error_backward(grad_out, scores, targets):
    grad_scores = 2 * (scores - targets) / scores.size
    return grad_scores, -grad_scores


def max_pool(image):
    """Windows of 3 × 3 that move by 2."""
    return np.lib.stride_tricks.sliding_window_view(image, (3, 3))[::2, ::2].max(axis=(2, 3))


def max_pool_backward(grad_out, image):
    grad_image = np.zeros_like(image)
    for row, column in np.ndindex(grad_out.shape):
        window = image[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        i, j = np.unravel_index(window.argmax(), window.shape)
        grad_image[2 * row + i, 2 * column + j] = grad_out[row, column]
    return (grad_image,)


def convolve(image, kernel):
    """A cross-correlation with stride 2."""
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)[::2, ::2]
    return np.einsum("rcij,ij->rc", windows, kernel)


def convolve_backward(grad_out, image, kernel):
    kh, kw = kernel.shape
    grad_image, grad_kernel = np.zeros_like(image), np.zeros_like(kernel)
    for row, column in np.ndindex(grad_out.shape):
        window = np.s_[2 * row : 2 * row + kh, 2 * column : 2 * column + kw]
        grad_image[window] += grad_out[row, column] * kernel[::-1, ::-1]
        grad_kernel += grad_out[row, column] * image[window]
    return grad_image, grad_kernel


def _suspects() -> dict[str, Suspect]:
    rng = np.random.default_rng(69)
    values = rng.normal(size=(3, 4)).round(1)
    values[1, 2] = 0
    image = rng.normal(size=(7, 8))
    image[2, 2], image[4, 4] = 3, 4  # each is the largest of several windows
    passes = (
        (scale_and_shift, scale_and_shift_backward, [(4, 2, 2, 3), (2,), (2,)]),
        (leaky_relu, leaky_relu_backward, [values]),
        (softmax, softmax_backward, [(2, 5)]),
        (swish, swish_backward, [(3, 4)]),
        (squared_error, squared_error_backward, [(3, 2), (3, 2)]),
        (max_pool, max_pool_backward, [image]),
        (convolve, convolve_backward, [(6, 7), (3, 3)]),
    )
    return {
        forward.__name__: Suspect(
            forward,
            backward,
            tuple(rng.normal(size=i) if isinstance(i, tuple) else i for i in inputs),
        )
        for forward, backward, inputs in passes
    }


SUSPECTS = _suspects()
