import threading
import time

import numpy as np
import pytest

from training.batches.loader import Batch, Steps


def planned(epoch: int) -> list[list[int]]:
    return [[10 * epoch + step] for step in range(3 + epoch)]


def drawn(tracklets: list[int], rng: np.random.Generator) -> Batch:
    return {"tracklets": tracklets, "chance": float(rng.random())}


def epochs_of(steps: Steps, first: int, last: int) -> list[list[Batch]]:
    found = []
    for epoch in range(first, last):
        steps.start(epoch)
        found.append(list(steps))
        assert len(found[-1]) == len(steps)
    steps.close()
    return found


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_batches_are_the_same_with_any_number_of_workers_and_from_any_epoch_on(workers: int) -> None:
    whole = epochs_of(Steps(planned, drawn, seed=3, workers=1, epochs=4), 0, 4)
    assert [[b["tracklets"] for b in epoch] for epoch in whole] == [planned(e) for e in range(4)]
    assert epochs_of(Steps(planned, drawn, seed=3, workers=workers, epochs=4), 0, 4) == whole
    assert epochs_of(Steps(planned, drawn, seed=3, workers=workers, epochs=4), 2, 4) == whole[2:]
    assert len({b["chance"] for epoch in whole for b in epoch}) == sum(map(len, whole)), "no two steps draw alike"
    assert epochs_of(Steps(planned, drawn, seed=4, workers=workers, epochs=4), 0, 4) != whole


def test_the_next_epoch_is_begun_before_one_ends() -> None:
    made = []
    enough = threading.Event()

    def make(tracklets: list[int], rng: np.random.Generator) -> Batch:
        made.append(tracklets)
        if [10] in made:
            enough.set()
        return {}

    steps = Steps(planned, make, seed=0, workers=2, epochs=2)
    steps.start(0)
    for _ in steps:
        pass
    assert enough.wait(5)
    steps.close()


def test_waiting_for_a_slow_disk_is_counted_and_a_fast_one_costs_nothing() -> None:
    def slow(tracklets: list[int], rng: np.random.Generator) -> Batch:
        time.sleep(0.05)
        return {}

    waited = []
    for make, work in ((slow, 0.0), (drawn, 0.02)):
        steps = Steps(planned, make, seed=0, workers=1, epochs=1)
        steps.start(0)
        for _ in steps:
            time.sleep(work)
        steps.close()
        waited.append(steps.waited)
    assert waited[0] > 0.1
    assert waited[1] < waited[0] / 2


def test_what_goes_wrong_with_a_batch_is_raised_where_it_is_used() -> None:
    def broken(tracklets: list[int], rng: np.random.Generator) -> Batch:
        if tracklets == [1]:
            raise ValueError("no such tracklet")
        return {}

    steps = Steps(planned, broken, seed=0, workers=2, epochs=1)
    steps.start(0)
    with pytest.raises(ValueError, match="no such tracklet"):
        list(steps)
    steps.close()
