"""Skeletons in NumPy archives, from any source, which say themselves what a skeleton is: `data.sequences.files`.

    joints (N, J, 3)        floats, metres, all sequences one after the other; axes: data.sequences.axes
    start (S + 1,)          first frame of each sequence, and N at the end
    joint_names (J,), bones (E, 2)      what the skeleton is; root (R,): names of the joints in its middle, if need be
    person (S,)             identities
    valid (N,)              which frames count; all, where it is not there

Any other array of S whole numbers, truth values or words is a column: `data.sequences.train`, `query`, `gallery` and
`only` choose sequences by columns.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from storage.datasets.lists import checked, printable
from storage.datasets.recordings.own_skeletons import own_kind
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.skeleton import Recordings, SkeletonType
from storage.tables.tracklets import SPLITS, Tracklet
from storage.wording import below, listed

SUFFIX = ".npz"
NEEDED = ("joints", "start", "person", "joint_names", "bones")
FIX = "write the arrays that docs/data-sets.md names (numpy.savez_compressed), and no Python objects"
TALL = (0.5, 3.0)
"""Metres that the median body may reach in its longest direction."""

Value = bool | int | str
Choice = Mapping[str, Sequence[Value]]
"""Column -> values, any of which it must have."""


@dataclass(frozen=True)
class Arrays:
    """What a file holds: its name, skeleton, joints (N, J, 3), valid (N,), start (S + 1,) and columns of S values."""

    name: str
    kind: SkeletonType
    joints: NDArray[np.float32]
    valid: NDArray[np.bool_]
    start: NDArray[np.int64]
    columns: Mapping[str, list[Value]]

    def id_of(self, sequence: int) -> str:
        """The recording's name: the file's, and the number of the sequence."""
        return f"{self.name.removesuffix(SUFFIX)}/{sequence:05d}"


def read_recordings(
    files: DataFiles, pattern: str, choices: Mapping[str, Choice], only: Choice, camera: str | None
) -> list[Tracklet]:
    """The sequences that train, ask and answer.

    Args:
        files: of the data set.
        pattern: of the files' names.
        choices: split -> which sequences it has.
        only: what all of them must fulfil besides.
        camera: column with whole numbers of cameras; None: one for each split, so that no answer is left out.

    Raises:
        DataError: a file is not of this form, the choices name what is not there, or leave a split without sequences.
    """
    held = _read_all(files, pattern)
    for split, choice in {**choices, "only": only}.items():
        _check_choice(held, split, choice, files)
    if camera:
        _check_choice(held, "camera", {camera: ()}, files)
    problems, recordings = [], []
    for arrays in held:
        for number, pid in enumerate(arrays.columns["person"]):
            row = {name: values[number] for name, values in arrays.columns.items()}
            splits = [split for split in SPLITS if fits(row, only) and fits(row, choices[split])]
            if len(splits) > 1:
                named = " and ".join(f"data.sequences.{split}" for split in splits)
                problems.append(f"{arrays.id_of(number)}: {named} both choose it")
            for split in splits[:1]:
                camid = row[camera] if camera else 1 + SPLITS.index(split)
                if not isinstance(camid, int):
                    problems.append(f"{arrays.id_of(number)}: {camera} is {camid!r}, no whole number of a camera")
                    continue
                recordings.append(Tracklet(arrays.id_of(number), split, int(pid), int(camid), (arrays.name,)))
    empty = [split for split in SPLITS if not any(recording.split == split for recording in recordings)]
    if empty and not problems:
        raise DataError(
            f"no sequence is left for {', '.join(empty)}",
            where=f"{files.root}: " + ", ".join(f"data.sequences.{split}={dict(choices[split])}" for split in empty),
            fix="choose them by values that these columns have together; `only` must hold of them, too",
        )
    return checked(files, recordings, problems, recordings=True)


def kind_of(files: DataFiles, pattern: str) -> SkeletonType:
    """The skeleton that the files describe.

    Raises:
        DataError: a file is not of this form, or they describe several.
    """
    return _read_all(files, pattern)[0].kind


def read_frames(files: DataFiles, recordings: Sequence[Tracklet], kind: SkeletonType) -> Recordings:
    """Skeletons (T, J, 3) of recordings in the file's own axes, and which of them are valid, (T,)."""
    held: dict[str, Arrays] = {}
    for recording in recordings:
        name = recording.frames[0]
        if name not in held:
            held[name] = parse(files, name)
        arrays, number = held[name], int(recording.tracklet_id.rpartition("/")[2])
        own = slice(*arrays.start[number : number + 2].tolist())
        yield arrays.joints[own], arrays.valid[own]


def fits(row: Mapping[str, Value], choice: Choice) -> bool:
    """Whether each column of a choice has one of its values."""
    return all(row[column] in values for column, values in choice.items())


def parse(files: DataFiles, name: str) -> Arrays:
    """A file's arrays.

    Raises:
        DataError: it is none, arrays are missing, or do not fit each other; lists what is wrong.
    """
    held = _loaded(files, name)
    problems = [f"{array}: there is no such array" for array in NEEDED if array not in held]
    problems = problems or _shapes(held) or _values(held)
    if problems:
        raise _error(files, name, problems)
    try:
        root = [str(joint) for joint in held["root"].ravel()] if "root" in held else []
        kind = own_kind([str(joint) for joint in held["joint_names"]], held["bones"].tolist(), root)
    except ValueError as error:
        raise _error(files, name, str(error).splitlines()) from error
    start = held["start"].astype(np.int64)
    per_sequence = {
        key: values.tolist()
        for key, values in held.items()
        if key not in ("joint_names", "root") and values.shape == (len(start) - 1,) and values.dtype.kind in "biuU"
    }
    joints = held["joints"].astype(np.float32)
    return Arrays(name, kind, joints, _valid(held), start, per_sequence)


