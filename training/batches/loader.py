"""The batches of a training, made ahead by threads while the model works; each a pure function of (seed, epoch, step).

Decoding leaves Python's lock, so threads are enough, and they share one cache of frames.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset

from storage.threads import in_order

Batch = dict[str, Any]
Plan = Callable[[int], list[list[int]]]
Make = Callable[[list[int], np.random.Generator], Batch]


class Steps(IterableDataset[Batch]):
    """The batches of a training, an epoch at each iteration; the next epoch's are begun before one ends.

    Args:
        plan: epoch -> the positions of the tracklets of each batch.
        make: a batch's tracklets and its source of randomness -> arrays and tensors on the CPU, and `names` of the
            tracklets. Called in threads; what it returns may depend on nothing but its arguments.
        seed: of the training.
        workers: batches that are made at once.
        epochs: of the whole training.

    Attributes:
        waited: seconds for which the model had to wait for batches.
        first: batches of this epoch that were done before.
    """

    def __init__(self, plan: Plan, make: Make, seed: int, workers: int, epochs: int) -> None:
        self.plan = lru_cache(maxsize=2)(plan)  # asked twice for each epoch: how many, and which
        self.make, self.seed, self.epochs = make, seed, epochs
        self.waited = 0.0
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="loader")
        self._ahead = 2 * workers
        self._size = len(self.plan(0))
        self._next = -1
        self.first = 0
        self._stream: Iterator[Batch] = iter(())

    def start(self, epoch: int, first: int = 0) -> None:
        """Go to an epoch, and in it to a batch."""
        if epoch != self._next or first:
            self._stream = in_order(self._jobs(epoch, first), self._ahead)
        self._next, self.first = epoch + 1, first
        self._size = len(self.plan(epoch))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self.first, self._size):
            asked = time.perf_counter()
            batch = next(self._stream)
            self.waited += time.perf_counter() - asked
            yield batch

    def close(self) -> None:
        """Stop making batches."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _jobs(self, first: int, first_step: int) -> Iterator[Future[Batch]]:
        for epoch in range(first, self.epochs):
            for step, tracklets in enumerate(self.plan(epoch)):
                if epoch > first or step >= first_step:
                    yield self._pool.submit(self.make, tracklets, np.random.default_rng([self.seed, epoch, step]))
