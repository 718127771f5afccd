"""The `metrics` stage: embeddings in; metrics.json, cmc.parquet, queries.parquet and ranks.parquet out."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from evaluation.ranking.breakdown import by_length, camera_pairs, oddities
from evaluation.ranking.distances import between, blended, euclidean, given
from evaluation.ranking.embeddings import (
    NOWHERE,
    Embeddings,
    GalleryKind,
    aligned,
    alike_in_both,
    of_tracklets,
    queries_and_gallery,
    read_embeddings,
    sampling_of,
)
from evaluation.ranking.expansion import ExpansionSettings, expand
from evaluation.ranking.intervals import LEVEL, RESAMPLES, bootstrap
from evaluation.ranking.judgement import LEFT_OUT, Protocol
from evaluation.ranking.metrics import PerQuery, Scores, chance, per_query
from evaluation.ranking.ranks import Ranking, rank_gallery
from evaluation.ranking.reranking import RerankSettings, rerank
from evaluation.schema import CMC, QUERIES, RANKS, STATUS
from storage.devices import chosen_device
from storage.errors import DataError
from storage.progress import Progress, silent
from storage.settings import Settings, neutral
from storage.tables.parquet import write_table
from storage.tables.tracklets import DISTRACTOR_PID

CURVE = 50  # ranks of the CMC curve
ROWS_PER_GROUP = 8192
LEAVES_OUT: dict[Protocol, str] = {
    "standard": "gallery tracklets of the query's own identity and camera",
    "clothes_changing": "gallery tracklets of the query's own identity that are by its camera or in its clothes",
}
MATCH_MUST_BE: dict[Protocol, str] = {
    "standard": "by another camera",
    "clothes_changing": "by another camera and in other clothes",
}


@dataclass(frozen=True)
class Inputs:
    """Embedding shards of the test split (query and gallery), and those of their skeletons, to be fused with them."""

    embeddings: tuple[Path, ...]
    skeletons: tuple[Path, ...] = ()


class EvaluationSettings(Settings):
    """Which protocol, and what is kept of the ranking."""

    gallery: GalleryKind = Field(
        "with_queries", description="Whether query tracklets stay in the gallery (MARS's official 11,310) or not."
    )
    protocol: Protocol = Field(
        "standard",
        description="What is left out of the gallery: what shows the query's person by the query's camera (standard), "
        "and also in the query's clothes (clothes_changing).",
    )
    ranks: tuple[PositiveInt, ...] = Field((1, 5, 10, 20), min_length=1, description="Ranks at which CMC is reported.")
    top: int = Field(50, ge=1, description="Nearest gallery tracklets kept of each query.")
    skeleton_weight: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of skeletons in a similarity that fuses them with images, to be chosen on held-out people "
        "(data.folds); with it, skeletons alone and the fusion are ranked as well. 0: skeletons are not looked at.",
    )
    rerank: RerankSettings | None = Field(
        None, description="k-reciprocal re-ranking; {} takes the paper's settings. None: not."
    )
    expansion: ExpansionSettings | None = Field(
        None, description="Query expansion; {} takes the usual settings. None: not."
    )
    resamples: int = Field(RESAMPLES, ge=100, description="Draws of identities for the intervals.")
    seed: int = Field(0, ge=0, description="Of these draws.")
    device: str = neutral(
        "auto",
        "What computes distances: cpu, cuda, cuda:1 (a certain GPU), or auto (a GPU where there is one).",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
    )


def run(inputs: Inputs, settings: EvaluationSettings, out_dir: Path, progress: Progress = silent) -> None:
    """Rank the gallery for every query and write the metrics, the CMC curve, each query's score and nearest answers.

    Raises:
        DataError: embeddings that cannot be ranked, no query with a match in another camera, or clothes that the
            protocol asks for and that are not known.
    """
    with tempfile.TemporaryDirectory(dir=out_dir) as scratch:
        embeddings = read_embeddings(inputs.embeddings, Path(scratch))
        queries, gallery = queries_and_gallery(embeddings, settings.gallery)
        if settings.protocol == "clothes_changing":
            _need_clothes(queries, gallery)
        if inputs.skeletons:
            other = aligned(read_embeddings(inputs.skeletons), embeddings)
            ranking = _fused(queries, gallery, queries_and_gallery(other, settings.gallery), settings, progress)
        else:
            ranking = _ranked(queries, gallery, settings, progress)
        odd = oddities(embeddings, queries, gallery)
    found = per_query(ranking.ranks, ranking.starts)
    if not found.matches.any():
        raise DataError(
            f"none of the {len(queries)} queries has a match {MATCH_MUST_BE[settings.protocol]} in the gallery",
            fix="check identities and cameras of the query and gallery rows; nothing can be measured like this",
        )
    last = max(CURVE, *settings.ranks)
    reached = found.mean(last)
    random = chance(found.matches, ranking.candidates, last)
    metrics = {
        "protocol": {
            "name": settings.protocol,
            "gallery": settings.gallery,
            "sampling": sampling_of(inputs.embeddings),
            "left_out": LEAVES_OUT[settings.protocol],
            "distance": _distance(inputs, settings),
            "ties": "wrong answers first",
            "reranking": settings.rerank and settings.rerank.model_dump(),
            "expansion": settings.expansion and settings.expansion.model_dump(),
        },
        "queries": len(queries),
        "counted_queries": int(np.count_nonzero(found.matches)),
        "queries_without_match": int(np.count_nonzero(found.matches == 0)),
        "gallery": len(gallery),
        "distractors": int(np.count_nonzero(gallery.pids == DISTRACTOR_PID)),
        "dimensions": int(embeddings.vectors.shape[1]),
        **_named(reached, settings.ranks),
        "chance": _named(random, settings.ranks),
        "intervals": _intervals(found, queries.pids, settings),
        "ties": _ties(ranking),
        "camera_pairs": camera_pairs(ranking, queries.camids),
        "lengths": by_length(found, queries.frames),
        **odd,
    }
    (out_dir / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    curve = {"rank": np.arange(1, CURVE + 1, dtype=np.int32), "cmc": reached.cmc[:CURVE], "chance": random.cmc[:CURVE]}
    write_table(pa.table(curve, schema=CMC), out_dir / "cmc.parquet")
    write_table(_queries_table(queries, ranking, found), out_dir / "queries.parquet", ROWS_PER_GROUP)
    write_table(_ranks_table(queries, gallery, ranking), out_dir / "ranks.parquet", ROWS_PER_GROUP)


def _distance(inputs: Inputs, settings: EvaluationSettings) -> str:
    if settings.rerank:
        return "k-reciprocal, float32"
    fused = f" of images, {settings.skeleton_weight:g} of skeletons" if inputs.skeletons else ""
    return f"Euclidean between unit vectors{fused}, float32"


def _fused(
    queries: Embeddings,
    gallery: Embeddings,
    skeletons: tuple[Embeddings, Embeddings],
    settings: EvaluationSettings,
    progress: Progress,
) -> Ranking:
    """The ranking by images and skeletons; an unknown skeleton is as like another as two people's are in the mean."""
    device = chosen_device(settings.device, "evaluation.device")
    asked, answering = skeletons
    fused = blended(
        between(queries.vectors, gallery.vectors, device),
        between(asked.vectors, answering.vectors, device),
        settings.skeleton_weight,
    )
    gallery = replace(gallery, alike=alike_in_both(gallery.alike, answering.alike))
    ranking = rank_gallery(queries, gallery, fused, settings.top, settings.protocol, progress)
    return replace(ranking, distances=euclidean(ranking.distances))


