import hashlib
from pathlib import Path

import pytest
import scipy.io

from storage.datasets import manifest, mars
from storage.demo.dataset import DemoSettings, make, person_of
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
    same = SMALL.model_copy(update={"same_clothes": True})
    looks = [person_of(same, person)[2] for person in range(4)]
    assert len({(look.shirt, look.trousers, look.hair, look.bag) for look in looks}) == 1
    assert len({look.width for look in looks}) == 4


def test_people_who_change_clothes_stay_who_they_are_and_a_manifest_names_their_clothes(tmp_path: Path) -> None:
    changing = SMALL.model_copy(update={"outfits": 2})
    (body, style, look), (same_body, same_style, other) = (person_of(changing, 3, outfit) for outfit in (0, 1))
    assert (body == same_body).all()
    assert style.frequency == same_style.frequency
    assert (look.skin, look.hair, look.width) == (other.skin, other.hair, other.width)
    assert (look.shirt, look.trousers) != (other.shirt, other.trousers)
    make(changing, tmp_path / "changing")
    tracklets = manifest.read(DataFiles(tmp_path / "changing"))
    worn = {(t.pid, t.camid, t.clothes) for t in tracklets if t.pid}
    assert worn == {(pid, camid, clothes) for pid in (1, 2, 3, 4) for camid in (1, 2) for clothes in (1, 2)}
    assert {t.clothes for t in tracklets if t.split == "query"} == {1}
    as_mars = {t.tracklet_id: (t.split, t.pid, t.camid, t.frames) for t in mars.read(DataFiles(tmp_path / "changing"))}
    assert {t.tracklet_id: (t.split, t.pid, t.camid, t.frames) for t in tracklets} == as_mars


def test_with_one_outfit_the_data_set_is_what_it_was_before_there_were_any(demo: Path) -> None:
    assert "outfits" not in (demo / "demo.json").read_text()
    assert not (demo / "manifest.csv").exists()
