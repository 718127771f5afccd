"""A stage that embeds test tracklets by their skeletons alone: does a skeleton encoder tell people apart?"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch
import torch.nn.functional as F

from storage.progress import Progress
from storage.settings import Settings
from storage.tables.parquet import write_table
from storage.tables.schema import EMBEDDINGS
from storage.tables.tracklets import read_index
from training.batches.clips import read_skeletons
from training.files import load_model, read_description
from training.model.skeleton_encoder import SkeletonEncoder, sequence_features
from training.settings import SkeletonSettings


@dataclass(frozen=True)
class Inputs:
    """A test shard of the index, its skeletons, and the folder of a pretrained skeleton encoder."""

    index: Path
    skeletons: Path
    pretrained: Path


@torch.inference_mode()
def run(inputs: Inputs, settings: Settings, out_dir: Path, progress: Progress) -> None:
    """Write embeddings.parquet: the sequence feature of all frames, L2-normalised; zeros where nobody was found."""
    described = read_description(inputs.pretrained)
    encoder = SkeletonEncoder(SkeletonSettings(**described["skeleton"]), described["projection"])
    load_model(encoder, inputs.pretrained)
    encoder.eval()
    tracklets = read_index(inputs.index)
    rows = []
    for skeletons, seen in zip(*read_skeletons([inputs.skeletons], tracklets), strict=True):
        mask = torch.from_numpy(seen.copy())[None]
        joints = encoder(torch.from_numpy(skeletons.copy())[None], mask)
        rows.append(F.normalize(sequence_features(joints, mask)[0], dim=0).tolist())
    columns = {name: [getattr(t, name) for t in tracklets] for name in ("tracklet_id", "split", "pid", "camid")}
    schema = EMBEDDINGS.with_metadata((EMBEDDINGS.metadata or {}) | {b"csip.sampling": b"skeletons of all frames"})
    columns |= {"clothes": [0] * len(tracklets), "frames": [len(t.frames) for t in tracklets]}
    write_table(pa.table({**columns, "embedding": rows}, schema=schema), out_dir / "embeddings.parquet")
