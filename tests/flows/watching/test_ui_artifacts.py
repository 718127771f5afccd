"""What a run leaves in Prefect, read back through its client."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run

from evaluation import evaluate
from evaluation.page.showcase import WIDTH
from extraction import score as scoring
from flows.watching.result import Result
from flows.watching.ui_artifacts import LARGEST, show
from storage.datasets.check.counts import data_check
from storage.datasets.check.findings import of_lists
from storage.progress import silent
from storage.skeleton import NUM_JOINTS
from storage.store.artifacts import Artifact, Store
from storage.tables.parquet import ragged_table, write_table
from storage.tables.schema import EMBEDDINGS, SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import Tracklet, index_table

NO_PERSON = 2
FRAMES = 3
SCORES = {"train-000": {"0001C1T0001": 0.9, "0002C1T0001": 0.8}, "test-000": {"0003C2T0001": 0.5}}
"""Shard -> tracklet -> the score of all its joints."""


@pytest.fixture
def artifacts(tmp_path: Path) -> dict[str, Artifact]:
    """Artifacts of a run up to the quality of the skeletons; the second frame of each tracklet is filled."""

    def made(label: str) -> Artifact:
        manifest = {"files": {}, "made": {"seconds": 1.5}}
        artifact = Artifact(Store(tmp_path / "store"), label.split()[0], f"key of {label}", "digest", manifest)
        artifact.path.mkdir(parents=True)
        return artifact

    rng = np.random.default_rng(0)
    (tmp_path / "raw").mkdir()
    for t in range(FRAMES):
        cv2.imwrite(str(tmp_path / f"raw/{t}.png"), rng.integers(0, 256, (256, 128, 3), dtype=np.uint8))
    found = {"index": made("index")} | {f"skeletons {shard}": made(f"skeletons {shard}") for shard in SCORES}
    rows = [Tracklet(f"{i}", "train", 1, 1, tuple("abcdefgh"[: 8 - i])) for i in range(7)]
    check = data_check("demo", rows, of_lists(rows, limit=6), None)
    (found["index"].path / "summary.json").write_text(json.dumps(check.as_json()))
    status = np.array([0, NO_PERSON, 0], np.uint8)
    for shard, scores in SCORES.items():
        frames = tuple(f"{t}.png" for t in range(FRAMES))
        split = "train" if shard.startswith("train") else "query"
        rows = [Tracklet(name, split, int(name[:4]), int(name[5]), frames) for name in scores]
        write_table(index_table(rows), found["index"].path / f"{shard}.parquet")
        columns = {
            "keypoints_3d": [rng.normal(0, 0.3, (FRAMES, NUM_JOINTS, 3)) for _ in rows],
            "keypoints_2d": [rng.uniform(0, 128, (FRAMES, NUM_JOINTS, 2)) for _ in rows],
            "scores": [np.full((FRAMES, NUM_JOINTS), score) for score in scores.values()],
            "status": [status for _ in rows],
            "filled": [status == NO_PERSON for _ in rows],
        }
        file = found[f"skeletons {shard}"].path / "skeletons.parquet"
        write_table(ragged_table(list(scores), columns, SKELETONS), file)
    found["quality"] = made("quality")
    inputs = scoring.Inputs(
        tuple(found["index"].path / f"{shard}.parquet" for shard in SCORES),
        tuple(found[f"skeletons {shard}"].path / "skeletons.parquet" for shard in SCORES),
        tmp_path,
    )
    scoring.run(inputs, scoring.QualitySettings(), found["quality"].path, silent)
    return found


@pytest.fixture
def shown(api: str, tmp_path: Path) -> Callable[[dict[str, Artifact]], dict[str, Any]]:
    """Shows a run's artifacts in a flow, and reads back what Prefect holds of that flow run by key."""

    def call(artifacts: dict[str, Artifact]) -> dict[str, Any]:
        @flow(persist_result=False)
        def once() -> str:
            show(Result(artifacts, ("quality",), "run", 1.0), tmp_path / "raw")
            return str(flow_run.id)

        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[once()]))
        with get_client(sync_client=True) as client:
            return {str(artifact.key): artifact for artifact in client.read_artifacts(artifact_filter=wanted)}

    return call


