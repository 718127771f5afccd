"""Results side by side: worked by hand, against what an evaluation wrote, and what must be refused or said."""

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.page.comparison_page import camera_matrix, difference_rows, p_value, render, sentences
from evaluation.page.ranking_rows import protocol as protocol_told
from evaluation.ranking.intervals import bootstrap, holm, paired
from evaluation.results.comparison import compare, over_seeds
from evaluation.results.files import PENALTY, Result, read_metrics, read_result
from evaluation.schema import CMC, QUERIES
from storage.errors import CsipError, DataError
from storage.tables.parquet import read_table, write_table
from tests.evaluation.small_results import evaluated

PROTOCOL = {
    "name": "standard",
    "gallery": "with_queries",
    "sampling": None,
    "left_out": "the query's own",
    "distance": "Euclidean",
    "ties": "wrong answers first",
}

FIELDS = ("queries", "gallery", "mAP", "cmc", "camera_pairs", "lengths", "protocol")
PARTS = ("name", "gallery", "sampling", "reranking", "expansion")
NUMBERS = st.integers(-3, 2**70) | st.floats()
ROWS = st.fixed_dictionaries(
    {name: st.integers(0, 3) for name in ("query_camid", "gallery_camid", "from", "to", "queries")}
    | {name: st.floats(0, 1) | NUMBERS for name in ("mAP", "rank_1")}
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=4) | ROWS | st.lists(ROWS, max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["1", "5", "k1", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def result(name: str, pids: list[int], firsts: list[int], protocol: Mapping[str, Any] = {}) -> Result:
    """One match a query, at these ranks (0: the query has none), among 20 candidates."""
    first = np.array(firsts)
    precision = np.where(first > 0, 1 / np.maximum(first, 1), 0.0)
    queries = {
        "query_id": np.array([f"q{number}" for number in range(len(pids))], dtype=object),
        "pid": np.array(pids),
        "camid": np.ones(len(pids), int),
        "matches": (first > 0).astype(int),
        "candidates": np.full(len(pids), 20),
        "first_match": first,
        "average_precision": precision,
        PENALTY: precision,
    }
    measured = float(precision[first > 0].mean()) if first.any() else 0.0
    metrics = {
        "mAP": measured,
        "cmc": {"1": 0.0, "5": 0.0},
        "protocol": {**PROTOCOL, **protocol},
        "queries": len(pids),
        "counted_queries": int((first > 0).sum()),
        "queries_without_match": int((first == 0).sum()),
        "gallery": 21,
        "distractors": 0,
    }
    return Result(name, metrics, queries, np.linspace(0.05, 1, 20))


@pytest.fixture
def real(tmp_path: Path) -> Callable[..., Result]:
    def real(name: str, **how: Any) -> Result:
        return read_result(evaluated(tmp_path / name, **how), name)

    return real


def page(found: dict[str, Any], reference: Result, **more: Any) -> str:
    abouts = {row["name"]: f"about {row['name']}" for row in found["results"]}
    return render(found, abouts, more.get("settings", {}), more.get("seeds", []), reference.metrics)


def test_a_comparison_worked_by_hand() -> None:
    """Query 0 falls from rank 1 to 2, query 1 rises from 4 to 1, query 2 stays."""
    found = compare([result("old", [1, 1, 2], [1, 4, 2]), result("new", [1, 1, 2], [2, 1, 2])])
    old, new = (row["metrics"] for row in found["results"])
    assert found["metrics"] == ["mAP", "mINP", "Rank-1", "Rank-5"]
    assert [old["mAP"]["value"], new["mAP"]["value"]] == pytest.approx([1.75 / 3, 2 / 3])
    assert new["mAP"]["difference"] == pytest.approx(0.25 / 3)
    assert (new["Rank-1"]["value"], new["Rank-1"]["difference"]) == (pytest.approx(1 / 3), 0.0)
    assert new["Rank-5"]["verdict"] == "the same"
    changed = found["results"][1]["changed"]
    assert (changed["gained"]["count"], changed["lost"]["count"], changed["equal"]) == (1, 1, 1)
    gained = changed["gained"]["first"][0]
    assert (gained["query_id"], gained["before"], gained["after"]) == ("q1", 0.25, 1.0)
    assert (gained["first_match_before"], gained["first_match_after"]) == (4, 1)
    assert found["cmc"]["curves"]["old"][:4] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1])


