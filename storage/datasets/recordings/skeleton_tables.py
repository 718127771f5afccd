"""Skeletons in Parquet files, from any source: every *.parquet below the data root, a row a recording.

    tracklet_id (string), split (train, query or gallery), pid, camid (integers),
    keypoints (list of floats: T x J x 3, frame by frame, joint by joint; metres; x right, y down, z away)

The kind of the skeletons stands in a column `skeleton`, the same everywhere, or in `data.sequences.skeleton`. One that
csip does not know stands in the schema's metadata, `csip.skeleton`: JSON with joints, bones and root by name.
"""

import json
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.datasets.lists import checked, printable, refuse
from storage.datasets.recordings.own_skeletons import own_kind
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.skeleton import SKELETON_TYPES, Recordings, SkeletonType
from storage.tables.schema import SKELETON_KEY
from storage.tables.tracklets import SPLITS, Tracklet
from storage.wording import below

SUFFIX = ".parquet"
FIX = "write the columns that docs/data-sets.md names"


def _is_floats(kind: pa.DataType) -> bool:
    return bool((pa.types.is_list(kind) or pa.types.is_large_list(kind)) and pa.types.is_floating(kind.value_type))


COLUMNS = {
    "tracklet_id": pa.types.is_string,
    "split": pa.types.is_string,
    "pid": pa.types.is_integer,
    "camid": pa.types.is_integer,
    "keypoints": _is_floats,
}
LABELS = tuple(COLUMNS)[:-1]


def read_recordings(files: DataFiles) -> list[Tracklet]:
    """The recordings of a data root, in the order of files and rows.

    Raises:
        DataError: there is none, or columns, splits or identities are wrong; all are listed.
    """
    names = _tables(files)
    problems: list[str] = []
    recordings = []
    for name in names:
        table = _read(files, name, list(COLUMNS))
        wrong = [c for c, fits in COLUMNS.items() if table[c].null_count or not fits(table.schema.field(c).type)]
        if wrong:
            problems.append(f"{name}: columns of the wrong type, or with empty rows: {', '.join(wrong)}")
            continue
        for row in table.select(list(LABELS)).to_pylist():
            if row["split"] not in SPLITS:
                problems.append(f"{name}, {row['tracklet_id']}: split {row['split']!r} is none of {', '.join(SPLITS)}")
                continue
            recordings.append(Tracklet(**row, frames=(name,)))
    return checked(files, recordings, problems, recordings=True)


def named_type(files: DataFiles) -> SkeletonType | None:
    """The kind of skeleton that the files' metadata or column `skeleton` says; None where no file says any.

    Raises:
        DataError: they say several, or one that is not known or no skeleton.
    """
    named: set[str] = set()
    own: dict[str, SkeletonType] = {}
    for name in _tables(files):
        schema = _schema(files, name)
        if SKELETON_KEY in (schema.metadata or {}):
            own[name] = _own_type(files, name, schema.metadata[SKELETON_KEY])
        elif "skeleton" in schema.names:
            named.update(str(kind) for kind in pc.unique(_read(files, name, ["skeleton"])["skeleton"]).to_pylist())
    if len(named) > 1 or named - SKELETON_TYPES.keys():
        refuse(files, [f"column skeleton: {kind}" for kind in sorted(named)] + [f"known: {', '.join(SKELETON_TYPES)}"])
    kinds = {*own.values(), *(SKELETON_TYPES[kind] for kind in named)}
    if len(kinds) > 1:
        refuse(files, [f"{name}: {kind.name} skeletons" for name, kind in own.items()] + sorted(named))
    return next(iter(kinds), None)


def _own_type(files: DataFiles, name: str, text: bytes) -> SkeletonType:
    try:
        said = json.loads(text)
        return own_kind(said["joints"], said["bones"], said.get("root", []))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        problems = [printable(line) for line in str(error).splitlines()]
        raise DataError(
            f"its metadata {SKELETON_KEY.decode()} describes no skeleton:" + below(problems),
            where=files.where(name),
            fix='write {"joints": [names], "bones": [[0, 1], ...], "root": [names]}',
        ) from error


def read_frames(files: DataFiles, recordings: Sequence[Tracklet], kind: SkeletonType) -> Recordings:
    """Skeletons (T, J, 3) of recordings, and which were tracked, (T,): those whose values are all numbers.

    Raises:
        DataError: the values of a row are no whole frames.
    """
    held: dict[str, dict[str, NDArray[np.float32]]] = {}
    for recording in recordings:
        name = recording.frames[0]
        if name not in held:
            wanted = {other.tracklet_id for other in recordings if other.frames[0] == name}
            table = _read(files, name, ["tracklet_id", "keypoints"])
            rows = zip(table["tracklet_id"].to_pylist(), table["keypoints"], strict=True)
            held[name] = {key: row.values.to_numpy(zero_copy_only=False) for key, row in rows if key in wanted}
        values = held[name][recording.tracklet_id].astype(np.float32)
        if len(values) % (3 * len(kind)):
            raise DataError(
                f"{len(values)} values are not whole frames of {len(kind)} joints x 3 ({kind.name})",
                where=f"{files.where(name)}, {recording.tracklet_id}",
                fix="set data.sequences.skeleton to the kind of these skeletons",
            )
        skeletons = values.reshape(-1, len(kind), 3)
        yield skeletons, np.asarray(np.isfinite(skeletons).all(axis=(1, 2)))


def _tables(files: DataFiles) -> list[str]:
    names = [name for name in files.names() if name.endswith(SUFFIX)]
    if not names:
        raise DataError("there is no *.parquet file", where=files.root, fix=FIX)
    return names


def _schema(files: DataFiles, name: str) -> pa.Schema:
    try:
        return pq.read_schema(BytesIO(files.read(name)))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot be read: {error}", where=files.where(name), fix=FIX) from error


def _read(files: DataFiles, name: str, columns: list[str]) -> pa.Table:
    missing = [column for column in columns if column not in _schema(files, name).names]
    if missing:
        raise DataError(f"has no column {', '.join(missing)}", where=files.where(name), fix=FIX)
    try:
        return pq.read_table(BytesIO(files.read(name)), columns=columns, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot be read: {error}", where=files.where(name), fix=FIX) from error
