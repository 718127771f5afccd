"""The report: one file that holds everything, says what was found, and is the same for the same inputs."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluation.page.html import TEMPLATES, write_check
from evaluation.report import Inputs, ReportSettings, run
from storage.errors import StoreError
from tests.evaluation.small_report import NASTY, small_check

EMPTY_TAGS = {"meta", "img", "br", "link", "path", "rect", "use"}


class Page(HTMLParser):
    """Tags with their attributes, text, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., str]:
    def make(inputs: Inputs, **settings: object) -> str:
        out = tmp_path / "report"
        out.mkdir(exist_ok=True)
        run(inputs, ReportSettings(**{"map_identities": 0} | settings), out)  # maps take time
        assert [p.name for p in out.iterdir()] == ["report.html"]
        return (out / "report.html").read_text()

    return make


def test_the_report_has_every_section(make_inputs, report) -> None:
    page = Page(report(make_inputs(), title="A title"))
    assert not page.open
    assert "A title" in page.text
    for words in (
        "mAP, after finetuning",
        "Visual encoder alone",
        "Chance",
        "query tracklets kept in the gallery",
        "wrong answers first",
        "Cumulative matching characteristic",
        "Easy queries",
        "Median queries",
        "Hard queries",
        "Data set",
        "a note",
        "Unreadable frames None",
        "Skeletons",
        "Best: 0001C1T0001",
        "Pretrained 30 steps, 3 epochs",
        "index 1 1.5 s cpu then abc",
    ):
        assert words in page.text, words
    sections = {tag["id"] for tag in page.all("section")}
    links = {link["href"] for link in page.all("a")}
    assert links == {f"#{section}" for section in sections}


def test_the_report_refers_to_nothing_outside_itself(make_inputs, report) -> None:
    text = report(make_inputs())
    page = Page(text)
    references = [v for _, attributes in page.tags for k, v in attributes.items() if k in ("src", "href", "xlink:href")]
    assert references
    assert all(r.startswith(("data:image/jpeg;base64,", "#")) for r in references)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert not page.all("script")
    assert not page.all("link")


def test_the_same_inputs_give_the_same_bytes(make_inputs, report) -> None:
    inputs = make_inputs()
    assert report(inputs, map_identities=3) == report(inputs, map_identities=3)


def test_names_from_the_data_set_cannot_become_markup(make_inputs, report) -> None:
    names = {"unreadable": (f"bbox/{NASTY}.jpg",), "no_person": (f"empty/{NASTY}.jpg",)}
    text = report(make_inputs(rename={"0001C1T0001": NASTY}, **names))
    page = Page(text)
    assert "<script" not in text
    assert not page.all("script")
    assert f"Best: {NASTY}" in page.text
    assert f"bbox/{NASTY}.jpg" in page.text
    assert f"empty/{NASTY}.jpg" in page.text
    assert f"a problem {NASTY}" in page.text
    assert f"bbox/problem{NASTY}.jpg (gone)" in page.text


def test_pictures_are_in_the_page_and_can_be_decoded(make_inputs, report) -> None:
    pictures = Page(report(make_inputs(), queries=1, answers=4)).all("img")
    assert len(pictures) == 3 * (1 + 4) + 2
    for picture in pictures:
        data = base64.b64decode(picture["src"].partition(",")[2])
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
        assert picture["alt"]


def test_skeletons_are_told_by_status_filling_scores_and_steadiness(make_inputs, report) -> None:
    counts = [0, 0, 0, 0, 0, 0, 0, 0, 6, 2]
    steady = {"limb_variation_mm": 7.1, "jitter_mm": 16.4, "swaps": 1.25}
    page = Page(report(make_inputs(filled=0.125, score_histogram=counts, **steady)))
    assert "all 24 25.0 25.0 25.0 25.0 12.5 0.70 0.8 to 0.9: 75 %, 0.9 to 1.0: 25 % 7 16 1.2" in page.text
    (spark,) = (svg for svg in page.all("svg") if svg.get("class") == "spark")
    assert spark["aria-label"] == "Scores: 0.8 to 0.9: 75 %, 0.9 to 1.0: 25 %"
    bars = [(bar["x"], float(bar["height"])) for bar in page.all("rect") if bar.get("width") == "5"]
    assert bars == [("48", 19), ("54", 7)], "in their bins, one pixel tall at least"
    assert "only zeros" not in page.text


def test_without_scores_there_is_no_histogram(make_inputs, report) -> None:
    page = Page(report(make_inputs()))
    assert not [svg for svg in page.all("svg") if svg.get("class") == "spark"]


def test_skeletons_that_are_missing_where_there_should_be_some_are_told(make_inputs, report) -> None:
    assert "2 frames should have a skeleton and hold only zeros" in Page(report(make_inputs(zero_skeletons=2))).text
    assert "1 frame should have a skeleton and holds only zeros" in Page(report(make_inputs(zero_skeletons=1))).text


def test_accuracy_is_shown_by_joint_where_there_is_truth(make_inputs, report) -> None:
    one = {"mpjpe_mm": 20.0, "pa_mpjpe_mm": 10.0, "pck": 0.5}
    measured = {"frames": 12, "pck_threshold": 0.1, "mpjpe_filled_mm": 33.0, **one, "by_joint": {"left_foot": one}}
    page = Page(report(make_inputs(accuracy={"test": measured, "all": measured})))
    assert "test identities 12 20.0 10.0 50.0 33.0" in page.text
    assert "By joint test identities MPJPE, mm PA-MPJPE, mm PCK@0.1, % left foot 20.0 10.0 50.0" in page.text
    assert "By joint" not in Page(report(make_inputs())).text


