"""Layers with parameters: convolution, fully connected, batch normalisation."""

import math

import numpy as np

from cnnlib import ops
from cnnlib.geometry import Size, check_channels, check_count, to_pair


class Conv2d:
    """A convolution with weights and a bias; arguments as in torch.nn.Conv2d.

    Weights are drawn with variance 2 / fan_in (He et al. 2015), where fan_in counts the inputs of
    one output; biases start at zero. Taught in notebook 07.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        *,
        rng: np.random.Generator,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        dtype: type = np.float32,
    ) -> None:
        check_channels(in_channels, out_channels, groups)
        kernel_h, kernel_w = to_pair(kernel_size, "kernel_size", at_least=1)
        shape = (out_channels, in_channels // groups, kernel_h, kernel_w)
        self.settings = {"stride": stride, "padding": padding}
        self.settings |= {"dilation": dilation, "groups": groups}
        self.parameters = {"weight": kaiming_normal(shape, rng, dtype)}
        if bias:
            self.parameters["bias"] = np.zeros(out_channels, dtype)
        self.gradients = zeros_like(self.parameters)

    def forward(self, images: np.ndarray) -> np.ndarray:
        """Images (N, C, H, W) -> (N, O, out_h, out_w)."""
        self.images = images
        return ops.conv2d(images, **self.parameters, **self.settings)

    def backward(self, grad_out: np.ndarray) -> np.ndarray:
        """Fill the gradients; return that of the images."""
        weight = self.parameters["weight"]
        grad_images, *grads = ops.conv2d_backward(grad_out, self.images, weight, **self.settings)
        self.gradients = dict(zip(self.parameters, grads, strict=False))
        return grad_images

    def __repr__(self) -> str:
        return f"Conv2d{self.parameters['weight'].shape}"


class Linear:
    """A fully connected layer; weights start as in Conv2d. Taught in notebook 07."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        rng: np.random.Generator,
        bias: bool = True,
        dtype: type = np.float32,
    ) -> None:
        check_count(in_features, "in_features")
        check_count(out_features, "out_features")
        self.parameters = {"weight": kaiming_normal((out_features, in_features), rng, dtype)}
        if bias:
            self.parameters["bias"] = np.zeros(out_features, dtype)
        self.gradients = zeros_like(self.parameters)

    def forward(self, features: np.ndarray) -> np.ndarray:
        """Features (N, in_features) -> (N, out_features)."""
        self.features = features
        return ops.linear(features, **self.parameters)

    def backward(self, grad_out: np.ndarray) -> np.ndarray:
        """Fill the gradients; return that of the features."""
        weight = self.parameters["weight"]
        grad_features, *grads = ops.linear_backward(grad_out, self.features, weight)
        self.gradients = dict(zip(self.parameters, grads, strict=False))
        return grad_features

    def __repr__(self) -> str:
        return f"Linear{self.parameters['weight'].shape}"


class BatchNorm2d:
    """Batch normalisation of (N, C, H, W), as torch.nn.BatchNorm2d. Taught in notebook 07."""

    def __init__(
        self,
        num_features: int,
        *,
        momentum: float = 0.1,
        eps: float = 1e-5,
        dtype: type = np.float32,
    ) -> None:
        check_count(num_features, "num_features")
        self.momentum, self.eps, self.training = momentum, eps, True
        self.parameters = {"weight": np.ones(num_features, dtype)}
        self.parameters["bias"] = np.zeros(num_features, dtype)
        self.gradients = zeros_like(self.parameters)
        self.running_mean = np.zeros(num_features, dtype)
        self.running_var = np.ones(num_features, dtype)

    def forward(self, images: np.ndarray) -> np.ndarray:
        """Images (N, C, H, W) -> the same shape; while training, the running statistics move."""
        self.images = images
        return ops.batch_norm(
            images,
            self.running_mean,
            self.running_var,
            **self.parameters,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )

    def backward(self, grad_out: np.ndarray) -> np.ndarray:
        """Fill the gradients; return that of the images."""
        grad_images, *grads = ops.batch_norm_backward(
            grad_out,
            self.images,
            self.running_mean,
            self.running_var,
            self.parameters["weight"],
            training=self.training,
            eps=self.eps,
        )
        self.gradients = dict(zip(self.parameters, grads, strict=True))
        return grad_images

    def __repr__(self) -> str:
        return f"BatchNorm2d({len(self.running_mean)})"


def kaiming_normal(shape: tuple[int, ...], rng: np.random.Generator, dtype: type) -> np.ndarray:
    """Normal numbers of variance 2 / fan_in, which keeps the signal's size through a ReLU layer.

    Args:
        shape: of the weights, the outputs first; fan_in is the product of the rest.
        rng: where the numbers come from.
        dtype: np.float32 or np.float64.

    Returns:
        An array of that shape and dtype.

    Source: He, Zhang, Ren and Sun, Delving deep into rectifiers (2015).

    Taught in notebook 07.
    """
    return (rng.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))).astype(dtype)


def zeros_like(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A zero for every number, under the same names."""
    return {name: np.zeros_like(array) for name, array in arrays.items()}
