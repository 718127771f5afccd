"""The `report` stage: everything a run found, as one self-contained HTML file that needs no network and no script."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from evaluation.page.breakdown_rows import camera_matrices, length_rows, oddities
from evaluation.page.check_rows import section
from evaluation.page.drawing import cmc_curve, epoch_curves, loss_curve
from evaluation.page.embedding_map import drawn, embedding_map
from evaluation.page.html import template
from evaluation.page.left_out import left_out
from evaluation.page.numbers import by_name, duration
from evaluation.page.published import probe_of, published_results
from evaluation.page.quality_rows import STATUS_KINDS, accuracy_rows, joint_table, status_rows
from evaluation.page.ranking_rows import (
    against_chance,
    headline,
    intervals_told,
    model_name,
    protocol,
    score_table,
    verdict,
)
from evaluation.page.run_rows import lineage_rows, setting_rows, version_rows
from evaluation.page.showcase import answered_queries, data_uri, portraits, posed_tracklets, shown_tracklets
from evaluation.ranking.embeddings import read_embeddings
from evaluation.schema import CMC, QUERIES
from storage.addresses import DataRoot
from storage.errors import StoreError
from storage.progress import Progress, silent
from storage.settings import Settings
from storage.tables.parquet import read_table
from storage.tables.tracklets import read_index

FILE_NAME = "report.html"
ANEW = "run again: a damaged artifact is made anew"
NOT_LOSSES = ("step", "epoch", "lr", "loss")
TRAINED_HERE = "Visual encoder"  # the history of a visual encoder that stands in for a pretrained one
TRAINED_HERE_REMARK = "visual encoder trained on the training identities alone, not pretrained: no comparison"


class ReportSettings(Settings):
    """What a report shows."""

    title: str = Field("Video person re-identification", description="Headline of the page.")
    queries: int = Field(3, ge=0, description="Queries shown of each kind: easy, median, hard.")
    answers: int = Field(10, ge=1, description="First gallery answers shown of each query.")
    map_identities: int = Field(
        20, ge=0, le=20, description="Identities of the test set on the map of embeddings; 0: no map."
    )
    tracklets: int = Field(2, ge=0, description="Tracklets shown with skeletons of each kind: best, median, worst.")
    frames: int = Field(8, ge=1, description="Frames shown of each of those tracklets.")


@dataclass(frozen=True)
class Inputs:
    """What the report is about."""

    data_root: DataRoot  # of the raw data set, for the pictures
    indexes: tuple[Path, ...]  # index shards
    summary: Path  # the index's summary.json
    # skeleton shards, one an index shard, in the same order; none for a data set without images
    skeletons: tuple[Path, ...]
    quality: Path | None  # quality.json of the skeletons; None for a data set without images: nothing is shown of it
    histories: Mapping[str, Path]  # stage -> history.parquet, in the order in which they were trained
    results: Mapping[str, Path]  # model -> folder of its evaluation; the first is what the last is compared with
    embeddings: tuple[Path, ...]  # shards of one model, for the map
    # what was made, from the start: stage, artifact, key, seconds, device, made, versions
    lineage: tuple[Mapping[str, Any], ...] = ()
    settings: tuple[Mapping[str, Any], ...] = ()  # name, value, default, and whether these differ
    machine: Mapping[str, str] = field(default_factory=dict)  # what the report is made on: name -> text
    not_run: tuple[str, ...] = ()  # stages of the pipeline that the run had no use for
    # `epoch N` -> evaluation of held-out people after that epoch of finetuning
    validation: Mapping[str, Path] = field(default_factory=dict)


def run(inputs: Inputs, settings: ReportSettings, out_dir: Path, progress: Progress = silent) -> None:
    """Write report.html.

    Raises:
        StoreError: an input is damaged, or skeletons and indexes do not belong together.
    """
    with_images = inputs.quality is not None
    if with_images and len(inputs.indexes) != len(inputs.skeletons):
        raise StoreError(
            f"{len(inputs.indexes)} index shards and {len(inputs.skeletons)} skeleton shards do not belong together",
            fix=ANEW,
        )
    shards = [read_index(path) for path in inputs.indexes]
    tracklets = {tracklet.tracklet_id: tracklet for shard in shards for tracklet in shard}
    check, quality = _read_json(inputs.summary), _read_json(inputs.quality) if inputs.quality else {}
    read = {title: _read_json(folder / "metrics.json") for title, folder in inputs.results.items()}
    results = {model_name(title, found): inputs.results[title] for title, found in read.items()}
    metrics = {model_name(title, found): found for title, found in read.items()}
    model, last = list(metrics.items())[-1]
    queries = read_table(results[model] / "queries.parquet", QUERIES).to_pylist()
    # without images there is one model, ranked in several ways
    tiles = headline(metrics if with_images else {model: last})
    progress(1, 5, "numbers")
    answered = answered_queries(results, settings.queries if with_images else 0, settings.answers)
    pictures = {name: data_uri(frame) for name, frame in portraits(inputs.data_root, answered, tracklets).items()}
    progress(2, 5, "gallery answers")
    chosen = shown_tracklets(quality, settings.tracklets)
    pairs = zip(shards, inputs.skeletons, strict=True) if with_images else ()
    posed = posed_tracklets(inputs.data_root, chosen, pairs, settings.frames)
    progress(3, 5, "skeletons")
    training = [_training(name, path) for name, path in inputs.histories.items()]
    with tempfile.TemporaryDirectory(dir=out_dir) as scratch:
        shown = embedding_map(read_embeddings(inputs.embeddings, Path(scratch)), settings.map_identities)
    progress(4, 5, "curves")
    remarks = [TRAINED_HERE_REMARK] if TRAINED_HERE in inputs.histories else []
    page = template(FILE_NAME).render(
        title=settings.title,
        check=section(check),
        quality=quality,
        tiles=tiles,
        verdict=verdict(tiles) if with_images else against_chance(tiles),
        with_images=with_images,
        trained_here=TRAINED_HERE in inputs.histories,
        scores=score_table(metrics),
        intervals=intervals_told(last),
        protocol=protocol(last),
        models=list(metrics),
        cmc=cmc_curve(*cmc_tables(results), "CMC curve"),
        matrices=camera_matrices(last["camera_pairs"]),
        lengths=length_rows(last["lengths"]),
        oddities=oddities(last),
        map=shown,
        map_drawn=drawn(shown) if shown else "",
        published=published_results(check, model, last, remarks, probe_of(inputs.settings)),
        answers=answered,
        pictures=pictures,
        answers_shown=settings.answers,
        status=status_rows(quality),
        status_names=STATUS_KINDS,
        accuracy=accuracy_rows(quality),
        joints=joint_table(quality),
        sheets=[
            {**row, "tracklet": tracklets[name], "picture": data_uri(posed[name])}
            for name, row in chosen.items()
            if name in posed
        ],
        training=training,
        validation=_validation(inputs.validation),
        left_out=left_out(check, quality, last, queries, inputs.not_run, inputs.settings, shown),
        lineage=lineage_rows(inputs.lineage),
        total_time=duration(sum(made.get("seconds") or 0.0 for made in inputs.lineage)),
        settings=setting_rows(inputs.settings),
        versions=version_rows(inputs.lineage),
        machine=inputs.machine,
    )
    (out_dir / FILE_NAME).write_text(page)
    progress(5, 5, "page")


def cmc_tables(results: Mapping[str, Path]) -> tuple[list[int], dict[str, list[float]], list[float]]:
    """Ranks, the CMC curve of each model, and that of chance, as `evaluation.page.drawing` draws them."""
    tables = {name: read_table(folder / "cmc.parquet", CMC).to_pydict() for name, folder in results.items()}
    last = list(tables.values())[-1]
    return last["rank"], {name: table["cmc"] for name, table in tables.items()}, last["chance"]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot be read: {error}", where=path, fix=ANEW) from error
    return found


def _validation(found: Mapping[str, Path]) -> str:
    """Metrics of held-out people over the epochs of finetuning, as a drawing; empty without any."""
    if not found:
        return ""
    rows = {int(name.rpartition(" ")[2]): by_name(_read_json(at / "metrics.json")) for name, at in found.items()}
    curves = {
        name: {epoch: row[name] for epoch, row in rows.items()}
        for name in ("Rank-1", "mAP")
        if all(name in row for row in rows.values())
    }
    return epoch_curves(curves, "Held-out people while the model learnt", "held-out people, %")


def _training(name: str, path: Path) -> dict[str, Any]:
    """A training's loss and each of its terms, as curves with their first and last values."""
    try:
        table = pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"cannot read a training history: {error}", where=path, fix=ANEW) from error
    columns = {column: table[column].to_numpy() for column in table.column_names}
    steps = columns["step"]

    def curve(term: str) -> dict[str, Any]:
        values, few = columns[term], max(1, len(steps) // 20)
        return {
            "name": term.removeprefix("loss_").replace("_", " "),
            "svg": loss_curve(steps, values.astype(np.float64), f"{name}: {term}", small=term != "loss"),
            "first": f"{np.nanmean(values[:few]):.3g}",
            "last": f"{np.nanmean(values[-few:]):.3g}",
        }

    return {
        "name": name,
        "steps": len(steps),
        "epochs": len(np.unique(columns["epoch"])),  # counted from 0 or from 1 by whoever trained
        "loss": curve("loss"),
        "terms": [curve(column) for column in columns if column not in NOT_LOSSES],
    }
