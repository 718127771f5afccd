"""Test tracklets by their skeletons alone, against loops over frames written from the definition."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from storage.errors import DataError, WeightsError
from storage.progress import silent
from storage.tables.parquet import ragged_table, read_table, write_table
from storage.tables.schema import EMBEDDINGS, SKELETONS
from storage.tables.tracklets import Tracklet, index_table, read_index
from tests.training.conftest import Small
from tests.training.stages import Stages
from training import embed_skeletons
from training.files import load_tensors
from training.model.skeleton_encoder import load_skeleton_encoder
from training.settings import PROTOTYPES, FeatureSettings

OK, NOBODY = 0, 3


@pytest.fixture
def posed(small: Small, tmp_path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Skeletons (T, 17, 3) of the test tracklets, and which frames have one; the second tracklet has none."""
    rng, found = np.random.default_rng(1), {}
    for number, tracklet in enumerate(read_index(small.test)):
        there = np.arange(len(tracklet.frames)) != 1 if number == 0 else np.zeros(len(tracklet.frames), bool)
        found[tracklet.tracklet_id] = rng.normal(size=(len(there), 17, 3)).astype(np.float32), there
    columns = {
        "keypoints_3d": [poses for poses, _ in found.values()],
        "keypoints_2d": [np.zeros((len(poses), 17, 2)) for poses, _ in found.values()],
        "scores": [np.ones((len(poses), 17)) for poses, _ in found.values()],
        "status": [np.where(there, OK, NOBODY).astype(np.uint8) for _, there in found.values()],
        "filled": [np.zeros(len(there), np.bool_) for _, there in found.values()],
    }
    write_table(ragged_table(list(found), columns, SKELETONS), tmp_path / "posed.parquet")
    return found


def run(stages: Stages, small: Small, folder: Path, model: Path | None = None) -> dict[str, np.ndarray]:
    inputs = embed_skeletons.Inputs(small.test, folder / "posed.parquet", model or stages.ready("pretrain"))
    embed_skeletons.run(inputs, FeatureSettings(device="cpu"), folder, silent)
    rows = read_table([folder / "embeddings.parquet"], EMBEDDINGS).to_pylist()
    return {row["tracklet_id"]: np.array(row["embedding"]) for row in rows}


def test_an_embedding_is_the_mean_over_frames_with_a_skeleton_without_what_all_people_share(
    stages: Stages, small: Small, posed: dict[str, tuple[np.ndarray, np.ndarray]], tmp_path: Path
) -> None:
    found = run(stages, small, tmp_path)
    folder = stages.ready("pretrain")
    encoder, _ = load_skeleton_encoder(folder)
    encoder.eval()
    prototypes = load_tensors(folder / PROTOTYPES)["skeleton"].numpy()
    shared = np.mean([row / np.linalg.norm(row) for row in prototypes], axis=0)
    (name, (poses, there)), (empty, _) = posed.items()
    with torch.no_grad():
        joints = [encoder(torch.from_numpy(pose)[None, None])[0, 0].mean(0).numpy() for pose in poses[there]]
    feature = np.mean(joints, axis=0)
    centred = feature / np.linalg.norm(feature) - shared
    np.testing.assert_allclose(found[name], centred / np.linalg.norm(centred), atol=1e-5)
    assert not found[empty].any()
    assert json.loads((tmp_path / "notes.json").read_text()) == {"without_skeleton": [empty]}


def test_a_tracklet_that_extraction_did_not_see_is_an_error(
    stages: Stages, small: Small, posed: object, tmp_path: Path
) -> None:
    tracklets = read_index(small.test)
    other = Tracklet("9999C1T0001", "gallery", 9, 1, tracklets[0].frames)
    write_table(index_table([*tracklets, other]), tmp_path / "more.parquet")
    inputs = embed_skeletons.Inputs(tmp_path / "more.parquet", tmp_path / "posed.parquet", stages.ready("pretrain"))
    with pytest.raises(DataError, match="9999C1T0001"):
        embed_skeletons.run(inputs, FeatureSettings(device="cpu"), tmp_path, silent)


def test_a_folder_that_holds_no_skeleton_encoder_is_refused(
    stages: Stages, small: Small, posed: object, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="no skeleton encoder but 'visual'"):
        run(stages, small, tmp_path, stages.ready("visual"))