def test_metrics_and_curves_are_those_that_the_evaluations_wrote(real: Callable[..., Result], tmp_path: Path) -> None:
    results = [real("one", noise=1.2), real("other", noise=1.5, seed=4)]
    found = compare(results)
    for row, one in zip(found["results"], results, strict=True):
        assert row["metrics"]["mAP"]["value"] == pytest.approx(one.metrics["mAP"])
        for rank, share in one.metrics["cmc"].items():
            assert row["metrics"][f"Rank-{rank}"]["value"] == pytest.approx(share)
        curve = read_table(tmp_path / row["name"] / "cmc.parquet", CMC)
        assert found["cmc"]["curves"][row["name"]] == pytest.approx(curve["cmc"].to_pylist())


def test_intervals_and_p_values_are_those_over_identities_corrected_over_the_results(
    real: Callable[..., Result],
) -> None:
    results = [real("a", noise=1.5), real("b", noise=1.4, seed=1), real("c", noise=1.2, seed=2)]
    rows = compare(results)["results"]
    pids = results[0].queries["pid"]
    precision = [one.queries["average_precision"][:, None] for one in results]
    assert rows[2]["metrics"]["mAP"]["interval"] == pytest.approx(bootstrap(pids, precision[2])[0].tolist())  # type: ignore[index]
    tests = [paired(pids, precision[0], after) for after in precision[1:]]
    raw = [float(test.p[0]) for test in tests if test.p is not None]
    assert [row["metrics"]["mAP"]["p"] for row in rows[1:]] == pytest.approx(raw)
    assert [row["metrics"]["mAP"]["p_corrected"] for row in rows[1:]] == pytest.approx(holm(raw))
    assert rows[1]["metrics"]["mAP"]["difference_interval"] == pytest.approx(tests[0].interval[0].tolist())  # type: ignore[index]


def test_a_clearly_better_model_is_said_to_be_better_a_worse_one_worse_and_a_like_one_neither(
    real: Callable[..., Result],
) -> None:
    results = [
        real("base", noise=1.5),
        real("good", noise=0.5),
        real("bad", noise=4.0),
        real("like", noise=1.5, seed=9),
    ]
    found = compare(results)
    assert [row["metrics"]["mAP"]["verdict"] for row in found["results"][1:]] == ["better", "worse", "not told apart"]
    said = sentences(found)
    assert said[0].startswith("good is better than base in mAP: +")
    assert said[1].startswith("bad is worse than base in mAP: −")
    assert said[2].startswith("like is not told apart from base in mAP: ")
    again = compare([replace(results[0], name="twin"), results[0]])
    assert {row["verdict"] for row in again["results"][1]["metrics"].values()} == {"the same"}


def test_the_order_of_queries_in_the_files_changes_nothing(real: Callable[..., Result]) -> None:
    one, other = real("one", noise=1.4), real("other", noise=1.3, seed=2)
    order = np.random.default_rng(0).permutation(len(other.queries["pid"]))
    shuffled = replace(other, queries={name: column[order] for name, column in other.queries.items()})
    assert json.dumps(compare([one, other])) == json.dumps(compare([one, shuffled]))


def test_queries_that_not_all_counted_are_left_out_and_said_to_be() -> None:
    """The new model was not asked query 2, and query 1 has no match there."""
    old, new = result("old", [1, 2, 3, 4], [1, 1, 1, 2]), result("new", [1, 2, 3, 4], [2, 0, 1, 1])
    new = replace(new, queries={name: column[[0, 1, 3]] for name, column in new.queries.items()})
    old.metrics["camera_pairs"] = new.metrics["camera_pairs"] = [  # type: ignore[index]
        {"query_camid": 1, "gallery_camid": 2, "queries": 2, "mAP": 0.5, "rank_1": 0.5}
    ]
    found = compare([old, new])
    assert found["queries"] == {"compared": 2, "identities": 2, "left_out": {"old": 2, "new": 0}}
    assert found["results"][0]["metrics"]["mAP"]["value"] == pytest.approx(0.75)
    told = next(notice for notice in found["notices"] if "left out" in notice)
    assert told.startswith("2 of old's 4 counted queries are left out")
    assert told.endswith("its mAP is 87.5")
    assert "camera_pairs" not in found["results"][1], "they are over all queries"


@pytest.mark.parametrize(
    "other", [{"gallery": "without_queries"}, {"name": "clothes_changing"}, {"ties": "right first"}]
)
def test_other_rules_are_refused_unless_forced_and_then_said_first(other: dict[str, str]) -> None:
    results = [result("old", [1, 2], [1, 2]), result("new", [1, 2], [1, 1], other)]
    (value,) = other.values()
    with pytest.raises(DataError, match=rf"{value} \(new\)") as refused:
        compare(results)
    assert "--force" in str(refused.value)
    assert f"{value} (new)" in compare(results, force=True)["notices"][0]


