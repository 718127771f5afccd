"""What an evaluation wrote, read back with checks: from a store, or from a folder that somebody else made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evaluation.results.metrics_file import read_metrics
from evaluation.schema import CMC, QUERIES
from storage.errors import DataError
from storage.tables.parquet import read_table

METRICS_FILE, CMC_FILE, QUERIES_FILE = FILES = ("metrics.json", "cmc.parquet", "queries.parquet")
COLUMNS = ["query_id", "pid", "camid", "matches", "candidates", "first_match", "average_precision"]
PENALTY = "inverse_negative_penalty"
"""Of each query; its mean is mINP. Evaluations did not always write it."""

ROUNDING = 1e-6
SHOWN = 5


@dataclass(frozen=True)
class Result:
    """One evaluated model.

    Attributes:
        name: what it is called beside others.
        metrics: its metrics.json.
        queries: columns of queries.parquet, (Q,) each.
        chance: CMC of a random ranking at ranks 1, 2, ..., (K,).
    """

    name: str
    metrics: Mapping[str, Any]
    queries: Mapping[str, NDArray[Any]]
    chance: NDArray[np.float64]

    def counted(self) -> dict[tuple[str, int, int], int]:
        """Row of each query that has a match, by what makes it the same query elsewhere: its id, pid and camid."""
        columns = (self.queries[name].tolist() for name in ("query_id", "pid", "camid", "matches"))
        rows = enumerate(zip(*columns, strict=True))
        return {(name, pid, camid): row for row, (name, pid, camid, matches) in rows if matches}

    def values(self, rows: NDArray[np.intp], ranks: Sequence[int], *, penalty: bool) -> NDArray[np.float64]:
        """What the metrics are means of, for some of the queries.

        Args:
            rows: which queries, (Q,).
            ranks: of the CMC, K.
            penalty: with the inverse negative penalty.

        Returns:
            Average precision, inverse negative penalty if asked for, hit within each rank (0 or 1);
            (Q, 1 + K) or (Q, 2 + K).
        """
        named = [self.queries["average_precision"][rows]]
        named += [self.queries[PENALTY][rows]] if penalty else []
        first = self.queries["first_match"][rows]
        return np.stack([*named, *((first > 0) & (first <= rank) for rank in ranks)], axis=1).astype(np.float64)


def is_result(folder: Path) -> bool:
    """Whether this is a folder into which an evaluation wrote."""
    return (folder / METRICS_FILE).is_file()


def read_result(folder: Path, name: str) -> Result:
    """Read what an evaluation wrote into a folder.

    Args:
        folder: with metrics.json, cmc.parquet and queries.parquet.
        name: what it is called beside others.

    Raises:
        DataError: a file is missing, or they are not of one evaluation.
        StoreError: a table cannot be read.
    """
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise DataError(
            f"this is not all that an evaluation writes: {', '.join(missing)} missing",
            where=folder,
            fix="name a run, or a folder that an evaluation wrote",
        )
    metrics = read_metrics(folder / METRICS_FILE)
    queries = _read_queries(folder / QUERIES_FILE)
    names, times = np.unique(queries["query_id"], return_counts=True)
    if (times > 1).any():
        raise DataError(
            "queries are listed more than once",
            where=f"{folder / QUERIES_FILE}: {', '.join(names[times > 1][:SHOWN])}",
            fix="evaluate again",
        )
    counted = queries["average_precision"][queries["matches"] > 0]
    # NaN is not below anything
    if not len(counted) or not abs(float(counted.mean()) - metrics["mAP"]) <= ROUNDING:
        raise DataError(
            f"{METRICS_FILE} and {QUERIES_FILE} are not of one evaluation: the mean of the queries' average precision "
            "is not mAP",
            where=folder,
            fix="evaluate again, or copy both files from one evaluation",
        )
    table = read_table(folder / CMC_FILE, CMC, ["rank", "chance"])
    return Result(name, metrics, queries, table["chance"].to_numpy()[np.argsort(table["rank"].to_numpy())])


def _read_queries(path: Path) -> dict[str, NDArray[Any]]:
    queries = read_table(path, QUERIES, COLUMNS)
    found = {name: queries[name].to_numpy() for name in COLUMNS}
    if PENALTY in pq.read_schema(path).names:
        schema = pa.schema([pa.field(PENALTY, pa.float64(), nullable=False)])
        found[PENALTY] = read_table(path, schema, [PENALTY])[PENALTY].to_numpy()
    return found
