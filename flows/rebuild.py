"""The Prefect flow: one task a stage and a shard over the pipeline of `flows.pipeline`."""

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect import Task, flow, runtime, task
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

import storage.demo.dataset
from flows.config import Config
from flows.pipeline import STAGES, check_weights, pipeline
from flows.scanning import current_index
from flows.showing import metric_rows as metric_rows  # the command line prints them
from flows.showing import show
from flows.steps import Step
from flows.tasks import reference_artifact, step_task
from flows.telling import Told
from storage.artifacts import Artifact, Store
from storage.errors import EnvironmentProblem, SettingsError

log = logging.getLogger("csip")


@dataclass(frozen=True)
class Result:
    """What a rebuild ends with.

    Attributes:
        artifacts: label of each step -> its artifact, in order.
        built: labels of the steps that ran.
        flow_run_id: the Prefect flow run.
        seconds: wall time.
    """

    artifacts: dict[str, Artifact]
    built: tuple[str, ...]
    flow_run_id: str
    seconds: float

    @property
    def report(self) -> Path | None:
        """The report's file, if the run went that far."""
        made = self.artifacts.get("report")
        return made.path / "report.html" if made else None


class Reached(Exception):
    """The stage that the run should stop after is complete."""


@dataclass
class TaskBuilder:
    """Builds steps as Prefect tasks.

    Attributes:
        store: where artifacts are kept.
        until: stop once this stage is done.
        refresh: stages to build even if they are there.
    """

    store: Store
    until: str
    refresh: frozenset[str]
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    built: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.time)

    def one(self, step: Step) -> Artifact:
        """Build one step."""
        return self.many([step])[0]

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        """Build steps on the flow's task runner; all of them finish, then the first failure is raised."""
        if STAGES.index(steps[0].stage) > STAGES.index(self.until):
            raise Reached
        kept = {step.label for step in steps if self._is_kept(step)}
        build: Task[..., dict[str, str]] = step_task(self.store, steps[0].stage, refresh=steps[0].stage in self.refresh)
        futures = [build.submit(quote(step), step.label) for step in steps]
        for future in futures:
            future.wait()
        made = [reference_artifact(self.store, future.result()) for future in futures]
        for step, artifact in zip(steps, made, strict=True):
            self.note(step.label, artifact, kept=step.label in kept)
        return made

    def _is_kept(self, step: Step) -> bool:
        return step.stage not in self.refresh and self.store.find(step.stage, step.key) is not None

    def note(self, label: str, artifact: Artifact, *, kept: bool) -> None:
        """Remember an artifact of this run."""
        self.artifacts[label] = artifact
        if not kept:
            self.built.append(label)

    def lineage(self) -> tuple[dict[str, Any], ...]:
        """What was built or kept so far, with who made it and how long that took."""
        return tuple(
            {
                "stage": artifact.stage,
                "artifact": label,
                "key": artifact.key,
                "seconds": artifact.manifest["made"]["seconds"],
                "device": artifact.manifest["made"]["device"],
                "made": artifact.manifest["made"]["at"],
            }
            for label, artifact in self.artifacts.items()
        )


@task(name="data", task_run_name="make demo data")
def make_demo(config: Config) -> None:
    """Make the demo data set, if the configuration asks for one and it is not there."""
    if config.data.demo is None:
        return
    with Told("demo data") as progress:
        storage.demo.dataset.make(config.data.demo, config.data.root, progress)


@task(name="index", task_run_name="index {config.name}")
def index_data(config: Config, store: Store) -> dict[str, Any]:
    """Scan the raw frames; publishes a new index if any byte, name or label of them changed."""
    with Told("index") as progress:
        return current_index(store, config, progress)


def rebuild(config: Config, until: str = STAGES[-1], force: Sequence[str] = (), begin: str | None = None) -> Result:
    """Bring every stage up to date, and build again only what changed.

    Args:
        config: see `flows.config.load_config`.
        until: stop after this stage.
        force: stages to build even if nothing changed.
        begin: build this stage and all after it even if nothing changed.

    Raises:
        CsipError: bad data, settings or weights, a full disk; what was finished is kept.
    """
    for stage in [until, *force, *([begin] if begin else [])]:
        if stage not in STAGES:
            raise SettingsError(f"there is no stage {stage!r}", fix=f"stages are: {', '.join(STAGES)}")
    runner = ThreadPoolTaskRunner(max_workers=config.workers)
    return rebuild_flow.with_options(task_runner=runner)(config, until, tuple(force), begin)


@flow(name="rebuild", flow_run_name="{config.name}", validate_parameters=False, persist_result=False)
def rebuild_flow(config: Config, until: str, force: tuple[str, ...], begin: str | None) -> Result:
    """The flow behind `rebuild`, which see."""
    start = time.monotonic()
    store = Store(config.store)
    _check_disk(config)
    check_weights(config, until)
    refresh = frozenset(force) | frozenset(STAGES[STAGES.index(begin) :] if begin else ())
    build = TaskBuilder(store, until, refresh)
    make_demo(config)
    found = index_data(config, quote(store))
    index = reference_artifact(store, found)
    build.note("index", index, kept=found["kept"])
    try:
        pipeline(config, index, build)
    except Reached:
        log.info("stopped after %s, as asked", until)
    run_id = str(runtime.flow_run.id)
    result = Result(build.artifacts, tuple(build.built), run_id, time.monotonic() - start)
    show(result, config.data.root)
    _record(store, config, result)
    return result


def _check_disk(config: Config) -> None:
    free = shutil.disk_usage(config.store).free / 1e9
    if free < config.min_free_gb:
        raise EnvironmentProblem(
            f"only {free:.2f} GB are free where the store is, and min_free_gb asks for {config.min_free_gb:g}",
            where=config.store,
            fix="free some space, move the store (--set store=PATH), or lower min_free_gb; finished artifacts are kept",
        )


def _record(store: Store, config: Config, result: Result) -> None:
    folder = store.root / "runs"
    folder.mkdir(exist_ok=True)
    record = {
        "run": result.flow_run_id,
        "config": config.model_dump(mode="json"),
        "seconds": round(result.seconds, 3),
        "built": list(result.built),
        "artifacts": {
            label: {"stage": a.stage, "key": a.key, "digest": a.digest} for label, a in result.artifacts.items()
        },
    }
    (folder / f"{result.flow_run_id}.json").write_text(json.dumps(record, indent=2) + "\n")
