"""The manifest of a published artifact: what it is made from and what it holds, sealed by a digest of itself."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
FORMAT = 2
SEAL = "seal"

Manifest = Mapping[str, Any]

Name = tuple[str, str]
"""Stage and key of an artifact; of states of a training, stage and lineage."""

Listing = dict[str, tuple[int, str]]
"""Files by their path below a folder: size in bytes, and what tells a file from one that took its place."""


def folder_of(stage: str, key: str) -> str:
    """Where an artifact lies below its store."""
    return f"artifacts/{stage}/{key}"


def digest_of(value: Any) -> str:
    """SHA-256 of a plain value (JSON types), independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_digest(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Digest of an artifact's content: the names of its files and their bytes."""
    return digest_of({name: entry["sha256"] for name, entry in files.items()})


def written(manifest: Mapping[str, Any]) -> str:
    """The text of a manifest, or of another mapping of plain values, with its seal."""
    # the seal is of what is read back: values that JSON has no type for do not break it
    plain = json.loads(json.dumps({"format": FORMAT, **manifest}, default=str))
    return json.dumps(plain | {SEAL: digest_of(plain)}, indent=1) + "\n"


def read(text: str | bytes) -> dict[str, Any] | None:
    """A manifest, or None where the text is not one that was written so: half of it, or with a byte flipped."""
    try:
        manifest = json.loads(text)
    except ValueError:
        return None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        return None
    seal = manifest.pop(SEAL, None)
    if seal != digest_of(manifest):
        return None
    if isinstance(manifest.get("code"), dict):
        manifest["code"] = _shared(tuple(manifest["code"].items()))
    return manifest


@lru_cache(maxsize=256)
def _shared(items: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """One mapping for all manifests that have the same: of code it is most of one, and a run holds thousands."""
    return dict(items)
