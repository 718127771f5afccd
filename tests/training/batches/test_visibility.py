from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from storage.errors import DataError
from storage.tables.parquet import ragged_table, write_table
from storage.tables.schema import SKELETONS
from storage.tables.tracklets import Tracklet
from training.batches.visibility import LEAST, UNREADABLE, visibility

OK, NO_PERSON = 0, 2


def tracklet(name: str, frames: int) -> Tracklet:
    return Tracklet(name, "query", 1, 1, tuple(f"{name}/{number}.jpg" for number in range(frames)))


@pytest.fixture
def shard(tmp_path: Path):
    """Writes skeletons of which each joint of a frame scores the same."""

    def write(**rows: Sequence[tuple[float, int]]) -> list[Path]:
        scores = [np.repeat(np.array([[score] for score, _ in frames]), 17, axis=1) for frames in rows.values()]
        columns = {
            "keypoints_3d": [np.zeros((len(s), 17, 3)) for s in scores],
            "keypoints_2d": [np.zeros((len(s), 17, 2)) for s in scores],
            "scores": scores,
            "status": [np.array([status for _, status in frames], np.uint8) for frames in rows.values()],
            "filled": [np.zeros(len(s), np.bool_) for s in scores],
        }
        write_table(ragged_table(list(rows), columns, SKELETONS), tmp_path / "skeletons.parquet")
        return [tmp_path / "skeletons.parquet"]

    return write


def test_a_frame_counts_as_the_root_of_what_its_joints_score(shard) -> None:
    paths = shard(a=[(0.5625, OK), (0.0625, NO_PERSON)], b=[(0.25, OK)])
    b, a = visibility(paths, [tracklet("b", 1), tracklet("a", 2)])
    assert a.tolist() == [0.75, 0.25]
    assert b.tolist() == [0.5]


def test_a_frame_whose_skeleton_could_not_be_read_is_unknown_and_not_bad(shard) -> None:
    paths = shard(a=[(0.125, OK), (0, UNREADABLE), (0.375, OK)], b=[(0, UNREADABLE), (0, UNREADABLE)])
    a, b = visibility(paths, [tracklet("a", 3), tracklet("b", 2)])
    np.testing.assert_allclose(a, np.sqrt([0.125, 0.25, 0.375]), rtol=1e-6)
    assert b.tolist() == [1, 1]


def test_a_tracklet_with_nobody_in_it_still_has_weights(shard) -> None:
    (weights,) = visibility(shard(a=[(0, NO_PERSON), (0, NO_PERSON)]), [tracklet("a", 2)])
    assert weights.tolist() == pytest.approx([LEAST**0.5] * 2)


def test_skeletons_of_another_index_are_refused(shard) -> None:
    with pytest.raises(DataError, match="1 skeletons for 2 frames"):
        visibility(shard(a=[(1, OK)]), [tracklet("a", 2)])
