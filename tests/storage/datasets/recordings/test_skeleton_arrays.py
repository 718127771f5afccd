"""Sequences in NumPy archives: what is read, by which columns it is chosen, and what is told of damaged ones."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from storage.datasets.recordings.readers import (
    SEQUENCE_READERS,
    SequenceSettings,
    in_camera_axes,
    skeleton_type,
)
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.index import DataSettings, scan, summary
from storage.skeleton import KINECT20, SkeletonType, described_kind, skeleton_of, skeleton_text
from storage.tables.tracklets import Tracklet
from tests.storage.datasets.recordings.skeleton_trees import write_arrays

READER = SEQUENCE_READERS["skeleton_arrays"]
CHOICES: dict[str, Any] = {
    "train": {"test": False},
    "query": {"test": True, "condition": "N"},
    "gallery": {"test": True, "condition": ["AR"]},
}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Four people of two walks each, with arrays changed or (None) left out."""

    def call(name: str = "walks.npz", **changed: Any) -> Path:
        write_arrays(tmp_path / name, changed)
        return tmp_path

    return call


def read(root: Path, **settings: Any) -> list[Tracklet]:
    return READER.read(DataFiles(root), SequenceSettings(**{**CHOICES, **settings}))


def kind_of(root: Path) -> SkeletonType:
    return skeleton_type(DataFiles(root), "skeleton_arrays", SequenceSettings())


