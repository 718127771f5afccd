"""What the pipelines are described to: a builder decides what a step becomes (a Prefect task, a line of a plan)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.keys.steps import Step
from storage.store.artifacts import Artifact


class Builder(ABC):
    """Turns steps into artifacts."""

    @abstractmethod
    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        """Build independent steps of one stage, in any order or at once; answers in the order given."""

    def one(self, step: Step) -> Artifact:
        """Build one step."""
        return self.many([step])[0]

    def lineage(self) -> tuple[dict[str, Any], ...]:
        """What was built or kept so far, for the report: stage, artifact, key, seconds, device, made, versions."""
        return ()


@dataclass(frozen=True)
class Made:
    """What one walk through a pipeline ends with."""

    results: Mapping[str, Artifact]  # model -> its metrics
    report: Artifact  # of all of it
