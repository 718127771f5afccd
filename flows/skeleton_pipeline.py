"""The pipeline of a data set without images: its stages, their inputs and outputs, in the order in which they run."""

from functools import partial
from pathlib import Path

import evaluation.page.html
from extraction.recordings import FILE_NAME
from flows.builder import Builder, Made
from flows.config import Config
from flows.keys.steps import Step
from flows.provenance import run_facts
from storage.addresses import seen_once
from storage.errors import SettingsError, WeightsError
from storage.index import PARTS, shard_names
from storage.store.artifacts import Artifact
from training.settings import MODEL, SETTINGS, SkeletonOnlySettings

USED = ("data", "skeleton_only", "trainer", "features", "evaluation", "report")
"""Sections of the configuration."""

NOT_RUN = ("quality", "visual", "features", "finetuned")
"""Stages that need images."""

ENCODER_FILES = {"encoder": MODEL, "encoder settings": SETTINGS}


def skeleton_pipeline(config: Config, index: Artifact, build: Builder) -> Made:
    """From the index of recordings of skeletons to the metrics and the report of an evaluated skeleton encoder."""
    step = partial(Step, versions=config.versions)
    root, layout = {"data_root": seen_once(config.data.place)}, {"layout": config.data.layout}
    rows = {shard: index.file(f"{shard}.parquet") for shard in shard_names(config.data)}
    train, test = ([s for s in rows if s.startswith(part)] for part in PARTS)

    # recordings -> sequences of centred skeletons, a shard at a time
    read = partial(step, "skeletons", "extraction.recordings", config.data.sequences, also=layout)
    made = build.many([read({"index": file}, root | layout, s) for s, file in rows.items()])
    sequences = dict(zip(rows, [a.file(FILE_NAME) for a in made], strict=True))

    # the skeleton encoder: trained here, or that of another data set, finetuned or as it is
    pretrained = build.one(
        step(
            "pretrained",
            "training.skeleton_only",
            config.skeleton_only,
            {"sequences": [sequences[s] for s in train]},
            {"trainer": config.trainer},
            weights=partial(encoder_to_start_from, config.skeleton_only),
            resumes=config.skeleton_only.epochs > 0,
            also={"trainer": config.trainer.key_fields()},
        )
    )

    # the test recordings, ranked as wholes and, as the published protocols do, sequence by sequence
    embed = partial(step, "embeddings", "training.embed_sequences", config.features)
    embeddings = build.many([embed({"sequences": sequences[s], "model": pretrained}, part=s) for s in test])
    results = {}
    for name, title in (("recordings", "Whole recordings"), ("sequences", "Sequences")):
        embedded = {"embeddings": [a.file(f"{name}.parquet") for a in embeddings]}
        results[title] = build.one(step("metrics", "evaluation.evaluate", config.evaluation, embedded, part=name))

    histories = {"Pretraining": pretrained.file("history.parquet")} if config.skeleton_only.epochs else {}
    report = build.one(
        step(
            "report",
            "evaluation.report",
            config.report,
            {
                "indexes": list(rows.values()),
                "summary": index.file("summary.json"),
                "skeletons": [],
                "quality": None,
                "histories": histories,
                "results": results,
                **embedded,  # of sequences
            },
            root | run_facts(config, USED, NOT_RUN, build.lineage()),
            weights=lambda: evaluation.page.html.TEMPLATES,
        )
    )
    return Made(results, report)


def encoder_to_start_from(settings: SkeletonOnlySettings) -> dict[str, Path]:
    """The files of the encoder that training starts from, whose bytes decide results; none without `start_from`.

    Raises:
        SettingsError: nothing is trained, and there is no encoder to use.
        WeightsError: they are not there.
    """
    folder = settings.start_from
    if folder is None:
        if not settings.epochs:
            raise SettingsError(
                "without epochs there is no encoder",
                where="skeleton_only.epochs=0",
                fix="set skeleton_only.start_from to the folder of one, or train for some epochs",
            )
        return {}
    files = {name: folder / file for name, file in ENCODER_FILES.items()}
    missing = [path.name for path in files.values() if not path.is_file()]
    if missing:
        raise WeightsError(
            f"there is no {' and no '.join(missing)} to start from",
            where=f"skeleton_only.start_from={folder}",
            fix="name the folder of a `pretrained` artifact (csip show artifact lists them)",
        )
    return files
