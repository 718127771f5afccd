"""The `embeddings` stage of a data set without images: test recordings to embeddings of sequences, and of recordings.

A recording is cut into sequences of T frames from its first frame on, as in the published protocols: they do not
overlap, and what fills none is left out. An embedding is L2-normalised; a recording's is that of the mean of its
sequences'. Where the encoder is one of bodies, a recording's parts are the means of its sequences' before they are
normalised, and the sequences hold every frame.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from storage.devices import chosen_device
from storage.progress import Progress
from storage.skeleton import skeleton_text
from storage.tables.parquet import write_table
from storage.tables.schema import EMBEDDINGS, SAMPLING_KEY, SKELETON_KEY
from training.batches.sampling import covering_clips, whole_clips
from training.batches.sequences import Recordings, read_recordings
from training.model.body_encoder import BodyEncoder
from training.model.sequence_encoders import SequenceEncoder, load_sequence_encoder
from training.model.skeleton_encoder import kind_of
from training.settings import FeatureSettings

SEQUENCES_FILE, RECORDINGS_FILE = "sequences.parquet", "recordings.parquet"


@dataclass(frozen=True)
class Inputs:
    """A test shard of sequences, and the folder of a skeleton encoder."""

    sequences: Path
    model: Path


def run(inputs: Inputs, settings: FeatureSettings, out_dir: Path, progress: Progress) -> None:
    """Write sequences.parquet and recordings.parquet; a recording shorter than a sequence is named in notes.json.

    Raises:
        WeightsError: the model does not fit.
    """
    device = chosen_device(settings.device, "features.device")
    encoder, described = load_sequence_encoder(inputs.model)
    encoder.eval().to(device)
    recordings = read_recordings([inputs.sequences]).as_kind(kind_of(described, inputs.model))
    length = described["clip_length"]
    parts: dict[int, Tensor] = {}
    whole: dict[int, Tensor] = {}
    for number, skeletons in enumerate(recordings.skeletons):
        clips = whole_clips(len(skeletons), length)
        if len(clips):
            parts[number] = embedded(encoder, torch.from_numpy(skeletons[clips]), device, settings.batch_size)
            if isinstance(encoder, BodyEncoder):
                every = torch.from_numpy(skeletons[covering_clips(len(skeletons), length)])
                whole[number] = encoder.joined(
                    forwarded(encoder, every, device, settings.batch_size).mean(0, keepdim=True)
                )
            else:
                whole[number] = F.normalize(parts[number].mean(0, keepdim=True), dim=1)
        progress(number + 1, len(recordings.ids), "recordings")
    short = [name for number, name in enumerate(recordings.ids) if number not in parts]
    width = sum(encoder.sizes) if isinstance(encoder, BodyEncoder) else encoder.project.out_features
    said = f"sequences of {length} frames", f"recordings: mean of sequences of {length}"
    write_embeddings(recordings, parts, width, said[0], out_dir / SEQUENCES_FILE, numbered=True)
    write_embeddings(recordings, whole, width, said[1], out_dir / RECORDINGS_FILE)
    (out_dir / "notes.json").write_text(json.dumps({"shorter_than_a_sequence": short}, indent=2) + "\n")


def embedded(encoder: SequenceEncoder, clips: Tensor, device: str, at_once: int) -> Tensor:
    """L2-normalised embeddings (C, P) of sequences (C, T, J, 3)."""
    found = forwarded(encoder, clips, device, at_once)
    return encoder.joined(found) if isinstance(encoder, BodyEncoder) else F.normalize(found, dim=1)


@torch.inference_mode()
def forwarded(encoder: SequenceEncoder, clips: Tensor, device: str, at_once: int) -> Tensor:
    """What embeddings are made of, (C, P), of sequences (C, T, J, 3)."""
    own = {} if isinstance(encoder, BodyEncoder) else {"pool": True}
    return torch.cat([encoder(part.to(device), **own).float().cpu() for part in clips.split(at_once)])


def write_embeddings(
    recordings: Recordings, parts: dict[int, Tensor], width: int, sampling: str, path: Path, *, numbered: bool = False
) -> None:
    """Write embeddings as the evaluation reads them.

    Args:
        recordings: whose they are.
        parts: position of a recording -> its embeddings, (C, P).
        width: P.
        sampling: what they were made from, in words, for the protocol.
        path: file.
        numbered: name them as a recording's first, second, ... sequence.
    """
    every = [(row, number) for row, part in parts.items() for number in range(len(part))]
    rows = [row for row, _ in every]
    said = {SAMPLING_KEY.encode(): sampling.encode(), SKELETON_KEY: skeleton_text(recordings.kind).encode()}
    table = pa.table(
        {
            "tracklet_id": [recordings.ids[row] + (f"#{number:04d}" if numbered else "") for row, number in every],
            "split": [recordings.splits[row] for row in rows],
            "pid": recordings.pids[rows].astype(np.int32),
            "camid": recordings.camids[rows].astype(np.int32),
            "clothes": np.zeros(len(rows), np.int32),
            "frames": recordings.skeletons.lengths[rows].astype(np.int32),
            "embedding": list(torch.cat([torch.zeros(0, width), *parts.values()]).numpy().astype(np.float32)),
        },
        schema=EMBEDDINGS.with_metadata((EMBEDDINGS.metadata or {}) | said),
    )
    write_table(table, path)
