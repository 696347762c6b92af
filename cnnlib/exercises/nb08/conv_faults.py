"""The judge of exercise 08.4, torch's own convolution, and with one thing changed its faults."""

from collections.abc import Iterator

import numpy as np


def native(settings, images, weight, bias, grad_out=None, **fault):
    """Output and gradients of images, weight and bias by torch; `fault` changes one thing."""
    import torch

    settings = {k: v for k, v in settings.items() if k not in (*fault.get("ignore", ()), "bias")}
    inputs = torch.tensor(images, requires_grad=True)
    weights = torch.tensor(weight, requires_grad=True)
    biases = None if bias is None else torch.tensor(bias, requires_grad=True)
    kept = ("stride", "padding", "dilation", "groups")
    chosen = {name: settings[name] for name in kept if name in settings}
    used = fault.get("new_weight", lambda w: w)(weights)
    chosen = fault.get("new_settings", lambda s: s)(chosen)
    output = torch.nn.functional.conv2d(
        fault.get("new_images", lambda x, s: x)(inputs, chosen),
        used,
        None if fault.get("no_bias") else biases,
        **chosen,
    )
    output = fault.get("new_output", lambda y: y)(output)
    if grad_out is None:
        return output.detach().numpy(), None, None, None
    if output.shape != grad_out.shape:
        return output.detach().numpy(), None, None, None
    leaves = [inputs, weights] + ([] if biases is None else [biases])
    grads = torch.autograd.grad(
        output, leaves, torch.tensor(grad_out), allow_unused=True, materialize_grads=True
    )
    found = [grad.numpy() for grad in grads]
    return (output.detach().numpy(), *found, *([np.zeros(0)] if biases is None else []))


def _exchanged(settings):
    padding, dilation = settings.get("padding", 0), settings.get("dilation", 1)
    return settings | {"padding": dilation, "dilation": padding} if padding else settings


def _swap_rows(output):
    N, O, h, w = output.shape
    return output.reshape(N, O, w, h).transpose(2, 3).reshape(N, O, h, w)


def _shuffled_groups(images, settings):
    groups = settings.get("groups", 1)
    N, C, H, W = images.shape
    if groups == 1:
        return images
    return images.reshape(N, C // groups, groups, H, W).transpose(1, 2).reshape(N, C, H, W)


def faulty() -> Iterator[tuple[dict, str]]:
    """(what is changed, what a learner who did that should read)."""
    yield {"no_bias": True}, "The bias was not added."
    yield {"ignore": ("stride",)}, "stride was not used: it belongs to unfold and to out_h, out_w."
    yield (
        {"ignore": ("padding",)},
        "padding was not used: it belongs to unfold and to out_h, out_w.",
    )
    yield (
        {"ignore": ("dilation",)},
        ("dilation was not used: it belongs to unfold and to out_h, out_w."),
    )
    yield (
        {"new_settings": _exchanged},
        (
            "padding and dilation have changed places: unfold's arguments are kernel_size, "
            "dilation, padding, stride. Name them."
        ),
    )
    yield (
        {"new_weight": lambda w: w.flip(2, 3)},
        (
            "The kernels were turned by 180°; torch computes a cross-correlation, and so does "
            "unfold times weight as it stands."
        ),
    )
    yield (
        {"new_weight": lambda w: w.transpose(2, 3).reshape(w.shape)},
        ("Rows and columns of the kernels have changed places."),
    )
    yield (
        {"new_output": _swap_rows},
        (
            "Rows and columns of the output have changed places: the windows come row by row, so "
            "reshape to (N, O, out_h, out_w)."
        ),
    )
    yield (
        {"new_images": _shuffled_groups},
        (
            "Each group saw other channels than its own: group 0 has the first C / groups "
            "channels, all in a row."
        ),
    )
    yield (
        {"new_weight": lambda w: w.detach()},
        (
            "The output is right, but no gradient reached the weights: use self.weight itself, not "
            ".data or .detach()."
        ),
    )
    yield (
        {"new_images": lambda x, s: x.detach()},
        ("The output is right, but no gradient reached the images."),
    )
