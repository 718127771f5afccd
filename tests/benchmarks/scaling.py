"""What the run's own process costs where there are very many shards: `make bench-scaling`.

The real scheduling of a run, with nothing left out but the work: a real index, plan and walk through the pipeline, real
tasks on a real Prefect server of its own, artifacts that are really published. The workers are threads that wait for as
long as a worker elsewhere would compute (`--seconds`), tell progress as it would, and write a small file. So the tasks'
side of Prefect, which on a cluster the workers pay, is paid here as well.

    ideal      tasks x seconds / workers, stage by stage: no scheduler can be faster
    overhead   share of the run that is more than that
    processor  of the run's process, and of the Prefect server's
"""

import argparse
import json
import logging
import math
import os
import resource
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console
from rich.table import Table

from flows.config import Config, make_config
from flows.keys.steps import Step
from flows.planning.plan import plan_from
from flows.planning.scan import publish_index
from flows.planning.walk import walk
from flows.running.builder import TaskBuilder
from flows.running.runners import Workers
from flows.running.tasks import reference_artifacts
from flows.settings import ServerSettings
from flows.stages import STAGES
from flows.watching.progress import RunProgress
from flows.watching.result import Result
from flows.watching.server import ensure_server, stop_server
from flows.watching.ui_artifacts import show_plan, step_rows
from storage.addresses import opened
from storage.datasets.check.duplicates import EMPTY
from storage.index import Scan, shard_of
from storage.store.artifacts import Artifact, open_store
from storage.store.runs import COMPLETED, RunRecord
from storage.tables.tracklets import Tracklet
from tests.benchmarks import waiting as waiting
from tests.benchmarks.store import SMALLEST
from tests.ports import free_port

FILES = {
    "skeletons": ("skeletons.parquet",),
    "quality": ("quality.json",),
    "visual": ("history.parquet",),
    "features": ("features.parquet",),
    "pretrained": ("history.parquet",),
    "finetuned": ("history.parquet",),
    "embeddings": ("embeddings.parquet",),
    "metrics": ("metrics.json",),
    "report": ("report.html",),
}
"""What later stages ask of each stage's artifact."""

console = Console(highlight=False, width=140)


@dataclass
class Waiting(TaskBuilder):
    """Builds every step by waiting in place of computing.

    Attributes:
        seconds: of a task.
    """

    seconds: float = 0.0

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        """Build steps as any run does, with a stage in their place that waits."""
        settings = waiting.WaitSettings(seconds=self.seconds, files=FILES[steps[0].stage])
        own: dict[str, Any] = {
            "module": waiting.__name__,
            "settings": settings,
            "places": {},
            "weights": dict,
            "resumes": False,
        }
        return super().many([replace(step, **own) for step in steps])


def made_up(config: Config) -> Scan:
    """A scan that puts one tracklet of one frame into every shard."""
    wanted = {"train": config.data.train_shards, "gallery": config.data.test_shards}
    found = []
    for split, count in wanted.items():
        empty, number = set(range(count)), 0
        while empty:
            name = f"{split}{number}"
            number += 1
            if (shard := shard_of(name, count)) in empty:
                empty.remove(shard)
                found.append(Tracklet(name, split, number, 1, (f"{name}.jpg",), name))
    digests = np.random.default_rng(0).integers(0, 256, (len(found), len(EMPTY)), dtype=np.uint8)
    return Scan(tuple(found), (), digests, "")


def config_of(folder: Path, shards: int, workers: int) -> Config:
    """Settings of a run with so many shards and tasks at once, all of it in a folder."""
    train = shards * 2 // 5  # as configs/mars.yaml divides them
    data = {"root": str(folder / "data"), "train_shards": train, "test_shards": shards - train}
    return make_config(SMALLEST | {"name": "scaling", "store": str(folder / "store"), "workers": workers, "data": data})


def simulate(config: Config, seconds: float, until: str) -> dict[str, Any]:
    """Run the scheduling; what it took."""
    store = open_store(config.store, config.workspace)
    store.prepare()
    start = time.perf_counter()
    (index,) = reference_artifacts(store, [publish_index(store, config, made_up(config))])
    console.print(f"index of {config.data.train_shards + config.data.test_shards:,} shards: {clock(start)}")

    @flow(name="bench-scaling", persist_result=False)
    def scheduled() -> tuple[Counter[str], float, float]:
        record = RunRecord(store, "simulated", config.model_dump(mode="json"))
        with record.alive(), RunProgress() as progress, Workers(config) as workers:
            build = Waiting(store, frozenset(), record, workers, progress, ("scaling",), seconds=seconds)
            begun = time.perf_counter()
            lines = plan_from(config, store, {"": index}, {"": None}, until)
            progress.total = len(lines)
            show_plan(lines)
            planned = time.perf_counter()
            walk(config, lambda _: index, build, until)
            record.finish(COMPLETED, build.artifacts, build.built)
            rows = step_rows(Result(build.artifacts, tuple(build.built), record.run, 0.0))
            create_table_artifact(rows, key="steps")
        counts = Counter(artifact.stage for artifact in build.artifacts.values())
        return counts, planned - begun, time.perf_counter() - begun

    before = resource.getrusage(resource.RUSAGE_SELF)
    counts, planning, took = scheduled()
    after = resource.getrusage(resource.RUSAGE_SELF)
    rounds = {stage: math.ceil(count / parts(stage) / config.workers) * parts(stage) for stage, count in counts.items()}
    ideal = seconds * sum(rounds.values())
    return {
        "tasks": sum(counts.values()),
        "planning": planning,
        "wall": took,
        "ideal": ideal,
        "overhead": (took - ideal) / took,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": after.ru_maxrss / 1000,
    }