def _loaded(files: DataFiles, name: str) -> dict[str, NDArray[np.generic]]:
    try:
        opened = np.load(io.BytesIO(files.read(name)), allow_pickle=False)
        if not isinstance(opened, np.lib.npyio.NpzFile):
            raise ValueError("it is one array, not an archive of arrays")
        with opened as archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # many kinds for one cause: not such a file
        said = printable(" ".join(str(error).split()) or type(error).__name__)
        raise DataError(
            f"cannot be read as an archive of NumPy arrays: {said}", where=files.where(name), fix=FIX
        ) from error


def _shapes(held: Mapping[str, NDArray[np.generic]]) -> list[str]:
    """What is wrong with types and shapes."""
    problems = []
    wanted = {
        "joints": ("f", 3, "floats, frames x joints x 3"),
        "start": ("iu", 1, "whole numbers, one a sequence and one more"),
        "person": ("iu", 1, "whole numbers, one a sequence"),
        "joint_names": ("U", 1, "names, one a joint"),
        "bones": ("iu", 2, "whole numbers, bones x 2"),
        "valid": ("b", 1, "truth values, one a frame"),
        "root": ("U", 1, "names of joints"),
    }
    for name, (kinds, dimensions, words) in wanted.items():
        if name in held and (held[name].dtype.kind not in kinds or held[name].ndim != dimensions):
            problems.append(f"{name}: is {held[name].dtype} of shape {held[name].shape}; it must be {words}")
    if problems:
        return problems
    frames, joints, sequences = len(held["joints"]), held["joints"].shape[1], len(held["start"]) - 1
    last = {"joints": 3, "bones": 2}
    problems += [
        f"{n}: its last axis is {held[n].shape[-1]}, not {w}" for n, w in last.items() if held[n].shape[-1] != w
    ]
    counts = {"joint_names": (joints, "joints"), "person": (sequences, "sequences")}
    counts |= {"valid": (frames, "frames")} if "valid" in held else {}
    problems += [
        f"{n}: has {len(held[n])} values for {c} {what}" for n, (c, what) in counts.items() if len(held[n]) != c
    ]
    return problems


def _values(held: Mapping[str, NDArray[np.generic]]) -> list[str]:
    """What is wrong with values, where types and shapes are right."""
    start, frames = held["start"].astype(np.int64), len(held["joints"])
    if len(start) < 2:
        return ["start: there is no sequence"]
    falls = np.flatnonzero(np.diff(start) <= 0)
    if len(falls):
        at = int(falls[0])
        return [f"start: must rise, but sequence {at} starts at {start[at]} and the next at {start[at + 1]}"]
    if start[0] != 0 or start[-1] != frames:
        return [f"start: goes from {start[0]} to {start[-1]}, not from 0 to the {frames} frames of joints"]
    valid = _valid(held)
    joints = held["joints"][valid].astype(np.float32)
    broken = np.flatnonzero(valid)[~np.isfinite(joints).all(axis=(1, 2))]
    if len(broken):
        return [
            f"joints: {len(broken)} valid frames hold what is no number, frame {broken[0]} first; mark them in `valid`"
        ]
    if not len(joints):
        return ["valid: no frame is"]
    tall = float(np.median(np.ptp(joints, axis=1).max(axis=1)))
    if not TALL[0] <= tall <= TALL[1]:
        return [f"joints: bodies are {tall:.4g} m tall; write them in metres"]
    return []


def _valid(held: Mapping[str, NDArray[np.generic]]) -> NDArray[np.bool_]:
    return held["valid"].astype(bool) if "valid" in held else np.ones(len(held["joints"]), bool)


def _error(files: DataFiles, name: str, problems: Sequence[str]) -> DataError:
    said = [printable(problem) for problem in problems]
    return DataError(
        "the arrays are no sequences of skeletons:" + below(said), where=files.where(name), fix=FIX, problems=said
    )


def _read_all(files: DataFiles, pattern: str) -> list[Arrays]:
    names = [name for name in files.names() if name.endswith(SUFFIX) and fnmatchcase(name, pattern)]
    if not names:
        raise DataError(
            f"there is no file {pattern}", where=files.root, fix="set data.root, or data.sequences.files to its name"
        )
    held = [parse(files, name) for name in names]
    other = [arrays.name for arrays in held if arrays.kind != held[0].kind]
    if other:
        raise DataError(
            f"joint_names, bones or root are others than in {held[0].name}",
            where=files.where(other[0]),
            fix="keep skeletons of different kinds apart: set data.sequences.files to those of one kind",
        )
    return held


def _check_choice(held: Sequence[Arrays], setting: str, choice: Choice, files: DataFiles) -> None:
    """Refuse columns and values that no file has, which would silently choose nothing."""
    for column, wanted in choice.items():
        without = [arrays for arrays in held if column not in arrays.columns]
        if without:
            raise DataError(
                f"data.sequences.{setting}: there is no array {column!r} of a value a sequence; there are "
                f"{', '.join(without[0].columns)}",
                where=files.where(without[0].name),
                fix="choose sequences by one of these",
            )
        there = sorted({value for arrays in held for value in arrays.columns[column]}, key=str)
        unknown = [value for value in wanted if value not in there]
        if unknown:
            raise DataError(
                f"data.sequences.{setting}: {column} is never {listed(unknown)}; it is {listed(there, 30)}",
                where=files.root,
                fix="choose values that it has",
            )
