"""The networks at small sizes: about 50,000 parameters, 28 × 28 and 32 × 32; and their errors."""

import copy
import re
from pathlib import Path

import pytest
import torch

from cnnlib import models
from cnnlib.models import mobilenet_v3
from cnnlib.models.checks import check_images

ROOT = Path(__file__).resolve().parent.parent

GREY = {"in_channels": 1, "num_classes": 10}
COLOUR = {"in_channels": 3, "num_classes": 10}


# One member of each family with about 50,000 parameters.
def small_lenet(in_channels, image_size, **settings):
    return models.LeNet5(in_channels=in_channels, image_size=image_size, hidden=(100, 64))


def small(build, *sizes, **fixed):
    return lambda image_size, **settings: build(*sizes, **fixed, **settings)


V1_ROWS = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1))
V2_ROWS = ((1, 16, 1, 1), (4, 24, 2, 2), (4, 40, 2, 2))
CHANNELS = (8, 16, 24, 24, 16)
SMALL = {
    "lenet": small_lenet,
    "alexnet": small(models.AlexNet, stem="small", channels=CHANNELS, hidden=56),
    "vgg": small(models.VGG, ((12,), (24,), (40, 40)), final_size=2, hidden=96),
    "vgg_bn": small(models.VGG, ((16,), (32,), (48, 48)), final_size=1, hidden=64, batch_norm=True),
    "googlenet": small(models.GoogLeNet, stem="small", width_mult=0.09),
    "resnet": small(models.ResNet, models.BasicBlock, (1, 1, 1, 0), width=13, stem="small"),
    "plain": small(
        models.ResNet, models.BasicBlock, (1, 1, 1, 0), width=13, stem="small", residual=False
    ),
    "bottleneck": small(models.ResNet, models.Bottleneck, (1, 1, 1, 0), width=10, stem="small"),
    "densenet": small(models.DenseNet, 8, (4, 5, 4), 16, stem="small"),
    "mobilenet_v1": small(models.MobileNetV1, V1_ROWS, width_mult=0.95, stem="small"),
    "mobilenet_v2": small(models.MobileNetV2, V2_ROWS, last_channels=320, stem="small"),
    "mobilenet_v3": small(
        models.MobileNetV3, mobilenet_v3.SMALL[:6], width_mult=0.5, last_channels=64, stem="small"
    ),
    "convnext": small(models.ConvNeXt, (1, 1, 1), (16, 32, 56), patch_size=2),
}


def on_meta(build, **settings):
    """A network of shapes alone."""
    with torch.device("meta"):
        return build(**settings)


def with_statistics(model):
    """Random values where a network starts with zeros and ones, so that nothing can hide."""
    generator = torch.Generator().manual_seed(0)
    for values in model.state_dict().values():
        if values.is_floating_point() and (values.ndim == 1 or values.std() == 0):
            values.uniform_(0.5, 1.5, generator=generator)
    return model


@pytest.mark.parametrize("size", [28, 32])
@pytest.mark.parametrize("name", SMALL)
def test_small_members_run_forward_and_backward(name, size):
    torch.manual_seed(0)
    in_channels = 1 if size == 28 else 3
    model = SMALL[name](image_size=size, in_channels=in_channels, num_classes=10)
    if size == 28:
        assert 45_000 < models.count_parameters(model) < 55_000
    logits = model(torch.randn(2, in_channels, size, size))
    assert logits.shape == (2, 10)
    logits.logsumexp(1).sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key


