"""The stage `quality`: how good the skeletons of a data set are, from themselves and, where there is truth, against it.

Here are the errors against true joints, the tracklets and frames worth a look, and the file that holds it all.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from extraction.lifting.canonical import LIMBS
from extraction.quality.consistency import average, consistency, gathered, rounded
from extraction.quality.pose_metrics import joint_errors, pck, procrustes_align
from extraction.skeletons import NO_PERSON, UNREADABLE, has_skeleton
from storage.addresses import DataRoot
from storage.errors import DataError, StoreError
from storage.frames.files import DataFiles
from storage.progress import Progress
from storage.settings import Settings
from storage.skeleton import JOINTS
from storage.tables.parquet import Ragged, read_ragged
from storage.tables.schema import SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import Tracklet, read_index

FILE_NAME = "quality.json"
TRUTH = "truth/skeletons.parquet"
LISTED = 50
PCK_THRESHOLD = 0.1
TEST_SPLITS = ("query", "gallery")


class QualitySettings(Settings):
    """What is asked of skeletons."""

    max_bad_fraction: float = Field(
        0.05, ge=0, le=1, description="Stop if more than this part of all frames cannot be read."
    )
    shown: int = Field(3, ge=0, description="Tracklets named as the best, median and worst by score.")


@dataclass(frozen=True)
class Inputs:
    """Shards of the index, their skeletons in the same order, and the data root: generated ones have true joints."""

    indexes: tuple[Path, ...]
    skeletons: tuple[Path, ...]
    data_root: DataRoot


def run(inputs: Inputs, settings: QualitySettings, out_dir: Path, progress: Progress) -> None:
    """Write `quality.json`.

    Raises:
        DataError: more than `max_bad_fraction` of the frames cannot be read; names the first ten.
        StoreError: the skeletons are not those of the indexes.
    """
    tracklets = read_index(inputs.indexes)
    found = read_ragged(inputs.skeletons, SKELETONS, SKELETON_SHAPES)
    if found.ids != tuple(tracklet.tracklet_id for tracklet in tracklets):
        raise StoreError("skeletons and index name different tracklets", where=inputs.skeletons[0], fix="extract again")
    frames = len(found.values["status"])
    unreadable = frames_with(UNREADABLE, tracklets, found)
    if len(unreadable) > settings.max_bad_fraction * frames:
        raise DataError(
            f"{len(unreadable)} of {frames} frames cannot be read",
            where=", ".join(unreadable[:10]),
            fix="restore these files, or raise quality.max_bad_fraction",
        )
    progress(0, 2, "self-consistency")
    report: dict[str, Any] = {
        "frames": frames,
        "tracklets": len(tracklets),
        "groups": group_table(tracklets, found),
        "ranked": ranked_tracklets(found, settings.shown),
        "unreadable": _listed(unreadable),
        "no_person": _listed(frames_with(NO_PERSON, tracklets, found)),
        "accuracy": None,
    }
    progress(1, 2, "accuracy")
    truth = DataFiles(inputs.data_root).path(TRUTH)
    if truth is not None:
        report["accuracy"] = accuracy(tracklets, found, read_ragged([truth], SKELETONS, SKELETON_SHAPES))
    (out_dir / FILE_NAME).write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    progress(2, 2, "done")


def frames_with(status: int, tracklets: Sequence[Tracklet], found: Ragged) -> list[str]:
    """Paths of the frames with a status, in index order."""
    names = [name for tracklet in tracklets for name in tracklet.frames]
    return [names[row] for row in np.flatnonzero(found.values["status"] == status)]


def _listed(names: Sequence[str]) -> dict[str, Any]:
    return {"count": len(names), "first": names[:LISTED]}


def group_table(tracklets: Sequence[Tracklet], found: Ragged) -> list[dict[str, Any]]:
    """One row for each split and camera, then one for everything (split and camid null)."""
    members: dict[tuple[str, int], list[int]] = {}
    for position, tracklet in enumerate(tracklets):
        members.setdefault((tracklet.split, tracklet.camid), []).append(position)
    groups = [*sorted(members.items()), ((None, None), range(len(tracklets)))]
    return [{"split": split, "camid": camid, **consistency(found, at)} for (split, camid), at in groups]


def ranked_tracklets(found: Ragged, count: int) -> dict[str, list[dict[str, Any]]]:
    """The tracklets with the best, the median and the worst mean score of their limbs, ties by id.

    One without a single skeleton can only be among the worst.
    """
    means = {name: float(found.of(i, "scores")[:, LIMBS].mean()) for i, name in enumerate(found.ids)}
    posed = [has_skeleton(found.of(i, "status"), found.of(i, "filled")).any() for i in range(len(found))]
    upwards = sorted(means, key=lambda name: (means[name], name))
    downwards = sorted(compress(found.ids, posed), key=lambda name: (-means[name], name))
    middle = max(0, (len(downwards) - count) // 2)
    chosen = {"best": downwards[:count], "median": downwards[middle : middle + count], "worst": upwards[:count]}
    return {
        kind: [{"tracklet_id": name, "mean_score": rounded(means[name])} for name in names]
        for kind, names in chosen.items()
    }


def accuracy(tracklets: Sequence[Tracklet], found: Ragged, truth: Ragged) -> dict[str, Any]:
    """Errors against true joints: of everybody, and of the test identities by themselves.

    3D errors are over frames with a skeleton, interpolated ones too (which also stand by themselves); PCK over every
    readable frame, so that a person who was not found counts as missed. Tracklets without truth are only counted.

    Raises:
        DataError: a tracklet and its truth differ in their number of frames.
    """
    where = truth.position()
    pairs = [(i, where[name]) for i, name in enumerate(found.ids) if name in where]
    for i, j in pairs:
        if len(found.of(i, "status")) != len(truth.of(j, "status")):
            raise DataError(
                "a tracklet and its true joints differ in their number of frames",
                where=found.ids[i],
                fix="make the generated data set again",
            )
    splits = {tracklet.tracklet_id: tracklet.split for tracklet in tracklets}
    test = [(i, j) for i, j in pairs if splits[found.ids[i]] in TEST_SPLITS]
    return {
        "tracklets_without_truth": len(found.ids) - len(pairs),
        "all": errors(found, truth, pairs),
        "test": errors(found, truth, test),
    }


def errors(found: Ragged, truth: Ragged, pairs: Sequence[tuple[int, int]]) -> dict[str, Any] | None:
    """MPJPE, PA-MPJPE (mm) and PCK, overall and by joint, of tracklets paired with their truth."""
    if not pairs:
        return None
    ours = {name: gathered(found, name, [i for i, _ in pairs]) for name in SKELETON_SHAPES}
    theirs = {name: gathered(truth, name, [j for _, j in pairs]) for name in SKELETON_SHAPES}
    status, filled = ours["status"], ours["filled"]
    lifted, readable = has_skeleton(status, filled), status != UNREADABLE
    skeletons, true = ours["keypoints_3d"][lifted], theirs["keypoints_3d"][lifted]
    measured = {
        "mpjpe_mm": joint_errors(skeletons, true),
        "pa_mpjpe_mm": joint_errors(procrustes_align(skeletons, true), true),
        "pck": pck(
            ours["keypoints_2d"][readable],
            theirs["keypoints_2d"][readable],
            theirs["scores"][readable] > 0,
            PCK_THRESHOLD,
        ),
    }
    return {
        "frames": len(status),
        "frames_lifted": int(lifted.sum()),
        "frames_filled": int(filled.sum()),
        "pck_threshold": PCK_THRESHOLD,
        **{name: average(values) for name, values in measured.items()},
        "mpjpe_filled_mm": average(measured["mpjpe_mm"][filled[lifted]]),
        "by_joint": {
            joint: {name: average(values[:, j]) for name, values in measured.items()} for j, joint in enumerate(JOINTS)
        },
    }
