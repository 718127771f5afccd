from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from storage.datasets import mars
from storage.demo.dataset import DemoSettings
from storage.frames.files import DataFiles
from tests.benchmarks import mars_size

ROWS = {
    "train": [(1, 2, 1, 1), (3, 3, 1, 2), (4, 4, 5, 1), (5, 6, 7, 1)],
    "test": [
        (1, 1, -1, 1), (2, 2, -1, 2), (3, 3, 0, 1), (4, 5, 0, 1),
        (6, 6, 2, 1), (7, 7, 3, 1), (8, 9, 3, 2), (10, 10, 9, 1),
    ],
}  # fmt: skip


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    """Lists as MARS's: 3 training identities, 3 test identities, 2 distractors, 2 rows of junk."""
    folder = tmp_path / "protocol"
    folder.mkdir()
    for part, rows in ROWS.items():
        names = []
        for number, (first, last, pid, camid) in enumerate(rows):
            written = "00-1" if pid == -1 else f"{pid:04d}"
            names += [f"{written}C{camid}T{number:04d}F{f:03d}.jpg" for f in range(1, last - first + 2)]
        (folder / f"{part}_name.txt").write_text("\n".join(names) + "\n")
        table = {f"track_{part}_info": np.array(rows, np.int32)}
        scipy.io.savemat(folder / f"tracks_{part}_info.mat", table)
    scipy.io.savemat(folder / "query_IDX.mat", {"query_IDX": np.array([[5, 7, 8]], np.uint16)})
    return folder


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    few = DemoSettings(train_identities=2, test_identities=2, cameras=2, tracklets=1, frames=2, distractors=0)
    monkeypatch.setattr(mars_size, "PEOPLE", few)


def test_the_whole_of_it_has_the_lists_of_the_protocol(protocol: Path, tmp_path: Path) -> None:
    assert mars_size.make(protocol, 1.0, tmp_path / "data") == 16
    found = mars.read(DataFiles(tmp_path / "data"))
    for part in ROWS:
        ours, theirs = (folder / f"{part}_name.txt" for folder in (tmp_path / "data/info", protocol))
        assert ours.read_text() == theirs.read_text()
    assert [(t.pid, t.split) for t in found if t.split == "query"] == [(2, "query"), (3, "query"), (9, "query")]
    frames = [frame for t in found for frame in t.frames]
    assert all((tmp_path / "data" / frame).stat().st_size > 100 for frame in frames)


def test_a_part_of_it_is_a_whole_data_set_of_whole_identities(protocol: Path, tmp_path: Path) -> None:
    mars_size.make(protocol, 0.5, tmp_path / "data")
    assert [(t.tracklet_id, t.split, len(t.frames)) for t in mars.read(DataFiles(tmp_path / "data"))] == [
        ("0005C1T0002", "train", 1),
        ("0007C1T0003", "train", 2),
        ("0002C1T0004", "query", 1),
        ("0009C1T0007", "query", 1),
        ("0000C1T0002", "gallery", 1),
    ]


@given(st.lists(st.integers(1, 9), min_size=2, max_size=40), st.floats(0, 1))
def test_every_share_has_the_identities_of_the_smallest(frames: list[int], share: float) -> None:
    lasts = np.cumsum(frames)
    table = np.column_stack([lasts - np.array(frames) + 1, lasts, np.arange(1, len(frames) + 1), np.ones(len(frames))])
    table = table.astype(np.int64)
    kept = mars_size.chosen(table, share)
    assert set(mars_size.chosen(table, 0.0)) <= set(kept)
    assert share * len(frames) <= len(kept) <= share * len(frames) + 2


def test_too_few_pictures_for_the_file_systems_links_are_refused(
    protocol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mars_size, "LINKS", 0)
    with pytest.raises(ValueError, match="too few"):
        mars_size.make(protocol, 1.0, tmp_path / "data")
