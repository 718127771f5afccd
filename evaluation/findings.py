"""What the numbers of a run say, as the rows and sentences of a report. Plain values in, plain values out."""

from collections.abc import Mapping, Sequence
from typing import Any

from storage.schema import FRAME_STATUS

GALLERY_KINDS = {
    "with_queries": "query tracklets kept in the gallery",
    "without_queries": "query tracklets not in the gallery",
}
PROTOCOLS = {"standard": "standard", "clothes_changing": "clothes-changing"}
SAMPLINGS = {
    "dense": "dense: every frame of a tracklet counts",
    "rrs": "rrs: one frame of each of eight segments of a tracklet",
}
STATUS_KINDS = tuple(zip(("ok", "low confidence", "nobody found", "unreadable"), FRAME_STATUS, strict=True))
ACCURACY_PARTS = (("test", "test identities"), ("all", "everybody"))
BLOCKS = "▁▂▃▄▅▆▇█"
MINUTE = 60


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 0 to 1 as percent, without the sign; a dash for nothing."""
    return "–" if share is None else f"{100 * share:.{digits}f}"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, signed with a true minus."""
    text = f"{100 * difference:+.1f}"
    return text.replace("-", "−")


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
    """`mAP`, `Rank-1`, ... of a metrics.json, or of its `chance`."""
    return {"mAP": metrics["mAP"], **{f"Rank-{rank}": value for rank, value in metrics["cmc"].items()}}


def score_table(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """MAP and CMC of each model, chance last: columns and rows of percent.

    Args:
        results: model -> its metrics.json; all of one protocol.
    """
    last = list(results.values())[-1]
    ranks = list(last["cmc"])
    alike = all(m["chance"] == last["chance"] for m in results.values())
    chances = {"Chance": last} if alike else {f"Chance, {name.lower()}": m for name, m in results.items()}
    named = [(name, "", m) for name, m in results.items()]
    named += [(name, "faint", m["chance"]) for name, m in chances.items()]
    rows = [
        {
            "name": name,
            "kind": "strong" if m is last else kind,
            "values": [percent(m["mAP"]), *(percent(m["cmc"].get(rank)) for rank in ranks)],
        }
        for name, kind, m in named
    ]
    return {"columns": ["mAP", *(f"Rank-{rank}" for rank in ranks)], "rows": rows}


def headline(results: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """MAP and the first rank of the last model, each beside the first model's and chance's."""
    (first_name, first), *_, (last_name, last) = [*results.items(), *results.items()]
    rank = next(iter(last["cmc"]))
    found = []
    for name, get in (("mAP", lambda m: m["mAP"]), (f"Rank-{rank}", lambda m: m["cmc"][rank])):
        value, before, random = get(last), get(first), get(last["chance"])
        found.append(
            {
                "name": name,
                "model": last_name,
                "value": percent(value),
                "share": percent(value, 2),
                "before": percent(before) if len(results) > 1 else None,
                "before_share": percent(before, 2),
                "before_model": first_name,
                "change": points(value - before) if len(results) > 1 else None,
                "better": value > before,
                "chance": percent(random),
                "chance_share": percent(random, 2),
                "times_chance": f"{value / random:.1f}" if random else None,
            }
        )
    return found


def verdict(tiles: Sequence[Mapping[str, Any]]) -> str:
    """One plain sentence: whether the last model is better than the first."""
    compared = [t for t in tiles if t["change"] is not None]
    if not compared:
        return "Only one model was evaluated, so there is nothing to compare it with."
    changes = ", ".join(f"{t['name']} {t['change']}" for t in compared) + " points"
    before, after = compared[0]["before_model"].lower(), compared[0]["model"].lower()
    better = [t["better"] for t in compared]
    if all(better):
        return f"The ranking {after} is better than with the {before}: {changes}."
    if not any(better):
        return f"The ranking {after} is not better than with the {before}: {changes}."
    return f"The ranking {after} is better in one measure and not in the other than with the {before}: {changes}."


def against_chance(tiles: Sequence[Mapping[str, Any]]) -> str:
    """One plain sentence: what a single model reaches, and what chance would."""
    reached = " and ".join(f"{t['name']} {t['value']} %" for t in tiles)
    chance = " and ".join(f"{t['chance']} %" for t in tiles)
    return f"People are told apart by their skeletons alone with {reached}; chance would give {chance}."


def protocol(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Under which rules the numbers were got: (name, text) pairs."""
    named = metrics["protocol"]
    without = metrics["queries"] - metrics["counted_queries"]
    sampling = named.get("sampling")
    return [
        ("Queries", f"{metrics['counted_queries']:,} counted of {metrics['queries']:,}" + _without_match(without)),
        (
            "Gallery",
            f"{metrics['gallery']:,} tracklets, {metrics['distractors']:,} of them distractors; "
            + GALLERY_KINDS.get(named["gallery"], named["gallery"]),
        ),
        ("Protocol", PROTOCOLS.get(named["name"], named["name"])),
        ("Left out", named["left_out"]),
        *([("Frames", SAMPLINGS.get(sampling, sampling))] if sampling else []),
        ("Distance", f"{named['distance']}; ties: {named['ties']}"),
        *([("No embedding", blank)] if (blank := _without_embedding(metrics)) else []),
        ("Chance", "expected value under a random ranking of the same gallery, exact"),
    ]


def _without_match(count: int) -> str:
    return f"; {count:,} have no match that counts" if count else ""


def _without_embedding(metrics: Mapping[str, Any]) -> str:
    blank = metrics.get("without_embedding") or {"count": 0, "first": []}
    if not blank["count"]:
        return ""
    more = ", …" if blank["count"] > len(blank["first"]) else ""
    named = ", ".join(blank["first"]) + more
    return f"{blank['count']:,} tracklets without a readable frame, ranked as like nobody: {named}"


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


def lineage_rows(lineage: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a stage: how many artifacts, how long in all, on what, with their keys; in the order of the run."""
    stages: dict[str, list[Mapping[str, Any]]] = {}
    for made in lineage:
        stages.setdefault(made["stage"], []).append(made)
    return [
        {
            "stage": stage,
            "count": len(parts),
            "time": duration(sum(part.get("seconds") or 0.0 for part in parts)),
            "device": ", ".join(sorted({str(part["device"]) for part in parts if part.get("device")})) or "–",
            "made": max((str(part["made"]) for part in parts if part.get("made")), default="–"),
            "parts": [(str(part.get("artifact", stage)), str(part.get("key", ""))) for part in parts],
        }
        for stage, parts in stages.items()
    ]
