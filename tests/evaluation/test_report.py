"""The report: one file that holds everything, says what was found, and is the same for the same inputs."""

import base64
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluation import evaluate
from evaluation.page import TEMPLATES, write_check
from evaluation.report import Inputs, ReportSettings, run
from storage.data_check import Comparison, DataCheck
from storage.data_findings import Finding, Item
from storage.errors import StoreError
from storage.schema import FRAME_STATUS, SKELETONS
from storage.skeleton import NUM_JOINTS
from storage.tables import ragged_table, write_table
from storage.tracklets import Tracklet, index_table

FRAMES = 4
NASTY = "<script>alert(1)</script>&"
EMPTY_TAGS = {"meta", "img", "br", "link", "path", "rect"}


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


def small_check(problem: str, name: str) -> dict[str, Any]:
    """What `storage.data_check.DataCheck.as_json` gives of a small data set that differs from the published one."""
    finding = Finding("missing", problem, 70, (Item((name,), "gone"),) * 50, True)
    note = Finding("short", "a note", 2, (Item(("0001C1T0001",)), Item(("0002C1T0001", "0002C2T0001"))), False)
    counts = {"tracklets": 6, "identities": 2, "frames": 2400, "cameras": 3, "distractors": 0}
    counts |= {"shortest": 2, "longest": 1200}
    figures = (("train", "tracklets", 7, 6), ("train", "frames", 2400, 2400))
    compared = Comparison("Small", "its authors", 1, True, figures)
    lengths = ((1, 1, 0), (2, 3, 4), (4, 7, 2))
    sizes = {"median": (64, 128)}
    return DataCheck("mars", {"train": counts}, compared, lengths, sizes, (finding, note)).as_json()


@pytest.fixture
def make_inputs(tmp_path: Path, write_embeddings, random_rows) -> Callable[..., Inputs]:
    """A small run's artifacts: frames on disk, index, skeletons, quality, histories, two evaluated models."""

    def make(
        rename: dict[str, str] | None = None,
        unreadable: tuple[str, ...] = (),
        no_person: tuple[str, ...] = (),
        accuracy: dict[str, object] | None = None,
        **group: object,
    ) -> Inputs:
        rng = np.random.default_rng(0)
        rows = [((rename or {}).get(row[0], row[0]), *row[1:]) for row in random_rows]
        tracklets = []
        for number, (name, split, pid, camid, _) in enumerate(rows):
            frames = [f"frames/{number:04d}_{t}.jpg" for t in range(FRAMES)]
            (tmp_path / "frames").mkdir(exist_ok=True)
            for frame in frames:
                cv2.imwrite(str(tmp_path / frame), np.full((32, 16, 3), 20 * pid, np.uint8))
            tracklets.append(Tracklet(name, split, pid, camid, tuple(frames)))
        write_table(index_table(tracklets), tmp_path / "index.parquet")
        shape = (len(tracklets), FRAMES, NUM_JOINTS)
        columns = {
            "keypoints_3d": list(rng.normal(size=(*shape, 3)).astype("f") * 0.3),
            "keypoints_2d": list(rng.uniform(0, 16, (*shape, 2)).astype("f")),
            "scores": list(rng.uniform(0.2, 1, shape).astype("f")),
            "status": list(np.zeros(shape[:2], np.uint8)),
            "filled": list(np.zeros(shape[:2], np.bool_)),
        }
        write_table(
            ragged_table([t.tracklet_id for t in tracklets], columns, SKELETONS), tmp_path / "skeletons.parquet"
        )
        for number, model in enumerate(("visual", "finetuned")):
            (tmp_path / model).mkdir(exist_ok=True)
            noisy = [(*row[:4], (np.array(row[4]) + (1 - number) * rng.normal(size=12)).tolist()) for row in rows]
            shard = write_embeddings(noisy, f"{model}.parquet")
            evaluate.run(evaluate.Inputs((shard,)), evaluate.EvaluationSettings(), tmp_path / model)
        steps = np.arange(30)
        history = {
            "step": steps,
            "epoch": steps // 10,
            "lr": steps * 0.1,
            "loss": 3 - steps / 20,
            "loss_id": 2 - steps / 30,
        }
        for stage in ("pretrained", "finetuned"):
            pq.write_table(pa.table(history), tmp_path / f"{stage}.history.parquet")
        summary = small_check(f"a problem {NASTY}", f"bbox/problem{NASTY}.jpg")
        (tmp_path / "summary.json").write_text(json.dumps(summary))
        status = dict.fromkeys(FRAME_STATUS, 0.25)
        quality = {
            "groups": [{"split": None, "camid": None, "frames": 24, "status": status, "mean_score": 0.7, **group}],
            "ranked": {
                "best": [{"tracklet_id": rows[0][0], "mean_score": 0.9}],
                "worst": [{"tracklet_id": rows[1][0]}],
            },
            "unreadable": {"count": len(unreadable), "first": list(unreadable)},
            "no_person": {"count": len(no_person), "first": list(no_person)},
            "accuracy": accuracy,
        }
        (tmp_path / "quality.json").write_text(json.dumps(quality))
        lineage = (
            {"stage": "index", "artifact": "index", "key": "abc", "seconds": 1.5, "device": "cpu", "made": "then"},
        )
        return Inputs(
            tmp_path,
            (tmp_path / "index.parquet",),
            tmp_path / "summary.json",
            (tmp_path / "skeletons.parquet",),
            tmp_path / "quality.json",
            {name: tmp_path / f"{name.lower()}.history.parquet" for name in ("Pretrained", "Finetuned")},
            {"Visual encoder alone": tmp_path / "visual", "After finetuning": tmp_path / "finetuned"},
            lineage,
        )

    return make


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., str]:
    def make(inputs: Inputs, **settings: object) -> str:
        out = tmp_path / "report"
        out.mkdir(exist_ok=True)
        run(inputs, ReportSettings(**settings), out)
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
        "Lineage",
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
    assert report(inputs) == report(inputs)


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
