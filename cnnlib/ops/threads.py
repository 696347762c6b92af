"""Threads over the images of a batch, each with its own share of the matrix products."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

MOST_PARTS = 4
LEAST_BYTES = 6_000_000  # of a part, or its thread would cost more than it saves
_ALONE = threading.Lock()  # the number of the library's threads is one for the whole process


def each_part(function: Callable[[slice], Any], num_images: int, num_bytes: int) -> list:
    """function(part) for slices that together are all images, and its results in their order.

    NumPy's library would split every single product between the cores, which then wait for each
    other thousands of times in one call. Here each core takes whole images. The parts depend on
    `num_bytes`, the size of the work, and not on the machine, so that sums over parts are the same
    with any number of threads.
    """
    count = max(1, min(num_images, MOST_PARTS, num_bytes // LEAST_BYTES))
    parts = [slice(i * num_images // count, (i + 1) * num_images // count) for i in range(count)]
    threads = _num_threads()
    if count == 1 or threads == 1:
        return [function(part) for part in parts]
    results, waiting = [None] * count, iter(range(count))

    def work() -> None:
        for i in waiting:  # all threads draw from the same numbers
            results[i] = function(parts[i])

    with _ALONE, _controller().limit(limits=1, user_api="blas"):
        others = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
        work()  # this thread is one of them
        for other in others:
            other.result()
    return results


def _num_threads() -> int:
    """How many threads the library of matrix products may use; 1 if it does not say."""
    libraries = _controller().lib_controllers
    return max((each.num_threads for each in libraries if each.user_api == "blas"), default=1)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


if hasattr(os, "register_at_fork"):  # a forked process inherits the pool, but not its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
