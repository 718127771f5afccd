"""`csip evaluate`, `csip embed` and `csip search` as a user types them, with models made in no time."""

import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from evaluation.evaluate import EvaluationSettings, Inputs, run
from evaluation.search import ANSWERS
from flows.commands.app import app
from flows.commands.evaluate import tell
from storage.store.artifacts import Store
from storage.store.runs import COMPLETED, RunRecord
from storage.tables.parquet import has_schema, read_table, write_table
from storage.tables.schema import EMBEDDINGS
from storage.tables.tracklets import Tracklet, index_table, read_index
from tests.training.model_folders import ENCODER, finetuned_folder, visual_folder
from training.embed import Inputs as EmbedInputs
from training.embed import run as embed_stage
from training.settings import EmbedSettings

pytestmark = pytest.mark.usefixtures("here")

PEOPLE = ("ann", "bob", "cleo")


def csip(*words: object, status: int = 0) -> str:
    """What a command says; checks how it ends."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == status, done.output
    return " ".join(done.output.split())


def refused(*words: object) -> str:
    """What a command says that must fail with one message."""
    said = csip(*words, status=1)
    assert "error: " in said
    assert "to do: " in said
    return said


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return finetuned_folder(tmp_path / "model")


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Three people of smooth noise, three frames each."""
    rng = np.random.default_rng(0)
    for name in PEOPLE:
        person = rng.integers(0, 255, (8, 4, 3), dtype=np.uint8)
        for number in range(1, 4):
            path = tmp_path / "crops" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.roll(cv2.resize(person, (20, 40)), number, axis=1))
    return tmp_path / "crops"


def rows(path: Path | str) -> dict[str, dict]:
    return {row["tracklet_id"]: row for row in pq.read_table(path).to_pylist()}


# csip evaluate


def labelled(folder: Path) -> tuple[Path, Path]:
    """Vectors of people in two cameras, as an array and a table; a row of training, and one of zeros."""
    rng = np.random.default_rng(0)
    people = np.repeat(rng.normal(size=(6, 8)), 2, axis=0)
    vectors = np.concatenate([people + 0.4 * rng.normal(size=(12, 8)), np.zeros((1, 8)), np.ones((1, 8))])
    np.save(folder / "vectors.npy", vectors)
    labels = {
        "split": ["query", "gallery"] * 6 + ["gallery", "train"],
        "pid": [*np.repeat(np.arange(1, 7), 2).tolist(), 0, 3],
        "camid": [1, 2] * 6 + [2, 1],
    }
    pyarrow.csv.write_csv(pa.table(labels), folder / "labels.csv")
    return folder / "vectors.npy", folder / "labels.csv"


def test_embeddings_of_another_model_are_scored_as_our_own(here: Path):
    vectors, labels = labelled(here)
    said = csip("evaluate", vectors, "--labels", labels, "--gallery", "without_queries", "--out", "kept")
    table = pyarrow.csv.read_csv(labels).slice(0, 13)
    columns = {name: table[name].to_pylist() for name in ("split", "pid", "camid")}
    columns |= {"tracklet_id": [f"{row:02d}" for row in range(13)], "embedding": np.load(vectors)[:13].tolist()}
    nothing = [0] * 13
    ours = [pa.array(columns.get(field.name, nothing), field.type) for field in EMBEDDINGS]
    write_table(pa.table(ours, schema=EMBEDDINGS), here / "ours.parquet")
    (here / "expected").mkdir()
    run(Inputs((here / "ours.parquet",)), EvaluationSettings(gallery="without_queries"), here / "expected")
    assert sorted(p.name for p in Path("kept").iterdir()) == sorted(p.name for p in Path("expected").iterdir())
    for name in ("metrics.json", "ranks.parquet", "queries.parquet"):
        assert Path("kept", name).read_bytes() == Path("expected", name).read_bytes()
    metrics = json.loads(Path("kept/metrics.json").read_text())
    assert f"mAP {100 * metrics['mAP']:.1f} %" in said
    assert f"{100 * metrics['chance']['mAP']:.1f} %" in said
    assert "Queries: 6 counted of 6" in said
    assert "Gallery: 7 tracklets, 1 distractor among them; query tracklets not in the gallery" in said
    assert "Vectors: 8 dimensions" in said
    assert "1 row of split 'train' left out" in said
    assert "1 tracklet has zeros for an embedding, as those without a readable frame: ranked as like nobody. 12" in said