def _ranked(queries: Embeddings, gallery: Embeddings, settings: EvaluationSettings, progress: Progress) -> Ranking:
    """The ranking; distances of what is nearest are Euclidean, or the new ones of a re-ranking."""
    if settings.expansion:
        queries = expand(queries, gallery, settings.expansion)
    if settings.rerank:
        # what was computed for each item alone is its own
        gallery = replace(gallery, alike=np.arange(len(gallery)))
        new = given(rerank(queries.vectors[:], gallery.vectors[:], settings.rerank))
        return rank_gallery(queries, gallery, new, settings.top, settings.protocol, progress)
    distances = between(queries.vectors, gallery.vectors, chosen_device(settings.device, "evaluation.device"))
    ranking = rank_gallery(queries, gallery, distances, settings.top, settings.protocol, progress)
    return replace(ranking, distances=euclidean(ranking.distances))


def _need_clothes(queries: Embeddings, gallery: Embeddings) -> None:
    asked_for = np.isin(gallery.pids, queries.pids) & (gallery.pids != DISTRACTOR_PID)
    of_gallery = gallery.ids[asked_for & (gallery.clothes == 0)].tolist()
    unknown = sorted({*queries.ids[queries.clothes == 0].tolist(), *of_gallery})
    if unknown:
        raise of_tracklets(
            f"evaluation.protocol is clothes_changing, and the clothes in {len(unknown)} tracklets are not known",
            unknown,
            "take evaluation.protocol=standard, or a data set that names clothes (docs/data-sets.md)",
        )


