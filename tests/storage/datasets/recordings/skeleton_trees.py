"""Generated Kinect recordings in the layouts of BIWI and IAS-Lab: people with limbs and a gait of their own."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.demo.body import pose, rotations, sample_bodies
from storage.demo.motion import gait, sample_styles
from storage.skeleton import JOINTS, KINECT20

RATE = 10.0  # frames a second, BIWI's
STANDING = 0.15  # share of the gait that is left where people stand "still"
FROM_H36M = {
    "hip_center": {"pelvis": 0.8, "spine": 0.2},
    "spine": {"pelvis": 0.5, "spine": 0.5},
    "shoulder_center": {"thorax": 1.0},
    "head": {"neck_base": 0.3, "head": 0.7},
    **{
        f"{side}_{joint}": {f"{side}_{joint}": 1.0}
        for side in ("left", "right")
        for joint in ("hip", "knee", "shoulder")
    },
    **{f"{side}_{joint}": {f"{side}_{joint}": 1.0} for side in ("left", "right") for joint in ("elbow", "wrist")},
    **{f"{side}_ankle": {f"{side}_foot": 1.0} for side in ("left", "right")},
    **{f"{side}_hand": {f"{side}_wrist": 1.25, f"{side}_elbow": -0.25} for side in ("left", "right")},
    **{f"{side}_foot": {f"{side}_foot": 1.1, f"{side}_knee": -0.1} for side in ("left", "right")},
}
"""Kinect joint -> the Human3.6M joints that it is made of."""


def kinect_recording(
    rng: np.random.Generator, person: int, frames: int, *, still: bool = False, seed: int = 0
) -> NDArray[np.float64]:
    """A person's skeletons (T, 20, 3) in a Kinect's own axes, metres, 2.5 m away, as they walk or stand, with noise.

    Args:
        rng: of what differs between recordings of a person: where in the stride, which way they face, noise.
        person: number of the person, who has limbs and gait that no other seed gives.
        frames: T.
        still: stand, and sway a little.
        seed: of the people.
    """
    own = np.random.default_rng([seed, person])
    body, style = sample_bodies(own, 1, spread=2.0), sample_styles(own, 1)
    rows = np.zeros(frames, np.int64)
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * style.frequency[0] * np.arange(frames) / RATE
    angles = gait(style.take(rows), phase) * (STANDING if still else 1.0)
    joints = pose(body[rows], angles) @ rotations(np.array([0, rng.uniform(-0.3, 0.3), 0])).T
    weights = np.zeros((len(KINECT20), len(JOINTS)))
    for row, name in enumerate(KINECT20.joints):
        for source, weight in FROM_H36M[name].items():
            weights[row, JOINTS.index(source)] = weight
    found = np.einsum("kj,tjc->tkc", weights, joints) + rng.normal(0, 0.01, (frames, len(KINECT20), 3))
    return found * [-1, -1, 1] + [0, 0, 2.5]


def skeleton_text(joints: NDArray[np.float64], person: int, tracked: int = 2) -> str:
    """A frame's file: 14 columns a joint, of which pixels, quality and orientation are not read."""
    rows = [
        f"{person},{x:.6f},{y:.6f},{z:.6f},{320 + 100 * x:.3f},{240 - 100 * y:.3f},{tracked},0,{joint},{joint},0,0,0,1"
        for joint, (x, y, z) in enumerate(joints.tolist())
    ]
    return "\n".join(rows) + "\n"


def write_recording(folder: Path, recording: NDArray[np.float64], person: int) -> None:
    """One file a frame, named as BIWI's are."""
    folder.mkdir(parents=True)
    for number, joints in enumerate(recording):
        (folder / f"{person:03d}_{number:05d}-a_{1000 + 33 * number}_skel.txt").write_text(skeleton_text(joints, 1))


def write_biwi(root: Path, train: int, test: int, frames: int, seed: int = 0) -> Path:
    """BIWI's folders: `train` people in Training, the first `test` of them in Testing too, walking and still."""
    places = [(f"Training/{n:03d}", n, False) for n in range(train)]
    places += [(f"Testing/{kind}/{n:03d}", n, kind == "Still") for kind in ("Still", "Walking") for n in range(test)]
    return _write(root, places, frames, seed)


def write_ias(root: Path, people: int, frames: int, seed: int = 0) -> Path:
    """IAS-Lab's folders: the same people in all three."""
    folders = ("Training", "TestingA", "TestingB")
    return _write(root, [(f"{folder}/{n:03d}", n, False) for folder in folders for n in range(people)], frames, seed)


def _write(root: Path, places: list[tuple[str, int, bool]], frames: int, seed: int) -> Path:
    for number, (place, person, still) in enumerate(places):
        rng = np.random.default_rng([seed, 1, number])
        write_recording(root / place, kinect_recording(rng, person, frames, still=still, seed=seed), person)
    return root


WALKER = ("hip_left", "knee_left", "hip_right", "knee_right", "pelvis", "head")
WALKER_BONES = ((4, 0), (0, 1), (4, 2), (2, 3), (4, 5))
WALKER_PLACES = np.array([(-0.1, 0, 0), (-0.1, 0.5, 0), (0.1, 0, 0), (0.1, 0.5, 0), (0, 0, 0), (0, -0.7, 0)])
"""A small skeleton that no other data set has, and where its joints are, metres, camera axes."""


def arrays(frames: int = 3, people: int = 4, walks: int = 2, seed: int = 0) -> dict[str, NDArray[np.generic]]:
    """Sequences of people (odd numbers train) with lengths and a posture of their own, a normal walk first."""
    rng = np.random.default_rng(seed)
    shapes = 1 + 0.2 * rng.normal(size=(people, len(WALKER), 1)) + 0.1 * rng.normal(size=(people, len(WALKER), 3))
    lean = 0.1 * rng.normal(size=(people, len(WALKER), 3))
    person = np.repeat(np.arange(people), walks)
    noise = rng.normal(size=(len(person), frames, len(WALKER), 3))
    joints = (WALKER_PLACES * shapes + lean)[person][:, None] + 0.03 * noise
    valid = np.ones((len(person), frames), bool)
    valid[:, 0] = np.arange(len(person)) > 0  # the first frame of all is not
    return {
        "joints": joints.reshape(-1, len(WALKER), 3).astype(np.float32),
        "valid": valid.ravel(),
        "start": frames * np.arange(len(person) + 1),
        "person": person + 1,
        "condition": np.array(["N", *["AR"] * (walks - 1)] * people),
        "test": person % 2 == 1,
        "joint_names": np.array(WALKER),
        "bones": np.array(WALKER_BONES),
    }


def write_arrays(path: Path, changed: Mapping[str, NDArray[np.generic] | None] | None = None, **sizes: int) -> None:
    """An archive of `arrays`, some changed or, None, left out."""
    held = {name: array for name, array in (arrays(**sizes) | dict(changed or {})).items() if array is not None}
    np.savez(path, **held)
