"""The `embeddings` stage for skeletons: test tracklets by what the pretrained skeleton encoder says of them alone.

A tracklet's is its sequence feature over all frames with a skeleton, at unit length, less what all people share (the
mean of the training identities' prototypes), at unit length again: without that, any two skeletons are alike, and a
tracklet without a skeleton could not be told from one that is like nobody.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from storage.devices import chosen_device
from storage.progress import Progress
from storage.tables.parquet import write_table
from storage.tables.schema import SAMPLING_KEY
from storage.tables.tracklets import read_index
from training.batches.clips import read_skeletons
from training.embed import embeddings_table
from training.files import load_tensors
from training.model.skeleton_encoder import load_skeleton_encoder
from training.settings import PROTOTYPES, FeatureSettings

SAMPLING = "skeletons of all frames"


@dataclass(frozen=True)
class Inputs:
    """A test shard of the index, its skeletons, and the folder of a pretrained skeleton encoder."""

    index: Path
    skeletons: Path
    pretrained: Path


@torch.inference_mode()
def run(inputs: Inputs, settings: FeatureSettings, out_dir: Path, progress: Progress) -> None:
    """Write embeddings.parquet of queries and gallery; zeros, named in notes.json, where no frame has a skeleton.

    Raises:
        DataError: skeletons do not match the index.
        WeightsError: the folder holds no skeleton encoder.
    """
    device = chosen_device(settings.device, "features.device")
    encoder, _ = load_skeleton_encoder(inputs.pretrained)
    encoder.eval().to(device)
    shared = F.normalize(load_tensors(inputs.pretrained / PROTOTYPES)["skeleton"].float(), dim=1).mean(dim=0)
    tracklets = [tracklet for tracklet in read_index(inputs.index) if tracklet.split != "train"]
    skeletons, seen = read_skeletons([inputs.skeletons], tracklets)
    rows: list[Tensor | None] = []
    for number, (poses, there) in enumerate(zip(skeletons, seen, strict=True), start=1):
        row = None
        if there.any():
            given, mask = (torch.from_numpy(values.copy())[None].to(device) for values in (poses, there))
            feature = F.normalize(encoder(given, mask, pool=True)[0].float().cpu(), dim=0)
            row = F.normalize(feature - shared, dim=0)
        rows.append(row)
        progress(number, len(tracklets), "tracklets")
    arrays = [None if row is None else row.numpy() for row in rows]
    write_table(
        embeddings_table(tracklets, arrays, len(shared), {SAMPLING_KEY: SAMPLING}), out_dir / "embeddings.parquet"
    )
    without = [tracklet.tracklet_id for tracklet, row in zip(tracklets, rows, strict=True) if row is None]
    (out_dir / "notes.json").write_text(json.dumps({"without_skeleton": without}, indent=2) + "\n")
