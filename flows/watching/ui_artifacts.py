"""What a run leaves in the Prefect UI, so that it can be read there alone: tables, pictures, a link to the report."""

import base64
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from evaluation.page.check_rows import finding_rows, length_rows, published, verdict
from evaluation.page.drawing import cmc_picture
from evaluation.page.numbers import blocks, percent
from evaluation.page.quality_rows import status_rows
from evaluation.page.ranking_rows import interval_text, intervals_told
from evaluation.page.showcase import (
    answer_strip,
    answered_queries,
    portraits,
    posed_tracklets,
    shown_tracklets,
    small_data_uri,
)
from evaluation.report import cmc_tables
from flows.keys.reasons import Line, as_groups
from flows.watching.result import Result, evaluations, read_json
from storage.addresses import DataRoot
from storage.store.artifacts import Artifact
from storage.tables.parquet import read_table
from storage.tables.schema import SKELETONS
from storage.tables.tracklets import Tracklet, read_index

LARGEST = 300_000
"""Characters of a picture: it lies in the server's database, and the UI fetches it with the run."""

SHOWN = 2  # tracklets of each kind: best, median, worst
FRAMES = 8  # of each of these
ANSWERS = 10  # of a query
ROWS = 1000
"""Of the table of steps: as many as a page can show."""

NAMED = 5  # files or tracklets of a finding


def show(result: Result, data_root: DataRoot) -> None:
    """Create the Prefect artifacts of a run; of stages that it did not reach, none. Pictures show the raw data."""
    create_table_artifact(step_rows(result), key="steps", description="What ran and what was kept")
    # as labelled without splits; of several splits, those of the first
    artifacts = {label.removeprefix("split 0 "): artifact for label, artifact in result.artifacts.items()}
    if "index" in artifacts:
        check = read_json(artifacts["index"], "summary.json")
        table = [{"split": split, **row} for split, row in check["splits"].items()]
        create_table_artifact(table, key="data-set", description="Tracklets, identities, frames and cameras")
        says = f"{verdict(check)}. {published(check)}".strip()
        create_table_artifact(_check_rows(check), key="data-check", description=says)
    if "quality" in artifacts:
        _show_skeletons(artifacts, data_root)
    if result.metrics:
        _show_metrics(result)
    if evaluations(artifacts):
        _show_ranking(artifacts, data_root)
    if result.report:
        create_markdown_artifact(
            f"[report.html]({result.report.resolve().as_uri()})",
            key="report",
            description="The report: a page in a file of the machine that made it",
        )


def show_plan(lines: Sequence[Line]) -> None:
    """Create the table of what a run is about to do, and why."""
    rows = [
        {"stage": line.stage, "steps": steps, "verdict": line.verdict, "why": line.reason}
        for line, steps in as_groups(lines)
    ]
    counts = Counter(line.verdict for line in lines)
    says = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("will run", "may run", "kept") if counts[verdict])
    create_table_artifact(rows, key="plan", description=f"Steps: {says}")


def step_rows(result: Result) -> list[dict[str, Any]]:
    """What became of each step, one row each; of very many, one row for all of a stage that ended alike."""
    built = set(result.built)
    steps = [
        (label, artifact, "built" if label in built else "kept", artifact.manifest["made"]["seconds"])
        for label, artifact in result.artifacts.items()
    ]
    if len(steps) <= ROWS:
        return [
            {"step": label, "state": state, "seconds": took, "key": artifact.key, "digest": artifact.digest[:12]}
            for label, artifact, state, took in steps
        ]
    groups: dict[tuple[str, str], list[float]] = {}
    for _, artifact, state, took in sorted(steps, key=lambda step: step[2]):
        groups.setdefault((artifact.stage, state), []).append(took)
    return [
        {"step": f"{stage}: {len(took):,} parts", "state": state, "seconds": round(sum(took), 1)}
        for (stage, state), took in groups.items()
    ]


