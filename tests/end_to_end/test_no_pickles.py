"""Nothing is unpickled from the store or from Prefect, and Prefect keeps no results at all."""

import io
import json
import os
import pickle
import pickletools
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.settings import PREFECT_HOME

import flows.rebuild
from flows.config import Config, load_config, make_config
from flows.rebuild import rebuild
from flows.running.tasks import step_task
from flows.settings import ServerSettings
from flows.stages import STAGES
from flows.watching.server import ensure_server
from storage.store import manifests
from storage.store.artifacts import Store
from storage.store.manifests import MANIFEST, content_digest, file_digest
from tests.small_run import small_settings

WATCH = """
import os, sys

def watch(event, args):
    # processes of one run hand each other work, and torch's reader of weights, which calls nothing, is not pickle's
    if event == "pickle.find_class" and "server" not in sys.argv:
        frame, files = sys._getframe(1), []
        while frame:
            files.append(frame.f_code.co_filename)
            frame = frame.f_back
        if not any("multiprocessing" in f or "concurrent/futures/process" in f for f in files):
            with open(os.environ["CSIP_UNPICKLED"], "a") as log:
                log.write(f"{args} {sys.argv} {files[:6]}\\n")

sys.addaudithook(watch)
"""
"""As sitecustomize.py: in every Python process of a run, a line for everything that is looked up for a pickle."""


class Trap:
    """What a pickle of this does to who opens it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, server: ServerSettings) -> Path:
    """A folder with config.yaml, data and a store in which all is made."""
    folder = tmp_path_factory.mktemp("pickles")
    settings = small_settings(folder) | {"server": {"port": server.port, "home": str(server.home)}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    run(folder, ensure_server(server))
    return folder


def run(folder: Path, api: str, *arguments: str, status: int = 0) -> Path:
    """`csip run` as a command; gives the file in which pickles are noted that its processes opened."""
    site, noted = folder / "site", folder / "unpickled.txt"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(WATCH)
    noted.write_text("")
    environment = {
        "PYTHONPATH": os.pathsep.join([str(site), str(Path.cwd())]),
        "CSIP_UNPICKLED": str(noted),
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(folder / "prefect"),
    }
    command = [sys.executable, "-m", "flows.commands.app", "run", str(folder / "config.yaml"), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment, timeout=300
    )
    assert done.returncode == status, done.stdout + done.stderr
    return noted


def is_pickle(content: bytes) -> bool:
    """Whether these bytes are a pickle, of protocol 2 or later, from their beginning."""
    if content[:1] != b"\x80":
        return False
    try:
        return any(True for _ in pickletools.genops(io.BytesIO(content)))
    except Exception:
        return False


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_process_of_a_run_opens_a_pickle_and_none_writes_one(made: Path, api: str) -> None:
    assert run(made, api, "--force", "report").read_text() == ""
    assert run(made, api, "--set", "extraction.estimator.weights=/nowhere.pth", status=1).read_text() == ""
    written = [*(made / "prefect").rglob("*"), *(made / "store").rglob("*"), *PREFECT_HOME.value().glob("storage/*")]
    states = {p for p in written if p.suffix == ".pth"}  # torch's, read with weights_only
    assert [p for p in set(written) - states if p.is_file() and is_pickle(p.read_bytes()[:1000])] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_prefect_keeps_no_results(made: Path, api: str) -> None:
    result = rebuild(load_config(made / "config.yaml"))
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[result.flow_run_id])), limit=200
        )
    kept = [run.state.data for run in runs if run.state and run.state.data]
    assert len(runs) >= len(result.artifacts), "of every step"
    assert kept == []
    assert not (made / "store" / "references").exists(), "where earlier versions kept them"
    tasks = (flows.rebuild.make_demo, flows.rebuild.index_data, step_task("skeletons"))
    for task in (*tasks, flows.rebuild.rebuild_flow):
        assert task.persist_result is False, "kept by nobody"
    assert flows.rebuild.rebuild_flow.result_serializer.type == "json", "Prefect keeps errors of flows whatever is said"


def plant(path: Path, trap: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(trap)


def plant_artifact(folder: Path, trap: bytes) -> None:
    """Traps in place of an artifact's files, with a manifest that says they belong there."""
    manifest = json.loads((folder / MANIFEST).read_text())
    for name in manifest["files"]:
        plant(folder / name, trap)
        manifest["files"][name] = {"size": len(trap), "sha256": file_digest(folder / name)}
    manifest = {name: value for name, value in manifest.items() if name not in (manifests.SEAL, "format")}
    (folder / MANIFEST).write_text(manifests.written(manifest | {"digest": content_digest(manifest["files"])}))


@pytest.fixture
def trapped(made: Path, tmp_path: Path) -> tuple[Config, bytes, Path]:
    """A configuration of a copy of the store, a pickle that is a trap, and what opening it would make."""
    shutil.copytree(made / "store", tmp_path / "store")
    marker = tmp_path / "opened"
    trap = pickle.dumps(Trap(marker))
    pickle.loads(trap)  # noqa: S301 - our own
    assert marker.exists(), "the trap works"
    marker.rmdir()
    config = make_config(yaml.safe_load((made / "config.yaml").read_text()) | {"store": str(tmp_path / "store")})
    return config, trap, marker


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in ("report", "splits")])
def test_a_pickle_in_place_of_an_artifact_is_never_opened(
    stage: str, trapped: tuple[Config, bytes, Path], api: str
) -> None:
    config, trap, marker = trapped
    store = Store(Path(config.store))
    for artifact in store.all(stage):
        plant_artifact(artifact.path, trap)
    assert all(store.check(artifact, artifact.manifest["files"]) == [] for artifact in store.all(stage))
    with pytest.raises(Exception):  # noqa: B017, PT011 - each reader says in its own way that this is none of its files
        rebuild(config, begin=STAGES[STAGES.index(stage) + 1])
    assert not marker.exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_pickles_among_what_saves_time_are_never_opened(trapped: tuple[Config, bytes, Path], api: str) -> None:
    config, trap, marker = trapped
    store = Path(config.store)
    planted = 0
    for folder in ("cache", "trainings", "staging", "runs"):
        for path in [p for p in (store / folder).rglob("*") if p.is_file()]:
            plant(path, trap)
            planted += 1
    assert planted > 20
    longer = make_config(config.model_dump(mode="json"), ["visual.epochs=2", "pretrain.epochs=2", "finetune.epochs=2"])
    try:
        rebuild(config)
        rebuild(longer)
    finally:
        assert not marker.exists()
