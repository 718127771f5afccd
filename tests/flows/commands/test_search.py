"""`csip search` as a user types it, with models made in no time."""

import json
import shutil
from pathlib import Path

import cv2
import pyarrow.csv
import pytest
from typer.testing import CliRunner

from evaluation.search import ANSWERS
from flows.commands.app import app
from storage.store.artifacts import Store
from storage.store.runs import COMPLETED, RunRecord
from storage.tables.parquet import read_table, write_table
from storage.tables.tracklets import Tracklet, index_table
from tests.flows.commands.command_line import csip_line, refused
from tests.flows.commands.conftest import PEOPLE
from tests.training.model_folders import ENCODER, finetuned_folder, visual_folder
from training.embed import Inputs as EmbedInputs
from training.embed import run as embed_stage
from training.settings import EmbedSettings

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def gallery(model: Path, crops: Path) -> Path:
    csip_line("embed", crops, "--model", model, "--camid", 1, "--out", "gallery.parquet")
    return Path("gallery.parquet")


def test_everyone_is_found_first_in_their_own_frames(model: Path, crops: Path, gallery: Path):
    words = ("search", crops, "--model", model, "--camid", 1, "--gallery", gallery, "--top", 2)
    csip_line(*words, "--out", "found.parquet")
    found = read_table(Path("found.parquet"), ANSWERS).to_pylist()
    assert [(row["query_id"], row["tracklet_id"]) for row in found if row["rank"] == 1] == [(n, n) for n in PEOPLE]
    assert all(row["distance"] < 1e-3 for row in found if row["rank"] == 1)
    assert len(found) == 6
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert json.loads(done.output) == found
    csip_line(*words, "--out", "found.csv")
    table = pyarrow.csv.read_csv("found.csv")
    assert table.column_names == ANSWERS.names
    assert table["tracklet_id"].to_pylist() == [row["tracklet_id"] for row in found]


def test_a_picture_shows_the_query_and_its_answers(model: Path, crops: Path, gallery: Path):
    said = csip_line(
        "search", crops / "bob", "--model", model, "--camid", 1, "--gallery", gallery, "--frames", crops,
        "--picture", "deep/bob.png",
    )  # fmt: skip
    assert "picture: deep/bob.png" in said
    assert cv2.imread("deep/bob.png").shape[1] > 3 * 3 * 50
    assert "1 bob - 1 0.0000" in said


def test_answers_and_pictures_that_cannot_be_written_are_not_looked_for(model: Path, crops: Path, gallery: Path):
    words = ("search", crops / "bob", "--model", model, "--camid", 1, "--gallery", gallery, "--frames", crops)
    Path("folder.csv").mkdir()
    Path("folder.png").mkdir()
    Path("afile").touch()
    for option, ending in (("--out", "csv"), ("--picture", "png")):
        assert "this is a folder" in refused(*words, option, f"folder.{ending}")
        assert "nothing can be below it" in refused(*words, option, f"afile/x.{ending}")
        said = refused(*words, option, f"/proc/x.{ending}")
        assert "nothing can be written here" in said
        assert "bob" not in said.split("error:")[0]


def test_queries_of_one_name_are_told_apart(model: Path, crops: Path, gallery: Path, tmp_path: Path):
    shutil.copytree(crops / "bob", tmp_path / "other/bob")
    words = ("--model", model, "--camid", 1, "--gallery", gallery, "--frames", crops, "--top", 1)
    said = csip_line(
        "search", crops / "bob", tmp_path / "other/bob", *words, "--out", "found.csv", "--picture", "found.png"
    )
    names = pyarrow.csv.read_csv("found.csv")["query_id"].to_pylist()
    assert names == ["bob", f"{tmp_path}/other/bob/bob"]
    assert len(list(Path().glob("found-*.png"))) == said.count("picture: ") == 2


def test_a_gallery_that_others_embedded_is_told_from_ones_own(model: Path, crops: Path, gallery: Path, tmp_path: Path):
    words = ("--gallery", gallery, "--camid", 1)
    assert "note" not in csip_line("search", crops, "--model", model, *words)
    other = finetuned_folder(tmp_path / "other", use_pfu=False)
    assert "embedded by another model" in csip_line("search", crops, "--model", other, *words)
    said = csip_line("search", crops, "--model", model, *words, "--set", "embed.scale=unit")
    assert "with another embed.parts or embed.scale" in said
    said = csip_line("search", crops, "--model", model, *words, "--set", "embed.sampling=rrs")
    assert "frames of the gallery were sampled dense, those of the queries rrs" in said
    smaller = visual_folder(tmp_path / "visual")
    own = csip_line("embed", crops, "--model", smaller, "--out", tmp_path / "own.parquet", "--set", "embed.parts=cls")
    assert "embed.parts and embed.scale are of finetuned models" in own
    weighed = ("--out", tmp_path / "own.parquet", "--set", "embed.frame_weights=visibility")
    assert "all frames of a tracklet count the same" in csip_line("embed", crops, "--model", smaller, *weighed)
    said = refused("search", crops, "--model", smaller, "--gallery", gallery)
    assert "embeddings of 40 dimensions, and the model makes 24" in said


