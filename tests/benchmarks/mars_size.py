"""A data set of MARS's size without MARS: the names and lists of the real protocol, or of a part of its identities.

Behind the names lie hard links to a few hundred rendered frames. What a scan asks of the file system is that of as many
files; what it reads the first time comes from few, so the disk's own speed stays out of what is measured with this.
"""

import math
import os
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import scipy.io
from numpy.typing import NDArray

import storage.demo.dataset
from storage.demo.dataset import DemoSettings

PEOPLE = DemoSettings(train_identities=8, test_identities=8, cameras=3, tracklets=2, frames=8, distractors=0)
LINKS = 50_000
"""Of one file; ext4 allows 65,000."""


def make(protocol: Path, share: float, root: Path) -> int:
    """Make the data set in `root`, a new folder; answers with its number of frames.

    Args:
        protocol: folder with MARS's five lists.
        share: of the identities of each list that is kept, with all that they have; of the distractors and the junk,
            which have no identity, as large a share of the tracklets.
        root: on a file system with hard links.

    Raises:
        FileNotFoundError: the protocol is not whole.
    """
    sources = root / "sources"
    storage.demo.dataset.make(PEOPLE, sources)
    pictures = sorted(sources.glob("bbox_*/*/*.jpg"))
    (root / "info").mkdir()
    queries = set(_matrix(protocol / "query_IDX.mat", "query_IDX").ravel().tolist())
    frames = 0
    for part in ("train", "test"):
        names = (protocol / f"{part}_name.txt").read_text().split()
        table = _matrix(protocol / f"tracks_{part}_info.mat", f"track_{part}_info")
        kept = chosen(table, share)
        listed = [names[first - 1 : last] for first, last, *_ in table[kept].tolist()]
        lasts = np.cumsum([len(frames) for frames in listed])
        rows = np.column_stack([lasts - [len(frames) - 1 for frames in listed], lasts, table[kept, 2:]])
        flat = [name for frames in listed for name in frames]
        _link(root / f"bbox_{part}", flat, pictures)
        (root / f"info/{part}_name.txt").write_text("\n".join(flat) + "\n")
        scipy.io.savemat(root / f"info/tracks_{part}_info.mat", {f"track_{part}_info": rows.astype(np.int32)})
        frames += len(flat)
    asked = [new for new, old in enumerate((kept + 1).tolist(), start=1) if old in queries]
    scipy.io.savemat(root / "info/query_IDX.mat", {"query_IDX": np.array([asked], np.uint16)})
    return frames


def chosen(table: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Positions of the rows of a share of the identities, and of a share of those without identity.

    Identities are ordered by their frames and taken at even distances, an even number of them: so a small share has
    about its share of the frames, and every share has the two of the smallest, share 0.

    Args:
        table: rows (first line, last line, pid, camid).
        share: 0 to 1.
    """
    pids, owner = np.unique(table[:, 2], return_inverse=True)
    frames = np.bincount(owner, table[:, 1] - table[:, 0] + 1)
    ordered = [pid for pid in pids[np.argsort(frames, kind="stable")].tolist() if pid > 0]
    count = min(len(ordered), 2 * max(1, math.ceil(share * len(ordered) / 2)))
    keep = np.isin(table[:, 2], [ordered[k * len(ordered) // count] for k in range(count)])
    for nobody in (0, -1):
        rows = np.flatnonzero(table[:, 2] == nobody)
        keep[rows[: round(share * len(rows))]] = True
    return np.flatnonzero(keep)


def _link(folder: Path, names: Sequence[str], pictures: Sequence[Path]) -> None:
    if len(names) > LINKS * len(pictures):
        raise ValueError(f"{len(pictures)} pictures are too few for {len(names)} links")
    made: set[str] = set()
    for name, picture in zip(names, cycle(map(str, pictures)), strict=False):
        place = f"{folder}/{name.split('C')[0]}"
        if place not in made:
            os.makedirs(place)
            made.add(place)
        os.link(picture, f"{place}/{name}")


def _matrix(path: Path, name: str) -> NDArray[np.int64]:
    return np.asarray(scipy.io.loadmat(path)[name]).astype(np.int64)
