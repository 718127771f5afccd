"""The `index` stage: a raw data set as tracklets with fingerprints, cut into shards, with its counts.

Shards of training tracklets and of test tracklets (query and gallery) are kept apart, so that a change in a test
frame can never make training run again. Where a data set has several splits, a tracklet is now in training and now in
test: there, shards hold both, and are the same for all splits, so that skeletons are extracted once.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
from pydantic import BeforeValidator, Field, model_validator

from storage.addresses import FETCHED, DataAddress, DataRoot, checked, data_root, is_address
from storage.datasets.check.counts import data_check
from storage.datasets.check.findings import (
    Finding,
    Item,
    each_file_once,
    finding,
    of_digests,
    of_empty,
    of_lists,
    of_missing,
)
from storage.datasets.folds import fold_of
from storage.datasets.published import PUBLISHED
from storage.datasets.readers import READERS, Reader
from storage.datasets.recordings.readers import SEQUENCE_READERS, SequenceReader, SequenceSettings
from storage.datasets.skeleton_files import SkeletonFiles, files_table, find
from storage.demo.dataset import DemoSettings
from storage.errors import DataError, SettingsError
from storage.frames.files import DataFiles
from storage.frames.fingerprints import Fingerprinted, fingerprint, offsets_of
from storage.progress import Progress, silent
from storage.settings import Settings, neutral
from storage.tables.parquet import shard_of, write_table
from storage.tables.schema import FRAME_DIGESTS
from storage.tables.tracklets import Tracklet, index_table

PARTS = ("train", "test")
BOTH = "all"
SHOWN = 50


def _as_root(value: Any) -> Any:
    """A path, or an address as it is: a path would lose one of its slashes."""
    if not isinstance(value, str):
        return value
    return checked(value) if is_address(value) else Path(value)


class DataSettings(Settings):
    """Which raw data set, where it lies, and into how many shards it is cut."""

    root: Annotated[Path | str, BeforeValidator(_as_root)] = neutral(
        Path("data"),
        "Folder or archive of the raw data set (a relative path starts at the working directory), or its address, "
        "e.g. s3://bucket/MARS.",
    )
    cache: Path = neutral(
        FETCHED, "Folder of each machine for what it fetches of a data set at an address; it may be deleted."
    )
    layout: Literal[
        "mars", "lsvid", "ilidsvid", "prid2011", "ccvid", "folder", "manifest",
        "biwi", "ias", "utd_mhad", "skeletons", "skeleton_arrays",
    ] = Field("mars", description="How the folder is laid out; the last five hold no images.")  # fmt: skip
    split: int | Literal["all"] = Field(
        0,
        description="Which of the layout's splits into training and test people, where it has several (from 0); all: "
        "a model for each, and their mean.",
    )
    folds: int = Field(
        0,
        ge=0,
        le=100,
        description="Cross-validation, for choosing settings: the training people are cut into this many parts, and "
        "data.split says which of them stands in for the test people, who are not looked at; 0: no.",
    )
    train_shards: int = Field(
        8, ge=1, description="Shards of the training tracklets; of all tracklets where a layout has several splits."
    )
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

    @model_validator(mode="after")
    def _has_the_split(self) -> Self:
        if self.folds == 1 or (self.folds and self.without_images):
            why = f"the layout {self.layout} has no images" if self.without_images else "one part is all of them"
            raise ValueError(f"data.folds={self.folds}: {why}; set it to 0, or to 2 or more where there are frames")
        splits = split_count(self)
        if self.split != "all" and not 0 <= self.split < splits:
            there = f"{splits} splits, 0 to {splits - 1}" if splits > 1 else "one split, 0"
            has = f"data.folds={self.folds} makes" if self.folds else f"the layout {self.layout} has"
            raise ValueError(f"data.split={self.split}: {has} {there}")
        return self

    @model_validator(mode="after")
    def _has_a_folder_for_the_demo(self) -> Self:
        if self.demo is not None and isinstance(self.place, DataAddress):
            raise ValueError(
                f"data.demo: the demo data set is generated in a folder of this machine, not at {self.root}; make it "
                "in a folder, copy that there, and set data.demo to null"
            )
        return self

    @property
    def place(self) -> DataRoot:
        """Where the data set lies, for whoever reads it."""
        return data_root(self.root, self.cache)

    @property
    def without_images(self) -> bool:
        """Whether the data set is of skeletons alone."""
        return self.layout in SEQUENCE_READERS


def reader_of(layout: str) -> Reader | SequenceReader:
    """The reader of a layout, with or without images."""
    return SEQUENCE_READERS[layout] if layout in SEQUENCE_READERS else READERS[layout]


def split_count(settings: DataSettings) -> int:
    """How many splits the layout has, or cross-validation makes of its first."""
    if settings.folds:
        return settings.folds
    return 1 if settings.without_images else READERS[settings.layout].splits


@dataclass(frozen=True)
class Scan(Fingerprinted):
    """What lies in a raw data set.

    Attributes:
        skeletons: files of skeletons that the user already has, where `data.skeletons` names them.
    """

    skeletons: SkeletonFiles | None = None


def scan(settings: DataSettings, cache: Path, progress: Progress = silent) -> Scan:
    """Read the raw data set.

    Raises:
        DataError: the folder is missing, incomplete or contradicts itself, or too many frames are missing.
    """
    files = DataFiles(settings.place)
    if not files.there():
        raise DataError(
            "the data set is not there",
            where=settings.root,
            fix="set data.root to the folder, archive or address of raw frames (csip run CONFIG --set data.root=PATH)",
        )
    if settings.without_images:
        tracklets = SEQUENCE_READERS[settings.layout].read(files, settings.sequences)
    elif settings.folds:
        tracklets = fold_of(READERS[settings.layout].read(files, 0), settings.folds, one_split(settings))
    else:
        tracklets = READERS[settings.layout].read(files, one_split(settings))
    if split_count(settings) > 1:  # what is remembered of the frames then serves all splits
        tracklets = sorted(tracklets, key=lambda tracklet: tracklet.tracklet_id)
    seen = fingerprint(files, tracklets, cache, settings.scan_workers, progress)
    missing, total = seen.missing, len(seen.digests)
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
        skeletons = find(files, settings.skeletons, seen.tracklets, own_cache, settings.scan_workers, progress)
    return Scan(**vars(seen), skeletons=skeletons)


def one_split(settings: DataSettings) -> int:
    """The split of settings that name one.

    Raises:
        SettingsError: they name all of them, each of which has an index of its own.
    """
    if settings.split == "all":
        raise SettingsError("one split is indexed at a time", where="data.split=all", fix="name one: data.split=0")
    return settings.split


def splits(settings: DataSettings) -> list[DataSettings]:
    """The settings of each split that is asked for: `all` stands for every one that the layout has."""
    if settings.split == "all":
        return [settings.model_copy(update={"split": split}) for split in range(split_count(settings))]
    return [settings]


def shard_sizes(settings: DataSettings) -> dict[str, int]:
    """How many shards there are of each part: training and test tracklets, or all of them together."""
    if split_count(settings) > 1:
        return {BOTH: settings.train_shards}
    return dict(zip(PARTS, (settings.train_shards, settings.test_shards), strict=True))


def shard_names(settings: DataSettings, part: str | None = None) -> list[str]:
    """`train-000`, ..., `test-000`, ...: the shards of the index, and of everything made shard by shard.

    Args:
        settings: of the data set.
        part: only those that hold its tracklets.
    """
    names = {kind: [f"{kind}-{i:03d}" for i in range(size)] for kind, size in shard_sizes(settings).items()}
    return [name for kind in names if part in (None, kind) or kind == BOTH for name in names[kind]]


def write_index(found: Scan, settings: DataSettings, out_dir: Path) -> None:
    """Write one Parquet file a shard, and summary.json with the counts and what is worth knowing.

    `<shard>.labels.parquet` is the same without fingerprints, for stages that read no frames: they need not run again
    because of frames whose skeletons and features stayed the same. `<shard>.frames.parquet` is the same without labels,
    for stages that look at frames alone: they need not run again for another split, or a corrected label.
    `<shard>.digests.parquet` holds the frames' own digests: nothing is made from them, they tell which frames changed.
    Where the user has skeletons, `<shard>.skeletons.parquet` names their files.
    """
    bounds = offsets_of(found.tracklets).tolist()
    own = {t.tracklet_id: found.digests[a:b] for t, a, b in zip(found.tracklets, bounds, bounds[1:], strict=False)}
    for name, rows in _shards(found.tracklets, settings).items():
        write_table(index_table(rows), out_dir / f"{name}.parquet")
        write_table(index_table(replace(t, fingerprint="") for t in rows), out_dir / f"{name}.labels.parquet")
        write_table(index_table(unlabelled(t) for t in rows), out_dir / f"{name}.frames.parquet")
        ids = [t.tracklet_id for t in rows]
        table = pa.table([ids, [own[i].tobytes() for i in ids]], schema=FRAME_DIGESTS)
        write_table(table, out_dir / f"{name}.digests.parquet")
    if found.skeletons:
        for name, rows in _shards(found.skeletons.tracklets, settings).items():
            write_table(files_table(rows), out_dir / f"{name}.skeletons.parquet")
    text = json.dumps(summary(found, settings), indent=2)
    (out_dir / "summary.json").write_text(text + "\n")


def _shards(tracklets: Iterable[Tracklet], settings: DataSettings) -> dict[str, list[Tracklet]]:
    sizes = shard_sizes(settings)
    shards: dict[str, list[Tracklet]] = {name: [] for name in shard_names(settings)}
    for tracklet in tracklets:
        part = BOTH if BOTH in sizes else "train" if tracklet.split == "train" else "test"
        shards[f"{part}-{shard_of(tracklet.tracklet_id, sizes[part]):03d}"].append(tracklet)
    return shards


def unlabelled(tracklet: Tracklet) -> Tracklet:
    """The tracklet's frames and what they hold, without who it is and what it is for."""
    return Tracklet(tracklet.tracklet_id, "", 0, 0, tracklet.frames, tracklet.fingerprint)


