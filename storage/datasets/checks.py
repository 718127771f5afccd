"""What every data set's lists must fulfil, and how a reader says what is wrong with them: everything at once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import chain
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from storage.data_files import DataFiles
from storage.errors import DataError
from storage.tracklets import DISTRACTOR_PID, SPLITS, Tracklet

SHOWN = 20
RESTORE = "restore it from the data set's archive"
UNPLAIN = r"^$|^/|/$|//|\\|(^|/)\.\.?(/|$)|[^ -~]"
"""What no relative path of a frame has: nothing at all, or parts that are empty, `.`, `..`, or not printable ASCII."""
LARGEST_ID = 2**31 - 1  # of what the index can hold


def need(files: DataFiles, names: Iterable[str], layout: str, fix: str) -> None:
    """Make sure that files and folders are there.

    Raises:
        DataError: names all that are missing.
    """
    missing = [name for name in names if not files.exists(name)]
    if missing:
        raise DataError(
            f"this is not a complete {layout} folder: {', '.join(missing)} missing", where=files.root, fix=fix
        )


def text_of(files: DataFiles, name: str) -> str:
    """A text file of a data set.

    Raises:
        DataError: it cannot be read, or is no text.
    """
    try:
        return files.read(name).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read as text: {error}", where=files.where(name), fix=RESTORE) from error


def matrix_of(files: DataFiles, name: str, variable: str) -> Any:
    """A variable of a MATLAB file, as scipy reads it.

    Raises:
        DataError: it is no such file, or holds no such variable.
    """
    import scipy.io  # half a second, for nothing where the lists are as at the last scan

    try:
        contents = scipy.io.loadmat(BytesIO(files.read(name)))
    except Exception as error:  # scipy raises many kinds for one cause: not a MATLAB file
        raise DataError(f"cannot be read as a MATLAB file: {error}", where=files.where(name), fix=RESTORE) from error
    if variable not in contents:
        raise DataError(f"holds no variable {variable!r}", where=files.where(name), fix=RESTORE)
    return contents[variable]


def checked(
    files: DataFiles, tracklets: Sequence[Tracklet], problems: Sequence[str], *, recordings: bool = False
) -> list[Tracklet]:
    """The tracklets, if nothing is wrong with them; training, query and gallery, each in the order given.

    Args:
        files: of the data set.
        tracklets: as a reader made them.
        problems: what the reader found by itself.
        recordings: they are recordings of skeletons: people of the test may be those of the training, and a file may
            hold many of them.

    Raises:
        DataError: lists what is wrong.
    """
    found = [*problems, *([] if recordings else _shared(tracklets)), *_contradictions(tracklets)]
    # a split that lost its rows to these problems is not one more problem
    found += [] if found else _empty_splits(tracklets)
    if found:
        refuse(files, found)
    return sorted(tracklets, key=lambda tracklet: SPLITS.index(tracklet.split))


def refuse(files: DataFiles, problems: Sequence[str]) -> NoReturn:
    """Raise what is wrong with a data set's lists.

    Raises:
        DataError: always.
    """
    more = f"\n  ... and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    places = "place" if len(problems) == 1 else "places"
    raise DataError(
        f"the data set contradicts itself in {len(problems)} {places}:\n  " + "\n  ".join(problems[:SHOWN]) + more,
        where=files.root,
        fix="restore the original lists, or correct what is named",
    )


def _shared(tracklets: Sequence[Tracklet]) -> list[str]:
    """Identities in training and test, and frames of several tracklets."""
    train = {t.pid for t in tracklets if t.split == "train"}
    test = {t.pid for t in tracklets if t.split != "train"}
    problems = [f"identity {pid} is in both train and test" for pid in sorted(train & test)]
    frames = pa.array(chain.from_iterable(t.frames for t in tracklets), pa.string())
    if pc.count_distinct(frames).as_py() < len(frames):
        counts = pc.value_counts(frames)
        repeated = counts.filter(pc.greater(counts.field("counts"), 1)).to_pylist()
        problems += [f"{row['values']}: belongs to tracklets {_times(row['counts'])}" for row in repeated]
    return problems


def _contradictions(tracklets: Sequence[Tracklet]) -> list[str]:
    problems = []
    if any(t.pid == DISTRACTOR_PID for t in tracklets if t.split == "train"):
        problems.append("a distractor (identity 0) is among the training tracklets")
    names = Counter(t.tracklet_id for t in tracklets)
    problems += [f"{name}: listed {_times(count)}" for name, count in names.items() if count > 1]
    for tracklet in tracklets:
        if not tracklet.frames:
            problems.append(f"{tracklet.tracklet_id}: has no frame")
        if not 0 <= tracklet.pid <= LARGEST_ID or not 0 <= tracklet.camid <= LARGEST_ID:
            problems.append(f"{tracklet.tracklet_id}: identity {tracklet.pid}, camera {tracklet.camid}: out of range")
        if not is_plain(tracklet.tracklet_id):
            problems.append(f"{tracklet.tracklet_id!a}: names are of ASCII characters that can be printed")
    # a million frames: as columns
    frames = pa.array(chain.from_iterable(t.frames for t in tracklets), pa.string())
    for frame in frames.filter(pc.match_substring_regex(frames, UNPLAIN)).to_pylist():
        problems.append(f"{frame!a}: frames are relative paths of ASCII characters, without '.' and '..'")
    return problems


def _empty_splits(tracklets: Sequence[Tracklet]) -> list[str]:
    there = {tracklet.split for tracklet in tracklets}
    return [f"there is no {split} tracklet" for split in SPLITS if split not in there]


def is_plain(name: str) -> bool:
    """Whether a name means the same everywhere: printable ASCII, and something."""
    return bool(name) and name.isascii() and name.isprintable()


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"
