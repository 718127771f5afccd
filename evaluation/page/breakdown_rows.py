"""Where a ranking is good and where it is not: by pair of cameras, by length of tracklet, and what is odd about it.

metrics.json in, rows and texts out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from evaluation.page.numbers import frames_told, percent
from storage.wording import be, have, many

WIDE = 8  # gallery cameras; a matrix of more takes the whole width
MEASURES = {"mAP": "mAP", "rank_1": "Rank-1"}
Row = Mapping[str, Any]


def camera_grid(pairs: Sequence[Row], cell: Callable[[Row], dict[str, Any]]) -> dict[str, Any]:
    """Query cameras down, gallery cameras across.

    Returns:
        Gallery `cameras`, whether it is `wide`, and `rows` of `camera` and `cells`; None for a pair that is not there.
    """
    found = {(pair["query_camid"], pair["gallery_camid"]): cell(pair) for pair in pairs}
    asking, answering = (sorted({pair[side] for pair in found}) for side in (0, 1))
    rows = [{"camera": query, "cells": [found.get((query, gallery)) for gallery in answering]} for query in asking]
    return {"cameras": answering, "wide": len(answering) > WIDE, "rows": rows}


def camera_matrices(pairs: Sequence[Row]) -> list[dict[str, Any]]:
    """One heat map a measure, a `camera_grid` with its `name`; none where there is no pair.

    Cells are of `text` in percent, `heat` 0 to 1 and the number of `queries`.
    """

    def cell(pair: Row, key: str) -> dict[str, Any]:
        return {"text": percent(pair[key]), "heat": f"{pair[key]:.3f}", "queries": f"{pair['queries']:,}"}

    measures = MEASURES.items() if pairs else ()
    return [{"name": name, **camera_grid(pairs, partial(cell, key=key))} for key, name in measures]


def length_rows(lengths: Sequence[Row]) -> list[dict[str, Any]]:
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
    """One thing about a ranking that a reader should know."""

    name: str  # in a word or two
    says: str  # a sentence
    items: tuple[str, ...] = ()  # names of tracklets or identities
    more: int = 0  # how many there are beside these


def oddities(metrics: Row) -> list[Oddity]:
    """Ties, equal embeddings, identities that nobody answers, tracklets without an embedding: each, if there is any."""
    found, ties = [], metrics["ties"]
    if ties["queries"]:
        says = (
            f"{many(ties['matches'], 'right answer')} of {ties['queries']:,} of the {metrics['counted_queries']:,} "
            f"counted queries {be(ties['matches'])} exactly as near as a wrong one. Wrong ones are ranked first: mAP "
            f"{percent(metrics['mAP'])} %; the other way round it would be {percent(ties['mAP_right_first'])} %."
        )
        found.append(Oddity("Ties", says))
    equal, missing, blank = (metrics[key] for key in ("duplicates", "missing_identities", "without_embedding"))
    if count := equal["count"]:
        says = "exactly the embedding of another: the same frames under two names?"
        pairs = [" = ".join(pair) for pair in equal["first"]]
        found.append(_named("Equal embeddings", f"{many(count, 'tracklet')} {have(count)} {says}", pairs, count))
    if count := missing["count"]:
        people = "1 identity" if count == 1 else f"{count:,} identities"
        says = f"{people} of queries {be(count)} shown by no gallery tracklet, but for query tracklets."
        found.append(_named("Missing identities", says, [f"person {pid}" for pid in missing["first"]], count))
    if count := blank["count"]:
        says = "zeros for an embedding, as those without a readable frame: ranked as like nobody."
        found.append(_named("No embedding", f"{many(count, 'tracklet')} {have(count)} {says}", blank["first"], count))
    return found


def _named(name: str, says: str, items: Sequence[str], count: int) -> Oddity:
    return Oddity(name, says, tuple(items), count - len(items))