def test_where_the_ranking_is_good_is_a_section(make_inputs, report) -> None:
    page = Page(report(make_inputs()))
    for words in (
        "By pair of cameras",
        "asks ↓ answers → c2 c3 c1",
        "By length of the query’s tracklet",
        "95 % intervals: bootstrap over 8 identities, 1,000 times",
        "Nothing: no right answer is exactly as near",
    ):
        assert words in page.text, words
    heat = [cell for cell in page.all("td") if "--heat" in (cell.get("style") or "")]
    assert len(heat) == 2 * 2, "queries are by camera 1, and the gallery of two others answers"


def test_the_map_published_results_and_what_was_left_out_are_sections(make_inputs, report) -> None:
    text = report(make_inputs(), map_identities=5)
    page = Page(text)
    assert "The test tracklets of 5 of 8 identities, after finetuning" in page.text
    assert 'aria-label="Embedding map"' in text
    assert "No published results" not in page.text
    assert "Published on MARS, which this is not" in page.text or "As published on MARS" in page.text
    assert "One training, with seed 3" in page.text
    assert "Stages that were not run: visual." in page.text
    assert 'aria-label="Embedding map"' not in report(make_inputs(), map_identities=0)


def test_settings_versions_and_the_machine_are_told(make_inputs, report) -> None:
    page = Page(report(make_inputs()))
    assert "1 settings that differ" not in page.text
    assert "1 setting that differs from its default, 1 that does not" in page.text
    assert "finetune.seed 3 0" in page.text
    assert "Processor one of ours numpy 2.4.6" in page.text


def test_a_reranked_result_is_called_so(make_inputs, report) -> None:
    inputs = make_inputs()
    for folder in inputs.results.values():
        metrics = json.loads((folder / "metrics.json").read_text())
        metrics["protocol"] |= {"reranking": {"k1": 20, "k2": 6, "weight": 0.3}, "expansion": None}
        (folder / "metrics.json").write_text(json.dumps(metrics))
    page = Page(report(inputs))
    assert "mAP, after finetuning, re-ranked" in page.text
    assert "k1 20, k2 6, weight 0.3" in page.text


def test_without_images_there_are_no_pictures_and_the_rest_is_there(make_inputs, report) -> None:
    bare = replace(make_inputs(), skeletons=(), quality=None, histories={})
    page = Page(report(bare))
    assert page.all("img") == []
    for words in (
        "People are told apart by their skeletons alone",
        "By pair of cameras",
        "Map of embeddings",
        "Left out",
    ):
        assert words in page.text, words
    assert "Gallery answers" not in page.text
    assert {link["href"] for link in page.all("a")} == {f"#{tag['id']}" for tag in page.all("section")}


def test_right_and_wrong_are_told_by_more_than_colour(make_inputs, report) -> None:
    page = Page(report(make_inputs()))
    kinds = [figure.get("class") for figure in page.all("figure")]
    answers = [i for i in page.all("img") if i["alt"].startswith(("right:", "wrong:", "same camera:"))]
    for kind, word, mark in (
        ("match", "right", "✓"),
        ("wrong", "wrong", "✕"),
        ("same_camera", "same camera", "same camera"),
    ):
        count = kinds.count(kind)
        assert count > 0
        assert sum(a["alt"].startswith(f"{word}:") for a in answers) == count
        assert page.text.count(mark) >= count


def test_a_tracklet_whose_frames_are_gone_is_shown_as_such(make_inputs, report, tmp_path) -> None:
    inputs = make_inputs()
    for path in (tmp_path / "frames").iterdir():
        path.unlink()
    assert "Best: 0001C1T0001" in Page(report(inputs)).text


def test_a_damaged_history_is_said_plainly(make_inputs, report, tmp_path) -> None:
    inputs = make_inputs()
    (tmp_path / "finetuned.history.parquet").write_bytes(b"not parquet")
    with pytest.raises(StoreError, match="training history"):
        report(inputs)


def test_the_check_of_the_data_set_is_a_section(make_inputs, report) -> None:
    page = Page(report(make_inputs()))
    for words in (
        "1 problem, 1 note. 1 of 2 published figures of Small are as counted (its authors).",
        "identities tracklets frames cameras distractors train 2 6 2,400 3 0 published 7 2,400",
        "Width x height of the frames: median 64 x 128.",
        "Problem a problem",
        "The first 50",
        "… and 20 more",
        "Note a note 0001C1T0001 0002C1T0001 = 0002C2T0001",
        "Tracklets by length, frames shortest 2, longest 1,200 1 0 2 to 3 4 4 to 7 2",
    ):
        assert words in page.text, words
    differs = [cell for cell in page.all("td") if cell.get("class") == "differs"]
    assert len(differs) == 2, "the count and the published figure"
    bars = [span["style"] for span in page.all("span") if span.get("class") == "fill" and "series-1" in span["style"]]
    assert [bar.split(";")[1] for bar in bars[-3:]] == ["width:0.00%", "width:100.00%", "width:50.00%"]


def test_a_check_is_a_page_of_its_own(tmp_path) -> None:
    write_check(small_check(f"a problem {NASTY}", "x.jpg"), f"Data set {NASTY}", tmp_path / "check.html")
    text = (tmp_path / "check.html").read_text()
    page = Page(text)
    assert not page.open
    assert not page.all("script")
    assert f"Data set {NASTY}" in page.text
    assert "1 problem, 1 note" in page.text
    assert "http" not in text


def test_the_key_of_a_report_counts_every_template_that_it_is_made_with() -> None:
    text = TEMPLATES["report.html"].read_text()
    included = set(re.findall(r'{% include "([^"]+)" %}', text))
    assert included | {"report.html"} == TEMPLATES.keys()
    assert all(path.is_file() for path in TEMPLATES.values())
