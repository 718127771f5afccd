"""The Prefect server dies in the middle of a run: nothing that was finished is lost or done twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from flows.settings import ServerSettings
from flows.watching.server import local_server, stop_server
from storage.store.artifacts import Store
from storage.store.runs import COMPLETED, records
from tests.ports import free_port
from tests.small_run import small_settings


def start(folder: Path, configured: str = "") -> "subprocess.Popen[str]":
    settings = small_settings(folder) | {"server": {"port": free_port(), "home": str(folder / "prefect")}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return subprocess.Popen(
        [sys.executable, "-m", "flows.commands.app", "run", str(folder / "config.yaml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
        | ({"PREFECT_API_URL": configured} if configured else {}),
    )


def kill_server(folder: Path) -> None:
    os.kill(int((folder / "prefect" / "server.pid").read_text()), signal.SIGKILL)


def wait_for(process: "subprocess.Popen[str]", path: Path) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def check_done(said: str) -> None:
    done = [line[9:].partition(" done in ")[0] for line in said.splitlines() if " done in " in line]
    assert {"skeletons train-000", "quality", "finetuned", "report"} <= set(done)
    assert len(done) == len(set(done)), "nothing was done twice"


@pytest.mark.slow(minutes=3)
@pytest.mark.timeout(400)
def test_a_local_server_that_was_killed_is_started_again_and_the_run_completes(tmp_path: Path) -> None:
    process = start(tmp_path)
    try:
        wait_for(process, tmp_path / "store" / "artifacts" / "quality")
        kill_server(tmp_path)
        said = process.communicate(timeout=300)[0]
        assert process.returncode == 0, said
    finally:
        process.kill()
        stop_server(ServerSettings(home=tmp_path / "prefect"))
    assert "the Prefect server died; it is started again" in said
    assert "steps ran" in said
    check_done(said)
    assert records(Store(tmp_path / "store"))[-1]["status"] == COMPLETED


@pytest.mark.slow(minutes=3)
@pytest.mark.timeout(400)
def test_without_a_configured_server_that_was_killed_the_run_goes_on_and_ends_soon(tmp_path: Path) -> None:
    server = ServerSettings(port=free_port(), home=tmp_path / "prefect")
    process = start(tmp_path, local_server(server))
    try:
        wait_for(process, tmp_path / "store" / "artifacts" / "quality")
        kill_server(tmp_path)
        said = process.communicate(timeout=90)[0]  # with Prefect's own patience it takes twice as long
        assert process.returncode == 1, said
        assert "does not answer; the run goes on without it" in " ".join(said.split())
        assert "the Prefect server stopped answering" in said
        assert "EventsWorker" not in said, "what is not ours to tell"
        check_done(said)
        assert records(Store(tmp_path / "store"))[-1]["status"] == COMPLETED

        again = start(tmp_path, local_server(server))
        said = again.communicate(timeout=300)[0]
        assert again.returncode == 0, said
        assert "0 of" in said
    finally:
        process.kill()
        stop_server(server)
