"""A step: one stage applied to given inputs, with all that its key is made of. Pure; runs and stores nothing."""

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from flows.keys.libraries import Pins, installed_versions, library_versions
from flows.keys.reach import code_digests
from storage.index import BOTH, PARTS
from storage.settings import Settings
from storage.store.artifacts import Artifact, ArtifactFile
from storage.store.manifests import digest_of, file_digest
from storage.store.trainings import lineage_of

Source = Artifact | ArtifactFile
Sources = Source | Sequence[Source] | Mapping[str, Source] | None
KEY_LENGTH = 24


@dataclass(frozen=True)
class Step:
    """One stage on given inputs."""

    stage: str  # name of the artifact's kind, e.g. `skeletons`
    module: str  # the stage's module; its `Inputs` and `run` are used
    settings: Settings
    inputs: Mapping[str, Sources]
    """Fields of `Inputs` that are artifacts or files of artifacts: their digests enter the key."""

    places: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Inputs` whose content is already in the key by another way (the data root, through the index's
    fingerprints), or that only describe (lineage in the report)."""

    part: str = ""  # which of several, e.g. `train-003`
    weights: Callable[[], Mapping[str, Path]] = dict
    """Gives the files outside the store whose bytes enter the key; called only when the key is asked for, and once for
    all steps that share the function."""

    resumes: bool = False  # whether the stage is a training, which continues from saved states of its own
    also: Mapping[str, Any] = field(default_factory=dict)  # other values that enter the key
    versions: Pins = field(default_factory=dict)  # libraries that count with another version than is installed
    group: str = ""  # which of several walks through the pipeline it belongs to, e.g. `split 3`; for a person only

    @property
    def label(self) -> str:
        """How a person reads it: `skeletons train-003`, `split 3 finetuned`."""
        return f"{self.group} {self.stage} {self.part}".strip().replace("  ", " ")

    @property
    def tags(self) -> tuple[str, ...]:
        """By what a person looks for it among others: its stage, its split, and of shards `train` or `test`."""
        kinds = {word.partition("-")[0] for word in self.part.split() if "-" in word} & {*PARTS, BOTH}
        return (self.stage, *([self.group] if self.group else []), *sorted(kinds))

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the artifact is made from; the key is the digest of this."""
        return {
            "part": self.part,
            "settings": self.settings.key_fields(),
            "inputs": {name: _each(source, lambda one: one.digest) for name, source in self.inputs.items()},
            "weights": {name: _weight_digest(path) for name, path in sorted(_asked_once(self.weights).items())},
            "code": code_digests(self.module),
            "libraries": library_versions(self.module, counted_as=self.versions),
            "also": dict(self.also),
        }

    @property
    def record(self) -> dict[str, Any]:
        """What the manifest records: `facts`, and the versions that are really installed."""
        return {**self.facts, "installed": installed_versions(self.module)}

    @cached_property
    def key(self) -> str:
        """Digest of the stage's name and `facts`."""
        return key_of(self.stage, self.facts)

    @cached_property
    def lineage(self) -> str:
        """Key of all trainings that differ from this one in their number of epochs only."""
        return lineage_of(self.stage, self.facts)

    def load(self) -> ModuleType:
        """The stage's module, imported only when the step really runs."""
        return importlib.import_module(self.module)

    def sources(self) -> list[tuple[Artifact, Collection[str]]]:
        """Every artifact that the stage reads, or reads files of, with the names of these files."""
        found: list[Source] = []
        for given in self.inputs.values():
            _each(given, found.append)
        return [
            (one.artifact, [one.name]) if isinstance(one, ArtifactFile) else (one, one.manifest["files"])
            for one in found
        ]

    def arguments(self) -> dict[str, Any]:
        """The fields of the stage's `Inputs`, as paths."""
        given = {name: _each(source, lambda one: one.path) for name, source in self.inputs.items()} | dict(self.places)
        return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def key_of(stage: str, facts: Mapping[str, Any]) -> str:
    """The key of what a stage makes from this."""
    return digest_of({"stage": stage, **facts})[:KEY_LENGTH]


def _each(given: Sources, take: Callable[[Source], Any]) -> Any:
    """What `take` says of each source, in the shape in which they are given."""
    if given is None:
        return None
    if isinstance(given, Artifact | ArtifactFile):
        return take(given)
    if isinstance(given, Mapping):
        return {name: take(source) for name, source in given.items()}
    return [take(source) for source in given]


@lru_cache(maxsize=16)
def _asked_once(weights: Callable[[], Mapping[str, Path]]) -> Mapping[str, Path]:
    return weights()


def _weight_digest(path: Path) -> str:
    """SHA-256 of a weights file, worked out once while the file stays as it is."""
    stat = path.stat()
    return _digest_once(path, stat.st_size, stat.st_mtime_ns)


@cache
def _digest_once(path: Path, size: int, mtime_ns: int) -> str:
    return file_digest(path)
