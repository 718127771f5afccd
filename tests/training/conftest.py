"""A data set of four identities with skeletons, small enough to train on in a second."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from storage.index import DataSettings, scan, write_index
from storage.tables.parquet import ragged_table, write_table
from storage.tables.schema import SKELETONS
from storage.tables.tracklets import read_index
from training.settings import EncoderSettings

if TYPE_CHECKING:
    from tests.training.stages import Stages


@dataclass(frozen=True)
class Small:
    """Paths of a small data set's artifacts, and the encoder to use on it."""

    root: Path
    train: Path
    test: Path
    skeletons: Path
    encoder: EncoderSettings


@pytest.fixture
def small(make_mars: Callable[..., Path], tmp_path: Path) -> Small:
    train = [(f"{pid:04d}", camera, 1, range(1, 6)) for pid in (1, 2, 3, 4) for camera in (1, 2)]
    root = make_mars(train=train, test=[("0007", 1, 1, (1, 2, 3)), ("0007", 2, 1, (1, 2))], queries=[1])
    (root / "bbox_train/0001/0001C1T0001F002.jpg").write_bytes(b"")
    for frame in (root / "bbox_test/0007").glob("0007C2*"):
        frame.write_bytes(b"broken")
    settings = DataSettings(root=root, train_shards=1, test_shards=1)
    found = scan(settings, tmp_path / "cache")
    index = tmp_path / "index"
    index.mkdir()
    write_index(found, settings, index)
    rng = np.random.default_rng(0)
    rows = read_index(index / "train-000.parquet")
    lengths = [len(t.frames) for t in rows]
    status = [np.zeros(t, np.uint8) for t in lengths]
    status[0][1] = 3
    columns = {
        "keypoints_3d": [
            rng.normal(size=(t, 17, 3)) * (s < 2)[:, None, None] for t, s in zip(lengths, status, strict=True)
        ],
        "keypoints_2d": [np.zeros((t, 17, 2)) for t in lengths],
        "scores": [np.ones((t, 17)) for t in lengths],
        "status": status,
        "filled": [np.zeros(t, np.bool_) for t in lengths],
    }
    write_table(ragged_table([t.tracklet_id for t in rows], columns, SKELETONS), tmp_path / "skeletons.parquet")
    encoder = EncoderSettings(model="small", image_height=32, image_width=16, width=16, depth=1, heads=2, projection=8)
    return Small(root, index / "train-000.parquet", index / "test-000.parquet", tmp_path / "skeletons.parquet", encoder)


@pytest.fixture
def stages(small: Small, tmp_path: Path) -> "Stages":
    from tests.training.stages import Stages

    return Stages(small, tmp_path / "stages")
