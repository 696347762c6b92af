"""How fast are the by-hand operations? `cnnlib.ops` beside torch, forward and backward.

    uv run python benchmarks/by_hand.py
    OMP_NUM_THREADS=1 uv run python benchmarks/by_hand.py --rounds 5

Three ways compute the same float32 convolution on the same threads: torch, cnnlib, and the
textbook's im2col (all windows of the whole batch at once, one matrix product; backward two more
products and col2im by one addition for each kernel offset, the columns kept from the forward
pass). Forward and backward is the output and all three gradients; torch's by autograd. Max pooling
is compared with torch alone. Times are medians, and the ratios compare within one run only. The
last column says how much of the machine's measured matrix-product speed cnnlib reaches.
"""

import argparse
import os
import platform
import time
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view

from cnnlib import ops

# (N, C, H, W, O, kernel_size), each with padding 1 (the usual one) and 0.
SHAPES = [
    (64, 16, 28, 28, 32, 3),
    (128, 3, 32, 32, 32, 3),
    (32, 64, 28, 28, 64, 3),
]
POOLED = [(64, 8, 24, 24), (64, 16, 12, 12)]
CALLS = 6  # timed calls in a block
PAUSE_S = 0.1  # after a block


def textbook_columns(images: np.ndarray, size: tuple, padding: int) -> np.ndarray:
    """A strided view of all windows of the batch, reshaped into one wide matrix.

    Of the orders in which textbooks lay the matrix out, this one is fast: a row runs along an
    image's rows. With one window a row, each copy moves three numbers and takes twice as long.
    """
    padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(padded, size, axis=(2, 3)).transpose(1, 4, 5, 0, 2, 3)
    return windows.reshape(images.shape[1] * size[0] * size[1], -1)


def textbook_conv2d(images, weight, padding: int):
    """The baseline's forward pass: the output, and the columns for the backward pass."""
    (N, _, H, W), (O, _, kernel_h, kernel_w) = images.shape, weight.shape
    columns = textbook_columns(images, (kernel_h, kernel_w), padding)
    out = weight.reshape(O, -1) @ columns
    out_h, out_w = H + 2 * padding - kernel_h + 1, W + 2 * padding - kernel_w + 1
    return out.reshape(O, N, out_h, out_w).transpose(1, 0, 2, 3), columns


def textbook_conv2d_backward(grad_out, columns, images_shape: tuple, weight, padding: int):
    """The baseline's three gradients."""
    (N, C, H, W), (O, _, kernel_h, kernel_w) = images_shape, weight.shape
    out_h, out_w = grad_out.shape[2:]
    grads = grad_out.transpose(1, 0, 2, 3).reshape(O, -1)
    grad_weight = (grads @ columns.T).reshape(weight.shape)
    grad_columns = weight.reshape(O, -1).T @ grads
    windows = grad_columns.reshape(C, kernel_h, kernel_w, N, out_h, out_w)
    padded = np.zeros((C, N, H + 2 * padding, W + 2 * padding), grad_out.dtype)
    for i in range(kernel_h):
        for j in range(kernel_w):
            padded[:, :, i : i + out_h, j : j + out_w] += windows[:, i, j]
    grad_images = padded[:, :, padding : padding + H, padding : padding + W]
    return grad_images.transpose(1, 0, 2, 3), grad_weight, grad_out.sum(axis=(0, 2, 3))


def median_times_s(functions: dict, rounds: int) -> dict:
    """Median seconds of each function, timed in blocks of calls with a pause after each block.

    NumPy's and torch's threads keep spinning for a while after a call. Were the calls taken in
    turn, each would be slowed by the other's threads, and the ratios would be wrong by 2×.
    """
    times = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            function()  # brings the data back into the cache and the threads to life
            function()
            for _ in range(CALLS):
                start = time.perf_counter()
                function()
                times[name].append(time.perf_counter() - start)
            time.sleep(PAUSE_S)
    return {name: float(np.median(values)) for name, values in times.items()}


def forward_ways(images: np.ndarray, weight: np.ndarray, padding: int) -> dict:
    """The three ways to compute the output, as functions without arguments."""
    x, w = torch.from_numpy(images), torch.from_numpy(weight)

    def with_torch():
        with torch.inference_mode():
            return [F.conv2d(x, w, padding=padding)]

    return {
        "torch": with_torch,
        "cnnlib": lambda: [ops.conv2d(images, weight, padding=padding)],
        "textbook": lambda: [textbook_conv2d(images, weight, padding)[0]],
    }


