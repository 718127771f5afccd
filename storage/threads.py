"""Work done ahead by threads, taken in the order in which it was asked for; and what a thread does now and then."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar

import pyarrow as pa

from storage.progress import Progress

FILES_A_TASK = 1 << 8
S = TypeVar("S")
T = TypeVar("T")


def in_order(futures: Iterable[Future[T]], ahead: int) -> Iterator[T]:
    """Results in the order given, with up to `ahead` of the futures asked for before the first is awaited."""
    pending: deque[Future[T]] = deque()
    try:
        for future in futures:
            pending.append(future)
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def mapped(work: Callable[[S], T], items: Iterable[S], threads: int) -> Iterator[T]:
    """What `work`, called by several threads, makes of each item, in the order given; few are done ahead."""
    with ThreadPoolExecutor(threads) as pool:
        yield from in_order((pool.submit(work, item) for item in items), threads + 1)


def of_each(read: Callable[[str], T], names: pa.Array, workers: int, progress: Progress, message: str) -> Iterator[T]:
    """What `read`, called by several threads, makes of each of many small files, in the order given.

    Args:
        read: of one file.
        names: of the files, N strings; few of them are objects at a time.
        workers: threads.
        progress: told files done of all.
        message: what they are, for the progress.
    """
    starts = range(0, len(names), FILES_A_TASK)
    groups = (names.slice(start, FILES_A_TASK).to_pylist() for start in starts)
    for start, found in zip(starts, mapped(lambda group: [read(name) for name in group], groups, workers), strict=True):
        yield from found
        progress(start + len(found), len(names), message)


@contextmanager
def repeating(call: Callable[[], object], seconds: float) -> Iterator[None]:
    """Meanwhile, a thread calls something every so many seconds, with the context variables of who asks for it."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            call()

    thread = threading.Thread(target=copy_context().run, args=(repeat,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
