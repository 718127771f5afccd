"""Reading many small files by several threads, in the order given and without an object a file in between."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TypeVar

import pyarrow as pa

from storage.progress import Progress

FILES_AT_ONCE, FILES_A_TASK = 1 << 15, 1 << 8
T = TypeVar("T")


def of_each(read: Callable[[str], T], names: pa.Array, workers: int, progress: Progress, message: str) -> Iterator[T]:
    """What `read` makes of each file, in the order given.

    Args:
        read: called by several threads.
        names: of the files, N strings.
        workers: threads.
        progress: told files done of all.
        message: what they are, for the progress.
    """
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(names), FILES_AT_ONCE):
            some = names.slice(start, FILES_AT_ONCE).to_pylist()
            groups = [some[first : first + FILES_A_TASK] for first in range(0, len(some), FILES_A_TASK)]
            yield from chain.from_iterable(pool.map(lambda group: [read(name) for name in group], groups))
            progress(start + len(some), len(names), message)
