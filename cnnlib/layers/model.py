"""Layers in a row, and the rule by which their parameters move."""

import numpy as np

from cnnlib.layers.trainable import zeros_like


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
