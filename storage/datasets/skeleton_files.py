"""Skeletons that a user already has: which file belongs to which frame, by name and never by order.

A file lies below a folder of a given name, anywhere under the data root. Without that folder in its path and without
its suffix it must be named as the frame: `skeleton_3d/bbox_train/0001/x.json`, `bbox_train/skeleton_3d/0001/x.json` and
`bbox_train/0001/skeleton_3d/x.json` all belong to `bbox_train/0001/x.jpg`. A file right in the data root's folder
belongs to the one frame of its name, wherever that lies.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pyarrow as pa

from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.frames.fingerprints import fingerprint
from storage.progress import Progress, silent
from storage.tables.parquet import read_table
from storage.tables.schema import SKELETON_FILES
from storage.tables.tracklets import Tracklet

SUFFIX = ".json"
LISTED = 10


@dataclass(frozen=True)
class SkeletonFiles:
    """The skeletons of a data set as they lie on disk.

    Attributes:
        tracklets: as the index's, but `frames` are the files, in the frames' order (an empty name where a frame has
            no file), and `fingerprint` is of their bytes.
        missing: frames without a file.
        extra: files that belong to no frame.
    """

    tracklets: tuple[Tracklet, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]


def find(
    data: DataFiles,
    folder: str,
    tracklets: Sequence[Tracklet],
    cache: Path,
    workers: int = 4,
    progress: Progress = silent,
) -> SkeletonFiles:
    """Find the files of every frame, and fingerprint them.

    Args:
        data: the data set's files.
        folder: name of the folder, or of several, that hold the files.
        tracklets: of the data set.
        cache: Parquet file of what was seen at the last scan.
        workers: reading threads.
        progress: told files done of all files.

    Raises:
        DataError: there is no file at all, none belongs to any frame, or some frame has two.
    """
    files = [name for name in data.names() if name.endswith(SUFFIX) and folder in PurePosixPath(name).parts[:-1]]
    frames = [frame for tracklet in tracklets for frame in tracklet.frames]
    found, extra = match(frames, files, folder)
    if not found and frames:
        wanted = PurePosixPath(frames[0]).with_suffix(SUFFIX)
        first = f"; there is {files[0]}" if files else ""
        raise DataError(
            f"no frame has a skeleton: {len(files)} files {SUFFIX} in folders named {folder}{first}",
            where=data.root,
            fix=f"name them as the frames, e.g. {folder}/{wanted}, or set data.skeletons to null to extract them",
        )
    named = [replace(t, frames=tuple(found.get(frame, "") for frame in t.frames)) for t in tracklets]
    there = [replace(t, frames=tuple(name for name in t.frames if name)) for t in named]
    prints = {t.tracklet_id: t.fingerprint for t in fingerprint(data, there, cache, workers, progress).tracklets}
    return SkeletonFiles(
        tuple(replace(t, fingerprint=prints[t.tracklet_id]) for t in named),
        tuple(frame for frame in frames if frame not in found),
        tuple(extra),
    )


def match(frames: Iterable[str], files: Iterable[str], folder: str) -> tuple[dict[str, str], list[str]]:
    """Which file belongs to which frame.

    Args:
        frames: relative paths.
        files: relative paths, each with `folder` among its parts.
        folder: name of the folder that holds skeletons.

    Returns:
        Frame -> file, and the files that belong to no frame, sorted.

    Raises:
        DataError: two files belong to one frame, or a file to two frames; all are listed.
    """
    named: dict[str, list[str]] = {}
    by_stem: dict[str, list[str]] = {}
    for frame in frames:
        path = PurePosixPath(frame)
        named.setdefault(str(path.with_suffix("")), []).append(frame)
        by_stem.setdefault(path.stem, []).append(frame)
    found: dict[str, str] = {}
    extra, problems = [], []
    for file in sorted(files):
        parts = list(PurePosixPath(file).with_suffix("").parts)
        parts.remove(folder)
        owners = named.get("/".join(parts)) or (by_stem.get(parts[0]) if len(parts) == 1 else None) or []
        if not owners:
            extra.append(file)
        elif len(owners) > 1:
            problems.append(f"{file} could belong to {owners[0]} or to {owners[1]}")
        elif owners[0] in found:
            problems.append(f"{owners[0]} has two skeletons: {found[owners[0]]} and {file}")
        else:
            found[owners[0]] = file
    if problems:
        shown = "\n  ".join(problems[:LISTED]) + ("\n  ..." if len(problems) > LISTED else "")
        raise DataError(
            f"{len(problems)} skeletons cannot be told to whom they belong:\n  {shown}",
            fix="keep one file a frame, in folders as the frames' own",
        )
    return found, extra


def files_table(rows: Iterable[Tracklet]) -> pa.Table:
    """A `SKELETON_FILES` table of tracklets whose frames are skeleton files."""
    values = [{"tracklet_id": t.tracklet_id, "files": list(t.frames), "fingerprint": t.fingerprint} for t in rows]
    return pa.Table.from_pylist(values, schema=SKELETON_FILES)


def read_files(path: Path) -> Mapping[str, Sequence[str]]:
    """Tracklet id -> its skeleton files."""
    table = read_table(path, SKELETON_FILES)
    return dict(zip(table["tracklet_id"].to_pylist(), table["files"].to_pylist(), strict=True))
