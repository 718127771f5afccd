"""Two processes train as one does: the same losses and the same weights, to rounding."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from storage.errors import CsipError
from tests.ports import free_port
from tests.training.stages import FIRM, QUIET, Stages
from training.files import load_tensors
from training.looping.distributed import gather, own_share, rank, world_size
from training.model.losses import batch_hard_triplet, supcon
from training.settings import HISTORY, MODEL, PROTOTYPES

TWO = QUIET.model_copy(update={"devices": 2})


@pytest.fixture
def firm(stages: Stages) -> Stages:
    stages.run("pretrain", settings=FIRM["pretrain"])
    return stages


@pytest.mark.slow
@pytest.mark.parametrize("stage", FIRM)
def test_two_processes_learn_what_one_learns_from_the_same_global_batch(firm: Stages, stage: str) -> None:
    told: list[tuple[int, int]] = []
    one = firm.run(stage, "one", FIRM[stage])
    two = firm.run(stage, "two", FIRM[stage], TWO, lambda done, total, message="": told.append((done, total)))

    alone, together = (pq.read_table(folder / HISTORY) for folder in (one, two))
    assert alone.column_names == together.column_names
    assert len(together) == len(alone) > 3
    assert told[-1] == (len(alone), len(alone)), "progress comes from the processes"
    for column in alone.column_names:
        np.testing.assert_allclose(together[column], alone[column], rtol=1e-5, atol=1e-5, err_msg=column)
    for name in (MODEL, PROTOTYPES):
        expected, found = load_tensors(one / name), load_tensors(two / name)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            # Adam divides a gradient by its own size: where it is all rounding, a step may go either way
            torch.testing.assert_close(found[key], value, rtol=1e-4, atol=2e-3 if name == MODEL else 1e-3, msg=key)


@pytest.mark.slow
def test_two_nodes_train_together_by_the_variables_of_torchrun(firm: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    one = firm.run("pretrain", "one", FIRM["pretrain"])
    meeting = {"PET_NNODES": "2", "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(free_port())}
    for name, value in (meeting | {"PET_NODE_RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    job = firm.root / "pretrain" / "two nodes" / "work" / "job.json"

    def other_node() -> int:
        while not job.exists():
            time.sleep(0.05)
        command = [sys.executable, "-m", "torch.distributed.run", "-m", "training.looping.launch", str(job)]
        return subprocess.run(command, env=os.environ | {"PET_NODE_RANK": "1"}, check=False).returncode

    with ThreadPoolExecutor() as pool:
        other = pool.submit(other_node)
        two = firm.run("pretrain", "two nodes", FIRM["pretrain"], QUIET)
        assert other.result() == 0
    np.testing.assert_allclose(
        pq.read_table(two / HISTORY)["loss"], pq.read_table(one / HISTORY)["loss"], rtol=1e-5, atol=1e-5
    )


@pytest.mark.slow
def test_what_a_process_finds_wrong_is_told_by_the_one_that_started_it(firm: Stages) -> None:
    hopeless = FIRM["pretrain"].model_copy(update={"lr": 1e6, "max_loss": 10.0, "warmup_epochs": 0})
    with pytest.raises(CsipError, match=r"exploded|not a number") as caught:
        firm.run("pretrain", "hopeless", hopeless, TWO)
    assert "tracklets 0" in str(caught.value)


def parts(process: int, folder: Path, work: Callable[[], dict[str, Tensor]]) -> None:
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=process, world_size=2)
    torch.save(work(), folder / f"{process}.pth")
    dist.destroy_process_group()


def answers(folder: Path, work: Callable[[], dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """What two processes say."""
    processes.spawn(parts, (folder, work), nprocs=2)
    return [torch.load(folder / f"{process}.pth", weights_only=True) for process in (0, 1)]


def features() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(7, 4, generator=generator, dtype=torch.float32) for _ in range(2))
    return a, b, torch.tensor([0, 0, 1, 1, 2, 2, 2])


def losses_of_parts() -> dict[str, Tensor]:
    a, b, pids = features()
    own = list(own_share(range(7)))
    scale = torch.ones(4, requires_grad=True)
    every = [gather(part) for part in (a[own] * scale, b[own], pids[own])]
    loss = supcon(*every, temperature=0.5) + batch_hard_triplet(every[0], every[2], 0.3)
    loss.backward()
    gradient = scale.grad
    dist.all_reduce(gradient)
    return {"loss": loss.detach(), "gradient": gradient / world_size(), "rank": torch.tensor(rank()), "a": every[0]}


@pytest.mark.slow
def test_gathered_features_give_the_loss_and_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    a, b, pids = features()
    scale = torch.ones(4, requires_grad=True)
    loss = supcon(a * scale, b, pids, 0.5) + batch_hard_triplet(a * scale, pids, 0.3)
    loss.backward()
    found = answers(tmp_path, losses_of_parts)
    assert [int(answer["rank"]) for answer in found] == [0, 1]
    for answer in found:
        torch.testing.assert_close(answer["loss"], loss.detach())
        torch.testing.assert_close(answer["gradient"], scale.grad)
        torch.testing.assert_close(answer["a"], a), "in the order of the batch, parts of unequal size"


@given(st.integers(0, 40), st.integers(1, 9))
def test_parts_hold_every_item_once_in_order_and_are_of_one_size(items: int, count: int) -> None:
    parts = []
    for process in range(count):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("training.looping.distributed.rank", lambda process=process: process)
            patch.setattr("training.looping.distributed.world_size", lambda: count)
            parts.append(own_share(list(range(items))))
    assert [item for part in parts for item in part] == list(range(items))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_alone_everything_is_ones_own() -> None:
    a, _, _ = features()
    assert (rank(), world_size()) == (0, 1)
    assert gather(a) is a
    assert list(own_share([1, 2, 3])) == [1, 2, 3]
