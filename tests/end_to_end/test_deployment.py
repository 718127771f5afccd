"""A deployment from `csip deploy` to its artifacts, on a real server, by a real worker of a process pool."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running, Scheduled

from flows.deploying.automations import silent_run_is_crashed
from flows.running.limits import slot, store_limit
from flows.settings import ServerSettings
from flows.watching.server import ensure_server
from storage.store.artifacts import Store
from tests.small_run import SETTINGS

pytestmark = pytest.mark.slow(minutes=2)
ROOT = Path(__file__).parents[2]
POOL = "tests"
DEPLOYMENT = "rebuild/small"


@dataclass
class Place:
    """Where everything runs: data and store are named by relative paths.

    Attributes:
        folder: the working directory.
        environment: of commands.
        told: what the first `csip deploy` printed.
    """

    folder: Path
    environment: dict[str, str]
    told: str = ""

    def deploy(self, *options: str) -> str:
        """`csip deploy` with options; gives what it printed."""
        command = [sys.executable, "-m", "flows.commands.app", "deploy", "small.yaml", "--pool", POOL, *options]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def api_url(server: ServerSettings) -> Iterator[str]:
    url = ensure_server(server)
    with temporary_settings({PREFECT_API_URL: url}):
        yield url


@pytest.fixture(scope="module")
def client(api_url: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, api_url: str) -> Iterator[Place]:
    """A folder with a configuration, deployed to a pool of its own, and a worker of that pool."""
    folder = tmp_path_factory.mktemp("deployed")
    settings = SETTINGS | {"store": "store", "data": SETTINGS["data"] | {"root": "data"}}
    (folder / "small.yaml").write_text(yaml.safe_dump(settings))
    place = Place(
        folder,
        os.environ
        | {
            "PREFECT_API_URL": api_url,
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_LOGGING_TO_API_ENABLED": "true",
            "PYTHONPATH": str(ROOT),
        },
    )
    place.told = place.deploy("--cron", "0 2 * * *", "--timezone", "Europe/Madrid")
    with (folder / "worker.log").open("w") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL],
            cwd=folder,
            env=place.environment,
            stdout=log,
            stderr=log,
        )
    yield place
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)


def start(client: SyncPrefectClient, **parameters: Any) -> Any:
    found = client.read_deployment_by_name(DEPLOYMENT)
    return client.create_flow_run_from_deployment(found.id, parameters=parameters, state=Scheduled())


def wait(client: SyncPrefectClient, run: Any, done: Callable[[Any], bool], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = client.read_flow_run(run.id)
        if done(found):
            return found
        time.sleep(0.3)
    raise AssertionError(f"still {found.state} after {seconds} s")


def digests(store: Path) -> list[str]:
    """What a store's artifacts hold, reports aside, which tell of their run."""
    manifests = [path for path in store.glob("artifacts/*/*/manifest.json") if path.parts[-3] != "report"]
    return sorted(json.loads(path.read_text())["digest"] for path in manifests)


def with_descendants(process: int) -> list[int]:
    """A process and all below it: the machine that vanishes."""
    children = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return [process, *(below for child in children for below in with_descendants(child))]


def over(run: Any) -> bool:
    return bool(run.state and run.state.is_final())


def test_a_deployed_run_fills_the_store_and_a_second_one_builds_nothing(
    client: SyncPrefectClient, place: Place
) -> None:
    found = client.read_deployment_by_name(DEPLOYMENT)
    assert f"/deployments/deployment/{found.id}" in place.told
    assert f"prefect worker start --pool {POOL}" in place.told

    first = wait(client, start(client), over)
    assert first.state.is_completed(), first.state.message
    assert first.name == "small · demo data"
    assert set(first.tags) == {"csip", "generated", "small"}
    store = Store(place.folder / "store")
    stages = sorted(path.name for path in (store.root / "artifacts").iterdir())
    assert {"embeddings", "finetuned", "index", "metrics", "pretrained", "report", "skeletons"} <= set(stages)
    whole = sorted((store.root / "artifacts").glob("*/*/manifest.json"))
    assert first.state.message.startswith(f"{len(whole)} of ")

    second = wait(client, start(client), over)
    assert second.state.message.startswith(f"0 of {len(whole)} steps ran")
    assert sorted((store.root / "artifacts").glob("*/*/manifest.json")) == whole


