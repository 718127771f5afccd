"""A step as a Prefect task, with the artifact store as the one source of truth.

Prefect keeps no result of it: the task looks into the store itself. What it finds is a run in the state `Cached`, so a
deleted or damaged artifact is made again, and one that was made elsewhere (a copied store, another run) is used.
"""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.states import Completed

from flows.keys.steps import Step
from flows.running.limits import gpu_slot
from flows.running.orders import Order
from flows.watching.failures import plain_failure
from flows.watching.log_fields import lines_of
from flows.watching.progress import LOG_SECONDS, StepProgress
from storage.devices import chosen_device
from storage.errors import CsipError, DamagedError
from storage.stop import REQUEST
from storage.store.artifacts import Artifact, Store
from storage.store.trainings import kept_states

log = logging.getLogger("csip")
Reference = Mapping[str, str]
"""Stage and key of an artifact: what a task gives, and all of it that travels between processes."""


def tag(*tags: str) -> None:
    """Tag the task run that is going on here.

    Of tags that a task has before, Prefect asks the server for concurrency limits; from here on they only describe, and
    cost nothing (docs/decisions/0007-tags-on-tasks.md). The server hears of them with the run's next state.
    """
    if context := TaskRunContext.get():
        context.task_run.tags = sorted({*context.task_run.tags, *tags})


def can_pass(error: object) -> bool:
    """Whether another try may mend it (a full GPU, a lost connection); never bad input."""
    if isinstance(error, CsipError):
        return error.passing
    return isinstance(error, ConnectionError | TimeoutError) or type(error).__name__ == "OutOfMemoryError"


def _retried(_: Task[..., Any], __: TaskRun, state: State[Any]) -> bool:
    return can_pass(state.result(raise_on_failure=False))


def step_task(
    stage: str, *, run: str = "", refresh: bool = False, tags: Collection[str] = (), every: float = LOG_SECONDS
) -> Task[[Order, str], Reference | State[Reference]]:
    """The Prefect task that builds a stage's steps for the run of this id, with `refresh` even what is there.

    Task runs are shown with `tags` and those of each step, from which no concurrency limits follow; `every` so many
    seconds there is a line about a step.
    """

    @task(
        name=stage,
        task_run_name="{label}",
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=2,
        retry_delay_seconds=10,
        retry_condition_fn=_retried,
    )
    @plain_failure
    def build(order: Order, label: str) -> Reference | State[Reference]:
        tag(*tags, *order.step.tags)
        return _fill(order, run=run, refresh=refresh, every=every)

    return build


def _fill(order: Order, *, run: str, refresh: bool, every: float) -> Reference | State[Reference]:
    """What the task does; a function of this module, of which Ray sends the name and not a copy with its globals."""
    store, step = order.store, order.step
    reference = {"stage": step.stage, "key": step.key}
    if refresh or store.find(step.stage, step.key) is None:
        order.arrive()
        with REQUEST.on_interrupt() if order.interrupted else nullcontext():
            artifact = build_step(store, step, run=run, refresh=refresh, every=every)
        if artifact.manifest["made"]["run"] == run:
            return reference
    return Completed(name="Cached", data=reference)


def build_step(
    store: Store, step: Step, *, run: str = "", refresh: bool = False, every: float = LOG_SECONDS
) -> Artifact:
    """Build one step, or take the artifact that another process has published meanwhile.

    Raises:
        CsipError: whatever the stage says of its input, or the store of the disk.
    """
    with lines_of(step, run), store.lock(step.stage, step.key, step.label):
        found, problems = store.examine(step.stage, step.key)
        if problems:
            where = store.path(step.stage, step.key)
            log.warning("%s is damaged and made again: %s (%s)", step.label, ", ".join(problems), where)
        elif found and not refresh:
            return found
        check_inputs(store, step)
        log.info("%s ...", step.label)
        start = time.monotonic()
        module = step.load()
        with store.staging(step.stage, step.key, resume=step.resumes) as folder:
            states = kept_states(store, step.stage, step.lineage, folder) if step.resumes else nullcontext()
            gpus = getattr(step.places.get("trainer"), "devices", 1)
            with states, REQUEST.on_sigterm(), gpu_slot(step.stage, gpus), StepProgress(step.label, every) as progress:
                module.run(module.Inputs(**step.arguments()), step.settings, folder, progress)
            seconds = time.monotonic() - start
            artifact = store.publish(folder, step.stage, step.key, step.record, seconds, chosen_device("auto"), run)
        log.info("%s done in %.1f s", step.label, seconds)
        return artifact


def check_inputs(store: Store, step: Step) -> None:
    """Read what a step will read, before it works for hours on damage; what is damaged leaves the store.

    Raises:
        DamagedError: names the files.
    """
    for artifact, names in step.sources():
        bad = store.check(artifact, names)
        if bad:
            store.discard(artifact.stage, artifact.key)
            raise DamagedError(
                f"{step.label} cannot read what it is made from: {', '.join(bad)} of {artifact.stage} "
                "no longer holds what was published",
                where=store.path(artifact.stage, artifact.key),
                fix="run again: it is made anew; if this happens again, check the disk",
            )


def reference_artifacts(store: Store, references: Sequence[Reference]) -> list[Artifact]:
    """The artifacts that the results of tasks refer to.

    Raises:
        DamagedError: one vanished since.
    """
    names = [(reference["stage"], reference["key"]) for reference in references]
    artifacts = []
    for name, (found, problems) in zip(names, store.examine_many(names), strict=True):
        if found is None or problems:
            raise DamagedError(
                "an artifact vanished while the run was using it",
                where=store.path(*name),
                fix="run again: what is missing is made anew",
            )
        artifacts.append(found)
    return artifacts
