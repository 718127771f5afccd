"""The demo data set on disk: MARS's folders and lists, the true joints beside them; a seed makes the same bytes."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from storage.demo.appearance import Light, Look, sample_light, sample_look, scene
from storage.demo.body import Floats, pose, sample_bodies
from storage.demo.camera import Camera, seen, turned
from storage.demo.crops import Companion, Crop, sample_bar, shoot, windows
from storage.demo.motion import Style, gait, sample_styles
from storage.disk import locked, whole
from storage.errors import DataError
from storage.progress import Progress, silent
from storage.settings import Settings, neutral
from storage.skeleton import centre_on_pelvis
from storage.tables.parquet import ragged_table, write_table
from storage.tables.schema import SKELETON_SHAPES, SKELETONS

SETTINGS_FILE = "demo.json"
FRAMES_A_SECOND = 12.5
WALKS_A_TASK = 8  # that one process renders before it is given others
MAT_HEADER = b"MATLAB 5.0 MAT-file, csip demo data set".ljust(116)


class DemoSettings(Settings):
    """How large the demo data set is, and from which seed."""

    seed: int = Field(7, ge=0, description="Another seed, other people, cameras and walks.")
    train_identities: int = Field(24, ge=2, description="Identities to train on.")
    test_identities: int = Field(20, ge=2, description="Identities to test on; none of them is trained on.")
    cameras: int = Field(3, ge=2, le=9, description="Cameras, each with its own view, light and background.")
    tracklets: int = Field(2, ge=1, description="Tracklets of each identity in each camera.")
    frames: int = Field(11, ge=1, description="Frames of a tracklet, give or take a third.")
    distractors: int = Field(6, ge=0, description="Gallery tracklets of people who are no query (pid 0).")
    width: int = Field(64, ge=16, description="Width of a crop, pixels.")
    height: int = Field(128, ge=32, description="Height of a crop, pixels.")
    same_clothes: bool = Field(False, description="Dress everyone alike: only limbs and gait tell people apart.")
    outfits: int = Field(
        1,
        ge=1,
        description="Clothes that each person changes between, from tracklet to tracklet; with more than one, set "
        "data.layout=manifest, which names them.",
    )
    body_spread: float = Field(1.0, gt=0, description="Variety of limb lengths and heights; 1 is that of adults.")
    workers: int = neutral(2, "Processes that render.", ge=1)


@dataclass(frozen=True)
class Walk:
    """One tracklet to render: who, where, and in which list of MARS it stands."""

    name: str
    pid: int
    camid: int
    part: str
    query: bool
    person: int
    number: int
    outfit: int


@dataclass(frozen=True)
class View:
    """A camera of the data set: where it stands, its light and its background."""

    camera: Camera
    light: Light
    picture: NDArray[np.uint8]
    distance: float


def plan_walks(settings: DemoSettings) -> list[Walk]:
    """Every tracklet of the data set, in the order of its lists: train, then test with a junk row and distractors."""
    walks = []
    people = settings.train_identities + settings.test_identities
    for person in range(people):
        pid, part = person + 1, "train" if person < settings.train_identities else "test"
        for camid in range(1, settings.cameras + 1):
            for tracklet in range(settings.tracklets):
                number = (camid - 1) * settings.tracklets + tracklet + 1
                name = f"{pid:04d}C{camid}T{number:04d}"
                # one query of each test identity in each camera, as in MARS
                query, outfit = part == "test" and tracklet == 0, tracklet % settings.outfits
                walks.append(Walk(name, pid, camid, part, query, person, number, outfit))
    for extra in range(settings.distractors + 1):
        camid = extra % settings.cameras + 1
        prefix, pid = ("00-1", -1) if extra == settings.distractors else ("0000", 0)
        walks.append(Walk(f"{prefix}C{camid}T{extra + 1:04d}", pid, camid, "test", False, people + extra, extra + 1, 0))
    return sorted(walks, key=lambda walk: (walk.part != "train", walk.pid, walk.camid, walk.number))


@lru_cache(maxsize=1)
def make_views(settings: DemoSettings) -> list[View]:
    """The cameras, clearly different from each other."""
    views = []
    for camid in range(settings.cameras):
        rng = np.random.default_rng([settings.seed, 1, camid])
        height = 1.6 + 3.2 * camid / max(settings.cameras - 1, 1) + rng.uniform(-0.2, 0.2)
        distance = rng.uniform(6.5, 10.0)
        pitch = float(np.arctan2(height - 1.0, distance))
        camera = Camera(float(height), pitch, float(rng.normal(0, 0.02)), float(rng.uniform(1.3, 2.2)))
        views.append(View(camera, sample_light(rng), scene(rng), float(distance)))
    return views


def person_of(settings: DemoSettings, person: int, outfit: int = 0) -> tuple[Floats, Style, Look]:
    """The body, gait and clothes of one person, from the seed and the numbers of person and outfit alone."""
    rng = np.random.default_rng([settings.seed, 2, person])
    body, style, look = sample_bodies(rng, 1, settings.body_spread), sample_styles(rng, 1), sample_look(rng)
    change = (outfit,) if outfit else ()
    if settings.same_clothes:
        look = replace(sample_look(np.random.default_rng([settings.seed, 3, *change])), width=look.width)
    elif change:
        other = sample_look(np.random.default_rng([settings.seed, 5, person, *change]))
        look = replace(other, skin=look.skin, hair=look.hair, width=look.width)
    return body, style, look


def walk_crops(settings: DemoSettings, walk: Walk, view: View) -> tuple[list[Crop], NDArray[np.float64]]:
    """The crops of one tracklet, and its joints in camera axes, (T, 17, 3) metres."""
    rng = np.random.default_rng([settings.seed, 4, walk.person, walk.camid, walk.number])
    body, style, look = person_of(settings, walk.person, walk.outfit)
    length = int(rng.integers(max(1, settings.frames * 2 // 3), settings.frames * 4 // 3 + 1))
    times = np.arange(length) / FRAMES_A_SECOND
    alone = np.zeros(length, int)
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * style.frequency * times
    joints = pose(body[alone], gait(style.take(alone), phase))
    heading = rng.uniform(-np.pi, np.pi) + rng.normal(0, 0.25) * times
    speed = 1.7 * float(style.frequency[0]) * float(style.stride[0])
    # a person who faces the camera (heading 0) walks towards it
    step = speed / FRAMES_A_SECOND * np.stack([-np.sin(heading), -np.cos(heading)], axis=-1)
    ground = np.cumsum(step, axis=0) + np.array([rng.uniform(-1.2, 1.2), view.distance])
    placed = seen(turned(joints, heading), ground, view.camera)
    centres, heights = windows(placed, view.camera, rng, jitter=0.03)
    place = rng.uniform(0.1, 0.9) + 0.01 * np.cumsum(step[:, 0])
    bar = sample_bar(rng) if rng.random() < 0.15 else None
    companion = sample_look(rng) if rng.random() < 0.2 else None
    shift, in_front = float(rng.choice([-1, 1]) * rng.uniform(0.45, 0.75)), bool(rng.random() < 0.3)
    crops = []
    for t in range(length):
        beside = placed[(t + 5) % length]
        moved, passing = beside - beside[:1] + placed[t, :1], shift * (1 - 2 * t / max(length - 1, 1) * 0.35)
        crops.append(
            shoot(
                placed[t], look, (centres[t], float(heights[t])), view.camera, view.light, view.picture,
                float(np.clip(place[t], 0, 1)), (settings.width, settings.height), rng,
                Companion(moved, companion, passing, in_front) if companion else None,
                bar if t < length // 2 else None,
            )
        )  # fmt: skip
    return crops, placed


def make(settings: DemoSettings, root: Path, progress: Progress = silent) -> None:
    """Make the data set in `root`, unless it is there already; of several at once one makes it.

    Raises:
        DataError: `root` holds something else, or the demo of other settings.
    """
    version = SKELETONS.metadata[b"csip.version"].decode()
    chosen = settings.key_fields()
    if settings.outfits == 1:
        del chosen["outfits"]  # as in data sets made before there were any
    wanted = json.dumps({**chosen, "truth_version": version}, indent=2) + "\n"
    if _is_there(root, wanted):
        return
    with locked(root.with_name(f".{root.name}.lock"), f"the demo data set in {root.name}"):
        if not _is_there(root, wanted):
            with whole(root) as fresh:
                _write(settings, fresh, progress)
                (fresh / SETTINGS_FILE).write_text(wanted)


def _is_there(root: Path, wanted: str) -> bool:
    """Whether the demo of these settings is there; another in its place is an error."""
    if root.exists() and any(root.iterdir()):
        marker = root / SETTINGS_FILE
        if marker.is_file() and marker.read_text() == wanted:
            return True
        other = "the demo data set of other settings or another version"
        what = other if marker.is_file() else "something that is not the demo data set"
        raise DataError(f"the folder holds {what}", where=root, fix="delete it, or set another data.root")
    return False


Rendered = tuple[list[bytes], dict[str, NDArray[np.generic]]]
"""The JPEGs of a tracklet, and its true columns of `SKELETONS`."""


def _render(settings: DemoSettings, walk: Walk) -> Rendered:
    """One tracklet; runs in a worker process."""
    cv2.setNumThreads(1)
    view = make_views(settings)[walk.camid - 1]
    crops, joints = walk_crops(settings, walk, view)
    quality = [cv2.IMWRITE_JPEG_QUALITY, view.light.quality]
    truth: dict[str, NDArray[np.generic]] = {
        "keypoints_3d": centre_on_pelvis(joints).astype(np.float32),
        "keypoints_2d": np.stack([c.keypoints for c in crops]).astype(np.float32),
        "scores": np.stack([c.visible for c in crops]).astype(np.float32),
        "status": np.zeros(len(crops), np.uint8),
        "filled": np.zeros(len(crops), np.bool_),
    }
    return [cv2.imencode(".jpg", crop.image, quality)[1].tobytes() for crop in crops], truth


def _rendered(settings: DemoSettings, walks: Sequence[Walk]) -> Iterator[Rendered]:
    with ProcessPoolExecutor(settings.workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(_render, settings), walks, chunksize=WALKS_A_TASK)


def _write(settings: DemoSettings, root: Path, progress: Progress) -> None:
    walks = plan_walks(settings)
    names: dict[str, list[str]] = {"train": [], "test": []}
    rows: dict[str, list[list[int]]] = {"train": [], "test": []}
    truth: dict[str, list[NDArray[np.generic]]] = {column: [] for column in SKELETON_SHAPES}
    queries = []
    listed = []
    for number, (walk, (jpegs, columns)) in enumerate(zip(walks, _rendered(settings, walks), strict=True), start=1):
        folder = root / f"bbox_{walk.part}" / walk.name.split("C")[0]
        folder.mkdir(parents=True, exist_ok=True)
        first = len(names[walk.part]) + 1
        for frame, jpeg in enumerate(jpegs, start=1):
            name = f"{walk.name}F{frame:03d}.jpg"
            (folder / name).write_bytes(jpeg)
            names[walk.part].append(name)
            split = "train" if walk.part == "train" else "query" if walk.query else "gallery"
            path = (folder / name).relative_to(root).as_posix()
            listed.append((walk.name, split, walk.pid, walk.camid, walk.outfit + 1, path))
        rows[walk.part].append([first, len(names[walk.part]), walk.pid, walk.camid])
        if walk.query:
            queries.append(len(rows["test"]))
        for column, values in columns.items():
            truth[column].append(values)
        progress(number, len(walks), "tracklets")
    (root / "info").mkdir(parents=True)
    for part in names:
        (root / f"info/{part}_name.txt").write_text("\n".join(names[part]) + "\n")
        _save_mat(root / f"info/tracks_{part}_info.mat", f"track_{part}_info", np.array(rows[part], np.int32))
    _save_mat(root / "info/query_IDX.mat", "query_IDX", np.array([queries], np.uint16))
    if settings.outfits > 1:
        _save_manifest(root / "manifest.csv", [row for row in listed if row[2] >= 0])
    (root / "truth").mkdir()
    write_table(ragged_table([w.name for w in walks], truth, SKELETONS), root / "truth/skeletons.parquet")


def _save_manifest(path: Path, rows: Sequence[tuple[str, str, int, int, int, str]]) -> None:
    """MARS's lists have no clothes: the table of the layout `manifest` has."""
    header = ("tracklet_id", "split", "pid", "camid", "clothes", "frame")
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in (header, *rows)))


def _save_mat(path: Path, name: str, matrix: NDArray[np.generic]) -> None:
    import scipy.io  # half a second, and most runs only look whether the data set is there

    scipy.io.savemat(path, {name: matrix})
    content = path.read_bytes()
    path.write_bytes(MAT_HEADER + content[len(MAT_HEADER) :])  # scipy writes the time into the header
