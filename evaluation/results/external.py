"""Embeddings that other programs made, read as a table that the evaluation takes.

Either Parquet files of labels and vectors, or vectors alone (Parquet or .npy) beside a table of labels with the same
rows in the same order. What the rows must be is `evaluation.results.external_rows`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evaluation.ranking.embeddings import sampling_of
from evaluation.results.external_rows import (
    LAYOUT,
    NEEDED,
    OPTIONAL,
    External,
    evaluated_rows,
    label_columns,
    vectors_of,
)
from storage.errors import DataError
from storage.tables.schema import EMBEDDINGS, SAMPLING_KEY
from storage.wording import below, many

# what numpy raises for a header with a wrong byte: it is a piece of Python, if only of literals
DAMAGED = (OSError, ValueError, TypeError, OverflowError, EOFError, SyntaxError, TokenError)


def read_external(embeddings: Sequence[Path], labels: Path | None = None) -> External:
    """Read embeddings of another program.

    Args:
        embeddings: Parquet or .npy files, one after another.
        labels: CSV or Parquet, a row a vector; without it, the labels are columns of the Parquet files.

    Raises:
        DataError: files that cannot be read or do not fit each other, or rows that cannot be evaluated.
    """
    absent = [path for path in (*embeddings, *([labels] if labels else [])) if not path.is_file()]
    if absent:
        raise DataError("there is no such file", where=", ".join(map(str, absent)), fix="check the path")
    if labels is None:
        arrays = [path for path in embeddings if path.suffix != ".parquet"]
        if arrays:
            raise DataError(
                "vectors without labels cannot be evaluated",
                where=arrays[0],
                fix="give --labels LABELS.csv with columns split, pid, camid, or a Parquet file that holds them",
            )
    parts, tables = [], []
    for path in embeddings:
        if path.suffix == ".npy":
            parts.append(_read_array(path))
            continue
        table = _read_parquet(path)
        parts.append(vectors_of(table, path))
        tables.append(table)
    _same_width(parts, embeddings)
    vectors = np.concatenate(parts)
    if labels is not None:
        columns, where = label_columns(_read_labels(labels), labels), labels
        _same_rows(vectors, embeddings, columns, labels)
    else:
        read = [label_columns(table, path) for table, path in zip(tables, embeddings, strict=True)]
        _same_columns(read, embeddings)
        columns = {name: [value for part in read for value in part[name]] for name in read[0]}
        where = embeddings[0] if len(embeddings) == 1 else embeddings[0].parent
    checked = evaluated_rows(vectors, columns, where)
    sampling = sampling_of([path for path in embeddings if path.suffix == ".parquet"])
    if not sampling:
        return checked
    about = (EMBEDDINGS.metadata or {}) | {SAMPLING_KEY.encode(): sampling.encode()}
    return External(checked.table.replace_schema_metadata(about), checked.notes)


def _read_array(path: Path) -> NDArray[np.float32]:
    """The vectors of a .npy file; never unpickles anything, and maps the file instead of reading it twice."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except DAMAGED as error:
        raise DataError(
            f"cannot be read as .npy: {error}",
            where=path,
            fix="write numbers, not Python objects, with numpy.save; a raw memory map has no header and is not enough",
        ) from error
    if array.ndim != 2 or 0 in array.shape or not np.issubdtype(array.dtype, np.floating):
        raise DataError(
            f"expected floats of shape (tracklets, dimensions), found {array.dtype} of shape {array.shape}",
            where=path,
            fix="save one row a tracklet; average frames or clips first",
        )
    with np.errstate(over="ignore"):
        return np.asarray(array, np.float32)


def _read_parquet(path: Path) -> pa.Table:
    if path.suffix != ".parquet":
        raise DataError("embeddings are read from .parquet or .npy files", where=path, fix=LAYOUT)
    return _readable(lambda: pq.read_table(path, partitioning=None), path, "Parquet")


def _read_labels(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return _read_parquet(path)
    # a name such as 0001 is no number
    words = {name: kind for name, kind in (NEEDED | OPTIONAL).items() if kind == pa.string()}
    options = pyarrow.csv.ConvertOptions(column_types=words)
    return _readable(lambda: pyarrow.csv.read_csv(path, convert_options=options), path, "CSV")


def _readable(read: Callable[[], pa.Table], path: Path, kind: str) -> pa.Table:
    try:
        return read()
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot be read as {kind}: {error}", where=path, fix="check the path, or write it again"
        ) from error


def _same_width(parts: Sequence[NDArray[np.float32]], paths: Sequence[Path]) -> None:
    if len({part.shape[1] for part in parts}) > 1:
        each = [f"{path}: {part.shape[1]} dimensions" for path, part in zip(paths, parts, strict=True)]
        raise DataError(f"embeddings of different dimensions:{below(each)}", fix="give files of one model")


def _same_rows(
    vectors: NDArray[np.float32], paths: Sequence[Path], labels: Mapping[str, Sequence[Any]], where: Path
) -> None:
    found = len(labels["split"])
    if found != len(vectors):
        raise DataError(
            f"{many(found, 'row')} of labels for {many(len(vectors), 'vector')}",
            where=f"{where}, {', '.join(map(str, paths))}",
            fix="give one row of labels a vector, in the same order",
        )


def _same_columns(read: Sequence[Mapping[str, Any]], paths: Sequence[Path]) -> None:
    if any(part.keys() != read[0].keys() for part in read):
        each = [f"{path}: {', '.join(sorted(part))}" for path, part in zip(paths, read, strict=True)]
        raise DataError(f"files with different columns:{below(each)}", fix="write all of them alike")