def _named(values: Scores, ranks: Sequence[int]) -> dict[str, Any]:
    return {
        "mAP": values.mean_average_precision,
        "mINP": values.mean_inverse_negative_penalty,
        "cmc": {str(k): float(values.cmc[k - 1]) for k in ranks},
    }


def _intervals(found: PerQuery, pids: NDArray[np.int32], settings: EvaluationSettings) -> dict[str, Any] | None:
    """Intervals of the metrics, named as they are; None if all counted queries show one identity."""
    counted = found.matches > 0
    hits = [found.first_match <= rank for rank in settings.ranks]
    values = np.stack([found.average_precision, found.inverse_negative_penalty, *hits], axis=1)[counted]
    ends = bootstrap(pids[counted], values, settings.resamples, settings.seed, LEVEL)
    if ends is None:
        return None
    precision, penalty, *ranks = ends.tolist()
    return {
        "level": LEVEL,
        "resamples": settings.resamples,
        "identities": len(np.unique(pids[counted])),
        "mAP": precision,
        "mINP": penalty,
        "cmc": {str(k): interval for k, interval in zip(settings.ranks, ranks, strict=True)},
    }


def _ties(ranking: Ranking) -> dict[str, Any]:
    """How many matches tie with a wrong answer, of how many queries, and mAP if the right one came first then."""
    tied = ranking.ranks != ranking.ranks_right_first
    kindly = per_query(ranking.ranks_right_first, ranking.starts)
    return {
        "queries": len(np.unique(ranking.queries[tied])),
        "matches": int(np.count_nonzero(tied)),
        "mAP_right_first": kindly.mean(1).mean_average_precision,
    }


def _queries_table(queries: Embeddings, ranking: Ranking, found: PerQuery) -> pa.Table:
    tied = ranking.queries[ranking.ranks != ranking.ranks_right_first]
    columns = {
        "query_id": queries.ids.tolist(),
        "pid": queries.pids,
        "camid": queries.camids,
        "frames": queries.frames,
        "matches": found.matches.astype(np.int32),
        "candidates": ranking.candidates.astype(np.int32),
        "first_match": found.first_match.astype(np.int32),
        "average_precision": found.average_precision,
        "inverse_negative_penalty": found.inverse_negative_penalty,
        "ties": np.bincount(tied, minlength=len(queries)).astype(np.int32),
    }
    return pa.table(columns, schema=QUERIES)


def _ranks_table(queries: Embeddings, gallery: Embeddings, ranking: Ranking) -> pa.Table:
    shown = ranking.nearest != NOWHERE
    counts = shown & ~np.isin(ranking.status, LEFT_OUT)
    ranks = np.where(counts, np.cumsum(counts, axis=1), 0)
    nearest = ranking.nearest[shown]
    columns = {
        "query_id": np.repeat(queries.ids.astype(object), shown.sum(1)),
        "rank": ranks[shown].astype(np.int32),
        "gallery_id": gallery.ids.astype(object)[nearest],
        "pid": gallery.pids[nearest],
        "camid": gallery.camids[nearest],
        "distance": ranking.distances[shown],
        "status": np.array(STATUS, dtype=object)[ranking.status[shown]],
    }
    return pa.table(columns, schema=RANKS)
