"""Embeddings that other programs made, read as a table that the evaluation takes; all that is wrong is said at once.

Either Parquet files of labels and vectors, or vectors alone (Parquet or .npy) beside a table of labels with the same
rows in the same order.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from evaluation.ranking.embeddings import sampling_of
from evaluation.ranking.vectors import row_blocks
from storage.errors import DataError
from storage.tables.schema import EMBEDDINGS, SAMPLING_KEY
from storage.tables.tracklets import JUNK_PID
from storage.wording import below, listed, many

VECTOR, NAME = "embedding", "tracklet_id"
NEEDED = {"split": pa.string(), "pid": pa.int32(), "camid": pa.int32()}
OPTIONAL = {NAME: pa.string(), "clothes": pa.int32(), "frames": pa.int32()}
EVALUATED = ("query", "gallery")
NEAR = 0.6  # how alike a column's name must be to one that is missing
NEARER = 0.75  # to one that need not be there: it may well be something else
MOST_VALUES = 2**31 - 1  # of one list array, whose offsets are int32
LAYOUT = "docs/external-embeddings.md says which columns there are"
# what numpy raises for a header with a wrong byte: it is a piece of Python, if only of literals
DAMAGED = (OSError, ValueError, TypeError, OverflowError, EOFError, SyntaxError, TokenError)


@dataclass(frozen=True)
class External:
    """Query and gallery rows, an `EMBEDDINGS` table; and what is odd and no error, a sentence each."""

    table: pa.Table
    notes: tuple[str, ...]


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
    arrays = [path for path in embeddings if path.suffix != ".parquet"]
    if labels is None and arrays:
        raise DataError(
            "vectors without labels cannot be evaluated",
            where=arrays[0],
            fix="give --labels LABELS.csv with columns split, pid, camid, or a Parquet file that holds them",
        )
    parts, tables = [], []
    for path in embeddings:
        if path.suffix == ".npy":
            parts.append(_read_array(path))
        else:
            tables.append(_read_parquet(path))
            parts.append(vectors_of(tables[-1], path))
    if len({part.shape[1] for part in parts}) > 1:
        each = [f"{path}: {part.shape[1]} dimensions" for path, part in zip(embeddings, parts, strict=True)]
        raise DataError(f"embeddings of different dimensions:{below(each)}", fix="give files of one model")
    vectors = np.concatenate(parts)
    where: Path = labels or (embeddings[0] if len(embeddings) == 1 else embeddings[0].parent)
    if labels:
        columns = label_columns(_read_labels(labels), labels)
        if len(columns["split"]) != len(vectors):
            raise DataError(
                f"{many(len(columns['split']), 'row')} of labels for {many(len(vectors), 'vector')}",
                where=f"{labels}, {', '.join(map(str, embeddings))}",
                fix="give one row of labels a vector, in the same order",
            )
    else:
        read = [label_columns(table, path) for table, path in zip(tables, embeddings, strict=True)]
        if any(part.keys() != read[0].keys() for part in read):
            each = [f"{path}: {', '.join(sorted(part))}" for path, part in zip(embeddings, read, strict=True)]
            raise DataError(f"files with different columns:{below(each)}", fix="write all of them alike")
        columns = {name: np.concatenate([part[name] for part in read]) for name in read[0]}
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


def vectors_of(table: pa.Table, where: object) -> NDArray[np.float32]:
    """The vectors of a table, (N, D).

    Raises:
        DataError: there is no such column, it holds no floats, or vectors of several dimensions, or none in a row.
    """
    if VECTOR not in table.column_names:
        what = f"there is no column {VECTOR!r}{_hint(VECTOR, table.column_names, NEAR)}"
        raise DataError(what, where=where, fix=LAYOUT)
    column = table[VECTOR]
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(of(column.type) for of in kinds) or not pa.types.is_floating(column.type.value_type):
        raise DataError(
            f"the column {VECTOR!r} is of type {column.type}", where=where, fix="a list of float16, float32 or float64"
        )
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy()
    usual = Counter(lengths.tolist()).most_common(1)[0][0] if len(lengths) else 0
    other = np.flatnonzero((lengths != usual) | (lengths <= 0))
    if len(other):
        raise DataError(
            f"{many(len(other), 'row')} of {len(lengths):,} hold no vector of {max(usual, 1)} values as the others do",
            where=f"{where}: {_rows(other)}",
            fix="every tracklet needs one vector, all of the same model",
        )
    found = np.empty((len(lengths), usual), np.float32)
    start = 0
    for part in column.chunks:  # which together may hold more than one list array can
        flat = part.flatten().to_numpy(zero_copy_only=False)
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and reported as that
            found[start : start + len(part)] = flat.reshape(len(part), usual)
        start += len(part)
    return found


def label_columns(table: pa.Table, where: object) -> dict[str, NDArray[Any]]:
    """The labels of a table by their columns, (N,) each; columns that are not ours are left out.

    Raises:
        DataError: columns are missing, twice there, or hold what they must not; all is listed.
    """
    names = [name for name in table.column_names if name != VECTOR]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [f"there are two columns {name!r}" for name in twice]
    others = [name for name in names if name not in NEEDED | OPTIONAL]
    problems += [f"there is no column {n!r}{_hint(n, others, NEAR)}" for n in NEEDED if n not in names]
    absent = [name for name in OPTIONAL if name not in names]
    # one that is misspelt would be left out without a word
    problems += [f"the column {n!r} is not known{hint}" for n in others if (hint := _hint(n, absent, NEARER))]
    columns: dict[str, NDArray[Any]] = {}
    for name, kind in (NEEDED | OPTIONAL).items():
        if name not in names or name in twice:
            continue
        words = kind == pa.string()
        try:
            column = table[name].cast(kind)
            columns[name] = np.array(column.to_pylist(), object) if words else column.to_numpy()
        except (pa.ArrowException, UnicodeDecodeError) as error:
            limits = "" if words else f" (whole numbers up to {np.iinfo(np.int32).max}, int32)"
            problems.append(f"column {name!r}: {error}{limits}")
            continue
        empty = np.flatnonzero(pc.fill_null(pc.equal(column, ""), True) if words else column.is_null())
        if len(empty):
            problems.append(f"column {name!r} is empty in {_rows(empty)}")
    _refuse(problems, where)
    return columns


def evaluated_rows(vectors: NDArray[np.float32], labels: Mapping[str, ArrayLike], where: object) -> External:
    """The query and gallery rows of vectors (N, D) and their labels, (N,) each, if they can be evaluated.

    Raises:
        DataError: there are no queries or no gallery, rows with values that are not finite, of unknown cameras or with
            impossible labels, or ids that are there twice.
    """
    count = len(vectors)
    given = {"clothes": np.zeros(count), "frames": np.zeros(count)} | dict(labels)
    if NAME not in given:  # numbers that sort as the rows do
        given[NAME] = [f"{row:0{len(str(count))}d}" for row in range(count)]
    columns = {name: np.asarray(given[name], kind.to_pandas_dtype()) for name, kind in (NEEDED | OPTIONAL).items()}
    splits, names = columns["split"].astype(str), columns[NAME]
    tested = np.isin(splits, EVALUATED)
    kept = tested & (columns["pid"] != JUNK_PID)
    notes = [
        f"{many(number, 'row')} of split {split!r} left out: only {' and '.join(EVALUATED)} are evaluated"
        for split, number in sorted(Counter(splits[~tested].tolist()).items())
    ]
    junk = int(np.count_nonzero(tested & ~kept))
    notes += [f"{many(junk, 'row')} of pid {JUNK_PID} (junk) left out"] if junk else []
    problems = [
        f"there is no {split} row (splits: {', '.join(sorted(set(splits.tolist()))) or 'none'})"
        + _hint(split, sorted(set(splits[~tested].tolist())), NEAR)
        for split in EVALUATED
        if not np.any(kept & (splits == split))
    ]
    wrong = {
        "with values that are not finite in float32": ~np.isfinite(vectors).all(axis=1),
        f"with a pid below {JUNK_PID}": columns["pid"] < JUNK_PID,
        "with a camid below 0 (without cameras nothing can be evaluated)": columns["camid"] < 0,
        "with clothes below 0": columns["clothes"] < 0,
        "with frames below 0": columns["frames"] < 0,
    }
    for what, rows in wrong.items():
        found = names[kept & rows].tolist()
        problems += [f"{many(len(found), 'row')} {what}: {listed(found)}"] if found else []
    if kept.any() and not vectors[kept].any():
        problems.append(
            "every embedding is zero in float32 (check what wrote them; bring very small values to unit length first)"
        )
    # where names are compared, what ends in NUL is as if it did not
    odd = [repr(name) for name in names[kept].tolist() if "\0" in name]
    problems += [f"{many(len(odd), 'tracklet id')} with a NUL character: {listed(odd)}"] if odd else []
    twice = [name for name, times in Counter(names[kept].tolist()).items() if times > 1]
    if twice:
        problems.append(
            f"{many(len(twice), 'tracklet id')} there more than once: {listed(twice)} (a query stays in the gallery as "
            "it is, see evaluation.gallery)"
        )
    _refuse(problems, where)
    made = {f.name: pa.array(columns[f.name][kept], f.type) for f in EMBEDDINGS if f.name != VECTOR}
    made[VECTOR] = _lists(vectors[kept])
    return External(pa.table([made[name] for name in EMBEDDINGS.names], schema=EMBEDDINGS), tuple(notes))


def _lists(vectors: NDArray[np.float32]) -> pa.ChunkedArray:
    """Vectors, (N, D), as lists, in as many parts as their values need."""
    kind, width = EMBEDDINGS.field(VECTOR).type, vectors.shape[1]
    parts = [vectors[rows] for rows in row_blocks(len(vectors), width, MOST_VALUES)]
    offsets = [np.arange(len(part) + 1, dtype=np.int32) * width for part in parts]
    lists = [pa.ListArray.from_arrays(o, part.ravel(), type=kind) for o, part in zip(offsets, parts, strict=True)]
    return pa.chunked_array(lists, kind)


def _refuse(problems: Sequence[str], where: object) -> None:
    if problems:
        what = problems[0] if len(problems) == 1 else f"{len(problems)} problems:{below(problems)}"
        raise DataError(what, where=where, fix=LAYOUT, problems=problems)


def _hint(name: str, there: Sequence[str], alike: float) -> str:
    """The name that may be meant, capital letters and spaces aside, and whether only these differ."""
    wanted, plain = name.strip().casefold(), {other.strip().casefold(): other for other in there}
    close = difflib.get_close_matches(wanted, plain, 1, cutoff=alike)
    if not close:
        return ""
    meant = plain[close[0]]
    if close[0] != wanted:
        return f"; did you mean {meant!r}?"
    spaces = name.strip() != name or meant.strip() != meant
    return f"; did you mean {meant!r}? Write it without " + ("the space around it" if spaces else "capital letters")


def _rows(rows: NDArray[np.intp]) -> str:
    return f"row {listed(rows.tolist())} (from 0)"
