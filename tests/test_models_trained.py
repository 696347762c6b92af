"""The networks that notebooks 12 and 13 train: shapes, counts, and the order inside a block."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cnnlib import models

# Worked out by hand: weights × places of every convolution, and the last layer.
THREE_CONV = 288 * 784 + 18_432 * 196 + 73_728 * 49 + 11_520
RESNET8 = 288 * 784 + 18_432 * 784 + 2 * 36_864 * 196 + 73_728 * 196 + 2 * 147_456 * 49 + 1280
FAST = 72 * 576 + 1152 * 144 + 4608 * 16 + 18_432 * 4 + 2560


@pytest.mark.parametrize(
    ("build", "macs", "parameters"),
    [
        (models.make_three_conv, THREE_CONV, 288 + 18_432 + 73_728 + 2 * 224 + 11_530),
        (
            models.make_resnet8,
            RESNET8,
            288 + 18_432 + 2 * 36_864 + 73_728 + 2 * 147_456 + 2 * (32 + 3 * 64 + 3 * 128) + 1290,
        ),
        (models.make_fast_cnn, FAST, 72 + 1152 + 4608 + 18_432 + 2 * 120 + 2570),
    ],
    ids=["three_conv", "resnet8", "fast_cnn"],
)
def test_counts_are_those_worked_out_by_hand(build, macs, parameters):
    model = build()
    assert models.count_macs(model, (1, 28, 28)) == macs
    assert models.count_parameters(model) == parameters
    assert model(torch.rand(3, 1, 28, 28)).shape == (3, 10)


@pytest.mark.parametrize("pool", [False, True])
def test_pooling_first_is_pooling_last_where_the_norms_factor_is_positive(pool):
    torch.manual_seed(0)
    block = models.conv_block(2, 5, pool=pool).double().eval()
    conv, norm = block[0], block[-2]
    nn.init.uniform_(norm.weight, 0.5, 2.0)
    nn.init.normal_(norm.bias)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2.0)
    images = torch.randn(3, 2, 9, 7, dtype=torch.float64)
    last = F.relu(norm(conv(images)))
    last = F.max_pool2d(last, 2) if pool else last
    assert torch.allclose(block(images), last, rtol=0, atol=1e-12)
    assert block(images).std() > 0.1


def test_a_residual_pair_without_weights_hands_on_its_input():
    block = models.Residual(4).eval()
    images = torch.randn(2, 4, 6, 5)
    assert not torch.allclose(block(images), images)
    nn.init.zeros_(block.blocks[1][-2].weight)  # the last norm
    assert torch.equal(block(images), images)


def test_the_fast_network_does_not_look_at_the_rim():
    model = models.make_fast_cnn().eval()
    images = torch.rand(2, 1, 28, 28)
    changed = images.clone()
    for rim in (changed[..., :2], changed[..., -2:], changed[..., :2, :], changed[..., -2:, :]):
        rim.fill_(7.0)
    assert torch.equal(model(images), model(changed))
    changed[..., 2, 2] = 7.0
    assert not torch.equal(model(images), model(changed))
