"""The stage `quality`: how good the skeletons of a data set are, from themselves and, where there is truth, against it.

Without truth: how many frames have which status, how sure the estimator is, and two things a real body does not do:
change the length of its limbs, and shake.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from extraction.canonical import LIMBS
from extraction.extract import LOW_CONFIDENCE, UNREADABLE
from extraction.pose_metrics import MILLIMETRES, joint_errors, pck, procrustes_align
from storage.errors import DataError, StoreError
from storage.progress import Progress
from storage.schema import FRAME_STATUS, SKELETON_SHAPES, SKELETONS
from storage.settings import Settings
from storage.skeleton import EDGES, JOINTS
from storage.tables import Ragged, read_ragged
from storage.tracklets import Tracklet, read_index

FILE_NAME = "quality.json"
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
    """What the stage reads.

    Attributes:
        indexes: shards of the index.
        skeletons: their skeletons, in the same order.
        truth: true joints of a generated data set, if there are any.
    """

    indexes: tuple[Path, ...]
    skeletons: tuple[Path, ...]
    truth: Path | None


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
    unreadable = unreadable_frames(tracklets, found)
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
        "unreadable": {"count": len(unreadable), "first": unreadable[:LISTED]},
        "accuracy": None,
    }
    progress(1, 2, "accuracy")
    if inputs.truth is not None:
        report["accuracy"] = accuracy(tracklets, found, read_ragged([inputs.truth], SKELETONS, SKELETON_SHAPES))
    (out_dir / FILE_NAME).write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    progress(2, 2, "done")


def unreadable_frames(tracklets: Sequence[Tracklet], found: Ragged) -> list[str]:
    """Paths of the frames that could not be decoded, in index order."""
    names = [name for tracklet in tracklets for name in tracklet.frames]
    return [names[row] for row in np.flatnonzero(found.values["status"] == UNREADABLE)]


def group_table(tracklets: Sequence[Tracklet], found: Ragged) -> list[dict[str, Any]]:
    """One row for each split and camera, then one for everything (split and camid null)."""
    members: dict[tuple[str, int], list[int]] = {}
    for position, tracklet in enumerate(tracklets):
        members.setdefault((tracklet.split, tracklet.camid), []).append(position)
    rows: list[dict[str, Any]] = [
        {"split": split, "camid": camid, **consistency(found, members[split, camid])}
        for split, camid in sorted(members)
    ]
    return [*rows, {"split": None, "camid": None, **consistency(found, range(len(tracklets)))}]


def consistency(found: Ragged, positions: Sequence[int]) -> dict[str, Any]:
    """What the skeletons of some tracklets say of themselves."""
    status = np.concatenate([np.zeros(0, np.uint8), *(found.of(i, "status") for i in positions)])
    scores = [found.of(i, "scores")[found.of(i, "status") != UNREADABLE] for i in positions]
    shaking, stretching = [], []
    for i in positions:
        good = found.of(i, "status") <= LOW_CONFIDENCE
        skeletons = found.of(i, "keypoints_3d")
        shaking.append(jitter(skeletons)[good[:-2] & good[1:-1] & good[2:]])
        stretching.append(limb_variation(skeletons[good]))
    return {
        "tracklets": len(positions),
        "frames": len(status),
        "status": {name: _number(_mean([status == code])) for code, name in enumerate(FRAME_STATUS)},
        "mean_score": _number(_mean([s[:, LIMBS].ravel() for s in scores])),
        "limb_variation_mm": _number(_mean(stretching)),
        "jitter_mm": _number(_mean(shaking)),
    }


def jitter(skeletons: NDArray[np.floating]) -> NDArray[np.float64]:
    """How far joints lie from the midpoint of where they were a frame before and are a frame after, on average.

    Even motion has none. (T, 17, 3) metres -> (T - 2) mm, empty for fewer than three frames.
    """
    skeletons = np.asarray(skeletons, np.float64)
    return joint_errors(skeletons[1:-1], (skeletons[:-2] + skeletons[2:]) / 2).mean(-1)


def limb_variation(skeletons: NDArray[np.floating]) -> NDArray[np.float64]:
    """Standard deviation over time of the length of each of the 16 edges, mm; empty for fewer than two frames."""
    if len(skeletons) < 2:
        return np.zeros(0)
    ends = np.array(EDGES)
    lengths = np.linalg.norm(skeletons[:, ends[:, 0]] - skeletons[:, ends[:, 1]], axis=-1).astype(np.float64)  # (T, 16)
    return lengths.std(0) * MILLIMETRES


def ranked_tracklets(found: Ragged, count: int) -> dict[str, list[dict[str, Any]]]:
    """The tracklets with the best, the median and the worst mean score of their limbs, ties by id."""
    means = [(float(found.of(i, "scores")[:, LIMBS].mean()), name) for i, name in enumerate(found.ids)]
    order = sorted(means, key=lambda item: (-item[0], item[1]))
    middle = max(0, (len(order) - count) // 2)
    chosen = {"best": order[:count], "median": order[middle : middle + count], "worst": order[::-1][:count]}
    return {
        name: [{"tracklet_id": tracklet, "mean_score": _number(mean)} for mean, tracklet in rows]
        for name, rows in chosen.items()
    }


def accuracy(tracklets: Sequence[Tracklet], found: Ragged, truth: Ragged) -> dict[str, Any]:
    """Errors against true joints: of everybody, and of the test identities by themselves.

    3D errors are over frames with a skeleton (ok or low confidence); PCK over every readable frame, so that a person
    who was not found counts as missed. Tracklets without truth are left out and counted.

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

    def gather(source: Ragged, column: str, positions: Sequence[int]) -> NDArray[Any]:
        return np.concatenate([source.of(position, column) for position in positions])

    ours, theirs = [i for i, _ in pairs], [j for _, j in pairs]
    status = gather(found, "status", ours)
    lifted, readable = status <= LOW_CONFIDENCE, status != UNREADABLE
    skeletons = gather(found, "keypoints_3d", ours)[lifted]
    true = gather(truth, "keypoints_3d", theirs)[lifted]
    measured = {
        "mpjpe_mm": joint_errors(skeletons, true),
        "pa_mpjpe_mm": joint_errors(procrustes_align(skeletons, true), true),
        "pck": pck(
            gather(found, "keypoints_2d", ours)[readable],
            gather(truth, "keypoints_2d", theirs)[readable],
            gather(truth, "scores", theirs)[readable] > 0,
            PCK_THRESHOLD,
        ),
    }
    return {
        "frames": len(status),
        "frames_lifted": int(lifted.sum()),
        "pck_threshold": PCK_THRESHOLD,
        **{name: _number(_mean([values.ravel()])) for name, values in measured.items()},
        "by_joint": {
            joint: {name: _number(_mean([values[:, j]])) for name, values in measured.items()}
            for j, joint in enumerate(JOINTS)
        },
    }


def _mean(parts: Sequence[NDArray[Any]]) -> float:
    """Mean of all values that are numbers, nan if there are none."""
    values = np.concatenate([np.zeros(0), *parts])
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
