import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2

from storage.datasets import mars
from storage.frames.files import DataFiles
from tests.experiments.spoiled import spoil


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_share_of_the_test_frames_is_another_persons_or_blank_and_nothing_else_changes(
    make_mars: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_mars(test=[(f"{pid:04d}", camera, 1, range(1, 21)) for pid in (3, 4) for camera in (1, 2)], queries=[1])
    other, blank = spoil(root, tmp_path / "spoiled", share=0.4, seed=1)
    before, after = digests(root), digests(tmp_path / "spoiled")
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert all(name.startswith("bbox_test/") for name in changed)
    assert len(changed) == other + blank
    assert 20 < len(changed) < 44, "of 80 frames"
    owners = {digest: name.split("/")[1] for name, digest in before.items() if name.startswith("bbox_test/")}
    by_others = [name for name in changed if after[name] in owners]
    assert len(by_others) == other > 0
    assert all(owners[after[name]] != name.split("/")[1] for name in by_others)
    blanks = [cv2.imread(str(tmp_path / "spoiled" / name)) for name in changed - set(by_others)]
    assert len(blanks) == blank > 0
    assert all(image.std(axis=(0, 1)).max() < 2 for image in blanks)
    spoil(root, tmp_path / "again", share=0.4, seed=1)
    assert digests(tmp_path / "again") == after
    assert len(mars.read(DataFiles(tmp_path / "spoiled"))) == len(mars.read(DataFiles(root)))
