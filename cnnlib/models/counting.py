"""What a network costs: its parameters, and its multiply-accumulate operations as it runs."""

import torch
from torch import Tensor, nn


def count_parameters(model: nn.Module) -> int:
    """Number of values that a model learns.

    Args:
        model: any module; a parameter used in two places counts once.

    Returns:
        The count. Running statistics of batch norm are not learned and not counted.

    Example:
        >>> count_parameters(nn.Conv2d(3, 32, 3))
        896

    Taught in notebook 11.
    """
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Multiply-accumulate operations of the convolutions and linear layers, for one image.

    Args:
        model, image_shape: as in macs_by_layer.

    Returns:
        The count.

    Example:
        >>> count_macs(nn.Conv2d(3, 32, 3), (3, 64, 64))
        3321216

    Taught in notebook 11.
    """
    return sum(macs_by_layer(model, image_shape).values())


def macs_by_layer(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """Multiply-accumulate operations of every convolution and linear layer, for one image.

    One image of zeros is sent through the model, and a forward hook on each such layer counts:
    every output value is one sum of as many products as there are weights for it. Biases,
    normalisation, activations and pooling are not counted; they are about a hundredth.

    Args:
        model: any module that takes images; it is run in eval mode and left in its own. On
            torch's "meta" device nothing is computed, only shapes, so that the largest networks
            are counted at once.
        image_shape: (C, H, W).

    Returns:
        For each layer its name in the model and the count, in the order in which they run; a layer
        that runs twice counts twice.

    Raises:
        ValueError: an image_shape that is not (C, H, W).

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 10))
        >>> macs_by_layer(model, (1, 4, 4))
        {'0': 72, '2': 80}

    Taught in notebook 11.
    """
    if len(image_shape) != 3:
        raise ValueError(f"expected image_shape (C, H, W), got {image_shape}")
    macs: dict[str, int] = {}
    names = {module: name for name, module in model.named_modules()}

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # A convolution's weight is (O, C / groups, kh, kw), a linear layer's (O, I).
        products = module.weight[0].numel()
        macs[names[module]] = macs.get(names[module], 0) + output.numel() * products

    layers = [module for module in names if isinstance(module, (nn.Conv2d, nn.Linear))]
    handles = [layer.register_forward_hook(count) for layer in layers]
    modes = {module: module.training for module in names}
    like = next(model.parameters(), torch.zeros(()))  # its device and dtype
    image = torch.zeros(1, *image_shape, device=like.device, dtype=like.dtype)
    try:
        model.eval()
        with torch.inference_mode():
            model(image)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training
    return macs
