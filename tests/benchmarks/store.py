"""What a run costs in which nothing changed, and how that grows: `make bench-store`.

Data sets of 1 %, 10 % and 100 % of MARS's identities, from its real lists, with hard links to rendered frames behind
the names (`tests.benchmarks.mars_size`). Real commands in processes of their own, with the seconds that
they took and, in brackets, those of processor time:

    first scan    `csip plan` on an empty store: every frame is read
    plan, run     `csip plan` and `csip run` on a full store, with nothing changed
    one frame     `csip plan` after one frame changed
    memory        peak of the processes of plan, run and one frame; in brackets that of the first scan
    a kept step   (run - run --to index) / steps: what each step adds to a run that keeps everything

The stores are full without extraction and training of a million frames: the whole pipeline runs once for real on two
identities of each list, with the smallest settings and as many shards as configs/mars.yaml. Every step of a larger data
set then gets hard links to the files of that run's step of the same name, published under its own key; skeletons, of
which the run shows pictures, are zeros for all its tracklets. The other files hold too little for the data set, but a
run that keeps everything asks for keys and sizes alone.
"""

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console
from rich.table import Table

from flows.config import load_config, make_config
from flows.keys.steps import Step
from flows.pipeline import pipeline
from flows.planning.scan import current_index
from flows.running.builder import TaskBuilder
from flows.running.runners import Workers
from flows.running.tasks import reference_artifacts
from flows.settings import ServerSettings
from flows.stages import STAGES
from flows.watching.progress import RunProgress
from flows.watching.server import ensure_server, stop_server
from storage.progress import Progress, silent
from storage.settings import Settings
from storage.store.artifacts import Artifact, Store
from storage.store.runs import RunRecord
from tests.benchmarks import mars_size
from tests.benchmarks.filling import Walker
from tests.ports import free_port

SHARES = (0.01, 0.1, 1.0)
FEWEST = 0.0
"""Two identities of each list."""

EMPTY_STEPS = 100
SMALLEST: dict[str, Any] = {
    "encoder": {
        "model": "small", "image_height": 32, "image_width": 16, "width": 16, "depth": 1, "heads": 2, "projection": 8
    },
    "visual": {"epochs": 1, "clip_length": 2, "identities": 2, "instances": 2},
    "pretrain": {"epochs": 1, "clip_length": 2, "skeleton": {"width": 16, "depth": 1, "heads": 2, "hidden": 16}},
    "finetune": {"epochs": 1, "clip_length": 2, "identities": 2, "instances": 2},
    "trainer": {"loggers": []},
}  # fmt: skip
SHARDS = {"train_shards": 32, "test_shards": 48}
"""Those of configs/mars.yaml."""

WATCH = """
import json, resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1000]))
sys.exit(code)
"""
"""Starts a command and says what it used; from a small process, since Linux counts the starting one's memory too."""

console = Console(highlight=False, width=140)


@dataclass(frozen=True)
class Spent:
    """What a command took.

    Attributes:
        seconds: by the clock.
        cpu: seconds of processor time.
        peak_mb: largest memory.
        output: what it printed.
    """

    seconds: float
    cpu: float
    peak_mb: float
    output: str

    def __str__(self) -> str:
        return f"{self.seconds:.1f} ({self.cpu:.1f})"


@dataclass(frozen=True)
class Inputs:
    """Of the almost empty stage that is timed below."""


class EmptySettings(Settings):
    """It has none."""


def run(inputs: Inputs, settings: EmptySettings, out_dir: Path, progress: Progress) -> None:
    """An almost empty stage."""
    (out_dir / "nothing").write_text("\n")


