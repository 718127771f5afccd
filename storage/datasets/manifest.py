"""A user's own data by a table: manifest.csv or manifest.parquet in the data root, one row a frame.

    tracklet_id,split,pid,camid,frame         frame: path relative to the data root
    clothes                                   may be left out; whole numbers from 1 within an identity, 0: not known
    frame_number                              may be left out; frames are in its order, else in the order of the rows

Identity 0 is a distractor: in the gallery only, and nobody's match.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from storage.datasets.lists import RESTORE, checked, printable, refuse
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.tables.tracklets import SPLITS, Tracklet

LISTS = ("manifest.csv", "manifest.parquet")
WORDS = ("tracklet_id", "split", "frame")
NUMBERS = ("pid", "camid")
LABELS = ("split", "pid", "camid", "clothes")  # what is the same in all rows of a tracklet
CLOTHES, ORDER = "clothes", "frame_number"


def read(files: DataFiles, split: int = 0) -> list[Tracklet]:
    """The tracklets of a table, in the order of their first rows.

    Raises:
        DataError: there is no table or there are two, or it contradicts itself; every contradiction is listed at once.
    """
    there = [name for name in LISTS if files.exists(name)]
    if len(there) != 1:
        found = "both are there" if there else "neither is there"
        raise DataError(
            f"expected one of {' and '.join(LISTS)}, and {found}",
            where=files.root,
            fix="set data.root to the folder that holds the one, with frames relative to it",
        )
    columns = _columns(files, there[0])
    problems: list[str] = []
    tracklets = list(_tracklets(columns, problems))
    return checked(files, tracklets, problems)


def _columns(files: DataFiles, name: str) -> dict[str, list[Any]]:
    """The columns that are known, as they must be: texts and whole numbers, none empty."""
    try:
        content = BytesIO(files.read(name))
        if name.endswith(".parquet"):
            table = pq.read_table(content)
        else:
            words = dict.fromkeys((*WORDS, *NUMBERS, CLOTHES, ORDER), pa.string())
            table = pyarrow.csv.read_csv(content, convert_options=pyarrow.csv.ConvertOptions(column_types=words))
        names = table.column_names
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot be read as a table: {printable(str(error))}", where=files.where(name), fix=RESTORE
        ) from error
    twice = sorted({column for column in names if names.count(column) > 1})
    missing = [column for column in (*WORDS, *NUMBERS) if column not in names]
    problems = [f"{name}: no column {c!r}" for c in missing] + [f"{name}: two columns {c!r}" for c in twice]
    for column in (CLOTHES, ORDER):  # one that is misspelt would be left out without a word
        close = [] if column in names else difflib.get_close_matches(column, names, 1, cutoff=0.75)
        problems += [f"{name}: column {other!r}: did you mean {column!r}?" for other in close]
    refuse(files, problems)
    kinds = dict.fromkeys(WORDS, pa.string()) | dict.fromkeys((*NUMBERS, CLOTHES, ORDER), pa.int64())
    columns = {}
    for column, kind in kinds.items():
        if column not in names:
            continue
        try:
            columns[column] = table[column].cast(kind).to_pylist()
        except (pa.ArrowException, UnicodeDecodeError) as error:
            problems.append(f"{name}: column {column}: {error}")
            continue
        empty = [row for row, value in enumerate(columns[column], start=1) if value is None or value == ""]
        problems += [f"{name}: column {column}: row {row} is empty" for row in empty]
    refuse(files, problems)
    return columns


def _tracklets(columns: Mapping[str, list[Any]], problems: list[str]) -> Iterator[Tracklet]:
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    order: dict[str, int] = {}
    for row in rows:
        order.setdefault(row["tracklet_id"], len(order))
    rows.sort(key=lambda row: order[row["tracklet_id"]])
    for name, group in groupby(rows, itemgetter("tracklet_id")):
        own = list(group)
        wrong = list(_contradictions(own))
        if wrong:
            problems += [f"{name}: {problem}" for problem in wrong]
            continue
        first = own[0]
        frames = tuple(row["frame"] for row in sorted(own, key=lambda row: row.get(ORDER, 0)))
        yield Tracklet(name, first["split"], first["pid"], first["camid"], frames, clothes=first.get(CLOTHES, 0))


def _contradictions(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for column in LABELS:
        values = sorted({row[column] for row in rows if column in row})
        if len(values) > 1:
            yield f"its rows say {column} {', '.join(map(str, values))}"
    if rows[0]["split"] not in SPLITS:
        yield f"split {rows[0]['split']!r} is none of {', '.join(SPLITS)}"
    numbers = [row[ORDER] for row in rows if ORDER in row]
    if len(set(numbers)) < len(numbers):
        yield f"has two frames of the same {ORDER}"
