"""The NumPy layers beside torch.nn's: names, numbers, modes, and twenty steps of training."""

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlib import layers, ops

IMAGES = np.random.default_rng(0).standard_normal((6, 4, 13, 11))
LABELS = np.array([0, 3, 1, 2, 4, 0])


def ours_and_torchs(bias=True):
    """The same network twice, with the same float64 weights."""
    rng = np.random.default_rng(3)
    kinds = {"rng": rng, "dtype": np.float64}
    ours = layers.Sequential(
        layers.Conv2d(4, 6, 3, padding=1, groups=2, bias=bias, **kinds),
        layers.BatchNorm2d(6, momentum=0.2, dtype=np.float64),
        layers.ReLU(),
        layers.MaxPool2d(3, 2, 1),
        layers.Conv2d(6, 4, (3, 2), stride=(1, 2), dilation=(2, 1), **kinds),
        layers.ReLU(),
        layers.AvgPool2d(2, 1, 1, count_include_pad=False),
        layers.Dropout(0.5, rng=rng),
        layers.Flatten(),
        layers.Linear(4 * 4 * 4, 5, bias=bias, **kinds),
    )
    theirs = nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=bias),
        nn.BatchNorm2d(6, momentum=0.2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(6, 4, (3, 2), stride=(1, 2), dilation=(2, 1)),
        nn.ReLU(),
        nn.AvgPool2d(2, 1, 1, count_include_pad=False),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(4 * 4 * 4, 5, bias=bias),
    ).double()
    for parameter in ours.parameters.values():
        parameter += 0.1 * rng.standard_normal(parameter.shape)  # biases and scales, too
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.copy_(torch.from_numpy(ours.parameters[name]))
    return ours, theirs


def set_modes(ours, theirs, training):
    """Both train or do not; dropout never does, since its draws differ."""
    ours.train(training)
    theirs.train(training)
    ours.layers[7].training = False
    theirs[7].eval()


def assert_same(mine, theirs):
    np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("bias", [True, False])
def test_parameters_are_named_and_ordered_as_torchs(bias):
    ours, theirs = ours_and_torchs(bias)
    expected = {name: tuple(p.shape) for name, p in theirs.named_parameters()}
    assert {name: p.shape for name, p in ours.parameters.items()} == expected
    assert list(ours.parameters) == list(expected)
    assert list(ours.gradients) == list(expected)


def test_a_sequential_in_a_sequential_is_named_and_told_as_torchs():
    rng = np.random.default_rng(0)
    inner = layers.Sequential(layers.Linear(3, 2, rng=rng), layers.Dropout(rng=rng))
    model = layers.Sequential(layers.Flatten(), inner)
    theirs = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(3, 2), nn.Dropout()))
    assert list(model.parameters) == [name for name, _ in theirs.named_parameters()]
    model.train(False)
    assert not inner.layers[1].training
    model.train()
    assert inner.layers[1].training


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_forward_and_every_gradient_are_torchs(training, bias):
    ours, theirs = ours_and_torchs(bias)
    set_modes(ours, theirs, training)
    images = torch.from_numpy(IMAGES).requires_grad_()
    logits, expected = ours.forward(IMAGES), theirs(images)
    assert_same(logits, expected)
    F.cross_entropy(expected, torch.from_numpy(LABELS)).backward()
    grad_images = ours.backward(ops.softmax_cross_entropy_backward(1.0, logits, LABELS))
    assert_same(grad_images, images.grad)
    for name, parameter in theirs.named_parameters():
        assert_same(ours.gradients[name], parameter.grad)
        # A dead network would agree in zeros. (Batch norm takes away the bias before it.)
        assert parameter.grad.abs().max() > 1e-3 or (training and name == "0.bias")
    assert_same(ours.layers[1].running_mean, theirs[1].running_mean)
    assert_same(ours.layers[1].running_var, theirs[1].running_var)


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 0.05},
        {"lr": 0.05, "momentum": 0.9},
        {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01},
        {"lr": 0.05, "weight_decay": 0.1},
    ],
)
def test_twenty_steps_of_training_are_torchs(settings):
    ours, theirs = ours_and_torchs()
    set_modes(ours, theirs, training=True)
    optimizer, torch_optimizer = (
        layers.SGD(ours, **settings),
        torch.optim.SGD(theirs.parameters(), **settings),
    )
    rng, losses = np.random.default_rng(2), []
    for _ in range(20):
        images, labels = rng.standard_normal(IMAGES.shape), rng.integers(5, size=6)
        logits = ours.forward(images)
        losses.append(ops.softmax_cross_entropy(logits, labels))
        ours.backward(ops.softmax_cross_entropy_backward(1.0, logits, labels))
        optimizer.step()
        torch_optimizer.zero_grad()
        loss = F.cross_entropy(theirs(torch.from_numpy(images)), torch.from_numpy(labels))
        loss.backward()
        torch_optimizer.step()
        assert abs(losses[-1] - loss.item()) < 1e-10
    for name, parameter in theirs.named_parameters():
        assert_same(ours.parameters[name], parameter)
    set_modes(ours, theirs, training=False)
    assert_same(ours.forward(IMAGES), theirs(torch.from_numpy(IMAGES)))


