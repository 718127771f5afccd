"""What a rebuild would do, and why, without doing it: the pipeline walked with a builder that only looks."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flows.builder import Builder
from flows.config import Config
from flows.keys.reasons import Line, changes
from flows.keys.steps import Step
from flows.planning.scan import kept_index, last_index, trial_index
from flows.planning.walk import of_splits, walk
from flows.stages import STAGES
from storage.frames.files import DataFiles
from storage.progress import Progress, silent
from storage.store.artifacts import Artifact, ArtifactFile, Store, open_store
from storage.store.raw_changes import RawChanges, index_changes
from storage.wording import listed
from training.model.encoders.names import check_name

WAITS_SHOWN = 3
Verdict = Literal["kept", "will run", "may run"]


class Unmade(Artifact):
    """An artifact whose content cannot be known before its step has run; its digest is the step's label."""

    def file(self, name: str) -> ArtifactFile:
        """One of its files, as unknown as the whole."""
        return ArtifactFile(self, name, self.digest)


@dataclass
class Planner(Builder):
    """Looks every step up in the store and notes what would happen."""

    store: Store
    refresh: frozenset[str] = frozenset()  # stages that are to be built even if they are there
    lines: list[Line] = field(default_factory=list)
    raw: Mapping[str, RawChanges] = field(default_factory=dict)  # what changed of the frames of each shard
    newest: dict[str, Mapping[str | None, Artifact]] = field(default_factory=dict)  # of each stage and part

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        """Plan steps."""
        waits = [_unmade(step) for step in steps]
        known = [step for step, names in zip(steps, waits, strict=True) if not names]
        looked = self.store.examine_many([(step.stage, step.key) for step in known])
        found = {step.key: answer for step, answer in zip(known, looked, strict=True)}
        return [
            self._unmade(step, "may run", f"depends on what becomes of {listed(names, WAITS_SHOWN)}")
            if names
            else self._plan(step, *found[step.key])
            for step, names in zip(steps, waits, strict=True)
        ]

    def plan_index(self, split: str, before: Artifact | None, now: Artifact, problems: Sequence[str] = ()) -> None:
        """Plan the index of a split, `now`, where the last scan had come to `before`; `problems`: what is damaged."""
        if problems:
            self._note(f"{split} index", "index", "will run", _damaged(problems))
        elif before and before.digest == now.digest:
            self._note(f"{split} index", "index", "kept", "nothing changed")
        elif before:
            self.raw = index_changes(before, now)
            self._note(f"{split} index", "index", "will run", _index_reason(before, now, self.raw))
        else:
            self._note(f"{split} index", "index", "will run", "never made")

    def _plan(self, step: Step, found: Artifact | None, problems: Sequence[str]) -> Artifact:
        if problems:
            return self._unmade(step, "will run", _damaged(problems))
        if found is None:
            return self._unmade(step, "will run", self._why(step))
        if step.stage in self.refresh:
            return self._unmade(step, "will run", "asked for")
        self._note(step.label, step.stage, "kept", "nothing changed")
        return found

    def _unmade(self, step: Step, verdict: Verdict, reason: str) -> Artifact:
        self._note(step.label, step.stage, verdict, reason)
        return Unmade(self.store, step.stage, "", step.label, {"files": {}})

    def _note(self, label: str, stage: str, verdict: Verdict, reason: str) -> None:
        self.lines.append(Line(label.strip(), stage, verdict, reason))

    def _why(self, step: Step) -> str:
        if step.stage not in self.newest:  # looked for once, however many of its shards will run
            self.newest[step.stage] = {made.manifest.get("part"): made for made in self.store.all(step.stage)}
        before = self.newest[step.stage].get(step.part)
        if before is None:
            return "never made"
        reason = "; ".join(changes(before.manifest, step.facts)) or "made by an older version"
        frames = str(self.raw.get(step.part, "")) if step.stage == "skeletons" else ""
        return f"{reason}: {frames}" if frames else reason


def plan(config: Config, progress: Progress = silent, until: str = STAGES[-1]) -> list[Line]:
    """Every step up to a stage, in order: kept, will run, or may run (depends on something that runs).

    Raises:
        CsipError: as a rebuild would, for bad data or settings.
    """
    if config.data.demo is not None and not DataFiles(config.data.place).there():
        return [Line("everything", "index", "will run", f"the demo data set is not there yet: {config.data.root}")]
    store = open_store(config.store, config.workspace)
    planner = Planner(store)
    chosen = of_splits(config)
    if not config.data.without_images:
        check_name(config.encoder.model)
    with tempfile.TemporaryDirectory() as folder:

        def find_index(split: str) -> Artifact:
            if index := kept_index(store, chosen[split], progress):
                planner.plan_index(split, index, index)
                return index
            # an index is cheap to make: with it, the plan can say which shards changed
            index = trial_index(store, chosen[split], Path(folder) / split, progress)
            known = any(other.digest == index.digest for other in store.all("index"))
            _, problems = store.examine("index", index.key)
            planner.plan_index(split, index if known else last_index(store, chosen[split]), index, problems)
            return index

        walk(config, find_index, planner, until)
    return planner.lines


def plan_from(
    config: Config,
    store: Store,
    indexes: Mapping[str, Artifact],
    before: Mapping[str, Artifact | None],
    until: str = STAGES[-1],
    refresh: frozenset[str] = frozenset(),
) -> list[Line]:
    """As `plan`, of a run that scanned its raw data already, which makes it cheap.

    `indexes` are those of the splits, and `before` what their last scans had come to, by the names of
    `flows.planning.walk.of_splits`. Nothing is planned after `until`, and stages of `refresh` are built again.
    """
    planner = Planner(store, refresh)

    def find_index(split: str) -> Artifact:
        planner.plan_index(split, before[split], indexes[split])
        return indexes[split]

    walk(config, find_index, planner, until)
    return planner.lines


def _unmade(step: Step) -> list[str]:
    """Labels of the steps whose artifacts this one waits for."""
    return sorted({artifact.digest for artifact, _ in step.sources() if isinstance(artifact, Unmade)})


def _damaged(problems: Sequence[str]) -> str:
    return "its artifact is damaged: " + ", ".join(problems)


def _index_reason(before: Artifact, now: Artifact, raw: Mapping[str, RawChanges]) -> str:
    """Why an index is made anew: settings, code, and the first changed frames and tracklets."""
    inputs = {name: before.manifest["inputs"].get(name) for name in ("raw", "missing")}  # named by `raw`
    found = changes(before.manifest, {**now.manifest, "inputs": {**now.manifest["inputs"], **inputs}})
    frames = str(sum(raw.values(), RawChanges()))
    return "; ".join([*found, *([frames] if frames else [])]) or "the raw data changed"