def test_what_the_queries_own_camera_saw_can_be_left_out(model: Path, crops: Path, gallery: Path):
    words = ("search", crops / "ann", "--model", model, "--gallery", gallery, "--other-cameras")
    assert "say which one" in refused(*words)
    assert "none of the 3 tracklets" in refused(*words, "--camid", 1)
    assert "ann" in csip_line(*words, "--camid", 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no gallery is named"),
        (("--frames", "."), "frames of which gallery"),
        (("--gallery", "absent.parquet"), "no such gallery"),
        (("--gallery", "gallery.parquet", "--picture", "x.png"), "--frames FOLDER"),
        (("--gallery", "gallery.parquet", "--frames", ".", "--picture", "x.txt"), "no picture's name"),
        (("--gallery", "gallery.parquet", "--out", "x.json"), "CSV or Parquet"),
        (("--gallery", "gallery.frames.parquet"), "no gallery of csip embed"),
        (("--gallery", "gallery.parquet", "--camid", "9"), "not trained with camera 9"),
    ],
)
def test_what_cannot_be_searched_is_said_in_one_message(model, crops, gallery, words: tuple[str, ...], said: str):
    assert said in refused("search", crops, "--model", model, *words)


def test_a_gallery_without_the_names_of_its_frames_can_be_searched_but_not_shown(model, crops, gallery):
    Path("gallery.frames.parquet").unlink()
    words = ("search", crops, "--model", model, "--gallery", gallery)
    csip_line(*words)
    assert "keep both files" in refused(*words, "--frames", crops, "--picture", "x.png")


def test_queries_without_a_readable_frame_are_told(model: Path, crops: Path, gallery: Path):
    (crops / "ann/1.png").write_bytes(b"")
    for name in ("2", "3"):
        (crops / f"ann/{name}.png").unlink()
    words = ("--model", model, "--gallery", gallery)
    assert "not searched for: ann" in csip_line("search", crops, *words)
    assert "no query has a readable frame" in refused("search", crops / "ann", *words)


def test_the_newest_runs_test_tracklets_are_the_gallery_of_a_configuration(model: Path, crops: Path, tmp_path: Path):
    store = Store(tmp_path / "store")
    config = tmp_path / "config.yaml"
    config.write_text(f"name: one\nstore: {store.root}\n")
    finetuned = store.publish(finetuned_folder(store.root / "staging/m"), "finetuned", "m", {}, 1.0)
    assert "has embedded test tracklets" in refused("search", crops, "--config", config)
    tracklets = [Tracklet(n, "gallery", i, 1, (f"{n}/1.png", f"{n}/2.png")) for i, n in enumerate(PEOPLE, start=1)]
    made = {}
    for shard, part in {"test-000": tracklets[:1], "test-001": tracklets[1:]}.items():
        folder = store.root / "staging" / shard
        folder.mkdir()
        write_table(index_table(part), folder / f"{shard}.parquet")
        index = store.publish(folder, "index", shard, {}, 1.0)
        file = index.file(f"{shard}.parquet")
        for name in (shard, f"{shard}-abandoned"):
            folder = store.root / "staging" / name
            folder.mkdir()
            embed_stage(EmbedInputs(crops, file.path, finetuned.path, ENCODER), EmbedSettings(), folder, print)
            about = {"inputs": {"index": file.digest, "model": finetuned.digest}}
            made[name] = store.publish(folder, "embeddings", name, about, 1.0)
    record = RunRecord(store, "run", {"name": "one", "data": {"root": str(crops)}})
    with record.alive():
        record.finish(COMPLETED, {shard: made[shard] for shard in ("test-000", "test-001")})
    said = csip_line("search", crops / "cleo", "--config", config, "--camid", 1, "--picture", "cleo.png", "--pid", 3)
    assert "1 cleo 3 1 0." in said
    for name in PEOPLE:  # once each: what no run holds is no part of the gallery
        assert said.count(f" {name} ") == 1
    assert cv2.imread("cleo.png") is not None
