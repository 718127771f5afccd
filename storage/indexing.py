"""The `index` stage: a raw data set as tracklets with fingerprints, cut into shards, with its counts.

Shards of training tracklets and of test tracklets (query and gallery) are kept apart, so that a change in a test
frame can never make training run again.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from storage.data_files import DataFiles
from storage.datasets import READERS
from storage.datasets.sequences import SEQUENCE_READERS, SequenceSettings
from storage.demo.dataset import DemoSettings
from storage.errors import DataError
from storage.fingerprints import Digests, fingerprint, offsets_of
from storage.progress import Progress, silent
from storage.schema import FRAME_DIGESTS
from storage.settings import Settings, neutral
from storage.skeleton_files import SkeletonFiles, files_table, find
from storage.tables import shard_of, write_table
from storage.tracklets import DISTRACTOR_PID, SPLITS, Tracklet, index_table

PARTS = ("train", "test")
SHOWN = 50


class DataSettings(Settings):
    """Which raw data set, where it lies, and into how many shards it is cut."""

    root: Path = neutral(Path("data"), "Folder of the raw data set (a relative path starts at the working directory).")
    layout: Literal["mars", "biwi", "ias", "utd_mhad", "skeletons"] = Field(
        "mars", description="How the folder is laid out; biwi, ias, utd_mhad and skeletons hold no images."
    )
    train_shards: int = Field(8, ge=1, description="Shards of the training tracklets.")
    test_shards: int = Field(8, ge=1, description="Shards of the query and gallery tracklets.")
    max_missing_fraction: float = Field(
        0.01, ge=0, le=1, description="Stop at the index if more of the listed frames than this are not there."
    )
    skeletons: str | None = Field(
        None,
        pattern=r"^[^/\\\\]*[^/\\\\.][^/\\\\]*$",
        description="Name of the folders with skeletons you already have, one JSON a frame; null: they are extracted.",
    )
    sequences: SequenceSettings = Field(
        default_factory=SequenceSettings, description="Recordings of skeletons, in layouts without images."
    )
    demo: DemoSettings | None = Field(None, description="Make the generated demo data set in `root` on first use.")
    scan_workers: int = neutral(4, "Threads that read changed frames; more for a slow disk or network.", ge=1)

    @property
    def without_images(self) -> bool:
        """Whether the data set is of skeletons alone."""
        return self.layout in SEQUENCE_READERS


def part_of(split: str) -> str:
    """`train` for training tracklets, `test` for query and gallery."""
    return "train" if split == "train" else "test"


@dataclass(frozen=True)
class Scan:
    """What lies in a raw data set.

    Attributes:
        tracklets: with fingerprints.
        missing: frames that are listed but not there.
        digests: of every frame, in the tracklets' order.
        cache_digest: names the frames' stamps, see `storage.fingerprints.unchanged`.
        skeletons: files of skeletons that the user already has, where `data.skeletons` names them.
    """

    tracklets: tuple[Tracklet, ...]
    missing: tuple[str, ...]
    digests: Digests
    cache_digest: str
    skeletons: SkeletonFiles | None = None


def scan(settings: DataSettings, cache: Path, progress: Progress = silent) -> Scan:
    """Read the raw data set.

    Raises:
        DataError: the folder is missing, incomplete or contradicts itself, or too many frames are missing.
    """
    if not settings.root.exists():
        raise DataError(
            "the data set is not there",
            where=settings.root,
            fix="set data.root to the folder or archive of raw frames (csip run CONFIG --set data.root=PATH)",
        )
    files = DataFiles(settings.root)
    if settings.without_images:
        tracklets = SEQUENCE_READERS[settings.layout].read(files, settings.sequences)
    else:
        tracklets = READERS[settings.layout].read(files, 0)
    seen = fingerprint(settings.root, tracklets, cache, settings.scan_workers, progress)
    stamped, missing, total = seen.tracklets, seen.missing, len(seen.digests)
    if len(missing) > settings.max_missing_fraction * total:
        shown = "\n  ".join(missing[:10])
        raise DataError(
            f"{len(missing)} of {total} listed frames are missing, more than data.max_missing_fraction="
            f"{settings.max_missing_fraction:g} allows:\n  {shown}" + ("\n  ..." if len(missing) > 10 else ""),
            where=settings.root,
            fix="complete the download, or raise data.max_missing_fraction to treat them as unreadable frames",
        )
    skeletons = None
    if settings.skeletons:
        own_cache = cache.with_name(f"skeletons-{cache.name}")
        skeletons = find(settings.root, settings.skeletons, stamped, own_cache, settings.scan_workers, progress)
    return Scan(tuple(stamped), tuple(missing), seen.digests, seen.cache_digest, skeletons)


def shard_names(settings: DataSettings) -> list[str]:
    """`train-000`, ..., `test-000`, ...: the shards of the index, and of everything made shard by shard."""
    sizes = {"train": settings.train_shards, "test": settings.test_shards}
    return [f"{part}-{number:03d}" for part in PARTS for number in range(sizes[part])]


def write_index(found: Scan, settings: DataSettings, out_dir: Path) -> None:
    """Write one Parquet file a shard, and summary.json with the counts and what is worth knowing.

    `<shard>.labels.parquet` is the same without fingerprints, for stages that read no frames: they need not run again
    because of frames whose skeletons and features stayed the same.
    `<shard>.digests.parquet` holds the frames' own digests: nothing is made from them, they tell which frames changed.
    Where the user has skeletons, `<shard>.skeletons.parquet` names their files.
    """
    bounds = (offsets_of(found.tracklets)).tolist()
    own = {t.tracklet_id: found.digests[a:b] for t, a, b in zip(found.tracklets, bounds, bounds[1:], strict=False)}
    for name, rows in _shards(found.tracklets, settings).items():
        write_table(index_table(rows), out_dir / f"{name}.parquet")
        write_table(index_table(replace(t, fingerprint="") for t in rows), out_dir / f"{name}.labels.parquet")
        ids = [t.tracklet_id for t in rows]
        table = pa.table([ids, [own[i].tobytes() for i in ids]], schema=FRAME_DIGESTS)
        write_table(table, out_dir / f"{name}.digests.parquet")
    if found.skeletons:
        for name, rows in _shards(found.skeletons.tracklets, settings).items():
            write_table(files_table(rows), out_dir / f"{name}.skeletons.parquet")
    text = json.dumps(summary(found, settings.layout), indent=2)
    (out_dir / "summary.json").write_text(text + "\n")


def _shards(tracklets: Iterable[Tracklet], settings: DataSettings) -> dict[str, list[Tracklet]]:
    sizes = {"train": settings.train_shards, "test": settings.test_shards}
    shards: dict[str, list[Tracklet]] = {name: [] for name in shard_names(settings)}
    for tracklet in tracklets:
        part = part_of(tracklet.split)
        shards[f"{part}-{shard_of(tracklet.tracklet_id, sizes[part]):03d}"].append(tracklet)
    return shards


def summary(found: Scan, layout: str) -> dict[str, Any]:
    """Counts of each split, missing frames, and what a reader of the results should know."""
    tracklets, missing = found.tracklets, found.missing
    splits = {split: _counts([t for t in tracklets if t.split == split]) for split in SPLITS}
    gallery: dict[int, set[int]] = {}
    for tracklet in tracklets:
        if tracklet.split == "gallery":
            gallery.setdefault(tracklet.pid, set()).add(tracklet.camid)
    queries = [t for t in tracklets if t.split == "query"]
    alone = [t for t in queries if not gallery.get(t.pid, set()) - {t.camid}]
    notes = []
    if alone:
        notes.append(f"{len(alone)} of {len(queries)} queries have no match in another camera among the gallery rows")
    problems = []
    if missing:
        problems.append(f"{len(missing)} listed frames are missing; they count as unreadable")
    own: dict[str, Any] = {}
    if found.skeletons:
        own = {name: _listed(getattr(found.skeletons, name)) for name in ("missing", "extra")}
        for name, verb in (("missing", "frames have no skeleton file"), ("extra", "skeleton files belong to no frame")):
            if own[name]["count"]:
                problems.append(f"{own[name]['count']} {verb}: {', '.join(own[name]['first'][:3])}, ...")
    return {
        "layout": layout,
        "splits": splits,
        "missing_frames": _listed(missing),
        **({"skeletons": own} if own else {}),
        "problems": problems,
        "notes": notes,
    }


def _listed(names: Sequence[str]) -> dict[str, Any]:
    return {"count": len(names), "first": list(names[:SHOWN])}


def _counts(tracklets: Iterable[Tracklet]) -> dict[str, int]:
    rows = list(tracklets)
    lengths = [len(t.frames) for t in rows]
    return {
        "tracklets": len(rows),
        "identities": len({t.pid for t in rows} - {DISTRACTOR_PID}),
        "frames": sum(lengths),
        "cameras": len({t.camid for t in rows}),
        "distractors": sum(t.pid == DISTRACTOR_PID for t in rows),
        "shortest": min(lengths, default=0),
        "longest": max(lengths, default=0),
    }
