"""What a small run leaves for a report, as far as it is plain values."""

from typing import Any

from storage.datasets.check.counts import Comparison, DataCheck
from storage.datasets.check.findings import Finding, Item

FRAMES = 4
NASTY = "<script>alert(1)</script>&"
TOLD = (
    {"name": "finetune.seed", "value": 3, "default": 0, "differs": True},
    {"name": "data.layout", "value": "mars", "default": "mars", "differs": False},
)


def small_check(problem: str, name: str) -> dict[str, Any]:
    """What `DataCheck.as_json` gives of a small data set that differs from the published one."""
    finding = Finding("missing", problem, 70, (Item((name,), "gone"),) * 50, True)
    note = Finding("short", "a note", 2, (Item(("0001C1T0001",)), Item(("0002C1T0001", "0002C2T0001"))), False)
    counts = {"tracklets": 6, "identities": 2, "frames": 2400, "cameras": 3, "distractors": 0}
    counts |= {"shortest": 2, "longest": 1200}
    figures = (("train", "tracklets", 7, 6), ("train", "frames", 2400, 2400))
    compared = Comparison("Small", "its authors", 1, True, figures)
    lengths = ((1, 1, 0), (2, 3, 4), (4, 7, 2))
    sizes = {"median": (64, 128)}
    check = DataCheck("mars", {"train": counts}, compared, lengths, sizes, (finding, note)).as_json()
    return check | {"missing_frames": {"count": 0, "first": []}}
