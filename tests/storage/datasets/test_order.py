"""An index is the same whatever the order of listings, the hash seed, the locale or the place of the data."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from storage.datasets.readers import READERS
from storage.frames.files import DataFiles
from storage.index import DataSettings, scan, write_index
from tests.storage.datasets.trees import LAYOUTS, write_tree

SPLIT = {layout: reader.splits - 1 for layout, reader in READERS.items()}
ROOT = Path(__file__).parents[3]
SHARDS = {"train_shards": 2, "test_shards": 3}


def settings(layout: str, root: Path) -> DataSettings:
    return DataSettings(root=root, layout=layout, split=SPLIT[layout], max_missing_fraction=1, **SHARDS)


def index(layout: str, root: Path, out: Path) -> dict[str, bytes]:
    out.mkdir()
    chosen = settings(layout, root)
    write_index(scan(chosen, out.with_suffix(".cache")), chosen, out)
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_neither_listing_order_nor_place_changes_a_byte(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = index(layout, write_tree(LAYOUTS[layout](), tmp_path / "data"), tmp_path / "a")
    other = write_tree(LAYOUTS[layout](), tmp_path / "elsewhere" / "same data", seed=1)
    rng = np.random.default_rng(0)
    walk, listdir = os.walk, os.listdir

    def shuffled_walk(top: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        for parent, folders, files in walk(top, *args, **kwargs):
            rng.shuffle(folders)
            rng.shuffle(files)
            yield parent, folders, files

    def shuffled_listdir(path: Any) -> list[str]:
        names = listdir(path)
        rng.shuffle(names)
        return names

    monkeypatch.setattr(os, "walk", shuffled_walk)
    monkeypatch.setattr(os, "listdir", shuffled_listdir)
    assert index(layout, other, tmp_path / "b") == expected


PROGRAM = """
import json, sys
from pathlib import Path
from tests.storage.datasets.test_order import rows
print(json.dumps(rows(Path(sys.argv[1]))))
"""


def rows(folder: Path) -> dict[str, list[Any]]:
    """Every tracklet of each data set in a folder, as its reader gives them."""
    return {
        layout: [astuple(t) for t in READERS[layout].read(DataFiles(folder / layout), SPLIT[layout])]
        for layout in LAYOUTS
    }


def test_neither_hash_seed_nor_locale_changes_a_row(tmp_path: Path) -> None:
    for layout, make in LAYOUTS.items():
        write_tree(make(), tmp_path / layout)
    expected = json.loads(json.dumps(rows(tmp_path)))
    for seed, locale in (("1", "C"), ("2", "C.UTF-8")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT)
        assert json.loads(done.stdout) == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_are_posix_paths_below_the_root(layout: str, tmp_path: Path) -> None:
    root = write_tree(LAYOUTS[layout](), tmp_path)
    for tracklet in READERS[layout].read(DataFiles(root), 0):
        for frame in tracklet.frames:
            assert str(PurePosixPath(frame)) == frame
            assert "\\" not in frame
            assert (root / frame).is_file()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_a_reader_reads_is_what_it_says_it_reads(layout: str, tmp_path: Path) -> None:
    """The quick way of a scan relies on it: while these files and names are the same, the tracklets are."""
    root = write_tree(LAYOUTS[layout](), tmp_path)
    opened: set[str] = set()
    sys.addaudithook(lambda event, args: opened.add(str(args[0])) if event == "open" else None)
    reader = READERS[layout]
    reader.read(DataFiles(root), 0)
    said = {str(root / name) for name in reader.lists}
    assert {name for name in opened if name.startswith(str(root))} - {str(root)} <= said
