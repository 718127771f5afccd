"""Through the pipeline once, or once for each split of a data set that has several, and then to their mean."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from flows.builder import Builder, Made
from flows.config import Config
from flows.keys.steps import Step
from flows.pipeline import mean_of_splits, pipeline
from flows.stages import STAGES
from storage.index import splits
from storage.store.artifacts import Artifact


class _Reached(Exception):
    """The stage that the walk should stop after is complete."""


@dataclass
class _Once(Builder):
    """Passes a step on once, however many splits share it, and none of a stage after `until`."""

    build: Builder
    until: str
    split: str = ""
    made: dict[tuple[str, str], Artifact] = field(default_factory=dict)

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        if STAGES.index(steps[0].stage) > STAGES.index(self.until):
            raise _Reached
        if not self.split:  # there is one only: what a key is made of need not be there yet
            return self.build.many(steps)
        fresh = [step for step in steps if (step.stage, step.key) not in self.made]
        if fresh:
            names = [(step.stage, step.key) for step in fresh]
            self.made |= zip(names, self.build.many(fresh), strict=True)
        return [self.made[step.stage, step.key] for step in steps]

    def lineage(self) -> tuple[dict[str, Any], ...]:
        """As the builder says, without what belongs to other splits."""
        rows = [(row, row["artifact"]) for row in self.build.lineage()]
        return tuple(row for row, name in rows if not name.startswith("split ") or name.startswith(f"{self.split} "))


def walk(config: Config, find_index: Callable[[str], Artifact], build: Builder, until: str = STAGES[-1]) -> bool:
    """Build every step of a configuration, up to the stage `until`; whether that is the end.

    `find_index` gives the index of one split, by what `of_splits` calls it.

    Raises:
        CsipError: as stages and `find_index` do.
    """
    chosen, made = of_splits(config), dict[str, Made]()
    once = _Once(build, until)
    for name, each in chosen.items():
        index, once.split = find_index(name), name
        with suppress(_Reached):
            made[name] = pipeline(each, index, once, name)
    if len(made) < len(chosen):
        return False
    with suppress(_Reached):
        if len(chosen) > 1:
            mean_of_splits(config, made, once)
        return True
    return False


def of_splits(config: Config) -> dict[str, Config]:
    """What each split is called -> its configuration; an empty name where there is one only."""
    chosen = [config.model_copy(update={"data": data}) for data in splits(config.data)]
    return {f"split {each.data.split}" if len(chosen) > 1 else "": each for each in chosen}