def test_a_result_from_before_protocols_had_names_is_of_the_standard_one(tmp_path: Path) -> None:
    folder = evaluated(tmp_path / "old", people=4)
    now = read_result(folder, "now")
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["protocol"]["name"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert not compare([now, read_result(folder, "old")])["notices"][1:]


def test_another_gallery_behind_the_same_rules_is_seen(real: Callable[..., Result]) -> None:
    results = [real("all"), real("more", distractors=3)]
    with pytest.raises(DataError, match="60 of 60 common queries met other numbers"):
        compare(results)
    assert compare(results, force=True)["notices"][0].startswith("gallery: 60 of 60")


@pytest.mark.parametrize(
    "way",
    [{"reranking": {"k1": 20, "k2": 6}}, {"sampling": "rrs"}, {"distance": "cosine"}, {"expansion": {"alpha": 3}}],
)
def test_another_way_to_answer_is_compared_and_named(way: dict[str, Any]) -> None:
    found = compare([result("old", [1, 2], [1, 2]), result("new", [1, 2], [1, 1], way)])
    assert any(notice.startswith("They answer in other ways") and "(new)" in notice for notice in found["notices"])


def test_results_without_a_common_query_and_one_alone_are_refused() -> None:
    one = result("one", [1, 2], [1, 1])
    with pytest.raises(DataError, match="no query in common"):
        compare([one, result("strangers", [7, 8], [1, 1])], force=True)
    with pytest.raises(DataError, match="one result alone"):
        compare([one])


def test_one_identity_is_not_tested() -> None:
    found = compare([result("old", [1, 1], [1, 2]), result("new", [1, 1], [1, 1])])
    row = found["results"][1]["metrics"]["mAP"]
    assert (row["interval"], row["difference_interval"], row["p"], row["verdict"]) == (None, None, None, "not tested")
    assert "one identity" in found["notices"][0]
    assert sentences(found) == ["new is not tested against old in mAP: +25.0 points."]
    assert "not tested" in page(found, result("old", [1, 1], [1, 2]))


@pytest.mark.parametrize(("people", "tellable"), [(5, False), (6, True)])
def test_so_few_identities_that_nothing_can_be_told_are_said_to_be(people: int, tellable: bool) -> None:
    pids = list(range(1, people + 1))
    found = compare([result("old", pids, [2] * people), result("new", pids, [1] * people)])
    assert (found["results"][1]["metrics"]["mAP"]["verdict"] == "better") is tellable
    assert ("no difference can be told" in found["notices"][0]) is not tellable


def test_camera_pairs_and_lengths_that_both_have_are_set_against_each_other() -> None:
    old, new = result("old", [1, 2], [1, 2]), result("new", [1, 2], [1, 1])
    for one, value in ((old, 0.5), (new, 0.75)):
        one.metrics["camera_pairs"] = [  # type: ignore[index]
            {"query_camid": 1, "gallery_camid": 2, "queries": 2, "mAP": value, "rank_1": 0.5},
            {"query_camid": 2, "gallery_camid": 1, "queries": 1 if one is old else 2, "mAP": value, "rank_1": 0.5},
        ]
        one.metrics["lengths"] = [{"from": 1024, "to": 2047, "queries": 2, "mAP": value, "rank_1": 1.0}]  # type: ignore[index]
    found = compare([old, new])
    (pair,) = found["results"][1]["camera_pairs"]
    assert (pair["query_camid"], pair["mAP"]) == (1, {"before": 0.5, "after": 0.75})
    shown = page(found, old)
    assert re.search(r"camera 1</td>.*\+25\.0<small>2</small>", shown)
    assert "1,024 to 2,047" in shown


def test_a_matrix_of_cameras_leaves_what_there_is_not_empty() -> None:
    def pair(one: int, other: int, after: float) -> dict[str, Any]:
        return {"query_camid": one, "gallery_camid": other, "queries": 3, "mAP": {"before": 0.5, "after": after}}

    matrix = camera_matrix([pair(1, 2, 0.4), pair(2, 1, 0.7), pair(1, 4, 0.5)])
    assert matrix["cameras"] == [1, 2, 4]
    assert [row["camera"] for row in matrix["rows"]] == [1, 2]
    texts = [
        [cell and (cell["text"], cell["kind"], cell["strength"]) for cell in row["cells"]] for row in matrix["rows"]
    ]
    assert texts == [
        [None, ("−10.0", "wrong", 0.5), ("0.0", "wrong", 0.0)],
        [("+20.0", "right", 1.0), None, None],
    ]


def test_over_seeds_are_mean_and_deviation_of_a_sample() -> None:
    found = compare([result("a", [1, 2], [1, 2]), result("b", [1, 2], [1, 1]), result("c", [1, 2], [2, 2])])
    rows = over_seeds(found["results"])
    assert rows["mAP"] == {"mean": pytest.approx(0.75), "deviation": pytest.approx(0.25)}


def test_mean_inverse_negative_penalty_stands_where_all_wrote_it(tmp_path: Path) -> None:
    folders = [evaluated(tmp_path / name, seed=seed, noise=1.5) for seed, name in enumerate("ab")]
    tables = [pq.read_table(folder / "queries.parquet") for folder in folders]
    for folder, table in zip(folders, tables, strict=True):
        kept = table.drop_columns([PENALTY]) if PENALTY in table.column_names else table
        fields = [*kept.schema, pa.field(PENALTY, pa.float64(), nullable=False)]
        shares = pa.array(np.full(len(kept), 0.25 if folder == folders[0] else 0.5))
        write_table(
            pa.table([*kept.columns, shares], pa.schema(fields, metadata=table.schema.metadata)),
            folder / "queries.parquet",
        )
    found = compare([read_result(folder, folder.name) for folder in folders])
    assert found["results"][1]["metrics"]["mINP"]["difference"] == pytest.approx(0.25)
    table = pq.read_table(folders[1] / "queries.parquet").drop_columns([PENALTY])
    write_table(table, folders[1] / "queries.parquet")
    assert "mINP" not in compare([read_result(folder, folder.name) for folder in folders])["metrics"]


def _without_curve(folder: Path) -> None:
    (folder / "cmc.parquet").unlink()


def _no_json(folder: Path) -> None:
    (folder / "metrics.json").write_text("mAP 0.5")


def _no_metrics(folder: Path) -> None:
    (folder / "metrics.json").write_text(json.dumps({"mAP": 0.5}))


def _of_another(folder: Path) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics | {"mAP": metrics["mAP"] / 2}))


