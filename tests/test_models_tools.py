"""Counting against formulas and published numbers; folding against the network before it."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from cnnlib import geometry, models
from cnnlib.models import mobilenet_v3
from cnnlib.models.folding import conv_bn_pairs
from cnnlib.models.googlenet import INCEPTIONS


def on_meta(build):
    """A network of shapes alone."""
    with torch.device("meta"):
        return build()


def with_statistics(model):
    """In float64 and eval mode, with a random scale, level and statistics in every batch norm."""
    generator = torch.Generator().manual_seed(0)
    for module in model.double().eval().modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                if values is not None:
                    values.data.uniform_(0.5, 1.5, generator=generator)
            for values in (module.bias, module.running_mean):
                if values is not None:
                    values.data.normal_(0, 0.5, generator=generator)
    return model


def random_images(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


# Counting


@pytest.mark.parametrize(
    ("gmacs", "build"),
    [
        # As torchvision's tables of weights state them.
        (0.714, models.AlexNet),
        (7.609, lambda: models.make_vgg(11)),
        (15.47, lambda: models.make_vgg(16)),
        (1.498, models.GoogLeNet),
        (1.814, lambda: models.make_resnet(18)),
        (3.664, lambda: models.make_resnet(34)),
        (4.089, lambda: models.make_resnet(50)),
        (7.801, lambda: models.make_resnet(101)),
        (11.514, lambda: models.make_resnet(152)),
        (2.834, models.DenseNet),
        (0.301, models.MobileNetV2),
        (0.217, models.MobileNetV3),
        (0.057, lambda: models.MobileNetV3(mobilenet_v3.SMALL, last_channels=1024)),
        (4.456, models.ConvNeXt),
        # Howard et al. 2017, table 6: MobileNet of width 1, 0.75, 0.5, 0.25.
        (0.569, models.MobileNetV1),
        (0.325, lambda: models.MobileNetV1(width_mult=0.75)),
        (0.149, lambda: models.MobileNetV1(width_mult=0.5)),
        (0.041, lambda: models.MobileNetV1(width_mult=0.25)),
    ],
)
def test_macs_are_the_published_ones(gmacs, build):
    assert abs(models.count_macs(on_meta(build), (3, 224, 224)) / 1e9 - gmacs) <= 0.00051


def test_inception_blocks_cost_what_the_papers_table_says():
    by_layer = models.macs_by_layer(
        on_meta(lambda: models.GoogLeNet(largest_kernel=5)), (3, 224, 224)
    )
    # The table's "ops" in millions. It has 54 for 5a, which its own channels do not give.
    table = dict(zip(INCEPTIONS, (128, 304, 73, 88, 100, 119, 170, 51, 71), strict=True))
    for name, millions in table.items():
        macs = sum(count for layer, count in by_layer.items() if layer.startswith(f"{name}."))
        assert abs(macs / 1e6 - millions) < 0.7, name


def test_lenet_by_paper_and_pencil():
    assert models.macs_by_layer(models.LeNet5(), (1, 28, 28)) == {
        "conv1": 28 * 28 * 6 * 25,
        "conv2": 10 * 10 * 16 * 6 * 25,
        "fc1": 400 * 120,
        "fc2": 120 * 84,
        "fc3": 84 * 10,
    }


@pytest.mark.parametrize(
    "build", [models.MobileNetV2, lambda: models.make_resnet(50), models.GoogLeNet]
)
def test_macs_of_each_convolution_are_geometrys(build):
    model, sizes = on_meta(build), {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(
                lambda conv, inputs, name=name: sizes.update({name: tuple(inputs[0].shape[2:])})
            )
    by_layer = models.macs_by_layer(model, (3, 96, 130))
    assert len(sizes) > 20
    for name, size in sizes.items():
        conv = model.get_submodule(name)
        assert by_layer[name] == geometry.num_macs(
            size,
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            stride=conv.stride,
            padding=conv.padding,
            groups=conv.groups,
        )


def test_linear_layers_on_pixels_and_layers_used_twice_are_counted():
    shared = nn.Conv2d(2, 2, 3, padding=1)
    assert models.count_macs(nn.Sequential(shared, shared), (2, 5, 4)) == 2 * 20 * 36
    assert models.count_macs(nn.Linear(4, 7), (2, 5, 4)) == 10 * 4 * 7
    assert models.count_macs(nn.ReLU(), (2, 5, 4)) == 0


def test_parameters_used_twice_count_once_and_buffers_not():
    conv = nn.Conv2d(2, 2, 3)
    assert models.count_parameters(nn.Sequential(conv, conv, nn.BatchNorm2d(2))) == 38 + 4


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_model_as_it_was(training):
    model = models.ResNet(models.BasicBlock, (1, 0, 0, 0), width=4, stem="small").train(training)
    model.bn1.eval()
    before = copy.deepcopy(model.state_dict())
    models.count_macs(model, (3, 8, 8))
    assert model.training == training
    assert model.layer1[0].bn1.training == training
    assert not model.bn1.training
    assert all(not module._forward_hooks for module in model.modules())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    with pytest.raises(ValueError, match="with 3 channels"):
        models.count_macs(model, (1, 8, 8))
    assert model.training == training
    assert all(not module._forward_hooks for module in model.modules())


def test_a_shape_of_a_batch_is_named():
    with pytest.raises(ValueError, match=r"expected image_shape \(C, H, W\), got \(1, 3, 8, 8\)"):
        models.count_macs(nn.Conv2d(3, 1, 1), (1, 3, 8, 8))


# Folding


def num_batch_norms(model):
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize(
    "build",
    [
        lambda: models.make_resnet(18, num_classes=10),
        lambda: models.ResNet(models.Bottleneck, (1, 2, 0, 0), width=8, stem="small"),
        lambda: models.ResNet(models.BasicBlock, (1, 1, 0, 0), width=8, residual=False),
        lambda: models.VGG(((8,), (16, 16)), batch_norm=True, final_size=1, hidden=16),
        lambda: models.GoogLeNet(width_mult=0.1),
        lambda: models.GoogLeNet(width_mult=0.1, aux_logits=True),
        models.MobileNetV1,
        models.MobileNetV2,
        lambda: models.MobileNetV3(mobilenet_v3.SMALL, last_channels=1024),
    ],
)
def test_folded_networks_give_the_same_outputs_without_batch_norm(build):
    torch.manual_seed(0)
    model = with_statistics(build())
    images = random_images(2, 3, 64, 64)
    expected = model(images).detach()
    folded = models.batch_norm_folded(model)
    aux = "aux1.conv.bn", "aux2.conv.bn"  # never run in eval mode, so nothing is known of them
    left = [n for n, m in folded.named_modules() if isinstance(m, nn.BatchNorm2d) and n not in aux]
    assert left == []
    assert type(folded) is type(model)
    assert not folded.training
    assert expected.std() > 0
    error = (folded(images) - expected).abs().max() / expected.abs().max()
    assert error < 1e-10


@pytest.mark.parametrize("build", [models.LeNet5, lambda: models.ConvNeXt((1, 1), (4, 8))])
def test_networks_without_batch_norm_can_be_folded_too(build):
    model = with_statistics(build())
    images = random_images(2, model.in_channels, 28, 28)
    assert torch.equal(models.batch_norm_folded(model)(images), model(images))


def test_folding_leaves_the_model_as_it_was():
    model = with_statistics(models.make_resnet(18, num_classes=10)).train()
    before = copy.deepcopy(model.state_dict())
    models.batch_norm_folded(model)
    assert model.training
    assert num_batch_norms(model) == 20
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_of_a_densenet_only_what_follows_a_convolution_is_folded():
    model = with_statistics(models.DenseNet(4, (2, 3), 8, num_classes=5, stem="small"))
    pairs = conv_bn_pairs(model)
    layers = [f"features.denseblock1.denselayer{i}" for i in (1, 2)]
    layers += [f"features.denseblock2.denselayer{i}" for i in (1, 2, 3)]
    assert pairs == [
        ("features.conv0", "features.norm0"),
        *((f"{layer}.conv1", f"{layer}.norm2") for layer in layers),
    ]
    images = random_images(2, 3, 16, 16)
    folded = models.batch_norm_folded(model)
    assert num_batch_norms(folded) == num_batch_norms(model) - len(pairs)
    torch.testing.assert_close(folded(images), model(images), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bias": False},
        {"groups": 2, "stride": 2},
        {"dilation": 2, "padding": "same", "padding_mode": "reflect"},
    ],
)
@pytest.mark.parametrize("affine", [True, False])
def test_one_pair_is_torchs_fused_pair(settings, affine):
    torch.manual_seed(0)
    conv, bn = nn.Conv2d(4, 6, 3, **settings), nn.BatchNorm2d(6, eps=0.1, affine=affine)
    pair = with_statistics(nn.Sequential(conv, bn))
    folded, fused = models.folded_conv(*pair), fuse_conv_bn_eval(*pair)
    torch.testing.assert_close(folded.weight, fused.weight, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(folded.bias, fused.bias, rtol=1e-12, atol=1e-12)
    images = random_images(2, 4, 9, 8)
    torch.testing.assert_close(folded(images), pair(images), rtol=1e-10, atol=1e-10)
    assert folded.weight.is_leaf
    assert folded.weight.requires_grad


class Twice(nn.Module):
    """Layers that must not be folded, although a batch norm follows a convolution."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.conv, self.bn = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)
        self.bn2 = nn.BatchNorm2d(2)

    def forward(self, images):
        out = self.conv(images)
        if self.kind == "output used twice":
            return self.bn(out) + out
        if self.kind == "convolution used twice":
            return self.bn2(self.conv(self.bn(out)))
        if self.kind == "batch norm used twice":
            return self.bn(self.bn(out))
        return self.bn(out.relu())  # an activation between


@pytest.mark.parametrize(
    "kind",
    ["output used twice", "convolution used twice", "batch norm used twice", "activation between"],
)
def test_what_cannot_be_folded_stays(kind):
    model = with_statistics(Twice(kind))
    assert conv_bn_pairs(model) == []
    images = random_images(2, 2, 3, 3)
    assert torch.equal(models.batch_norm_folded(model)(images), model(images))


def test_batch_norm_without_running_statistics_stays():
    pair = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False))
    assert conv_bn_pairs(pair) == []
    with pytest.raises(ValueError, match=r"running statistics.*cannot be folded"):
        models.folded_conv(*pair)
    with pytest.raises(ValueError, match="over 3 channels, got 2"):
        models.folded_conv(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(2))


class Asks(nn.Module):
    def forward(self, images):
        return images if images.sum() > 0 else -images


def test_a_forward_that_cannot_be_followed_is_named():
    with pytest.raises(ValueError, match=r"torch\.fx can follow, got Asks"):
        models.batch_norm_folded(Asks())
