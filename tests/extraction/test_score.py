import json

import numpy as np
import pytest

from extraction.score import TRUTH, Inputs, QualitySettings, errors, ranked_tracklets, run
from storage.errors import DataError, StoreError
from storage.progress import silent
from storage.skeleton import JOINTS
from storage.tables.parquet import Ragged, ragged_table, write_table
from storage.tables.schema import SKELETONS
from storage.tables.tracklets import Tracklet, index_table

OK, LOW, NO_PERSON, UNREADABLE = range(4)
IDS = ("0001C1T0001", "0002C1T0001", "0003C2T0001")
SPLITS = ("train", "query", "gallery")


def standing(frames: int) -> np.ndarray:
    """A body that stays as it is, (T, 17, 3) metres."""
    return np.tile(np.random.default_rng(0).normal(0, 0.3, (17, 3)), (frames, 1, 1)).astype(np.float32)


def columns(frames: int, score: float = 0.8) -> dict[str, np.ndarray]:
    body = standing(frames)
    return {
        "keypoints_3d": body,
        "keypoints_2d": body[..., :2] * 100 + 50,
        "scores": np.full((frames, 17), score, np.float32),
        "status": np.zeros(frames, np.uint8),
        "filled": np.zeros(frames, np.bool_),
    }


def write(path, rows: list[dict[str, np.ndarray]], ids=IDS):
    write_table(ragged_table(ids, {n: [row[n] for row in rows] for n in SKELETONS.names[2:]}, SKELETONS), path)
    return path


@pytest.fixture
def rows() -> list[dict[str, np.ndarray]]:
    """Three tracklets, 4, 3 and 2 frames, surest first."""
    return [columns(4, 0.9), columns(3, 0.6), columns(2, 0.3)]


@pytest.fixture
def score(tmp_path):
    """Run the stage on these skeletons, as the shards of two splits, and read its answer."""

    def score(rows, **settings):
        tracklets = [
            Tracklet(i, s, int(i[:4]), int(i[5]), tuple(f"{i}F{t:03}.jpg" for t in range(len(row["status"]))))
            for i, s, row in zip(IDS, SPLITS, rows, strict=True)
        ]
        write_table(index_table(tracklets[:1]), tmp_path / "train.parquet")
        write_table(index_table(tracklets[1:]), tmp_path / "test.parquet")
        shards = (
            write(tmp_path / "a.parquet", rows[:1], IDS[:1]),
            write(tmp_path / "b.parquet", rows[1:], IDS[1:]),
        )
        inputs = Inputs((tmp_path / "train.parquet", tmp_path / "test.parquet"), shards, tmp_path)
        run(inputs, QualitySettings(**settings), tmp_path, silent)
        return json.loads((tmp_path / "quality.json").read_text())

    return score


def test_statuses_are_counted_for_each_split_and_camera(rows, score):
    rows[1]["status"][:] = [LOW, NO_PERSON, OK]
    groups = score(rows)["groups"]
    assert [(g["split"], g["camid"], g["frames"]) for g in groups] == [
        ("gallery", 2, 2),
        ("query", 1, 3),
        ("train", 1, 4),
        (None, None, 9),
    ]
    assert groups[1]["status"] == {"ok": 0.3333, "low_confidence": 0.3333, "no_person": 0.3333, "unreadable": 0}
    assert groups[3]["status"]["ok"] == pytest.approx(7 / 9, abs=1e-4)
    assert groups[2]["mean_score"] == pytest.approx(0.9)


def test_the_surest_and_the_least_sure_tracklets_are_named(rows, score):
    ranked = score(rows, shown=1)["ranked"]
    assert [ranked[kind][0]["tracklet_id"] for kind in ("best", "median", "worst")] == list(IDS)


def posed(*scores: float) -> tuple[Ragged, dict[str, np.ndarray]]:
    """Tracklets a, b, c, ... of one frame with these scores, and their columns to change."""
    rows = [columns(1, score) for score in scores]
    values = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    return Ragged(tuple("abcdefgh"[: len(rows)]), np.arange(len(rows) + 1), values), values


def named(found: Ragged, count: int) -> dict[str, str]:
    return {kind: "".join(r["tracklet_id"] for r in rows) for kind, rows in ranked_tracklets(found, count).items()}


def test_equal_scores_are_ranked_by_name():
    found, _ = posed(0.5, 0.5, 0.5, 0.5, 0.5)
    assert named(found, 2) == {"best": "ab", "median": "bc", "worst": "ab"}


def test_a_tracklet_without_a_single_skeleton_is_neither_among_the_best_nor_in_the_middle():
    found, values = posed(0.9, 0.8, 0.7, 0.6, 0.1)
    values["status"][[0, 2, 4]] = NO_PERSON
    values["filled"][2] = True  # has one, from its neighbours
    assert named(found, 1) == {"best": "b", "median": "c", "worst": "e"}
    values["status"][:], values["filled"][:] = UNREADABLE, False
    assert named(found, 2) == {"best": "", "median": "", "worst": "ed"}


def test_frames_that_show_nobody_are_listed_with_their_paths(rows, score):
    rows[1]["status"][2] = NO_PERSON
    assert score(rows)["no_person"] == {"count": 1, "first": ["0002C1T0001F002.jpg"]}


def test_no_list_of_frames_is_endless(score):
    report = score([columns(40), columns(60), columns(2)])
    assert report["no_person"] == {"count": 0, "first": []}
    nobody = columns(60) | {"status": np.full(60, NO_PERSON, np.uint8)}
    listed = score([columns(40), nobody, columns(2)])["no_person"]
    assert (listed["count"], len(listed["first"])) == (60, 50)


