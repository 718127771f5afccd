"""A stage that embeds recordings by the mean lengths of their bones: what a ruler says of who somebody is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from storage.progress import Progress
from storage.settings import Settings
from storage.skeleton import SkeletonType
from training.batches.sampling import whole_clips
from training.batches.sequences import read_recordings
from training.embed_sequences import RECORDINGS_FILE, SEQUENCES_FILE, write_embeddings

FRAMES = 6


@dataclass(frozen=True)
class Inputs:
    """Training and test shards of sequences."""

    train: Path
    test: Path


def run(inputs: Inputs, settings: Settings, out_dir: Path, progress: Progress) -> None:
    """Write sequences.parquet and recordings.parquet: lengths in standard deviations from the training mean."""
    train, test = read_recordings([inputs.train]), read_recordings([inputs.test])
    known = np.concatenate([lengths(train.kind, clips_of(skeletons)) for skeletons in train.skeletons])
    rows = [(lengths(test.kind, clips_of(s)) - known.mean(0)) / known.std(0) for s in test.skeletons]
    parts = {number: torch.from_numpy(row.astype(np.float32)) for number, row in enumerate(rows)}
    width = len(test.kind.edges)
    write_embeddings(test, parts, width, "bone lengths", out_dir / SEQUENCES_FILE, numbered=True)
    means = {number: part.mean(0, keepdim=True) for number, part in parts.items()}
    write_embeddings(test, means, width, "bone lengths", out_dir / RECORDINGS_FILE)


def clips_of(skeletons: NDArray[np.float32]) -> NDArray[np.float32]:
    """A recording's sequences, (C, T, J, 3)."""
    return skeletons[whole_clips(len(skeletons), FRAMES)]


def lengths(kind: SkeletonType, clips: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean length of each bone over the frames of sequences, (C, E), metres."""
    ends = np.array(kind.edges)
    return np.linalg.norm(clips[:, :, ends[:, 0]] - clips[:, :, ends[:, 1]], axis=-1).mean(axis=1)
