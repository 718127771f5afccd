"""Every stage, its inputs and its output, in the order in which they run. Read this to know the pipeline.

`pipeline` only describes: a `Builder` decides what a step becomes (a Prefect task, a line of a plan).
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any

import evaluation.page.html
import evaluation.splits
import extraction.extract
from flows.builder import Builder, Made
from flows.config import Config
from flows.keys.steps import Step
from flows.provenance import run_facts
from flows.skeleton_pipeline import encoder_to_start_from, skeleton_pipeline
from flows.stages import STAGES
from storage.addresses import seen_once
from storage.index import BOTH, PARTS, shard_names, shard_sizes
from storage.store.artifacts import Artifact, ArtifactFile
from training.model.encoders.weights import weight_files as encoder_files
from training.settings import VALIDATION

MODELS = {
    "visual": "Visual encoder alone",
    "finetuned": "After finetuning",
    "skeletons": "Skeletons alone",
    "fused": "Fused with skeletons",
}
"""Part of an evaluation -> what the report calls what was ranked."""


def pipeline(config: Config, index: Artifact, build: Builder, group: str = "") -> Made:
    """From the index of a data set to the report of an evaluated model.

    Args:
        config: of one split of the data set.
        index: of that split.
        build: turns steps into artifacts.
        group: what this walk is called where there are several; the labels of steps that all share are without it.
    """
    if config.data.without_images:
        return skeleton_pipeline(config, index, build)
    step = partial(Step, versions=config.versions, group=group)
    shared = partial(step, group="" if BOTH in shard_sizes(config.data) else group)
    frames = {"data_root": seen_once(config.data.place)}
    encoding, encoding_key = {"encoder_settings": config.encoder}, {"encoder": config.encoder.key_fields()}
    training, training_key = {"trainer": config.trainer}, {"trainer": config.trainer.key_fields()}
    shards = shard_names(config.data)
    train, test = (shard_names(config.data, part) for part in PARTS)
    rows, labels, unlabelled = (
        {shard: index.file(f"{shard}{kind}.parquet") for shard in shards} for kind in ("", ".labels", ".frames")
    )

    # frames -> 2D keypoints -> 3D skeletons, a shard at a time; or skeletons that are there already
    if config.data.skeletons:
        existing = partial(shared, "skeletons", "extraction.skeleton_files", config.existing)
        files = {s: index.file(f"{s}.skeletons.parquet") for s in shards}
        skeletons = build.many([existing({"index": unlabelled[s], "files": files[s]}, frames, s) for s in shards])
    else:
        pose_weights = partial(extraction.extract.weight_files, config.extraction)
        extract = partial(shared, "skeletons", "extraction.extract", config.extraction, weights=pose_weights)
        skeletons = build.many([extract({"index": unlabelled[s]}, frames, s) for s in shards])
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
    encoder_weights = partial(encoder_files, config.encoder)
    encoder = None
    if not config.encoder.is_pretrained:
        encoder = build.one(
            step(
                "visual",
                "training.visual",
                config.visual,
                {"indexes": [rows[s] for s in train]},
                frames | encoding | training,
                resumes=True,
                also=encoding_key | training_key,
            )
        )
    see = partial(step if encoder else shared, "features", "training.features", config.features, also=encoding_key)
    features = build.many(
        [
            see({"index": unlabelled[s], "encoder": encoder}, frames | encoding, s, weights=encoder_weights)
            for s in train
        ]
    )

    # the two stages of the method
    learnt_from: Mapping[str, Any] = {
        "indexes": [labels[s] for s in train],
        "skeletons": [skeleton_files[s] for s in train],
        "features": [a.file("features.parquet") for a in features],
    }
    pretrained = build.one(
        step(
            "pretrained",
            "training.pretrain",
            config.pretrain,
            learnt_from,
            training,
            resumes=config.pretrain.epochs > 0,
            also=training_key,
        )
    )
    with_skeletons = config.finetune.use_skeletons
    finetuned = build.one(
        step(
            "finetuned",
            "training.finetune",
            config.finetune,
            {
                "indexes": [rows[s] for s in train],
                "features": learnt_from["features"],
                "encoder": encoder,
                **({"skeletons": learnt_from["skeletons"], "pretrained": pretrained} if with_skeletons else {}),
            },
            frames | encoding | training,
            weights=encoder_weights,
            resumes=True,
            also=encoding_key | training_key,
        )
    )

    # test tracklets by the visual encoder alone, by the finetuned model, and by skeletons if these are ranked, too
    embedded: dict[str, list[ArtifactFile]] = {}
    weigh = config.embed.frame_weights == "visibility"
    weighed = {s: {"skeletons": skeleton_files[s]} if weigh else {} for s in test}
    for name, model in (("visual", encoder), ("finetuned", finetuned)):
        own_weights = dict if model else encoder_weights
        embed = partial(step, "embeddings", "training.embed", config.embed, weights=own_weights, also=encoding_key)
        made = build.many(
            [embed({"index": rows[s], "model": model, **weighed[s]}, frames | encoding, f"{name} {s}") for s in test]
        )
        embedded[name] = [a.file("embeddings.parquet") for a in made]
    if config.evaluation.skeleton_weight:
        embed = partial(step, "embeddings", "training.embed_skeletons", config.features)
        seen = {s: {"index": labels[s], "skeletons": skeleton_files[s], "pretrained": pretrained} for s in test}
        made = build.many([embed(seen[s], part=f"skeletons {s}") for s in test])
        embedded["skeletons"] = [a.file("embeddings.parquet") for a in made]

    # ranked, each alone; then images and skeletons together
    rules = config.evaluation.model_copy(update={"skeleton_weight": 0.0})  # which concerns the fusion alone
    results = {}
    for name, vectors in embedded.items():
        ranked = step("metrics", "evaluation.evaluate", rules, {"embeddings": vectors}, part=name)
        results[MODELS[name]] = build.one(ranked)
    if "skeletons" in embedded:
        both = {"embeddings": embedded["finetuned"], "skeletons": embedded["skeletons"]}
        ranked = step("metrics", "evaluation.evaluate", config.evaluation, both, part="fused")
        results[MODELS["fused"]] = build.one(ranked)

    # held-out people, as they were ranked while the model learnt
    validation = [
        step(
            "metrics",
            "evaluation.evaluate",
            rules,
            {"embeddings": [finetuned.file(VALIDATION.format(epoch=epoch))]},
            part=f"epoch {epoch}",
        )
        for epoch in config.finetune.validated_epochs
    ]
    validated = build.many(validation) if validation else []

    learnt = pretrained if config.pretrain.epochs else None
    histories = {"Visual encoder": encoder, "Pretraining": learnt, "Finetuning": finetuned}
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
                "validation": {one.part: each for one, each in zip(validation, validated, strict=True)},
                "embeddings": embedded["finetuned"],
            },
            frames | run_facts(config, *used(config), lineage=build.lineage()),
            weights=lambda: evaluation.page.html.TEMPLATES,
        )
    )
    return Made(results, report)


def used(config: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sections of the configuration that a run with images uses, and stages that it has no use for."""
    poses = "existing" if config.data.skeletons else "extraction"
    visual = ("visual",) if not config.encoder.is_pretrained else ()
    sections = ("data", poses, "quality", "encoder", "trainer", *visual, "features", "pretrain", "finetune", "embed")
    return (*sections, "evaluation", "report"), () if visual else ("visual",)