def _check_rows(check: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the check of the data set found, problems first, and then how long its tracklets are, one row each."""
    found = [
        {
            "kind": "problem" if row["problem"] else "note",
            "found": row["says"],
            "which": ", ".join(row["items"][:NAMED]) + (", …" if row["more"] or len(row["items"]) > NAMED else ""),
        }
        for row in finding_rows(check)
    ]
    lengths = length_rows(check)
    if not lengths:
        return found
    spread = blocks([row["share"] for row in lengths])
    which = ", ".join(f"{row['frames']}: {row['tracklets']}" for row in lengths)
    return [*found, {"kind": "lengths", "found": f"frames of a tracklet  {spread}", "which": which}]


def _show_skeletons(artifacts: Mapping[str, Artifact], data_root: DataRoot) -> None:
    """The table of the skeletons' quality, and pictures of the best, median and worst tracklets by score."""
    quality = read_json(artifacts["quality"], "quality.json")
    create_table_artifact(
        _quality_rows(quality), key="skeleton-quality", description="Skeletons by split and camera; lengths are mm"
    )
    chosen = shown_tracklets(quality, SHOWN)
    pictures = posed_tracklets(data_root, chosen, _shards_of(artifacts, chosen), FRAMES)
    numbers: Counter[str] = Counter()
    for name, row in chosen.items():
        kind = row["kind"]
        numbers[kind] += 1
        score = "" if row["score"] is None else f", mean score {row['score']:.2f}"
        create_image_artifact(
            small_data_uri(pictures[name], LARGEST),
            key=f"skeletons-{kind}-{numbers[kind]}",
            description=f"{kind.capitalize()}: {name}{score}. Dashed: interpolated between its neighbours.",
        )


def _quality_rows(quality: Mapping[str, Any]) -> list[dict[str, str]]:
    """Quality of the skeletons of each split and camera, and of all, as text, one row each."""
    return [
        {
            "skeletons": row["name"],
            "frames": row["frames"],
            **{share["name"]: f"{share['text']} %" for share in row["shares"]},
            "filled": f"{row['filled']} %",
            "mean score": row["score"],
            "scores 0 to 1": blocks(row["histogram"]["heights"]),
            "limb variation": row["limbs"],
            "jitter per frame": row["jitter"],
            "swaps per 100 frames": row["swaps"],
        }
        for row in status_rows(quality)
    ]


def _show_metrics(result: Result) -> None:
    """The table of metrics as text, with the interval of each where there is one."""
    measured = {name: metrics for name, (_, metrics) in evaluations(result.artifacts).items()}
    rows = [
        {name: _metric_text(name, value, measured.get(row["model"])) for name, value in row.items()}
        for row in result.metrics
    ]
    says = "Ranking metrics in % on the test tracklets"
    if "splits" in result.artifacts:
        says += ", over all splits"
    else:
        says += f"; {intervals_told(list(measured.values())[-1])}"
    create_table_artifact(rows, key="metrics", description=says)


def _metric_text(name: str, value: float | str | None, metrics: Mapping[str, Any] | None) -> str:
    if isinstance(value, str):
        return value
    # without signs that are the same in every cell: with them, the last columns lie outside the page
    limits = interval_text(metrics, name).replace(" to ", "–") if metrics else ""
    return "–" if value is None else percent(value) + (f" ({limits})" if limits else "")


def _show_ranking(artifacts: Mapping[str, Artifact], data_root: DataRoot) -> None:
    """The CMC curves, and where there are images a query that is easy and one that is hard with their first answers."""
    folders = {name: artifact.path for name, (artifact, _) in evaluations(artifacts).items()}
    curves = base64.b64encode(cmc_picture(*cmc_tables(folders))).decode()
    create_image_artifact(
        f"data:image/png;base64,{curves}", key="cmc", description="CMC: share of queries with a match by rank"
    )
    if "quality" not in artifacts:
        return  # a data set without images
    answered = [row for row in answered_queries(folders, 1, ANSWERS) if row["kind"] in ("easy", "hard")]
    tracklets = {t.tracklet_id: t for index, _ in _shards(artifacts) for t in read_index(index)}
    pictures = portraits(data_root, answered, tracklets)
    for row in answered:
        query = row["query"]
        precision = percent(query["average_precision"])
        says = f"{row['kind'].capitalize()}: {query['query_id']}, average precision {precision} %"
        create_image_artifact(
            small_data_uri(answer_strip(query, row["answers"], pictures), LARGEST),
            key=f"query-{row['kind']}",
            description=f"{says}. Green: right; red: wrong; grey: the same camera or clothes, which does not count.",
        )


def _shards(artifacts: Mapping[str, Artifact]) -> Iterator[tuple[Path, Artifact]]:
    """The index's file of tracklets and the skeletons of each shard."""
    for label, artifact in sorted(artifacts.items()):
        if artifact.stage == "skeletons":
            yield artifacts["index"].path / f"{label.removeprefix('skeletons').strip()}.parquet", artifact


def _shards_of(artifacts: Mapping[str, Artifact], wanted: Container[str]) -> Iterator[tuple[list[Tracklet], Path]]:
    """Tracklets and the skeletons' file of each shard that holds any of the tracklets."""
    for index, skeletons in _shards(artifacts):
        path = skeletons.path / "skeletons.parquet"
        if any(name in wanted for name in read_table(path, SKELETONS, ["tracklet_id"])["tracklet_id"].to_pylist()):
            yield read_index(index), path