@pytest.mark.parametrize("name", SMALL)
def test_copies_layouts_and_state_dicts_give_the_same_outputs(name):
    build = SMALL[name]
    model = with_statistics(build(image_size=28, **GREY)).eval()
    images = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    expected = model(images).detach()
    copied, loaded = copy.deepcopy(model), build(image_size=28, **GREY).eval()
    loaded.load_state_dict(model.state_dict())
    in_last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    outputs_last = in_last(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(outputs_last, expected, rtol=1e-5, atol=1e-5 * expected.abs().max())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(copied(images), expected)
    assert torch.equal(loaded(images), expected)


def test_sizes_that_are_often_quoted_for_cifar():
    counts = {
        11_173_962: models.make_resnet(18, stem="small", **COLOUR),
        15_253_578: models.make_vgg(16, stem="small", batch_norm=True, **COLOUR),
        2_236_682: models.MobileNetV2(stem="small", **COLOUR),
    }
    for num_parameters, model in counts.items():
        assert models.count_parameters(model) == num_parameters
        assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.parametrize(
    ("build", "size", "expected"),
    [
        (models.AlexNet, 28, (256, 6, 6)),
        (lambda **settings: models.make_vgg(16, **settings), 32, (512, 2, 2)),
        (models.DenseNet, 32, (1024, 4, 4)),
        (models.MobileNetV1, 32, (1024, 4, 4)),
        (models.MobileNetV2, 32, (1280, 4, 4)),
        (models.MobileNetV3, 28, (960, 4, 4)),
    ],
)
def test_the_small_stem_keeps_enough_pixels_to_the_end(build, size, expected):
    model = on_meta(build, stem="small")
    assert model.features(torch.zeros(1, 3, size, size, device="meta")).shape == (1, *expected)


def test_an_inverted_residual_adds_its_input_only_where_the_shape_is_the_same():
    features = torch.rand(2, 8, 6, 6)
    for out_channels, stride, size in [(8, 2, 3), (12, 1, 6)]:
        block = models.InvertedResidual(8, out_channels, stride, expand_ratio=2).eval()
        assert torch.equal(block(features), block.conv(features))
        assert block(features).shape == (2, out_channels, size, size)
    block = models.InvertedResidual(8, 8, 1, expand_ratio=2).eval()
    assert torch.equal(block(features), features + block.conv(features))


def test_a_plain_network_is_the_residual_one_without_shortcuts():
    residual = models.ResNet(models.BasicBlock, (2, 2, 0, 0), width=4, stem="small")
    plain = models.ResNet(models.BasicBlock, (2, 2, 0, 0), width=4, stem="small", residual=False)
    shared = {k: v for k, v in residual.state_dict().items() if "downsample" not in k}
    plain.load_state_dict(shared, strict=True)
    block = plain.layer1[0].eval()
    features = torch.rand(2, 4, 6, 6)
    expected = block.bn2(block.conv2(block.bn1(block.conv1(features)).relu())).relu()
    torch.testing.assert_close(block(features), expected)
    torch.testing.assert_close(
        residual.layer1[0].eval()(features),
        (block.bn2(block.conv2(block.bn1(block.conv1(features)).relu())) + features).relu(),
    )


# Errors


TOO_SMALL = {
    "alexnet": (lambda: models.AlexNet(hidden=8), 63),
    "alexnet small": (lambda: models.AlexNet(stem="small", hidden=8), 7),
    "vgg": (lambda: models.VGG(((4,),) * 5, hidden=8), 32),
    "vgg small": (lambda: models.VGG(((4,),) * 5, stem="small", hidden=8), 16),
    "googlenet": (lambda: models.GoogLeNet(width_mult=0.1), 15),
    "googlenet small": (lambda: models.GoogLeNet(width_mult=0.1, stem="small"), 2),
    "densenet": (lambda: models.DenseNet(4, (1, 1, 1, 1)), 29),
    "densenet small": (lambda: models.DenseNet(4, (1, 1, 1, 1), stem="small"), 8),
    "convnext": (lambda: models.ConvNeXt((1, 1, 1, 1), (4, 4, 4, 4)), 32),
    "convnext of two": (lambda: models.ConvNeXt((1, 1), (4, 4), patch_size=2), 4),
}


@pytest.mark.parametrize("name", TOO_SMALL)
def test_the_smallest_image_is_the_smallest_that_torch_can_run(name):
    build, smallest = TOO_SMALL[name]
    model = build().eval()
    assert model(torch.zeros(1, 3, smallest, smallest)).shape == (1, 1000)
    too_small = torch.zeros(1, 3, smallest + 9, smallest - 1)
    said = f"at least {smallest} × {smallest}, got {smallest + 9} × {smallest - 1}"
    with pytest.raises(ValueError, match=said):
        model(too_small)
    model.smallest = 0
    with pytest.raises(RuntimeError):
        model(too_small)


@pytest.mark.parametrize(
    "build",
    [
        lambda: models.make_resnet(18),
        lambda: models.make_resnet(50, stem="small"),
        models.MobileNetV1,
        models.MobileNetV2,
        models.MobileNetV3,
    ],
)
def test_networks_without_a_smallest_image_run_on_one_pixel(build):
    model = on_meta(build).eval()
    assert model(torch.zeros(1, 3, 1, 1, device="meta")).shape == (1, 1000)


@pytest.mark.parametrize("name", SMALL)
def test_wrong_images_are_named(name):
    model = SMALL[name](image_size=28, **GREY)
    with pytest.raises(ValueError, match=re.escape("got (1, 28, 28); for a single image")):
        model(torch.zeros(1, 28, 28))
    with pytest.raises(ValueError, match=r"with 1 channels.*in_channels=3"):
        model(torch.zeros(2, 3, 28, 28))
    with pytest.raises(TypeError, match=r"floating-point images, got torch\.uint8"):
        model(torch.zeros(2, 1, 28, 28, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: models.LeNet5()(torch.zeros(1, 1, 32, 32)), r"28 × 28.*image_size=\(32, 32\)"),
        (lambda: models.LeNet5(image_size=11), "at least 12"),
        (lambda: models.make_resnet(20), "18, 34, 50, 101 or 152, got 20"),
        (lambda: models.make_resnet(18, stem="tiny"), "expected stem \"large\".*got 'tiny'"),
        (lambda: models.make_vgg(18), "11, 13, 16 or 19, got 18"),
        (lambda: models.make_vgg(11, stem="3x3"), 'expected stem "large"'),
        (lambda: models.AlexNet(stem=None), "got None"),
        (lambda: models.GoogLeNet(stem="x"), "got 'x'"),
        (lambda: models.DenseNet(stem="x"), "got 'x'"),
        (lambda: models.MobileNetV1(stem="x"), "got 'x'"),
        (lambda: models.MobileNetV2(stem="x"), "got 'x'"),
        (lambda: models.MobileNetV3(stem="x"), "got 'x'"),
        (lambda: models.ResNet(models.BasicBlock, (3, 3, 3)), "four stages"),
        (lambda: models.ResNet(models.BasicBlock, (0, 2, 2, 2)), "not the first"),
        (
            lambda: models.ResNet(
                models.BasicBlock, (1, 0, 0, 0), residual=False, zero_init_residual=True
            ),
            "residual=True",
        ),
        (lambda: models.VGG(((8,), ())), "at least one convolution"),
        (lambda: models.VGG(()), "at least one convolution"),
        (lambda: models.DenseNet(8, (4, 0)), "at least one layer a block"),
        (lambda: models.ConvNeXt((1, 1), (8,)), "one of each a stage"),
        (lambda: models.StochasticDepth(1.0), "1 excluded, got 1.0"),
        (lambda: models.MobileNetV1(width_mult=0), "width_mult above 0"),
        (lambda: models.MobileNetV2(width_mult=-1), "width_mult above 0"),
        (lambda: models.MobileNetV3(width_mult=0), "width_mult above 0"),
        (lambda: models.GoogLeNet(width_mult=0), "width_mult above 0"),
        (lambda: models.make_resnet(18, num_classes=0), "num_classes to be at least 1, got 0"),
        (lambda: models.ConvNeXt(in_channels=0), "in_channels to be at least 1, got 0"),
    ],
)
def test_wrong_settings_are_named(call, says):
    with pytest.raises(ValueError, match=says):
        on_meta(call)


def test_check_images_passes_what_is_right():
    check_images(torch.zeros(1, 3, 5, 7, dtype=torch.bfloat16), 3, 5)


def test_nothing_is_scripted_or_downloaded():
    for path in (ROOT / "cnnlib" / "models").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"torch\.jit|torch\.hub|torchvision\.models|urlopen", source), path
