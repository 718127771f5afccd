import json
from pathlib import Path

import numpy as np
import pytest

from extraction.skeleton_files import ExistingSettings, Inputs, read_skeleton, run
from extraction.skeletons import NO_PERSON, OK, UNREADABLE
from storage.datasets.skeleton_files import files_table
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.progress import silent
from storage.skeleton import JOINTS
from storage.tables.parquet import Ragged, read_ragged, write_table
from storage.tables.schema import SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import Tracklet, index_table


def standing(x: float = 0) -> np.ndarray:
    """A body 1.6 m tall whose pelvis is at (x, 1, 4), camera axes; its left hand reaches towards the camera."""
    body = np.zeros((17, 3))
    body[JOINTS.index("head"), 1] = -0.7
    body[[JOINTS.index("left_foot"), JOINTS.index("right_foot")], 1] = 0.9
    body[JOINTS.index("left_wrist")] = (0.2, -0.1, -0.5)
    return body + np.array((x, 1, 4))


def extract(root: Path, contents: list[str | None], **settings) -> Ragged:
    """The stage on one tracklet whose files hold these texts; None: there is no file."""
    names = [f"skeleton_3d/{i}.json" if text is not None else "" for i, text in enumerate(contents)]
    (root / "skeleton_3d").mkdir(exist_ok=True)
    for name, text in zip(names, contents, strict=True):
        if text is not None:
            (root / name).write_text(text)
    frames = tuple(f"{i}.jpg" for i in range(len(contents)))
    write_table(index_table([Tracklet("one", "train", 1, 1, frames)]), root / "index.parquet")
    write_table(files_table([Tracklet("one", "train", 1, 1, tuple(names))]), root / "files.parquet")
    inputs = Inputs(root, root / "index.parquet", root / "files.parquet")
    run(inputs, ExistingSettings(**settings), root, silent)
    return read_ragged([root / "skeletons.parquet"], SKELETONS, SKELETON_SHAPES)


def text(skeleton: np.ndarray) -> str:
    return json.dumps({"keypoints": skeleton.tolist()})


def test_skeletons_are_taken_as_they_are_with_the_pelvis_at_the_origin(tmp_path):
    found = extract(tmp_path, [text(standing()), text(standing(5))])
    for t in range(2):
        np.testing.assert_allclose(found.values["keypoints_3d"][t], standing() - (0, 1, 4), atol=1e-6)
    assert found.values["status"].tolist() == [OK, OK]
    assert (found.values["scores"] == 1).all()
    assert not found.values["keypoints_2d"].any()


@pytest.mark.parametrize(("unit", "metres"), [("m", 1), ("cm", 0.01), ("mm", 0.001)])
def test_other_units_and_axes_are_turned_into_ours(tmp_path, unit, metres):
    x, y, z = standing().T / metres
    z_up = np.stack([x, z, -y], -1)
    found = extract(tmp_path, [text(z_up)], unit=unit, axes="z_up")
    np.testing.assert_allclose(found.values["keypoints_3d"][0], standing() - (0, 1, 4), atol=1e-6)


def test_a_unit_that_makes_giants_or_dwarfs_is_refused_with_the_one_that_fits(tmp_path):
    with pytest.raises(DataError, match=r"existing\.unit=mm"):
        extract(tmp_path, [text(standing() * 1000)])


def test_every_frame_has_a_status_and_a_bad_file_spoils_no_other(tmp_path):
    bad = [None, "{", "[]", '{"keypoints": [[1, 2, 3]]}', '{"keypoints": null}', text(standing() * np.nan)]
    nobody = [text(np.zeros((17, 3))), '{"keypoints": []}']
    found = extract(tmp_path, [text(standing()), *bad, *nobody], max_gap=0)
    assert found.values["status"].tolist() == [OK] + [UNREADABLE] * len(bad) + [NO_PERSON] * len(nobody)
    assert not found.values["keypoints_3d"][1:].any()
    assert not found.values["scores"][1:].any()


def test_short_gaps_are_filled_and_marked_and_keep_their_status(tmp_path):
    moved = standing()
    moved[JOINTS.index("left_wrist"), 0] += 0.3
    found = extract(tmp_path, [text(standing()), None, text(np.zeros((17, 3))), text(moved), None], max_gap=2)
    assert found.values["filled"].tolist() == [False, True, True, False, False]
    assert found.values["status"].tolist() == [OK, UNREADABLE, NO_PERSON, OK, UNREADABLE]
    wrist = found.values["keypoints_3d"][:, JOINTS.index("left_wrist"), 0]
    np.testing.assert_allclose(wrist, [0.2, 0.3, 0.4, 0.5, 0], atol=1e-6)
    assert not found.values["scores"][[1, 2]].any()


def test_a_name_that_leads_out_of_the_data_root_is_refused(tmp_path):
    with pytest.raises(DataError, match="outside the data root"):
        read_skeleton(DataFiles(tmp_path), "../secret.json")
