"""Findings: what is wrong with a data set, or worth knowing of it, each with the names of the files concerned.

A finding is a *problem* if results would be wrong or less with it (frames that are not there, one picture under two
identities), else a *note*, and often meant. Pure; of a million frames, only those that are named become objects.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.datasets.check.duplicates import empty, same_bytes
from storage.frames.fingerprints import Digests, offsets_of
from storage.tables.tracklets import DISTRACTOR_PID, Tracklet
from storage.wording import be, have, many

CLIP_LENGTH = 8
"""Frames of a clip in the published method; a shorter tracklet fills one by repeating frames."""

SMALLEST = (16, 32)
FARTHEST_SHAPE, FARTHEST_AREA = 2.5, 16.0
"""A frame is odd-sized if a person cannot be seen in it (less than 16 pixels wide or 32 high), if its height by its
width is more than 2.5 times off that of the median frame, or if its area is more than 16 times off."""

MEMBERS = 4  # of a group of frames that are the same, where not all are wanted

Sizes = NDArray[np.int32]
"""(N, 2): width and height of each frame, pixels; zeros where that is not known."""


class Item(NamedTuple):
    """One case of a finding.

    Attributes:
        names: files, or a tracklet or identity; several where they belong together.
        detail: more about it; often empty.
    """

    names: tuple[str, ...]
    detail: str = ""

    def __str__(self) -> str:
        return " = ".join(self.names) + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True)
class Finding:
    """What is the same with some files, tracklets or identities.

    Attributes:
        kind: a word or two for scripts, e.g. `missing`.
        says: a sentence with the number of cases.
        count: how many cases there are.
        items: the first of them, or all.
        problem: whether results would be wrong or less with it.
    """

    kind: str
    says: str
    count: int
    items: tuple[Item, ...]
    problem: bool

    def as_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**vars(self), "items": [item._asdict() for item in self.items]}


def finding(
    kind: str, says: str, count: int, items: Iterable[Item], problem: bool = False, limit: int | None = None
) -> Finding | None:
    """A finding with its first items, `limit` or all; None if there is no case."""
    return Finding(kind, says, count, tuple(islice(items, limit)), problem) if count else None


def of_lists(tracklets: Sequence[Tracklet], limit: int | None = None) -> Iterator[Finding | None]:
    """What the lists alone tell: queries without a match, identities of one camera, short tracklets.

    Args:
        tracklets: of the data set.
        limit: items of each finding; None for all.
    """
    yield from _without_match(tracklets, limit)
    cameras: dict[tuple[str, int], set[int]] = {}
    for t in tracklets:
        if t.pid != DISTRACTOR_PID:
            cameras.setdefault(("train" if t.split == "train" else "test", t.pid), set()).add(t.camid)
    alone = [
        Item((f"identity {pid}",), f"{part}, camera {min(seen)}")
        for (part, pid), seen in cameras.items()
        if len(seen) == 1
    ]
    says = f"identities seen by one camera only: {len(alone):,} of {len(cameras):,}"
    yield finding("one camera", says, len(alone), alone, limit=limit)
    short = [t for t in tracklets if len(t.frames) < CLIP_LENGTH]
    of_all = f"{len(short):,} of {many(len(tracklets), 'tracklet')}"
    says = f"{of_all} {be(len(short))} shorter than a clip of {CLIP_LENGTH} frames"
    items = (Item((t.tracklet_id,), many(len(t.frames), "frame")) for t in short)
    yield finding("short", says, len(short), items, limit=limit)


def _without_match(tracklets: Sequence[Tracklet], limit: int | None) -> Iterator[Finding | None]:
    """Queries that nobody in another camera answers; where they differ, by the gallery without and with the queries."""
    queries = [t for t in tracklets if t.split == "query"]
    without = _unanswered(queries, [t for t in tracklets if t.split == "gallery"])
    within = _unanswered(queries, [t for t in tracklets if t.split != "train"])
    galleries = [("", "", within)]
    if without != within:
        galleries = [
            (" without queries", ", if no query is in the gallery", without),
            (" with queries", ", if queries are in the gallery", within),
        ]
    for kind, case, alone in galleries:
        of_all = f"{len(alone):,} of {many(len(queries), 'query tracklet')}"
        says = f"{of_all} {have(len(alone))} no match in another camera{case}"
        items = (Item((t.tracklet_id,), f"identity {t.pid}, camera {t.camid}") for t in alone)
        yield finding(f"no match{kind}", says, len(alone), items, limit=limit)


def _unanswered(queries: Sequence[Tracklet], gallery: Sequence[Tracklet]) -> list[Tracklet]:
    cameras: dict[int, set[int]] = {}
    for t in gallery:
        if t.pid != DISTRACTOR_PID:
            cameras.setdefault(t.pid, set()).add(t.camid)
    return [t for t in queries if not cameras.get(t.pid, set()) - {t.camid}]


def of_missing(names: Sequence[str], number: int, total: int) -> Finding | None:
    """Listed frames that are not there, `number` of `total`; `names` are those to be named."""
    says = f"{number:,} of {many(total, 'listed frame')} {be(number)} missing; missing frames count as unreadable"
    return finding("missing", says, number, (Item((name,)) for name in names), problem=True)


def of_unreadable(faults: Sequence[tuple[str, str]], limit: int | None = None) -> Finding | None:
    """Frames that are there and cannot be read; (name, why) each."""
    says = f"{many(len(faults), 'frame')} cannot be read"
    return finding("unreadable", says, len(faults), (Item((n,), why) for n, why in faults), problem=True, limit=limit)


def of_digests(tracklets: Sequence[Tracklet], digests: Digests, limit: int | None = None) -> Iterator[Finding | None]:
    """Frames of the same bytes: under several identities (a problem), in several tracklets of one, in one tracklet.

    Distractors count as one identity among themselves: nobody knows how many they are.

    Args:
        tracklets: of the data set.
        digests: of all frames, in the tracklets' order, (N, DIGEST_BYTES).
        limit: items of each finding, and then also of the frames of one item; None for all.
    """
    groups = same_bytes(digests)
    sizes = np.diff(offsets_of(tracklets))
    one_tracklet = groups.agree(np.repeat(np.arange(len(tracklets)), sizes))
    one_identity = groups.agree(np.repeat(np.array([t.pid for t in tracklets], np.int64), sizes))
    name_of = _namer(tracklets)
    for kind, says, chosen in (
        ("same in identities", "of several identities", ~one_identity),
        ("same in tracklets", "of several tracklets of one identity", one_identity & ~one_tracklet),
        ("same in a tracklet", "of one tracklet", one_tracklet),
    ):
        members = (groups.of(group) for group in np.flatnonzero(chosen).tolist())
        items = (_alike([name_of(int(m)) for m in some[: limit and MEMBERS]], len(some)) for some in members)
        number = int(chosen.sum())
        told = f"{many(number, 'group')} of frames {says} with the same bytes"
        yield finding(kind, told, number, items, problem=kind == "same in identities", limit=limit)


def each_file_once(tracklets: Sequence[Tracklet], digests: Digests) -> tuple[tuple[Tracklet, ...], Digests]:
    """Recordings of which none is in a file of an earlier one, with their digests: a file is no copy of itself."""
    bounds, seen, rows = offsets_of(tracklets).tolist(), set[str](), list[int]()
    for row, tracklet in enumerate(tracklets):
        if seen.isdisjoint(tracklet.frames):
            rows.append(row)
            seen.update(tracklet.frames)
    kept = [digests[bounds[row] : bounds[row + 1]] for row in rows]
    return tuple(tracklets[row] for row in rows), np.concatenate([digests[:0], *kept])


def of_files(names: pa.Array, digests: Digests, limit: int | None = None) -> Finding | None:
    """Files of the same bytes, where it is not known whose they are."""
    groups = same_bytes(digests)
    members = (groups.of(group) for group in range(len(groups)))
    items = (_alike(names.take(pa.array(some[: limit and MEMBERS])).to_pylist(), len(some)) for some in members)
    told = f"{many(len(groups), 'group')} of image files with the same bytes"
    return finding("same files", told, len(groups), items, limit=limit)


def of_empty(tracklets: Sequence[Tracklet], digests: Digests, limit: int | None = None) -> Finding | None:
    """Frames whose files are empty."""
    name_of = _namer(tracklets)
    return of_unreadable([(name_of(int(position)), "empty") for position in empty(digests)], limit)


def of_sizes(names: pa.Array, sizes: Sizes, limit: int | None = None) -> Finding | None:
    """Frames of an odd size, see `FARTHEST_AREA`.

    Args:
        names: of the frames.
        sizes: of each.
        limit: items; None for all.
    """
    odd = np.flatnonzero(odd_sizes(sizes)).tolist()
    says = f"{many(len(odd), 'frame')} {have(len(odd))} an odd size"
    if odd:
        width, height = size_range(sizes)["median"]
        says += f" (most are about {width} x {height})"
    items = (Item((names[i].as_py(),), f"{sizes[i, 0]} x {sizes[i, 1]}") for i in odd)
    return finding("odd size", says, len(odd), items, limit=limit)


def odd_sizes(sizes: Sizes) -> NDArray[np.bool_]:
    """Which frames are too small for a person to be seen in, or far from the median frame; (N, 2) -> (N,)."""
    known: NDArray[np.bool_] = sizes.min(axis=1) > 0
    if not known.any():
        return known
    width, height = sizes.astype(np.float64).T
    with np.errstate(divide="ignore", invalid="ignore"):
        shape, area = np.log(height / width), np.log(height * width)
    off_shape = np.abs(shape - np.median(shape[known])) > np.log(FARTHEST_SHAPE)
    off_area = np.abs(area - np.median(area[known])) > np.log(FARTHEST_AREA)
    odd: NDArray[np.bool_] = off_shape | off_area | (sizes < SMALLEST).any(axis=1)
    return known & odd


def size_range(sizes: Sizes | None) -> dict[str, tuple[int, int]]:
    """Width and height of the smallest, the median and the largest frame by area; empty where no size is known."""
    known = np.zeros((0, 2), np.int32) if sizes is None else sizes[sizes.min(axis=1) > 0]
    if not len(known):
        return {}
    order = np.argsort(known.astype(np.int64).prod(axis=1), kind="stable")
    places = {"smallest": order[0], "median": order[len(order) // 2], "largest": order[-1]}
    return {name: (int(known[i, 0]), int(known[i, 1])) for name, i in places.items()}


def _alike(names: Sequence[str], number: int) -> Item:
    return Item(tuple(names), f"and {number - len(names)} more" if number > len(names) else "")


def _namer(tracklets: Sequence[Tracklet]) -> Callable[[int], str]:
    """Answers with the name of the frame at a position among all frames."""
    bounds = offsets_of(tracklets)

    def name_of(position: int) -> str:
        owner = int(bounds.searchsorted(position, side="right")) - 1
        return tracklets[owner].frames[position - int(bounds[owner])]

    return name_of
