"""Arrow schemas of what an evaluation writes beside metrics.json."""

import pyarrow as pa

STATUS = ("wrong", "same_camera", "same_clothes", "match")
"""What an answer is to its query; among equal distances they are ranked in this order, so that ties never flatter."""


def _schema(name: str, units: str, fields: list[tuple[str, pa.DataType]]) -> pa.Schema:
    metadata = {"csip.schema": name, "csip.version": "1", "csip.units": units}
    return pa.schema([pa.field(column, kind, nullable=False) for column, kind in fields], metadata=metadata)


CMC = _schema(
    "cmc",
    "cmc, chance: share of the counted queries with a match at this rank or before, 0 to 1",
    [("rank", pa.int32()), ("cmc", pa.float64()), ("chance", pa.float64())],
)

QUERIES = _schema(
    "queries",
    "matches: right answers in another camera; candidates: gallery items ranked; first_match: rank from 1, 0 if none; "
    "average_precision: 0 to 1, 0 where there are no matches (not counted)",
    [
        ("query_id", pa.string()),
        ("pid", pa.int32()),
        ("camid", pa.int32()),
        ("matches", pa.int32()),
        ("candidates", pa.int32()),
        ("first_match", pa.int32()),
        ("average_precision", pa.float64()),
    ],
)

RANKS = _schema(
    "ranks",
    "the nearest gallery items of each query, nearest first, the query itself left out; rank: from 1 among the items "
    "that count, 0 for same_camera and same_clothes, which do not; distance: Euclidean between unit vectors, 0 to 2; "
    "status: " + " ".join(STATUS),
    [
        ("query_id", pa.string()),
        ("rank", pa.int32()),
        ("gallery_id", pa.string()),
        ("pid", pa.int32()),
        ("camid", pa.int32()),
        ("distance", pa.float32()),
        ("status", pa.string()),
    ],
)
