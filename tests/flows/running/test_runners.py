"""Threads, processes and a Ray cluster of two nodes do the same tasks, and a worker that dies costs nothing."""

import importlib
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect import flow, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows.config import Config, make_config
from flows.keys.steps import Step
from flows.running.orders import Order
from flows.running.runners import Workers, needs
from flows.running.tasks import reference_artifacts, step_task
from flows.settings import RunnerSettings
from storage.errors import DataError, EnvironmentProblem
from storage.settings import Settings
from storage.store.artifacts import Store
from tests.flow_runs import last_started

PATIENCE = 30.0  # seconds
DYING = """
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from storage.errors import DataError
from storage.settings import Settings, neutral

LOADED = []


class DyingSettings(Settings):
    text: str = "hello"
    deaths: int = neutral(0, "Processes that die of it before one does not.")
    fail: bool = neutral(False, "Fail.")
    seconds: float = neutral(0.0, "Before a process dies.")


@dataclass(frozen=True)
class Inputs:
    journal: Path


def run(inputs, settings, out_dir, progress):
    LOADED.append(settings.text)
    with inputs.journal.open("a") as stream:
        stream.write(f"{settings.text} {os.getpid()} {len(LOADED)}\\n")
    (out_dir / "half.txt").write_text("half")
    if settings.fail:
        raise DataError("asked to fail", where=settings.text, fix="do not ask", problems=["one", "two"])
    if inputs.journal.read_text().count(f"{settings.text} ") <= settings.deaths:
        time.sleep(settings.seconds)
        os.kill(os.getpid(), signal.SIGKILL)
    (out_dir / "half.txt").unlink()
    (out_dir / "out.txt").write_text(settings.text)
"""


@pytest.fixture(scope="module")
def dying_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A stage that kills the first processes that run it, in the middle; workers find it by PYTHONPATH."""
    folder = tmp_path_factory.mktemp("stage")
    (folder / "dying.py").write_text(DYING)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield "dying"


@pytest.fixture(scope="module")
def two_nodes(dying_stage: str) -> Iterator[str]:
    """Address of a Ray cluster of two raylets with a place each, whose workers know the stage."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0"}
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "node_ip_address": "127.0.0.2"}
    )
    cluster.add_node(num_cpus=1, node_ip_address="127.0.0.3")
    yield cluster.address
    cluster.shutdown()


def config_of(tmp_path: Path, kind: str, *overrides: str) -> Config:
    return make_config(
        {"name": "runners", "store": str(tmp_path / kind), "workers": 2}, [f"runner.kind={kind}", *overrides]
    )


def made(config: Config, module: str, journal: Path, **first: object) -> list[str]:
    """Digests of four steps, of which the first has other settings."""
    settings, store = importlib.import_module(module).DyingSettings, Store(Path(config.store))
    chosen = [settings(text=f"text {n}", **(first if n == 0 else {})) for n in range(4)]
    steps = [Step("counted", module, each, {}, {"journal": journal}) for each in chosen]

    @flow(persist_result=False)
    def once() -> list[dict[str, str]]:
        with Workers(config) as workers:
            states = workers.states(step_task("counted"), [Order(step, store) for step in steps])
        return [state.result() for state in states]

    return [artifact.digest for artifact in reference_artifacts(store, once())]


def done(journal: Path) -> list[tuple[str, int, int]]:
    """Text of each step that was begun, the process, and how many that process had begun."""
    lines = [line.rsplit(" ", 2) for line in journal.read_text().splitlines()]
    return [(text, int(pid), int(number)) for text, pid, number in lines]


@pytest.mark.slow(minutes=2)
def test_processes_make_what_threads_make_although_one_is_killed(api: str, dying_stage: str, tmp_path: Path) -> None:
    expected = made(config_of(tmp_path, "threads"), dying_stage, tmp_path / "calm")

    digests = made(config_of(tmp_path, "processes"), dying_stage, tmp_path / "killed", deaths=1)

    assert digests == expected
    assert len(set(expected)) == 4
    begun = done(tmp_path / "killed")
    assert [text for text, _, _ in begun].count("text 0") == 2
    assert os.getpid() not in {pid for _, pid, _ in begun}
    assert max(number for _, _, number in begun) > 1, "a worker keeps what it has loaded for its next task"


