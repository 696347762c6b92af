"""The networks of notebooks 11 and 12, one module a family; what can be counted and folded in them.

Where torchvision has a network, its state_dict loads key for key. Weights are random; nothing is
downloaded.
"""

from cnnlib.models.alexnet import AlexNet
from cnnlib.models.convnext import ConvNeXt, ConvNeXtBlock, LayerNorm2d, StochasticDepth
from cnnlib.models.counting import count_macs, count_parameters, macs_by_layer
from cnnlib.models.densenet import DenseLayer, DenseNet
from cnnlib.models.fashion import Residual, conv_block, make_resnet8, make_three_conv
from cnnlib.models.fast import make_fast_cnn
from cnnlib.models.folding import batch_norm_folded, folded_conv
from cnnlib.models.googlenet import GoogLeNet, Inception
from cnnlib.models.lenet import LeNet5
from cnnlib.models.mobilenet_v1 import MobileNetV1
from cnnlib.models.mobilenet_v2 import InvertedResidual, MobileNetV2
from cnnlib.models.mobilenet_v3 import MobileNetV3, SqueezeExcite
from cnnlib.models.resnet import BasicBlock, Bottleneck, ResNet, make_resnet
from cnnlib.models.vgg import VGG, make_vgg

__all__ = [
    "VGG",
    "AlexNet",
    "BasicBlock",
    "Bottleneck",
    "ConvNeXt",
    "ConvNeXtBlock",
    "DenseLayer",
    "DenseNet",
    "GoogLeNet",
    "Inception",
    "InvertedResidual",
    "LayerNorm2d",
    "LeNet5",
    "MobileNetV1",
    "MobileNetV2",
    "MobileNetV3",
    "ResNet",
    "Residual",
    "SqueezeExcite",
    "StochasticDepth",
    "batch_norm_folded",
    "conv_block",
    "count_macs",
    "count_parameters",
    "folded_conv",
    "macs_by_layer",
    "make_fast_cnn",
    "make_resnet",
    "make_resnet8",
    "make_three_conv",
    "make_vgg",
]
