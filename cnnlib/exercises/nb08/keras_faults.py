"""The judge of exercise 08.7, Keras's layers by their definitions, and with one thing changed."""

from collections.abc import Callable

import numpy as np

from cnnlib.exercises.verdicts import Misconception


def in_keras_axes(rows, input_shape, images):
    """The definition of each layer, in NumPy and in Keras's own axes, N H W C."""
    values = images.astype(np.float64)
    for name, settings, weights in rows:
        if name == "Conv2D":
            values = _conv(values, weights, settings)
        elif name == "MaxPooling2D":
            windows = _windows(values, settings["pool_size"], settings["strides"])
            values = windows.max(axis=(4, 5))
        elif name == "BatchNormalization":
            gamma, beta, mean, variance = weights
            values = (values - mean) / np.sqrt(variance + settings["epsilon"]) * gamma + beta
        elif name == "Flatten":
            values = values.reshape(len(values), -1)
        else:
            values = values @ weights[0] + (weights[1] if len(weights) > 1 else 0)
        if settings.get("activation") == "relu":
            values = np.maximum(values, 0)
    return values.astype(np.float32)


def _conv(values, weights, settings):
    if settings["padding"] == "same":
        sides = [(size // 2, size // 2) for size in settings["kernel_size"]]
        values = np.pad(values, ((0, 0), *sides, (0, 0)))
    windows = _windows(values, settings["kernel_size"], settings["strides"])
    output = np.einsum("nrcqij,ijqo->nrco", windows, weights[0])
    return output + (weights[1] if len(weights) > 1 else 0)


def _windows(values, size, strides):
    windows = np.lib.stride_tricks.sliding_window_view(values, size, axis=(1, 2))
    return windows[:, :: strides[0], :: strides[1]]


def _faulty(**fault) -> Callable:
    """The definition with one thing changed."""

    def wrong(rows, input_shape, images):
        changed, maps = [], np.zeros((1, *images.shape[1:]))  # zeros, as in a trial run
        flat = None
        for name, settings, weights in rows:
            weights = [np.array(w) for w in weights]
            if fault.get("no_relu"):
                settings = settings | {"activation": "linear"}
            if name == "Conv2D":
                weights[0] = fault.get("kernel", lambda k: k)(weights[0])
                settings = settings | fault.get("conv", {})
            if name == "Dense" and flat:
                weights[0] = fault.get("dense", lambda m, H, W, C: m)(weights[0], *flat)
                flat = None
            if name == "MaxPooling2D" and fault.get("pool_stride"):
                settings = settings | {"strides": settings["pool_size"]}
            if name == "BatchNormalization":
                settings = settings | fault.get("norm", {})
                weights = [weights[i] for i in fault.get("order", range(4))]
                if fault.get("drift"):
                    found = maps.mean(axis=(0, 1, 2)), maps.var(axis=(0, 1, 2), ddof=1)
                    weights[2:] = [
                        0.99 * w + 0.01 * f for w, f in zip(weights[2:], found, strict=True)
                    ]
                if fault.get("fresh"):
                    weights = [
                        np.full_like(w, n) for w, n in zip(weights, (1, 0, 0, 1), strict=True)
                    ]
            if name == "Flatten":
                flat = maps.shape[1:]
            changed.append((name, settings, weights))
            maps = in_keras_axes([(name, settings, weights)], None, maps)
        return in_keras_axes(changed, input_shape, images)

    return wrong


def _ours_for_theirs(matrix, H, W, C):
    """The Dense matrix with its rows left in Keras's order, for features in ours."""
    return matrix.reshape(C, H, W, -1).transpose(1, 2, 0, 3).reshape(H * W * C, -1)


def _other_way_round(matrix, H, W, C):
    moved = matrix.reshape(C, H, W, -1).transpose(1, 2, 0, 3).reshape(H * W * C, -1)
    return moved.reshape(C, H, W, -1).transpose(1, 2, 0, 3).reshape(H * W * C, -1)


def _read_on(kernel):
    """The kernel as if reshape had taken it to (O, C, kh, kw), back in Keras's axes."""
    kh, kw, C, O = kernel.shape
    return kernel.reshape(O, C, kh, kw).transpose(2, 3, 1, 0)


MISCONCEPTIONS = (
    Misconception(
        _faulty(dense=_ours_for_theirs),
        "The Dense after the Flatten was transposed, and that is all: its rows still stand in "
        "Keras's order (H, W, C), and our features come as (C, H, W). It takes the shape of the "
        "maps before the Flatten to put them in place.",
    ),
    Misconception(
        _faulty(dense=_other_way_round),
        "The rows of the Dense after the Flatten were rearranged the wrong way round: reshape to "
        "(H, W, C, out) first, then permute.",
    ),
    Misconception(
        _faulty(dense=lambda m, H, W, C: m.reshape(W, H, C, -1).swapaxes(0, 1).reshape(m.shape)),
        "Height and width of the maps before the Flatten have changed places.",
    ),
    Misconception(
        _faulty(kernel=_read_on),
        "The convolution's kernel was reshaped, so every weight is in a wrong place: permute moves "
        "axes, reshape only reads on.",
    ),
    Misconception(
        _faulty(kernel=lambda k: k[::-1, ::-1]),
        "The kernels were turned by 180°. Keras computes a cross-correlation too.",
    ),
    Misconception(
        _faulty(no_relu=True),
        "The activation is missing: in Keras it is a setting of the layer, in PyTorch a layer of "
        "its own, nn.ReLU().",
    ),
    Misconception(
        _faulty(conv={"padding": "valid"}),
        'The padding was not used: "same" is padding="same", or k // 2 for an odd kernel.',
    ),
    Misconception(
        _faulty(conv={"strides": (1, 1)}), "The strides of the convolution were not used."
    ),
    Misconception(
        _faulty(pool_stride=True),
        "The pooling's strides were not used; without them nn.MaxPool2d moves by its own size.",
    ),
    Misconception(
        _faulty(norm={"epsilon": 1e-5}),
        "PyTorch's eps of batch norm is 1e-5, Keras's 1e-3: hand it over.",
    ),
    Misconception(
        _faulty(fresh=True),
        "The batch norm did nothing: were its four arrays loaded? The running statistics are "
        "buffers, and they belong to the state_dict.",
    ),
    Misconception(
        _faulty(drift=True),
        "Batch norm's running statistics have moved: something was sent through it in train mode "
        "after its arrays were loaded. Use eval() for a trial run.",
    ),
    Misconception(
        _faulty(order=(1, 0, 2, 3)),
        "gamma and beta have changed places: Keras's order is gamma, beta, moving mean, moving "
        "variance, and PyTorch's names are weight, bias, running_mean, running_var.",
    ),
    Misconception(
        _faulty(order=(0, 1, 3, 2)), "Running mean and running variance have changed places."
    ),
)
