"""A stage in the place of pretraining: the skeleton encoder with the weights that its training starts from."""

from pathlib import Path

import torch

from storage.progress import Progress
from training.batches.clips import read_features, read_training_set
from training.files import save_model
from training.model.skeleton_encoder import SkeletonEncoder
from training.pretrain import Inputs as Inputs
from training.settings import PretrainSettings


def run(inputs: Inputs, settings: PretrainSettings, out_dir: Path, progress: Progress) -> None:
    """Write the skeleton encoder as `training.pretrain` builds it for this seed, before its first step."""
    data = read_training_set(inputs.indexes)
    width = read_features(inputs.features, data.tracklets)[0].shape[1]
    torch.manual_seed(settings.seed)
    encoder = SkeletonEncoder(settings.skeleton, width)
    described = {"kind": "pretrained", "skeleton": settings.skeleton.model_dump(mode="json"), "projection": width}
    save_model(encoder, described, out_dir)
