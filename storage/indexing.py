"""The `index` stage: a raw data set as tracklets with fingerprints, cut into shards, with its counts.

Shards of training tracklets and of test tracklets (query and gallery) are kept apart, so that a change in a test
frame can never make training run again.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from storage.datasets import READERS
from storage.demo.dataset import DemoSettings
from storage.errors import DataError
from storage.fingerprints import fingerprint
from storage.progress import Progress, silent
from storage.settings import Settings, neutral
from storage.tables import shard_of, write_table
from storage.tracklets import DISTRACTOR_PID, Tracklet, index_table

PARTS = ("train", "test")
SPLITS = ("train", "query", "gallery")
SHOWN = 50


class DataSettings(Settings):
    """Which raw data set, where it lies, and into how many shards it is cut."""

    root: Path = neutral(Path("data"), "Folder of the raw data set (a relative path starts at the working directory).")
    layout: Literal["mars"] = Field("mars", description="How the folder is laid out.")
    train_shards: int = Field(8, ge=1, description="Shards of the training tracklets.")
    test_shards: int = Field(8, ge=1, description="Shards of the query and gallery tracklets.")
    max_missing_fraction: float = Field(
        0.01, ge=0, le=1, description="Stop at the index if more of the listed frames than this are not there."
    )
    demo: DemoSettings | None = Field(None, description="Make the generated demo data set in `root` on first use.")
    scan_workers: int = neutral(8, "Threads that read frames for their fingerprints.", ge=1)


def part_of(split: str) -> str:
    """`train` for training tracklets, `test` for query and gallery."""
    return "train" if split == "train" else "test"


def scan(settings: DataSettings, cache: Path, progress: Progress = silent) -> tuple[list[Tracklet], list[str]]:
    """Read the raw data set: tracklets with fingerprints, and the frames that are listed but missing.

    Raises:
        DataError: the folder is missing, incomplete or contradicts itself, or too many frames are missing.
    """
    if not settings.root.is_dir():
        raise DataError(
            "the data set's folder does not exist",
            where=settings.root,
            fix="set data.root to where the raw frames are (csip run CONFIG --set data.root=PATH)",
        )
    tracklets = READERS[settings.layout](settings.root)
    stamped, missing = fingerprint(settings.root, tracklets, cache, settings.scan_workers, progress)
    total = sum(len(t.frames) for t in tracklets)
    if len(missing) > settings.max_missing_fraction * total:
        shown = "\n  ".join(missing[:10])
        raise DataError(
            f"{len(missing)} of {total} listed frames are missing, more than data.max_missing_fraction="
            f"{settings.max_missing_fraction:g} allows:\n  {shown}" + ("\n  ..." if len(missing) > 10 else ""),
            where=settings.root,
            fix="complete the download, or raise data.max_missing_fraction to treat them as unreadable frames",
        )
    return stamped, missing


def shard_names(settings: DataSettings) -> list[str]:
    """`train-000`, ..., `test-000`, ...: the shards of the index, and of everything made shard by shard."""
    sizes = {"train": settings.train_shards, "test": settings.test_shards}
    return [f"{part}-{number:03d}" for part in PARTS for number in range(sizes[part])]


def write_index(tracklets: Sequence[Tracklet], missing: Sequence[str], settings: DataSettings, out_dir: Path) -> None:
    """Write one Parquet file a shard, and summary.json with the counts and what is worth knowing."""
    sizes = {"train": settings.train_shards, "test": settings.test_shards}
    shards: dict[str, list[Tracklet]] = {name: [] for name in shard_names(settings)}
    for tracklet in tracklets:
        part = part_of(tracklet.split)
        shards[f"{part}-{shard_of(tracklet.tracklet_id, sizes[part]):03d}"].append(tracklet)
    for name, rows in shards.items():
        write_table(index_table(rows), out_dir / f"{name}.parquet")
    text = json.dumps(summary(tracklets, missing, settings.layout), indent=2)
    (out_dir / "summary.json").write_text(text + "\n")


def summary(tracklets: Sequence[Tracklet], missing: Sequence[str], layout: str) -> dict[str, Any]:
    """Counts of each split, missing frames, and what a reader of the results should know."""
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
    return {
        "layout": layout,
        "splits": splits,
        "missing_frames": {"count": len(missing), "first": list(missing[:SHOWN])},
        "problems": problems,
        "notes": notes,
    }


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
