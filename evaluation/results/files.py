"""What an evaluation wrote, read back with checks: from a store, or from a folder that somebody else made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, ValidationError

from evaluation.schema import CMC, QUERIES
from storage.errors import DataError
from storage.tables.parquet import read_table
from storage.wording import below

METRICS_FILE, CMC_FILE, QUERIES_FILE = FILES = ("metrics.json", "cmc.parquet", "queries.parquet")
COLUMNS = ["query_id", "pid", "camid", "matches", "candidates", "first_match", "average_precision"]
PENALTY = "inverse_negative_penalty"
"""Of each query; its mean is mINP. Evaluations did not always write it."""

ROUNDING = 1e-6
SHOWN = 5

Columns = Mapping[str, NDArray[Any]]
Share = Annotated[float, Field(ge=0, le=1 + ROUNDING, allow_inf_nan=False)]
Rank = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Part(BaseModel):
    """Base of what is written: of the types that JSON has, and with more in it than is used."""

    model_config = ConfigDict(strict=True, extra="allow")


class WrittenProtocol(Part):
    """How it was measured; what has a default was not always written, and meant this."""

    name: str = "standard"
    gallery: str
    sampling: str | None = None
    left_out: str
    distance: str
    ties: str
    reranking: dict[str, FiniteFloat] | None = None
    expansion: dict[str, FiniteFloat] | None = None


class Measured(Part):
    """Accuracy of some queries."""

    queries: NonNegativeInt
    mAP: Share  # noqa: N815 (the name in the file)
    rank_1: Share


class CameraPair(Measured):
    """Queries of a camera in the gallery of another."""

    query_camid: int
    gallery_camid: int


class Length(Measured):
    """Queries by the number of their frames."""

    shortest: NonNegativeInt = Field(alias="from")
    longest: NonNegativeInt = Field(alias="to")


class Written(Part):
    """All that is used of a metrics.json."""

    protocol: WrittenProtocol
    queries: NonNegativeInt
    counted_queries: NonNegativeInt
    queries_without_match: NonNegativeInt
    gallery: NonNegativeInt
    distractors: NonNegativeInt
    mAP: Share  # noqa: N815 (the name in the file)
    cmc: dict[Rank, Share]
    camera_pairs: list[CameraPair] | None = None
    lengths: list[Length] | None = None


@dataclass(frozen=True)
class Result:
    """One evaluated model."""

    name: str  # what it is called beside others
    metrics: Mapping[str, Any]  # its metrics.json
    queries: Columns  # columns of queries.parquet, (Q,) each
    chance: NDArray[np.float64]  # CMC of a random ranking at ranks 1, 2, ..., (K,)

    def counted(self) -> dict[tuple[str, int, int], int]:
        """Row of each query that has a match, by what makes it the same query elsewhere: its id, pid and camid."""
        columns = (self.queries[name].tolist() for name in ("query_id", "pid", "camid", "matches"))
        rows = enumerate(zip(*columns, strict=True))
        return {(name, pid, camid): row for row, (name, pid, camid, matches) in rows if matches}

    def at(self, rows: Sequence[int]) -> "Result":
        """The same of some of the queries, in this order."""
        return replace(self, queries={name: column[np.array(rows)] for name, column in self.queries.items()})

    def values(self, ranks: Sequence[int], *, penalty: bool) -> NDArray[np.float64]:
        """What the metrics are means of, at some ranks of the CMC, K.

        Returns:
            Average precision, inverse negative penalty if asked for, hit within each rank (0 or 1);
            (Q, 1 + K) or (Q, 2 + K).
        """
        named = [self.queries[name] for name in ("average_precision", *([PENALTY] if penalty else []))]
        first = self.queries["first_match"]
        return np.stack([*named, *((first > 0) & (first <= rank) for rank in ranks)], axis=1).astype(np.float64)


def is_result(folder: Path) -> bool:
    """Whether this is a folder into which an evaluation wrote."""
    return (folder / METRICS_FILE).is_file()


def read_result(folder: Path, name: str) -> Result:
    """Read what an evaluation wrote into a folder: metrics.json, cmc.parquet and queries.parquet.

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


def read_metrics(path: Path) -> dict[str, Any]:
    """What a metrics.json holds, with what older ones left unsaid of their protocol.

    Raises:
        DataError: it cannot be read, or is not what an evaluation writes; names every wrong field.
    """
    try:
        content = path.read_bytes()
        written = Written.model_validate_json(content)
    except (OSError, ValidationError) as error:
        wrong = [str(error)]
        if isinstance(error, ValidationError):
            wrong = [": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"]))) for e in error.errors()]
        raise DataError(
            f"this is not what an evaluation writes:{below(wrong)}", where=path, fix="evaluate again"
        ) from error
    metrics = json.loads(content)
    return {**metrics, "protocol": {**written.protocol.model_dump(), **metrics["protocol"]}}


def _read_queries(path: Path) -> dict[str, NDArray[Any]]:
    queries = read_table(path, QUERIES, COLUMNS)
    found = {name: queries[name].to_numpy() for name in COLUMNS}
    if PENALTY in pq.read_schema(path).names:
        schema = pa.schema([pa.field(PENALTY, pa.float64(), nullable=False)])
        found[PENALTY] = read_table(path, schema, [PENALTY])[PENALTY].to_numpy()
    return found