def test_the_steps_of_a_run_are_a_table(shown, artifacts) -> None:
    rows = {row["step"]: row for row in json.loads(shown(artifacts)["steps"].data)}
    assert list(rows) == ["index", "skeletons train-000", "skeletons test-000", "quality"]
    assert (rows["index"]["state"], rows["quality"]["state"], rows["quality"]["seconds"]) == ("kept", "built", 1.5)


def test_the_check_of_the_data_set_is_a_table(shown, artifacts) -> None:
    table = shown(artifacts)["data-check"]
    assert table.description == "No problem found, 2 notes."
    assert json.loads(table.data) == [
        {
            "kind": "note",
            "found": "identities seen by one camera only: 1 of 1",
            "which": "identity 1 (train, camera 1)",
        },
        {
            "kind": "note",
            "found": "6 of 7 tracklets are shorter than a clip of 8 frames",
            "which": "1 (7 frames), 2 (6 frames), 3 (5 frames), 4 (4 frames), 5 (3 frames), …",
        },
        {"kind": "lengths", "found": "frames of a tracklet  ▁▅█▃", "which": "1: 0, 2 to 3: 2, 4 to 7: 4, 8 to 15: 1"},
    ]


def test_the_quality_of_skeletons_is_a_table_with_a_row_a_split_and_camera(shown, artifacts) -> None:
    rows = json.loads(shown(artifacts)["skeleton-quality"].data)
    assert [(row["skeletons"], row["frames"]) for row in rows] == [
        ("query, camera 2", "3"),
        ("train, camera 1", "6"),
        ("all", "9"),
    ]
    shares = {"ok": "66.7 %", "low confidence": "0.0 %", "nobody found": "33.3 %", "unreadable": "0.0 %"}
    assert (
        rows[0].items() >= (shares | {"filled": "33.3 %", "mean score": "0.50", "scores 0 to 1": "▁▁▁▁▁█▁▁▁▁"}).items()
    )
    assert {"limb variation", "jitter per frame", "swaps per 100 frames"} <= rows[0].keys()
    assert rows[0]["jitter per frame"] == "–", "no three frames in a row were seen"


def test_the_best_and_the_worst_tracklets_are_pictures_below_the_size_that_prefect_should_hold(
    shown, artifacts
) -> None:
    found = shown(artifacts)
    pictures = {key: artifact for key, artifact in found.items() if artifact.type == "image"}
    told = {key: artifact.description.split(",")[0] for key, artifact in pictures.items()}
    assert told == {
        "skeletons-best-1": "Best: 0001C1T0001",
        "skeletons-best-2": "Best: 0002C1T0001",
        "skeletons-worst-1": "Worst: 0003C2T0001",
    }, "the median is among the best here, and no tracklet is shown twice"
    for artifact in pictures.values():
        assert len(artifact.data) <= LARGEST
        data = base64.b64decode(artifact.data.removeprefix("data:image/jpeg;base64,"))
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[1] == FRAMES * 128 + (FRAMES - 1) * 4


def test_a_run_that_stopped_before_the_quality_shows_nothing_of_it(shown, artifacts) -> None:
    del artifacts["quality"]
    assert shown(artifacts).keys() == {"steps", "data-set", "data-check"}


