"""Embedding shards built by hand or at random, written as the training layer writes them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from storage.schema import EMBEDDINGS
from storage.tables import write_table

Row = tuple[str, str, int, int, Sequence[float]]
"""tracklet id, split, pid, camid, embedding."""


@pytest.fixture
def write_embeddings(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows as one embedding shard."""

    def write(
        rows: Sequence[Row],
        name: str = "embeddings.parquet",
        sampling: str | None = None,
        clothes: Sequence[int] | None = None,
        frames: Sequence[int] | None = None,
    ) -> Path:
        *labels, vectors = zip(*rows, strict=True)
        columns = [*labels, clothes or [0] * len(rows), frames or [0] * len(rows), vectors]
        table = pa.table(
            [pa.array(list(c), field.type) for c, field in zip(columns, EMBEDDINGS, strict=True)], EMBEDDINGS
        )
        if sampling:
            table = table.replace_schema_metadata({**EMBEDDINGS.metadata, b"csip.sampling": sampling.encode()})
        write_table(table, tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def worked_rows() -> list[Row]:
    """Four queries worked by hand: a match at rank 1, one at rank 2, none at all, one behind a same-camera item."""
    return [
        ("0001C1T0001", "query", 1, 1, (1.0, 0.0)),
        ("0001C2T0001", "gallery", 1, 2, (0.9, 0.1)),
        ("0002C1T0001", "query", 2, 1, (0.0, 1.0)),
        ("0002C2T0001", "gallery", 2, 2, (0.5, 0.9)),
        ("0000C2T0001", "gallery", 0, 2, (0.1, 1.0)),
        ("0003C1T0001", "query", 3, 1, (-1.0, 0.2)),
        ("0004C1T0001", "query", 4, 1, (-1.0, -1.0)),
        ("0004C1T0002", "gallery", 4, 1, (-1.0, -0.9)),
        ("0004C2T0001", "gallery", 4, 2, (-1.0, -0.5)),
    ]


@pytest.fixture
def random_rows() -> list[Row]:
    """Eight people, three cameras, two tracklets each; those of one person lie nearer to each other than to others."""
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    for pid in range(1, 9):
        centre = rng.normal(size=12)
        for camid in (1, 2, 3):
            for take in (1, 2):
                split = "query" if camid == 1 and take == 1 else "gallery"
                vector = centre + rng.normal(size=12)
                rows.append((f"{pid:04d}C{camid}T{take:04d}", split, pid, camid, vector.tolist()))
    return rows
