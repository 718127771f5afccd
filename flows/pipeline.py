"""Every stage, its inputs and its output, in the order in which they run. Read this to know the pipeline.

`pipeline` only describes: a `Builder` decides what a step becomes (a Prefect task, a line of a plan).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import evaluation.report
import extraction.extract
from flows.config import Config
from flows.skeleton_pipeline import encoder_to_start_from, skeleton_pipeline
from flows.steps import Step
from storage.artifacts import Artifact
from storage.indexing import PARTS, shard_names
from training.settings.encoder import weight_files as encoder_files

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
)


class Builder(Protocol):
    """Turns steps into artifacts."""

    def one(self, step: Step) -> Artifact:
        """Build one step."""

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        """Build independent steps, in any order or at once; answers in the order given."""

    def lineage(self) -> tuple[dict[str, Any], ...]:
        """What was built or kept so far, for the report: stage, artifact, key, seconds, device, made."""


def pipeline(config: Config, index: Artifact, build: Builder) -> Artifact:
    """From the index of a data set to the report of an evaluated model."""
    if config.data.without_images:
        return skeleton_pipeline(config, index, build)
    root = config.data.root
    shards = shard_names(config.data)
    rows = {shard: index.file(f"{shard}.parquet") for shard in shards}
    train, test = ([s for s in shards if s.startswith(part)] for part in PARTS)
    train_rows = [rows[s] for s in train]
    labels = {shard: index.file(f"{shard}.labels.parquet") for shard in shards}
    frames = {"data_root": root}
    seeing = {"encoder_settings": config.encoder}
    seen_by = {"encoder": config.encoder.key_fields()}
    trained = {"trainer": config.trainer}
    trained_by = {"trainer": config.trainer.key_fields()}
    step = partial(Step, versions=config.versions)

    # frames -> 2D keypoints -> 3D skeletons, a shard at a time
    pose_weights = partial(extraction.extract.weight_files, config.extraction)
    if config.data.skeletons:
        files = {s: index.file(f"{s}.skeletons.parquet") for s in shards}
        making = [
            step("skeletons", "extraction.existing", config.existing, {"index": rows[s], "files": files[s]}, frames, s)
            for s in shards
        ]
    else:
        making = [
            step("skeletons", "extraction.extract", config.extraction, {"index": rows[s]}, frames, s, pose_weights)
            for s in shards
        ]
    skeletons = build.many(making)
    skeleton_files = dict(zip(shards, [a.file("skeletons.parquet") for a in skeletons], strict=True))
    quality = build.one(
        step(
            "quality",
            "extraction.scoring",
            config.quality,
            {"indexes": list(labels.values()), "skeletons": list(skeleton_files.values())},
            {"truth": truth_file(root)},
            also={"truth": config.data.demo.key_fields() if config.data.demo else None},
        )
    )

    # the visual encoder: pretrained weights, or a small one trained on the training identities
    encoder_weights = partial(encoder_files, config.encoder)
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
            step(
                "features",
                "training.features",
                config.features,
                {"index": rows[s], "encoder": encoder},
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
    results = {}
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
    return build.one(
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
            },
            frames | {"lineage": build.lineage()},
            weights=lambda: {"template": evaluation.report.TEMPLATE},
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


def truth_file(root: Path) -> Path | None:
    """True joints that lie beside a generated data set, if there are any."""
    path = root / "truth" / "skeletons.parquet"
    return path if path.is_file() else None
