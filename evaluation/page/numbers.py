"""Numbers as pages and terminals write them. Plain values in, texts out."""

from collections.abc import Mapping, Sequence
from typing import Any

BLOCKS = "▁▂▃▄▅▆▇█"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 0 to 1 as percent, without the sign; a dash for nothing."""
    return "–" if share is None else f"{100 * share:.{digits}f}"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, signed with a true minus unless it is shown as 0."""
    text = f"{100 * difference:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def plain(value: float | None, digits: int) -> str:
    """A number with so many digits; a dash for nothing."""
    return "–" if value is None else f"{value:.{digits}f}"


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
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def by_name(metrics: Mapping[str, Any]) -> dict[str, float]:
    """`mAP`, `mINP`, `Rank-1`, ... of a metrics.json, or of its `chance` or `intervals`."""
    ranks = {f"Rank-{rank}": value for rank, value in metrics["cmc"].items()}
    return {"mAP": metrics["mAP"], "mINP": metrics["mINP"], **ranks}


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
