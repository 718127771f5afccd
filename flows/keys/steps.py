"""A step: one stage applied to given inputs, with all that its key is made of. Pure; runs and stores nothing."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from flows.keys.code import code_digests
from flows.keys.libraries import Pins, installed_versions, library_versions
from storage.index import BOTH, PARTS
from storage.settings import Settings
from storage.store.artifacts import Artifact, ArtifactFile
from storage.store.manifests import digest_of, file_digest
from storage.store.trainings import lineage_of

Source = Artifact | ArtifactFile
Sources = Source | Sequence[Source] | Mapping[str, Source] | None
KEY_LENGTH = 24


class AskedOnce:
    """A function without arguments that is asked once for all steps that share it; a worker asks for itself.

    Args:
        ask: the function; what is sent to a worker.
    """

    def __init__(self, ask: Callable[[], Mapping[str, Path]]) -> None:
        self.ask = ask

    def __call__(self) -> Mapping[str, Path]:
        return self.answer

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.ask,)

    @cached_property
    def answer(self) -> Mapping[str, Path]:
        """What it said."""
        return self.ask()


@dataclass(frozen=True)
class Step:
    """One stage on given inputs.

    Attributes:
        stage: name of the artifact's kind, e.g. `skeletons`.
        module: the stage's module; its `Inputs` and `run` are used.
        settings: the stage's settings.
        inputs: fields of `Inputs` that are artifacts or files of artifacts: their digests enter the key.
        places: fields of `Inputs` whose content is already in the key by another way (the data root, through the
            index's fingerprints), or that only describe (lineage in the report).
        part: which of several, e.g. `train-003`.
        weights: gives the files outside the store whose bytes enter the key; asked only when the key is.
        resumes: whether the stage is a training, which continues from saved states of its own.
        also: other values that enter the key.
        versions: libraries that count with another version than is installed.
        group: which of several walks through the pipeline it belongs to, e.g. `split 3`; for a person only.
    """

    stage: str
    module: str
    settings: Settings
    inputs: Mapping[str, Sources]
    places: Mapping[str, Any] = field(default_factory=dict)
    part: str = ""
    weights: Callable[[], Mapping[str, Path]] = dict
    resumes: bool = False
    also: Mapping[str, Any] = field(default_factory=dict)
    versions: Pins = field(default_factory=dict)
    group: str = ""

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
            "inputs": {name: _digests(source) for name, source in self.inputs.items()},
            "weights": {name: weight_digest(path) for name, path in sorted(self.weights().items())},
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
        return digest_of({"stage": self.stage, **self.facts})[:KEY_LENGTH]

    @cached_property
    def lineage(self) -> str:
        """Key of all trainings that differ from this one in their number of epochs only."""
        return lineage_of(self.stage, self.facts)

    def load(self) -> ModuleType:
        """The stage's module, imported only when the step really runs."""
        return importlib.import_module(self.module)

    def sources(self) -> list[Source]:
        """Every artifact, and file of one, that the stage reads."""
        return [source for given in self.inputs.values() for source in _sources(given)]

    def arguments(self) -> dict[str, Any]:
        """The fields of the stage's `Inputs`, as paths."""
        return {name: _paths(source) for name, source in self.inputs.items()} | dict(self.places)


def weight_digest(path: Path) -> str:
    """SHA-256 of a weights file, worked out once while the file stays as it is."""
    stat = path.stat()
    return _weight_digest(path, stat.st_size, stat.st_mtime_ns)


@cache
def _weight_digest(path: Path, size: int, mtime_ns: int) -> str:
    return file_digest(path)


def _sources(given: Sources) -> list[Source]:
    if given is None:
        return []
    if isinstance(given, Artifact | ArtifactFile):
        return [given]
    return list(given.values() if isinstance(given, Mapping) else given)


def _digests(source: Sources) -> Any:
    if source is None:
        return None
    if isinstance(source, Artifact | ArtifactFile):
        return source.digest
    if isinstance(source, Mapping):
        return {name: s.digest for name, s in source.items()}
    return [s.digest for s in source]


def _paths(source: Sources) -> Any:
    if source is None:
        return None
    if isinstance(source, Artifact | ArtifactFile):
        return source.path
    if isinstance(source, Mapping):
        return {name: s.path for name, s in source.items()}
    return tuple(s.path for s in source)
