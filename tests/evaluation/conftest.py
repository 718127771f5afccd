"""Embedding shards built by hand or at random, as the training layer writes them, and a small run's artifacts."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluation import evaluate
from evaluation.report import Inputs
from storage.skeleton import NUM_JOINTS
from storage.tables.parquet import ragged_table, write_table
from storage.tables.schema import EMBEDDINGS, FRAME_STATUS, SKELETONS
from storage.tables.tracklets import Tracklet, index_table
from tests.evaluation.small_report import FRAMES, NASTY, TOLD, small_check

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


@pytest.fixture
def make_inputs(tmp_path: Path, write_embeddings, random_rows) -> Callable[..., Inputs]:
    """A small run's artifacts: frames on disk, index, skeletons, quality, histories, two evaluated models."""

    def make(
        rename: dict[str, str] | None = None,
        unreadable: tuple[str, ...] = (),
        no_person: tuple[str, ...] = (),
        accuracy: dict[str, object] | None = None,
        **group: object,
    ) -> Inputs:
        rng = np.random.default_rng(0)
        rows = [((rename or {}).get(row[0], row[0]), *row[1:]) for row in random_rows]
        tracklets = []
        for number, (name, split, pid, camid, _) in enumerate(rows):
            frames = [f"frames/{number:04d}_{t}.jpg" for t in range(FRAMES)]
            (tmp_path / "frames").mkdir(exist_ok=True)
            for frame in frames:
                cv2.imwrite(str(tmp_path / frame), np.full((32, 16, 3), 20 * pid, np.uint8))
            tracklets.append(Tracklet(name, split, pid, camid, tuple(frames)))
        write_table(index_table(tracklets), tmp_path / "index.parquet")
        shape = (len(tracklets), FRAMES, NUM_JOINTS)
        columns = {
            "keypoints_3d": list(rng.normal(size=(*shape, 3)).astype("f") * 0.3),
            "keypoints_2d": list(rng.uniform(0, 16, (*shape, 2)).astype("f")),
            "scores": list(rng.uniform(0.2, 1, shape).astype("f")),
            "status": list(np.zeros(shape[:2], np.uint8)),
            "filled": list(np.zeros(shape[:2], np.bool_)),
        }
        write_table(
            ragged_table([t.tracklet_id for t in tracklets], columns, SKELETONS), tmp_path / "skeletons.parquet"
        )
        for number, model in enumerate(("visual", "finetuned")):
            (tmp_path / model).mkdir(exist_ok=True)
            noisy = [(*row[:4], (np.array(row[4]) + (1 - number) * rng.normal(size=12)).tolist()) for row in rows]
            shard = write_embeddings(noisy, f"{model}.parquet", frames=[8 + number for number in range(len(noisy))])
            evaluate.run(evaluate.Inputs((shard,)), evaluate.EvaluationSettings(), tmp_path / model)
        steps = np.arange(30)
        history = {
            "step": steps,
            "epoch": steps // 10,
            "lr": steps * 0.1,
            "loss": 3 - steps / 20,
            "loss_id": 2 - steps / 30,
        }
        for stage in ("pretrained", "finetuned"):
            pq.write_table(pa.table(history), tmp_path / f"{stage}.history.parquet")
        summary = small_check(f"a problem {NASTY}", f"bbox/problem{NASTY}.jpg")
        (tmp_path / "summary.json").write_text(json.dumps(summary))
        status = dict.fromkeys(FRAME_STATUS, 0.25)
        quality = {
            "frames": FRAMES * len(rows),
            "groups": [{"split": None, "camid": None, "frames": 24, "status": status, "mean_score": 0.7, **group}],
            "ranked": {
                "best": [{"tracklet_id": rows[0][0], "mean_score": 0.9}],
                "worst": [{"tracklet_id": rows[1][0]}],
            },
            "unreadable": {"count": len(unreadable), "first": list(unreadable)},
            "no_person": {"count": len(no_person), "first": list(no_person)},
            "accuracy": accuracy,
        }
        (tmp_path / "quality.json").write_text(json.dumps(quality))
        lineage = (
            {"stage": "index", "artifact": "index", "key": "abc", "seconds": 1.5, "device": "cpu", "made": "then"}
            | {"versions": {"numpy": "2.4.6"}},
        )
        return Inputs(
            tmp_path,
            (tmp_path / "index.parquet",),
            tmp_path / "summary.json",
            (tmp_path / "skeletons.parquet",),
            tmp_path / "quality.json",
            {name: tmp_path / f"{name.lower()}.history.parquet" for name in ("Pretrained", "Finetuned")},
            {"Visual encoder alone": tmp_path / "visual", "After finetuning": tmp_path / "finetuned"},
            (tmp_path / "finetuned.parquet",),
            lineage,
            TOLD,
            {"Processor": "one of ours"},
            ("visual",),
        )

    return make
