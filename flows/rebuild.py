"""The Prefect flow: one task a stage and a shard over the pipeline of `flows.pipeline`."""

import logging
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.serializers import JSONSerializer
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed
from prefect.utilities.annotations import quote

import storage.demo.dataset
from flows.config import Config
from flows.pipeline import check_weights
from flows.planning.plan import plan_from
from flows.planning.scan import current_index, last_index
from flows.planning.walk import of_splits, walk
from flows.running.builder import TaskBuilder
from flows.running.runners import Workers
from flows.running.stops import stoppable
from flows.running.tasks import Reference, reference_artifacts, tag
from flows.stages import STAGES
from flows.watching.failures import plain_failure
from flows.watching.names import data_name, name_run
from flows.watching.progress import RunProgress, StepProgress, quietly
from flows.watching.result import Result
from flows.watching.server import ServerLost, healthy
from flows.watching.ui_artifacts import show, show_plan
from storage.errors import CsipError, DamagedError, EnvironmentProblem, SettingsError
from storage.store.artifacts import Artifact, Store, open_store
from storage.store.runs import COMPLETED, STOPPED, RunRecord

log = logging.getLogger("csip")
ATTEMPTS = 5
"""How often a run goes back to what turned out to be damaged; a disk that damages everything is not waited for."""

PLAIN_JSON = JSONSerializer(object_decoder=None)
"""For errors of flows, which Prefect keeps; its own decoder imports whatever class the text names, and calls it."""


@task(name="data", task_run_name="make demo data", cache_policy=NO_CACHE, persist_result=False)
@plain_failure
def make_demo(config: Config) -> None:
    """Make the demo data set, if the configuration asks for one and it is not there."""
    if config.data.demo is None:
        return
    with StepProgress("demo data") as progress:
        storage.demo.dataset.make(config.data.demo, Path(config.data.root), progress)


@task(name="index", task_run_name="index {config.name}", cache_policy=NO_CACHE, persist_result=False)
@plain_failure
def index_data(config: Config, store: Store, run: str) -> Reference:
    """Scan the raw frames; publishes a new index if any byte, name or label of them changed."""
    tag("index", data_name(config.data))
    with StepProgress("index") as progress:
        return current_index(store, config, progress, run)


def rebuild(
    config: Config, until: str = STAGES[-1], force: Sequence[str] = (), begin: str | None = None, title: str = ""
) -> Result:
    """Bring every stage up to date, and build again only what changed.

    Stops after `until`. Builds the stages of `force`, and `begin` and all after it, even if nothing changed. `title` is
    what the run is called in the Prefect UI, beside its data set; the configuration's name without it.

    Raises:
        CsipError: bad data, settings or weights, a full disk; what was finished is kept.
        ServerLost: the Prefect server is gone; what was finished is kept.
    """
    for stage in [until, *force, *([begin] if begin else [])]:
        if stage not in STAGES:
            raise SettingsError(f"there is no stage {stage!r}", fix=f"stages are: {', '.join(STAGES)}")
    try:
        return cast(Result, rebuild_flow(config, until, tuple(force), begin, title))  # Prefect gives what a state holds
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
@plain_failure
def rebuild_flow(
    config: Config, until: str, force: tuple[str, ...], begin: str | None, title: str = ""
) -> State[Result]:
    """The flow behind `rebuild`, which see."""
    result = bring_up_to_date(config, until, force, begin, title)
    return Completed(message=result.summary, data=result)


def bring_up_to_date(config: Config, until: str, force: Sequence[str], begin: str | None, title: str = "") -> Result:
    """What any flow run does that rebuilds; to be called within one."""
    start = time.monotonic()
    name_run(runtime.flow_run.id, config, title)
    store = open_store(config.store, config.workspace)
    store.prepare()
    _check_disk(config, store.root)
    check_weights(config, until)
    refresh = frozenset(force) | frozenset(STAGES[STAGES.index(begin) :] if begin else ())
    record = RunRecord(store, str(runtime.flow_run.id), config.model_dump(mode="json"))
    with record.alive(), RunProgress() as progress, Workers(config) as workers, stoppable(record, workers.stop):
        make_demo(config, return_state=True).result()
        build = TaskBuilder(store, refresh, record, workers, progress, (data_name(config.data),))
        whole = _build_all(config, build, until)
        result = Result(build.artifacts, tuple(build.built), record.run, time.monotonic() - start)
        record.finish(COMPLETED if whole else STOPPED, result.artifacts, result.built, result.metrics)
    show(result, config.data.place)
    return result


def _build_all(config: Config, build: TaskBuilder, until: str) -> bool:
    """Walk the pipeline until nothing in it turns out to be damaged; False if it stopped early, as asked."""
    splits = of_splits(config)
    before = {split: last_index(build.store, each) for split, each in splits.items()}
    attempt = 0
    while True:
        attempt += 1
        try:
            indexes = {split: _find_index(each, split, build) for split, each in splits.items()}
            if attempt == 1:
                lines = plan_from(config, build.store, indexes, before, until, build.refresh)
                build.progress.total = len(lines)
                quietly(partial(show_plan, lines), "the plan is not shown")
            whole = walk(config, indexes.__getitem__, build, until)
            if not whole:
                log.info("stopped after %s, as asked", until)
            return whole
        except DamagedError as error:
            if attempt == ATTEMPTS:
                raise
            log.warning("%s\nit is made again", error)


def _find_index(config: Config, split: str, build: TaskBuilder) -> Artifact:
    label = f"{split} index".strip()
    reference = index_data(config, quote(build.store), build.record.run, return_state=True).result()
    (index,) = reference_artifacts(build.store, [reference])
    build.record.hold([(label, index.stage, index.key)])
    build.note(label, index)
    build.progress.done.add(label)
    return index


def _check_disk(config: Config, folder: Path) -> None:
    free = shutil.disk_usage(folder).free / 1e9
    if free < config.min_free_gb:
        raise EnvironmentProblem(
            f"only {free:.2f} GB are free where the store is, and min_free_gb asks for {config.min_free_gb:g}",
            where=folder,
            fix="free some space, move the store (--set store=PATH), or lower min_free_gb; finished artifacts are kept",
        )
