"""The quality of skeletons as rows: what was measured is rounded, and what was not is a dash."""

from evaluation.page.quality_rows import accuracy_rows, joint_table, status_rows


def test_status_shares_of_a_group_add_up_to_its_bar() -> None:
    status = {"ok": 0.9, "low_confidence": 0.05, "no_person": 0.04, "unreadable": None}
    group = {"split": "train", "camid": 2, "frames": 1000, "status": status, "mean_score": 0.8123, "jitter_mm": None}
    (row,) = status_rows({"groups": [group]})
    assert row["name"] == "train, camera 2"
    assert [share["text"] for share in row["shares"]] == ["90.0", "5.0", "4.0", "0.0"]
    assert (row["score"], row["jitter"]) == ("0.81", "–")


def test_what_could_not_be_measured_is_a_dash_and_what_was_is_rounded() -> None:
    status = dict.fromkeys(("ok", "low_confidence", "no_person", "unreadable"), 0.25)
    group = {"split": None, "camid": None, "frames": 4, "status": status}
    (row,) = status_rows({"groups": [group]})
    measures = ("filled", "score", "limbs", "jitter", "swaps")
    assert [row[name] for name in measures] == ["–"] * 5
    assert row["histogram"]["heights"] == []
    measured = {"filled": 0.031, "mean_score": 0.777, "limb_variation_mm": 6.7, "jitter_mm": 16.2, "swaps": 0.449}
    (row,) = status_rows({"groups": [group | measured]})
    assert [row[name] for name in measures] == ["3.1", "0.78", "7", "16", "0.4"]


def test_without_truth_there_are_no_accuracy_rows() -> None:
    assert accuracy_rows({"accuracy": None}) == []
    assert joint_table({"accuracy": None}) is None


MEASURED = {
    "frames": 1200,
    "mpjpe_mm": 61.234,
    "pa_mpjpe_mm": 40.0,
    "pck": 0.93,
    "pck_threshold": 0.1,
    "mpjpe_filled_mm": 70.01,
    "by_joint": {"right_hip": {"mpjpe_mm": 20.04, "pa_mpjpe_mm": 25.0, "pck": None}},
}


def test_accuracy_has_a_row_for_whoever_was_measured_and_filled_frames_by_themselves() -> None:
    rows = accuracy_rows({"accuracy": {"all": MEASURED, "test": None}})
    assert [(r["name"], r["values"]) for r in rows] == [("everybody", ["1,200", "61.2", "40.0", "93.0", "70.0"])]


def test_accuracy_by_joint_is_of_the_test_identities_where_there_are_any() -> None:
    table = joint_table({"accuracy": {"all": MEASURED, "test": None}})
    assert table == {"name": "everybody", "rows": [{"name": "right hip", "values": ["20.0", "25.0", "–"]}]}
    other = MEASURED | {"by_joint": {}}
    assert joint_table({"accuracy": {"all": MEASURED, "test": other}}) == {"name": "test identities", "rows": []}
