"""What goes wrong in a training step written by hand, each fault as a step that has it."""

from functools import partial

import numpy as np

from cnnlib import ops
from cnnlib.exercises.verdicts import Misconception


def faulty_step(fault, p, velocity, images, labels, lr, momentum):
    """The step of exercise 07.7 with one fault."""
    N = len(images)
    maps = ops.conv2d(images, p["0.weight"], p["0.bias"], padding=1)
    active = maps if fault == "no ReLU" else ops.relu(maps)
    pool = ops.avg_pool2d if fault == "mean pooling" else ops.max_pool2d
    pooled = pool(active, 2)
    features = pooled.reshape(N, -1)
    logits = ops.linear(features, p["4.weight"], p["4.bias"])
    loss = float(ops.softmax_cross_entropy(logits, labels))

    grad = ops.softmax_cross_entropy_backward(1.0, logits, labels)
    others = {"summed": grad * N, "averaged twice": grad / N}
    others["no one-hot"] = ops.softmax(logits) / N
    grad = others.get(fault, grad)
    grads = dict(zip(("4.weight", "4.bias"), ops.linear_backward(grad, features, p["4.weight"])[1:],
                     strict=True))  # fmt: skip
    if fault == "moved first":
        take(p, velocity, grads, lr, momentum)
        grads = {}
    grad = (grad @ p["4.weight"]).reshape(pooled.shape)
    if fault in ("spread", "mean pooling"):
        grad = ops.avg_pool2d_backward(grad, active.shape, 2) * (4 if fault == "spread" else 1)
    elif fault == "spread in parts":
        grad = ops.avg_pool2d_backward(grad, active.shape, 2)
    else:
        grad = ops.max_pool2d_backward(grad, active, 2)
    if fault not in ("no mask", "no ReLU"):
        grad = ops.relu_backward(grad, maps)
    _, weight, bias = ops.conv2d_backward(grad, images, p["0.weight"], padding=1)
    grads |= {"0.weight": weight[..., ::-1, ::-1] if fault == "flipped" else weight, "0.bias": bias}
    for name in {"no biases": ("0.bias", "4.bias"), "frozen conv": ("0.weight", "0.bias"),
                 "frozen last": ("4.weight", "4.bias")}.get(fault, ()):  # fmt: skip
        del grads[name]
    if fault == "new velocity":
        velocity = {name: np.zeros_like(array) for name, array in velocity.items()}
    take(p, velocity, grads, -lr if fault == "uphill" else lr, momentum, mean=fault == "mean")
    if fault == "loss after":
        logits = ops.linear(
            ops.max_pool2d(
                ops.relu(ops.conv2d(images, p["0.weight"], p["0.bias"], padding=1)), 2
            ).reshape(N, -1),
            p["4.weight"], p["4.bias"],
        )  # fmt: skip
        loss = float(ops.softmax_cross_entropy(logits, labels))
    return loss * N if fault == "sum of losses" else loss


def take(p, velocity, grads, lr, momentum, mean=False):
    for name, grad in grads.items():
        velocity[name] *= momentum
        velocity[name] += (1 - momentum) * grad if mean else grad
        p[name] -= lr * velocity[name]


SAYS = {
    "no ReLU": "There is no ReLU between the convolution and the pooling.",
    "mean pooling": "You took the mean of each 2 × 2 window; the maximum was asked for.",
    "sum of losses": "You returned the sum of the losses; the mean of the batch was asked for.",
    "loss after": "This is the loss after the step. Return the one that the step was made from: "
    "it costs no second forward pass.",
    "summed": "Every gradient is as many times too large as the batch has images: the loss is a "
    "mean, so its gradient is divided by N.",
    "averaged twice": "The gradient was divided by N twice: softmax_cross_entropy_backward has "
    "done it already.",
    "no one-hot": "The right answers are missing from the gradient of the loss: probabilities "
    "minus 1 at the label.",
    "moved first": "The linear layer was moved before its weight was used to send the gradient "
    "back. First all gradients, then all steps.",
    "spread": "The pooling sent its gradient to all four pixels; only the largest gets it.",
    "spread in parts": "The pooling sent its gradient to all four pixels in equal parts, as a "
    "mean would; only the largest gets it.",
    "no mask": "The ReLU is missing on the way back: where it gave 0, it lets no gradient through.",
    "flipped": "The gradient of the kernels is turned by 180°.",
    "no biases": "The biases were not moved: they have gradients too.",
    "frozen conv": "The convolution was not moved: does your loop visit all four parameters?",
    "frozen last": "The linear layer was not moved: does your loop visit all four parameters?",
    "new velocity": "The velocity is forgotten after each step. Keep it in the dictionary that "
    "you are given, by changing its arrays in place.",
    "mean": "The velocity is a running mean, with (1 − momentum) before the gradient. torch's is "
    "a running sum: the gradient comes in with its full size.",
    "uphill": "The step goes uphill: subtract lr times the velocity.",
}
MISCONCEPTIONS = tuple(
    Misconception(partial(faulty_step, fault), says) for fault, says in SAYS.items()
)
