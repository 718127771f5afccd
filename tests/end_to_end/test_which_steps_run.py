"""Precisely which steps run after each kind of change of the raw data."""

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
import yaml

from flows.config import load_config
from flows.planning.plan import plan
from flows.rebuild import Result, rebuild
from storage.tables.parquet import shard_of
from tests.small_run import small_settings

pytestmark = pytest.mark.slow

SHARDS = 2
TRAIN, TEST = [[f"{part}-{number:03d}" for number in range(SHARDS)] for part in ("train", "test")]
MODELS = ("visual", "finetuned")
LEARNT = {"visual", "pretrained", "finetuned", *(f"features {shard}" for shard in TRAIN)}
MEASURED = {f"embeddings {m} {shard}" for m in MODELS for shard in TEST} | {f"metrics {m}" for m in MODELS} | {"report"}
STEPS = {"index", "quality", *(f"skeletons {shard}" for shard in TRAIN + TEST)} | LEARNT | MEASURED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("steps")
    (folder / "config.yaml").write_text(yaml.safe_dump(small_settings(folder)))
    return folder


@pytest.fixture
def run(folder: Path, api: str) -> Callable[..., Result]:
    """Runs; a first time before, so that only what a test changes is new."""

    def call(*overrides: str, force: Sequence[str] = ()) -> Result:
        return rebuild(load_config(folder / "config.yaml", overrides), force=force)

    assert set(call().artifacts) == STEPS
    return call


class Lists:
    """The lists of a MARS folder's training or test half, which can be written anew."""

    def __init__(self, root: Path, half: str) -> None:
        self.root, self.half = root, half
        self.names = (root / f"info/{half}_name.txt").read_text().split()
        self.table = scipy.io.loadmat(root / f"info/tracks_{half}_info.mat")[f"track_{half}_info"]

    def write(self) -> None:
        (self.root / f"info/{self.half}_name.txt").write_text("\n".join(self.names) + "\n")
        scipy.io.savemat(
            self.root / f"info/tracks_{self.half}_info.mat", {f"track_{self.half}_info": self.table.astype(np.int32)}
        )

    def add(self) -> str:
        """A new last tracklet, of the first person's first and with its frames; its id."""
        first, last, pid, camid = next(row for row in self.table if row[2] > 0)
        fresh = []
        for name in self.names[first - 1 : last]:
            place = self.root / f"bbox_{self.half}" / name[:4]
            fresh.append(re.sub(r"T\d+F", "T0077F", name))
            (place / fresh[-1]).write_bytes((place / name).read_bytes())
        self.table = np.vstack([self.table, [len(self.names) + 1, len(self.names) + len(fresh), pid, camid]])
        self.names += fresh
        self.write()
        return fresh[0].partition("F")[0]

    def drop_last(self) -> str:
        """Its id."""
        first = int(self.table[-1][0])
        name = self.names[first - 1].partition("F")[0]
        self.table, self.names = self.table[:-1], self.names[: first - 1]
        self.write()
        return name


def changed_steps(half: str, tracklet_id: str) -> set[str]:
    """The steps that a tracklet of the training or test half concerns when it comes or goes."""
    shard = f"{half}-{shard_of(tracklet_id, SHARDS):03d}"
    if half == "train":
        return {"index", f"skeletons {shard}", "quality"} | LEARNT | MEASURED
    embeddings = {f"embeddings {model} {shard}" for model in MODELS}
    return {"index", f"skeletons {shard}", "quality", "report", *(f"metrics {m}" for m in MODELS)} | embeddings


@pytest.mark.parametrize("half", ["test", "train"])
def test_a_tracklet_that_comes_and_goes_concerns_its_shard_and_what_follows(
    run: Callable[..., Result], folder: Path, half: str
) -> None:
    lists = Lists(folder / "data", half)
    added = lists.add()
    told = {line.label: line.reason for line in plan(load_config(folder / "config.yaml"))}
    assert f"1 tracklet added ({added})" in told["index"]
    assert set(run().built) == changed_steps(half, added)

    assert lists.drop_last() == added
    assert set(run().built) <= {"index"}, "all was made before the tracklet came"
    dropped = lists.drop_last()
    assert set(run().built) == changed_steps(half, dropped)


def test_a_byte_that_shows_in_no_pixel_ends_where_the_same_bytes_are_made(
    run: Callable[..., Result], folder: Path
) -> None:
    frame = sorted((folder / "data" / "bbox_test").glob("0006/*.jpg"))[0]
    before = cv2.imread(str(frame))
    frame.write_bytes(frame.read_bytes() + b"\0")
    assert (cv2.imread(str(frame)) == before).all()
    shard = f"test-{shard_of(frame.name.partition('F')[0], SHARDS):03d}"

    built = set(run().built)

    # its skeletons and embeddings are made again and come out the same: nothing is measured again
    looked = {f"embeddings {model} {shard}" for model in MODELS}
    assert built == {"index", f"skeletons {shard}", "report"} | looked


def test_a_byte_of_a_training_frame_that_shows_in_no_pixel_does_not_pretrain_again(
    run: Callable[..., Result], folder: Path
) -> None:
    frame = sorted((folder / "data" / "bbox_train").glob("0001/*.jpg"))[0]
    frame.write_bytes(frame.read_bytes() + b"\0")
    shard = f"train-{shard_of(frame.name.partition('F')[0], SHARDS):03d}"

    built = set(run().built)

    # the stages that read frames run, and make the same bytes
    assert built == {"index", f"skeletons {shard}", "visual", f"features {shard}", "finetuned", "report"}


def test_skeletons_that_are_extracted_anew_and_stay_the_same_train_nothing(run: Callable[..., Result]) -> None:
    assert set(run(force=["skeletons"]).built) == {f"skeletons {shard}" for shard in TRAIN + TEST}


def test_packing_the_frames_into_archives_runs_nothing(run: Callable[..., Result], folder: Path) -> None:
    root = folder / "data"
    shutil.make_archive(str(root / "bbox_train"), "zip", root, "bbox_train")
    shutil.make_archive(str(root / "bbox_test"), "tar", root, "bbox_test")
    for part in ("bbox_train", "bbox_test"):
        (root / part).rename(folder / part)
    try:
        assert run().built == ()
        # and what must be made again is the same, from the archives
        assert set(run(force=["skeletons", "visual"]).built) == {"visual", *(f"skeletons {s}" for s in TRAIN + TEST)}
    finally:
        for part in ("bbox_train", "bbox_test"):
            (folder / part).rename(root / part)


def test_moving_the_data_renaming_it_and_copying_the_store_run_nothing(
    run: Callable[..., Result], folder: Path, tmp_path: Path
) -> None:
    (folder / "data").rename(folder / "renamed")
    try:
        assert run(f"data.root={folder / 'renamed'}").built == ()
        (folder / "store").rename(tmp_path / "moved")
        try:
            assert run(f"data.root={folder / 'renamed'}", f"store={tmp_path / 'moved'}").built == ()
        finally:
            (tmp_path / "moved").rename(folder / "store")
    finally:
        (folder / "renamed").rename(folder / "data")
