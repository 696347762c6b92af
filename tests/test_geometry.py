"""Sizes and counts against torch's own layers, and against counting by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlib import geometry

properties = settings(deadline=None, derandomize=True, database=None, max_examples=150)
pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
small = st.tuples(st.integers(0, 3), st.integers(0, 3))
sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))


def outcome(function):
    """The result, or None where the call is illegal."""
    try:
        return function()
    except (ValueError, RuntimeError):
        return None


@properties
@given(sizes, pairs, pairs, small, pairs)
def test_conv_output_size_is_torchs(size, kernel, stride, padding, dilation):
    ours = outcome(
        lambda: geometry.conv_output_size(
            size, kernel, stride=stride, padding=padding, dilation=dilation
        )
    )
    theirs = outcome(
        lambda: tuple(
            F.conv2d(
                torch.zeros(1, 1, *size),
                torch.zeros(1, 1, *kernel),
                None,
                stride,
                padding,
                dilation,
            ).shape[2:]
        )
    )
    assert ours == theirs


@properties
@given(sizes, pairs, pairs, small, small, pairs)
def test_conv_transpose_output_size_is_torchs(size, kernel, stride, padding, extra, dilation):
    ours = outcome(
        lambda: geometry.conv_transpose_output_size(
            size,
            kernel,
            stride=stride,
            padding=padding,
            output_padding=extra,
            dilation=dilation,
        )
    )
    images, weight = torch.zeros(1, 1, *size), torch.zeros(1, 1, *kernel)
    theirs = outcome(
        lambda: tuple(
            F.conv_transpose2d(images, weight, None, stride, padding, extra, 1, dilation).shape[2:]
        )
    )
    assert ours == theirs


@properties
@given(sizes, pairs, st.none() | pairs, small, pairs)
def test_pool_output_size_is_torchs(size, kernel, stride, padding, dilation):
    ours = outcome(lambda: geometry.pool_output_size(size, kernel, stride, padding, dilation))
    theirs = outcome(
        lambda: tuple(
            F.max_pool2d(torch.zeros(1, 1, *size), kernel, stride, padding, dilation).shape[2:]
        )
    )
    assert ours == theirs


@pytest.mark.parametrize("size", [5, 6, 7, 8])
def test_the_floor_drops_the_last_pixels(size):
    starts = [start for start in range(0, size, 3) if start + 2 <= size]
    assert geometry.conv_output_size(size, 2, stride=3) == (len(starts), len(starts))


@properties
@given(pairs, pairs)
def test_same_padding_keeps_the_size_and_leans_to_the_bottom_right(kernel, dilation):
    (top, bottom), (left, right) = geometry.padding_amounts("same", kernel, dilation=dilation)
    assert bottom - top in (0, 1)
    assert right - left in (0, 1)
    size = geometry.conv_output_size((9, 7), kernel, padding="same", dilation=dilation)
    assert size == (9, 7)


def test_padding_amounts():
    assert geometry.padding_amounts("valid", 5, stride=2) == ((0, 0), (0, 0))
    assert geometry.padding_amounts((1, 2), 3) == ((1, 1), (2, 2))
    assert geometry.padding_amounts("same", 4) == ((1, 2), (1, 2))


@properties
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), pairs, st.booleans())
def test_num_parameters_is_torchs(in_factor, out_factor, groups, kernel, bias):
    layer = torch.nn.Conv2d(
        in_factor * groups, out_factor * groups, kernel, groups=groups, bias=bias
    )
    expected = sum(parameter.numel() for parameter in layer.parameters())
    counted = geometry.num_parameters(
        in_factor * groups, out_factor * groups, kernel, groups=groups, bias=bias
    )
    assert counted == expected


@pytest.mark.parametrize(("groups", "stride", "padding"), [(1, 1, 0), (2, 2, 1), (4, (1, 3), 2)])
def test_num_macs_counts_every_product_once(groups, stride, padding):
    # With ones everywhere, padding too, each product is 1: the sum of the output counts them.
    images = np.ones((1, 4, 9, 8))
    images = np.pad(images, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2), constant_values=1)
    weight = torch.ones(8, 4 // groups, 3, 2, dtype=torch.float64)
    products = F.conv2d(torch.from_numpy(images), weight, stride=stride, groups=groups).sum()
    counted = geometry.num_macs((9, 8), 4, 8, (3, 2), stride=stride, padding=padding, groups=groups)
    assert counted == int(products)


def test_numpy_integers_are_integers():
    size = geometry.conv_output_size(np.int64(8), np.int32(3))
    assert size == (6, 6)
    assert all(type(side) is int for side in size)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: geometry.to_pair(1.5, "stride"),
            TypeError,
            "expected stride .* integer.* got 1.5",
        ),
        (lambda: geometry.to_pair("same", "stride"), TypeError, "got 'same'"),
        (lambda: geometry.to_pair(None, "stride"), TypeError, "got None"),
        (lambda: geometry.to_pair(True, "stride"), TypeError, "got True"),
        (lambda: geometry.to_pair((1, 2.0), "stride"), TypeError, r"got \(1, 2.0\)"),
        (lambda: geometry.to_pair((1, 2, 3), "stride"), ValueError, r"pair .* got \(1, 2, 3\)"),
        (lambda: geometry.to_pair((1,), "stride"), ValueError, r"got \(1,\)"),
        (lambda: geometry.to_pair(-1, "padding"), ValueError, "padding to be at least 0, got -1"),
        (lambda: geometry.conv_output_size(4, 5), ValueError, "4 × 4, got one that spans 5 × 5"),
        (lambda: geometry.conv_output_size(4, 3, dilation=2), ValueError, "spans 5 × 5"),
        (lambda: geometry.conv_output_size((4, 9), (1, 10)), ValueError, "use a smaller kernel"),
        (lambda: geometry.conv_output_size(0, 1), ValueError, "image size to be at least 1"),
        (lambda: geometry.conv_output_size(4, 0), ValueError, "kernel_size to be at least 1"),
        (lambda: geometry.conv_output_size(4, 2, stride=0), ValueError, "stride to be at least 1"),
        (
            lambda: geometry.conv_output_size(4, 2, dilation=0),
            ValueError,
            "dilation to be at least",
        ),
        (
            lambda: geometry.padding_amounts("full", 3),
            ValueError,
            '"valid" or "same", got \'full\'',
        ),
        (lambda: geometry.padding_amounts("same", 3, stride=2), ValueError, "expected stride 1"),
        (lambda: geometry.pool_output_size(4, 2, padding=2), ValueError, "at most 1 .* got 2"),
        (
            lambda: geometry.pool_output_size(4, (2, 3), padding=2),
            ValueError,
            r"at most 1 .* got 2",
        ),
        (lambda: geometry.pool_output_size(4, 5), ValueError, "spans 5 × 5"),
        (
            lambda: geometry.conv_transpose_output_size(4, 3, stride=2, output_padding=2),
            ValueError,
            "output_padding smaller than the stride",
        ),
        (
            lambda: geometry.conv_transpose_output_size(1, 2, padding=1),
            ValueError,
            "got 0 × 0 for an image of 1 × 1",
        ),
        (
            lambda: geometry.conv_transpose_output_size(4, 2, padding="same"),
            TypeError,
            "padding .* integer",
        ),
        (lambda: geometry.num_parameters(3, 4, 3, groups=2), ValueError, "divisible by groups"),
        (lambda: geometry.num_parameters(4, 3, 3, groups=2), ValueError, "divisible by groups"),
        (lambda: geometry.num_parameters(4, 4, 3, groups=0), ValueError, "groups to be at least 1"),
        (lambda: geometry.num_parameters(0, 4, 3), ValueError, "at least 1"),
        (
            lambda: geometry.num_parameters(4, 4, 3, groups=(1, 2)),
            TypeError,
            "groups to be an integer",
        ),
    ],
)
def test_illegal_settings_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_memory_is_that_of_the_widest_step_or_of_all():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 16, 3, stride=2),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * 3 * 4, 10),
    )
    images = torch.zeros(5, 3, 15, 18)
    held, kept, shapes = [], [images.nbytes], [tuple(images.shape)]
    for layer in model:
        after = layer(images)
        held.append(images.nbytes + after.nbytes)
        kept.append(after.nbytes)
        shapes.append(tuple(after.shape))
        images = after
    assert geometry.peak_activation_memory(shapes) == max(held)
    assert geometry.peak_activation_memory(shapes, training=True) == sum(kept)
    assert geometry.peak_activation_memory(shapes, itemsize=8) == 2 * max(held)
    assert geometry.peak_activation_memory(shapes[::-1]) == max(held)


def test_memory_of_one_activation_is_its_own():
    for training in (False, True):
        assert geometry.peak_activation_memory([(2, 3, 4)], training=training) == 4 * 24
    assert geometry.peak_activation_memory([[1, 2], (1, 3)], itemsize=1) == 5


@pytest.mark.parametrize(
    ("shapes", "settings", "error", "message"),
    [
        ([], {}, ValueError, "got none"),
        ([(1, 2), ()], {}, ValueError, r"each shape as \(N, C, H, W\) or \(N, F\), got \(\)"),
        ([5, 6], {}, ValueError, "got 5"),
        ([(1, 0)], {}, ValueError, r"size in the shape \(1, 0\) to be at least 1"),
        ([(1, 2.0)], {}, TypeError, "to be an integer, got 2.0"),
        ([(1, 2)], {"itemsize": 0}, ValueError, "itemsize to be at least 1"),
        ([(1, 2)], {"itemsize": np.float32}, TypeError, "itemsize to be an integer"),
    ],
)
def test_memory_of_senseless_shapes_is_refused(shapes, settings, error, message):
    with pytest.raises(error, match=message):
        geometry.peak_activation_memory(shapes, **settings)
