"""The whole pipeline on a Ray cluster of two nodes that share nothing but an object store, and lose workers."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

import storage.demo.dataset
from flows.config import Config, make_config
from flows.deploying.machines import differences, machines_of
from flows.rebuild import rebuild
from storage.demo.dataset import DemoSettings
from storage.store.artifacts import Artifact
from tests.ports import free_port
from tests.small_run import SETTINGS, small_settings
from tests.storage.frames.test_remote import upload

pytestmark = [pytest.mark.slow(minutes=6), pytest.mark.timeout(900)]
NODES = ("127.0.0.2", "127.0.0.3")
EPOCHS = 40


@pytest.fixture
def cluster(s3_address: str, tmp_path: Path) -> Iterator[str]:
    """Address of Ray's client server; the nodes have a place each, and home folders of their own."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0"}
    from ray.cluster_utils import Cluster

    port = free_port(NODES[0])
    for home in NODES:
        (tmp_path / home).mkdir()
    homes = [{"num_cpus": 1, "node_ip_address": name, "env_vars": {"HOME": str(tmp_path / name)}} for name in NODES]
    head = homes[0] | {"include_dashboard": False, "ray_client_server_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(**homes[1])
    yield f"ray://{NODES[0]}:{port}"
    cluster.shutdown()


class Killer(Thread):
    """Kills the first worker of the cluster that it finds at each of some stages, a moment after it began.

    The nodes' home folders lie in `folder`: by them its workers are told from those of other clusters.
    """

    def __init__(self, folder: Path, *stages: str) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.todo = list(stages)
        self.killed: list[tuple[str, int]] = []
        self.over = Event()

    def run(self) -> None:
        while self.todo and not self.over.wait(0.002):
            for stage, pid in self.workers():
                if stage in self.todo:
                    time.sleep(0.05)
                    os.kill(pid, signal.SIGKILL)
                    self.todo.remove(stage)
                    self.killed.append((stage, pid))

    def workers(self) -> Iterator[tuple[str, int]]:
        """Stage and process of tasks that are being done."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                title = path.read_bytes().strip(b"\0").decode(errors="replace")
                ours = f"HOME={self.folder}/".encode() in path.with_name("environ").read_bytes()
            except OSError:
                continue
            if ours and title.startswith("ray::") and "IDLE" not in title:
                yield title.removeprefix("ray::").partition("(")[0], int(path.parent.name)


def digests(artifacts: dict[str, Artifact]) -> dict[str, tuple[str, str]]:
    """Key and digest of every artifact but the report, which names times."""
    return {label: (made.key, made.digest) for label, made in artifacts.items() if label != "report"}


def test_two_nodes_that_lose_workers_make_what_threads_make(
    cluster: str, s3_address: str, api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.demo.dataset.make(DemoSettings(**SETTINGS["data"]["demo"]), tmp_path / "data")
    data = upload(tmp_path / "data", f"{s3_address}-data")
    (tmp_path / "driver").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "driver"))

    def config(store: str, root: str, *overrides: str) -> Config:
        own = [f"data.root={root}", "data.demo=null", f"pretrain.epochs={EPOCHS}", "workers=2", *overrides]
        return make_config(small_settings(tmp_path, store), own)

    alone = rebuild(config(str(tmp_path / "alone"), str(tmp_path / "data")))

    spread = config(s3_address, data, "runner.kind=ray", f"runner.address={cluster}")
    machines = machines_of(spread, api)
    assert [machine.problems for machine in machines] == [[], []]
    assert differences(machines) == []

    killer = Killer(tmp_path, "skeletons", "pretrained")
    killer.start()
    together = rebuild(spread)
    killer.over.set()
    killer.join()

    assert sorted(stage for stage, _ in killer.killed) == ["pretrained", "skeletons"]
    assert digests(together.artifacts) == digests(alone.artifacts)
    for name in NODES:
        assert list((tmp_path / name / ".cache/csip/frames").rglob("*")), f"{name} has worked"
    assert rebuild(config(s3_address, data, "workers=2")).built == ()
