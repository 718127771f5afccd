"""Bad input through the real command: one clear message, no traceback, and nothing that was finished is lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from typer.testing import CliRunner, Result

from flows.commands.app import app
from storage.store.artifacts import Store
from storage.tables.parquet import read_ragged
from storage.tables.schema import FRAME_STATUS, SKELETON_SHAPES, SKELETONS

Make = Callable[..., Path]
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, api: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("COLUMNS", "300")

    def call(root: Path, *options: str, extra: str = "") -> Result:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"name: bad-input\nstore: {tmp_path / 'store'}\n"
            f"data: {{root: {root}, train_shards: 1, test_shards: 1, max_missing_fraction: 0.2}}\n" + extra
        )
        return CliRunner().invoke(app, ["run", str(config), "--to", "index", *options])

    return call


def refused(result: Result, *says: str) -> None:
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert result.output.count("error:") == 1
    for words in says:
        assert words in result.output


def test_missing_folder(run: Run, tmp_path: Path) -> None:
    refused(run(tmp_path / "nowhere"), "the data set is not there", "nowhere", "data.root")


def test_missing_info_file(run: Run, make_mars: Make) -> None:
    root = make_mars()
    (root / "info/query_IDX.mat").unlink()
    refused(run(root), "info/query_IDX.mat missing")


def test_a_tracklet_that_mixes_identities_or_cameras(run: Run, make_mars: Make) -> None:
    root = make_mars()
    names = root / "info/train_name.txt"
    names.write_text(names.read_text().replace("0001C1T0001F002", "0002C2T0001F002", 1))
    refused(run(root), "tracks_train_info.mat row 1: says identity 1, its frames are of [1, 2]")


def test_a_frame_name_that_climbs_out_of_the_data_root(run: Run, make_mars: Make) -> None:
    root = make_mars()
    names = root / "info/train_name.txt"
    names.write_text(names.read_text().replace("0001C1T0001F002.jpg", "../../0001C1T0001F002.jpg", 1))
    refused(run(root), "'../../0001C1T0001F002.jpg' is not a frame name")


def test_a_query_row_that_does_not_exist(run: Run, make_mars: Make) -> None:
    root = make_mars()
    scipy.io.savemat(root / "info/query_IDX.mat", {"query_IDX": np.array([[77]])})
    refused(run(root), "row 77 is not among 1 to")


def test_a_misspelt_setting(run: Run, make_mars: Make) -> None:
    result = run(make_mars(), "--set", "finetune.epoch=3")
    refused(result, "finetune.epoch is not a setting; did you mean finetune.epochs?")


def test_an_unknown_stage(run: Run, make_mars: Make) -> None:
    refused(run(make_mars(), "--force", "skeletns"), "there is no stage 'skeletns'", "skeletons")


def test_no_free_disk(run: Run, make_mars: Make) -> None:
    refused(run(make_mars(), "--set", "min_free_gb=1000000"), "GB are free where the store is", "free some space")


def test_a_store_that_cannot_be_made(run: Run, make_mars: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(run(make_mars(), "--set", f"store={tmp_path / 'file' / 'store'}"), "cannot be written")


def test_too_many_missing_frames(run: Run, make_mars: Make) -> None:
    root = make_mars()
    for path in (root / "bbox_train/0001").iterdir():
        path.unlink()
    refused(run(root), "5 of 17 listed frames are missing", "max_missing_fraction")


@pytest.mark.slow
def test_broken_frames_are_recorded_and_do_not_stop_the_run(run: Run, make_mars: Make, tmp_path: Path) -> None:
    root = make_mars()
    (root / "bbox_train/0001/0001C1T0001F002.jpg").write_bytes(b"")
    (root / "bbox_train/0002/0002C1T0001F003.jpg").write_text("not an image")
    (root / "bbox_test/0003/0003C1T0001F001.jpg").unlink()

    result = run(root, "--to", "quality", extra="quality: {max_bad_fraction: 0.5}")

    assert result.exit_code == 0, result.output
    shards = [a.path / "skeletons.parquet" for a in Store(tmp_path / "store").all("skeletons")]
    read = read_ragged(shards, SKELETONS, SKELETON_SHAPES)
    unreadable = {
        (name, frame)
        for i, name in enumerate(read.ids)
        for frame, status in enumerate(read.of(i, "status"))
        if FRAME_STATUS[status] == "unreadable"
    }
    assert unreadable == {("0001C1T0001", 1), ("0002C1T0001", 2), ("0003C1T0001", 0)}


def test_too_many_bad_frames_stop_the_run_and_keep_what_was_finished(run: Run, make_mars: Make, tmp_path: Path) -> None:
    root = make_mars()
    for path in (root / "bbox_train/0001").iterdir():
        path.write_bytes(b"")

    refused(run(root, "--to", "quality"), "0001C1T0001F001.jpg", "max_bad_fraction")

    kept = {a.stage for a in Store(tmp_path / "store").all()}
    assert kept == {"index", "skeletons"}
