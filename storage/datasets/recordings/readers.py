"""Readers of data sets of skeletons without images, in `SEQUENCE_READERS`. docs/data-sets.md says what each reads.

A tracklet is then a recording: one person in front of one sensor, its `frames` the files that hold its skeletons.
People of the test may be those of the training, as the published protocols have it. Query and gallery have different
camera ids, so that no answer is left out.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, StrictBool, StrictInt, StrictStr

from storage.datasets.recordings import kinect_text, skeleton_arrays, skeleton_tables, utd_mhad
from storage.datasets.recordings.kinect_text import BIWI, IAS, Layout
from storage.errors import SettingsError
from storage.frames.files import DataFiles
from storage.settings import Settings
from storage.skeleton import KINECT20, SKELETON_TYPES, Recordings, SkeletonType
from storage.tables.tracklets import Tracklet


def _as_lists(choice: Any) -> Any:
    """`{condition: N}` as well as `{condition: [N]}`."""
    if not isinstance(choice, dict):
        return choice
    return {column: values if isinstance(values, list | tuple) else (values,) for column, values in choice.items()}


Choice = Annotated[dict[str, tuple[StrictBool | StrictInt | StrictStr, ...]], BeforeValidator(_as_lists)]
"""Column -> the values, any of which a sequence must have there."""

AXES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "camera": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "kinect": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "z_up": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}
"""What turns a file's axes into the camera's: rows are x right, y down, z away."""


class SequenceSettings(Settings):
    """Which recordings of a data set of skeletons train, ask and answer, and which of their frames count."""

    probe: Literal["walking", "still", "A", "B"] | None = Field(
        None, description="What asks: walking or still (biwi), A or B (ias); the other answers. null: walking, A."
    )
    train_trials: tuple[int, ...] = Field((1, 2), min_length=1, description="Trials that train (utd_mhad).")
    probe_trials: tuple[int, ...] = Field((3,), min_length=1, description="Trials that ask (utd_mhad).")
    gallery_trials: tuple[int, ...] = Field((4,), min_length=1, description="Trials that answer (utd_mhad).")
    actions: Literal["same", "different"] = Field(
        "same",
        description="Every action in every split, or each in one: training 3, 6, ...; probe 1, 4, ...; gallery 2, 5, "
        "... (utd_mhad).",
    )
    skeleton: Literal["h36m17", "coco17", "kinect20"] = Field(
        "kinect20", description="Kind of the skeletons where their file does not say it (skeletons)."
    )
    trim: int = Field(
        0, ge=0, description="Frames left out at each end of a recording; 10 in the published protocol of BIWI and IAS."
    )
    bone_length: float | None = Field(
        None,
        gt=0,
        description="Length that every bone is given, metres, so that only how people stand and move is left; null: "
        "bones as they are.",
    )
    files: str = Field(
        "*.npz", min_length=1, description="Which files hold the sequences: a name or pattern (skeleton_arrays)."
    )
    axes: Literal["camera", "kinect", "z_up"] = Field(
        "camera",
        description="camera: x right, y down, z away. kinect: x left, y up, z away. z_up: x right, y away, z up "
        "(skeleton_arrays).",
    )
    only: Choice = Field(
        {}, description="What must hold of all sequences, such as {walking: true}: column: values (skeleton_arrays)."
    )
    train: Choice = Field({"split": ("train",)}, description="Which sequences train, by columns (skeleton_arrays).")
    query: Choice = Field({"split": ("query",)}, description="Which sequences ask (skeleton_arrays).")
    gallery: Choice = Field({"split": ("gallery",)}, description="Which sequences answer (skeleton_arrays).")
    camera: str | None = Field(
        None,
        description="Column with cameras, of which a query's own does not answer with the query's person; null: all "
        "sequences answer (skeleton_arrays).",
    )


class SequenceReader(NamedTuple):
    """How a layout of skeletons is read.

    Attributes:
        read: the recordings of a data root; checks the files that it needs before anything else.
        frames: of each of some recordings, its skeletons (T, J, 3) float32 in metres, camera axes (x right, y down,
            z away), wherever their root is, and which of them were tracked, (T,) bool.
        folders: folders whose files' names `read` lists; an empty name is the whole root.
        own_axes: `frames` gives joints in the axes that the settings name, not in the camera's.
    """

    read: Callable[[DataFiles, SequenceSettings], list[Tracklet]]
    frames: Callable[[DataFiles, Sequence[Tracklet], SkeletonType], Recordings]
    folders: tuple[str, ...] = ("",)
    lists: tuple[str, ...] = ()
    own_axes: bool = False


def _kinect(layout: Layout, files: DataFiles, settings: SequenceSettings) -> list[Tracklet]:
    probes = tuple(layout.test)
    if settings.probe is not None and settings.probe not in probes:
        raise SettingsError(
            f"this data set has no probe {settings.probe}",
            where="data.sequences.probe",
            fix=f"choose {' or '.join(probes)}",
        )
    return kinect_text.read_recordings(files, layout, settings.probe or probes[0])


def _utd_mhad(files: DataFiles, settings: SequenceSettings) -> list[Tracklet]:
    trials = {"train": settings.train_trials, "query": settings.probe_trials, "gallery": settings.gallery_trials}
    shared = [trial for trial in settings.gallery_trials if trial in settings.probe_trials]
    if shared:
        raise SettingsError(
            f"trial {shared[0]} would both ask and answer",
            where="data.sequences.probe_trials and gallery_trials",
            fix="give each trial to one of them",
        )
    return utd_mhad.read_recordings(files, trials, apart=settings.actions == "different")


def _arrays(files: DataFiles, settings: SequenceSettings) -> list[Tracklet]:
    choices = {"train": settings.train, "query": settings.query, "gallery": settings.gallery}
    return skeleton_arrays.read_recordings(files, settings.files, choices, settings.only, settings.camera)


SEQUENCE_READERS: dict[str, SequenceReader] = {
    "biwi": SequenceReader(partial(_kinect, BIWI), kinect_text.read_frames, ("Training", "Testing")),
    "ias": SequenceReader(partial(_kinect, IAS), kinect_text.read_frames, ("Training", "TestingA", "TestingB")),
    "utd_mhad": SequenceReader(_utd_mhad, utd_mhad.read_frames),
    "skeletons": SequenceReader(lambda files, _: skeleton_tables.read_recordings(files), skeleton_tables.read_frames),
    "skeleton_arrays": SequenceReader(_arrays, skeleton_arrays.read_frames, own_axes=True),
}
"""Layout name -> reader."""


def skeleton_type(files: DataFiles, layout: str, settings: SequenceSettings) -> SkeletonType:
    """The kind of a data set's skeletons.

    Raises:
        DataError: its files say several, or one that is not known.
    """
    if layout == "skeleton_arrays":
        return skeleton_arrays.kind_of(files, settings.files)
    if layout == "skeletons":
        return skeleton_tables.named_type(files) or SKELETON_TYPES[settings.skeleton]
    return KINECT20


def in_camera_axes(joints: NDArray[np.float32], settings: SequenceSettings) -> NDArray[np.float32]:
    """Joints (..., 3) in the axes of their file, as x right, y down, z away."""
    return joints @ np.array(AXES[settings.axes], np.float32).T
