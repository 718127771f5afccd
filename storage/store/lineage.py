"""What artifacts are made from: the digests in their manifests' inputs, and the artifacts that hold this content."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from storage.store import manifests
from storage.store.artifacts import Store
from storage.store.manifests import MANIFEST, Manifest, Name, folder_of


def read_manifests(store: Store, names: Iterable[Name]) -> dict[Name, Manifest | None]:
    """The manifests of artifacts, without a look at their other files; None where there is none that can be read."""
    paths = {name: f"{folder_of(*name)}/{MANIFEST}" for name in names}
    texts = store.place.read(paths.values())
    return {name: manifests.read(texts.get(path, b"")) for name, path in paths.items()}


def label_of(name: Name, manifest: Manifest | None) -> str:
    """How runs print the step that made an artifact: `skeletons train-003`; its stage where that is unknown."""
    return f"{name[0]} {(manifest or {}).get('part', '')}".strip()


def inputs_of(manifest: Manifest) -> list[tuple[str, str]]:
    """(input, digest) of everything that an artifact is made from; of several, each: `skeletons 0`, `skeletons 1`."""
    return list(_digests("", manifest.get("inputs", {})))


class Holders:
    """Which artifacts hold a given content, as a whole or in one of their files.

    Args:
        manifests: of the artifacts that are looked through.
    """

    def __init__(self, manifests: Mapping[Name, Manifest]) -> None:
        self._holders: dict[str, list[tuple[Name, str]]] = {}
        for name in sorted(manifests, key=lambda name: (manifests[name]["made"]["at"], name)):
            manifest = manifests[name]
            self._holders.setdefault(manifest["digest"], []).append((name, ""))
            for file, entry in manifest["files"].items():
                self._holders.setdefault(entry["sha256"], []).append((name, file))

    def of(self, digest: str) -> list[tuple[Name, str]]:
        """(artifact, its file; empty for the whole) that hold the content of this digest, oldest first."""
        return self._holders.get(digest, [])


def _digests(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping | list):
        for part, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _digests(f"{name} {part}".strip(), inner)
