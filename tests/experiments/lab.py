"""Runs the pipeline's stages for an experiment: what is made once is shared between the arms that are compared.

Artifacts are kept by the pipeline's own keys: a second run goes on where the first stopped, and a changed setting
makes anew only what depends on it.
"""

import json
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import storage.demo.dataset
from extraction.skeletons import FILE_NAME
from flows.config import Config
from flows.keys.steps import Step
from flows.planning.scan import publish_index
from storage.errors import DataError
from storage.index import scan
from storage.settings import Settings
from storage.store.artifacts import Artifact, ArtifactFile, Store
from storage.store.trainings import WORK
from training.settings import TrainerSettings

TOLD_SECONDS = 20.0
TRAINER = {"trainer": TrainerSettings(loggers=())}
Scores = dict[str, float]


class Lab:
    """An artifact store, and a voice.

    Args:
        folder: where artifacts are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.start = time.monotonic()

    def say(self, words: str) -> None:
        """One line of progress on stderr."""
        print(f"{time.monotonic() - self.start:7.1f} s  {words}", file=sys.stderr, flush=True)

    def build(self, step: Step, title: str = "") -> Artifact:
        """Run a stage, unless its artifact is there; an interrupted training goes on where it was."""
        with self.store.lock(step.stage, step.key):
            found = self.store.find(step.stage, step.key)
            if found:
                return found
            title = title or step.label
            start = told = time.monotonic()

            def progress(done: int, total: int, message: str = "") -> None:
                nonlocal told
                if time.monotonic() - told > TOLD_SECONDS:
                    told = time.monotonic()
                    self.say(f"{title}  {100 * done / max(total, 1):.0f} %  {message}")

            module = step.load()
            with self.store.staging(step.stage, step.key, resume=step.resumes) as folder:
                module.run(module.Inputs(**step.arguments()), step.settings, folder, progress)
                shutil.rmtree(folder / WORK, ignore_errors=True)
                seconds = time.monotonic() - start
                made = self.store.publish(folder, step.stage, step.key, step.record, seconds)
            self.say(f"{title}  done in {seconds:.1f} s")
            return made


@dataclass(frozen=True)
class Data:
    """A data set that is read, with the pipeline's own skeletons; training and test tracklets in one shard each."""

    root: Path
    rows: Mapping[str, ArtifactFile]
    skeletons: Mapping[str, ArtifactFile]


@dataclass(frozen=True)
class Start:
    """What all arms of one seed begin with: the visual encoder, and its features of the training frames."""

    encoder: Artifact
    features: ArtifactFile


def read_data(lab: Lab, config: Config) -> Data:
    """Make the demo data set if the configuration asks for one, index it, and extract skeletons."""
    settings = config.data
    if not settings.demo and not settings.root.is_dir():
        raise DataError("the data set of this experiment is not here", where=settings.root, fix="give --data FOLDER")
    if settings.demo:
        storage.demo.dataset.make(settings.demo, settings.root)
    found = publish_index(lab.store, config, scan(settings, lab.store.root / "cache" / f"{config.name}.parquet"))
    index = lab.store.find("index", found["key"])
    if index is None:
        raise RuntimeError("the index vanished from the store")
    rows, skeletons = {}, {}
    for part in ("train", "test"):
        rows[part] = index.file(f"{part}-000.parquet")
        step = Step("skeletons", "extraction.extract", config.extraction, {"index": rows[part]}, _frames(config), part)
        skeletons[part] = lab.build(step).file(FILE_NAME)
    return Data(settings.root, rows, skeletons)


def make_start(lab: Lab, config: Config, data: Data, title: str) -> Start:
    """Train the small visual encoder and compute its features."""
    places, also = _seeing(config)
    indexes = [data.rows["train"]]
    visual = Step(
        "visual", "training.visual", config.visual, {"indexes": indexes}, places | TRAINER, resumes=True, also=also
    )
    encoder = lab.build(visual, f"{title} visual encoder")
    inputs = {"index": data.rows["train"], "encoder": encoder}
    features = lab.build(Step("features", "training.features", config.features, inputs, places, also=also))
    return Start(encoder, features.file("features.parquet"))


