"""`csip data check`: what it prints, its JSON, its page, and how it ends."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.commands.app import app

CLIP = tuple(range(1, 9))
FRAME = "bbox_train/0001/0001C1T0001F001.jpg"


def check(*words: object, status: int = 0) -> str:
    """What `csip data check` says; checks how it ends."""
    done = CliRunner().invoke(app, ["data", "check", *(str(word) for word in words)])
    assert done.exit_code == status, done.output
    return done.output


@pytest.fixture
def root(make_mars: Callable[..., Path]) -> Path:
    """A MARS folder without a problem."""
    train = [("0001", camera, 1, CLIP) for camera in (1, 2)]
    test = [("0000", 1, 1, CLIP), ("0003", 1, 1, CLIP), ("0003", 2, 1, CLIP)]
    return make_mars(train=train, test=test, queries=[2])


def test_a_clean_data_set_ends_with_status_0(root: Path) -> None:
    said = check(root, "--layout", "mars")
    assert "No problem found" in said
    assert "Not the published MARS" in said
    assert ["train", "1", "2", "16", "2", "0"] in [line.split() for line in said.splitlines()]
    assert "8 to 15          5  ████" in said
    assert "smallest 16 x 32" in said


def test_problems_are_named_and_end_with_status_1(root: Path) -> None:
    (root / FRAME).unlink()
    said = check(root, "--layout", "mars", status=1)
    assert f"problem: 1 of 40 listed frames is missing; missing frames count as unreadable\n  {FRAME}\n" in said
    assert said.endswith("1 problem, 0 notes\n")


def test_ten_names_of_a_kind_are_shown_unless_all_are_wanted(root: Path) -> None:
    shutil.rmtree(root / "bbox_train/0001")
    few = check(root, "--layout", "mars", status=1)
    assert (few.count("bbox_train/0001/"), "... and 6 more (--all)" in few) == (10, True)
    whole = check(root, "--layout", "mars", "--all", status=1)
    assert (whole.count("bbox_train/0001/"), "more" in whole) == (16, False)


def test_what_a_reader_refuses_is_told_in_full(make_mars: Callable[..., Path]) -> None:
    rows = [(f"{pid:04d}", 1, 1, (1,)) for pid in range(1, 31)]
    root = make_mars(train=rows, test=[(pid, 2, *rest) for pid, _, *rest in rows], queries=[1])
    said = check(root, "--layout", "mars", status=1)
    assert said.count("is in both train and test") == 30
    assert "problem: the lists cannot be used: 30 problems" in said


def test_json_holds_every_name_for_scripts(root: Path) -> None:
    shutil.rmtree(root / "bbox_train/0001")
    told = json.loads(check(root, "--layout", "mars", "--json", status=1))
    (missing,) = [finding for finding in told["findings"] if finding["problem"]]
    assert missing["kind"] == "missing"
    assert missing["items"][0] == {"names": [FRAME], "detail": ""}
    assert len(missing["items"]) == missing["count"] == 16
    assert told["root"] == str(root)
    assert told["splits"]["train"]["tracklets"] == 2
    assert told["lengths"][-1] == {"from": 8, "to": 15, "tracklets": 5}


def test_names_with_brackets_are_printed_as_they_are(root: Path) -> None:
    shutil.copy(root / FRAME, root / "bbox_train/0001/[red]x.jpg")
    assert "bbox_train/0001/[red]x.jpg" in check(root, "--layout", "mars")


def test_a_configuration_names_the_data_set_and_no_store_is_made(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(f"name: one\ndata:\n  root: {root}\n")
    before = sorted(tmp_path.rglob("*"))
    assert "No problem found" in check("--config", "config.yaml")
    assert sorted(tmp_path.rglob("*")) == before


def test_of_a_configuration_with_folds_the_whole_data_set_is_checked_and_this_is_said(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(f"name: one\ndata: {{root: {root}, folds: 3, split: 2}}\n")
    assert "data.folds is not looked at" in check("--config", "config.yaml")
    assert json.loads(check("--config", "config.yaml", "--json"))["layout"] == "mars"


def test_decoding_finds_a_frame_that_is_cut_off(root: Path) -> None:
    (root / FRAME).write_bytes((root / FRAME).read_bytes()[:-300])
    assert "No problem found" in check(root, "--layout", "mars")
    assert f"{FRAME} (damaged: " in check(root, "--layout", "mars", "--decode", status=1)


def test_the_lists_alone_need_no_frames(root: Path) -> None:
    shutil.rmtree(root / "bbox_train")
    shutil.rmtree(root / "bbox_test")
    assert "bbox_train: missing" in check(root, "--layout", "mars", status=1)
    assert "No problem found" in check(root, "--layout", "mars", "--lists")


def test_a_page_is_written_where_asked(root: Path, tmp_path: Path) -> None:
    page = tmp_path / "check.html"
    assert f"wrote {page}" in check(root, "--layout", "mars", "--report", page)
    text = page.read_text()
    assert "<h1>Data set raw</h1>" in text
    assert "No problem found" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "named by its root and layout or by a configuration"),
        (["ROOT", "--config", "x.yaml"], "named by its root and layout or by a configuration"),
        (["ROOT"], "to do: give --layout one of "),
        (["ROOT", "--layout", "venus"], "'venus' is no layout with images"),
        (["ROOT", "--layout", "mars", "--split", "1"], "layout mars has no split 1"),
        (["ROOT", "--layout", "mars", "--lists", "--decode"], "--lists, --decode"),
        (["nowhere", "--layout", "mars"], "the data set is not there"),
        (["--config", "nowhere.yaml"], "cannot read the configuration"),
        (["ROOT", "--layout", "mars", "--report", "nowhere/x.html"], "there is no such folder"),
        (["ROOT", "--layout", "mars", "--report", "."], "this is a folder"),
        (["ROOT", "--layout", "mars", "--report", "/proc/x.html"], "nothing can be written here"),
        (["ROOT", "--venus"], "No such option"),
    ],
)
def test_a_wrong_command_line_ends_with_status_2(root: Path, words: list[str], says: str) -> None:
    assert says in check(*(root if word == "ROOT" else word for word in words), status=2)
