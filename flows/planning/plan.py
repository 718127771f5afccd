"""What a rebuild would do, and why, without doing it: the pipeline walked with a builder that only looks."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from flows.config import Config
from flows.keys.reasons import changes
from flows.keys.steps import Step
from flows.pipeline import STAGES
from flows.planning.scan import kept_index, last_index, trial_index
from flows.planning.walk import Reached, walk
from storage.frames.files import DataFiles
from storage.progress import Progress, silent
from storage.store.artifacts import Artifact, ArtifactFile, Store, open_store
from storage.store.raw_changes import RawChanges, index_changes
from storage.wording import listed

WAITS_SHOWN = 3
Verdict = Literal["kept", "will run", "may run"]


@dataclass(frozen=True)
class Line:
    """One step of a plan: what will become of it, and why."""

    label: str
    stage: str
    verdict: Verdict
    reason: str


class Unmade(Artifact):
    """An artifact whose content cannot be known before its step has run."""

    def file(self, name: str) -> ArtifactFile:
        """One of its files, as unknown as the whole."""
        return UnmadeFile(self, name, self.digest)


class UnmadeFile(ArtifactFile):
    """A file of an artifact that has not been made yet."""


@dataclass
class Planner:
    """Looks every step up in the store and notes what would happen.

    Attributes:
        store: to look in.
        lines: what was noted.
        raw: shard -> what changed of its frames.
        found: stage -> part -> its newest artifact, of the stages that were looked through.
        until: nothing is planned after this stage.
        refresh: stages that are to be built even if they are there.
    """

    store: Store
    lines: list[Line] = field(default_factory=list)
    raw: Mapping[str, RawChanges] = field(default_factory=dict)
    found: dict[str, Mapping[str | None, Artifact]] = field(default_factory=dict)
    until: str = STAGES[-1]
    refresh: frozenset[str] = frozenset()

    def one(self, step: Step) -> Artifact:
        """Plan one step."""
        return self.many([step])[0]

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        """Plan steps."""
        if STAGES.index(steps[0].stage) > STAGES.index(self.until):
            raise Reached
        waits = [sorted({name for source in step.inputs.values() for name in _unmade(source)}) for step in steps]
        known = [step for step, names in zip(steps, waits, strict=True) if not names]
        looked = self.store.examine_many([(step.stage, step.key) for step in known])
        found = {step.key: answer for step, answer in zip(known, looked, strict=True)}
        return [
            self._note(step, "may run", f"depends on what becomes of {listed(names, WAITS_SHOWN)}")
            if names
            else self._plan(step, *found[step.key])
            for step, names in zip(steps, waits, strict=True)
        ]

    def lineage(self) -> tuple[dict[str, Any], ...]:
        """Nothing has been made."""
        return ()

    def _plan(self, step: Step, found: Artifact | None, problems: Sequence[str]) -> Artifact:
        if problems:
            return self._note(step, "will run", damaged(problems))
        if found and step.stage in self.refresh:
            return self._note(step, "will run", "asked for")
        if found:
            self.lines.append(Line(step.label, step.stage, "kept", "nothing changed"))
            return found
        return self._note(step, "will run", self._why(step))

    def _note(self, step: Step, verdict: Verdict, reason: str) -> Artifact:
        self.lines.append(Line(step.label, step.stage, verdict, reason))
        return Unmade(self.store, step.stage, "", step.label, {"files": {}})

    def _why(self, step: Step) -> str:
        before = self._newest(step.stage).get(step.part)
        if before is None:
            return "never made"
        reason = "; ".join(changes(before.manifest, step.facts)) or "made by an older version"
        frames = str(self.raw.get(step.part, "")) if step.stage == "skeletons" else ""
        return f"{reason}: {frames}" if frames else reason

    def _newest(self, stage: str) -> Mapping[str | None, Artifact]:
        """The newest artifact of each part of a stage; looked for once, however many of its shards will run."""
        if stage not in self.found:
            self.found[stage] = {artifact.manifest.get("part"): artifact for artifact in self.store.all(stage)}
        return self.found[stage]


def damaged(problems: Sequence[str]) -> str:
    """The reason of a step whose artifact is there, but not whole."""
    return "its artifact is damaged: " + ", ".join(problems)


def _unmade(source: Any) -> list[str]:
    if isinstance(source, Unmade | UnmadeFile):
        return [source.digest]
    if isinstance(source, Mapping):
        return [name for inner in source.values() for name in _unmade(inner)]
    if isinstance(source, list | tuple):
        return [name for inner in source for name in _unmade(inner)]
    return []


def plan(config: Config, progress: Progress = silent) -> list[Line]:
    """Every step in order: kept, will run, or may run (depends on something that runs).

    Raises:
        CsipError: as a rebuild would, for bad data or settings.
    """
    if config.data.demo is not None and not DataFiles(config.data.place).there():
        return [Line("everything", "index", "will run", f"the demo data set is not there yet: {config.data.root}")]
    store = open_store(config.store, config.workspace)
    planner = Planner(store)
    with tempfile.TemporaryDirectory() as folder:

        def find_index(config: Config, split: str) -> Artifact:
            index, line = _plan_index(config, store, Path(folder) / split, planner, progress)
            planner.lines.append(replace(line, label=f"{split} index".strip()))
            return index

        walk(config, find_index, planner)
    return planner.lines


def plan_from(
    config: Config,
    store: Store,
    indexes: Mapping[str, Artifact],
    before: Mapping[str, Artifact | None],
    until: str = STAGES[-1],
    refresh: frozenset[str] = frozenset(),
) -> list[Line]:
    """As `plan`, of a run whose raw data have been scanned already: without that, it is cheap.

    Args:
        config: see `flows.config.load_config`.
        store: of the run.
        indexes: of each split, see `flows.planning.walk.of_splits`.
        before: of each split, what its last scan had come to.
        until: nothing is planned after this stage.
        refresh: stages that are to be built even if they are there.
    """
    planner = Planner(store, until=until, refresh=refresh)

    def find_index(_: Config, split: str) -> Artifact:
        index, last = indexes[split], before[split]
        reason = "nothing changed" if last and last.digest == index.digest else "never made"
        verdict: Verdict = "kept" if reason == "nothing changed" else "will run"
        if last and verdict == "will run":
            planner.raw = index_changes(last, index)
            reason = index_reason(last, index, planner.raw)
        planner.lines.append(Line(f"{split} index".strip(), "index", verdict, reason))
        return index

    with suppress(Reached):
        walk(config, find_index, planner)
    return planner.lines


def _plan_index(
    config: Config, store: Store, folder: Path, planner: Planner, progress: Progress
) -> tuple[Artifact, Line]:
    if index := kept_index(store, config, progress):
        return index, Line("index", "index", "kept", "nothing changed")
    # an index is cheap to make: with it, the plan can say which shards changed
    index = trial_index(store, config, folder, progress)
    before = last_index(store, config)
    verdict: Verdict = "kept" if any(a.digest == index.digest for a in store.all("index")) else "will run"
    reason = "nothing changed" if verdict == "kept" else "never made"
    _, problems = store.examine("index", index.key)
    if problems:
        verdict, reason = "will run", damaged(problems)
    elif before and verdict == "will run":
        planner.raw = index_changes(before, index)
        reason = index_reason(before, index, planner.raw)
    return index, Line("index", "index", verdict, reason)


def index_reason(before: Artifact, now: Artifact, raw: Mapping[str, RawChanges]) -> str:
    """Why an index is made anew: settings, code, and the first changed frames and tracklets."""
    inputs = {name: before.manifest["inputs"].get(name) for name in ("raw", "missing")}  # told by `raw`, with names
    told = changes(before.manifest, {**now.manifest, "inputs": {**now.manifest["inputs"], **inputs}})
    frames = str(sum(raw.values(), RawChanges()))
    return "; ".join([*told, *([frames] if frames else [])]) or "the raw data changed"


def as_groups(lines: Sequence[Line]) -> list[tuple[str, Verdict, str, list[str]]]:
    """Lines of one stage, verdict and reason together: (stage, verdict, reason, labels)."""
    groups: dict[tuple[str, Verdict, str], list[str]] = {}
    for line in lines:
        groups.setdefault((line.stage, line.verdict, line.reason), []).append(line.label)
    return [(*group, labels) for group, labels in groups.items()]