def test_a_step_changes_the_arrays_that_the_layers_hold():
    rng = np.random.default_rng(0)
    linear = layers.Linear(3, 2, rng=rng)
    model = layers.Sequential(linear)
    held, before = linear.parameters["weight"], linear.parameters["weight"].copy()
    features = rng.standard_normal((4, 3), dtype=np.float32)
    model.backward(np.ones_like(model.forward(features)))
    gradient = model.gradients["0.weight"].copy()
    layers.SGD(model, lr=0.5).step()
    assert linear.parameters["weight"] is held
    np.testing.assert_allclose(held, before - 0.5 * gradient, rtol=1e-6)
    np.testing.assert_array_equal(model.gradients["0.weight"], gradient)


def test_gradients_are_zero_before_the_first_backward():
    ours, _ = ours_and_torchs()
    for name, gradient in ours.gradients.items():
        assert gradient.shape == ours.parameters[name].shape
        assert not gradient.any()
    before = {name: parameter.copy() for name, parameter in ours.parameters.items()}
    layers.SGD(ours, lr=1.0, momentum=0.9).step()
    for name, parameter in ours.parameters.items():
        np.testing.assert_array_equal(parameter, before[name])


def test_float32_stays_float32_through_training():
    rng = np.random.default_rng(0)
    model = layers.Sequential(
        layers.Conv2d(1, 4, 3, rng=rng),
        layers.BatchNorm2d(4),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.AvgPool2d(2),
        layers.Dropout(0.2, rng=rng),
        layers.Flatten(),
        layers.Linear(36, 3, rng=rng),
    )
    optimizer = layers.SGD(model, lr=0.1, momentum=0.9, weight_decay=0.1)
    images = rng.random((5, 1, 14, 14), dtype=np.float32)
    for _ in range(2):
        logits = model.forward(images)
        grad_images = model.backward(np.ones_like(logits))
        optimizer.step()
    arrays = [logits, grad_images, *model.parameters.values(), *model.gradients.values()]
    arrays += [*optimizer.velocity.values(), model.layers[1].running_var]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


def test_train_is_heard_by_batch_norm_and_dropout():
    ours, _ = ours_and_torchs()
    norm, dropout = ours.layers[1], ours.layers[7]
    assert norm.training
    assert dropout.training
    ours.train(False)
    assert not norm.training
    assert not dropout.training
    mean = norm.running_mean.copy()
    first, second = ours.forward(IMAGES), ours.forward(IMAGES)
    np.testing.assert_array_equal(first, second)  # nothing dropped, nothing moved
    np.testing.assert_array_equal(norm.running_mean, mean)
    ours.train()
    assert norm.training
    assert dropout.training
    assert np.abs(ours.forward(IMAGES) - ours.forward(IMAGES)).max() > 0
    assert np.abs(norm.running_mean - mean).max() > 0


def test_dropout_hands_back_the_gradient_of_what_it_kept():
    dropout = layers.Dropout(0.5, rng=np.random.default_rng(0))
    out = dropout.forward(np.ones((10, 10)))
    np.testing.assert_array_equal(dropout.backward(np.full((10, 10), 3.0)), 3 * out)
    assert set(np.unique(out)) == {0.0, 2.0}


