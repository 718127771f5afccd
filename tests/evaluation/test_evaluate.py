"""The stage that turns embeddings into metrics: protocols, files, and what it says of input it cannot rank."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from evaluation.evaluate import EvaluationSettings, Inputs, run
from evaluation.ranking.embeddings import queries_and_gallery, read_embeddings
from evaluation.ranking.reranking import RerankSettings, rerank
from evaluation.schema import CMC, QUERIES, RANKS
from storage.errors import DataError
from storage.tables.parquet import read_table


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[..., Path]:
    def evaluate(*shards: Path, **settings: object) -> Path:
        out = tmp_path / "metrics"
        out.mkdir(exist_ok=True)
        run(Inputs(shards), EvaluationSettings(**settings), out)
        return out

    return evaluate


def test_a_case_worked_by_hand(write_embeddings, worked_rows, evaluate) -> None:
    out = evaluate(write_embeddings(worked_rows), gallery="without_queries", ranks=(1, 2))
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["queries"] == 4
    assert metrics["counted_queries"] == 3
    assert metrics["queries_without_match"] == 1
    assert metrics["gallery"] == 5
    assert metrics["distractors"] == 1
    assert metrics["mAP"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert metrics["cmc"] == {"1": pytest.approx(2 / 3), "2": 1.0}
    # one match among 5, 5 and (one same-camera item left out) 4 candidates
    assert metrics["chance"]["cmc"]["1"] == pytest.approx((1 / 5 + 1 / 5 + 1 / 4) / 3)


def test_the_protocol_is_named(write_embeddings, worked_rows, evaluate) -> None:
    out = evaluate(write_embeddings(worked_rows, sampling="dense"))
    protocol = json.loads((out / "metrics.json").read_text())["protocol"]
    assert protocol["name"] == "standard"
    assert protocol["gallery"] == "with_queries"
    assert protocol["sampling"] == "dense"
    assert protocol["ties"] == "wrong answers first"


def test_the_clothes_changing_protocol_leaves_out_the_same_clothes(write_embeddings, worked_rows, evaluate) -> None:
    """Query 1 has its only match in its own clothes; query 2 changed; 4 changed and had nothing else to lose."""
    clothes = [1, 1, 1, 2, 0, 1, 1, 1, 2]
    shard = write_embeddings(worked_rows, clothes=clothes)
    out = evaluate(shard, gallery="without_queries", ranks=(1, 2), protocol="clothes_changing")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["protocol"]["name"] == "clothes_changing"
    assert "in its clothes" in metrics["protocol"]["left_out"]
    assert (metrics["counted_queries"], metrics["queries_without_match"]) == (2, 2)
    assert metrics["mAP"] == pytest.approx((1 / 2 + 1) / 2)
    rows = [r for r in read_table(out / "ranks.parquet", RANKS).to_pylist() if r["query_id"] == "0001C1T0001"]
    assert [(r["gallery_id"], r["rank"], r["status"]) for r in rows[:1]] == [("0001C2T0001", 0, "same_clothes")]


@pytest.mark.parametrize("unknown", [0, 1])
def test_clothes_that_are_not_known_are_named(write_embeddings, worked_rows, evaluate, unknown: int) -> None:
    clothes = [0 if row == unknown else 1 for row in range(len(worked_rows))]
    with pytest.raises(DataError, match="clothes in 1 tracklets are not known") as caught:
        evaluate(write_embeddings(worked_rows, clothes=clothes), protocol="clothes_changing")
    assert caught.value.where == worked_rows[unknown][0]
    evaluate(write_embeddings(worked_rows, clothes=clothes), protocol="standard")


def test_the_official_gallery_keeps_the_queries(write_embeddings, worked_rows, evaluate) -> None:
    out = evaluate(write_embeddings(worked_rows), gallery="with_queries")
    assert json.loads((out / "metrics.json").read_text())["gallery"] == 9


def test_nearest_answers_say_what_they_are(write_embeddings, worked_rows, evaluate) -> None:
    out = evaluate(write_embeddings(worked_rows), gallery="without_queries")
    rows = [r for r in read_table(out / "ranks.parquet", RANKS).to_pylist() if r["query_id"] == "0004C1T0001"]
    assert [(r["gallery_id"], r["rank"], r["status"]) for r in rows[:3]] == [
        ("0004C1T0002", 0, "same_camera"),
        ("0004C2T0001", 1, "match"),
        ("0000C2T0001", 2, "wrong"),
    ]
    queries = read_table(out / "queries.parquet", QUERIES).to_pylist()
    assert [q["first_match"] for q in queries] == [1, 2, 0, 1]
    curve = read_table(out / "cmc.parquet", CMC)
    assert curve["rank"].to_pylist() == list(range(1, 51))
    assert curve["cmc"].to_pylist()[:2] == pytest.approx([2 / 3, 1])


def test_same_embeddings_in_other_shards_and_order_give_the_same_bytes(write_embeddings, worked_rows, evaluate) -> None:
    whole = evaluate(write_embeddings(worked_rows))
    before = {p.name: p.read_bytes() for p in whole.iterdir()}
    halves = write_embeddings(worked_rows[4:], "a.parquet"), write_embeddings(worked_rows[3::-1], "b.parquet")
    again = evaluate(*halves)
    assert before == {p.name: p.read_bytes() for p in again.iterdir()}


def test_embeddings_of_any_length_are_brought_to_one(write_embeddings) -> None:
    read = read_embeddings([write_embeddings([("a", "query", 1, 1, (3.0, 4.0))])])
    assert read.vectors.tolist() == [pytest.approx([0.6, 0.8])]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "query", 1, 1, (0.0, 0.0)), ("b", "gallery", 1, 2, (0.0, 0.0))], "every embedding is zero"),
        ([("a", "query", 1, 1, (1.0, float("nan"))), ("b", "gallery", 1, 2, (1.0, 0.0))], "not finite"),
        ([("a", "query", 1, 1, (1.0, 0.0, 0.0)), ("b", "gallery", 1, 2, (1.0, 0.0))], "not of"),
        ([("a", "query", 1, 1, (1.0, 0.0)), ("a", "gallery", 1, 2, (1.0, 0.0))], "more than once"),
        ([("a", "query", 1, 1, (1.0, 0.0))], "no gallery tracklet"),
        ([("b", "gallery", 1, 2, (1.0, 0.0))], "no query tracklet"),
        ([("a", "query", 1, 1, (1.0, 0.0)), ("b", "gallery", 1, 1, (1.0, 0.0))], "has a match by another camera"),
    ],
)
def test_what_cannot_be_ranked_is_said_plainly(write_embeddings, evaluate, rows, message) -> None:
    with pytest.raises(DataError, match=message):
        evaluate(write_embeddings(rows))


def test_what_is_odd_is_named(write_embeddings, worked_rows, evaluate) -> None:
    rows = [*worked_rows, ("0005C1T0001", "query", 5, 1, (0.3, 1.0)), ("0006C3T0001", "gallery", 6, 3, (1.8, 0.2))]
    metrics = json.loads((evaluate(write_embeddings(rows)) / "metrics.json").read_text())
    assert metrics["missing_identities"] == {"count": 2, "first": [3, 5]}
    # (1.8, 0.2) has the direction of (0.9, 0.1)
    assert metrics["duplicates"] == {"count": 1, "first": [["0001C2T0001", "0006C3T0001"]]}


def test_intervals_hold_the_metrics_and_know_their_identities(write_embeddings, random_rows, evaluate) -> None:
    metrics = json.loads((evaluate(write_embeddings(random_rows), ranks=(1, 5)) / "metrics.json").read_text())
    intervals = metrics["intervals"]
    assert (intervals["level"], intervals["resamples"], intervals["identities"]) == (0.95, 1000, 8)
    measured = {"mAP": metrics["mAP"], "mINP": metrics["mINP"], **metrics["cmc"]}
    given = {"mAP": intervals["mAP"], "mINP": intervals["mINP"], **intervals["cmc"]}
    assert given.keys() == measured.keys()
    assert all(given[name][0] <= value <= given[name][1] for name, value in measured.items())
    assert given["mAP"][0] < given["mAP"][1]


def test_of_a_single_identity_there_is_no_interval(write_embeddings, evaluate) -> None:
    rows = [("a", "query", 1, 1, (1.0, 0.0)), ("b", "gallery", 1, 2, (1.0, 0.1)), ("c", "gallery", 0, 2, (0.0, 1.0))]
    assert json.loads((evaluate(write_embeddings(rows)) / "metrics.json").read_text())["intervals"] is None


def test_ties_are_counted_with_what_they_cost(write_embeddings, evaluate) -> None:
    rows = [("a", "query", 1, 1, (1.0, 0.0)), ("b", "gallery", 1, 2, (0.0, 1.0)), ("c", "gallery", 0, 2, (0.0, 2.0))]
    metrics = json.loads((evaluate(write_embeddings(rows)) / "metrics.json").read_text())
    assert metrics["ties"] == {"queries": 1, "matches": 1, "mAP_right_first": 1.0}
    assert metrics["mAP"] == 0.5


def test_pairs_of_cameras_and_lengths_of_tracklets_are_told_apart(write_embeddings, worked_rows, evaluate) -> None:
    shard = write_embeddings(worked_rows, frames=[4, 9, 7, 9, 9, 8, 8, 9, 9])
    metrics = json.loads((evaluate(shard, gallery="without_queries") / "metrics.json").read_text())
    (pair,) = metrics["camera_pairs"]
    assert (pair["query_camid"], pair["gallery_camid"], pair["queries"]) == (1, 2, 3)
    assert pair["mAP"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert [(row["from"], row["to"], row["queries"], row["mAP"]) for row in metrics["lengths"]] == [
        (4, 7, 2, 0.75),
        (8, 15, 1, 1.0),
    ]


def test_re_ranking_and_query_expansion_are_named(write_embeddings, random_rows, evaluate) -> None:
    shard = write_embeddings(random_rows)
    plain = json.loads((evaluate(shard) / "metrics.json").read_text())
    assert (plain["protocol"]["reranking"], plain["protocol"]["expansion"]) == (None, None)
    out = evaluate(shard, rerank={"k1": 4, "k2": 2}, expansion={"neighbours": 1})
    both = json.loads((out / "metrics.json").read_text())
    assert both["protocol"]["reranking"] == {"k1": 4, "k2": 2, "weight": 0.3}
    assert both["protocol"]["expansion"] == {"neighbours": 1, "alpha": 3.0}
    assert both["protocol"]["distance"] == "k-reciprocal, float32"
    assert both["mAP"] != plain["mAP"]
    rows = read_table(out / "ranks.parquet", RANKS).to_pylist()
    assert all(0 <= row["distance"] <= 1 for row in rows)


def test_re_ranked_distances_are_what_is_ranked(write_embeddings, random_rows, evaluate) -> None:
    shard = write_embeddings(random_rows)
    out = evaluate(shard, rerank={"k1": 4, "k2": 2}, gallery="without_queries", top=3)
    queries, gallery = queries_and_gallery(read_embeddings([shard]), "without_queries")
    distances = rerank(queries.vectors[:], gallery.vectors[:], RerankSettings(k1=4, k2=2))
    nearest = {q: gallery.ids[np.argsort(row, kind="stable")[0]] for q, row in zip(queries.ids, distances, strict=True)}
    rows = read_table(out / "ranks.parquet", RANKS).to_pylist()
    assert {row["query_id"]: row["gallery_id"] for row in rows[::3]} == nearest


def test_embeddings_beyond_memory_are_ranked_from_a_file(write_embeddings, random_rows, evaluate, monkeypatch) -> None:
    shards = write_embeddings(random_rows[20:], "a.parquet"), write_embeddings(random_rows[:20], "b.parquet")
    in_memory = {p.name: p.read_bytes() for p in evaluate(*shards).iterdir()}
    monkeypatch.setattr("evaluation.ranking.embeddings.MOST_BYTES", 100)
    monkeypatch.setattr("evaluation.ranking.embeddings.BATCH_ROWS", 7)
    out = evaluate(*shards)
    assert {p.name for p in out.iterdir()} == set(in_memory), "the file is gone again"
    assert {p.name: p.read_bytes() for p in out.iterdir()} == in_memory


def test_ranks_start_at_one() -> None:
    with pytest.raises(ValidationError):
        EvaluationSettings(ranks=(0, 5))


def test_a_tracklet_without_an_embedding_is_named_and_gains_nothing(write_embeddings, worked_rows, evaluate) -> None:
    rows = [(*row[:4], (0.0, 0.0)) if row[0] == "0001C1T0001" else row for row in worked_rows]
    out = evaluate(write_embeddings(rows), gallery="without_queries")
    assert json.loads((out / "metrics.json").read_text())["without_embedding"] == {"count": 1, "first": ["0001C1T0001"]}
    first = read_table(out / "queries.parquet", QUERIES).to_pylist()[0]
    assert first["first_match"] == first["candidates"], "everything ties with it, so its match comes last"
