import hashlib
from pathlib import Path

import pytest
import scipy.io

from storage.datasets import mars
from storage.demo.dataset import DemoSettings, make
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.frames.images import read_frame
from storage.tables.parquet import read_ragged
from storage.tables.schema import SKELETON_SHAPES, SKELETONS

SMALL = DemoSettings(train_identities=2, test_identities=2, cameras=2, tracklets=2, frames=3, distractors=1, workers=1)


def digest(root: Path) -> dict[str, str]:
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "small"
    make(SMALL, root)
    return root


def test_the_same_settings_make_the_same_bytes_with_any_number_of_workers(demo: Path, tmp_path: Path) -> None:
    make(SMALL.model_copy(update={"workers": 2}), tmp_path / "again")
    assert digest(tmp_path / "again") == digest(demo)


def test_another_seed_makes_other_people(demo: Path, tmp_path: Path) -> None:
    make(SMALL.model_copy(update={"seed": 8}), tmp_path / "other")
    assert digest(tmp_path / "other")["truth/skeletons.parquet"] != digest(demo)["truth/skeletons.parquet"]


def test_the_reader_takes_it_as_mars(demo: Path) -> None:
    tracklets = mars.read(DataFiles(demo))
    pids = {split: {t.pid for t in tracklets if t.split == split} for split in ("train", "query", "gallery")}
    assert pids == {"train": {1, 2}, "query": {3, 4}, "gallery": {0, 3, 4}}
    assert sum(t.split == "query" for t in tracklets) == 4
    rows = scipy.io.loadmat(demo / "info/tracks_test_info.mat")["track_test_info"]
    assert -1 in rows[:, 2], "there is a junk row, as in MARS"


def test_every_frame_is_there_with_its_true_joints(demo: Path) -> None:
    truth = read_ragged([demo / "truth/skeletons.parquet"], SKELETONS, SKELETON_SHAPES)
    position = truth.position()
    for tracklet in mars.read(DataFiles(demo)):
        values = truth.rows(position[tracklet.tracklet_id])
        assert values.stop - values.start == len(tracklet.frames)
        assert all(read_frame(DataFiles(demo), frame) is not None for frame in tracklet.frames)
    assert not truth.values["keypoints_3d"][:, 0].any()
    points = truth.values["keypoints_2d"]
    inside = ((points > 0) & (points < [SMALL.width, SMALL.height])).all(axis=-1)
    assert inside.mean() > 0.9


def test_it_is_made_once(demo: Path) -> None:
    frame = next((demo / "bbox_train").rglob("*.jpg"))
    before = frame.stat().st_mtime_ns
    make(SMALL, demo)
    assert frame.stat().st_mtime_ns == before


def test_a_folder_of_something_else_is_left_alone(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(DataError, match="something that is not the demo"):
        make(SMALL, tmp_path)
    with pytest.raises(DataError, match="demo data set of other settings"):
        make(SMALL.model_copy(update={"seed": 9}), demo)
    assert (tmp_path / "thesis.tex").exists()


def test_people_dressed_alike_differ_only_in_body_and_gait() -> None:
    from storage.demo.dataset import person_of

    same = SMALL.model_copy(update={"same_clothes": True})
    looks = [person_of(same, person)[2] for person in range(4)]
    assert len({(look.shirt, look.trousers, look.hair, look.bag) for look in looks}) == 1
    assert len({look.width for look in looks}) == 4
