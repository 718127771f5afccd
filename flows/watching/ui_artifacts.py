"""What a run leaves in the Prefect UI, so that it can be read there alone: tables, pictures, a link to the report."""

import base64
import json
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from evaluation.page.check_rows import finding_rows, length_rows, published, verdict
from evaluation.page.drawing import cmc_picture
from evaluation.page.numbers import blocks, by_name, percent
from evaluation.page.quality_rows import status_rows
from evaluation.page.ranking_rows import interval_text, intervals_told, model_name
from evaluation.page.showcase import (
    answer_strip,
    answered_queries,
    portraits,
    posed_tracklets,
    shown_tracklets,
    small_data_uri,
)
from evaluation.report import cmc_tables
from flows.models import MODELS
from flows.planning.plan import Line, as_groups
from storage.addresses import DataRoot
from storage.store.artifacts import Artifact
from storage.tables.parquet import read_table
from storage.tables.schema import SKELETONS
from storage.tables.tracklets import Tracklet, read_index

if TYPE_CHECKING:
    from flows.rebuild import Result

LARGEST = 300_000
"""Characters of a picture: it lies in the server's database, and the UI fetches it with the run."""

SHOWN = 2  # tracklets of each kind: best, median, worst
FRAMES = 8  # of each of these
ANSWERS = 10  # of a query
ROWS = 1000
"""Of the table of steps: as many as a page can show."""

NAMED = 5  # files or tracklets of a finding


def show(result: "Result", data_root: DataRoot) -> None:
    """Create the Prefect artifacts of a run; of stages that it did not reach, none.

    Args:
        result: of the run.
        data_root: of the raw data set, for the pictures.
    """
    create_table_artifact(step_rows(result), key="steps", description="What ran and what was kept")
    artifacts = of_one_split(result.artifacts)
    if "index" in artifacts:
        check = _read_json(artifacts["index"], "summary.json")
        table = [{"split": split, **row} for split, row in check["splits"].items()]
        create_table_artifact(table, key="data-set", description="Tracklets, identities, frames and cameras")
        told = f"{verdict(check)}. {published(check)}".strip()
        create_table_artifact(check_rows(check), key="data-check", description=told)
    if "quality" in artifacts:
        show_skeletons(artifacts, data_root)
    if metric_rows(result):
        create_table_artifact(told_metric_rows(result), key="metrics", description=told_of_metrics(result))
    if any(f"metrics {name}" in artifacts for name in MODELS):
        show_ranking(artifacts, data_root)
    if result.report:
        create_markdown_artifact(
            f"[report.html]({result.report.resolve().as_uri()})",
            key="report",
            description="The report: a page in a file of the machine that made it",
        )


def show_plan(lines: Sequence[Line]) -> None:
    """Create the table of what a run is about to do, and why."""
    counts = Counter(line.verdict for line in lines)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("will run", "may run", "kept") if counts[verdict])
    create_table_artifact(plan_rows(lines), key="plan", description=f"Steps: {told}")


def plan_rows(lines: Sequence[Line]) -> list[dict[str, str]]:
    """Steps of one stage, verdict and reason together, one row each."""
    return [
        {"stage": stage, "steps": steps_told(stage, labels), "verdict": verdict, "why": why}
        for stage, verdict, why, labels in as_groups(lines)
    ]


def steps_told(stage: str, labels: Sequence[str]) -> str:
    """Of one step what distinguishes it from its stage, of several their number."""
    return labels[0].removeprefix(stage).strip() if len(labels) == 1 else f"{len(labels)} parts"


def step_rows(result: "Result") -> list[dict[str, Any]]:
    """What became of each step, one row each; of very many, one row for all of a stage that ended alike."""
    built, kept = set(result.built), set(result.artifacts) - set(result.built)
    if len(result.artifacts) > ROWS:
        return [row for names, state in ((built, "built"), (kept, "kept")) for row in _stage_rows(result, names, state)]
    return [
        {
            "step": label,
            "state": "built" if label in built else "kept",
            "seconds": artifact.manifest["made"]["seconds"],
            "key": artifact.key,
            "digest": artifact.digest[:12],
        }
        for label, artifact in result.artifacts.items()
    ]


def _stage_rows(result: "Result", labels: Container[str], state: str) -> Iterator[dict[str, Any]]:
    chosen = [artifact for label, artifact in result.artifacts.items() if label in labels]
    for stage, count in Counter(artifact.stage for artifact in chosen).items():
        took = sum(artifact.manifest["made"]["seconds"] for artifact in chosen if artifact.stage == stage)
        yield {"step": f"{stage}: {count:,} parts", "state": state, "seconds": round(took, 1)}


def check_rows(check: Mapping[str, Any]) -> list[dict[str, str]]:
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


