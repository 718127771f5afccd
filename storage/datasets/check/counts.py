"""What can be said of a data set before anything is made from it: counts beside the published ones, and findings.

Pure: tracklets, findings and sizes in, a `DataCheck` out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.datasets.check.findings import Finding, Item, Sizes, finding, size_range
from storage.datasets.published import Published
from storage.tables.tracklets import DISTRACTOR_PID, SPLITS, Tracklet


@dataclass(frozen=True)
class Comparison:
    """The published figures of the data set that is usually in this layout, beside those counted.

    Attributes:
        name: of that data set.
        source: who published the figures.
        same: how many of the figures are as counted.
        claimed: whether this data set is meant to be that one: at least half of the figures are the same.
        figures: (split, column, published, counted).
    """

    name: str
    source: str
    same: int
    claimed: bool
    figures: tuple[tuple[str, str, int, int], ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        names = ("split", "column", "published", "counted")
        return {**vars(self), "figures": [dict(zip(names, figure, strict=True)) for figure in self.figures]}


@dataclass(frozen=True)
class DataCheck:
    """All that a check found.

    Attributes:
        layout: of the data set.
        splits: counts of each split, see `count`.
        published: None where nothing is published of this layout's data set.
        lengths: (shortest, longest, tracklets), tracklets by their frames in steps of powers of two.
        sizes: width and height of the smallest, the median and the largest frame; empty where no frame was read.
        findings: problems first.
    """

    layout: str
    splits: Mapping[str, Mapping[str, int]]
    published: Comparison | None
    lengths: tuple[tuple[int, int, int], ...]
    sizes: Mapping[str, tuple[int, int]]
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> list[Finding]:
        """What is wrong."""
        return [finding for finding in self.findings if finding.problem]

    @property
    def notes(self) -> list[Finding]:
        """What is worth knowing."""
        return [finding for finding in self.findings if not finding.problem]

    def as_json(self) -> dict[str, Any]:
        """Plain values, for JSON; an item of a finding has `names` and `detail`."""
        return {
            **vars(self),
            "published": self.published and self.published.as_json(),
            "lengths": [dict(zip(("from", "to", "tracklets"), row, strict=True)) for row in self.lengths],
            "findings": [found.as_json() for found in self.findings],
        }


def data_check(
    layout: str,
    tracklets: Sequence[Tracklet],
    found: Iterable[Finding | None],
    published: Published | None,
    sizes: Sizes | None = None,
) -> DataCheck:
    """Counts, comparison, lengths, and what was found.

    Args:
        layout: of the data set.
        tracklets: all of it; empty if its lists could not be read.
        found: by the functions of `findings`; None where there is nothing.
        published: figures of the data set that is usually in this layout.
        sizes: of all frames, where they were read.
    """
    splits = {split: count([t for t in tracklets if t.split == split]) for split in SPLITS} if tracklets else {}
    compared = compare(splits | {"all": count(tracklets)}, published) if published and tracklets else None
    findings = [finding for finding in [_unlike_published(compared), *found] if finding]
    findings.sort(key=lambda finding: not finding.problem)
    return DataCheck(layout, splits, compared, lengths(tracklets), size_range(sizes), tuple(findings))


def count(tracklets: Iterable[Tracklet]) -> dict[str, int]:
    """Tracklets, identities (without distractors), frames, cameras, distractors, shortest and longest tracklet."""
    rows = list(tracklets)
    frames = [len(t.frames) for t in rows]
    return {
        "tracklets": len(rows),
        "identities": len({t.pid for t in rows} - {DISTRACTOR_PID}),
        "frames": sum(frames),
        "cameras": len({t.camid for t in rows}),
        "distractors": sum(t.pid == DISTRACTOR_PID for t in rows),
        "shortest": min(frames, default=0),
        "longest": max(frames, default=0),
    }


def compare(counts: Mapping[str, Mapping[str, int]], published: Published) -> Comparison:
    """Published figures beside counts; a data set that shares less than half of them is another one."""
    figures = tuple(
        (split, column, figure, counts[split][column])
        for split, columns in published.figures.items()
        for column, figure in columns.items()
    )
    same = sum(figure == counted for _, _, figure, counted in figures)
    return Comparison(published.name, published.source, same, 2 * same >= len(figures), figures)


def _unlike_published(compared: Comparison | None) -> Finding | None:
    if compared is None or not compared.claimed:
        return None
    other = [
        Item((f"{split} {column}",), f"published {p:,}, here {c:,}")
        for split, column, p, c in compared.figures
        if p != c
    ]
    says = f"{len(other)} of {len(compared.figures)} figures are not those of the published {compared.name}"
    return finding("unlike published", says, len(other), other, problem=True)


def lengths(tracklets: Sequence[Tracklet]) -> tuple[tuple[int, int, int], ...]:
    """(shortest, longest, tracklets) in steps of powers of two: 1, 2 to 3, 4 to 7, ..., up to the longest tracklet."""
    frames = np.array([len(t.frames) for t in tracklets], np.int64)
    if not len(frames):
        return ()
    steps = 2 ** np.arange(int(frames.max()).bit_length() + 1)
    counts, _ = np.histogram(frames, steps)
    return tuple(zip(steps[:-1].tolist(), (steps[1:] - 1).tolist(), counts.tolist(), strict=True))
