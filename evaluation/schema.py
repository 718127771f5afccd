"""Arrow schemas of what an evaluation writes beside metrics.json."""

import pyarrow as pa

from storage.tables.schema import table_schema

STATUS = ("wrong", "same_camera", "same_clothes", "match")
"""What an answer is to its query; among equal distances they are ranked in this order, so that ties never flatter."""


CMC = table_schema(
    "cmc",
    1,
    "cmc, chance: share of the counted queries with a match at this rank or before, 0 to 1",
    [("rank", pa.int32()), ("cmc", pa.float64()), ("chance", pa.float64())],
)

QUERIES = table_schema(
    "queries",
    2,
    "frames: of the tracklet, 0 where that is not known; matches: right answers that count; candidates: gallery items "
    "ranked; first_match: rank from 1, 0 if none; average_precision, inverse_negative_penalty: 0 to 1, 0 where there "
    "are no matches (not counted); ties: matches with a wrong item at exactly their distance",
    [
        ("query_id", pa.string()),
        ("pid", pa.int32()),
        ("camid", pa.int32()),
        ("frames", pa.int32()),
        ("matches", pa.int32()),
        ("candidates", pa.int32()),
        ("first_match", pa.int32()),
        ("average_precision", pa.float64()),
        ("inverse_negative_penalty", pa.float64()),
        ("ties", pa.int32()),
    ],
)

RANKS = table_schema(
    "ranks",
    2,
    "the nearest gallery items of each query, nearest first, the query itself left out; rank: from 1 among the items "
    "that count, 0 for same_camera and same_clothes, which do not; distance: by which they are ranked, "
    "Euclidean between unit vectors (0 to 2) unless they were re-ranked; "
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
