"""How fast is the by-hand convolution? Forward time of `cnnlib.ops.conv2d` beside torch's.

    uv run python benchmarks/by_hand.py
    OMP_NUM_THREADS=1 uv run python benchmarks/by_hand.py --rounds 5

Three ways compute the same float32 convolution on the same threads: torch, cnnlib, and the
textbook's im2col (all windows of the whole batch at once, one matrix product). Times are medians,
and the ratios compare within one run only. The last column says how much of the machine's
measured matrix-product speed cnnlib reaches.
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
CALLS = 6  # timed calls in a block
PAUSE_S = 0.1  # after a block


def textbook_conv2d(images: np.ndarray, weight: np.ndarray, padding: int) -> np.ndarray:
    """The baseline: a strided view of all windows of the batch, reshaped into one wide matrix.

    Of the orders in which textbooks lay the matrix out, this one is fast: a row runs along an
    image's rows. With one window a row, each copy moves three numbers and takes twice as long.
    """
    N, O, size = images.shape[0], weight.shape[0], weight.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(padded, size, axis=(2, 3)).transpose(1, 4, 5, 0, 2, 3)
    out_h, out_w = windows.shape[4:]
    columns = windows.reshape(-1, N * out_h * out_w)
    out = weight.reshape(O, -1) @ columns
    return out.reshape(O, N, out_h, out_w).transpose(1, 0, 2, 3)


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


def compare(shape: tuple, padding: int, rounds: int) -> tuple[dict, float]:
    """Median seconds of each way on one shape, and the billions of operations it takes."""
    N, C, H, W, O, kernel_size = shape
    rng = np.random.default_rng(0)
    images = rng.standard_normal((N, C, H, W), dtype=np.float32)
    weight = rng.standard_normal((O, C, kernel_size, kernel_size), dtype=np.float32)
    functions = {
        "torch": partial(
            F.conv2d, torch.from_numpy(images), torch.from_numpy(weight), padding=padding
        ),
        "cnnlib": partial(ops.conv2d, images, weight, padding=padding),
        "textbook": partial(textbook_conv2d, images, weight, padding),
    }
    with torch.inference_mode():
        expected = functions["torch"]().numpy()
        for name in ("cnnlib", "textbook"):
            np.testing.assert_allclose(functions[name](), expected, rtol=1e-4, atol=1e-3)
        times_s = median_times_s(functions, rounds)
    return times_s, 2 * expected.size * weight[0].size / 1e9


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
    print("N, C, H, W → O, k          padding  torch ms  cnnlib ms  ratio  textbook ratio  of peak")
    for N, C, H, W, O, kernel_size in SHAPES:
        for padding in (1, 0):
            times_s, work = compare((N, C, H, W, O, kernel_size), padding, rounds)
            torch_s, cnnlib_s, textbook_s = times_s.values()
            print(
                f"{f'{N}, {C}, {H}, {W} → {O}, {kernel_size}':25}  {padding:7}"
                f"  {1e3 * torch_s:8.2f}  {1e3 * cnnlib_s:9.2f}  {cnnlib_s / torch_s:5.2f}"
                f"  {textbook_s / torch_s:14.2f}  {work / cnnlib_s / peak:7.0%}"
            )


if __name__ == "__main__":
    main()
