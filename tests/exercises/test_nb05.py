"""Notebook 05's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import math

import numpy as np
import pytest

from cnnlib import geometry, ops
from cnnlib.exercises import EXERCISES, examine

from .mutants import Mutant, survives, words, wrong

MUTANTS: list[Mutant] = []
IDS = [name for name in EXERCISES if name.startswith("05.")]


def mutant(exercise_id, *says, outcome="not yet"):
    return wrong(MUTANTS, exercise_id, *says, outcome=outcome)


# 05.1 linear(features, weight, bias=None)


@mutant("05.1", "matmul", outcome="error")
def does_not_transpose_the_weights(features, weight, bias=None):
    output = features @ weight
    return output if bias is None else output + bias


@mutant("05.1", "bias was not added")
def forgets_the_bias(features, weight, bias=None):
    return features.dot(weight.T)


@mutant("05.1", "as a column")
def adds_the_bias_as_a_column(features, weight, bias=None):
    output = features @ weight.T
    return output + bias[:, None] if bias is not None else output


@mutant("05.1", "NoneType", outcome="error")
def does_not_expect_none(features, weight, bias=None):
    return features @ weight.T + bias


@mutant("05.1", "ReLU is a step of its own")
def ends_in_a_relu(features, weight, bias=None):
    output = features @ weight.T
    if bias is not None:
        output += bias
    return output * (output > 0)


@mutant("05.1", "first image")
def reads_one_image(features, weight, bias=None):
    x = features[0]
    out = [sum(w * f for w, f in zip(row, x, strict=True)) for row in weight]
    return np.array([out]) if bias is None else np.array([out]) + bias


@mutant("05.1", "changed places")
def puts_outputs_first(features, weight, bias=None):
    output = weight @ features.T
    return output if bias is None else output + bias[:, None]


@mutant("05.1", "sum of all biases")
def adds_all_biases_everywhere(features, weight, bias=None):
    return features @ weight.T + (0 if bias is None else np.sum(bias))


@mutant("05.1", "once for every feature")
def adds_the_bias_inside_the_loop(features, weight, bias=None):
    output = np.zeros((len(features), len(weight)), dtype=features.dtype)
    for i in range(features.shape[1]):
        output += features[:, i : i + 1] * weight[:, i] + (0 if bias is None else bias)
    return output


@mutant("05.1", "changed its input")
def adds_the_bias_into_the_weights(features, weight, bias=None):
    output = features @ weight.T + (0 if bias is None else bias)
    features *= 0
    return output


@mutant("05.1", "dtype", "float32")
def returns_float64(features, weight, bias=None):
    output = np.zeros((len(features), len(weight)))
    output += features @ weight.T
    return output + (0 if bias is None else bias)


@mutant("05.1", "returned None")
def prints_the_outputs(features, weight, bias=None):
    str(features @ weight.T)


@mutant("05.1", "entry by entry")
def multiplies_entry_by_entry(features, weight, bias=None):
    return features * weight


# 05.2 dense_to_conv(weight, maps_shape)


@mutant("05.2", "channel varying fastest")
def reads_channels_last(weight, maps_shape):
    C, H, W = maps_shape
    return np.moveaxis(weight.reshape(-1, H, W, C), 3, 1)


@mutant("05.2", "rows and columns have changed places")
def exchanges_rows_and_columns(weight, maps_shape):
    C, H, W = maps_shape
    return weight.reshape(-1, C, W, H).transpose(0, 1, 3, 2)


@mutant("05.2", "turned by 180")
def flips_the_kernels(weight, maps_shape):
    return np.flip(weight.reshape(-1, *maps_shape), axis=(2, 3))


@mutant("05.2", "channels stand last")
def leaves_channels_last(weight, maps_shape):
    C, H, W = maps_shape
    return weight.reshape(-1, H, W, C)


@mutant("05.2", "kernels stand last")
def leaves_the_kernels_last(weight, maps_shape):
    return weight.T.reshape(*maps_shape, -1)


@mutant("05.2", "1×1")
def makes_kernels_of_one_by_one(weight, maps_shape):
    return weight[:, :, None, None]


@mutant("05.2", "(O, C, kh, kw), not (C, O, kh, kw)")
def puts_channels_first(weight, maps_shape):
    return np.swapaxes(weight.reshape(len(weight), *maps_shape), 0, 1)


@mutant("05.2", "transposed first")
def transposes_before_reshaping(weight, maps_shape):
    return weight.T.reshape(-1, *maps_shape)


@mutant("05.2", 'order="F"')
def reads_in_columns(weight, maps_shape):
    return np.reshape(weight, (len(weight), *maps_shape), order="F")


@mutant("05.2", "axis is missing")
def makes_one_kernel_only(weight, maps_shape):
    return weight.reshape(-1, *maps_shape[1:])


# 05.3 softmax(logits)


@mutant("05.3", "Subtract each row's largest score")
def divides_the_exponentials(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@mutant("05.3", "one maximum for the whole batch")
def subtracts_one_maximum(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum(axis=1, keepdims=True)


@mutant("05.3", "over the batch", "axis=1")
def subtracts_the_maximum_of_each_column(logits):
    powers = np.exp(logits - logits.max(axis=0))
    return powers / powers.sum(axis=1, keepdims=True)


@mutant("05.3", "mean was subtracted")
def subtracts_the_mean(logits):
    powers = np.exp(logits - logits.mean(axis=1)[:, None])
    return powers / powers.sum(axis=1)[:, None]


@mutant("05.3", "axis 0", "axis 1")
def sums_over_the_batch(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=0)


@mutant("05.3", "all rows together")
def sums_over_everything(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


@mutant("05.3", "all rows together")
def divides_by_the_sum_of_all_rows(logits):
    powers = np.exp(logits - logits.max(axis=1)[:, None])
    return powers / np.sum(powers)


@mutant("05.3", "exponentials come first")
def divides_the_scores(logits):
    return logits / logits.sum(axis=1, keepdims=True)


@mutant("05.3", "sigmoid")
def takes_the_sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


@mutant("05.3", "add up to 1")
def does_not_divide(logits):
    return np.exp(logits - logits.max(axis=1, keepdims=True))


@mutant("05.3", "logarithms")
def returns_logarithms(logits):
    return ops.log_softmax(logits)


@mutant("05.3", "sign is turned")
def turns_the_sign(logits):
    shifted = logits.min(axis=1, keepdims=True) - logits
    return np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)


@mutant("05.3", "powers of 2")
def takes_powers_of_two(logits):
    powers = np.exp2(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@mutant("05.3", "replaced by 0")
def hides_what_is_not_a_number(logits):
    return np.nan_to_num(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))


@mutant("05.3", "broadcast", outcome="error")
def forgets_keepdims(logits):
    powers = np.exp(logits - logits.max(axis=1))
    return powers / powers.sum(axis=1)


@mutant("05.3", "changed its input")
def shifts_in_place(logits):
    logits -= logits.max(axis=1, keepdims=True)
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


# 05.4 cross_entropy(logits, labels)


def checked(function):
    """A loss with the label checks in front of it."""

    def answer(logits, labels):
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError("labels must be integers")
        if labels.shape != (len(logits),) or (labels < 0).any():
            raise ValueError("bad labels")
        if (labels >= logits.shape[1]).any():
            raise ValueError("bad labels")
        return function(logits, labels)

    answer.__name__ = function.__name__
    return answer


def right_log(logits, labels):
    return np.log(ops.softmax(logits))[np.arange(len(labels)), labels]


@mutant("05.4", "largest score first")
@checked
def uses_the_naive_softmax(logits, labels):
    powers = np.exp(logits)
    p = powers / powers.sum(axis=1, keepdims=True)
    return -np.mean(np.log(p[range(len(labels)), labels]))


@mutant("05.4", "stay with logarithms")
@checked
def takes_the_logarithm_of_the_probability(logits, labels):
    return -right_log(logits, labels).mean()


@mutant("05.4", "caps the loss")
@checked
def adds_a_small_number(logits, labels):
    p = ops.softmax(logits)[np.arange(len(labels)), labels]
    return -np.log(p + 1e-12).mean()


@mutant("05.4", "caps the loss", "by force")
@checked
def clips_the_probability(logits, labels):
    p = ops.softmax(logits)[np.arange(len(labels)), labels]
    return -np.log(np.clip(p, 1e-15, 1)).mean()


@mutant("05.4", "sum over the batch")
@checked
def sums_the_losses(logits, labels):
    return -ops.log_softmax(logits)[np.arange(len(labels)), labels].sum()


@mutant("05.4", "sign")
@checked
def forgets_the_minus(logits, labels):
    return ops.log_softmax(logits)[np.arange(len(labels)), labels].mean()


@mutant("05.4", "base 2")
@checked
def takes_the_logarithm_to_base_two(logits, labels):
    return -ops.log_softmax(logits)[np.arange(len(labels)), labels].mean() / np.log(2)


@mutant("05.4", "number of classes")
@checked
def takes_the_mean_of_one_hot_rows(logits, labels):
    one_hot = np.eye(logits.shape[1])[labels]
    return -(one_hot * ops.log_softmax(logits)).mean()


@mutant("05.4", "N × N")
@checked
def picks_whole_columns(logits, labels):
    return -ops.log_softmax(logits)[:, labels].mean()


@mutant("05.4", "whatever the label")
@checked
def uses_the_largest_probability(logits, labels):
    return -ops.log_softmax(logits).max(axis=1).mean()


@mutant("05.4", "logarithm is missing")
@checked
def forgets_the_logarithm(logits, labels):
    return -ops.softmax(logits)[np.arange(len(labels)), labels].mean()


@mutant("05.4", "labels were not used")
@checked
def computes_the_entropy(logits, labels):
    p = ops.softmax(logits)
    return -(p * np.log(p)).sum() / len(p)


@mutant("05.4", "twice")
@checked
def applies_softmax_twice(logits, labels):
    return ops.softmax_cross_entropy(ops.softmax(logits), labels)


@mutant("05.4", "add the maximum back")
@checked
def shifts_only_inside_the_sum(logits, labels):
    largest = logits.max(axis=1, keepdims=True)
    sums = np.log(np.exp(logits - largest).sum(axis=1))
    return (sums - logits[np.arange(len(labels)), labels]).mean()


@mutant("05.4", "single images")
@checked
def returns_a_loss_for_each_image(logits, labels):
    return -ops.log_softmax(logits)[np.arange(len(labels)), labels]


@mutant("05.4", "over the batch")
@checked
def normalises_over_the_batch(logits, labels):
    return -ops.log_softmax(np.ascontiguousarray(logits.T)).T[np.arange(len(labels)), labels].mean()


@mutant("05.4", "assert always raises AssertionError")
def asserts_in_place_of_raising(logits, labels):
    assert labels.shape == (len(logits),)
    assert labels.min() >= 0
    assert labels.max() < logits.shape[1]
    return ops.softmax_cross_entropy(logits, labels)


@mutant("05.4", "labels [0, −1]", "last column")
def checks_no_labels(logits, labels):
    return -ops.log_softmax(logits)[np.arange(len(logits)), labels.astype(int)].mean()


@mutant("05.4", "labels [0, 3]", "another error", "IndexError")
def leaves_large_labels_to_numpy(logits, labels):
    if (labels < 0).any():
        raise ValueError("negative")
    return -ops.log_softmax(logits)[np.arange(len(logits)), labels].mean()


@mutant("05.4", "1 label for 2 images", "repeats a single label")
def checks_no_number_of_labels(logits, labels):
    if (labels < 0).any() or (labels >= logits.shape[1]).any():
        raise ValueError("no such class")
    return -ops.log_softmax(logits)[np.arange(len(logits)), labels].mean()


@mutant("05.4", "shape (2, 1)", "a column of labels")
def counts_the_labels_but_not_their_axes(logits, labels):
    if (labels < 0).any() or (labels >= logits.shape[1]).any() or len(labels) != len(logits):
        raise ValueError("no such class")
    return -ops.log_softmax(logits)[np.arange(len(logits)), labels].mean()


@mutant("05.4", "labels of float64", "a TypeError")
def takes_float_labels(logits, labels):
    if labels.shape != (len(logits),) or (labels < 0).any() or (labels >= logits.shape[1]).any():
        raise ValueError("no such class")
    return ops.softmax_cross_entropy(logits, labels.astype(int))


# 05.5 stack_table(layers, input_shape)


def table(**twist):
    """A table as a learner may write it; each twist is one thing that is wrong."""

    def fits(size, kernel):
        if kernel > size and not twist.get("unchecked"):
            raise ValueError("does not fit")

    def answer(layers, input_shape):
        shape, rows = input_shape, []
        for layer in layers:
            kind, parameters, macs = layer[0], 0, 0
            if kind == "conv":
                if len(shape) != 3:
                    raise ValueError("maps are wanted")
                (C, H, W), (O, k, s, p) = shape, layer[1:]
                p *= twist.get("sides", 2)
                s = twist.get("stride", s)
                fits(min(H, W) + p, k)
                h, w = (H + p - k) // s + 1, (W + p - k) // s + 1
                if twist.get("up"):
                    h, w = math.ceil((H + p - k) / s) + 1, math.ceil((W + p - k) / s) + 1
                reach = 1 if twist.get("flat_kernel") else C
                parameters = O * reach * k * k + {None: O, 0: 0, 1: 1}[twist.get("biases")]
                macs = O * reach * k * k * (H * W if twist.get("pixels") else h * w)
                macs += O * h * w if twist.get("bias_work") else 0
                shape = (O, w, h) if twist.get("turned") else (O, h, w)
            elif kind == "pool":
                (C, H, W), (k, s) = shape, layer[1:]
                s = k if twist.get("pool_stride") else s
                fits(min(H, W), k)
                shape = (C, (H - k) // s + 1, (W - k) // s + 1)
                macs = k * k * math.prod(shape) if twist.get("pool_work") else 0
            elif kind == "flatten":
                shape = (math.prod(shape),)
            elif kind == "linear":
                if len(shape) != 1:
                    if not twist.get("flattens"):
                        raise ValueError("flatten first")
                    shape = (math.prod(shape),)
                (out,) = layer[1:]
                parameters = out * shape[0] + {None: out, 0: 0, 1: 1}[twist.get("biases")]
                macs = out * shape[0] + (out if twist.get("bias_work") else 0)
                shape = (out,)
            rows.append(twist.get("row", lambda *row: row)(shape, parameters, macs))
        return twist.get("finish", lambda rows: rows)(rows)

    return answer


for name, says, twist in (
    ("forgets the biases", ("biases are missing",), {"biases": 0}),
    ("adds one bias a layer", ("one of its own",), {"biases": 1}),
    ("counts the bias as a product", ("added, not multiplied",), {"bias_work": True}),
    ("gives a kernel one channel", ("all channels",), {"flat_kernel": True}),
    ("pads one side", ("both sides",), {"sides": 1}),
    ("does not pad", ("padding was not used",), {"sides": 0}),
    ("takes stride one", ("stride",), {"stride": 1}),
    ("rounds up", ("round down",), {"up": True}),
    ("counts products at every pixel", ("values of the output",), {"pixels": True}),
    ("lets the pooling jump by its kernel", ("windows overlap",), {"pool_stride": True}),
    ("charges for the pooling", ("Pooling compares",), {"pool_work": True}),
    ("exchanges height and width", ("one convolution",), {"turned": True}),
    ("exchanges the counts", ("changed places",), {"row": lambda s, p, m: (s, m, p)}),
    ("writes the batch too", ("without the batch axis",), {"row": lambda s, p, m: ((1, *s), p, m)}),
    ("returns the last row", ("row for every layer",), {"finish": lambda rows: rows[-1]}),
    (
        "leaves out what costs nothing",
        ("Layers without parameters",),
        {"finish": lambda rows: [row for row in rows if row[1]]},
    ),
    ("lets any kernel in", ("before you divide",), {"unchecked": True}),
    ("flattens by itself", ("flattened first", "impossible one went through"), {"flattens": True}),
):
    MUTANTS.append(Mutant("05.5", name, table(**twist), says))


@mutant("05.5", "the input is none")
def writes_the_input_first(layers, input_shape):
    return [(input_shape, 0, 0), *table()(layers, input_shape)]


@mutant("05.5", "one row", "for each layer")
def returns_a_dictionary(layers, input_shape):
    return dict(zip(range(99), table()(layers, input_shape), strict=False))


@mutant("05.5", "one row", "for each layer")
def returns_totals_only(layers, input_shape):
    rows = table()(layers, input_shape)
    return sum(row[1] for row in rows), sum(row[2] for row in rows)


@mutant("05.5", "NameError", outcome="error")
def stops_at_the_first_convolution(layers, input_shape):
    return [kind_of_layer(layer) for layer in layers]  # noqa: F821


# 05.6 lenet(images, parameters)


def reader(**twist):
    """LeNet by windows and einsum; each twist is one thing that is wrong."""

    def bend(values):
        return np.where(values > 0, values, 0).astype(values.dtype)

    def answer(images, parameters):
        x = images
        for n, pad in (("0", twist.get("pad", 2)), ("3", 0)):
            w, b = parameters[f"{n}.weight"], parameters[f"{n}.bias"]
            x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
            windows = np.lib.stride_tricks.sliding_window_view(x, (5, 5), axis=(2, 3))
            x = np.einsum("nchwij,ocij->nohw", windows, w) + b[:, None, None]
            x = x if twist.get("bare_conv") else bend(x)
            x = x.reshape(*x.shape[:2], x.shape[2] // 2, 2, -1, 2)
            x = x.mean(axis=(3, 5)) if twist.get("mean") else x.max(axis=(3, 5))
        x = twist.get("order", lambda x: x)(x).reshape(len(x), -1)
        for n in ("7", "9", "11"):
            x = x @ parameters[f"{n}.weight"].T
            x = x if twist.get("no_bias") else x + parameters[f"{n}.bias"]
            if n != "11" or twist.get("last"):
                x = x if twist.get("bare_linear") else bend(x)
        return twist.get("finish", lambda x: x)(x)

    return answer


for name, says, twist in (
    (
        "has no ReLU at all",
        ("One follows each layer with weights",),
        {"bare_conv": True, "bare_linear": True},
    ),
    ("has no ReLU after the convolutions", ("two convolutions",), {"bare_conv": True}),
    ("has no ReLU at the end", ("layers 7 and 9",), {"bare_linear": True}),
    ("bends the scores too", ("may be negative",), {"last": True}),
    ("returns probabilities", ("returns the logits",), {"finish": ops.softmax}),
    ("pools by the mean", ("takes the mean",), {"mean": True}),
    (
        "flattens channels last",
        ("channel last",),
        {"order": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1))},
    ),
    (
        "flattens column by column",
        ("Rows and columns",),
        {"order": lambda x: np.ascontiguousarray(x.swapaxes(2, 3))},
    ),
    ("returns the answers", ("(N, 10)",), {"finish": lambda x: x.argmax(axis=1)}),
    ("returns one image", ("first image",), {"finish": lambda x: x[:1]}),
):
    MUTANTS.append(Mutant("05.6", name, reader(**twist), says))


@mutant("05.6", "ValueError", outcome="error")
def forgets_the_padding(images, parameters):
    maps = ops.conv2d(images, parameters["0.weight"], parameters["0.bias"])
    maps = ops.max_pool2d(ops.relu(maps), 2)
    maps = ops.conv2d(maps, parameters["3.weight"], parameters["3.bias"])
    maps = ops.max_pool2d(ops.relu(maps), 2)
    return ops.linear(maps.reshape(len(maps), -1), parameters["7.weight"], parameters["7.bias"])


@mutant("05.6", "KeyError", outcome="error")
def uses_names_that_are_not_there(images, parameters):
    return ops.conv2d(images, parameters["conv1.weight"], padding=2)


@mutant("05.6", "bias of layer 3")
def forgets_one_bias(images, parameters):
    return reader()(images, {**parameters, "3.bias": parameters["3.bias"] * 0})


@mutant("05.6", "divided by 255")
def scales_the_images(images, parameters):
    return reader()(images / images.dtype.type(255), parameters)


@mutant("05.6", "expected features", outcome="error")
def forgets_to_flatten(images, parameters):
    maps = ops.relu(ops.conv2d(images, parameters["0.weight"], parameters["0.bias"], padding=2))
    return ops.linear(maps, parameters["7.weight"], parameters["7.bias"])


# 05.7 from_keras(conv_kernel, dense_kernel, maps_shape)


def conv_right(kernel):
    return np.moveaxis(kernel, (3, 2), (0, 1))


def dense_right(matrix, C, H, W):
    maps = np.moveaxis(matrix.T.reshape(-1, H, W, C), 3, 1)
    return maps.reshape(len(maps), -1)


def carried(conv=conv_right, dense=dense_right):
    return lambda kernel, matrix, maps_shape: (conv(kernel), dense(matrix, *maps_shape))


def reshaped(kernel):
    kh, kw, C, O = kernel.shape
    return np.reshape(kernel, (O, C, kh, kw))


for name, says, conv, dense in (
    ("only transposes the matrix", ("that is all",), None, lambda m, *s: m.T),
    ("reshapes the kernel", ("kernel was reshaped", "part: 1"), reshaped, None),
    ("reverses all axes of the kernel", ("rows and columns",), lambda k: k.T, None),
    (
        "puts channels before outputs",
        ("the output comes first",),
        lambda k: np.moveaxis(k, (2, 3), (0, 1)),
        None,
    ),
    (
        "flips the kernel",
        ("nothing is flipped",),
        lambda k: conv_right(k)[:, :, ::-1, ::-1],
        None,
    ),
    ("leaves the kernel", ("kernel came back as it was",), lambda k: k, None),
    (
        "rearranges the wrong way round",
        ("wrong way round",),
        None,
        lambda m, C, H, W: m.T.reshape(-1, C, H, W).transpose(0, 2, 3, 1).reshape(-1, C * H * W),
    ),
    (
        "exchanges rows and columns of the maps",
        ("column varies fastest",),
        None,
        lambda m, C, H, W: m.T.reshape(-1, H, W, C).transpose(0, 3, 2, 1).reshape(-1, C * H * W),
    ),
    (
        "takes height for width",
        ("taken for each other",),
        None,
        lambda m, C, H, W: m.T.reshape(-1, W, H, C).transpose(0, 3, 2, 1).reshape(-1, C * H * W),
    ),
    (
        "forgets the last transpose",
        ("Keras's shape",),
        None,
        lambda m, *s: dense_right(m, *s).T,
    ),
    (
        "reshapes the matrix",
        ("reshaped from (in, out)",),
        None,
        lambda m, C, H, W: m.reshape(-1, C * H * W),
    ),
    ("leaves the matrix", ("dense matrix came back",), None, lambda m, *s: m),
    (
        "does both halves wrong",
        ("kernel was reshaped", "that is all"),
        reshaped,
        lambda m, *s: m.T,
    ),
):
    MUTANTS.append(Mutant("05.7", name, carried(conv or conv_right, dense or dense_right), says))


@mutant("05.7", "2 results are wanted")
def returns_only_the_convolution(conv_kernel, dense_kernel, maps_shape):
    return conv_right(conv_kernel)


@mutant("05.7", "wrong order")
def returns_the_matrix_first(conv_kernel, dense_kernel, maps_shape):
    return carried()(conv_kernel, dense_kernel, maps_shape)[::-1]


# 05.8 digit_map(canvas, parameters)


def scan(**twist):
    """The whole network as convolutions; each twist is one thing that is wrong."""

    def answer(canvas, parameters):
        x = canvas
        for n in "03":
            x = ops.conv2d(x, parameters[n + ".weight"], parameters[n + ".bias"])
            x = x if twist.get("bare") else np.maximum(x, 0)
            x = ops.max_pool2d(x, 2)
        w = parameters["7.weight"]
        kernel = twist.get("kernel", lambda w, C: w.reshape(-1, C, 5, 5))(w, x.shape[1])
        bias = None if twist.get("no_bias") else parameters["7.bias"]
        x = ops.conv2d(x, np.ascontiguousarray(kernel), bias, stride=twist.get("stride", 1))
        return twist.get("finish", lambda x: x)(x)

    return answer


def by_crops(size=26, jump=4):
    def answer(canvas, parameters):
        N, _, H, W = canvas.shape
        rows, columns = (H - size) // jump + 1, (W - size) // jump + 1
        output = np.zeros((N, len(parameters["7.bias"]), rows, columns), dtype=canvas.dtype)
        for r, c in np.ndindex(rows, columns):
            crop = canvas[:, :, jump * r : jump * r + 26, jump * c : jump * c + 26]
            output[:, :, r, c] = scan()(crop, parameters)[:, :, 0, 0]
        return output

    return answer


for name, says, answer in (
    ("has no ReLU", ("ReLUs are missing",), scan(bare=True)),
    ("bends the scores", ("may be negative",), scan(finish=lambda x: np.maximum(x, 0))),
    (
        "reads the weights channels last",
        ("channel varying fastest",),
        scan(kernel=lambda w, C: w.reshape(-1, 5, 5, C).transpose(0, 3, 1, 2)),
    ),
    (
        "exchanges rows and columns",
        ("rows and columns",),
        scan(kernel=lambda w, C: w.reshape(-1, C, 5, 5).swapaxes(2, 3)),
    ),
    (
        "flips the last kernel",
        ("180",),
        scan(kernel=lambda w, C: w.reshape(-1, C, 5, 5)[:, :, ::-1, ::-1]),
    ),
    ("forgets the last bias", ("last layer's bias",), scan(no_bias=True)),
    ("jumps by the kernel", ("stride 1",), scan(stride=5)),
    (
        "gives one answer for all",
        ("whole canvas got one answer",),
        scan(finish=lambda x: x.mean(axis=(2, 3), keepdims=True)),
    ),
    ("returns the answers", ("scores of all classes",), scan(finish=lambda x: x.argmax(axis=1))),
    (
        "puts the classes last",
        ("classes stand last",),
        scan(finish=lambda x: np.moveaxis(x, 1, -1)),
    ),
    ("counts cut-outs of 28", ("one more place",), by_crops(size=28)),
    ("cuts side by side", ("side by side",), by_crops(size=28, jump=28)),
    ("steps by two", ("2 pixels apart",), by_crops(jump=2)),
    ("steps by one", ("at every pixel",), by_crops(jump=1)),
):
    MUTANTS.append(Mutant("05.8", name, answer, says))


@mutant("05.8", "expected weight", outcome="error")
def flattens_the_whole_canvas(canvas, parameters):
    x = canvas
    for n in "03":
        x = ops.conv2d(x, parameters[n + ".weight"], parameters[n + ".bias"])
        x = ops.max_pool2d(ops.relu(x), 2)
    logits = ops.linear(x.reshape(len(x), -1), parameters["7.weight"], parameters["7.bias"])
    return logits[:, :, None, None]


@mutant("05.8", "reshape", outcome="error")
def expects_thirty_two_channels(canvas, parameters):
    return scan(kernel=lambda w, C: w.reshape(10, 32, 5, 5))(canvas, parameters)


# right answers, written in another way than the solution


def linear_by_loops(features, weight, bias=None):
    rows = [[sum(f * w for f, w in zip(x, row, strict=True)) for row in weight] for x in features]
    output = np.array(rows, dtype=features.dtype)
    return output if bias is None else output + bias[None]


def linear_by_torch(features, weight, bias=None):
    import torch

    arrays = [None if a is None else torch.from_numpy(a) for a in (features, weight, bias)]
    return torch.nn.functional.linear(*arrays)


def kernels_by_loops(weight, maps_shape):
    C, H, W = maps_shape
    kernels = np.empty((len(weight), C, H, W), dtype=weight.dtype)
    for o, c, r, k in np.ndindex(kernels.shape):
        kernels[o, c, r, k] = weight[o, c * H * W + r * W + k]
    return kernels


def softmax_by_differences(logits):
    """1 / Σ_j e^(z_j − z_k), which needs no maximum."""
    with np.errstate(over="ignore"):
        return 1 / np.exp(logits[:, None, :] - logits[:, :, None]).sum(axis=2)


def softmax_by_torch(logits):
    import torch

    return torch.softmax(torch.from_numpy(logits), dim=1)


@checked
def loss_by_logaddexp(logits, labels):
    return float(
        np.mean([np.logaddexp.reduce(z) - z[y] for z, y in zip(logits, labels, strict=True)])
    )


@checked
def loss_by_torch(logits, labels):
    import torch

    return torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))


def table_by_geometry(layers, input_shape):
    rows, shape = [], input_shape
    for kind, *settings in layers:
        parameters = macs = 0
        if kind == "conv":
            C, *size = shape
            O, k, s, p = settings
            parameters = geometry.num_parameters(C, O, k)
            macs = geometry.num_macs(tuple(size), C, O, k, stride=s, padding=p)
            shape = [O, *geometry.conv_output_size(tuple(size), k, stride=s, padding=p)]
        elif kind == "pool":
            shape = [shape[0], *geometry.pool_output_size(tuple(shape[1:]), *settings)]
        elif kind == "flatten":
            shape = [int(np.prod(shape))]
        elif kind == "linear":
            (features,) = shape
            macs = features * settings[0]
            parameters, shape = macs + settings[0], settings
        rows.append([list(shape), parameters, macs])
    return rows


def lenet_by_torch(images, parameters):
    import torch
    from torch import nn

    model = nn.Sequential(
        nn.Conv2d(*parameters["0.weight"].shape[1::-1], 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(*parameters["3.weight"].shape[1::-1], 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(*parameters["7.weight"].shape[::-1]), nn.ReLU(),
        nn.Linear(*parameters["9.weight"].shape[::-1]), nn.ReLU(),
        nn.Linear(*parameters["11.weight"].shape[::-1]),
    ).to(torch.from_numpy(images).dtype)  # fmt: skip
    model.load_state_dict({name: torch.from_numpy(p) for name, p in parameters.items()})
    return model(torch.from_numpy(images))


def lenet_that_pools_first(images, parameters):
    """ReLU and maximum may change places: the larger of two stays the larger."""
    maps = images
    for n, padding in ((0, 2), (3, 0)):
        maps = ops.conv2d(maps, parameters[f"{n}.weight"], parameters[f"{n}.bias"], padding=padding)
        maps = ops.relu(ops.max_pool2d(maps, 2))
    maps = maps.reshape(len(images), -1)
    for n in (7, 9, 11):
        maps = maps @ parameters[f"{n}.weight"].T + parameters[f"{n}.bias"]
        maps = maps.clip(0) if n < 11 else maps
    return maps


def keras_by_order(conv_kernel, dense_kernel, maps_shape):
    """Which of Keras's features stands where in ours: flatten the numbers of the places."""
    C, H, W = maps_shape
    order = np.arange(C * H * W).reshape(H, W, C).transpose(2, 0, 1).ravel()
    return [np.einsum("ijco->ocij", conv_kernel), dense_kernel[order].T]