@dataclass(frozen=True)
class Bench:
    """Data sets, stores and configurations in one folder.

    Attributes:
        folder: may hold those of an earlier benchmark.
        protocol: MARS's lists.
    """

    folder: Path
    protocol: Path

    def config(self, share: float) -> Path:
        """Configuration of a data set, which is made if need be; its store is not touched."""
        name = f"mars-{100 * share:g}"
        root = self.folder / name / "data"
        if not root.exists():
            fresh = root.with_name("data.new")
            shutil.rmtree(fresh, ignore_errors=True)
            mars_size.make(self.protocol, share, fresh)
            fresh.rename(root)
        values = SMALLEST | {"name": name, "store": str(root.parent / "store"), "data": SHARDS | {"root": str(root)}}
        path = root.parent / "config.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    def donors(self) -> dict[str, Artifact]:
        """Artifacts of a real run on the first few identities: label -> artifact."""
        path = self.config(FEWEST)
        csip("run", path)
        config = load_config(path)
        store = Store(Path(config.store))
        finder = Walker(store)
        pipeline(config, *reference_artifacts(store, [current_index(store, config, silent)]), finder)
        return finder.artifacts

    def row(self, share: float, donors: Mapping[str, Artifact], table: Table) -> str:
        """Measure one data set; what the plan says of a changed frame."""
        path = self.config(share)
        config = load_config(path)
        shutil.rmtree(config.store, ignore_errors=True)
        first = csip("plan", path)
        store = Store(Path(config.store))
        walker = Walker(store, donors)
        (index,) = reference_artifacts(store, [current_index(store, config, silent)])
        pipeline(config, index, walker)
        planned, short, whole = csip("plan", path), csip("run", path, "--to", "index"), csip("run", path)
        if "\n0 of " not in whole.output:
            raise SystemExit(f"the run should have kept everything:\n{whole.output}")
        frame = change_a_frame(config.data.root)
        told = csip("plan", path)
        if frame not in told.output:
            raise SystemExit(f"the plan should have named {frame}:\n{told.output}")
        splits = json.loads(index.file("summary.json").path.read_text())["splits"]
        kept_step = (whole.seconds - short.seconds) / len(walker.artifacts)
        table.add_row(
            f"{100 * share:g} %",
            f"{sum(counts['frames'] for counts in splits.values()):,}",
            str(first),
            str(planned),
            str(whole),
            str(told),
            f"{max(spent.peak_mb for spent in (planned, whole, told)):.0f} ({first.peak_mb:.0f})",
            f"{1000 * kept_step:.0f}",
        )
        return next(line.strip() for line in told.output.splitlines() if frame in line)


def change_a_frame(root: Path) -> str:
    """Change the bytes of the first training frame; its name."""
    frame = min(min((root / "bbox_train").iterdir()).iterdir())
    fresh = frame.with_suffix(".new")
    fresh.write_bytes(frame.read_bytes() + b"\0")  # a file of its own, not the one that many names share
    fresh.replace(frame)
    return frame.relative_to(root).as_posix()


def csip(command: str, config: Path, *options: str) -> Spent:
    """Run a command of `csip` in a process of its own.

    Raises:
        SystemExit: it failed.
    """
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", WATCH, sys.executable, "-m", "flows.commands.app", command, str(config), *options],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "1000"},
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"csip {command} {config} failed:\n{done.stdout}{done.stderr}")
    *output, used = done.stdout.splitlines(keepends=True)
    return Spent(seconds, *json.loads(used), "".join(output))


def empty_steps(store: Store) -> tuple[float, float]:
    """Milliseconds of a step of the almost empty stage, submitted as every step is: one that runs, one that is kept."""

    def timed(numbers: range) -> float:
        steps = [Step(STAGES[1], "tests.benchmarks.store", EmptySettings(), {}, part=f"{number}") for number in numbers]
        start = time.perf_counter()
        record = RunRecord(store, f"empty-{numbers}", {"name": "empty"})
        with RunProgress() as progress, Workers(make_config({"name": "empty"})) as workers:
            TaskBuilder(store, frozenset(), record, workers, progress).many(steps)
        return 1000 * (time.perf_counter() - start) / len(steps)

    @flow(name="bench-store", persist_result=False)
    def measured() -> tuple[float, float]:
        timed(range(1))  # imports torch
        numbers = range(1, 1 + EMPTY_STEPS)
        return timed(numbers), timed(numbers)

    return measured()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", type=Path, required=True, help="folder of MARS's five lists")
    parser.add_argument("--folder", type=Path, help="keep the data sets here, for the next benchmark")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="of MARS's identities, 0 to 1")
    chosen = parser.parse_args()
    table = Table("", "frames", "first scan, s", "plan, s", "run, s", "one frame, s", "memory, MB", "a kept step, ms")
    said = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench((chosen.folder or Path(folder)).resolve(), chosen.protocol)
        server = ServerSettings(port=free_port(), home=Path(folder) / "prefect")
        os.environ["PREFECT_API_URL"] = url = ensure_server(server)
        try:
            with temporary_settings({PREFECT_API_URL: url}):
                logging.disable(logging.INFO)  # a line of Prefect's for every step
                ran, kept = empty_steps(Store(Path(folder) / "empty"))
                donors = bench.donors()
                for share in chosen.shares:
                    said.append(bench.row(share, donors, table))
        finally:
            stop_server(server)
    console.print(__doc__.split("\n\n", 2)[-1])
    console.print(table)
    console.print(
        f"{EMPTY_STEPS} almost empty steps in one flow: {ran:.0f} ms for each that runs, {kept:.0f} ms for each kept"
    )
    console.print("\n".join(said))


if __name__ == "__main__":
    main()