@pytest.mark.parametrize(
    ("shape", "fan_in"), [((400, 50), 50), ((60, 30, 3, 5), 450), ((500, 1, 7, 7), 49)]
)
def test_weights_start_with_variance_two_over_fan_in(shape, fan_in):
    weight = layers.kaiming_normal(shape, np.random.default_rng(0), np.float64)
    assert weight.shape == shape
    # The variance of n normal numbers is known to about sqrt(2 / n) of itself.
    assert abs(weight.var() * fan_in / 2 - 1) < 4 * np.sqrt(2 / weight.size)
    assert abs(weight.mean()) < 4 * np.sqrt(2 / fan_in / weight.size)


def test_layers_start_as_kaiming_says_with_biases_of_zero():
    for grouped, fan_in in [(1, 32 * 9), (4, 8 * 9)]:
        conv = layers.Conv2d(32, 64, 3, groups=grouped, rng=np.random.default_rng(0))
        assert conv.parameters["weight"].var() == pytest.approx(2 / fan_in, rel=0.1)
        assert not conv.parameters["bias"].any()
    linear = layers.Linear(100, 200, rng=np.random.default_rng(0))
    assert linear.parameters["weight"].var() == pytest.approx(2 / 100, rel=0.1)
    assert not linear.parameters["bias"].any()
    same = layers.Linear(100, 200, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(linear.parameters["weight"], same.parameters["weight"])


def test_what_is_shown():
    ours, _ = ours_and_torchs()
    assert repr(ours) == (
        "Sequential(\n"
        "    0: Conv2d(6, 2, 3, 3)\n"
        "    1: BatchNorm2d(6)\n"
        "    2: ReLU()\n"
        "    3: MaxPool2d(3)\n"
        "    4: Conv2d(4, 6, 3, 2)\n"
        "    5: ReLU()\n"
        "    6: AvgPool2d(2)\n"
        "    7: Dropout(0.5)\n"
        "    8: Flatten()\n"
        "    9: Linear(5, 64)\n"
        ")"
    )


@pytest.mark.parametrize(
    "name",
    ["Conv2d", "MaxPool2d", "AvgPool2d", "BatchNorm2d", "Linear", "Dropout", "Flatten", "ReLU"],
)
def test_arguments_are_torchs(name):
    mine = inspect.signature(getattr(layers, name)).parameters
    theirs = inspect.signature(getattr(nn, name)).parameters
    assert set(mine) - {"rng"} <= set(theirs)
    for key, parameter in mine.items():
        if key not in ("rng", "dtype") and parameter.default is not parameter.empty:
            assert parameter.default == theirs[key].default


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: layers.Conv2d(3, 4, 3, groups=2, rng=RNG), ValueError, "divisible by groups"),
        (lambda: layers.Conv2d(0, 4, 3, rng=RNG), ValueError, "in_channels to be at least 1"),
        (lambda: layers.Conv2d(3, 4, 0, rng=RNG), ValueError, "kernel_size to be at least 1"),
        (lambda: layers.Conv2d(3, 4.0, 3, rng=RNG), TypeError, "out_channels to be an integer"),
        (lambda: layers.Linear(0, 4, rng=RNG), ValueError, "in_features to be at least 1"),
        (lambda: layers.Linear(3, 4.5, rng=RNG), TypeError, "out_features to be an integer"),
        (lambda: layers.BatchNorm2d(0), ValueError, "num_features to be at least 1"),
        (
            lambda: layers.Conv2d(3, 4, 3, rng=RNG).forward(np.zeros((1, 2, 5, 5), np.float32)),
            ValueError,
            "which is for 3 channels",
        ),
        (
            lambda: layers.Conv2d(3, 4, 3, rng=RNG).forward(np.zeros((1, 3, 5, 5))),
            TypeError,
            "weight of the same dtype as the images, float64",
        ),
        (
            lambda: layers.Linear(3, 4, rng=RNG).forward(np.zeros((1, 3, 1, 1), np.float32)),
            ValueError,
            "flatten images",
        ),
        (
            lambda: layers.Dropout(2.0, rng=RNG).forward(np.zeros(3)),
            ValueError,
            "probability p of 0 to 1",
        ),
    ],
)
def test_what_does_not_go_together(call, error, message):
    with pytest.raises(error, match=message):
        call()