ACCEPTED = [
    ("05.1", linear_by_loops),
    ("05.1", linear_by_torch),
    ("05.1", ops.linear),
    ("05.2", kernels_by_loops),
    ("05.3", softmax_by_differences),
    ("05.3", softmax_by_torch),
    ("05.3", ops.softmax),
    ("05.4", loss_by_logaddexp),
    ("05.4", loss_by_torch),
    ("05.4", ops.softmax_cross_entropy),
    ("05.5", table()),
    ("05.5", table_by_geometry),
    ("05.6", reader()),
    ("05.6", lenet_by_torch),
    ("05.6", lenet_that_pools_first),
    ("05.7", carried()),
    ("05.7", keras_by_order),
    ("05.8", scan()),
    ("05.8", by_crops()),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_wrong_answer_is_rejected_and_its_cause_named(mutant):
    assert survives(mutant) == ""


@pytest.mark.parametrize("exercise_id", IDS)
def test_there_are_at_least_ten_wrong_answers(exercise_id):
    assert sum(mutant.exercise_id == exercise_id for mutant in MUTANTS) >= 10


@pytest.mark.parametrize(
    ("exercise_id", "answer"), ACCEPTED, ids=lambda p: getattr(p, "__name__", p)
)
def test_right_answer_in_another_way_is_accepted(exercise_id, answer):
    verdict = examine(exercise_id, answer)
    assert verdict.outcome == "correct", words(verdict)
