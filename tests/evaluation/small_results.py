"""Evaluations of random embeddings: of people who are told apart the better, the less noise there is."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from evaluation.evaluate import EvaluationSettings, Inputs, run
from storage.tables.parquet import write_table
from storage.tables.schema import EMBEDDINGS


def evaluated(
    folder: Path, noise: float = 1.0, seed: int = 0, people: int = 30, distractors: int = 0, **settings: object
) -> Path:
    """Evaluate a model of its own noise on a data set that is always the same; two queries a person, three cameras."""
    centres = np.random.default_rng(0).normal(size=(people + distractors, 8))
    rng = np.random.default_rng(seed + 1)
    rows = []
    for person, centre in enumerate(centres):
        pid = person + 1 if person < people else 0
        for camid in (1, 2, 3):
            split = "query" if pid and camid < 3 else "gallery"
            vector = (centre + noise * rng.normal(size=8)).tolist()
            rows.append((f"{person + 1:04d}C{camid}T0001", split, pid, camid, vector))
    names = ("tracklet_id", "split", "pid", "camid", "embedding")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    # columns that nothing here asks for say that they are not known
    arrays = [pa.array(list(columns.get(field.name, [0] * len(rows))), field.type) for field in EMBEDDINGS]
    folder.mkdir(parents=True, exist_ok=True)
    shard = folder.parent / f"{folder.name}.parquet"
    write_table(pa.table(arrays, EMBEDDINGS), shard)
    run(Inputs((shard,)), EvaluationSettings.model_validate(settings), folder)
    return folder
