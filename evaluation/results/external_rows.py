"""What embeddings of other programs must be to be evaluated: checked row by row, all that is wrong told at once."""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.errors import DataError
from storage.tables.schema import EMBEDDINGS
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


@dataclass(frozen=True)
class External:
    """What was read.

    Attributes:
        table: query and gallery rows, an `EMBEDDINGS` table.
        notes: what is odd and no error, a sentence each.
    """

    table: pa.Table
    notes: tuple[str, ...]


def vectors_of(table: pa.Table, where: object) -> NDArray[np.float32]:
    """The vectors of a table, (N, D).

    Raises:
        DataError: there is no such column, it holds no floats, or vectors of several dimensions, or none in a row.
    """
    if VECTOR not in table.column_names:
        raise DataError(
            f"there is no column {VECTOR!r}{_hint(VECTOR, table.column_names, NEAR)}", where=where, fix=LAYOUT
        )
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
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and told as that
            found[start : start + len(part)] = flat.reshape(len(part), usual)
        start += len(part)
    return found


def label_columns(table: pa.Table, where: object) -> dict[str, list[Any]]:
    """The labels of a table as plain values, a list a column; columns that are not ours are left out.

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
    columns: dict[str, list[Any]] = {}
    for name, kind in (NEEDED | OPTIONAL).items():
        if name not in names or name in twice:
            continue
        try:
            columns[name] = table[name].cast(kind).to_pylist()
        except (pa.ArrowException, UnicodeDecodeError) as error:
            limits = f" (whole numbers up to {np.iinfo(np.int32).max}, int32)" if kind == pa.int32() else ""
            problems.append(f"column {name!r}: {error}{limits}")
            continue
        empty = np.flatnonzero([value is None or value == "" for value in columns[name]])
        if len(empty):
            problems.append(f"column {name!r} is empty in {_rows(empty)}")
    _refuse(problems, where)
    return columns


def evaluated_rows(vectors: NDArray[np.float32], labels: Mapping[str, Sequence[Any]], where: object) -> External:
    """The query and gallery rows of vectors (N, D) and their labels, N each, if they can be evaluated.

    Raises:
        DataError: there are no queries or no gallery, rows with values that are not finite, of unknown cameras or with
            impossible labels, or ids that are there twice.
    """
    splits = np.array(labels["split"], str)
    pids, camids = (np.array(labels[name], np.int64) for name in ("pid", "camid"))
    # names of rows that have none sort as the rows do
    names = np.array(labels.get(NAME) or [f"{row:0{len(str(len(vectors)))}d}" for row in range(len(vectors))], object)
    tested = np.isin(splits, EVALUATED)
    kept = tested & (pids != JUNK_PID)
    notes = [
        f"{many(count, 'row')} of split {split!r} left out: only {' and '.join(EVALUATED)} are evaluated"
        for split, count in sorted(Counter(splits[~tested].tolist()).items())
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
        f"with a pid below {JUNK_PID}": pids < JUNK_PID,
        "with a camid below 0 (without cameras nothing can be evaluated)": camids < 0,
    } | {f"with {n} below 0": np.array(labels[n]) < 0 for n in ("clothes", "frames") if n in labels}
    for what, rows in wrong.items():
        found = names[kept & rows].tolist()
        problems += [f"{many(len(found), 'row')} {what}: {listed(found)}"] if found else []
    if kept.any() and not vectors[kept].any():
        problems.append(
            "every embedding is zero in float32 (check what wrote them; bring very small values to unit length first)"
        )
    # where names are compared, what ends in NUL is as if it did not
    odd = [name for name in names[kept].tolist() if "\0" in name]
    if odd:
        problems.append(f"{many(len(odd), 'tracklet id')} with a NUL character: {listed([repr(name) for name in odd])}")
    twice = [name for name, count in Counter(names[kept].tolist()).items() if count > 1]
    if twice:
        problems.append(
            f"{many(len(twice), 'tracklet id')} there more than once: {listed(twice)} (a query stays in the gallery as "
            "it is, see evaluation.gallery)"
        )
    _refuse(problems, where)
    nothing = [0] * len(vectors)
    columns = {"clothes": nothing, "frames": nothing} | dict(labels) | {NAME: names.tolist()}
    return External(_table(vectors[kept], columns, np.flatnonzero(kept)), tuple(notes))


def _table(vectors: NDArray[np.float32], columns: Mapping[str, Sequence[Any]], rows: NDArray[np.intp]) -> pa.Table:
    made = {VECTOR: _lists(vectors)}
    made |= {
        field.name: pa.array([columns[field.name][row] for row in rows], field.type)
        for field in EMBEDDINGS
        if field.name != VECTOR
    }
    return pa.table([made[field.name] for field in EMBEDDINGS], schema=EMBEDDINGS)


def _lists(vectors: NDArray[np.float32]) -> pa.ChunkedArray:
    """Vectors as lists, in as many parts as their values need."""
    kind, width = EMBEDDINGS.field(VECTOR).type, vectors.shape[1]
    rows = max(1, MOST_VALUES // max(1, width))
    parts = [vectors[start : start + rows] for start in range(0, len(vectors), rows)]
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
