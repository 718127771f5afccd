import threading
from concurrent.futures import Future
from contextvars import ContextVar

import pytest

from storage.threads import in_order, repeating


def test_results_come_in_the_order_asked_for_whatever_ends_first():
    futures: list[Future[int]] = [Future() for _ in range(5)]
    for number in reversed(range(5)):
        futures[number].set_result(number)
    assert list(in_order(futures, ahead=2)) == [0, 1, 2, 3, 4]


def test_only_so_many_are_asked_for_ahead():
    asked = []

    def jobs():
        for number in range(10):
            asked.append(number)
            future: Future[int] = Future()
            future.set_result(number)
            yield future

    results = in_order(jobs(), ahead=3)
    next(results)
    assert asked == [0, 1, 2]
    next(results)
    assert asked == [0, 1, 2, 3]


def test_an_error_reaches_whoever_waits_and_the_rest_is_dropped():
    futures: list[Future[int]] = [Future() for _ in range(4)]
    futures[0].set_result(1)
    futures[1].set_exception(ValueError("broken"))
    results = in_order(futures, ahead=4)
    assert next(results) == 1
    with pytest.raises(ValueError, match="broken"):
        next(results)
    assert futures[2].cancelled()
    assert futures[3].cancelled()


def test_what_is_repeated_knows_the_context_and_ends_with_it():
    name: ContextVar[str] = ContextVar("name", default="")
    name.set("step 1")
    seen: list[str] = []
    before = threading.active_count()
    twice = threading.Event()

    def look() -> None:
        seen.append(name.get())
        if len(seen) == 2:
            twice.set()

    with repeating(look, 0.001):
        assert twice.wait(60)
    assert set(seen) == {"step 1"}
    assert threading.active_count() == before