def summary(found: Scan, settings: DataSettings) -> dict[str, Any]:
    """Counts of each split, missing frames, and what a reader of the results should know; see `DataCheck.as_json`."""
    tracklets, missing = found.tracklets, found.missing
    alone, own_digests = tracklets, found.digests
    if settings.without_images:
        alone, own_digests = each_file_once(tracklets, found.digests)
    seen = [
        of_missing(missing[:SHOWN], len(missing), len(found.digests)),
        of_empty(tracklets, found.digests, SHOWN),
        *of_digests(alone, own_digests, SHOWN),
        *of_lists(tracklets, SHOWN),
        *(_of_skeletons(found.skeletons) if found.skeletons else ()),
    ]
    published = None if settings.folds else PUBLISHED.get(settings.layout)  # of the test people, too
    check = data_check(settings.layout, tracklets, seen, published)
    if settings.without_images:  # its frames are files, which may hold a whole recording
        check = replace(check, lengths=(), findings=tuple(found for found in check.findings if found.kind != "short"))
    own = {name: _listed(getattr(found.skeletons, name)) for name in ("missing", "extra")} if found.skeletons else {}
    return {
        **check.as_json(),
        "split": settings.split,
        "split_count": split_count(settings),
        "cross_validation": settings.folds > 0,
        "missing_frames": _listed(missing),
        **({"skeletons": own} if own else {}),
        "problems": [one.says for one in check.problems],
        "notes": [one.says for one in check.notes],
    }


def _of_skeletons(files: SkeletonFiles) -> Iterator[Finding | None]:
    for kind, names, says in (
        ("no skeleton", files.missing, "frames with no skeleton file"),
        ("stray skeleton", files.extra, "skeleton files that belong to no frame"),
    ):
        items = (Item((name,)) for name in names)
        yield finding(kind, f"{says}: {len(names):,}", len(names), items, problem=True, limit=SHOWN)


def _listed(names: Sequence[str]) -> dict[str, Any]:
    return {"count": len(names), "first": list(names[:SHOWN])}
