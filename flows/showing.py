"""What a run leaves in the Prefect UI, so that it can be read there alone: tables, pictures, a link to the report."""

import json
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from evaluation.check_rows import finding_rows, length_rows, published, verdict
from evaluation.findings import blocks, by_name, status_rows
from evaluation.showcase import posed_tracklets, shown_tracklets, small_data_uri
from flows.models import MODELS
from storage.artifacts import Artifact
from storage.schema import SKELETONS
from storage.tables import read_table
from storage.tracklets import Tracklet, read_index

if TYPE_CHECKING:
    from flows.rebuild import Result

LARGEST = 300_000
"""Characters of a picture: it lies in the server's database, and the UI fetches it with the run."""

SHOWN = 2  # tracklets of each kind: best, median, worst
FRAMES = 8  # of each of these
NAMED = 5  # files or tracklets of a finding


def show(result: "Result", data_root: Path) -> None:
    """Create the Prefect artifacts of a run; of stages that it did not reach, none.

    Args:
        result: of the run.
        data_root: folder of the raw data set, for the pictures.
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
    metrics = metric_rows(result)
    if metrics:
        create_table_artifact(metrics, key="metrics", description="Ranking metrics on the test tracklets")
    if result.report:
        create_markdown_artifact(f"[report.html]({result.report.resolve().as_uri()})", key="report")


def step_rows(result: "Result") -> list[dict[str, Any]]:
    """What became of each step, one row each."""
    return [
        {
            "step": label,
            "state": "built" if label in result.built else "kept",
            "seconds": artifact.manifest["made"]["seconds"],
            "key": artifact.key,
            "digest": artifact.digest[:12],
        }
        for label, artifact in result.artifacts.items()
    ]


def check_rows(check: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the check of the data set found, problems first, and then how long its tracklets are, one row each."""
    found = [
        {
            "": "problem" if row["problem"] else "note",
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
    return [*found, {"": "lengths", "found": f"frames of a tracklet  {spread}", "which": which}]


def metric_rows(result: "Result") -> list[dict[str, Any]]:
    """MAP and CMC of each evaluated model, and of chance, one row each."""
    if "splits" in result.artifacts:
        return split_rows(_read_json(result.artifacts["splits"], "splits.json")["models"])
    rows, chances = [], {}
    for name, title in MODELS.items():
        artifact = result.artifacts.get(f"metrics {name}")
        if artifact is None:
            continue
        metrics = _read_json(artifact, "metrics.json")
        rows.append({"model": title, **by_name(metrics)})
        chances[title] = by_name(metrics["chance"])
    alike = len({tuple(chance.values()) for chance in chances.values()}) == 1
    named = {"chance": list(chances.values())[-1]} if alike else {f"chance, {t}": c for t, c in chances.items()}
    return [*rows, *({"model": name, **chance} for name, chance in named.items())]


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


def show_skeletons(artifacts: Mapping[str, Artifact], data_root: Path) -> None:
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
