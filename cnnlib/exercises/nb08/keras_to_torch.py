"""Exercise 08.7, A whole model from Keras."""

from functools import partial

import numpy as np

from cnnlib.exercises.compare import kind
from cnnlib.exercises.engine import attempt, examine_function
from cnnlib.exercises.nb08.keras_faults import MISCONCEPTIONS, in_keras_axes
from cnnlib.exercises.verdicts import Case, Exercise, Verdict, not_yet, raised


def sequential_from_keras(rows, input_shape):
    import torch
    from torch import nn

    H, W, C = input_shape
    maps, built = torch.zeros(1, C, H, W), []  # sent along to know the shapes
    unflattened = None  # (C, H, W) of the maps that were flattened last
    for name, settings, weights in rows:
        arrays = [torch.tensor(array) for array in weights]
        if name == "Conv2D":
            O, size = settings["filters"], settings["kernel_size"]
            stride, padding = settings["strides"], settings["padding"]
            if padding == "same" and stride != (1, 1):
                raise ValueError('padding "same" with a stride depends on the size of the image')
            bias = len(arrays) > 1
            layer = nn.Conv2d(maps.shape[1], O, size, stride=stride, padding=padding, bias=bias)
            arrays[0] = arrays[0].permute(3, 2, 0, 1)  # (kh, kw, C, O) -> (O, C, kh, kw)
        elif name == "Dense":
            layer = nn.Linear(*arrays[0].shape, bias=len(arrays) > 1)
            if unflattened:
                C, H, W = unflattened
                arrays[0] = arrays[0].reshape(H, W, C, -1).permute(2, 0, 1, 3).flatten(0, 2)
            arrays[0], unflattened = arrays[0].T, None
        elif name == "BatchNormalization":
            momentum = 1 - settings["momentum"]  # Keras says what is kept, PyTorch what is new
            layer = nn.BatchNorm2d(maps.shape[1], eps=settings["epsilon"], momentum=momentum)
            arrays.append(torch.tensor(0))  # the number of batches seen
        elif name == "MaxPooling2D":
            layer = nn.MaxPool2d(settings["pool_size"], settings["strides"])
        elif name == "Flatten":
            layer, unflattened = nn.Flatten(), tuple(maps.shape[1:])
        else:
            raise ValueError(f"no rule for a layer of the kind {name!r}")
        layer.load_state_dict(dict(zip(layer.state_dict(), arrays, strict=True)))
        built += [layer, nn.ReLU()] if settings.get("activation") == "relu" else [layer]
        with torch.no_grad():
            maps = layer.eval()(maps)
    return nn.Sequential(*built).train()


def _run(answer, rows, input_shape, images):
    """What the converted network says to Keras's images (N, H, W, C), in eval mode."""
    import torch

    model = answer(rows, input_shape)
    if not isinstance(model, torch.nn.Module):
        return model
    with torch.no_grad():
        output = model.eval()(torch.tensor(images).permute(0, 3, 1, 2))
    maps = isinstance(output, torch.Tensor) and output.ndim == 4
    return output.permute(0, 2, 3, 1) if maps else output


class Rows(list):
    """Layers as in model.layers, shown by their kinds."""

    def __repr__(self) -> str:
        return " → ".join(name for name, *_ in self)


def _make_rows(rng, input_shape, *layers):
    """Rows with random weights: ("Conv2D", filters, size, strides, padding, activation), …"""
    values, rows = np.zeros((1, *input_shape)), Rows()

    def numbers(*shape):
        return rng.normal(0, 0.5, size=shape).astype(np.float32)

    for name, *options in layers:
        settings, weights = {}, []
        if name == "Conv2D":
            filters, size, strides, padding, activation = options
            settings = {"filters": filters, "kernel_size": size, "strides": strides}
            settings |= {"padding": padding, "activation": activation}
            weights = [numbers(*size, values.shape[3], filters), numbers(filters)]
        elif name == "MaxPooling2D":
            settings = {"pool_size": options[0], "strides": options[1], "padding": "valid"}
        elif name == "BatchNormalization":
            C = values.shape[3]
            settings = {"epsilon": 0.001, "momentum": 0.99}
            weights = [numbers(C), numbers(C), numbers(C), numbers(C) ** 2 + np.float32(0.01)]
        elif name == "Dense":
            settings = {"units": options[0], "activation": options[1]}
            weights = [numbers(values.shape[1], options[0]), numbers(options[0])]
        rows.append((name, settings, weights))
        values = in_keras_axes(rows[-1:], None, values)
    return rows


def _cases():
    rng = np.random.default_rng(87)

    def case(input_shape, note, *layers, N=2):
        rows = _make_rows(rng, input_shape, *layers)
        images = rng.normal(size=(N, *input_shape)).astype(np.float32)
        return Case((rows, input_shape, images), {}, note)

    def conv(filters, size=(3, 3), strides=(1, 1), padding="valid", activation="linear"):
        return ("Conv2D", filters, size, strides, padding, activation)

    flatten, pool = ("Flatten",), ("MaxPooling2D", (2, 2), (2, 2))
    yield case((1, 1, 2), "one Dense", flatten, ("Dense", 3, "linear"), N=1)
    yield case((2, 2, 1), "one Conv2D", conv(1, (2, 2)))
    yield case((3, 4, 2), "a wide kernel", conv(3, (2, 3)))
    yield case((3, 3, 1), "a ReLU inside Conv2D", conv(2, (2, 2), activation="relu"))
    yield case((4, 5, 1), 'padding "same"', conv(2, padding="same"))
    yield case((5, 7, 1), "strides that differ", conv(2, (3, 3), (1, 2)))
    yield case((5, 6, 2), "a MaxPooling2D", pool)
    yield case((4, 4, 1), "pooling that overlaps", ("MaxPooling2D", (2, 2), (1, 1)))
    yield case((3, 3, 2), "a BatchNormalization", ("BatchNormalization",))
    yield case((2, 3, 2), "a Dense after maps", flatten, ("Dense", 3, "linear"))
    yield case((2, 2, 3), "two Dense", flatten, ("Dense", 5, "relu"), ("Dense", 4, "linear"))
    head = (flatten, ("Dense", 12, "relu"), ("Dense", 10, "linear"))
    body = (conv(8, activation="relu"), pool, ("BatchNormalization",))
    body += (conv(6, padding="same", activation="relu"), pool)
    yield case((16, 14, 3), "a whole network", *body, *head)