@contextmanager
def service(folder: Path) -> Iterator[tuple[str, Counter[str]]]:
    """An S3 service of this machine: address of a store there, and the requests that are made of it, by their names."""
    from moto.server import ThreadedMotoServer  # a library of developers

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    files: Any = opened("s3://scaling")[0]
    files.mkdir("scaling")
    asked, ask = Counter[str](), files._call_s3

    async def counting(method: str, *arguments: Any, **named: Any) -> Any:
        asked[method] += 1
        return await ask(method, *arguments, **named)

    files._call_s3 = counting
    try:
        yield f"s3://scaling/{folder.name}", asked
    finally:
        files._call_s3 = ask
        server.stop()


def requests(config: Config, until: str) -> list[tuple[str, str, str]]:
    """What a run that builds and one that keeps all ask of an S3 service: rows of a table."""
    rows = []
    with service(Path(config.store).parent) as (address, asked):
        there = config.model_copy(update={"store": address})
        for what in ("built", "kept"):
            asked.clear()
            tasks = simulate(there, 0.0, until)["tasks"]
            shares = ", ".join(f"{name} {count / tasks:.1f}" for name, count in asked.most_common(6))
            rows.append(
                (f"{what} on S3", f"{sum(asked.values()) / tasks:.1f} requests a task", f"of {tasks}: {shares}")
            )
    return rows


def parts(stage: str) -> int:
    """How often a walk hands in tasks of a stage: once for each of two models, or once."""
    return 2 if stage in ("embeddings", "metrics") else 1


def clock(start: float) -> str:
    """Seconds since then."""
    return f"{time.perf_counter() - start:.1f} s"


def server_use(pid: int) -> tuple[float, float]:
    """Seconds of processor time that a process has used, and its peak memory in MB."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    peak = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak.split()[1]) / 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=200, help="tasks at once")
    parser.add_argument("--seconds", type=float, default=20.0, help="that a task takes a worker")
    parser.add_argument("--until", default="skeletons", choices=STAGES[1:-1], help="last stage")
    parser.add_argument("--requests", action="store_true", help="count those of a store on S3 (moto), and time nothing")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    logging.getLogger("prefect").setLevel(logging.ERROR)
    lines = logging.getLogger("csip")  # they go to the server, as those of any run
    lines.setLevel(logging.INFO)
    lines.addHandler(APILogHandler())
    lines.propagate = False
    folder = Path(tempfile.mkdtemp(prefix="csip-scaling-"))
    config = config_of(folder, given.shards, given.workers)
    os.environ.pop("PREFECT_API_URL", None)
    settings = ServerSettings(port=free_port(), home=folder / "prefect")
    api = ensure_server(settings)
    pid = int((settings.home / "server.pid").read_text())
    try:
        with temporary_settings({PREFECT_API_URL: api}):
            if given.requests:
                print_rows(requests(config, given.until))
                return
            used, _ = server_use(pid)
            found = simulate(config, given.seconds, given.until)
            after, peak = server_use(pid)
    finally:
        stop_server(settings)
        shutil.rmtree(folder, ignore_errors=True)
    found |= {"server_cpu": after - used, "server_peak_mb": peak}
    if given.json:
        print(json.dumps(found))
        return
    tasks = found["tasks"]
    rows = [
        ("tasks", f"{tasks:,}", f"of {given.seconds:g} s on {given.workers} workers, to the stage {given.until}"),
        ("run", f"{found['wall']:,.0f} s", f"ideal {found['ideal']:,.0f} s; its plan {found['planning']:.1f} s"),
        ("overhead", f"{100 * found['overhead']:.1f} %", f"{tasks / found['wall']:.1f} tasks a second"),
        ("processor", f"{found['cpu']:,.0f} s", f"{1000 * found['cpu'] / tasks:.1f} ms a task"),
        ("memory", f"{found['peak_mb']:,.0f} MB", "peak of the run's process"),
        ("Prefect server", f"{found['server_cpu']:,.0f} s", f"{found['server_peak_mb']:,.0f} MB at its peak"),
    ]
    print_rows(rows)


def print_rows(rows: Sequence[tuple[str, str, str]]) -> None:
    """As a table without lines."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
