"""Threads that compute side by side, each with torch operators of one thread.

On a CPU this is faster than operators that split their work (RTMPose-s on 2 cores: 4.1 against 4.6 ms a frame,
LiteHRNet 2.2 against 3.7), and the bytes of an answer no longer depend on how many cores there are.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch

ARENA_MAX, MMAP_THRESHOLD, TRIM_THRESHOLD = -8, -3, -1
"""Names of options in glibc's malloc.h."""

KEPT_BYTES = 1 << 30


def compute_pool(workers: int) -> ThreadPoolExecutor:
    """A pool of `workers` threads in which torch's operators use one thread each."""
    _keep_freed_memory()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="pose")
    started = Barrier(workers)

    def settle(_number: int) -> None:
        torch.get_num_threads()  # a thread's first question makes it forget what was set before
        torch.set_num_threads(1)
        started.wait()  # so that every one of the threads comes by here

    threads = torch.get_num_threads()
    list(pool.map(settle, range(workers)))
    # torch keeps one number for threads that are yet to start: training must find what it was
    torch.set_num_threads(threads)
    return pool


def _keep_freed_memory() -> None:
    """Let glibc, where that is the C library, keep what was freed, in one heap for all threads.

    Operators ask for megabytes and free them a moment later. glibc hands such blocks back to the kernel, which then
    clears pages for the next operator: a tenth of the time of a pose model.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((ARENA_MAX, 1), (MMAP_THRESHOLD, KEPT_BYTES), (TRIM_THRESHOLD, KEPT_BYTES)):
            mallopt(option, value)
