"""Illegal calls of the dense, the normalising and the backward operations say what is wrong."""

import numpy as np
import pytest
import torch

from cnnlib import ops

IMAGES = np.zeros((2, 4, 6, 6))
WEIGHT = np.zeros((8, 4, 3, 3))
GRAD = np.zeros((2, 8, 4, 4))
POOLED = np.zeros((2, 4, 3, 3))
FEATURES, MATRIX = np.zeros((3, 4)), np.zeros((5, 4))
LOGITS, LABELS = np.zeros((3, 4)), np.array([0, 1, 3])
ONE, RNG = np.ones(4), np.random.default_rng(0)


def conv(grad_out=GRAD, images=IMAGES, weight=WEIGHT, **settings):
    return ops.conv2d_backward(grad_out, images, weight, **settings)


def max_pool(grad_out=POOLED, images=IMAGES, kernel_size=2, **settings):
    return ops.max_pool2d_backward(grad_out, images, kernel_size, **settings)


def avg_pool(grad_out=POOLED, images_shape=IMAGES.shape, kernel_size=2, **settings):
    return ops.avg_pool2d_backward(grad_out, images_shape, kernel_size, **settings)


def linear(features=FEATURES, weight=MATRIX, bias=None):
    return ops.linear(features, weight, bias)


def linear_backward(grad_out=np.zeros((3, 5)), features=FEATURES, weight=MATRIX):  # noqa: B008
    return ops.linear_backward(grad_out, features, weight)


def relu_backward(grad_out=FEATURES, values=FEATURES):
    return ops.relu_backward(grad_out, values)


def dropout(values=FEATURES, p=0.5, training=True):
    return ops.dropout(values, p, training=training, rng=RNG)


def dropout_backward(grad_out=FEATURES, mask=FEATURES):
    return ops.dropout_backward(grad_out, mask)


def loss(logits=LOGITS, labels=LABELS):
    return ops.softmax_cross_entropy(logits, labels)


def loss_backward(logits=LOGITS, labels=LABELS, grad_out=1.0):
    return ops.softmax_cross_entropy_backward(grad_out, logits, labels)


def norm(images=IMAGES, mean=ONE, var=ONE, weight=None, bias=None, **settings):
    return ops.batch_norm(images, mean, var, weight, bias, **settings)


def norm_backward(images=IMAGES, mean=ONE, var=ONE, weight=None, grad_out=IMAGES, **settings):
    return ops.batch_norm_backward(grad_out, images, mean, var, weight, **settings)


BACKWARD = [conv, max_pool, avg_pool, linear_backward, relu_backward, dropout_backward]
ALL = [*BACKWARD, linear, dropout, loss, loss_backward, norm, norm_backward]


@pytest.mark.parametrize("operation", ALL)
def test_the_defaults_are_legal(operation):
    operation()


@pytest.mark.parametrize("operation", [*BACKWARD, norm_backward])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda grad: grad[:1],
            ValueError,
            r"grad_out of the output's shape \(.*use the arguments",
        ),
        (lambda grad: grad[..., :-1], ValueError, "grad_out of the output's shape"),
        (lambda grad: grad[None], ValueError, "grad_out of the output's shape"),
        (lambda grad: grad[0, 0, ..., None], ValueError, "grad_out of the output's shape"),
        (lambda grad: grad.tolist(), TypeError, "grad_out as a NumPy array, got list"),
        (torch.from_numpy, TypeError, "grad_out as a NumPy array, got Tensor"),
        (lambda grad: 1.0, TypeError, "grad_out as a NumPy array, got float"),
        (lambda grad: None, TypeError, "got NoneType"),
        (lambda grad: grad.astype(int), TypeError, "grad_out of float32 or float64, got int64"),
        (lambda grad: grad.astype(np.float16), TypeError, "grad_out of float32 or float64"),
        (lambda grad: grad.astype(complex), TypeError, "grad_out of real numbers"),
    ],
)
def test_grad_out(operation, change, error, message):
    shapes = {conv: GRAD, max_pool: POOLED, avg_pool: POOLED, linear_backward: np.zeros((3, 5))}
    grad = shapes.get(operation, IMAGES if operation is norm_backward else FEATURES)
    with pytest.raises(error, match=message):
        operation(grad_out=change(grad))


@pytest.mark.parametrize("operation", [conv, max_pool, linear_backward, relu_backward])
def test_grad_out_of_another_float_dtype(operation):
    grad = {conv: GRAD, max_pool: POOLED, linear_backward: np.zeros((3, 5))}.get(
        operation, FEATURES
    )
    with pytest.raises(TypeError, match=r"grad_out of the same dtype .*float64, got float32"):
        operation(grad_out=grad.astype(np.float32))


@pytest.mark.parametrize("operation", [conv, max_pool])
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (IMAGES[0], ValueError, r"single image use images\[None\]"),
        (IMAGES[:, :0], ValueError, "C, H and W of at least 1"),
        (IMAGES.tolist(), TypeError, "images as a NumPy array"),
        (IMAGES.astype(int), TypeError, "images of float32 or float64"),
        (IMAGES.astype(bool), TypeError, "images of real numbers"),
    ],
)
def test_images(operation, images, error, message):
    with pytest.raises(error, match=message):
        operation(images=images)


