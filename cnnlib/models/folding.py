"""Batch norm folded into the convolution before it: the same numbers, one layer fewer."""

import copy

import torch
from torch import fx, nn

from cnnlib.models.checks import check_image_size, check_images


def folded_conv(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution that does what a convolution and a batch norm in eval mode do.

    In eval mode batch norm multiplies each channel by weight / sqrt(running_var + eps) and adds a
    number; both can be had by scaling the convolution's weights and moving its bias.

    Args:
        conv: weight (O, C / groups, kh, kw).
        bn: over O channels, with running statistics.

    Returns:
        A new convolution with a bias; the two given are left as they are.

    Raises:
        ValueError: another number of channels, or a batch norm without running statistics.

    Example:
        >>> conv, bn = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8).eval()
        >>> images = torch.ones(1, 3, 5, 5)
        >>> torch.allclose(folded_conv(conv, bn)(images), bn(conv(images)), atol=1e-6)
        True

    Taught in notebook 11.
    """
    if bn.num_features != conv.out_channels:
        raise ValueError(
            f"expected a batch norm over {conv.out_channels} channels, got {bn.num_features}"
        )
    if bn.running_var is None:
        raise ValueError(
            "expected a batch norm with running statistics, got one with "
            "track_running_stats=False: it uses each batch's own and cannot be folded"
        )
    scale = torch.rsqrt(bn.running_var + bn.eps)  # (O,)
    if bn.weight is not None:
        scale = scale * bn.weight
    bias = -bn.running_mean if conv.bias is None else conv.bias - bn.running_mean
    bias = bias * scale
    if bn.bias is not None:
        bias = bias + bn.bias
    folded = copy.deepcopy(conv)
    folded.weight = nn.Parameter((conv.weight * scale[:, None, None, None]).detach())
    folded.bias = nn.Parameter(bias.detach())
    return folded


def batch_norm_folded(model: nn.Module) -> nn.Module:
    """A copy of a model, for eval, with every batch norm folded into the convolution before it.

    A batch norm is folded where its input is a convolution's output that nothing else uses; it
    becomes nn.Identity. Others, such as those before the convolution in a DenseNet, stay.

    Args:
        model: any model whose forward torch.fx can follow: no `if` or loop that depends on the
            images' values or sizes.

    Returns:
        The copy, in eval mode; its outputs are the model's but for rounding. The model itself is
        left as it is.

    Raises:
        ValueError: a forward that cannot be followed.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        >>> batch_norm_folded(model)
        Sequential(
          (0): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1))
          (1): Identity()
          (2): ReLU()
        )

    Taught in notebook 11.
    """
    model = copy.deepcopy(model).eval()
    for conv_name, bn_name in conv_bn_pairs(model):
        conv, bn = model.get_submodule(conv_name), model.get_submodule(bn_name)
        model.set_submodule(conv_name, folded_conv(conv, bn))
        model.set_submodule(bn_name, nn.Identity())
    return model


def conv_bn_pairs(model: nn.Module) -> list[tuple[str, str]]:
    """Names of every convolution and batch norm of which the second takes all that the first gives.

    Args:
        model: as in batch_norm_folded.

    Returns:
        Pairs of names, in the order in which they run.

    Raises:
        ValueError: a forward that cannot be followed.

    Example:
        >>> conv_bn_pairs(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)))
        [('0', '1')]

    Taught in notebook 11.
    """
    # fx runs forward once with stand-ins for tensors and writes down which layer feeds which.
    # A check of shapes asks a stand-in what it cannot answer: note the check, do not run it.
    tracer = fx.Tracer(autowrap_functions=(check_images, check_image_size))
    try:
        graph = tracer.trace(model)
    except Exception as error:  # whatever forward does with a stand-in
        raise ValueError(
            f"expected a model whose forward torch.fx can follow, got {type(model).__name__}: "
            f"{error}; fold its parts one by one, or each pair with folded_conv"
        ) from error
    modules = dict(model.named_modules())
    calls = [node for node in graph.nodes if node.op == "call_module"]
    targets = [node.target for node in calls]
    pairs = []
    for node in calls:
        before = node.args[0] if node.args else None
        if (
            isinstance(modules[node.target], nn.BatchNorm2d)
            and modules[node.target].running_var is not None
            and before in calls
            and isinstance(modules[before.target], nn.Conv2d)
            and len(before.users) == 1
            # A layer that runs in two places cannot be changed for one of them.
            and targets.count(node.target) == targets.count(before.target) == 1
        ):
            pairs.append((before.target, node.target))
    return pairs
