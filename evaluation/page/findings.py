"""Numbers as a report writes them, and the quality of skeletons as its rows. Plain values in, plain values out."""

from collections.abc import Mapping, Sequence
from typing import Any

from storage.tables.schema import FRAME_STATUS

STATUS_KINDS = tuple(zip(("ok", "low confidence", "nobody found", "unreadable"), FRAME_STATUS, strict=True))
ACCURACY_PARTS = (("test", "test identities"), ("all", "everybody"))
BLOCKS = "▁▂▃▄▅▆▇█"
MINUTE = 60


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 0 to 1 as percent, without the sign; a dash for nothing."""
    return "–" if share is None else f"{100 * share:.{digits}f}"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, signed with a true minus unless it is shown as 0."""
    text = f"{100 * difference:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def ends(interval: Sequence[float]) -> str:
    """The ends of an interval of shares in percent: `80.1 to 92.3`."""
    return " to ".join(percent(end) for end in interval)


def level(share: float) -> str:
    """How much an interval holds: `95 %`."""
    return f"{100 * share:g} %"


def frames_told(step: Mapping[str, Any]) -> str:
    """A step of lengths: `8 to 15`, `1,024 to 2,047`, or one number."""
    return f"{step['from']:,}" if step["from"] == step["to"] else f"{step['from']:,} to {step['to']:,}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: `0.4 s`, `38 s`, `4 min 12 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, MINUTE)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, MINUTE)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def by_name(metrics: Mapping[str, Any]) -> dict[str, float]:
    """`mAP`, `mINP`, `Rank-1`, ... of a metrics.json, or of its `chance` or `intervals`."""
    ranks = {f"Rank-{rank}": value for rank, value in metrics["cmc"].items()}
    return {"mAP": metrics["mAP"], "mINP": metrics["mINP"], **ranks}


def status_rows(quality: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What became of the frames of each split and camera: shares of each status, scores, how steady the skeletons are.

    Shares are percent without the sign, lengths millimetres, swaps of left and right a hundred neighbouring frames.
    """
    rows = []
    for group in quality.get("groups", ()):
        shares = [group["status"].get(name) or 0.0 for name in FRAME_STATUS]
        everything = group["split"] is None
        rows.append(
            {
                "name": "all" if everything else f"{group['split']}, camera {group['camid']}",
                "everything": everything,
                "frames": f"{group['frames']:,}",
                "shares": [
                    {"name": name, "kind": kind, "width": f"{100 * share:.2f}", "text": percent(share)}
                    for (name, kind), share in zip(STATUS_KINDS, shares, strict=True)
                ],
                "filled": percent(group.get("filled")),
                "score": _plain(group.get("mean_score"), 2),
                "histogram": histogram(group.get("score_histogram") or ()),
                "limbs": _plain(group.get("limb_variation_mm"), 0),
                "jitter": _plain(group.get("jitter_mm"), 0),
                "swaps": _plain(group.get("swaps"), 1),
            }
        )
    return rows


def histogram(counts: Sequence[int]) -> dict[str, Any]:
    """A histogram over 0 to 1 to be drawn small: heights of its bars (the tallest is 1), and the same in words."""
    total, tallest = sum(counts), max(counts, default=0)
    named = [
        f"{bin_ / len(counts):.1f} to {(bin_ + 1) / len(counts):.1f}: {percent(count / total, 0)} %"
        for bin_, count in enumerate(counts)
        if count
    ]
    return {"heights": [count / tallest if tallest else 0.0 for count in counts], "text": ", ".join(named)}


def blocks(heights: Sequence[float]) -> str:
    """Bars of height 0 to 1 as characters, for where nothing can be drawn: `▁▁▃█`."""
    return "".join(BLOCKS[round(height * (len(BLOCKS) - 1))] for height in heights)


def accuracy_rows(quality: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Errors against true joints where there are any: of the test identities, and of everybody."""
    accuracy = quality.get("accuracy") or {}
    rows = []
    for key, name in ACCURACY_PARTS:
        measured = accuracy.get(key)
        if measured:
            rows.append(
                {
                    "name": name,
                    "values": [
                        f"{measured['frames']:,}",
                        _plain(measured["mpjpe_mm"], 1),
                        _plain(measured["pa_mpjpe_mm"], 1),
                        percent(measured["pck"]),
                        _plain(measured.get("mpjpe_filled_mm"), 1),
                    ],
                    "threshold": measured["pck_threshold"],
                }
            )
    return rows


def joint_table(quality: Mapping[str, Any]) -> dict[str, Any] | None:
    """Errors against true joints by joint, of the test identities, or of everybody where there are none; else None."""
    accuracy = quality.get("accuracy") or {}
    for key, name in ACCURACY_PARTS:
        if accuracy.get(key):
            rows = [
                {
                    "name": joint.replace("_", " "),
                    "values": [_plain(e["mpjpe_mm"], 1), _plain(e["pa_mpjpe_mm"], 1), percent(e["pck"])],
                }
                for joint, e in accuracy[key]["by_joint"].items()
            ]
            return {"name": name, "rows": rows}
    return None


def _plain(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