@pytest.mark.parametrize("operation", [conv, max_pool, avg_pool])
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"stride": 0}, ValueError, "expected stride to be at least 1"),
        ({"stride": 1.5}, TypeError, "expected stride to be an integer"),
        ({"stride": 3}, ValueError, "grad_out of the output's shape"),
        ({"padding": -1}, ValueError, "expected padding to be at least 0"),
        ({"padding": 1}, ValueError, "grad_out of the output's shape"),
        ({"padding": None}, TypeError, "expected padding to be an integer"),
    ],
)
def test_settings_of_windows(operation, settings, error, message):
    with pytest.raises(error, match=message):
        operation(**settings)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: conv(dilation=0), ValueError, "expected dilation to be at least 1"),
        (lambda: conv(dilation=2), ValueError, "grad_out of the output's shape"),
        (lambda: conv(dilation=3), ValueError, "spans 7 × 7"),
        (lambda: conv(groups=2), ValueError, "4 channels and groups=2"),
        (lambda: conv(groups=0), ValueError, "groups to be at least 1"),
        (lambda: conv(padding="Same"), ValueError, '"valid" or "same"'),
        (lambda: conv(padding="same", stride=2), ValueError, 'stride 1 with padding="same"'),
        (lambda: conv(weight=WEIGHT[:, :3]), ValueError, "which is for 3 channels"),
        (lambda: conv(weight=WEIGHT[0]), ValueError, r"weight \(O, C / groups, kh, kw\)"),
        (lambda: conv(weight=WEIGHT.astype(np.float32)), TypeError, "weight of the same dtype"),
        (lambda: conv(weight=None), TypeError, "weight as a NumPy array"),
        (lambda: max_pool(dilation=0), ValueError, "expected dilation to be at least 1"),
        (lambda: max_pool(kernel_size=7), ValueError, "spans 7 × 7"),
        (lambda: max_pool(kernel_size=0), ValueError, "kernel_size to be at least 1"),
        (lambda: max_pool(padding=2), ValueError, "at most half the kernel"),
        (lambda: max_pool(padding="same"), TypeError, "padding to be an integer"),
        (lambda: avg_pool(kernel_size=7), ValueError, "spans 7 × 7"),
        (lambda: avg_pool(kernel_size=2.0), TypeError, "kernel_size to be an integer"),
        (lambda: avg_pool(padding=2), ValueError, "at most half the kernel"),
        (lambda: avg_pool(images_shape=(4, 6, 6)), ValueError, r"\(N, C, H, W\), got \(4, 6, 6\)"),
        (lambda: avg_pool(images_shape=IMAGES), TypeError, "got ndarray; use images.shape"),
        (lambda: avg_pool(images_shape=6), TypeError, "got int; use images.shape"),
        (lambda: avg_pool(images_shape=(2, 4, 6, 0)), ValueError, "image size to be at least 1"),
        (lambda: avg_pool(images_shape=(2, 4, 6, 6.0)), TypeError, "image size to be an integer"),
        (lambda: linear(IMAGES), ValueError, r"flatten images with features.reshape\(len"),
        (lambda: linear(FEATURES[0]), ValueError, r"expected features \(N, F\), got \(4,\)"),
        (lambda: linear(FEATURES[:, :0]), ValueError, r"got \(3, 0\)"),
        (lambda: linear(FEATURES.tolist()), TypeError, "features as a NumPy array, got list"),
        (lambda: linear(FEATURES.astype(int)), TypeError, "features of float32 or float64"),
        (lambda: linear(weight=MATRIX.T), ValueError, r"with 4 in_features, got \(4, 5\)"),
        (lambda: linear(weight=MATRIX[0]), ValueError, r"\(out_features, in_features\)"),
        (lambda: linear(weight=MATRIX[:0]), ValueError, r"got \(0, 4\)"),
        (lambda: linear(weight=MATRIX.astype(np.float32)), TypeError, "weight of the same dtype"),
        (lambda: linear(bias=np.zeros(4)), ValueError, r"expected bias \(5,\), got \(4,\)"),
        (lambda: linear(bias=np.zeros((1, 5))), ValueError, r"got \(1, 5\)"),
        (lambda: linear(bias=np.zeros(5, np.float32)), TypeError, "bias of the same dtype"),
        (lambda: linear_backward(weight=MATRIX.T), ValueError, "with 4 in_features"),
        (lambda: linear_backward(features=IMAGES), ValueError, "flatten images"),
        (lambda: ops.relu(FEATURES.astype(int)), TypeError, "values of float32 or float64"),
        (lambda: ops.relu([1.0]), TypeError, "values as a NumPy array, got list"),
        (lambda: relu_backward(values=[1.0]), TypeError, "values as a NumPy array, got list"),
        (lambda: ops.softmax(LOGITS[0]), ValueError, r"expected logits \(N, F\), got \(4,\)"),
        (lambda: ops.softmax(LOGITS.astype(int)), TypeError, "logits of float32 or float64"),
        (lambda: ops.log_softmax(IMAGES), ValueError, r"logits.reshape\(len\(logits\)"),
        (lambda: ops.log_softmax(None), TypeError, "logits as a NumPy array, got NoneType"),
        (lambda: dropout(p=1.1), ValueError, "probability p of 0 to 1, got 1.1"),
        (lambda: dropout(p=-0.1), ValueError, "probability p of 0 to 1, got -0.1"),
        (lambda: dropout(p=np.nan), ValueError, "probability p of 0 to 1, got nan"),
        (lambda: dropout(FEATURES.astype(int)), TypeError, "values of float32 or float64"),
        (lambda: dropout_backward(mask=FEATURES > 0), TypeError, "mask of real numbers"),
        (lambda: dropout_backward(mask=FEATURES.astype(int)), TypeError, "mask of float32"),
    ],
)
def test_what_does_not_go_together(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("operation", [loss, loss_backward])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"labels": LABELS[:2]}, ValueError, r"labels \(3,\) for logits \(3, 4\).* got \(2,\)"),
        ({"labels": LABELS[:, None]}, ValueError, r"got \(3, 1\)"),
        ({"labels": np.eye(4, dtype=int)[LABELS]}, ValueError, r"got \(3, 4\)"),
        ({"labels": np.eye(4)[LABELS]}, TypeError, r"integers, got float64; .*argmax\(axis=1\)"),
        ({"labels": LABELS > 0}, TypeError, "integers, got bool"),
        ({"labels": [0, 1, 3]}, TypeError, "integers, got list"),
        ({"labels": np.array([0, 1, 4])}, ValueError, "labels of 0 to 3, got 0 to 4"),
        ({"labels": np.array([0, -1, 3])}, ValueError, "labels of 0 to 3, got -1 to 3"),
        ({"logits": LOGITS[:0], "labels": LABELS[:0]}, ValueError, "at least one"),
        ({"logits": LOGITS[0]}, ValueError, r"expected logits \(N, F\)"),
        ({"logits": LOGITS.tolist()}, TypeError, "logits as a NumPy array"),
        ({"logits": LOGITS.astype(int)}, TypeError, "logits of float32 or float64"),
    ],
)
def test_cross_entropy(operation, arguments, error, message):
    with pytest.raises(error, match=message):
        operation(**arguments)


