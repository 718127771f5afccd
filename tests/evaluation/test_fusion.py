"""Images and skeletons ranked together: against a slow loop, and what is not known of a skeleton decides nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from evaluation.evaluate import EvaluationSettings, Inputs, run
from evaluation.schema import RANKS
from flows.config import make_config
from storage.errors import DataError, SettingsError
from storage.tables.parquet import read_table, write_table
from storage.tables.schema import EMBEDDINGS

PEOPLE, CAMERAS = 12, 3


def rows(seed: int, noise: float, width: int = 6) -> dict[str, np.ndarray]:
    """An embedding a tracklet of each person by each camera."""
    centres = np.random.default_rng(seed).normal(size=(PEOPLE, width))
    rng = np.random.default_rng(seed + 100)
    return {
        f"{person + 1:04d}C{camid}T0001": centres[person] + noise * rng.normal(size=width)
        for person in range(PEOPLE)
        for camid in range(1, CAMERAS + 1)
    }


def write(path: Path, vectors: dict[str, np.ndarray]) -> Path:
    columns: dict[str, Any] = {
        "tracklet_id": list(vectors),
        "split": ["query" if name[5] == "1" else "gallery" for name in vectors],
        "pid": [int(name[:4]) for name in vectors],
        "camid": [int(name[5]) for name in vectors],
        "embedding": [vector.tolist() for vector in vectors.values()],
    }
    arrays = [pa.array(columns.get(field.name, [0] * len(vectors)), field.type) for field in EMBEDDINGS]
    write_table(pa.table(arrays, EMBEDDINGS), path)
    return path


def evaluated(
    folder: Path, images: dict[str, np.ndarray], skeletons: dict[str, np.ndarray] | None, **settings: Any
) -> Path:
    folder.mkdir()
    given = (write(folder / "skeletons.parquet", skeletons),) if skeletons else ()
    inputs = Inputs((write(folder / "images.parquet", images),), given)
    run(inputs, EvaluationSettings(device="cpu", **settings), folder)
    return folder


def nearest(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in read_table([folder / "ranks.parquet"], RANKS).to_pylist():
        found.setdefault(row["query_id"], []).append(row["gallery_id"])
    return found


def unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return vector / length if length else vector


@pytest.mark.parametrize("weight", [0.2, 0.7])
@pytest.mark.parametrize("gallery", ["with_queries", "without_queries"])
def test_the_ranking_is_that_of_a_slow_loop_over_weighted_cosines(weight: float, gallery: str, tmp_path: Path) -> None:
    images, skeletons = rows(0, 1.0), rows(1, 0.5, 4)
    skeletons["0002C2T0001"] = np.zeros(4)  # nobody was seen there
    found = nearest(evaluated(tmp_path / "fused", images, skeletons, skeleton_weight=weight, gallery=gallery))
    for query, order in found.items():
        others = [n for n in images if n != query and (gallery == "with_queries" or n[5] != "1")]
        likeness = {
            n: (1 - weight) * float(unit(images[query]) @ unit(images[n]))
            + weight * float(unit(skeletons[query]) @ unit(skeletons[n]))
            for n in others
        }
        assert order == sorted(others, key=lambda name: -likeness[name])[: len(order)]


def test_without_any_skeleton_known_images_alone_decide(tmp_path: Path) -> None:
    images = rows(0, 1.0)
    known = {name: np.zeros(4) for name in images}
    known["0001C3T0001"] = np.ones(4)
    alone = evaluated(tmp_path / "alone", images, None)
    fused = evaluated(tmp_path / "fused", images, known, skeleton_weight=0.5)
    assert nearest(fused) == nearest(alone)
    one, other = (json.loads((folder / "metrics.json").read_text()) for folder in (alone, fused))
    assert one["mAP"] == other["mAP"]
    assert other["protocol"]["distance"] == "Euclidean between unit vectors of images, 0.5 of skeletons, float32"


def test_tracklets_alike_in_images_are_told_apart_by_their_skeletons(tmp_path: Path) -> None:
    images = {name: np.ones(3) for name in rows(0, 0.0)}
    metrics = json.loads(
        (evaluated(tmp_path / "x", images, rows(1, 0.01, 4), skeleton_weight=0.3) / "metrics.json").read_text()
    )
    assert metrics["mAP"] == pytest.approx(1.0)
    assert metrics["ties"]["matches"] == 0


def test_skeletons_of_other_tracklets_are_refused(tmp_path: Path) -> None:
    images, skeletons = rows(0, 1.0), rows(1, 0.5, 4)
    del skeletons["0003C2T0001"]
    with pytest.raises(DataError, match="have no skeletons to be fused with") as raised:
        evaluated(tmp_path / "x", images, skeletons, skeleton_weight=0.3)
    assert "0003C2T0001" in str(raised.value)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"evaluation": {"skeleton_weight": 0.2, "rerank": {}}}, "can be neither re-ranked nor expanded"),
        ({"evaluation": {"skeleton_weight": 0.2}, "data": {"layout": "biwi"}}, "data.layout=biwi has no images"),
    ],
)
def test_what_cannot_be_fused_is_told_before_anything_runs(values: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        make_config({"name": "any", **values})
    with pytest.raises(ValidationError):
        EvaluationSettings(skeleton_weight=1.0)
