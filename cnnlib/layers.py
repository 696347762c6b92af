"""Layers with parameters, in NumPy: enough to train a convolutional network without a framework.

Every layer has `forward(images)`, which remembers what `backward(grad_out)` needs, and two
dictionaries with the same keys, `parameters` and `gradients`; backward fills the second.

Example:
    >>> rng = np.random.default_rng(0)
    >>> model = Sequential(Conv2d(1, 4, 3, rng=rng), ReLU(), Flatten(), Linear(144, 10, rng=rng))
    >>> optimizer = SGD(model, lr=0.1)
    >>> images, labels = rng.random((16, 1, 8, 8), dtype=np.float32), np.arange(16) % 10
    >>> logits = model.forward(images)
    >>> grad_images = model.backward(ops.softmax_cross_entropy_backward(1.0, logits, labels))
    >>> optimizer.step()
    >>> before = ops.softmax_cross_entropy(logits, labels)
    >>> bool(ops.softmax_cross_entropy(model.forward(images), labels) < before)
    True
"""

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


class Sequential:
    """Layers in a row. Its parameters are named as torch.nn.Sequential names them: "0.weight".

    Taught in notebook 07.
    """

    def __init__(self, *layers) -> None:
        self.layers = list(layers)

    def forward(self, images: np.ndarray) -> np.ndarray:
        """Through all layers, first to last."""
        for layer in self.layers:
            images = layer.forward(images)
        return images

    def backward(self, grad_out: np.ndarray) -> np.ndarray:
        """Through all layers, last to first; return the gradient of the images."""
        for layer in reversed(self.layers):
            grad_out = layer.backward(grad_out)
        return grad_out

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """All layers' parameters, by the layer's number and the parameter's name."""
        return {f"{i}.{k}": v for i, e in enumerate(self.layers) for k, v in e.parameters.items()}

    @property
    def gradients(self) -> dict[str, np.ndarray]:
        """All layers' gradients, with the keys of the parameters."""
        return {f"{i}.{k}": v for i, e in enumerate(self.layers) for k, v in e.gradients.items()}

    def train(self, mode: bool = True) -> None:
        """Tell the layers that behave differently while training (BatchNorm2d, Dropout)."""
        for layer in self.layers:
            if isinstance(layer, Sequential):
                layer.train(mode)
            elif hasattr(layer, "training"):
                layer.training = mode

    def __repr__(self) -> str:
        rows = "".join(f"\n    {number}: {layer}" for number, layer in enumerate(self.layers))
        return f"Sequential({rows}\n)"


class SGD:
    """Stochastic gradient descent with momentum and weight decay, step by step as torch.optim.SGD.

    Taught in notebook 07.
    """

    def __init__(
        self, model: Sequential, *, lr: float, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        self.model, self.lr = model, lr
        self.momentum, self.weight_decay = momentum, weight_decay
        self.velocity = zeros_like(model.parameters)

    def step(self) -> None:
        """Move every parameter, in place, against its gradient."""
        gradients = self.model.gradients
        for name, parameter in self.model.parameters.items():
            velocity = self.velocity[name]
            velocity *= self.momentum
            velocity += gradients[name] + self.weight_decay * parameter
            parameter -= self.lr * velocity


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