def test_as_json_the_metrics_and_the_notes_are_one_object(here: Path):
    vectors, labels = labelled(here)
    done = CliRunner().invoke(app, ["evaluate", str(vectors), "--labels", str(labels), "--json"])
    found = json.loads(done.output)
    assert found["queries"] == 6
    assert found["notes"] == ["1 row of split 'train' left out: only query and gallery are evaluated"]


def test_settings_of_the_evaluation_can_be_given(here: Path):
    vectors, labels = labelled(here)
    said = csip("evaluate", vectors, "--labels", labels, "--set", "evaluation.ranks=[2, 3]")
    assert "Rank-2" in said
    assert "Rank-1 " not in said
    assert "clothes" in refused("evaluate", vectors, "--labels", labels, "--protocol", "clothes_changing")
    assert "evaluation.gallery" in refused("evaluate", vectors, "--labels", labels, "--gallery", "no")
    for setting in ("embed.sampling=rrs", "name=other"):
        said = refused("evaluate", vectors, "--labels", labels, "--set", "evaluation.top=9", "--set", setting)
        assert "only settings of the section evaluation" in said
        assert f"--set {setting}" in said
        assert "evaluation.top=9" not in said
    assert "did you mean evaluation?" in refused("evaluate", vectors, "--labels", labels, "--set", "evaluatoin.top=9")
    assert "embed.sampling" not in csip("evaluate", "--help")


def test_a_failed_evaluation_leaves_no_folder(here: Path):
    vectors, labels = labelled(here)
    np.save(vectors, np.load(vectors)[:3])
    assert "14 rows of labels for 3 vectors" in refused("evaluate", vectors, "--labels", labels, "--out", "kept")
    assert not Path("kept").exists()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("afile", "this is a file, and a folder is written"),
        ("afile/x", "nothing can be below it"),
        ("/proc/x/y", "nothing can be written here"),
    ],
)
def test_an_evaluation_that_could_not_be_kept_does_not_begin(
    here: Path, out: str, said: str, monkeypatch: pytest.MonkeyPatch
):
    vectors, labels = labelled(here)
    (here / "afile").write_text("mine")
    monkeypatch.setattr("flows.commands.evaluate.read_external", lambda *_: pytest.fail("it has begun"))
    assert said in refused("evaluate", vectors, "--labels", labels, "--out", out)
    assert (here / "afile").read_text() == "mine"


def test_everything_that_a_metrics_file_may_hold_is_printed():
    numbers = {"mAP": 0.5, "mINP": 0.25, "cmc": {"1": 0.75}}
    metrics = {
        **numbers,
        "chance": numbers,
        "intervals": {"level": 0.9, "mAP": [0.4, 0.6], "mINP": [0.2, 0.3], "cmc": {"1": [0.7, 0.8]}},
        "queries": 5,
        "counted_queries": 4,
        "queries_without_match": 1,
        "gallery": 9,
        "distractors": 0,
        "dimensions": 8,
        "without_embedding": {"count": 0, "first": []},
        "protocol": {
            "name": "standard",
            "gallery": "with_queries",
            "left_out": "x",
            "distance": "y",
            "ties": "z",
            "reranking": {"k1": 20, "k2": 6, "weight": 0.3},
            "expansion": None,
            "sampling": "rrs",
        },
        "ties": {"queries": 2, "matches": 2, "mAP_right_first": 0.625},
        "duplicates": {"count": 60, "first": [[f"a{n}", f"b{n}"] for n in range(50)]},
        "missing_identities": {"count": 1, "first": [7]},
    }
    console = Console(record=True, width=200, file=io.StringIO())
    tell(metrics, ["odd"], None, console)
    said = " ".join(console.export_text().split())
    for part in (
        "90 % interval",
        "mINP 25.0 % 20.0 to 30.0 25.0 %",
        "Rank-1 75.0 % 70.0 to 80.0",
        "Re-ranking: k1 20, k2 6, weight 0.3",
        "4 counted of 5; 1 has no match that counts",
        "the other way round it would be 62.5 %",
        "a4 = b4 and 55 more",
        "shown by no gallery tracklet, but for query tracklets. person 7",
        "Frames: rrs: one frame",
        "note: odd",
    ):
        assert part in said, said


