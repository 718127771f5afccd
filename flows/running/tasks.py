"""A step as a Prefect task: cached by the step's key, with the artifact store as the one source of truth.

Prefect's own record of a finished task is a small reference to an artifact. Reading it asks the store first, so a
deleted or damaged artifact is a miss, and an artifact made elsewhere (a copied store, another run) is a hit.
"""

import json
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import Task, task
from prefect.cache_policies import CachePolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.filesystems import WritableFileSystem
from prefect.results import ResultRecordMetadata
from prefect.serializers import JSONSerializer

from flows.keys.steps import Step
from flows.running.limits import gpu_slot
from flows.running.orders import Order
from flows.running.stops import REQUEST
from flows.watching.failures import told_first
from flows.watching.log_fields import lines_of
from flows.watching.telling import LOG_SECONDS, Told
from storage.disk import write_whole
from storage.errors import CsipError, DamagedError
from storage.store.artifacts import Artifact, ArtifactFile, Store, open_store
from storage.store.trainings import kept_states

log = logging.getLogger("csip")
REFERENCES = "references"
PLAIN_JSON = JSONSerializer(object_decoder=None)
"""Prefect's own decoder imports whatever class the text names, and calls it."""


class ArtifactRecords(WritableFileSystem):
    """Prefect's key storage over the artifact store: a key exists exactly when a whole artifact does."""

    _block_type_slug = "csip-artifact-records"
    store: str
    workspace: str

    def read_path(self, path: str, **_: Any) -> bytes:
        """Prefect's record of the task whose cache key is `path`.

        Raises:
            ValueError: there is no whole artifact; Prefect takes that for a miss.
        """
        stage, key = path.split(".")
        store = open_store(self.store, Path(self.workspace))
        if store.find(stage, key) is None:
            raise ValueError(f"no whole artifact {path}")
        _refer(store.root / REFERENCES / path, {"stage": stage, "key": key})
        return ResultRecordMetadata(storage_key=path, serializer=PLAIN_JSON).dump_bytes()

    def write_path(self, path: str, content: bytes, **_: Any) -> None:
        """Nothing to write: the artifact's manifest is the record."""

    async def aread_path(self, path: str) -> bytes:
        """See `read_path`."""
        return self.read_path(path)

    async def awrite_path(self, path: str, content: bytes) -> None:
        """See `write_path`."""


def _refer(path: Path, reference: dict[str, str]) -> None:
    """Make sure that the file that Prefect reads next says this, whatever has become of it."""
    with suppress(OSError, ValueError):
        if json.loads(path.read_text()) == reference:
            return
    write_whole(path, json.dumps(reference).encode())


def tag(*tags: str) -> None:
    """Tag the task run that is going on here.

    Of tags that a task has before, Prefect asks the server for concurrency limits; from here on they only describe, and
    cost nothing (docs/decisions/0007-tags-on-tasks.md). The server hears of them with the run's next state.
    """
    if context := TaskRunContext.get():
        context.task_run.tags = sorted({*context.task_run.tags, *tags})


@dataclass
class StepKey(CachePolicy):
    """The cache key of a task that builds a step: the step's own key. Prefect asks for it once the task run has begun,
    also where nothing is built, and so the run is tagged here.

    Attributes:
        tags: of every task run, besides the step's own.
    """

    tags: tuple[str, ...] = ()

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str:
        step = inputs["order"].step
        tag(*self.tags, *step.tags)
        return f"{step.stage}.{step.key}"


def can_pass(error: object) -> bool:
    """Whether another try may mend it (a full GPU, a lost connection); never bad input."""
    if isinstance(error, CsipError):
        return error.passing
    return isinstance(error, ConnectionError | TimeoutError) or type(error).__name__ == "OutOfMemoryError"


def _retried(_: Task[..., Any], __: TaskRun, state: State[Any]) -> bool:
    return can_pass(state.result(raise_on_failure=False))


def step_task(
    store: Store,
    stage: str,
    *,
    run: str = "",
    refresh: bool = False,
    tags: Collection[str] = (),
    every: float = LOG_SECONDS,
) -> Task[..., dict[str, str]]:
    """The Prefect task that builds a stage's steps into `store` for a run.

    Args:
        store: where artifacts are kept.
        stage: name of the task.
        run: id of the run, for the manifests.
        refresh: build even what is there.
        tags: shown with the task runs besides those of each step; no concurrency limits follow from them.
        every: seconds between two lines about a step.
    """

    @told_first
    def build(order: Order, label: str) -> dict[str, str]:
        return _fill(order, run=run, refresh=refresh, every=every)

    return task(
        build,
        name=stage,
        task_run_name="{label}",
        cache_policy=StepKey(
            key_storage=ArtifactRecords(store=store.address, workspace=str(store.anywhere.parent)), tags=tuple(tags)
        ),
        result_storage=store.anywhere / REFERENCES,
        result_serializer=PLAIN_JSON,
        persist_result=True,
        cache_result_in_memory=False,  # the store is at hand, and Prefect's cache is not made for threads
        refresh_cache=refresh,
        retries=2,
        retry_delay_seconds=10,
        retry_condition_fn=_retried,
    )


def _fill(order: Order, **how: Any) -> dict[str, str]:
    """What the task does; a function of this module, of which Ray sends the name and not a copy with its globals."""
    order.arrive()
    with REQUEST.on_interrupt() if order.interrupted else nullcontext():
        artifact = build_step(order.store, order.step, **how)
    return {"stage": artifact.stage, "key": artifact.key}


def device() -> str:
    """The kind of device that stages use where they choose it themselves."""
    import torch  # seconds and much memory, for nothing where every step is kept

    return "cuda" if torch.cuda.is_available() else "cpu"


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
            with states, REQUEST.on_sigterm(), gpu_slot(step.stage, gpus), Told(step.label, every) as progress:
                module.run(module.Inputs(**step.arguments()), step.settings, folder, progress)
            seconds = time.monotonic() - start
            artifact = store.publish(folder, step.stage, step.key, step.record, seconds, device(), run)
        log.info("%s done in %.1f s", step.label, seconds)
        return artifact


def check_inputs(store: Store, step: Step) -> None:
    """Read what a step will read, before it works for hours on damage; what is damaged leaves the store.

    Raises:
        DamagedError: names the files.
    """
    for source in step.sources():
        artifact, names = (
            (source.artifact, [source.name]) if isinstance(source, ArtifactFile) else (source, source.manifest["files"])
        )
        bad = store.check(artifact, names)
        if bad:
            store.discard(artifact.stage, artifact.key)
            raise DamagedError(
                f"{step.label} cannot read what it is made from: {', '.join(bad)} of {artifact.stage} "
                "no longer holds what was published",
                where=store.path(artifact.stage, artifact.key),
                fix="run again: it is made anew; if this happens again, check the disk",
            )


def reference_artifact(store: Store, reference: dict[str, str]) -> Artifact:
    """The artifact that a task's result refers to.

    Raises:
        DamagedError: it vanished since.
    """
    return reference_artifacts(store, [reference])[0]


def reference_artifacts(store: Store, references: Sequence[Mapping[str, str]]) -> list[Artifact]:
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
