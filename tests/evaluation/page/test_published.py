"""Published results: beside ours where the data set is the one, and never where it is another."""

import math
from typing import Any

import pytest

from evaluation.page.published import BENCHMARKS, asks, probe_of, published_results
from storage.datasets.readers import READERS
from storage.datasets.recordings.readers import SEQUENCE_READERS


def metrics(sampling: str | None = "dense") -> dict[str, Any]:
    protocol = {"gallery": "with_queries", "sampling": sampling, "reranking": None, "expansion": None}
    return {"mAP": 0.5, "mINP": 0.4, "cmc": {"1": 0.625}, "protocol": protocol}


def check(layout: str, claimed: bool | None = None, people: int = 0) -> dict[str, Any]:
    compared = None if claimed is None else {"claimed": claimed, "same": 1, "figures": [0, 0, 0]}
    return {"layout": layout, "published": compared, "splits": {"query": {"identities": people}}}


def test_every_result_has_a_source_a_protocol_and_figures_of_its_data_set() -> None:
    assert BENCHMARKS.keys() <= READERS.keys() | SEQUENCE_READERS.keys()
    for benchmark in BENCHMARKS.values():
        for method, figures in benchmark.figures.items():
            assert method.source
            assert method.protocol
            assert len(figures) == len(benchmark.metrics)
            assert all(0 < figure < 100 and not math.isnan(figure) for figure in figures)


def test_ours_stands_last_and_is_marked_with_its_protocol() -> None:
    found = published_results(check("mars", claimed=True), "After finetuning", metrics(), ["trained here"])
    *others, ours = found["rows"]
    assert (ours["name"], ours["cells"], ours["ours"]) == ("Ours, after finetuning", ["50.0", "62.5"], True)
    assert ours["protocol"] == "query tracklets kept in the gallery; every frame (dense); trained here"
    assert [row["name"] for row in others] == ["TCViT", "TF-CLIP", "CLIMB-ReID"]
    assert not any(row["ours"] for row in others)
    assert "not compared" in found["says"]


def test_another_data_set_in_the_same_layout_has_ours_nowhere_near() -> None:
    found = published_results(check("mars", claimed=False), "After finetuning", metrics(), [])
    assert not found["beside"]
    assert not any(row["ours"] for row in found["rows"])
    assert "are not that data set (1 of 3 published counts" in found["says"]


def test_recordings_of_another_number_of_people_are_not_biwi() -> None:
    found = published_results(check("biwi", people=5), "Sequences", metrics(None), [], "Walking")
    assert not any(row["ours"] for row in found["rows"])
    assert "(5 people ask, not 28)" in found["says"]


@pytest.mark.parametrize("layout", ["folder", "manifest", "utd_mhad", "ccvid"])
def test_a_data_set_without_published_results_says_so(layout: str) -> None:
    found = published_results(check(layout), "After finetuning", metrics(), [])
    assert found == {"says": "No published results are known here for this data set.", "rows": []}


@pytest.mark.parametrize(
    ("layout", "probe", "column"),
    [("biwi", "walking", "Walking"), ("biwi", "still", "Still"), ("biwi", None, "Walking"), ("ias", "B", "B")],
)
def test_ours_stands_in_the_column_of_the_part_that_asked(layout: str, probe: str | None, column: str) -> None:
    settings = [{"name": "data.layout", "value": layout}, {"name": "data.sequences.probe", "value": probe}]
    people = {"biwi": 28, "ias": 11}[layout]
    found = published_results(check(layout, people=people), "Sequences", metrics(None), [], probe_of(settings))
    cells = dict(zip(found["columns"], found["rows"][-1]["cells"], strict=True))
    assert cells.pop(asks(column)) == "62.5"
    assert set(cells.values()) == {"–"}


def test_only_tests_of_skeletons_have_parts() -> None:
    assert probe_of([{"name": "data.layout", "value": "mars"}]) == ""
    assert probe_of([]) == ""
