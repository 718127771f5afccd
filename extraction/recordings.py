"""The stage `skeletons` of a data set without images: its recordings become sequences of centred skeletons."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.addresses import DataRoot
from storage.bones import equal_bones, has_rings
from storage.datasets.recordings.readers import SEQUENCE_READERS, SequenceSettings, in_camera_axes, skeleton_type
from storage.errors import SettingsError
from storage.frames.files import DataFiles
from storage.progress import Progress
from storage.skeleton import skeleton_text
from storage.tables.parquet import ragged_table, write_table
from storage.tables.schema import SEQUENCES, SKELETON_KEY
from storage.tables.tracklets import read_index

FILE_NAME = "sequences.parquet"
SHOWN = 50  # recordings named


@dataclass(frozen=True)
class Inputs:
    """The data root, a shard of the index, and the data set's layout."""

    data_root: DataRoot
    index: Path
    layout: str


def run(inputs: Inputs, settings: SequenceSettings, out_dir: Path, progress: Progress) -> None:
    """Write `sequences.parquet`: the tracked frames of the index's recordings, in its order, centred on the root.

    A recording of which nothing is left is left out, and named in notes.json with the number of frames that were not
    tracked.

    Raises:
        DataError: files are missing or hold something else.
        SettingsError: equal bones were asked for of skeletons that cannot have them.
    """
    files, recordings = DataFiles(inputs.data_root), read_index(inputs.index)
    files.fetch((name for recording in recordings for name in recording.frames), progress)
    kind = skeleton_type(files, inputs.layout, settings)
    kept, skeletons = [], []
    untracked, empty = 0, []
    if settings.bone_length and has_rings(kind):
        raise SettingsError(
            f"bones of {kind.name} skeletons form rings, and cannot all have one length",
            where="data.sequences.bone_length",
            fix="set it to null for these skeletons",
        )
    reader = SEQUENCE_READERS[inputs.layout]
    frames = reader.frames(files, recordings, kind)
    for number, (recording, (joints, tracked)) in enumerate(zip(recordings, frames, strict=True), start=1):
        untracked += int(np.count_nonzero(~tracked))
        left = trimmed(joints[tracked], settings.trim)
        if len(left):
            kept.append(recording)
            left = in_camera_axes(left, settings) if reader.own_axes else left
            skeletons.append(
                equal_bones(left, kind, settings.bone_length) if settings.bone_length else kind.centred(left)
            )
        else:
            empty.append(recording.tracklet_id)
        progress(number, len(recordings), "recordings")
    labels = {n: pa.array([getattr(r, n) for r in kept], SEQUENCES.field(n).type) for n in ("split", "pid", "camid")}
    table = ragged_table([r.tracklet_id for r in kept], {"keypoints_3d": skeletons}, SEQUENCES, labels)
    schema = SEQUENCES.with_metadata((SEQUENCES.metadata or {}) | {SKELETON_KEY: skeleton_text(kind).encode()})
    write_table(table.cast(schema), out_dir / FILE_NAME)
    notes = {"untracked_frames": untracked, "empty": {"count": len(empty), "first": empty[:SHOWN]}}
    (out_dir / "notes.json").write_text(json.dumps(notes, indent=2) + "\n")


def trimmed(frames: NDArray[Any], count: int) -> NDArray[Any]:
    """Frames without the first and last `count`."""
    return frames[count : max(len(frames) - count, count)]
