"""Convolution in threads: the same bits, and nothing left behind."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import threadpoolctl
import torch
import torch.nn.functional as F

from cnnlib import ops
from cnnlib.ops import convolution, threads


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def large_convolution():
    """Enough work for several parts, which are not of one size."""
    images, weight = normal(0, 51, 16, 24, 24), normal(1, 32, 16, 3, 3)
    return images, weight, normal(2, 51, 32, 24, 24)


@pytest.fixture
def part_counts(monkeypatch):
    """How many parts each operation was cut into."""
    counts, real = [], convolution.each_part

    def counted(*arguments):
        parts = []
        results = real(lambda part: (parts.append(part), arguments[0](part))[1], *arguments[1:])
        counts.append(len(parts))
        return results

    monkeypatch.setattr(convolution, "each_part", counted)
    return counts


def library_threads() -> int:
    infos = threadpoolctl.threadpool_info()
    return max(info["num_threads"] for info in infos if info["user_api"] == "blas")


@pytest.mark.parametrize("num_threads", [2, 3, 5])
def test_threads_change_not_a_bit_and_the_librarys_are_given_back(num_threads, part_counts):
    images, weight, grad_out = large_convolution()
    runs = []
    for limit in (1, num_threads):
        with threadpoolctl.threadpool_limits(limit, user_api="blas"):
            before = library_threads()
            out = ops.conv2d(images, weight, padding=1)
            runs.append([out, *ops.conv2d_backward(grad_out, images, weight, padding=1)])
            assert library_threads() == before
    assert part_counts == [3, 4, 3, 4]
    for alone, together in zip(*runs, strict=True):
        np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("num_images", [1, 3, 7, 10])
def test_in_parts_it_is_torchs_convolution(num_images, groups, monkeypatch, part_counts):
    monkeypatch.setattr(threads, "LEAST_BYTES", 1)
    images, weight = normal(0, num_images, 4, 9, 7), normal(1, 6, 4 // groups, 3, 2)
    settings = {"stride": 2, "padding": (1, 0), "groups": groups}
    leaves = [torch.from_numpy(array).double().requires_grad_() for array in (images, weight)]
    expected = F.conv2d(*leaves, **settings)
    grad_out = normal(2, *expected.shape)
    expected.backward(torch.from_numpy(grad_out).double())
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        out = ops.conv2d(images, weight, **settings)
        grads = ops.conv2d_backward(grad_out, images, weight, **settings)
    assert part_counts == [min(num_images, threads.MOST_PARTS)] * 2
    np.testing.assert_allclose(out, expected.detach(), rtol=0, atol=1e-4)
    for grad, leaf in zip(grads, leaves, strict=False):
        np.testing.assert_allclose(grad, leaf.grad, rtol=0, atol=1e-4)


def test_parts_are_shared_among_threads_and_cover_all_images():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        if library_threads() < 2:
            pytest.skip("the library of matrix products has one thread here")
        meet = threading.Barrier(2, timeout=30)  # a single thread would never pass

        def note(part):
            meet.wait()
            return part, library_threads()

        found = threads.each_part(note, 10, 10**9)
    numbers = [i for part, _ in found for i in range(10)[part]]
    assert numbers == list(range(10))
    assert [inside for _, inside in found] == [1] * threads.MOST_PARTS


def test_little_work_is_one_part_and_an_error_reaches_the_caller():
    assert threads.each_part(lambda part: part, 7, 1000) == [slice(0, 7)]

    def fail(part):
        raise MemoryError("no room")

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = library_threads()
        with pytest.raises(MemoryError, match="no room"):
            threads.each_part(fail, 10, 10**9)
        assert library_threads() == before
    assert threads.each_part(lambda part: part.stop - part.start, 3, 10**9) == [1, 1, 1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_convolves_too():
    code = (
        "import os, sys, threadpoolctl, numpy as np\n"
        "from cnnlib import ops\n"
        "images = np.ones((64, 16, 32, 32), np.float32)\n"
        "weight = np.ones((32, 16, 3, 3), np.float32)\n"
        "with threadpoolctl.threadpool_limits(2, user_api='blas'):\n"
        "    expected = ops.conv2d(images, weight)\n"
        "    child = os.fork()\n"
        "    equal = np.array_equal(ops.conv2d(images, weight), expected)\n"
        "    if child == 0: os._exit(0 if equal else 1)\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not equal)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
