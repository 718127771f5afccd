"""What a machine has of what a run needs there: asked here, and on every machine of a Ray cluster."""

import os
import platform
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.config import Config
from flows.pipeline import check_weights
from flows.running.orders import installed
from flows.stages import STAGES
from flows.watching.server import healthy
from storage.errors import CsipError, EnvironmentProblem
from storage.frames.files import DataFiles
from storage.store.artifacts import open_store
from storage.store.bucket import PROBES

FINE = "yes"


@dataclass(frozen=True)
class Machine:
    """What was found on one machine."""

    name: str
    installed: dict[str, str | None]  # `csip` -> digest of its code, `python` and each library -> version
    gpus: tuple[str, ...]  # names
    cores: int  # that a process may use
    memory_gb: float
    free_gb: float  # of the disk of the workspace
    store: str  # `yes` if it can be written and read, or what prevents it
    weights: str  # `yes` if all weights are here or could be fetched, or what is missing
    data: str  # `yes` if the raw data can be seen, or what prevents it; empty where it will be made
    server: str  # `yes` if the Prefect server answers

    @property
    def problems(self) -> list[str]:
        """What a run would stumble over here."""
        checks = {"store": self.store, "weights": self.weights, "data": self.data, "Prefect server": self.server}
        return [f"{name}: {found}" for name, found in checks.items() if found not in (FINE, "")]


def look(config: Config, api: str) -> dict[str, Any]:
    """What this machine has of what a run needs, as plain values; runs on workers.

    `api` is the address of the Prefect server as runs know it, empty if none is configured.
    """
    import torch

    found = Machine(
        name=platform.node(),
        installed={**installed(), "python": platform.python_version()},
        gpus=tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        free_gb=round(shutil.disk_usage(_existing(open_store(config.store, config.workspace).root)).free / 1e9, 1),
        store=_found(lambda: _write(config)),
        weights=_found(lambda: check_weights(config, STAGES[-1])),
        data="" if config.data.demo else _found(lambda: _see(config)),
        server=_found(lambda: _reach(api)) if api else FINE,
    )
    return asdict(found)


def machines_of(config: Config, api: str) -> list[Machine]:
    """What each machine has on which tasks of a run would be done.

    Raises:
        EnvironmentProblem: the Ray cluster does not answer.
    """
    if config.runner.kind != "ray":
        return [Machine(**look(config, api))]
    from flows.running.runners import task_runner

    with task_runner(config):
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = sorted((node["NodeID"] for node in ray.nodes() if node["Alive"]), key=str)
        ask = ray.remote(num_cpus=0)(look)
        asked = [
            ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(config, api)
            for node in nodes
        ]
        return [Machine(**answer) for answer in ray.get(asked)]


def differences(machines: Sequence[Machine]) -> list[str]:
    """What is installed in different versions on different machines; the first counts as right."""
    first = machines[0].installed
    return [
        f"{machine.name}: {name} {machine.installed.get(name) or 'missing'} in place of {version}"
        for machine in machines[1:]
        for name, version in first.items()
        if machine.installed.get(name) != version
    ]


def _found(check: Callable[[], object]) -> str:
    try:
        check()
    except CsipError as error:
        return str(error).replace("\n", " ")
    return FINE


def _write(config: Config) -> None:
    store = open_store(config.store, config.workspace)
    store.prepare()
    name, text = f"{PROBES}/{uuid.uuid4().hex}", platform.node()
    store.place.put(name, text.encode())
    try:
        if store.place.read([name]).get(name) != text.encode():
            raise EnvironmentProblem("what was written to the store is not what is read", where=store.address)
    finally:
        store.place.remove(name)


def _see(config: Config) -> None:
    if not DataFiles(config.data.place).there():
        where, fix = config.data.root, "mount it on every machine, or name an address such as s3://bucket/MARS"
        raise EnvironmentProblem("the raw data cannot be seen from here", where=where, fix=fix)


def _reach(api: str) -> None:
    if not healthy(api):
        raise EnvironmentProblem("the Prefect server does not answer from here", where=api)


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
