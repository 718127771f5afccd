"""`csip embed` as a user types it, with models made in no time."""

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from storage.tables.parquet import has_schema, read_table, write_table
from storage.tables.schema import EMBEDDINGS
from storage.tables.tracklets import Tracklet, index_table, read_index
from tests.flows.commands.command_line import csip, csip_line, refused
from tests.flows.commands.conftest import PEOPLE
from tests.training.model_folders import ENCODER, visual_folder
from training.embed import Inputs as EmbedInputs
from training.embed import run as embed_stage
from training.settings import EmbedSettings

pytestmark = pytest.mark.usefixtures("here")


def rows(path: Path | str) -> dict[str, dict]:
    return {row["tracklet_id"]: row for row in pq.read_table(path).to_pylist()}


def test_a_folder_is_embedded_as_the_stage_embeds_it(model: Path, crops: Path, tmp_path: Path):
    said = csip_line("embed", crops, "--model", model, "--camid", 2)
    assert "embedded: 3 tracklets, 40 dimensions" in said
    assert has_schema(Path("embeddings.parquet"), EMBEDDINGS)
    found = rows("embeddings.parquet")
    assert list(found) == list(PEOPLE)
    assert {(row["split"], row["pid"], row["camid"]) for row in found.values()} == {("gallery", 0, 2)}
    tracklets = [
        Tracklet(name, "gallery", 0, 2, tuple(f"{name}/{number}.png" for number in range(1, 4))) for name in PEOPLE
    ]
    assert read_index(Path("embeddings.frames.parquet")) == tracklets
    write_table(index_table(tracklets), tmp_path / "index.parquet")
    embed_stage(EmbedInputs(crops, tmp_path / "index.parquet", model, ENCODER), EmbedSettings(), tmp_path, print)
    assert read_table(tmp_path / "embeddings.parquet", EMBEDDINGS).equals(
        read_table(Path("embeddings.parquet"), EMBEDDINGS)
    )


def test_cameras_matter_and_one_that_the_model_does_not_know_is_refused(model: Path, crops: Path):
    said = csip_line("embed", crops, "--model", model, "--out", "unknown.parquet")
    assert "the camera is not known; no camera's vector is added there (the model knows 1, 2, 6)" in said
    for camid in (1, 6):
        assert "camera" not in csip_line(
            "embed", crops, "--model", model, "--camid", camid, "--out", f"{camid}.parquet"
        )
    vectors = [rows(f"{name}.parquet")["ann"]["embedding"] for name in ("unknown", 1, 6)]
    assert len({tuple(vector) for vector in vectors}) == 3
    assert rows("unknown.parquet")["ann"]["camid"] == -1
    said = refused("embed", crops, "--model", model, "--camid", 3)
    assert "not trained with camera 3, but with 1, 2, 6" in said


def test_a_visual_encoder_looks_at_no_camera(crops: Path, tmp_path: Path):
    folder = visual_folder(tmp_path / "visual")
    for camid in (1, 77):
        assert "note" not in csip_line("embed", crops, "--model", folder, "--camid", camid, "--out", f"{camid}.parquet")
    one, other = rows("1.parquet"), rows("77.parquet")
    assert [r["embedding"] for r in one.values()] == [r["embedding"] for r in other.values()]
    assert (one["ann"]["camid"], other["ann"]["camid"]) == (1, 77)


def test_unreadable_tracklets_are_zeros_and_named(model: Path, crops: Path):
    (crops / "dark").mkdir()
    (crops / "dark/1.jpg").write_bytes(b"broken")
    assert "without a readable frame: 1 tracklet: dark" in csip_line("embed", crops, "--model", model, "--camid", 1)
    assert not any(rows("embeddings.parquet")["dark"]["embedding"])


def test_a_data_set_keeps_its_labels_and_can_be_evaluated(model: Path, make_mars):
    root = make_mars()
    csip_line(
        "embed", root, "--layout", "mars", "--model", model, "--out", "test.parquet", "--set", "embed.sampling=rrs"
    )
    found = rows("test.parquet")
    assert {name: (row["split"], row["pid"], row["camid"]) for name, row in found.items()} == {
        "0000C1T0001": ("gallery", 0, 1),
        "0003C1T0001": ("query", 3, 1),
        "0003C2T0001": ("gallery", 3, 2),
        "0004C2T0001": ("query", 4, 2),
    }
    assert json.loads(csip("evaluate", "test.parquet", "--json"))["protocol"]["sampling"] == "rrs"
    assert "give it alone" in refused("embed", root, "--layout", "mars", "--camid", 1, "--model", model)
    assert "one of mars, lsvid" in refused("embed", root, "--layout", "market", "--model", model)


def test_a_videos_boxes_are_embedded(model: Path, tmp_path: Path):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for value in (40, 120, 200):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("track,frame,x,y,w,h\n" + "".join(f"p{p},{f},{9 * p},2,16,32\n" for p in (1, 2) for f in range(3)))
    csip_line("embed", tmp_path / "v.avi", "--boxes", boxes, "--crops", "cut", "--model", model, "--camid", 1)
    assert list(rows("embeddings.parquet")) == ["p1", "p2"]
    said = csip_line(
        "search", tmp_path / "v.avi", "--boxes", boxes, "--model", model, "--camid", 1,
        "--gallery", "embeddings.parquet", "--frames", "cut", "--picture", "found.png",
    )  # fmt: skip
    assert "p1" in said
    assert sorted(p.name for p in Path().glob("*.png")) == ["found-p1.png", "found-p2.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("crops",), "one model embeds"),
        (("crops", "--model", "m", "--config", "c"), "one model embeds"),
        (("crops", "--model", "absent"), "no such model folder"),
        (("crops", "--config", "absent.yaml"), "cannot read the configuration"),
    ],
)
def test_what_cannot_be_embedded_is_said_in_one_message(words: tuple[str, ...], said: str):
    assert said in refused("embed", *words)


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("folder.parquet", "this is a folder"),
        ("afile/x.parquet", "nothing can be below it"),
        ("/proc/x.parquet", "nothing can be written here"),
        ("taken.parquet", "taken.frames.parquet"),
    ],
)
def test_embeddings_that_cannot_be_written_are_not_made(model: Path, crops: Path, here: Path, out: str, said: str):
    (here / "afile").touch()
    for folder in ("folder.parquet", "taken.frames.parquet"):
        (here / folder).mkdir()
    assert said in refused("embed", crops, "--model", model, "--camid", 1, "--out", out)
    assert sorted(path.name for path in here.iterdir()) == ["afile", "folder.parquet", "taken.frames.parquet"]