def pretrain(
    lab: Lab, config: Config, data: Data, start: Start, skeletons: ArtifactFile, title: str, *, trained: bool = True
) -> Artifact:
    """The skeleton encoder after stage 1, or with its initial weights (not `trained`)."""
    learnt_from = {"indexes": [data.rows["train"]], "skeletons": [skeletons], "features": [start.features]}
    module = "training.pretrain" if trained else "tests.experiments.untrained"
    return lab.build(
        Step("pretrained", module, config.pretrain, learnt_from, TRAINER, resumes=True),
        f"{title} pretraining" if trained else f"{title} initial weights",
    )


def finetune(
    lab: Lab, config: Config, data: Data, start: Start, skeletons: ArtifactFile, pretrained: Artifact, title: str
) -> Artifact:
    """The model after stage 2."""
    places, also = _seeing(config)
    inputs = {
        "indexes": [data.rows["train"]],
        "skeletons": [skeletons],
        "features": [start.features],
        "pretrained": pretrained,
        "encoder": start.encoder,
    }
    step = Step("finetuned", "training.finetune", config.finetune, inputs, places | TRAINER, resumes=True, also=also)
    return lab.build(step, f"{title} finetuning")


def score(lab: Lab, config: Config, data: Data, model: Artifact) -> Scores:
    """mAP and Rank-1, in percent, of a model's image-only embedding of the test tracklets."""
    places, also = _seeing(config)
    inputs = {"index": data.rows["test"], "model": model}
    return _ranked(lab, config, Step("embeddings", "training.embed", config.embed, inputs, places, also=also))


def score_skeletons(lab: Lab, config: Config, data: Data, pretrained: Artifact, skeletons: ArtifactFile) -> Scores:
    """mAP and Rank-1, in percent, of the skeleton encoder's sequence features of the test tracklets."""
    inputs = {"index": data.rows["test"], "skeletons": skeletons, "pretrained": pretrained}
    return _ranked(lab, config, Step("embeddings", "tests.experiments.skeleton_retrieval", Settings(), inputs))


def seeded(seed: int) -> list[str]:
    """Overrides that give every training this seed."""
    return [f"{stage}.seed={seed}" for stage in ("visual", "pretrain", "finetune")]


def table(columns: Sequence[str], rows: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """A Markdown table: mean and standard deviation over seeds of each row's measures.

    Args:
        columns: the title of rows' names, then of each measure.
        rows: name -> for each seed its measures.
    """
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for name, seeds in rows.items():
        cells = [f"{statistics.fmean(of):.1f} ± {_deviation(of):.1f}" for of in zip(*seeds, strict=True)]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _ranked(lab: Lab, config: Config, embedding: Step) -> Scores:
    embeddings = lab.build(embedding).file("embeddings.parquet")
    return scores_of(lab.build(Step("metrics", "evaluation.evaluate", config.evaluation, {"embeddings": [embeddings]})))


def scores_of(evaluated: Artifact) -> Scores:
    """mAP and Rank-1 of a `metrics` artifact, and chance, in percent."""
    metrics = json.loads((evaluated.path / "metrics.json").read_text())
    return {
        "mAP": 100 * metrics["mAP"],
        "R1": 100 * metrics["cmc"]["1"],
        "chance mAP": 100 * metrics["chance"]["mAP"],
        "chance R1": 100 * metrics["chance"]["cmc"]["1"],
    }


def _frames(config: Config) -> dict[str, Path]:
    return {"data_root": config.data.root}


def _seeing(config: Config) -> tuple[dict[str, object], dict[str, object]]:
    """The encoder as an argument of a stage, and as a part of its key."""
    return {**_frames(config), "encoder_settings": config.encoder}, {"encoder": config.encoder.key_fields()}