def test_unreadable_frames_are_listed_with_their_paths(rows, score):
    rows[1]["status"][1] = UNREADABLE
    assert score(rows, max_bad_fraction=0.2)["unreadable"] == {"count": 1, "first": ["0002C1T0001F001.jpg"]}


def test_too_many_unreadable_frames_stop_the_run_and_are_named(rows, score):
    rows[0]["status"][:2] = UNREADABLE
    with pytest.raises(DataError, match=r"2 of 9 frames cannot be read\n.*0001C1T0001F000\.jpg, 0001C1T0001F001\.jpg"):
        score(rows, max_bad_fraction=0.2)
    score(rows, max_bad_fraction=0.23)


def test_perfect_skeletons_have_no_error(rows, score, tmp_path):
    (tmp_path / "truth").mkdir()
    write(tmp_path / TRUTH, rows[::-1], IDS[::-1])  # matched by name, not by order
    accuracy = score(rows)["accuracy"]
    assert accuracy["tracklets_without_truth"] == 0
    for part, frames in (("all", 9), ("test", 5)):
        assert accuracy[part]["frames_lifted"] == frames
        assert accuracy[part]["mpjpe_mm"] == 0
        assert accuracy[part]["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-3)
        assert accuracy[part]["pck"] == 1
        assert list(accuracy[part]["by_joint"]) == list(JOINTS)


def test_errors_are_in_millimetres_by_joint_and_turning_is_forgiven_by_pa_mpjpe():
    truth = columns(2)
    found = {name: values.copy() for name, values in truth.items()}
    found["keypoints_3d"][:, 3, 1] += 0.017
    measured = errors(Ragged(("a",), np.array([0, 2]), found), Ragged(("a",), np.array([0, 2]), truth), [(0, 0)])
    assert measured["mpjpe_mm"] == pytest.approx(1)
    assert measured["by_joint"]["right_foot"]["mpjpe_mm"] == pytest.approx(17, abs=1e-3)
    assert measured["by_joint"]["head"]["mpjpe_mm"] == 0
    found["keypoints_3d"] = truth["keypoints_3d"][..., [1, 0, 2]] * np.float32([1, -1, 1]) * 1.3
    measured = errors(Ragged(("a",), np.array([0, 2]), found), Ragged(("a",), np.array([0, 2]), truth), [(0, 0)])
    assert measured["mpjpe_mm"] > 100
    assert measured["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-3)


def test_a_missed_person_misses_every_visible_keypoint_and_an_unreadable_frame_is_nobodys_fault():
    truth, found = columns(4), columns(4)
    truth["scores"][:, 5] = 0  # hidden
    found["keypoints_2d"][:, 5] = 1e6
    found["status"][:] = [OK, OK, NO_PERSON, UNREADABLE]
    found["keypoints_2d"][2:] = 0
    truth["keypoints_2d"] = truth["keypoints_2d"] + 500
    found["keypoints_2d"][:2] += 500
    measured = errors(Ragged(("a",), np.array([0, 4]), found), Ragged(("a",), np.array([0, 4]), truth), [(0, 0)])
    assert measured["pck"] == pytest.approx(2 / 3, abs=1e-4)
    assert measured["by_joint"]["left_knee"]["pck"] is None
    assert measured["frames_lifted"] == 2


def test_a_filled_frame_has_a_skeleton_with_an_error_of_its_own():
    truth, found = columns(4), columns(4)
    found["status"][1:3] = NO_PERSON
    found["filled"][1] = True
    found["keypoints_3d"][1, :, 0] += 0.04
    measured = errors(Ragged(("a",), np.array([0, 4]), found), Ragged(("a",), np.array([0, 4]), truth), [(0, 0)])
    assert (measured["frames_lifted"], measured["frames_filled"]) == (3, 1)
    assert measured["mpjpe_filled_mm"] == pytest.approx(40, abs=1e-3)
    assert measured["mpjpe_mm"] == pytest.approx(40 / 3, abs=1e-3)
    found["filled"][:] = False
    measured = errors(Ragged(("a",), np.array([0, 4]), found), Ragged(("a",), np.array([0, 4]), truth), [(0, 0)])
    assert measured["mpjpe_filled_mm"] is None


def test_truth_of_another_length_is_refused(rows, score, tmp_path):
    (tmp_path / "truth").mkdir()
    write(tmp_path / TRUTH, [columns(4), columns(3), columns(1)])
    with pytest.raises(DataError, match="0003C2T0001"):
        score(rows)


def test_skeletons_of_other_tracklets_are_refused(rows, tmp_path):
    write_table(index_table([Tracklet("x", "train", 1, 1, ("a.jpg",))]), tmp_path / "index.parquet")
    inputs = Inputs((tmp_path / "index.parquet",), (write(tmp_path / "s.parquet", [columns(1)], ["y"]),), tmp_path)
    with pytest.raises(StoreError, match="different tracklets"):
        run(inputs, QualitySettings(), tmp_path, silent)


def test_the_report_is_the_same_bytes_every_time(rows, score, tmp_path):
    (tmp_path / "truth").mkdir()
    write(tmp_path / TRUTH, rows)
    score(rows)
    first = (tmp_path / "quality.json").read_bytes()
    score(rows)
    assert (tmp_path / "quality.json").read_bytes() == first
