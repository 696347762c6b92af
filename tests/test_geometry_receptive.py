"""The receptive field, against positions traced back one by one and against torch's gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlib.geometry import receptive_field

properties = settings(deadline=None, derandomize=True, database=None, max_examples=150)
layer = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3))
stacks = st.lists(layer, max_size=5)


def positions_seen(layers, output):
    """All pixels, padding included, from which a path leads to this output."""
    seen = {output}
    for kernel_size, stride, padding, dilation in reversed(layers):
        seen = {r * stride - padding + dilation * i for r in seen for i in range(kernel_size)}
    return seen


@properties
@given(stacks, st.integers(0, 3))
def test_the_field_spans_the_positions_traced_back(layers, output):
    size, jump, start = receptive_field(layers)
    seen = positions_seen(layers, output)
    assert min(seen) == start + output * jump
    assert max(seen) == start + output * jump + size - 1


@pytest.mark.parametrize(
    "layers",
    [
        [(3, 1, 1, 1), (3, 2, 1, 1), (3, 1, 2, 2)],
        [(7, 2, 3, 1), (3, 2, 1, 1), (3, 1, 1, 1), (3, 1, 1, 1)],
        [(2, 2, 0, 1), (5, 1, 2, 1)],
    ],
)
def test_torchs_gradient_reaches_exactly_the_field(layers):
    signal = torch.ones(1, 1, 200, dtype=torch.float64, requires_grad=True)
    out = signal
    for kernel_size, stride, padding, dilation in layers:
        weight = torch.ones(1, 1, kernel_size, dtype=torch.float64)
        out = torch.nn.functional.conv1d(out, weight, None, stride, padding, dilation)
    middle = out.shape[-1] // 2
    out[0, 0, middle].backward()
    touched = signal.grad[0, 0].nonzero().ravel().tolist()
    size, jump, start = receptive_field(layers)
    assert (touched[0], touched[-1] - touched[0] + 1) == (start + middle * jump, size)


def test_known_stacks():
    assert receptive_field([]) == (1, 1, 0)
    assert receptive_field([(3,)] * 10) == (21, 1, 0)
    assert receptive_field([(3, 1, 1)] * 10) == (21, 1, -10)
    assert receptive_field([(2, 2)] * 3) == (8, 8, 0)
    assert receptive_field([(3, 1, 0, 1), (3, 1, 0, 3), (3, 1, 0, 9)]) == (27, 1, 0)


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ((), "got ()"),
        ((3, 1, 0, 1, 1), "the last three optional"),
        ((0,), "kernel_size to be at least 1"),
        ((3, 0), "stride to be at least 1"),
        ((3, 1, -1), "padding"),
        ((3, 1, 0, 0), "dilation to be at least 1"),
    ],
)
def test_senseless_layers_are_refused(layer, says):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the words are compared below
        receptive_field([layer])
    assert says in str(caught.value)


def test_a_size_that_is_not_whole_is_refused():
    with pytest.raises(TypeError, match="stride to be an integer"):
        receptive_field([(3, 1.5)])