def told(root: Path, **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(root, **settings)
    assert str(caught.value).isascii()
    assert caught.value.fix
    return str(caught.value)


# -- what is read -------------------------------------------------------------


def test_sequences_train_ask_and_answer_by_their_columns(make: Callable[..., Path]) -> None:
    found = [(r.tracklet_id, r.split, r.pid, r.camid, r.frames) for r in read(make())]
    file = ("walks.npz",)
    assert found == [
        ("walks/00000", "train", 1, 1, file),
        ("walks/00001", "train", 1, 1, file),
        ("walks/00004", "train", 3, 1, file),
        ("walks/00005", "train", 3, 1, file),
        ("walks/00002", "query", 2, 2, file),
        ("walks/00006", "query", 4, 2, file),
        ("walks/00003", "gallery", 2, 3, file),
        ("walks/00007", "gallery", 4, 3, file),
    ]


def test_only_takes_out_of_every_split_and_columns_of_any_type_choose(make: Callable[..., Path]) -> None:
    root = make()
    left = read(root, only={"person": [1, 2, 4]})
    assert {r.pid for r in left if r.split == "train"} == {1}
    chosen = read(root, train={"person": 3}, query={"person": 4, "condition": "AR"}, gallery={"person": [1, 2]})
    assert [r.pid for r in chosen] == [3, 3, 4, 1, 1, 2, 2]


def test_a_column_can_say_the_camera(make: Callable[..., Path]) -> None:
    root = make(place=np.array([1, 2, 3, 4, 5, 6, 7, 8]))
    assert [r.camid for r in read(root, camera="place")] == [1, 2, 5, 6, 3, 7, 4, 8]
    assert "condition is 'N', no whole number of a camera" in told(root, camera="condition")
    assert "data.sequences.camera: there is no array 'lens'" in told(root, camera="lens")


def test_frames_are_those_of_the_sequence_in_the_files_axes_and_valid_ones_are_said(make: Callable[..., Path]) -> None:
    root = make()
    recordings = read(root)
    held = np.load(root / "walks.npz")
    frames = list(READER.frames(DataFiles(root), recordings[-1:] + recordings[:1], kind_of(root)))
    assert np.array_equal(frames[0][0], held["joints"][held["start"][7] :])
    assert np.array_equal(frames[1][0], held["joints"][: held["start"][1]])
    assert frames[1][1].tolist() == [False, *[True] * (held["start"][1] - 1)], "the first frame is marked"


@pytest.mark.parametrize(("axes", "turned"), [("camera", [1, 2, 3]), ("kinect", [-1, -2, 3]), ("z_up", [1, -3, 2])])
def test_axes_are_turned_to_the_cameras(axes: str, turned: list[float]) -> None:
    joints = np.array([[1, 2, 3]], np.float32)
    assert in_camera_axes(joints, SequenceSettings(axes=axes)).tolist() == [turned]


def test_the_skeleton_is_the_files_own(make: Callable[..., Path]) -> None:
    root = make()
    kind = kind_of(root)
    assert kind.joints == ("hip_left", "knee_left", "hip_right", "knee_right", "pelvis", "head")
    assert kind.edges == ((4, 0), (0, 1), (4, 2), (2, 3), (4, 5))
    assert kind.root == (4,)
    assert kind.mirror_order == (2, 3, 0, 1, 4, 5)
    assert skeleton_of(skeleton_text(kind)) == kind
    assert described_kind(kind.described) == kind
    assert described_kind(KINECT20.described) == KINECT20 == skeleton_of("kinect20")
    assert skeleton_of("{") is None


def test_a_root_is_named_or_between_the_hips(make: Callable[..., Path]) -> None:
    assert kind_of(make(root=np.array(["hip_left", "hip_right"]))).root == (0, 2)
    names = ["hip_left", "knee_left", "hip_right", "knee_right", "chest", "head"]
    assert kind_of(make(joint_names=np.array(names))).root == (0, 2)
    names[0], names[2] = "a_left", "a_right"
    assert "root: no joint is called pelvis" in told(make(joint_names=np.array(names)))


def test_skeletons_that_csip_knows_are_known(make: Callable[..., Path]) -> None:
    joints = np.random.default_rng(0).normal(scale=0.4, size=(24, 20, 3)).astype(np.float32)
    named = {"joint_names": np.array(KINECT20.joints), "bones": np.array(KINECT20.edges), "joints": joints}
    assert kind_of(make(**named)) is KINECT20


# -- what is told -------------------------------------------------------------

GOOD = np.random.default_rng(0).normal(scale=0.4, size=(24, 6, 3)).astype(np.float32)
BROKEN = GOOD.copy()
BROKEN[5, 2, 1] = np.nan
NAMES = ["hip_left", "knee_left", "hip_right", "knee_right", "pelvis", "head"]
BONES = [[4, 0], [0, 1], [4, 2], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"joints": None, "bones": None}, r"joints: there is no such array\n  bones: there is no such array"),
        ({"joints": GOOD[..., :2]}, "joints: its last axis is 2, not 3"),
        ({"joints": GOOD.astype(np.int16)}, "joints: is int16 of shape .* it must be floats"),
        ({"joints": GOOD[:, :5]}, "joint_names: has 6 values for 5 joints"),
        ({"joints": BROKEN}, "joints: 1 valid frames hold what is no number, frame 5 first; mark them in `valid`"),
        ({"joints": 1000 * GOOD}, "joints: bodies are .* m tall; write them in metres"),
        ({"person": np.arange(7)}, "person: has 7 values for 8 sequences"),
        ({"person": np.array(["a"] * 8)}, "person: is <U1 of shape .* it must be whole numbers"),
        ({"valid": np.ones(23, bool)}, "valid: has 23 values for 24 frames"),
        ({"valid": np.zeros(24, bool)}, "valid: no frame is"),
        ({"start": np.array([0, 3, 6, 9, 9, 15, 18, 21, 24])}, "start: must rise, but sequence 3 starts at 9"),
        ({"start": np.array([0, 3, 6, 9, 12, 15, 18, 21, 25])}, "start: goes from 0 to 25, not from 0 to the 24"),
        ({"start": np.array([0]), "person": np.zeros(0, int)}, "start: there is no sequence"),
        ({"bones": np.array([*BONES[:4], [4, 6]])}, "bones: bone 4 joins 4 and 6, but joints are 0 to 5"),
        ({"bones": np.array([*BONES[:4], [4, 4]])}, "bones: bone 4 joins 4 and 4, which is no bone"),
        ({"bones": np.array([*BONES, [0, 4]])}, "bones: bone 5 joins 0 and 4, a second time"),
        ({"bones": np.array(BONES[:4])}, "bones: no bone leads from the root to 'head'"),
        ({"bones": np.array([[[0, 1]]])}, "bones: is int64 of shape .* whole numbers, bones x 2"),
        ({"joint_names": np.array([*NAMES[:5], "pelvis"])}, "joint_names: 'pelvis' is there 2 times"),
        ({"joint_names": np.array([*NAMES[:5], "ear_left"])}, "joint_names: 'ear_left' has no 'ear_right'"),
        ({"root": np.array(["middle"])}, "root: there is no joint 'middle'"),
        ({"joints": np.array([{}] * 24)}, "cannot be read as an archive of NumPy arrays: Object arrays"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_the_file_and_the_array(
    make: Callable[..., Path], changed: Mapping[str, Any], message: str
) -> None:
    root = make(**changed)
    with pytest.raises(DataError, match=rf"(?s){message}.*walks\.npz"):
        read(root)


def test_a_choice_of_what_is_not_there_is_told_with_what_is(make: Callable[..., Path]) -> None:
    root = make()
    assert "no array 'joints' of a value a sequence; there are person, condition, test" in told(
        root, query={"joints": 1}
    )
    assert "data.sequences.gallery: condition is never OA, XX; it is AR, N" in told(
        root, gallery={"condition": ["OA", "N", "XX"]}
    )
    assert "data.sequences.only: condition is never True" in told(root, only={"condition": True})
    assert "no sequence is left for query" in told(root, query={"test": False, "condition": "N", "person": 2})
    assert "walks/00002: data.sequences.query and data.sequences.gallery both choose it" in told(
        root, gallery={"test": True}
    )
    assert "data.sequences.train: there is no array 'split'" in told(root, train={"split": ["train"]})


def test_values_are_taken_as_what_they_are() -> None:
    chosen = SequenceSettings(train={"a": True, "b": 1, "c": "1"}).train
    assert [type(values[0]) for values in chosen.values()] == [bool, int, str]
    with pytest.raises(ValidationError):
        SequenceSettings(train={"a": 0.5})


def test_other_files_and_other_skeletons_are_told(make: Callable[..., Path]) -> None:
    root = make()
    assert "there is no file other.npz" in told(root, files="other.npz")
    make("turned.npz", bones=np.array(BONES)[:, ::-1])
    assert "joint_names, bones or root are others than in turned.npz" in told(root)
    assert read(root, files="walks.npz")
    (root / "broken.npz").write_bytes((root / "walks.npz").read_bytes()[:300])
    assert "cannot be read as an archive of NumPy arrays" in told(root, files="broken.npz")
    np.save(root / "single", np.zeros(3))
    (root / "single.npy").rename(root / "single.npz")
    assert "it is one array" in told(root, files="single.npz")


def test_real_walkers_come_towards_the_camera_upright(shared_data: Path) -> None:
    faulty = {"test": True, "condition": ["AR", "AL"]}
    only = {"walking": True, "condition": ["N", "AR", "AL"]}
    chosen = SequenceSettings(files="ucalgary.npz", axes="kinect", only=only, **{**CHOICES, "gallery": faulty})
    files = DataFiles(shared_data / "gait")
    recordings = READER.read(files, chosen)
    counts = {s: sum(r.split == s for r in recordings) for s in ("train", "query", "gallery")}
    assert counts == {"train": 80, "query": 25, "gallery": 50}
    assert len({r.pid for r in recordings if r.split != "train"}) == 13
    kind = skeleton_type(files, "skeleton_arrays", chosen)
    assert [kind.joints[joint] for joint in kind.root] == ["spine_base"]
    for joints, valid in READER.frames(files, recordings[::20], kind):
        place = dict(zip(kind.joints, np.moveaxis(in_camera_axes(joints[valid], chosen), 1, 0), strict=True))
        assert (place["head"][:, 1] < place["foot_left"][:, 1]).all(), "y points down"
        assert place["spine_base"][0, 2] > place["spine_base"][-1, 2] > 0, "z points away"
        assert (place["hip_left"][:, 0] > place["hip_right"][:, 0]).mean() > 0.95, (
            "who faces us has the left on our right"
        )


def test_a_file_of_many_people_is_no_copy_of_itself_and_another_file_may_be(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    def told(root: Path) -> str:
        chosen = DataSettings(root=root, layout="skeleton_arrays", sequences=SequenceSettings(**CHOICES))
        said = summary(scan(chosen, tmp_path / "cache"), chosen)
        return str(said["problems"] + said["notes"])

    root = make()
    assert "same bytes" not in told(root)
    (root / "copy.npz").write_bytes((root / "walks.npz").read_bytes())
    assert "1 group of frames of several tracklets of one identity with the same bytes" in told(root)


# -- skeletons of their own in Parquet ---------------------------------------


def test_a_table_can_bring_its_own_skeleton_too(tmp_path: Path) -> None:
    columns = {
        "tracklet_id": ["a", "b", "c"],
        "split": ["train", "query", "gallery"],
        "pid": [1, 2, 2],
        "camid": [1, 1, 2],
        "keypoints": [np.ones(18, np.float32)] * 3,
    }

    def write(text: str) -> DataFiles:
        table = pa.table(columns).replace_schema_metadata({"csip.skeleton": text})
        pq.write_table(table, tmp_path / "mine.parquet")
        return DataFiles(tmp_path)

    described = {"joints": NAMES, "bones": BONES, "root": ["pelvis"]}
    kind = skeleton_type(write(json.dumps(described)), "skeletons", SequenceSettings())
    assert (kind.joints, kind.root) == (tuple(NAMES), (4,))
    for text in ("{", "[]", "{}", json.dumps(described | {"bones": [[0, 9]]})):
        with pytest.raises(DataError, match=r"(?s)metadata csip.skeleton describes no skeleton:.*mine.parquet"):
            skeleton_type(write(text), "skeletons", SequenceSettings())
