"""Runs that get SIGTERM, as schedulers send it: what they were at is kept, and another machine goes on with it."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from storage.store.artifacts import Store
from storage.store.bucket import Bucket
from storage.store.contents import Kind, found
from storage.store.runs import COMPLETED, PREEMPTED, STOPPED, records
from tests.small_run import small_settings
from training.looping.states import sound_states

PATIENCE = 300.0  # seconds until the moment for SIGTERM, and for a whole run
QUICK = 29.0  # seconds to the end after it; schedulers leave 30
EPOCHS = 150
EVERY = 10


def settings(folder: Path, store: str, **more: Any) -> dict[str, Any]:
    """A small run whose pretraining takes some seconds and saves a state now and then."""
    found = copy.deepcopy(small_settings(folder, store))
    found["pretrain"] |= {"epochs": EPOCHS, "batch": 4, "instances": 2, "save_every": EVERY, "threads": 1}
    return found | more


class Machine:
    """`csip run` processes with a home folder of their own, and so with a workspace of their own."""

    def __init__(self, folder: Path, api: str, config: dict[str, Any]) -> None:
        self.home = folder
        self.home.mkdir()
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump(config))
        self.environment = os.environ | {"HOME": str(folder), "PREFECT_API_URL": api, "OMP_NUM_THREADS": "1"}
        self.environment["COLUMNS"] = "200"

    @contextmanager
    def run(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "flows.commands.app", "run", str(self.config), *options]
        with subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def workspace(self, address: str) -> Path:
        """Where this machine keeps what belongs to a store at an address."""
        return Store(Bucket(address, self.home / ".cache/csip/stores")).root


def wait_for(moment: Callable[[], object], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + PATIENCE
    while not moment():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.01)


def stop(process: subprocess.Popen[str]) -> str:
    """Send SIGTERM, and what the process said until it ended in time."""
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    try:
        said = process.communicate(timeout=QUICK)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"still there: {process.communicate()[0]}") from None
    print(f"ended after {time.monotonic() - begun:.1f} s\n{said}")
    assert process.returncode == 143, said
    assert "next run goes on" in said
    assert "Traceback" not in said
    return said


def undisturbed(folder: Path, api: str) -> Store:
    """The store of a run that was left alone; of a machine with as many threads, which count for a training's bits."""
    machine = Machine(folder / "undisturbed", api, settings(folder, str(folder / "whole")))
    with machine.run() as process:
        said = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0, said
    return Store(folder / "whole")


def digests(store: Store) -> dict[tuple[str, str, str], str]:
    """Digest of every artifact but the report, which names times, by stage, part and key."""
    return {(a.stage, a.manifest["part"], a.key): a.digest for a in store.all() if a.stage != "report"}


@pytest.mark.slow(minutes=4)
@pytest.mark.timeout(1200)
def test_another_machine_goes_on_after_the_last_step_of_a_preempted_pretraining(
    tmp_path: Path, api: str, s3_address: str
) -> None:
    config = settings(tmp_path, s3_address)
    one = Machine(tmp_path / "one", api, config)
    staging = one.workspace(s3_address) / "staging/pretrained"
    with one.run() as process:
        wait_for(lambda: list(staging.glob("*/work/state-*.pth")), process)
        said = stop(process)
    assert "pretrained | training stops after epoch" in said
    store = Store(Bucket(s3_address, tmp_path / "looking"))
    assert records(store)[-1]["status"] == PREEMPTED
    assert not store.names("pretrained"), "nothing half-made"
    assert sorted(stage for stage, _ in found(store)[Kind.SENT]) == ["pretrained", "visual"]

    two = Machine(tmp_path / "two", api, config)
    with two.run() as process:
        said = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0, said
    assert "training goes on after epoch" in said
    (speed,) = (two.workspace(s3_address) / "trainings/pretrained").glob("*/speed.json")
    done, steps = json.loads(speed.read_text())["steps"] + 1, EPOCHS * 4
    assert steps / 10 < done <= steps - EVERY * 4, "the first machine's steps were not done again"
    assert [record["status"] for record in records(store)] == [PREEMPTED, COMPLETED]

    assert digests(store) == digests(undisturbed(tmp_path, api))


@pytest.mark.slow(minutes=4)
@pytest.mark.timeout(1200)
def test_shards_in_two_threads_stop_and_the_next_run_goes_on(tmp_path: Path, api: str) -> None:
    config = settings(tmp_path, str(tmp_path / "store"), workers=2)
    machine = Machine(tmp_path / "one", api, config)
    folder = tmp_path / "store"
    with machine.run("--to", "skeletons") as process:
        wait_for(lambda: len(list((folder / "staging/skeletons").glob("*"))) == 2, process)
        stop(process)
    store = Store(folder)
    assert not store.names("skeletons")
    log = tmp_path / "lines"
    with machine.run("--to", "skeletons", "--log", str(log)) as process:
        said = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0, said
    assert [record["status"] for record in records(store)] == [PREEMPTED, STOPPED]
    assert len(store.all("skeletons")) == 4
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    shards = {line["shard"] for line in lines if line["stage"] == "skeletons"}
    assert shards == {"train-000", "train-001", "test-000", "test-001"}
    assert {line["run"] for line in lines if line["stage"]} == {records(store)[-1]["run"]}


@pytest.mark.slow(minutes=4)
@pytest.mark.timeout(1200)
def test_a_pretraining_on_a_ray_cluster_stops_after_its_step_and_threads_go_on(tmp_path: Path, api: str) -> None:
    config = settings(tmp_path, str(tmp_path / "store"), runner={"kind": "ray"})
    machine = Machine(tmp_path / "one", api, config)
    staging = tmp_path / "store/staging/pretrained"
    with machine.run() as process:
        wait_for(lambda: list(staging.glob("*/work/state-*.pth")), process)
        stop(process)
    store = Store(tmp_path / "store")
    assert records(store)[-1]["status"] == PREEMPTED
    (work,) = staging.glob("*/work")
    (epochs, steps), _ = next(sound_states(work))
    assert steps or epochs % EVERY, "not only what is saved now and then"

    del config["runner"]
    with Machine(tmp_path / "two", api, config).run() as process:
        said = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0, said
    assert "training goes on after epoch" in said
    (speed,) = (tmp_path / "store/trainings/pretrained").glob("*/speed.json")
    assert json.loads(speed.read_text())["steps"] + 1 <= EPOCHS * 4 - EVERY * 4, "the first steps were not done again"
    assert digests(store) == digests(undisturbed(tmp_path, api))
