"""Through the pipeline once, or once for each split of a data set that has several, and then to their mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.config import Config
from flows.keys.steps import Step
from flows.pipeline import Builder, Made, mean_of_splits, pipeline
from storage.index import splits
from storage.store.artifacts import Artifact


class Reached(Exception):
    """The stage that a builder should stop after is complete."""


@dataclass
class Once:
    """A `Builder` that passes a step on once, however many splits share it.

    Attributes:
        build: what it passes steps on to.
        made: stage and key -> artifact, of all splits.
        split: whose turn it is.
    """

    build: Builder
    made: dict[tuple[str, str], Artifact] = field(default_factory=dict)
    split: str = ""

    def one(self, step: Step) -> Artifact:
        """Build one step."""
        return self.many([step])[0]

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        """Build what has not been built."""
        fresh = [step for step in steps if (step.stage, step.key) not in self.made]
        if fresh:
            names = [(step.stage, step.key) for step in fresh]
            self.made |= zip(names, self.build.many(fresh), strict=True)
        return [self.made[step.stage, step.key] for step in steps]

    def lineage(self) -> tuple[dict[str, Any], ...]:
        """As the builder says, without what belongs to other splits."""
        return tuple(
            row
            for row in self.build.lineage()
            if not row["artifact"].startswith("split ") or row["artifact"].startswith(f"{self.split} ")
        )


def walk(config: Config, find_index: Callable[[Config, str], Artifact], build: Builder) -> None:
    """Build every step of a configuration.

    Args:
        config: see `flows.config.load_config`.
        find_index: the index of one split, told what the split is called (empty if there is one only).
        build: turns steps into artifacts.

    Raises:
        Reached: the builder stops early, in every split.
        CsipError: as stages and `find_index` do.
    """
    chosen = of_splits(config)
    if len(chosen) == 1:
        pipeline(chosen[""], find_index(chosen[""], ""), build)
        return
    once, found, reached = Once(build), dict[str, Made](), Reached()
    for name, each in chosen.items():
        index = find_index(each, name)
        once.split = name
        try:
            found[name] = pipeline(each, index, once, name)
        except Reached as error:
            reached = error
    if len(found) < len(chosen):
        raise reached
    mean_of_splits(config, found, build)


def of_splits(config: Config) -> dict[str, Config]:
    """What each split is called -> its configuration; an empty name where there is one only."""
    chosen = [config.model_copy(update={"data": data}) for data in splits(config.data)]
    return {f"split {each.data.split}" if len(chosen) > 1 else "": each for each in chosen}