def _examine(answer) -> Verdict:
    asked = partial(_run, answer) if callable(answer) else answer
    verdict = examine_function(
        asked, cases=_cases, oracle=in_keras_axes, misconceptions=MISCONCEPTIONS, tolerance=1e-4
    )
    if verdict.outcome == "error":
        return _with_cause(verdict)
    return _more(answer) or verdict if verdict.outcome == "correct" else verdict


def _with_cause(verdict: Verdict) -> Verdict:
    from dataclasses import replace

    known = {
        "size mismatch": "A weight was loaded in Keras's shape. Conv2D: (kh, kw, C, O) -> "
        "(O, C, kh, kw); Dense: (in, out) -> (out, in).",
        "Missing key(s)": "load_state_dict wants every name: weight and bias, and of a batch norm "
        "running_mean, running_var and num_batches_tracked too.",
        "channels, but got": "A Conv2d is made for another number of channels than arrives. A "
        "kernel (kh, kw, C, O) has it as its third axis; images are to go in as N C H W.",
        "shapes cannot be multiplied": "A Linear is made for another number of features than "
        "arrives: in and out of a Dense are its matrix's first and second axis, and where Keras "
        "has a Flatten there has to be one.",
    }
    cause = next((says for part, says in known.items() if part in verdict.headline), verdict.cause)
    return replace(verdict, cause=cause)


def _more(answer) -> Verdict | None:
    """Batch norm's momentum, parameters that can be trained, and orders that cannot be met."""
    import torch

    rng = np.random.default_rng(88)
    rows = _make_rows(rng, (3, 3, 2), ("BatchNormalization",), ("Flatten",), ("Dense", 2, "linear"))
    model, _ = attempt(answer, (rows, (3, 3, 2)))
    norms = [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    if norms and abs((norms[0].momentum or 0) - 0.01) > 1e-9:
        return not_yet(
            "The outputs are right; a batch norm would be trained with another momentum.",
            ("case", "BatchNormalization with momentum 0.99"),
            ("expected", "momentum=0.01"),
            ("got", f"momentum={norms[0].momentum}"),
            cause="Keras's momentum is the part that is kept, PyTorch's the part that is new.",
        )
    learned = [p for p in model.parameters() if p.requires_grad]
    if sum(p.numel() for p in learned) != 4 + 38:
        return not_yet(
            "The outputs are right; the parameters are not all there to be trained.",
            ("case", repr(rows)),
            ("expected", "4 + 38 values that require a gradient"),
            ("got", f"{sum(p.numel() for p in learned)}"),
            cause="Weights are to be an nn.Parameter of their layer: load_state_dict puts them "
            "there. The running statistics are buffers and are not counted.",
        )
    conv = {"filters": 1, "kernel_size": (3, 3), "strides": (2, 2), "padding": "same"}
    kernel = [np.zeros((3, 3, 1, 1), np.float32), np.zeros(1, np.float32)]
    for words, row in (
        ("a Conv2D with padding same and strides 2", ("Conv2D", conv, kernel)),
        ("a layer of the kind LSTM", ("LSTM", {"units": 3}, [])),
    ):
        _, error = attempt(answer, (Rows([row]), (4, 4, 1)))
        if not isinstance(error, ValueError):
            got = "no error" if error is None else raised(error).headline
            return not_yet(
                "The networks are right. One that cannot be converted was to be refused:",
                ("case", words),
                ("expected", "a ValueError"),
                ("got", got),
                cause='With a stride, "same" pads by an amount that depends on the image, and on '
                "one side more than on the other; padding=1 would see other windows."
                if row[0] == "Conv2D"
                else f"A kind of layer that has no rule must not be left out in silence; "
                f"{kind(error) if error else 'no error'} came.",
            )
    return None


EXERCISE = Exercise(
    id="08.7",
    title="A whole model from Keras",
    objective="rebuild a trained Keras model in PyTorch, weights, settings and traps included",
    level=3,
    minutes=45,
    points=7,
    hints=(
        "Walk through the rows and build a PyTorch layer for each. Keep a batch of zeros that you "
        "send through every layer as it is made: its shape tells the channels, and what a Flatten "
        "flattens. (In eval mode, or batch norm learns from the zeros.)",
        "Kernels: permute(3, 2, 0, 1). A Dense right after a Flatten of maps (C, H, W): reshape "
        "its matrix to (H, W, C, out), permute to (C, H, W, out), flatten the first three, "
        "transpose. Any other Dense: transpose.",
        "Batch norm: eps=epsilon, momentum=1 − momentum, and the four arrays are weight, bias, "
        "running_mean, running_var. Refuse what you have no rule for with a ValueError.",
    ),
    solution=sequential_from_keras,
    examine=_examine,
)