def mean_of_splits(config: Config, splits: Mapping[str, Made], build: Builder) -> Artifact:
    """The mean and the deviation of what the splits of a data set came to."""
    metrics = {
        f"{title}, {split}": result.file("metrics.json")
        for split, made in splits.items()
        for title, result in made.results.items()
    }
    return build.one(
        Step(
            "splits",
            "evaluation.splits",
            config.report,
            {"metrics": metrics},
            weights=lambda: evaluation.splits.TEMPLATES,
            versions=config.versions,
        )
    )


def check_weights(config: Config, until: str) -> None:
    """Make sure of every model's weights before anything is computed.

    Raises:
        WeightsError: some cannot be had, or are not the visual encoder's; says which file to put where.
        SettingsError: there is no such visual encoder, or it is not as it must be.
    """
    reached = STAGES[: STAGES.index(until) + 1]
    if config.data.without_images:
        if "pretrained" in reached:
            encoder_to_start_from(config.skeleton_only)
        return
    if "skeletons" in reached and not config.data.skeletons:
        extraction.extract.weight_files(config.extraction)
    if "visual" in reached:
        _check_encoder(config)


def _check_encoder(config: Config) -> None:
    """Load the visual encoder and try it once, and once more when its file has changed: it takes seconds, and torch."""
    files = encoder_files(config.encoder)
    stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files.values()]
    known = sha256(json.dumps([config.encoder.key_fields(), stamps]).encode()).hexdigest()
    mark = config.extraction.weights_cache.expanduser() / "checked" / known
    if mark.exists():
        return
    from training.model.encoders.start import load_encoder, try_out

    try_out(load_encoder(None, config.encoder))
    with suppress(OSError):  # it only saves time
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