# csip embed


def test_a_folder_is_embedded_as_the_stage_embeds_it(model: Path, crops: Path, tmp_path: Path):
    said = csip("embed", crops, "--model", model, "--camid", 2)
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
    said = csip("embed", crops, "--model", model, "--out", "unknown.parquet")
    assert "the camera is not known; no camera's vector is added there (the model knows 1, 2, 6)" in said
    for camid in (1, 6):
        assert "camera" not in csip("embed", crops, "--model", model, "--camid", camid, "--out", f"{camid}.parquet")
    vectors = [rows(f"{name}.parquet")["ann"]["embedding"] for name in ("unknown", 1, 6)]
    assert len({tuple(vector) for vector in vectors}) == 3
    assert rows("unknown.parquet")["ann"]["camid"] == -1
    said = refused("embed", crops, "--model", model, "--camid", 3)
    assert "not trained with camera 3, but with 1, 2, 6" in said


def test_a_visual_encoder_looks_at_no_camera(crops: Path, tmp_path: Path):
    folder = visual_folder(tmp_path / "visual")
    for camid in (1, 77):
        assert "note" not in csip("embed", crops, "--model", folder, "--camid", camid, "--out", f"{camid}.parquet")
    one, other = rows("1.parquet"), rows("77.parquet")
    assert [r["embedding"] for r in one.values()] == [r["embedding"] for r in other.values()]
    assert (one["ann"]["camid"], other["ann"]["camid"]) == (1, 77)


def test_unreadable_tracklets_are_zeros_and_named(model: Path, crops: Path):
    (crops / "dark").mkdir()
    (crops / "dark/1.jpg").write_bytes(b"broken")
    assert "without a readable frame: 1 tracklet: dark" in csip("embed", crops, "--model", model, "--camid", 1)
    assert not any(rows("embeddings.parquet")["dark"]["embedding"])


def test_a_data_set_keeps_its_labels_and_can_be_evaluated(model: Path, make_mars):
    root = make_mars()
    csip("embed", root, "--layout", "mars", "--model", model, "--out", "test.parquet", "--set", "embed.sampling=rrs")
    found = rows("test.parquet")
    assert {name: (row["split"], row["pid"], row["camid"]) for name, row in found.items()} == {
        "0000C1T0001": ("gallery", 0, 1),
        "0003C1T0001": ("query", 3, 1),
        "0003C2T0001": ("gallery", 3, 2),
        "0004C2T0001": ("query", 4, 2),
    }
    done = CliRunner().invoke(app, ["evaluate", "test.parquet", "--json"])
    assert json.loads(done.output)["protocol"]["sampling"] == "rrs"
    assert "give it alone" in refused("embed", root, "--layout", "mars", "--camid", 1, "--model", model)
    assert "one of mars, lsvid" in refused("embed", root, "--layout", "market", "--model", model)


