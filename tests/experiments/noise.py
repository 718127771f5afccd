"""A stage that puts noise in the place of skeletons, to see whether what they say matters."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from extraction.skeletons import FILE_NAME
from storage.progress import Progress
from storage.settings import Settings
from storage.tables.parquet import ragged_table, read_ragged, write_table
from storage.tables.schema import SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import read_index
from training.batches.clips import read_skeletons


class NoiseSettings(Settings):
    """The noise."""

    seed: int = Field(0, ge=0, description="Of the random numbers.")


@dataclass(frozen=True)
class Inputs:
    """One shard of the index, and its skeletons."""

    index: Path
    skeletons: Path


def run(inputs: Inputs, settings: NoiseSettings, out_dir: Path, progress: Progress) -> None:
    """Write skeletons.parquet with noise for 3D keypoints; which frames have a skeleton stays as it is."""
    tracklets = read_index(inputs.index)
    kept = read_ragged([inputs.skeletons], SKELETONS, SKELETON_SHAPES)
    own, seen = read_skeletons([inputs.skeletons], tracklets)
    position = kept.position()
    columns = {
        "keypoints_3d": noise(own, seen, np.random.default_rng(settings.seed)),
        "keypoints_2d": [np.zeros((len(o), 17, 2), np.float32) for o in own],
        "scores": [np.ones((len(o), 17), np.float32) for o in own],
        "status": [kept.of(position[t.tracklet_id], "status") for t in tracklets],
        "filled": [kept.of(position[t.tracklet_id], "filled") for t in tracklets],
    }
    write_table(ragged_table([t.tracklet_id for t in tracklets], columns, SKELETONS), out_dir / FILE_NAME)


def noise(
    skeletons: Sequence[NDArray[np.float32]], seen: Sequence[NDArray[np.bool_]], rng: np.random.Generator
) -> list[NDArray[np.float32]]:
    """Normal random numbers, new in each frame, with each coordinate's mean and spread where there is a skeleton."""
    frames = np.concatenate([s[m] for s, m in zip(skeletons, seen, strict=True)])
    mean, spread = frames.mean(axis=0), frames.std(axis=0)
    return [(mean + spread * rng.standard_normal(s.shape)).astype(np.float32) for s in skeletons]
