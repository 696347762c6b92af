"""What the operations ask of their arguments, and the errors that say what is wrong."""

import numpy as np

from cnnlib.geometry import Pair, check_channels, check_count

FLOATS = (np.float32, np.float64)


def check_images(images: np.ndarray) -> tuple[int, int, int, int]:
    """The shape (N, C, H, W) of images, or an error that says what is wrong with them."""
    check_numbers(images, "images")
    if images.ndim != 4:
        mend = {2: "images[None, None]", 3: "images[None]"}.get(images.ndim)
        mend = f"; for a single image use {mend}" if mend else ""
        raise ValueError(f"expected images (N, C, H, W), got {images.shape}{mend}")
    # An empty batch has an empty answer; an image without channels or pixels has none.
    if 0 in images.shape[1:]:
        raise ValueError(f"expected images with C, H and W of at least 1, got {images.shape}")
    return images.shape


def check_numbers(array: np.ndarray, name: str) -> None:
    """Raise a TypeError unless array is a NumPy array of integers or floating-point numbers."""
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"expected {name} as a NumPy array, got {type(array).__name__}; "
            "np.asarray converts lists, tensor.numpy() a torch tensor"
        )
    if array.dtype.kind not in "iuf":
        raise TypeError(f"expected {name} of real numbers, got dtype {array.dtype}")


def check_floats(array: np.ndarray, name: str, dtype: np.dtype | None = None) -> None:
    """Raise a TypeError unless array is float32 or float64, and of `dtype` where one is given."""
    check_numbers(array, name)
    if array.dtype not in FLOATS:
        raise TypeError(
            f"expected {name} of float32 or float64, got {array.dtype}, in which sums may overflow "
            f"or lose digits; use {name}.astype(np.float32)"
        )
    if dtype is not None and array.dtype != dtype:
        raise TypeError(
            f"expected {name} of the same dtype as the images, {dtype}, got {array.dtype}; "
            f"use {name}.astype(images.dtype)"
        )


def check_weight(
    images: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, groups: int, transposed: bool
) -> tuple[int, Pair]:
    """The number of output channels and the kernel's (kh, kw), or an error that says why not."""
    check_floats(images, "images")
    check_floats(weight, "weight", images.dtype)
    layout = "(C, O / groups, kh, kw)" if transposed else "(O, C / groups, kh, kw)"
    if weight.ndim != 4 or 0 in weight.shape:
        raise ValueError(f"expected weight {layout}, got {weight.shape}")
    check_count(groups, "groups")
    C = images.shape[1]
    if transposed:
        in_channels, out_channels = weight.shape[0], weight.shape[1] * groups
    else:
        in_channels, out_channels = weight.shape[1] * groups, weight.shape[0]
    if in_channels != C:
        raise ValueError(
            f"expected weight {layout} for {C} channels and groups={groups}, got {weight.shape}, "
            f"which is for {in_channels} channels"
        )
    check_channels(C, out_channels, groups)
    if bias is not None:
        check_floats(bias, "bias", images.dtype)
        if bias.shape != (out_channels,):
            raise ValueError(f"expected bias ({out_channels},), got {bias.shape}")
    return out_channels, weight.shape[2:]


def check_grad(grad_out: np.ndarray, shape: tuple, dtype: np.dtype) -> None:
    """Raise an error unless grad_out has the shape and dtype of the forward pass's output."""
    check_floats(grad_out, "grad_out", dtype)
    if grad_out.shape != shape:
        raise ValueError(
            f"expected grad_out of the output's shape {shape}, got {grad_out.shape}; "
            "use the arguments of the forward pass"
        )


def check_features(features: np.ndarray, name: str = "features") -> tuple[int, int]:
    """The shape (N, F) of a matrix with one row an image, or an error that says what is wrong."""
    check_floats(features, name)
    if features.ndim != 2 or features.shape[1] == 0:
        mend = f"; flatten images with {name}.reshape(len({name}), -1)" if features.ndim > 2 else ""
        raise ValueError(f"expected {name} (N, F), got {features.shape}{mend}")
    return features.shape
