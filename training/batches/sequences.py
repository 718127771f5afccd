"""Recordings of skeletons as arrays, with their labels, in the order of their ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.errors import SettingsError, StoreError
from storage.skeleton import SkeletonType, converted, skeleton_of
from storage.tables.parquet import read_ragged, read_table
from storage.tables.schema import SEQUENCES, SKELETON_KEY
from training.batches.clips import PerFrame


@dataclass(frozen=True)
class Recordings:
    """N recordings of one kind of skeleton.

    Attributes:
        kind: of the skeletons.
        ids, splits, pids, camids: as in the index, N.
        skeletons: (T, J, 3) float32 of each, metres, centred on the root.
    """

    kind: SkeletonType
    ids: tuple[str, ...]
    splits: tuple[str, ...]
    pids: NDArray[np.int64]
    camids: NDArray[np.int64]
    skeletons: PerFrame

    def as_kind(self, kind: SkeletonType) -> "Recordings":
        """The same with another kind of skeleton.

        Raises:
            SettingsError: there is no map of their joints.
        """
        found = converted(self.skeletons.values, self.kind, kind)
        if found is None:
            raise SettingsError(
                f"an encoder of {kind.name} skeletons cannot be used on {self.kind.name}",
                where="skeleton_only.start_from",
                fix="start from an encoder of the same kind; storage/skeleton.py lists the maps of joints",
            )
        return replace(self, kind=kind, skeletons=replace(self.skeletons, values=found))


def read_recordings(paths: Sequence[Path]) -> Recordings:
    """The recordings of `sequences.parquet` files.

    Raises:
        StoreError: a file is damaged, or they hold different kinds of skeletons.
    """
    said = {(pq.read_schema(path).metadata or {}).get(SKELETON_KEY, b"").decode() for path in paths}
    kind = skeleton_of(next(iter(said))) if len(said) == 1 else None
    if kind is None:
        raise StoreError(
            f"sequences of one kind of skeleton are needed, these are of {', '.join(sorted(said)) or 'none'}",
            fix="run again: a damaged artifact is made anew",
        )
    ragged = read_ragged(paths, SEQUENCES, {"keypoints_3d": (len(kind), 3)})
    labels = read_table(list(paths), SEQUENCES, ["split", "pid", "camid"])
    order = np.array(sorted(range(len(ragged)), key=lambda row: ragged.ids[row]), np.int64)
    splits = labels["split"].to_pylist()
    return Recordings(
        kind,
        tuple(ragged.ids[row] for row in order),
        tuple(splits[row] for row in order),
        labels["pid"].to_numpy().astype(np.int64)[order],
        labels["camid"].to_numpy().astype(np.int64)[order],
        PerFrame(ragged.values["keypoints_3d"], ragged.offsets[:-1][order], np.diff(ragged.offsets)[order]),
    )
