"""The training stages on the small data set, each after what it starts from."""

import hashlib
from pathlib import Path

from storage.progress import Progress, silent
from storage.settings import Settings
from tests.training.conftest import Small
from training import features, finetune, pretrain, visual
from training.settings import SkeletonSettings, TrainerSettings

VISUAL = visual.VisualSettings(epochs=3, clip_length=2, identities=2, instances=2)
PRETRAIN = pretrain.PretrainSettings(
    epochs=3, clip_length=3, batch=4, instances=2, skeleton=SkeletonSettings(width=16, depth=1, heads=2, hidden=16)
)
FINETUNE = finetune.FinetuneSettings(epochs=3, clip_length=2, identities=2, instances=2, lr=1e-4, refresh_every=1)
FIRM = {  # without dropout, which differs between processes and compilers
    "pretrain": PRETRAIN.model_copy(
        update={"flip": 0.5, "skeleton": PRETRAIN.skeleton.model_copy(update={"dropout": 0.0})}
    ),
    "finetune": FINETUNE.model_copy(update={"dropout": 0.0}),
}
QUIET = TrainerSettings(loggers=())


class Stages:
    """Runs stages into folders below `root`; what a stage starts from is made first, once."""

    def __init__(self, small: Small, root: Path) -> None:
        self.small, self.root = small, root

    def run(
        self,
        stage: str,
        name: str = "first",
        settings: Settings | None = None,
        trainer: TrainerSettings = QUIET,
        progress: Progress = silent,
    ) -> Path:
        """The folder that a stage wrote."""
        out = self.root / stage / name
        out.mkdir(parents=True, exist_ok=True)
        small = self.small
        if stage == "visual":
            inputs = visual.Inputs(small.root, (small.train,), small.encoder, trainer)
            visual.run(inputs, settings or VISUAL, out, progress)
        elif stage == "features":
            start = features.Inputs(small.root, small.train, self.ready("visual"), small.encoder)
            features.run(start, features.FeatureSettings(), out, progress)
        elif stage == "pretrain":
            pretrain.run(self.pretrain_inputs(trainer), settings or PRETRAIN, out, progress)
        else:
            finetune.run(self.finetune_inputs(trainer), settings or FINETUNE, out, progress)
        return out

    def ready(self, stage: str) -> Path:
        """The folder of a stage, run if it was not."""
        out = self.root / stage / "first"
        return out if out.exists() else self.run(stage)

    def pretrain_inputs(self, trainer: TrainerSettings = QUIET) -> pretrain.Inputs:
        """What pretraining starts from."""
        cached = self.ready("features") / "features.parquet"
        return pretrain.Inputs((self.small.train,), (self.small.skeletons,), (cached,), trainer)

    def finetune_inputs(self, trainer: TrainerSettings = QUIET) -> finetune.Inputs:
        """What finetuning starts from."""
        cached, small = self.ready("features") / "features.parquet", self.small
        return finetune.Inputs(
            small.root,
            (small.train,),
            (cached,),
            self.ready("visual"),
            small.encoder,
            (small.skeletons,),
            self.ready("pretrain"),
            trainer,
        )


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that a stage wrote, without what only an unfinished training needs."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.is_file()}