def test_a_videos_boxes_are_embedded(model: Path, tmp_path: Path):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for value in (40, 120, 200):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("track,frame,x,y,w,h\n" + "".join(f"p{p},{f},{9 * p},2,16,32\n" for p in (1, 2) for f in range(3)))
    csip("embed", tmp_path / "v.avi", "--boxes", boxes, "--crops", "cut", "--model", model, "--camid", 1)
    assert list(rows("embeddings.parquet")) == ["p1", "p2"]
    said = csip(
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


# csip search


@pytest.fixture
def gallery(model: Path, crops: Path) -> Path:
    csip("embed", crops, "--model", model, "--camid", 1, "--out", "gallery.parquet")
    return Path("gallery.parquet")


def test_everyone_is_found_first_in_their_own_frames(model: Path, crops: Path, gallery: Path):
    words = ("search", crops, "--model", model, "--camid", 1, "--gallery", gallery, "--top", 2)
    csip(*words, "--out", "found.parquet")
    found = read_table(Path("found.parquet"), ANSWERS).to_pylist()
    assert [(row["query_id"], row["tracklet_id"]) for row in found if row["rank"] == 1] == [(n, n) for n in PEOPLE]
    assert all(row["distance"] < 1e-3 for row in found if row["rank"] == 1)
    assert len(found) == 6
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert json.loads(done.output) == found
    csip(*words, "--out", "found.csv")
    table = pyarrow.csv.read_csv("found.csv")
    assert table.column_names == ANSWERS.names
    assert table["tracklet_id"].to_pylist() == [row["tracklet_id"] for row in found]


def test_a_picture_shows_the_query_and_its_answers(model: Path, crops: Path, gallery: Path):
    said = csip(
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
    said = csip("search", crops / "bob", tmp_path / "other/bob", *words, "--out", "found.csv", "--picture", "found.png")
    names = pyarrow.csv.read_csv("found.csv")["query_id"].to_pylist()
    assert names == ["bob", f"{tmp_path}/other/bob/bob"]
    assert len(list(Path().glob("found-*.png"))) == said.count("picture: ") == 2


def test_a_gallery_that_others_embedded_is_told_from_ones_own(model: Path, crops: Path, gallery: Path, tmp_path: Path):
    words = ("--gallery", gallery, "--camid", 1)
    assert "note" not in csip("search", crops, "--model", model, *words)
    other = finetuned_folder(tmp_path / "other", use_pfu=False)
    assert "embedded by another model" in csip("search", crops, "--model", other, *words)
    said = csip("search", crops, "--model", model, *words, "--set", "embed.sampling=rrs")
    assert "frames of the gallery were sampled dense, those of the queries rrs" in said
    smaller = visual_folder(tmp_path / "visual")
    said = refused("search", crops, "--model", smaller, "--gallery", gallery)
    assert "embeddings of 40 dimensions, and the model makes 24" in said


def test_what_the_queries_own_camera_saw_can_be_left_out(model: Path, crops: Path, gallery: Path):
    words = ("search", crops / "ann", "--model", model, "--gallery", gallery, "--other-cameras")
    assert "say which one" in refused(*words)
    assert "none of the 3 tracklets" in refused(*words, "--camid", 1)
    assert "ann" in csip(*words, "--camid", 2)


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
    csip(*words)
    assert "keep both files" in refused(*words, "--frames", crops, "--picture", "x.png")


def test_queries_without_a_readable_frame_are_told(model: Path, crops: Path, gallery: Path):
    (crops / "ann/1.png").write_bytes(b"")
    for name in ("2", "3"):
        (crops / f"ann/{name}.png").unlink()
    words = ("--model", model, "--gallery", gallery)
    assert "not searched for: ann" in csip("search", crops, *words)
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
    said = csip("search", crops / "cleo", "--config", config, "--camid", 1, "--picture", "cleo.png", "--pid", 3)
    assert "1 cleo 3 1 0." in said
    for name in PEOPLE:  # once each: what no run holds is no part of the gallery
        assert said.count(f" {name} ") == 1
    assert cv2.imread("cleo.png") is not None
