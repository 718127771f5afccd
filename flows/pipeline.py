"""Every stage, its inputs and its output, in the order in which they run. Read this to know the pipeline.

`pipeline` only describes: a `Builder` decides what a step becomes (a Prefect task, a line of a plan).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import evaluation.page.html
import evaluation.splits
import extraction.extract
from flows.config import Config
from flows.keys.steps import AskedOnce, Step
from flows.skeleton_pipeline import encoder_to_start_from, skeleton_pipeline
from flows.watching.run_facts import run_told
from storage.addresses import seen_once
from storage.index import BOTH, PARTS, shard_names, shard_sizes
from storage.store.artifacts import Artifact
from training.settings import weight_files as encoder_files

STAGES = (
    "index",
    "skeletons",
    "quality",
    "visual",
    "features",
    "pretrained",
    "finetuned",
    "embeddings",
    "metrics",
    "report",
    "splits",
)


class Builder(Protocol):
    """Turns steps into artifacts."""

    def one(self, step: Step) -> Artifact:
        """Build one step."""

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        """Build independent steps, in any order or at once; answers in the order given."""

    def lineage(self) -> tuple[dict[str, Any], ...]:
        """What was built or kept so far, for the report: stage, artifact, key, seconds, device, made, versions."""


@dataclass(frozen=True)
class Made:
    """What one walk through the pipeline ends with.

    Attributes:
        results: model -> its metrics.
        report: of all of it.
    """

    results: Mapping[str, Artifact]
    report: Artifact


def pipeline(config: Config, index: Artifact, build: Builder, group: str = "") -> Made:
    """From the index of a data set to the report of an evaluated model.

    Args:
        config: of one split of the data set.
        index: of that split.
        build: turns steps into artifacts.
        group: what this walk is called where there are several; steps that all of them share are told without it.
    """
    if config.data.without_images:
        return Made(*skeleton_pipeline(config, index, build))
    frames = {"data_root": seen_once(config.data.place)}
    shards = shard_names(config.data)
    rows = {shard: index.file(f"{shard}.parquet") for shard in shards}
    train, test = (shard_names(config.data, part) for part in PARTS)
    train_rows = [rows[s] for s in train]
    labels = {shard: index.file(f"{shard}.labels.parquet") for shard in shards}
    unlabelled = {shard: index.file(f"{shard}.frames.parquet") for shard in shards}
    seeing = {"encoder_settings": config.encoder}
    seen_by = {"encoder": config.encoder.key_fields()}
    trained = {"trainer": config.trainer}
    trained_by = {"trainer": config.trainer.key_fields()}
    step = partial(Step, versions=config.versions, group=group)
    shared = partial(Step, versions=config.versions, group="" if BOTH in shard_sizes(config.data) else group)

    # frames -> 2D keypoints -> 3D skeletons, a shard at a time
    pose_weights = AskedOnce(partial(extraction.extract.weight_files, config.extraction))
    if config.data.skeletons:
        files = {s: index.file(f"{s}.skeletons.parquet") for s in shards}
        making = [
            shared(
                "skeletons",
                "extraction.existing",
                config.existing,
                {"index": unlabelled[s], "files": files[s]},
                frames,
                s,
            )
            for s in shards
        ]
    else:
        making = [
            shared(
                "skeletons", "extraction.extract", config.extraction, {"index": unlabelled[s]}, frames, s, pose_weights
            )
            for s in shards
        ]
    skeletons = build.many(making)
    skeleton_files = dict(zip(shards, [a.file("skeletons.parquet") for a in skeletons], strict=True))
    quality = build.one(
        step(
            "quality",
            "extraction.score",
            config.quality,
            {"indexes": list(labels.values()), "skeletons": list(skeleton_files.values())},
            frames,
            also={"truth": config.data.demo.key_fields() if config.data.demo else None},
        )
    )

    # the visual encoder: pretrained weights, or a small one trained on the training identities
    encoder_weights = AskedOnce(partial(encoder_files, config.encoder))
    encoder = None
    if config.encoder.arch == "small":
        encoder = build.one(
            step(
                "visual",
                "training.visual",
                config.visual,
                {"indexes": train_rows},
                frames | seeing | trained,
                resumes=True,
                also=seen_by | trained_by,
            )
        )
    features = build.many(
        [
            (step if encoder else shared)(
                "features",
                "training.features",
                config.features,
                {"index": unlabelled[s], "encoder": encoder},
                frames | seeing,
                s,
                encoder_weights,
                also=seen_by,
            )
            for s in train
        ]
    )
    learnt_from: Mapping[str, Any] = {
        "indexes": [labels[s] for s in train],
        "skeletons": [skeleton_files[s] for s in train],
        "features": [a.file("features.parquet") for a in features],
    }

    # the two stages of the method
    pretrained = build.one(
        step("pretrained", "training.pretrain", config.pretrain, learnt_from, trained, resumes=True, also=trained_by)
    )
    finetuned = build.one(
        step(
            "finetuned",
            "training.finetune",
            config.finetune,
            {**learnt_from, "indexes": train_rows, "pretrained": pretrained, "encoder": encoder},
            frames | seeing | trained,
            weights=encoder_weights,
            resumes=True,
            also=seen_by | trained_by,
        )
    )

    # the visual encoder alone, and the finetuned model, on the test tracklets
    models = {"Visual encoder alone": encoder, "After finetuning": finetuned}
    results, last_embeddings = {}, list[Artifact]()
    for title, model in models.items():
        name = "visual" if model is encoder else "finetuned"
        embeddings = build.many(
            [
                step(
                    "embeddings",
                    "training.embed",
                    config.embed,
                    {"index": rows[s], "model": model},
                    frames | seeing,
                    f"{name} {s}",
                    dict if model else encoder_weights,
                    also=seen_by,
                )
                for s in test
            ]
        )
        last_embeddings = embeddings
        results[title] = build.one(
            step(
                "metrics",
                "evaluation.evaluate",
                config.evaluation,
                {"embeddings": [a.file("embeddings.parquet") for a in embeddings]},
                part=name,
            )
        )

    histories = {"Visual encoder": encoder, "Pretraining": pretrained, "Finetuning": finetuned}
    report = build.one(
        step(
            "report",
            "evaluation.report",
            config.report,
            {
                "indexes": list(rows.values()),
                "summary": index.file("summary.json"),
                "skeletons": list(skeleton_files.values()),
                "quality": quality.file("quality.json"),
                "histories": {name: a.file("history.parquet") for name, a in histories.items() if a},
                "results": results,
                "embeddings": [a.file("embeddings.parquet") for a in last_embeddings],
            },
            frames | run_told(config, *used(config), lineage=build.lineage()),
            weights=lambda: evaluation.page.html.TEMPLATES,
        )
    )
    return Made(results, report)


def used(config: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sections of the configuration that a run with images uses, and stages that it has no use for."""
    poses = "existing" if config.data.skeletons else "extraction"
    visual = ("visual",) if config.encoder.arch == "small" else ()
    sections = ("data", poses, "quality", "encoder", "trainer", *visual, "features", "pretrain", "finetune", "embed")
    return (*sections, "evaluation", "report"), () if visual else ("visual",)


def mean_of_splits(config: Config, splits: Mapping[str, Made], build: Builder) -> Artifact:
    """The mean and the deviation of what the splits of a data set came to."""
    return build.one(
        Step(
            "splits",
            "evaluation.splits",
            config.report,
            {
                "metrics": {
                    f"{title}, {split}": result.file("metrics.json")
                    for split, made in splits.items()
                    for title, result in made.results.items()
                }
            },
            weights=lambda: evaluation.splits.TEMPLATES,
            versions=config.versions,
        )
    )


def check_weights(config: Config, until: str) -> None:
    """Make sure of every model's weights before anything is computed.

    Raises:
        WeightsError: some cannot be had; says which file to put where.
    """
    if config.data.without_images:
        if STAGES.index(until) >= STAGES.index("pretrained"):
            encoder_to_start_from(config.skeleton_only)
        return
    if STAGES.index(until) >= STAGES.index("skeletons") and not config.data.skeletons:
        extraction.extract.weight_files(config.extraction)
    if STAGES.index(until) >= STAGES.index("visual"):
        encoder_files(config.encoder)