@pytest.mark.slow(minutes=2)
def test_a_task_run_whose_process_died_is_crashed_in_the_ui(api: str, dying_stage: str, tmp_path: Path) -> None:
    made(config_of(tmp_path, "processes"), dying_stage, tmp_path / "killed", deaths=1, seconds=3)

    names: list[str | None] = []
    until = time.monotonic() + PATIENCE
    with get_client(sync_client=True) as client:
        last = last_started(client)
        of_it = FlowRunFilter(id=FlowRunFilterId(any_=[last.id]))
        # the server hears of task runs some time after the run; who shared the pool with the dead one may crash, too
        while not ("Crashed" in names and names.count("Completed") == 4) and time.monotonic() < until:
            names = [run.state_name for run in client.read_task_runs(flow_run_filter=of_it)]
            time.sleep(0.2)
    assert names.count("Completed") == 4
    assert set(names) == {"Completed", "Crashed"}


@pytest.mark.slow(minutes=2)
def test_what_kills_every_process_ends_the_run_with_its_name(api: str, dying_stage: str, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="died 4 times") as caught:
        made(config_of(tmp_path, "processes"), dying_stage, tmp_path / "killed", deaths=100)
    assert "counted" in str(caught.value.where)


@pytest.mark.slow(minutes=2)
@pytest.mark.parametrize("kind", ["processes", "ray"])
def test_an_error_of_a_worker_arrives_as_it_was_raised(
    kind: str, api: str, dying_stage: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address = [f"runner.address={request.getfixturevalue('two_nodes')}"] if kind == "ray" else []
    with pytest.raises(DataError, match="asked to fail") as caught:
        made(config_of(tmp_path, kind, *address), dying_stage, tmp_path / "journal", fail=True)
    assert (caught.value.where, caught.value.fix) == ("text 0", "do not ask")
    assert caught.value.problems == ("one", "two")


@pytest.mark.slow(minutes=2)
def test_two_nodes_of_a_ray_cluster_make_what_threads_make_although_one_worker_is_killed(
    api: str, two_nodes: str, dying_stage: str, tmp_path: Path
) -> None:
    expected = made(config_of(tmp_path, "threads"), dying_stage, tmp_path / "calm")

    digests = made(
        config_of(tmp_path, "ray", f"runner.address={two_nodes}"), dying_stage, tmp_path / "killed", deaths=1
    )

    assert digests == expected
    begun = done(tmp_path / "killed")
    assert [text for text, _, _ in begun].count("text 0") == 2
    assert os.getpid() not in {pid for _, pid, _ in begun}
    assert max(number for _, _, number in begun) > 1, "a worker keeps what it has loaded for its next task"


def test_a_worker_with_other_code_refuses_the_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent = pickle.dumps(Order(Step("index", "flows.keys.steps", Settings(), {}), Store(tmp_path / "store")))
    order = pickle.loads(sent)  # noqa: S301 - of our own
    order.arrive()
    order.installed["csip"] = "another"
    with pytest.raises(EnvironmentProblem, match="in place of another"):
        order.arrive()


@pytest.mark.parametrize(
    ("stage", "devices", "gpus"),
    [("skeletons", 1, 0.25), ("features", 1, 0.5), ("pretrained", 4, 4.0), ("visual", 1, 0.5), ("metrics", 4, 0.0)],
)
def test_each_stage_asks_ray_for_what_it_uses(stage: str, devices: int, gpus: float) -> None:
    settings = RunnerSettings(kind="ray", gpus=0.5, cpus=2, stages={"skeletons": {"gpus": 0.25}})
    assert needs(settings, stage, devices) == {"num_cpus": 2.0, "num_gpus": gpus}
    assert needs(RunnerSettings(kind="ray"), stage, devices)["num_gpus"] == 0.0


@given(st.text(), st.none() | st.text(), st.none() | st.text(), st.lists(st.text()))
def test_errors_survive_the_way_from_a_worker(
    what: str, where: str | None, fix: str | None, problems: list[str]
) -> None:
    error = DataError(what, where=where, fix=fix, problems=problems)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - of our own
    assert type(again) is DataError
    assert (str(again), again.where, again.fix, again.problems) == (str(error), error.where, error.fix, error.problems)


LISTENING = """
import os
from flows.config import make_config
from flows.running.runners import task_runner
from tests.ports import listening

with task_runner(make_config({"name": "local", "workers": 1}, ["runner.kind=ray"])):
    print("addresses:", *listening(os.getpid()))
"""


@pytest.mark.slow(minutes=2)
def test_a_ray_cluster_that_is_started_for_a_run_is_reached_from_this_machine_alone() -> None:
    command = [sys.executable, "-c", LISTENING]  # in a process of its own: Ray reads where to listen at its import
    root = Path(__file__).parents[3]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout
    (addresses,) = [line.split()[1:] for line in told.splitlines() if line.startswith("addresses:")]
    assert addresses
    assert set(addresses) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}, told
