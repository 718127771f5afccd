"""`csip evaluate` as a user types it, with embeddings made in no time."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from typer.testing import CliRunner

from evaluation.evaluate import EvaluationSettings, Inputs, run
from flows.commands.app import app
from flows.commands.evaluate import tell
from storage.tables.parquet import write_table
from storage.tables.schema import EMBEDDINGS
from tests.flows.commands.command_line import csip_line, refused

pytestmark = pytest.mark.usefixtures("here")


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
    said = csip_line("evaluate", vectors, "--labels", labels, "--gallery", "without_queries", "--out", "kept")
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
    said = csip_line("evaluate", vectors, "--labels", labels, "--set", "evaluation.ranks=[2, 3]")
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
    assert "embed.sampling" not in csip_line("evaluate", "--help")


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


def test_everything_that_a_metrics_file_may_hold_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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
    monkeypatch.setenv("COLUMNS", "200")
    tell(metrics, ["odd"], None)
    said = " ".join(capsys.readouterr().out.split())
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