def _twice(folder: Path) -> None:
    table = pq.read_table(folder / "queries.parquet")
    write_table(pa.concat_tables([table, table]), folder / "queries.parquet")


def _cut(folder: Path) -> None:
    (folder / "queries.parquet").write_bytes((folder / "queries.parquet").read_bytes()[:200])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_without_curve, "cmc.parquet missing"),
        (_no_json, "not what an evaluation writes"),
        (_no_metrics, "not what an evaluation writes"),
        (_of_another, "not of one evaluation"),
        (_twice, "listed more than once"),
        (_cut, "cannot read a table"),
    ],
)
def test_what_no_evaluation_writes_is_refused(tmp_path: Path, harm: Callable[[Path], None], said: str) -> None:
    folder = evaluated(tmp_path / "theirs", people=4)
    harm(folder)
    with pytest.raises(CsipError, match=said) as refused:
        read_result(folder, "theirs")
    assert "theirs" in str(refused.value.where)


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ({"queries": None}, "queries"),
        ({"gallery": "21"}, "gallery"),
        ({"mAP": float("nan")}, "mAP"),
        ({"cmc": {"first": 0.5}}, "cmc.first.[key]"),
        ({"cmc": {"0": 0.5}}, "cmc.0.[key]"),
        ({"cmc": {"9" * 30: 0.5}}, f"cmc.{'9' * 30}.[key]"),
        ({"protocol": None}, "protocol"),
        ({"protocol": {"expansion": {"alpha": None}}}, "protocol.expansion.alpha"),
        ({"protocol": {"reranking": "yes"}}, "protocol.reranking"),
        ({"protocol": {"gallery": None}}, "protocol.gallery"),
        ({"camera_pairs": [{"query_camid": 1}]}, "camera_pairs.0.gallery_camid"),
        ({"camera_pairs": {"a": 1}}, "camera_pairs"),
        ({"lengths": [{"from": 1, "to": 2, "queries": 3, "mAP": 45.0, "rank_1": 1.0}]}, "lengths.0.mAP"),
    ],
)
def test_what_others_wrote_is_refused_by_the_name_of_the_field(
    tmp_path: Path, written: dict[str, Any], field: str
) -> None:
    folder = evaluated(tmp_path / "theirs", people=4)
    metrics = json.loads((folder / "metrics.json").read_text())
    protocol = {**metrics["protocol"], **(written.get("protocol") or {})}
    whole = {**metrics, "protocol": protocol} | {name: v for name, v in written.items() if name != "protocol" or not v}
    (folder / "metrics.json").write_text(json.dumps(whole))
    with pytest.raises(DataError, match=rf"\n  {re.escape(field)}: ") as refused:
        read_result(folder, "theirs")
    assert str(refused.value.where) == str(folder / "metrics.json")