def metric_rows(result: "Result") -> list[dict[str, Any]]:
    """MAP, mINP and CMC of each evaluated model, and of chance, one row each."""
    if "splits" in result.artifacts:
        return split_rows(_read_json(result.artifacts["splits"], "splits.json")["models"])
    rows, chances = [], {}
    for title, (_, metrics) in _evaluations(result.artifacts).items():
        rows.append({"model": title, **by_name(metrics)})
        chances[title] = by_name(metrics["chance"])
    alike = len({tuple(chance.values()) for chance in chances.values()}) == 1
    named = {"chance": list(chances.values())[-1]} if alike else {f"chance, {t}": c for t, c in chances.items()}
    return [*rows, *({"model": name, **chance} for name, chance in named.items())]


def told_metric_rows(result: "Result") -> list[dict[str, str]]:
    """As `metric_rows`, as text, with the interval of each metric where there is one."""
    limits = {name: metrics for name, (_, metrics) in _evaluations(result.artifacts).items()}
    return [
        {name: _told(name, value, limits.get(row["model"])) for name, value in row.items()}
        for row in metric_rows(result)
    ]


def told_of_metrics(result: "Result") -> str:
    """What the table of metrics is of."""
    if "splits" in result.artifacts:
        return "Ranking metrics in % on the test tracklets, over all splits"
    _, last = list(_evaluations(result.artifacts).values())[-1]
    return f"Ranking metrics in % on the test tracklets; {intervals_told(last)}"


def show_ranking(artifacts: Mapping[str, Artifact], data_root: DataRoot) -> None:
    """The CMC curves, and where there are images a query that is easy and one that is hard with their first answers."""
    folders = {name: artifact.path for name, (artifact, _) in _evaluations(artifacts).items()}
    create_image_artifact(
        _png(cmc_picture(*cmc_tables(folders))), key="cmc", description="CMC: share of queries with a match by rank"
    )
    if "quality" not in artifacts:
        return  # a data set without images
    answered = [row for row in answered_queries(folders, 1, ANSWERS) if row["kind"] in ("easy", "hard")]
    tracklets = {t.tracklet_id: t for shard in _indexes(artifacts) for t in read_index(shard)}
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


def _evaluations(artifacts: Mapping[str, Artifact]) -> dict[str, tuple[Artifact, dict[str, Any]]]:
    """Model, and what was done to its ranking -> its evaluation and metrics.json."""
    found = {}
    for name, title in MODELS.items():
        artifact = artifacts.get(f"metrics {name}")
        if artifact is not None:
            metrics = _read_json(artifact, "metrics.json")
            found[model_name(title, metrics)] = artifact, metrics
    return found


def _told(name: str, value: float | str | None, metrics: Mapping[str, Any] | None) -> str:
    if isinstance(value, str):
        return value
    # without signs that are the same in every cell: with them, the last columns lie outside the page
    limits = interval_text(metrics, name).replace(" to ", "–") if metrics else ""
    return "–" if value is None else percent(value) + (f" ({limits})" if limits else "")


def _indexes(artifacts: Mapping[str, Artifact]) -> list[Path]:
    """The index's files of tracklets, a shard each."""
    shards = sorted(label.removeprefix("skeletons").strip() for label, a in artifacts.items() if a.stage == "skeletons")
    return [artifacts["index"].path / f"{shard}.parquet" for shard in shards]


def _png(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def split_rows(models: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Mean and deviation over the splits of each model, and of chance, one row each."""
    rows = []
    for model, found in models.items():
        name = model[0].lower() + model[1:]
        rows.append({"model": f"{name}, mean of {len(found['splits'])} splits", **found["mean"]})
        rows.append({"model": f"{name}, deviation", **found["deviation"]})
    chance = next(iter(models.values()))["chance"]
    return [*rows, {"model": "chance", **chance}]


def of_one_split(artifacts: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """The artifacts of a run as labelled without splits: those of the first split where there are several."""
    return {label.removeprefix("split 0 "): a for label, a in artifacts.items()}


def show_skeletons(artifacts: Mapping[str, Artifact], data_root: DataRoot) -> None:
    """The table of the skeletons' quality, and pictures of the best, median and worst tracklets by score."""
    quality = _read_json(artifacts["quality"], "quality.json")
    create_table_artifact(
        quality_rows(quality), key="skeleton-quality", description="Skeletons by split and camera; lengths are mm"
    )
    chosen = shown_tracklets(quality, SHOWN)
    pictures = posed_tracklets(data_root, chosen, _shards(artifacts, chosen), FRAMES)
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


def quality_rows(quality: Mapping[str, Any]) -> list[dict[str, str]]:
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


def _shards(artifacts: Mapping[str, Artifact], wanted: Container[str]) -> Iterator[tuple[list[Tracklet], Path]]:
    """Tracklets and the skeletons' file of each shard that holds any of the tracklets."""
    for label, artifact in artifacts.items():
        if artifact.stage == "skeletons":
            path = artifact.path / "skeletons.parquet"
            ids = read_table(path, SKELETONS, ["tracklet_id"])["tracklet_id"].to_pylist()
            if any(name in wanted for name in ids):
                shard = label.removeprefix("skeletons").strip()
                yield read_index(artifacts["index"].path / f"{shard}.parquet"), path


def _read_json(artifact: Artifact, name: str) -> dict[str, Any]:
    return json.loads((artifact.path / name).read_text())
