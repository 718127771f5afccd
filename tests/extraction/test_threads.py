from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from extraction.threads import compute_pool


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