@pytest.fixture
def evaluated(artifacts, tmp_path) -> dict[str, Artifact]:
    """As `artifacts`, with the evaluations of two models on test tracklets of three people."""
    found = dict(artifacts)
    store = found["index"].store
    rng = np.random.default_rng(0)
    rows = [(f"{pid:04d}C{camid}T0001", pid, camid) for pid in (3, 4, 5) for camid in (1, 2)]
    frames = tuple(f"{t}.png" for t in range(FRAMES))
    tracklets = [Tracklet(name, "query" if camid == 1 else "gallery", pid, camid, frames) for name, pid, camid in rows]
    write_table(index_table(tracklets), found["index"].path / "test-001.parquet")
    poses = Artifact(store, "skeletons", "test-001", "digest", {"files": {}, "made": {"seconds": 0.1}})
    poses.path.mkdir(parents=True)
    values = {name: [np.zeros((FRAMES, *shape)) for _ in rows] for name, shape in SKELETON_SHAPES.items()}
    write_table(ragged_table([name for name, *_ in rows], values, SKELETONS), poses.path / "skeletons.parquet")
    found["skeletons test-001"] = poses
    for number, model in enumerate(("visual", "finetuned")):
        vectors = [np.eye(8)[pid] + (1.5 - number) * 0.3 * rng.normal(size=8) for _, pid, _ in rows]
        columns = [[name, "query" if camid == 1 else "gallery", pid, camid, 0, FRAMES] for name, pid, camid in rows]
        table = pa.Table.from_pylist(
            [dict(zip(EMBEDDINGS.names, [*c, v.tolist()], strict=True)) for c, v in zip(columns, vectors, strict=True)],
            EMBEDDINGS,
        )
        write_table(table, tmp_path / f"{model}.parquet")
        artifact = Artifact(store, "metrics", model, "digest", {"files": {}, "made": {"seconds": 0.1}})
        artifact.path.mkdir(parents=True)
        evaluate.run(evaluate.Inputs((tmp_path / f"{model}.parquet",)), evaluate.EvaluationSettings(), artifact.path)
        found[f"metrics {model}"] = artifact
    return found


def test_metrics_are_told_with_their_intervals_and_kept_as_numbers(shown, evaluated) -> None:
    table = shown(evaluated)["metrics"]
    assert "95 % intervals: bootstrap over 3 identities" in table.description
    rows = json.loads(table.data)
    assert [row["model"] for row in rows] == ["visual encoder alone", "after finetuning", "chance"]
    assert list(rows[0]) == ["model", "mAP", "mINP", "Rank-1", "Rank-5", "Rank-10", "Rank-20"]
    assert re.fullmatch(r"\d+\.\d \(\d+\.\d–\d+\.\d\)", rows[1]["mAP"])
    assert re.fullmatch(r"\d+\.\d", rows[2]["mAP"]), "chance is exact"
    numbers = Result(evaluated, (), "run", 1.0).metrics
    assert [f"{100 * row['mAP']:.1f}" for row in numbers] == [row["mAP"].partition(" (")[0] for row in rows]


def test_the_cmc_curve_and_two_queries_with_their_answers_are_pictures(shown, evaluated) -> None:
    found = shown(evaluated)
    curve = base64.b64decode(found["cmc"].data.removeprefix("data:image/png;base64,"))
    assert cv2.imdecode(np.frombuffer(curve, np.uint8), cv2.IMREAD_COLOR).shape[1] > 600
    for kind in ("easy", "hard"):
        picture = found[f"query-{kind}"]
        assert len(picture.data) <= LARGEST
        assert re.match(rf"{kind.capitalize()}: 000\dC1T0001, average precision", picture.description)
        data = base64.b64decode(picture.data.removeprefix("data:image/jpeg;base64,"))
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[1] > 6 * WIDTH


def test_a_ranking_without_images_has_a_curve_and_no_pictures_of_queries(shown, evaluated) -> None:
    del evaluated["quality"]
    found = shown(evaluated)
    assert "cmc" in found
    assert not [key for key in found if key.startswith("query-")]


def test_tracklets_whose_frames_are_gone_are_shown_as_such(shown, artifacts, tmp_path) -> None:
    for frame in (tmp_path / "raw").iterdir():
        frame.unlink()
    assert "skeletons-best-1" in shown(artifacts)
