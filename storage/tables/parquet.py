"""Reading and writing the project's Parquet tables: encodings that keep floats small, and ragged rows as flat arrays.

A shard holds whole tracklets. Per-frame columns are stored flat (T x 17 x C values a row) and read back, for any
number of shards at once, as one contiguous array with offsets: no file a frame, no copy a tracklet.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.errors import StoreError

ROWS_PER_GROUP = 64


def shard_of(tracklet_id: str, num_shards: int) -> int:
    """The shard that a tracklet belongs to: a hash of its id, so that a new tracklet touches one shard."""
    digest = hashlib.blake2b(tracklet_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % num_shards


def write_table(table: pa.Table, path: Path, rows_per_group: int = ROWS_PER_GROUP) -> None:
    """Write zstd Parquet with byte-stream-split floats (a quarter smaller than pyarrow's defaults)."""
    with table_writer(path, table.schema) as write:
        write(table, rows_per_group)


@contextmanager
def table_writer(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table, int], None]]:
    """Write a file as `write_table` does, a table after another: what is written need not be kept.

    Yields:
        A function of a table and the rows of a group; every call begins a new row group.
    """
    with pq.ParquetWriter(path, schema, **_encodings(schema)) as writer:
        yield writer.write_table


def _encodings(schema: pa.Schema) -> dict[str, Any]:
    floats: list[str] = []
    others: list[str] = []
    for field in schema:
        is_list = pa.types.is_list(field.type)
        kind = field.type.value_type if is_list else field.type
        column = f"{field.name}.list.{field.type.value_field.name}" if is_list else field.name
        # Arrow's half floats are FIXED_LEN_BYTE_ARRAY(2) in Parquet, which byte-stream-split also takes
        (floats if pa.types.is_floating(kind) else others).append(column)
    return {
        "compression": "zstd",
        "use_dictionary": others,
        "column_encoding": dict.fromkeys(floats, "BYTE_STREAM_SPLIT") if floats else None,
        "store_schema": True,
    }


def stream_table(
    path: Path, schema: pa.Schema, rows: int = ROWS_PER_GROUP, columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """Read a file a few rows at a time, for those who need not have all of it in memory; all its columns, or some.

    Raises:
        StoreError: as `read_table`.
    """
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:  # a buffer would hold all of it in the end
            _check_schema(file.schema_arrow, schema, path)
            for batch in file.iter_batches(rows, columns=columns):
                yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def read_table(paths: Path | Sequence[Path], schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Read one or more Parquet files of one schema, in the order given.

    Raises:
        StoreError: a file is unreadable, truncated, or of another schema.
    """
    wanted = schema if columns is None else pa.schema([schema.field(c) for c in columns])
    tables = []
    for path in [paths] if isinstance(paths, Path) else paths:
        try:
            table = pq.read_table(path, columns=columns, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(path, error) from error
        _check_schema(table.schema, wanted, path)
        tables.append(table)
    return pa.concat_tables(tables) if tables else wanted.empty_table()


def has_schema(path: Path, schema: pa.Schema) -> bool:
    """Whether a Parquet file is of this schema, in this version."""
    try:
        return bool(pq.read_schema(path).equals(schema))
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(f"cannot read a table: {error}", where=path, fix="run again: a damaged artifact is made anew")


def _check_schema(found: pa.Schema, wanted: pa.Schema, path: Path) -> None:
    if not found.equals(wanted):
        name = (wanted.metadata or {}).get(b"csip.schema", b"?").decode()
        raise StoreError(
            f"expected the columns of {name}, found {', '.join(found.names)}",
            where=path,
            fix="the file was written by something else or by another version; delete it and run again",
        )


@dataclass(frozen=True)
class Ragged:
    """Per-frame values of many tracklets in one contiguous array.

    Attributes:
        ids: tracklet ids, N.
        offsets: (N + 1,) int64; tracklet i owns rows offsets[i]:offsets[i + 1].
        values: column name -> (total frames, ...) array.
    """

    ids: tuple[str, ...]
    offsets: NDArray[np.int64]
    values: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, position: int) -> slice:
        """The rows of the tracklet at `position`."""
        return slice(int(self.offsets[position]), int(self.offsets[position + 1]))

    def of(self, position: int, column: str) -> NDArray[Any]:
        """One tracklet's (T, ...) values, a view."""
        return self.values[column][self.rows(position)]

    def position(self) -> dict[str, int]:
        """Tracklet id -> position."""
        return {name: i for i, name in enumerate(self.ids)}


def ragged_table(
    ids: Sequence[str],
    columns: Mapping[str, Sequence[NDArray[Any]]],
    schema: pa.Schema,
    labels: Mapping[str, pa.Array] | None = None,
) -> pa.Table:
    """A table of one row a tracklet from per-tracklet (T, ...) arrays, columns as in `schema` (with num_frames).

    `labels` are columns of one value a tracklet.
    """
    first = next(iter(columns.values()))
    data: dict[str, Any] = {
        **(labels or {}),
        "tracklet_id": pa.array(ids, pa.string()),
        "num_frames": pa.array([len(a) for a in first], pa.int32()),
    }
    for name, arrays in columns.items():
        kind = schema.field(name).type
        sizes = np.array([a.size for a in arrays], dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        dtype = kind.value_type.to_pandas_dtype()
        flat = (
            np.concatenate([np.ascontiguousarray(a, dtype=dtype).ravel() for a in arrays])
            if arrays
            else np.zeros(0, dtype)
        )
        data[name] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, kind.value_type), type=kind)
    return pa.table([data[field.name] for field in schema], schema=schema)


def read_ragged(
    paths: Iterable[Path],
    schema: pa.Schema,
    shapes: Mapping[str, tuple[int, ...]],
    columns: Sequence[str] | None = None,
) -> Ragged:
    """Read per-frame columns of many shards into contiguous arrays.

    Args:
        paths: shard files.
        schema: their schema, e.g. `SKELETONS`.
        shapes: trailing shape of each per-frame column, e.g. `SKELETON_SHAPES`; -1 is worked out from num_frames.
        columns: which per-frame columns; all of `shapes` by default.

    Raises:
        StoreError: a file is damaged or a row's length contradicts its num_frames.
    """
    names = list(columns or shapes)
    table = read_table(list(paths), schema, ["tracklet_id", "num_frames", *names]).combine_chunks()
    frames = table["num_frames"].to_numpy()
    offsets = np.concatenate([[0], np.cumsum(frames, dtype=np.int64)])
    total = int(offsets[-1])
    values = {}
    for name in names:
        dtype = schema.field(name).type.value_type.to_pandas_dtype()
        parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table[name].chunks]
        flat = np.concatenate([np.zeros(0, dtype), *parts])
        if total and flat.size % total:
            raise StoreError(
                f"column {name} holds {flat.size} values for {total} frames", fix="delete the artifact, run again"
            )
        shape = shapes[name] if total else tuple(max(d, 0) for d in shapes[name])
        values[name] = flat.reshape(total, *shape)
    return Ragged(tuple(table["tracklet_id"].to_pylist()), offsets, values)
