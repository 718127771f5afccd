"""The `metrics` stage: embeddings in; metrics.json, cmc.parquet, queries.parquet and ranks.parquet out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from evaluation.embeddings import (
    Embeddings,
    GalleryKind,
    of_tracklets,
    queries_and_gallery,
    read_embeddings,
    sampling_of,
)
from evaluation.metrics import Scores, average_precision, chance, scores
from evaluation.ranking import LEFT_OUT, Answers, Protocol, rank_gallery
from evaluation.schema import CMC, QUERIES, RANKS, STATUS
from storage.errors import DataError
from storage.progress import Progress, silent
from storage.settings import Settings
from storage.tables import write_table
from storage.tracklets import DISTRACTOR_PID

CURVE = 50  # ranks of the CMC curve
TOLD_EVERY = 100  # queries
SHOWN = 50  # tracklets named
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
    """Embedding shards of the test split (query and gallery)."""

    embeddings: tuple[Path, ...]


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


def run(inputs: Inputs, settings: EvaluationSettings, out_dir: Path, progress: Progress = silent) -> None:
    """Rank the gallery for every query and write the metrics, the CMC curve, each query's score and nearest answers.

    Raises:
        DataError: embeddings that cannot be ranked, no query with a match in another camera, or clothes that the
            protocol asks for and that are not known.
    """
    embeddings = read_embeddings(inputs.embeddings)
    queries, gallery = queries_and_gallery(embeddings, settings.gallery)
    if settings.protocol == "clothes_changing":
        _need_clothes(queries, gallery)
    answers = []
    for answer in rank_gallery(queries, gallery, settings.top, settings.protocol):
        answers.append(answer)
        if len(answers) % TOLD_EVERY == 0 or len(answers) == len(queries):
            progress(len(answers), len(queries), "queries")
    match_ranks = [a.match_ranks for a in answers]
    matches = np.array([len(ranks) for ranks in match_ranks])
    if not matches.any():
        raise DataError(
            f"none of the {len(queries)} queries has a match {MATCH_MUST_BE[settings.protocol]} in the gallery",
            fix="check identities and cameras of the query and gallery rows; nothing can be measured like this",
        )
    last = max(CURVE, *settings.ranks)
    reached = scores(match_ranks, last)
    random = chance(matches, np.array([a.candidates for a in answers]), last)
    blank = embeddings.blank()
    metrics = {
        "protocol": _protocol(settings, sampling_of(inputs.embeddings)),
        "queries": len(queries),
        "counted_queries": int(np.count_nonzero(matches)),
        "queries_without_match": int(np.count_nonzero(matches == 0)),
        "gallery": len(gallery),
        "distractors": int(np.count_nonzero(gallery.pids == DISTRACTOR_PID)),
        "without_embedding": {"count": len(blank), "first": blank[:SHOWN]},
        "dimensions": int(embeddings.vectors.shape[1]),
        **_named(reached, settings.ranks),
        "chance": _named(random, settings.ranks),
    }
    (out_dir / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    write_table(_cmc_table(reached.cmc[:CURVE], random.cmc[:CURVE]), out_dir / "cmc.parquet")
    write_table(_queries_table(queries, answers), out_dir / "queries.parquet", ROWS_PER_GROUP)
    write_table(_ranks_table(queries, gallery, answers), out_dir / "ranks.parquet", ROWS_PER_GROUP)


def _need_clothes(queries: Embeddings, gallery: Embeddings) -> None:
    asked_for = np.isin(gallery.pids, queries.pids) & (gallery.pids != DISTRACTOR_PID)
    unknown = [*queries.take(np.flatnonzero(queries.clothes == 0)).ids]
    unknown += gallery.take(np.flatnonzero(asked_for & (gallery.clothes == 0))).ids
    unknown = sorted(set(unknown))
    if unknown:
        raise of_tracklets(
            f"evaluation.protocol is clothes_changing, and the clothes in {len(unknown)} tracklets are not known",
            unknown,
            "take evaluation.protocol=standard, or a data set that names clothes (docs/data-sets.md)",
        )


def _protocol(settings: EvaluationSettings, sampling: str | None) -> dict[str, Any]:
    return {
        "name": settings.protocol,
        "gallery": settings.gallery,
        "sampling": sampling,
        "left_out": LEAVES_OUT[settings.protocol],
        "distance": "Euclidean between unit vectors, float32",
        "ties": "wrong answers first",
    }


def _named(values: Scores, ranks: Sequence[int]) -> dict[str, Any]:
    return {"mAP": values.mean_average_precision, "cmc": {str(k): float(values.cmc[k - 1]) for k in ranks}}


def _cmc_table(cmc: NDArray[np.float64], random: NDArray[np.float64]) -> pa.Table:
    return pa.table({"rank": np.arange(1, len(cmc) + 1, dtype=np.int32), "cmc": cmc, "chance": random}, schema=CMC)


def _queries_table(queries: Embeddings, answers: Sequence[Answers]) -> pa.Table:
    ranks = [a.match_ranks for a in answers]
    columns = {
        "query_id": list(queries.ids),
        "pid": queries.pids,
        "camid": queries.camids,
        "matches": [len(r) for r in ranks],
        "candidates": [a.candidates for a in answers],
        "first_match": [int(r[0]) if len(r) else 0 for r in ranks],
        "average_precision": [average_precision(r) for r in ranks],
    }
    return pa.table(columns, schema=QUERIES)


def _ranks_table(queries: Embeddings, gallery: Embeddings, answers: Sequence[Answers]) -> pa.Table:
    nearest = np.concatenate([a.nearest for a in answers])
    status = np.concatenate([a.status for a in answers])
    counted = [~np.isin(a.status, LEFT_OUT) for a in answers]
    ranks = [np.where(counts, np.cumsum(counts), 0) for counts in counted]
    columns = {
        "query_id": np.repeat(np.array(queries.ids, dtype=object), [len(a.nearest) for a in answers]),
        "rank": np.concatenate(ranks).astype(np.int32),
        "gallery_id": np.array(gallery.ids, dtype=object)[nearest],
        "pid": gallery.pids[nearest],
        "camid": gallery.camids[nearest],
        "distance": np.concatenate([a.distances for a in answers]),
        "status": np.array(STATUS, dtype=object)[status],
    }
    return pa.table(columns, schema=RANKS)
