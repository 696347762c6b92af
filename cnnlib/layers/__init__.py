"""Layers with parameters, in NumPy: enough to train a convolutional network without a framework.

Every layer has `forward(images)`, which remembers what `backward(grad_out)` needs, and two
dictionaries with the same keys, `parameters` and `gradients`; backward fills the second.

Example:
    >>> import numpy as np
    >>> from cnnlib import ops
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

from cnnlib.layers.fixed import AvgPool2d, Dropout, Flatten, MaxPool2d, ReLU
from cnnlib.layers.model import SGD, Sequential
from cnnlib.layers.trainable import BatchNorm2d, Conv2d, Linear, kaiming_normal, zeros_like

__all__ = [
    "SGD",
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Linear",
    "MaxPool2d",
    "ReLU",
    "Sequential",
    "kaiming_normal",
    "zeros_like",
]