@pytest.mark.parametrize("grad_out", [np.ones(3), np.ones((3, 4)), "1", None])
def test_the_loss_has_one_gradient(grad_out):
    with pytest.raises((TypeError, ValueError), match="expected grad_out as one number"):
        loss_backward(grad_out=grad_out)


@pytest.mark.parametrize("operation", [norm, norm_backward])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"images": IMAGES[0]}, ValueError, r"\(N, C, H, W\) or \(N, C\), got \(4, 6, 6\)"),
        ({"images": IMAGES[:0]}, ValueError, r"got \(0, 4, 6, 6\)"),
        ({"images": IMAGES[:, :, :0]}, ValueError, r"got \(2, 4, 0, 6\)"),
        ({"images": IMAGES.astype(int)}, TypeError, "images of float32 or float64"),
        ({"images": IMAGES.tolist()}, TypeError, "images as a NumPy array"),
        ({"mean": np.ones(3)}, ValueError, r"running_mean \(4,\) for 4 channels, got \(3,\)"),
        ({"var": np.ones((1, 4, 1, 1))}, ValueError, r"running_var \(4,\)"),
        ({"mean": np.ones(4, np.float32)}, TypeError, "running_mean of the same dtype"),
        ({"var": [1.0] * 4}, TypeError, "running_var as a NumPy array"),
        ({"weight": np.ones(3)}, ValueError, r"weight \(4,\)"),
        ({"weight": np.ones(4, np.float32)}, TypeError, "weight of the same dtype"),
        ({"mean": None}, ValueError, "running_mean and running_var both, or neither"),
        ({"var": None, "training": True}, ValueError, "both, or neither"),
        ({"mean": None, "var": None}, ValueError, "when not training, got None"),
    ],
)
def test_batch_norm(operation, arguments, error, message):
    with pytest.raises(error, match=message):
        operation(**arguments)


@pytest.mark.parametrize("operation", [norm, norm_backward])
@pytest.mark.parametrize("shape", [(1, 4), (1, 4, 1, 1)])
def test_one_value_a_channel_cannot_be_normalised(operation, shape):
    one = {"images": np.ones(shape), "training": True}
    if operation is norm_backward:
        one["grad_out"] = np.ones(shape)
    with pytest.raises(ValueError, match="more than one value a channel when training"):
        operation(**one)


def test_a_bias_of_batch_norm_that_does_not_fit():
    with pytest.raises(ValueError, match=r"expected bias \(4,\) for 4 channels, got \(3,\)"):
        norm(bias=np.ones(3))
    with pytest.raises(TypeError, match="bias of the same dtype"):
        norm(bias=np.ones(4, np.float32))
