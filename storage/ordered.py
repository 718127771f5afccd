"""Work done ahead by a pool, taken in the order in which it was asked for."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

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
