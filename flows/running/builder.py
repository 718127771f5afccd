"""Steps built as Prefect tasks, with what a run notes about them on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.builder import Builder
from flows.keys.steps import Step
from flows.running.orders import Order
from flows.running.runners import Workers
from flows.running.tasks import reference_artifacts, step_task
from flows.watching.progress import RunProgress, pace
from storage.store.artifacts import Artifact, Store
from storage.store.runs import RunRecord


@dataclass
class TaskBuilder(Builder):
    """Builds steps as Prefect tasks."""

    store: Store  # where artifacts are kept
    refresh: frozenset[str]  # stages to build even if they are there
    record: RunRecord  # of the run
    workers: Workers  # where tasks are done
    progress: RunProgress  # of the run
    tags: tuple[str, ...] = ()  # of all task runs
    artifacts: dict[str, Artifact] = field(default_factory=dict)  # label of each step that is done -> its artifact
    built: dict[str, bool] = field(default_factory=dict)  # labels of those that this run made, in order

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        """Build steps on the flow's task runner; all of them finish, then the first failure is raised."""
        self.record.hold((step.label, step.stage, step.key) for step in steps)
        build = step_task(
            steps[0].stage,
            run=self.record.run,
            # where the walk begins again because of damage, nothing is forced a second time
            refresh=steps[0].stage in self.refresh and not all(step.label in self.built for step in steps),
            tags=self.tags,
            every=pace(self.workers.places),
        )
        orders = [Order(step, self.store) for step in steps]
        states = self.workers.states(build, orders, self.progress.done.add)
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