def training_ways(images: np.ndarray, weight: np.ndarray, padding: int) -> dict:
    """The three ways to compute the output and, from a gradient, all three gradients."""
    bias = np.zeros(len(weight), np.float32)
    leaves = [torch.from_numpy(array).requires_grad_() for array in (images, weight, bias)]
    shape = F.conv2d(*leaves, padding=padding).shape
    grad_out = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    upstream = torch.from_numpy(grad_out)

    def with_torch():
        out = F.conv2d(*leaves, padding=padding)
        return [out.detach(), *torch.autograd.grad(out, leaves, upstream)]

    def with_cnnlib():
        out = ops.conv2d(images, weight, bias, padding=padding)
        return [out, *ops.conv2d_backward(grad_out, images, weight, padding=padding)]

    def with_textbook():
        out, columns = textbook_conv2d(images, weight, padding)
        out += bias[:, None, None]
        grads = textbook_conv2d_backward(grad_out, columns, images.shape, weight, padding)
        return [out, *grads]

    return {"torch": with_torch, "cnnlib": with_cnnlib, "textbook": with_textbook}


def pooling_ways(images: np.ndarray, backward: bool) -> dict:
    """Max pooling of 2 × 2, and its gradient, by torch and by cnnlib."""
    leaf = torch.from_numpy(images).requires_grad_(backward)
    grad_out = np.ones_like(ops.max_pool2d(images, 2))
    upstream = torch.from_numpy(grad_out)

    def with_torch():
        out = F.max_pool2d(leaf, 2)
        return [out.detach(), *(torch.autograd.grad(out, leaf, upstream) if backward else [])]

    def with_cnnlib():
        out = ops.max_pool2d(images, 2)
        return [out, ops.max_pool2d_backward(grad_out, images, 2)] if backward else [out]

    return {"torch": with_torch, "cnnlib": with_cnnlib}


def timed(functions: dict, rounds: int) -> list[float]:
    """Median seconds of each way, after all were seen to compute the same."""
    expected = [np.asarray(array) for array in functions["torch"]()]
    for function in functions.values():
        for array, right in zip(function(), expected, strict=True):
            assert array.shape == right.shape
            assert np.abs(np.asarray(array) - right).max() <= 1e-4 * np.abs(right).max()
    return list(median_times_s(functions, rounds).values())


def matmul_peak(rounds: int, size: int = 2048) -> float:
    """The machine's measured speed at a large float32 matrix product, in GFLOP/s."""
    matrix = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    times_s = median_times_s({"matmul": partial(np.matmul, matrix, matrix)}, rounds)
    return 2 * size**3 / 1e9 / times_s["matmul"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="blocks of calls for each way")
    rounds = parser.parse_args().rounds

    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}, "
        f"{os.cpu_count()} cores, torch threads {torch.get_num_threads()}, "
        f"OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'not set')}"
    )
    if hasattr(os, "getloadavg"):  # not on Windows
        print(f"load before the run: {os.getloadavg()[0]:.1f} (other programs blur the numbers)")
    peak = matmul_peak(max(1, rounds // 3))
    print(f"matrix product of 2048 × 2048: {peak:.0f} GFLOP/s\n")
    rng = np.random.default_rng(0)
    for title, ways, num_products in (
        ("forward", forward_ways, 1),
        ("forward and backward", training_ways, 3),
    ):
        print(title)
        print(
            "N, C, H, W → O, k        padding  torch ms  cnnlib ms  ratio  textbook ratio  of peak"
        )
        for N, C, H, W, O, k in SHAPES:
            images = rng.standard_normal((N, C, H, W), dtype=np.float32)
            weight = rng.standard_normal((O, C, k, k), dtype=np.float32)
            for padding in (1, 0):
                torch_s, cnnlib_s, textbook_s = timed(ways(images, weight, padding), rounds)
                out_pixels = N * (H + 2 * padding - k + 1) * (W + 2 * padding - k + 1)
                work = num_products * 2 * out_pixels * weight.size / 1e9
                print(
                    f"{f'{N}, {C}, {H}, {W} → {O}, {k}':25}{padding:7}{1e3 * torch_s:10.2f}"
                    f"{1e3 * cnnlib_s:11.2f}{cnnlib_s / torch_s:7.2f}"
                    f"{textbook_s / torch_s:16.2f}{work / cnnlib_s / peak:9.0%}"
                )
        print()
    print("max_pool2d of 2 × 2\nN, C, H, W                        torch ms  cnnlib ms  ratio")
    for shape in POOLED:
        images = rng.standard_normal(shape, dtype=np.float32)
        for backward in (False, True):
            torch_s, cnnlib_s = timed(pooling_ways(images, backward), rounds)
            name = ", ".join(map(str, shape)) + (" and backward" if backward else "")
            print(f"{name:32}{1e3 * torch_s:10.2f}{1e3 * cnnlib_s:11.2f}{cnnlib_s / torch_s:7.2f}")


if __name__ == "__main__":
    main()
