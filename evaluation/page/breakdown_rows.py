"""Where a ranking is good and where it is not: by pair of cameras, by length of tracklet, and what is odd about it.

metrics.json in, rows and texts out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.page.findings import frames_told, percent
from storage.wording import be, have, many

WIDE = 8  # gallery cameras; a matrix of more takes the whole width
MEASURES = (("mAP", "mAP"), ("rank_1", "Rank-1"))


def camera_grid(
    pairs: Sequence[Mapping[str, Any]], cell: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """Query cameras down, gallery cameras across.

    Returns:
        Gallery `cameras`, whether it is `wide`, and `rows` of `camera` and `cells`; None for a pair that is not there.
    """
    found = {(pair["query_camid"], pair["gallery_camid"]): cell(pair) for pair in pairs}
    asking, answering = (sorted({pair[side] for pair in found}) for side in (0, 1))
    return {
        "cameras": answering,
        "wide": len(answering) > WIDE,
        "rows": [
            {"camera": query, "cells": [found.get((query, gallery)) for gallery in answering]} for query in asking
        ],
    }


def camera_matrices(pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One heat map a measure: query cameras down, gallery cameras across; none where there is no pair.

    Returns:
        Of each its `name`, gallery `cameras`, whether it is `wide`, and `rows` of `camera` and `cells`: `text` in
        percent, `heat` 0 to 1 and the number of `queries`; None for a pair without a counted query.
    """
    if not pairs:
        return []

    def cells(key: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        return lambda pair: {
            "text": percent(pair[key]),
            "heat": f"{pair[key]:.3f}",
            "queries": f"{pair['queries']:,}",
        }

    return [{"name": name, **camera_grid(pairs, cells(key))} for key, name in MEASURES]


def length_rows(lengths: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Accuracy by frames of the query's tracklet: `frames` such as `8 to 15`, `queries`, `mAP` and `rank_1`."""
    return [
        {
            "frames": frames_told(row),
            "queries": f"{row['queries']:,}",
            "mAP": percent(row["mAP"]),
            "share": percent(row["mAP"], 2),
            "rank_1": percent(row["rank_1"]),
        }
        for row in lengths
    ]


@dataclass(frozen=True)
class Oddity:
    """One thing about a ranking that a reader should know.

    Attributes:
        name: in a word or two.
        says: a sentence.
        items: names of tracklets or identities.
        more: how many there are beside these.
    """

    name: str
    says: str
    items: tuple[str, ...] = ()
    more: int = 0


def oddities(metrics: Mapping[str, Any]) -> list[Oddity]:
    """Ties, equal embeddings, identities that nobody answers, tracklets without an embedding: each, if there is any."""
    return [
        odd for odd in (_ties(metrics), _duplicates(metrics["duplicates"]), _missing(metrics), _blank(metrics)) if odd
    ]


def _ties(metrics: Mapping[str, Any]) -> Oddity | None:
    ties = metrics["ties"]
    if not ties["queries"]:
        return None
    right, wrong = percent(ties["mAP_right_first"]), percent(metrics["mAP"])
    queries = f"{ties['queries']:,} of the {metrics['counted_queries']:,} counted queries"
    says = (
        f"{many(ties['matches'], 'right answer')} of {queries} {be(ties['matches'])} exactly as near as a wrong one. "
        f"Wrong ones are ranked first: mAP {wrong} %; the other way round it would be {right} %."
    )
    return Oddity("Ties", says)


def _duplicates(found: Mapping[str, Any]) -> Oddity | None:
    count, items = found["count"], tuple(" = ".join(pair) for pair in found["first"])
    if not count:
        return None
    says = f"{many(count, 'tracklet')} {have(count)} exactly the embedding of another: the same frames under two names?"
    return Oddity("Equal embeddings", says, items, count - len(items))


def _missing(metrics: Mapping[str, Any]) -> Oddity | None:
    found = metrics["missing_identities"]
    if not found["count"]:
        return None
    count, items = found["count"], tuple(f"person {pid}" for pid in found["first"])
    says = (
        f"{count:,} {'identity' if count == 1 else 'identities'} of queries {be(count)} shown by no gallery tracklet, "
        "but for query tracklets."
    )
    return Oddity("Missing identities", says, items, count - len(items))


def _blank(metrics: Mapping[str, Any]) -> Oddity | None:
    found = metrics["without_embedding"]
    if not found["count"]:
        return None
    count, items = found["count"], tuple(found["first"])
    says = (
        f"{many(count, 'tracklet')} {have(count)} zeros for an embedding, as those without a readable frame: ranked as "
        "like nobody."
    )
    return Oddity("No embedding", says, items, count - len(items))
