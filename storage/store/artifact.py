"""What a store hands out: a published artifact, and one file of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.errors import StoreError

if TYPE_CHECKING:
    from storage.store.artifacts import Store


@dataclass(frozen=True)
class Artifact:
    """A published artifact.

    Attributes:
        store: where it is kept.
        stage: the stage that made it.
        key: digest of what it is made from.
        digest: digest of its files' names and bytes.
        manifest: the manifest's contents.
    """

    store: "Store" = field(compare=False, repr=False)
    stage: str
    key: str
    digest: str
    manifest: Mapping[str, Any] = field(compare=False, repr=False)

    @property
    def path(self) -> Path:
        """Its folder on this machine, with all of its files."""
        return self.store.fetch(self, self.manifest["files"])

    def file(self, name: str) -> "ArtifactFile":
        """One file of the artifact, with the digest of that file alone."""
        entry = self.manifest["files"].get(name)
        if entry is None:
            where = f"{self.stage}/{self.key}"
            raise StoreError(
                f"the artifact holds no file {name!r}", where=where, fix="run the stage again with --force"
            )
        return ArtifactFile(self, name, entry["sha256"])


@dataclass(frozen=True)
class ArtifactFile:
    """One file of a published artifact, usable as an input of its own."""

    artifact: Artifact
    name: str
    digest: str

    def __reduce__(self) -> tuple[Any, ...]:
        # an index of 20,000 shards names 80,000 files; whoever reads one of them needs no more than that one
        whole = self.artifact
        few = {"digest": whole.digest, "files": {self.name: whole.manifest["files"][self.name]}}
        return type(self), (replace(whole, manifest=few), self.name, self.digest)

    @property
    def path(self) -> Path:
        """The file on this machine."""
        return self.artifact.store.fetch(self.artifact, [self.name]) / self.name
