"""The Prefect flow: one task a stage and a shard over the pipeline of `flows.pipeline`."""

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.serializers import JSONSerializer
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed
from prefect.utilities.annotations import quote

import storage.demo.dataset
from flows.config import Config
from flows.keys.steps import Step
from flows.pipeline import STAGES, check_weights
from flows.planning.plan import plan_from
from flows.planning.scan import current_index, last_index
from flows.planning.walk import Reached, of_splits, walk
from flows.running.orders import Order
from flows.running.runners import Workers
from flows.running.stops import stoppable
from flows.running.tasks import reference_artifact, reference_artifacts, step_task, tag
from flows.watching.failures import told_first
from flows.watching.names import data_name, name_run
from flows.watching.server import ServerLost, healthy
from flows.watching.telling import RunTold, Told, pace, quietly
from flows.watching.ui_artifacts import metric_rows as metric_rows  # the command line prints them
from flows.watching.ui_artifacts import show, show_plan
from storage.errors import CsipError, DamagedError, EnvironmentProblem, SettingsError
from storage.store.artifacts import Artifact, Store, open_store
from storage.store.runs import COMPLETED, STOPPED, RunRecord

log = logging.getLogger("csip")
ATTEMPTS = 5
"""How often a run goes back to what turned out to be damaged; a disk that damages everything is not waited for."""

PLAIN_JSON = JSONSerializer(object_decoder=None)
"""For errors of flows, which Prefect keeps; its own decoder imports whatever class the text names, and calls it."""


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
    def told(self) -> str:
        """In a line."""
        return f"{len(self.built)} of {len(self.artifacts)} steps ran in {self.seconds:.0f} s"

    @property
    def report(self) -> Path | None:
        """The report's file, if the run went that far."""
        made = self.artifacts.get("splits") or self.artifacts.get("report")
        return made.path / "report.html" if made else None


@dataclass
class TaskBuilder:
    """Builds steps as Prefect tasks.

    Attributes:
        store: where artifacts are kept.
        until: stop once this stage is done.
        refresh: stages to build even if they are there.
        record: of the run.
        workers: where tasks are done.
        told: of the steps that are done.
        tags: of all task runs.
    """

    store: Store
    until: str
    refresh: frozenset[str]
    record: RunRecord
    workers: Workers
    told: RunTold
    tags: tuple[str, ...] = ()
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    built: dict[str, bool] = field(default_factory=dict)

    def one(self, step: Step) -> Artifact:
        """Build one step."""
        return self.many([step])[0]

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        """Build steps on the flow's task runner; all of them finish, then the first failure is raised."""
        if STAGES.index(steps[0].stage) > STAGES.index(self.until):
            raise Reached
        self.record.hold((step.label, step.stage, step.key) for step in steps)
        # where the walk begins again because of damage, nothing is forced a second time
        refresh = steps[0].stage in self.refresh and not all(step.label in self.built for step in steps)
        build = step_task(
            steps[0].stage,
            run=self.record.run,
            refresh=refresh,
            tags=self.tags,
            every=pace(self.workers.places),
        )
        states = self.workers.states(build, [Order(step, self.store) for step in steps], self.told.finished)
        # what this run made is noted even if something beside it failed
        done = [(step.label, state.result()) for step, state in zip(steps, states, strict=True) if state.is_completed()]
        artifacts = reference_artifacts(self.store, [reference for _, reference in done])
        for (label, _), artifact in zip(done, artifacts, strict=True):
            self.note(label, artifact)
        for state in states:
            state.result()
        return [self.artifacts[step.label] for step in steps]

    def note(self, label: str, artifact: Artifact) -> None:
        """Remember an artifact of this run."""
        self.artifacts[label] = artifact
        if artifact.manifest["made"]["run"] == self.record.run:
            self.built[label] = True

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
                "versions": artifact.manifest.get("installed", {}),
            }
            for label, artifact in self.artifacts.items()
        )


@task(name="data", task_run_name="make demo data", cache_policy=NO_CACHE, persist_result=False)
@told_first
def make_demo(config: Config) -> None:
    """Make the demo data set, if the configuration asks for one and it is not there."""
    if config.data.demo is None:
        return
    with Told("demo data") as progress:
        storage.demo.dataset.make(config.data.demo, Path(config.data.root), progress)


@task(name="index", task_run_name="index {config.name}", cache_policy=NO_CACHE, persist_result=False)
@told_first
def index_data(config: Config, store: Store, run: str) -> dict[str, str]:
    """Scan the raw frames; publishes a new index if any byte, name or label of them changed."""
    tag("index", data_name(config.data))
    with Told("index") as progress:
        return current_index(store, config, progress, run)


