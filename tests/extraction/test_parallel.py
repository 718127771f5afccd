from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import torch

from extraction.parallel import compute_pool, in_order


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_operators_use_one_thread_in_the_pool_and_as_many_as_before_elsewhere():
    with compute_pool(3) as pool:
        assert list(pool.map(lambda _: torch.get_num_threads(), range(12))) == [1] * 12
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as other:
            assert other.submit(torch.get_num_threads).result() == 2


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
