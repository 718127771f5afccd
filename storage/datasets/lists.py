"""What every data set's lists must fulfil, and how a reader says what is wrong with them: everything at once."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.datasets.matlab import read_matrix
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.tables.tracklets import DISTRACTOR_PID, SPLITS, Tracklet
from storage.wording import below

RESTORE = "restore it from the data set's archive"
UNPLAIN = r"^$|^/|/$|//|\\|(^|/)\.\.?(/|$)"
"""What no relative path of a frame is: nothing at all, or one with parts that are empty, `.` or `..`."""
LARGEST_ID = 2**31 - 1  # of what the index can hold


def need(files: DataFiles, names: Iterable[str], layout: str, fix: str) -> None:
    """Make sure that files and folders are there.

    Raises:
        DataError: names all that are missing.
    """
    missing = [name for name in names if not files.exists(name)]
    if missing:
        what = f"this is not a complete {layout} folder: {printable(', '.join(missing))} missing"
        raise DataError(what, where=files.root, fix=fix, problems=[f"{name}: missing" for name in missing])


def text_of(files: DataFiles, name: str) -> str:
    """A text file of a data set.

    Raises:
        DataError: it cannot be read, or is no text.
    """
    try:
        return files.read(name).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read as text: {error}", where=files.where(name), fix=RESTORE) from error


def lines_of(files: DataFiles, name: str) -> list[str]:
    """The lines of a text file without the blanks at their ends; empty ones at the end of the file are left out.

    Raises:
        DataError: as `text_of`.
    """
    # str.splitlines() would also split at characters that belong to a damaged line, and shift all numbers after it
    return [line.rstrip() for line in text_of(files, name).rstrip().split("\n")]


def matrix_of(files: DataFiles, name: str, variable: str) -> NDArray[np.generic]:
    """A variable of a MATLAB file that holds numbers.

    Raises:
        DataError: it cannot be read, or is something else.
    """
    try:
        return read_matrix(files.read(name), variable)
    except KeyError as error:
        raise DataError(f"holds no variable {variable!r}", where=files.where(name), fix=RESTORE) from error
    except Exception as error:  # many kinds for one cause: not such a file
        what = f"cannot be read as a MATLAB file with numbers {variable}: {error}"
        raise DataError(what, where=files.where(name), fix=RESTORE) from error


def whole_numbers(files: DataFiles, name: str, variable: str) -> NDArray[np.int64]:
    """A variable of a MATLAB file that holds whole numbers.

    Raises:
        DataError: it cannot be read, or is something else.
    """
    values = matrix_of(files, name, variable)
    floats = values.astype(np.float64)
    # int64 holds more than any index; what float64 cannot tell apart is no index either
    if not ((np.abs(floats) < 2**53) & (floats == np.rint(floats))).all():
        raise DataError(f"{variable} does not hold whole numbers", where=files.where(name), fix=RESTORE)
    return values.astype(np.int64)


def numbered(values: Sequence[int], last: int, of: str) -> Iterator[str]:
    """What is wrong with numbers that name rows or people, each at most once, from 1 to `last`.

    Args:
        values: the numbers.
        last: the greatest that there is.
        of: whose numbers they are, for the message: `query_IDX.mat: row`.
    """
    for value, count in Counter(values).items():
        if not 1 <= value <= last:
            yield f"{of} {value} is not among 1 to {last}"
        elif count > 1:
            yield f"{of} {value} is listed {_times(count)}"


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
    found = [*problems, *([] if recordings else _shared(tracklets)), *_contradictions(tracklets, recordings=recordings)]
    # a split that lost its rows to these problems is not one more problem
    found += [] if found else _empty_splits(tracklets)
    refuse(files, found)
    return sorted(tracklets, key=lambda tracklet: SPLITS.index(tracklet.split))


def refuse(files: DataFiles, problems: Sequence[str]) -> None:
    """Raise what is wrong with a data set's lists, if anything is.

    Raises:
        DataError: there are problems; its message has the first ones, its `problems` all.
    """
    if not problems:
        return
    places = "place" if len(problems) == 1 else "places"
    raise DataError(
        f"the data set contradicts itself in {len(problems)} {places}:" + below(map(printable, problems)),
        where=files.root,
        fix="restore the original lists, or correct what is named",
        problems=problems,
    )


def _shared(tracklets: Sequence[Tracklet]) -> list[str]:
    """Identities in training and test."""
    train = {t.pid for t in tracklets if t.split == "train"}
    test = {t.pid for t in tracklets if t.split != "train"}
    return [f"identity {pid} is in both train and test" for pid in sorted(train & test)]


def _contradictions(tracklets: Sequence[Tracklet], *, recordings: bool) -> list[str]:
    problems = []
    for split in ("train", "query"):
        if any(t.pid == DISTRACTOR_PID and t.split == split for t in tracklets):
            problems.append(f"a distractor (identity {DISTRACTOR_PID}) is among the {split} tracklets")
    names = Counter(t.tracklet_id for t in tracklets)
    problems += [f"{name}: listed {_times(count)}" for name, count in names.items() if count > 1]
    for tracklet in tracklets:
        if not tracklet.frames:
            problems.append(f"{tracklet.tracklet_id}: has no frame")
        if not 0 <= tracklet.pid <= LARGEST_ID or not 0 <= tracklet.camid <= LARGEST_ID:
            problems.append(f"{tracklet.tracklet_id}: identity {tracklet.pid}, camera {tracklet.camid}: out of range")
        if not 0 <= tracklet.clothes <= LARGEST_ID:
            problems.append(f"{tracklet.tracklet_id}: clothes {tracklet.clothes}: out of range")
        if not is_plain(tracklet.tracklet_id):
            problems.append(f"{tracklet.tracklet_id}: names are of ASCII characters that can be printed")
    return problems + _wrong_frames(tracklets, recordings=recordings)


def _wrong_frames(tracklets: Sequence[Tracklet], *, recordings: bool) -> list[str]:
    unprintable = [frame for t in tracklets for frame in t.frames if not is_plain(frame)]
    if unprintable:
        return [f"{frame!r}: frames have names of ASCII characters that can be printed" for frame in unprintable]
    problems = []
    # a million frames: as columns
    frames = pa.array(chain.from_iterable(t.frames for t in tracklets), pa.string())
    if not recordings and pc.count_distinct(frames).as_py() < len(frames):
        counts = pc.value_counts(frames)
        repeated = counts.filter(pc.greater(counts.field("counts"), 1)).to_pylist()
        problems += [f"{row['values']}: belongs to tracklets {_times(row['counts'])}" for row in repeated]
    for frame in frames.filter(pc.match_substring_regex(frames, UNPLAIN)).to_pylist():
        problems.append(f"{frame!r}: frames are relative paths without '.' and '..'")
    return problems


def _empty_splits(tracklets: Sequence[Tracklet]) -> list[str]:
    there = {tracklet.split for tracklet in tracklets}
    return [f"there is no {split} tracklet" for split in SPLITS if split not in there]


def is_plain(name: str) -> bool:
    """Whether a name means the same everywhere: printable ASCII, and something."""
    return bool(name) and name.isascii() and name.isprintable()


def printable(problem: str) -> str:
    """A message without what a terminal or a log cannot take: names of damaged lists hold anything."""
    return "".join(c if c.isascii() and c.isprintable() else ascii(c)[1:-1] for c in problem)


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"