def rebuild(config: Config, until: str = STAGES[-1], force: Sequence[str] = (), begin: str | None = None) -> Result:
    """Bring every stage up to date, and build again only what changed.

    Args:
        config: see `flows.config.load_config`.
        until: stop after this stage.
        force: stages to build even if nothing changed.
        begin: build this stage and all after it even if nothing changed.

    Raises:
        CsipError: bad data, settings or weights, a full disk; what was finished is kept.
        ServerLost: the Prefect server is gone; what was finished is kept.
    """
    for stage in [until, *force, *([begin] if begin else [])]:
        if stage not in STAGES:
            raise SettingsError(f"there is no stage {stage!r}", fix=f"stages are: {', '.join(STAGES)}")
    try:
        return rebuild_flow(config, until, tuple(force), begin)
    except CsipError:
        raise
    except Exception as error:  # whatever Prefect's client makes of a server that is gone
        api = PREFECT_API_URL.value()
        if not api or healthy(api):
            raise
        raise ServerLost(
            "the Prefect server stopped answering while the run was going on, and does not know how it ended",
            where=api,
            fix="run again, with a server that answers: what was finished is kept (`csip runs` lists it)",
        ) from error


@flow(name="rebuild", validate_parameters=False, persist_result=False, result_serializer=PLAIN_JSON)
@told_first
def rebuild_flow(config: Config, until: str, force: tuple[str, ...], begin: str | None) -> State[Result]:
    """The flow behind `rebuild`, which see."""
    result = bring_up_to_date(config, until, force, begin)
    return Completed(message=result.told, data=result)


def bring_up_to_date(config: Config, until: str, force: Sequence[str], begin: str | None) -> Result:
    """What any flow run does that rebuilds; to be called within one."""
    start = time.monotonic()
    name_run(runtime.flow_run.id, config)
    store = open_store(config.store, config.workspace)
    store.prepare()
    _check_disk(config, store.root)
    check_weights(config, until)
    refresh = frozenset(force) | frozenset(STAGES[STAGES.index(begin) :] if begin else ())
    record = RunRecord(store, str(runtime.flow_run.id), config.model_dump(mode="json"))
    with record.alive(), RunTold() as told, Workers(config) as workers, stoppable(record, workers.stop):
        make_demo(config, return_state=True).result()
        build = TaskBuilder(store, until, refresh, record, workers, told, (data_name(config.data),))
        whole = _build_all(config, store, build)
        result = Result(build.artifacts, tuple(build.built), record.run, time.monotonic() - start)
        record.finish(COMPLETED if whole else STOPPED, result.artifacts, result.built, metric_rows(result))
    show(result, config.data.place)
    return result


def _build_all(config: Config, store: Store, build: TaskBuilder) -> bool:
    """Walk the pipeline until nothing in it turns out to be damaged: what is whole is kept, the rest is made again.

    Returns:
        Whether it went to the end; False if it stopped early, as asked.
    """
    splits = of_splits(config)
    before = {split: last_index(store, each) for split, each in splits.items()}

    def find_index(config: Config, split: str) -> Artifact:
        label = f"{split} index".strip()
        index = reference_artifact(
            store, index_data(config, quote(store), build.record.run, return_state=True).result()
        )
        build.record.hold([(label, index.stage, index.key)])
        build.note(label, index)
        build.told.finished(label)
        return index

    attempt = 0
    while True:
        attempt += 1
        try:
            indexes = {split: find_index(each, split) for split, each in splits.items()}
            if attempt == 1:
                lines = plan_from(config, store, indexes, before, build.until, build.refresh)
                build.told.expect(len(lines))
                quietly(lambda lines=lines: show_plan(lines), "the plan is not shown")
            walk(config, partial(_of_split, indexes), build)
            return True
        except Reached:
            log.info("stopped after %s, as asked", build.until)
            return False
        except DamagedError as error:
            if attempt == ATTEMPTS:
                raise
            log.warning("%s\nit is made again", error)


def _of_split(indexes: Mapping[str, Artifact], _: Config, split: str) -> Artifact:
    return indexes[split]


def _check_disk(config: Config, folder: Path) -> None:
    free = shutil.disk_usage(folder).free / 1e9
    if free < config.min_free_gb:
        raise EnvironmentProblem(
            f"only {free:.2f} GB are free where the store is, and min_free_gb asks for {config.min_free_gb:g}",
            where=folder,
            fix="free some space, move the store (--set store=PATH), or lower min_free_gb; finished artifacts are kept",
        )