def test_the_server_has_runs_for_the_next_nights(client: SyncPrefectClient, place: Place) -> None:
    assert place.told
    deadline = time.monotonic() + 60
    due: list[datetime] = []
    while not due and time.monotonic() < deadline:
        due = [run.expected_start_time for run in client.read_flow_runs() if run.auto_scheduled]
        time.sleep(0.3)
    assert due
    assert {moment.astimezone(ZoneInfo("Europe/Madrid")).hour for moment in due} == {2}


def test_bad_input_fails_with_our_message_first(client: SyncPrefectClient, place: Place) -> None:
    failed = wait(client, start(client, overrides=["pretrain.epocs=3"]), over)
    assert failed.state.name == "Failed"
    assert failed.state.message.startswith("1 wrong setting:\n  pretrain.epocs is not a setting; did you mean")
    assert failed.run_count == 1
    assert failed.name == "small.yaml"


def test_a_run_waits_for_another_on_its_store(client: SyncPrefectClient, place: Place) -> None:
    with slot(store_limit("store", str(place.folder))):
        waiting = wait(client, start(client), lambda run: run.state.is_running())
        time.sleep(3)
        assert client.read_flow_run(waiting.id).state.is_running()
        assert client.read_task_runs(flow_run_filter=FlowRunFilter(id={"any_": [waiting.id]})) == []
    assert wait(client, waiting, over).state.is_completed()


def test_a_killed_run_goes_on_by_itself(client: SyncPrefectClient, place: Place) -> None:
    run = start(client, overrides=["store=other"])
    finished = place.folder / "other/artifacts/quality"
    running = wait(client, run, lambda run: finished.is_dir() and any(finished.glob("*/manifest.json")))
    made = {path: path.stat().st_mtime_ns for path in (place.folder / "other/artifacts").glob("*/*/manifest.json")}
    for process in with_descendants(int(running.infrastructure_pid.split(":")[-1])):
        os.kill(process, signal.SIGKILL)

    ended = wait(client, run, lambda run: over(run) and run.run_count == 2)
    assert ended.state.is_completed(), ended.state.message
    assert made.items() <= {path: path.stat().st_mtime_ns for path in made}.items()
    states = [state.name for state in client.read_flow_run_states(run.id)]
    assert states[states.index("Crashed") :][:2] == ["Crashed", "AwaitingRetry"]
    assert digests(place.folder / "store") == digests(place.folder / "other")


def test_a_preempted_run_goes_on_by_itself(client: SyncPrefectClient, place: Place) -> None:
    run = start(client, overrides=["store=third"])
    finished = place.folder / "third/artifacts/quality"
    running = wait(client, run, lambda run: finished.is_dir() and any(finished.glob("*/manifest.json")))
    made = {path: path.stat().st_mtime_ns for path in (place.folder / "third/artifacts").glob("*/*/manifest.json")}
    os.kill(int(running.infrastructure_pid.split(":")[-1]), signal.SIGTERM)

    ended = wait(client, run, lambda run: over(run) and run.run_count == 2)
    assert ended.state.is_completed(), ended.state.message
    assert made.items() <= {path: path.stat().st_mtime_ns for path in made}.items()
    states = [state.name for state in client.read_flow_run_states(run.id)]
    assert states[states.index("Crashed") :][:2] == ["Crashed", "AwaitingRetry"]
    log = place.folder / "worker.log"
    wait(client, run, lambda _: "SIGTERM: steps stop where nothing is lost" in log.read_text())
    assert digests(place.folder / "store") == digests(place.folder / "third")


def test_a_run_that_falls_silent_is_crashed_and_goes_on(client: SyncPrefectClient, place: Place) -> None:
    automation = silent_run_is_crashed(timedelta(seconds=10)).model_copy(update={"name": "silent in a test"})
    made = client.create_automation(automation)
    found = client.read_deployment_by_name(DEPLOYMENT)
    run = client.create_flow_run_from_deployment(found.id, state=Running())
    beat = {
        "occurred": datetime.now(UTC).isoformat(),
        "event": "prefect.flow-run.heartbeat",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run.id}"},
        "related": [
            {"prefect.resource.id": f"prefect.deployment.{found.id}", "prefect.resource.role": "deployment"},
            {"prefect.resource.id": "prefect.tag.csip", "prefect.resource.role": "tag"},
        ],
        "payload": {},
        "id": str(uuid4()),
    }
    assert client.request("POST", "/events", json=[beat]).is_success
    try:
        wait(client, run, lambda run: not run.state.is_running())
    finally:
        client.delete_automation(made)
    wait(client, run, lambda run: run.state.is_completed())
    crashed = [state for state in client.read_flow_run_states(run.id) if state.name == "Crashed"]
    assert [state.message for state in crashed] == ["Nothing was heard of the run for 10 s."]
