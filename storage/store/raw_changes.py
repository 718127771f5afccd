"""Which tracklets and frames differ between two indexes of a data set, for a person to read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.frames.fingerprints import DIGEST_BYTES
from storage.store.artifacts import Artifact
from storage.tables.parquet import has_schema, read_table
from storage.tables.schema import FRAME_DIGESTS, INDEX
from storage.tables.tracklets import Tracklet, read_index

DIGESTS = ".digests.parquet"
ALL = ""
SHOWN = 3
ABSENT = bytes(DIGEST_BYTES)


@dataclass(frozen=True)
class Rows:
    """Some tracklets of an index by id, and the digests of their frames, one after the other."""

    tracklets: Mapping[str, Tracklet]
    digests: Mapping[str, bytes]

    def frames(self, tracklet_id: str) -> dict[str, bytes]:
        """Frame -> digest, of one tracklet."""
        whole = self.digests.get(tracklet_id, b"")
        parts = [whole[start : start + DIGEST_BYTES] for start in range(0, len(whole), DIGEST_BYTES)]
        return dict(zip(self.tracklets[tracklet_id].frames, parts, strict=False))


@dataclass(frozen=True)
class RawChanges:
    """What changed from one index to another."""

    added: tuple[str, ...] = ()  # tracklets
    removed: tuple[str, ...] = ()  # tracklets
    relabelled: tuple[str, ...] = ()  # tracklets of the same frames with another split, identity or camera
    frames: tuple[tuple[str, str], ...] = ()  # (frame, what became of it) of all other tracklets

    def __add__(self, other: "RawChanges") -> "RawChanges":
        mine, theirs = vars(self), vars(other)
        return RawChanges(**{name: mine[name] + theirs[name] for name in mine})

    def __str__(self) -> str:
        """E.g. `bbox_train/0001/0001C1T0001F003.jpg changed, and 12 more frames; 2 tracklets added (a, b)`."""
        said = []
        if self.frames:
            more = len(self.frames) - 1
            said.append(" ".join(self.frames[0]) + (f", and {more} more frame{'s' * (more > 1)}" if more else ""))
        for verb in ("added", "removed", "relabelled"):
            ids = getattr(self, verb)
            if ids:
                shown = ", ".join(ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")
                said.append(f"{len(ids)} tracklet{'s' * (len(ids) > 1)} {verb} ({shown})")
        return "; ".join(said)


def compare(before: Rows, now: Rows) -> RawChanges:
    """What changed; tracklets in the order of their index, frames in time order."""
    old, new = before.tracklets, now.tracklets
    frames: list[tuple[str, str]] = []
    relabelled = []
    for name in (name for name in new if name in old):
        if (old[name].fingerprint, old[name].frames) != (new[name].fingerprint, new[name].frames):
            frames += _frame_changes(before.frames(name), now.frames(name))
        elif old[name] != new[name]:
            relabelled.append(name)
    added, removed = (tuple(name for name in these if name not in those) for these, those in ((new, old), (old, new)))
    return RawChanges(added, removed, tuple(relabelled), tuple(frames))


def _frame_changes(before: Mapping[str, bytes], now: Mapping[str, bytes]) -> Iterable[tuple[str, str]]:
    for frame in dict.fromkeys([*now, *before]):
        old, new = before.get(frame, ABSENT), now.get(frame, ABSENT)
        if old != new:
            yield frame, "removed" if new == ABSENT else "added" if old == ABSENT else "changed"


def index_changes(before: Artifact, now: Artifact) -> dict[str, RawChanges]:
    """Shard -> what changed in it; only shards whose files differ are read.

    Nothing where the index before is of an earlier version of the schema. Two indexes that are cut into different
    shards are compared as a whole, under the name ALL.
    """
    old, new = (_shards(index) for index in (before, now))
    if not all(has_schema(before.path / f"{shard}.parquet", INDEX) for shard in old):
        return {}
    if old.keys() != new.keys():
        return {ALL: compare(_read_rows(before.path, list(old)), _read_rows(now.path, list(new)))}
    differing = [shard for shard in new if old[shard] != new[shard]]
    return {s: compare(_read_rows(before.path, [s]), _read_rows(now.path, [s])) for s in differing}


def _shards(index: Artifact) -> dict[str, str]:
    """Shard -> digest of its file, of the shards with the digests of their frames beside them."""
    files = index.manifest["files"]
    names = [name.removesuffix(DIGESTS) for name in files if name.endswith(DIGESTS)]
    return {name: files[f"{name}.parquet"]["sha256"] for name in names}


def _read_rows(index: Path, shards: Sequence[str]) -> Rows:
    tracklets = read_index([index / f"{shard}.parquet" for shard in shards])
    table = read_table([index / f"{shard}{DIGESTS}" for shard in shards], FRAME_DIGESTS)
    digests = dict(zip(table["tracklet_id"].to_pylist(), table["digests"].to_pylist(), strict=True))
    return Rows({t.tracklet_id: t for t in tracklets}, digests)