def test_of_what_is_right_nothing_is_changed(tmp_path: Path) -> None:
    path = evaluated(tmp_path / "theirs", people=4) / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["protocol"] |= {"reranking": {"k1": 20, "weight": 0.3}, "theirs": [1]}
    path.write_text(json.dumps(metrics))
    assert json.dumps(read_metrics(path), sort_keys=True) == json.dumps(metrics, sort_keys=True)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1), st.dictionaries(st.sampled_from(PARTS), JSON))
def test_whatever_a_metrics_file_holds_it_is_refused_or_can_be_told(
    whole: dict[str, Any], protocol: dict[str, Any]
) -> None:
    one = result("old", [1, 2, 3], [1, 2, 1])
    metrics = {**one.metrics, "protocol": {**PROTOCOL, **protocol}, **whole}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.json"
        path.write_text(json.dumps(metrics))
        try:
            read = read_metrics(path)
        except DataError:
            return
    other = replace(one, name="new", metrics=read)
    found = compare([one, other], force=True)
    assert protocol_told(read)
    assert page(found, other)


def test_the_columns_read_are_those_an_evaluation_writes(tmp_path: Path) -> None:
    read = read_result(evaluated(tmp_path / "ours", people=4), "ours")
    written = read_table(tmp_path / "ours" / "queries.parquet", QUERIES)
    for name, column in read.queries.items():
        assert column.tolist() == written[name].to_pylist()


def test_the_page_is_whole_in_itself_and_nothing_in_it_becomes_markup(real: Callable[..., Result]) -> None:
    results = [real("base", noise=1.5), replace(real("good", noise=0.5), name="<b>good</b>")]
    found = compare(results)
    settings = {"finetune.lr": [0.1, "<i>"]}
    seeds = [{"results": ["base", "<b>good</b>"], "metrics": over_seeds(found["results"])}]
    shown = page(found, results[0], settings=settings, seeds=seeds)
    assert "<b>good" not in shown
    assert "<i>" not in shown
    assert "<script" not in shown
    assert not re.search(r"(src|href)=\"(?!#)", shown)
    assert shown.count("<svg") == 1 + len(found["metrics"]), "the curves, and an interval a metric"
    assert "&lt;b&gt;good&lt;/b&gt; is better than base" in shown
    assert "0.1" in shown
    assert page(found, results[0], settings=settings, seeds=seeds) == shown


def test_how_much_an_interval_holds_is_said_as_it_was_measured(real: Callable[..., Result]) -> None:
    results = [real("base", noise=1.5), real("good", noise=0.5)]
    found = {**compare(results), "level": 0.9}
    assert "(90 % interval +" in sentences(found)[0]
    shown = page(found, results[0])
    assert shown.count("90\u00a0%") == 3
    assert "95\u00a0%" not in shown
    assert "95 %" not in shown


def test_many_curves_are_told_apart(real: Callable[..., Result]) -> None:
    one = real("0", noise=1.5)
    found = compare([replace(one, name=str(number)) for number in range(8)])
    shown = page(found, one)
    strokes = re.findall(r'style="fill: none; (stroke[^"]*)"', shown)
    assert len({s for s in strokes if "--series" in s}) == 8


def test_intervals_are_drawn_on_one_scale_from_the_lowest_end_to_the_highest(real: Callable[..., Result]) -> None:
    rows = difference_rows(compare([real("base", noise=1.5), real("good", noise=0.5), real("bad", noise=4.0)]))
    ends = [float(end) for row in rows for end in row["ends"]]
    assert (min(ends), max(ends)) == (0.0, 100.0)
    for row in rows:
        assert float(row["ends"][0]) <= float(row["at"]) <= float(row["ends"][1])
        assert (float(row["at"]) > float(row["zero"])) is row["difference"].startswith("+")


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0001, "< 0.001"),
        (0.0123, "= 0.012"),
        (0.0499, "= 0.050"),
        (0.05, "= 0.050"),
        (0.0501, "= 0.0501"),
        (0.0504, "= 0.0504"),
        (0.0506, "= 0.051"),
        (0.5, "= 0.50"),
        (1.0, "= 1.00"),
        (None, "–"),
    ],
)
def test_p_values_have_the_digits_that_they_deserve(p: float | None, text: str) -> None:
    assert p_value(p).replace("\u00a0", " ") == text, "the spaces break no line"
