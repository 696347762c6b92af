"""Layers without parameters: activation, pooling, flatten, dropout."""

import math

import numpy as np

from cnnlib import ops
from cnnlib.geometry import Size


class ReLU:
    """Negative values become zero. Taught in notebook 07."""

    def __init__(self) -> None:
        self.parameters, self.gradients = {}, {}

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Any shape -> the same shape."""
        self.values = values
        return ops.relu(values)

    def backward(self, grad_out: np.ndarray) -> np.ndarray:
        """Return the gradient of the values."""
        return ops.relu_backward(grad_out, self.values)

    def __repr__(self) -> str:
        return "ReLU()"


class MaxPool2d:
    """Largest value in each window. Taught in notebook 07."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
    ) -> None:
        self.arguments = (kernel_size, stride, padding, dilation)
        self.parameters, self.gradients = {}, {}

    def forward(self, images: np.ndarray) -> np.ndarray:
        """Images (N, C, H, W) -> (N, C, out_h, out_w)."""
        self.images = images
        return ops.max_pool2d(images, *self.arguments)

    def backward(self, grad_out: np.ndarray) -> np.ndarray:
        """Return the gradient of the images."""
        return ops.max_pool2d_backward(grad_out, self.images, *self.arguments)

    def __repr__(self) -> str:
        return f"MaxPool2d({self.arguments[0]})"


class AvgPool2d:
    """Mean of each window. Taught in notebook 07."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        *,
        count_include_pad: bool = True,
    ) -> None:
        self.arguments = (kernel_size, stride, padding)
        self.count_include_pad = count_include_pad
        self.parameters, self.gradients = {}, {}

    def forward(self, images: np.ndarray) -> np.ndarray:
        """Images (N, C, H, W) -> (N, C, out_h, out_w)."""
        self.images_shape = images.shape
        return ops.avg_pool2d(images, *self.arguments, count_include_pad=self.count_include_pad)

    def backward(self, grad_out: np.ndarray) -> np.ndarray:
        """Return the gradient of the images."""
        return ops.avg_pool2d_backward(
            grad_out,
            self.images_shape,
            *self.arguments,
            count_include_pad=self.count_include_pad,
        )

    def __repr__(self) -> str:
        return f"AvgPool2d({self.arguments[0]})"


class Flatten:
    """Every image becomes one row. Taught in notebook 07."""

    def __init__(self) -> None:
        self.parameters, self.gradients = {}, {}

    def forward(self, images: np.ndarray) -> np.ndarray:
        """(N, …) -> (N, all the rest)."""
        self.images_shape = images.shape
        return images.reshape(len(images), math.prod(images.shape[1:]))

    def backward(self, grad_out: np.ndarray) -> np.ndarray:
        """Return the gradient in the shape of the images."""
        return grad_out.reshape(self.images_shape)

    def __repr__(self) -> str:
        return "Flatten()"


class Dropout:
    """While training, set values to zero with probability p. Taught in notebook 07."""

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator) -> None:
        self.p, self.rng, self.training = p, rng, True
        self.parameters, self.gradients = {}, {}

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Any shape -> the same shape."""
        out, self.mask = ops.dropout(values, self.p, training=self.training, rng=self.rng)
        return out

    def backward(self, grad_out: np.ndarray) -> np.ndarray:
        """Return the gradient of the values."""
        return ops.dropout_backward(grad_out, self.mask)

    def __repr__(self) -> str:
        return f"Dropout({self.p})"
