"""Training data as arrays: tracklets with labels, frames as uint8 tensors kept in memory where they fit."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from storage.addresses import DataRoot
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.frames.images import read_frame
from storage.progress import Progress
from storage.tables.parquet import Ragged, read_ragged
from storage.tables.schema import FEATURES, FRAME_STATUS, SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import Tracklet, read_index
from training.batches.augment import Draws, draw
from training.batches.loader import Batch
from training.batches.sampling import segment_frames
from training.settings import AugmentSettings

OK = FRAME_STATUS.index("ok")
Image = NDArray[np.uint8] | None
"""(3, H, W) RGB; None where a frame cannot be read."""


@dataclass(frozen=True)
class TrainingSet:
    """Tracklets to train on.

    Attributes:
        tracklets: sorted by id, whatever shards they came from.
        labels: 0 to K - 1, in the order of pids, (N,).
        pids: identity of each label, (K,).
        cameras: camera ids, sorted.
    """

    tracklets: tuple[Tracklet, ...]
    labels: NDArray[np.int64]
    pids: tuple[int, ...]
    cameras: tuple[int, ...]


def read_training_set(indexes: Sequence[Path]) -> TrainingSet:
    """The training tracklets of index shards.

    Raises:
        DataError: fewer than two identities: nothing to tell apart.
    """
    training = (t for t in read_index(list(indexes)) if t.split == "train")
    tracklets = tuple(sorted(training, key=lambda t: t.tracklet_id))
    pids = tuple(sorted({t.pid for t in tracklets}))
    if len(pids) < 2:
        raise DataError(
            f"the training split has {len(pids)} identities; at least two are needed",
            fix="check the data set's training list",
        )
    position = {pid: label for label, pid in enumerate(pids)}
    labels = np.array([position[t.pid] for t in tracklets], dtype=np.int64)
    return TrainingSet(tracklets, labels, pids, tuple(sorted({t.camid for t in tracklets})))


@dataclass(frozen=True)
class PerFrame:
    """One value a frame of many tracklets: a sequence of (T, ...) views of one contiguous array.

    Attributes:
        values: of all frames, (F, ...).
        starts, lengths: first row of each tracklet, and its frames, (N,).
    """

    values: NDArray[Any]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, tracklet: int) -> NDArray[Any]:
        return self.values[self.starts[tracklet] : self.starts[tracklet] + self.lengths[tracklet]]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[tracklet] for tracklet in range(len(self)))

    def clips(self, tracklets: Sequence[int], frames: NDArray[np.int64]) -> NDArray[Any]:
        """The values (B, T, ...) at frames (B, T) of tracklets (B,)."""
        rows: NDArray[np.int64] = self.starts[np.asarray(tracklets)][:, None] + frames
        return self.values[rows]


def read_skeletons(paths: Sequence[Path], tracklets: Sequence[Tracklet]) -> tuple[PerFrame, PerFrame]:
    """Skeletons (T, 17, 3) of tracklets, in their order, and which frames can be learnt from (T,).

    Those are the frames in which a person was found with confidence, and those filled from their neighbours in time.

    Raises:
        DataError: a tracklet has no skeletons, or another number of them than of frames.
    """
    ragged = read_ragged(paths, SKELETONS, SKELETON_SHAPES, ["keypoints_3d", "status", "filled"])
    starts, lengths = frame_rows(ragged, tracklets, "skeletons")
    seen = (ragged.values["status"] == OK) | ragged.values["filled"]
    return PerFrame(ragged.values["keypoints_3d"], starts, lengths), PerFrame(seen, starts, lengths)


def read_features(paths: Sequence[Path], tracklets: Sequence[Tracklet]) -> PerFrame:
    """Frozen visual features (T, P) of tracklets, in their order; not finite where a frame was unreadable.

    Raises:
        DataError: a tracklet has no features, or another number of them than of frames.
    """
    ragged = read_ragged(paths, FEATURES, {"features": (-1,)})
    return PerFrame(ragged.values["features"], *frame_rows(ragged, tracklets, "features"))


def frame_rows(ragged: Ragged, tracklets: Sequence[Tracklet], what: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the frames of tracklets are in a table's arrays: the first row of each, and how many, (N,) both.

    Raises:
        DataError: a tracklet has another number of them than of frames; `what` is what they are called.
    """
    position = ragged.position()
    for tracklet in tracklets:
        row = position.get(tracklet.tracklet_id)
        found = 0 if row is None else int(ragged.offsets[row + 1] - ragged.offsets[row])
        if found != len(tracklet.frames):
            raise DataError(
                f"{found} {what} for {len(tracklet.frames)} frames",
                where=f"tracklet {tracklet.tracklet_id}",
                fix="extract again: the two were made from different indexes",
            )
    rows = np.array([position[t.tracklet_id] for t in tracklets], dtype=np.int64)
    return ragged.offsets[rows], np.diff(ragged.offsets)[rows]


class FrameSource:
    """Frames as uint8 arrays, kept in memory once decoded while they fit; threads that share it decode no frame twice.

    Args:
        root: data root.
        size: (height, width) that frames are resized to.
        workers: decoding threads; 1 decodes in the caller's.
        cache_megabytes: memory for decoded frames.
    """

    def __init__(self, root: DataRoot, size: tuple[int, int], workers: int, cache_megabytes: int) -> None:
        self.files, self.size, self.workers = DataFiles(root), size, workers
        self.room = cache_megabytes * 1_000_000 // (3 * size[0] * size[1])
        self.kept: dict[str, Image] = {}
        self._coming: dict[str, Future[Image]] = {}
        self._lock = Lock()

    def fetch(self, tracklets: Iterable[Tracklet], progress: Progress) -> None:
        """Bring all frames of tracklets to this machine at once, where the data set lies elsewhere.

        Raises:
            DataError: the service that has them cannot be asked.
        """
        self.files.fetch((name for tracklet in tracklets for name in tracklet.frames), progress)

    def ahead(self, tracklets: Iterable[Tracklet]) -> Iterator[Tracklet]:
        """The tracklets; while one is used, the frames of the next are brought to this machine."""
        return self.files.ahead(tracklets, lambda tracklet: tracklet.frames)

    def read(self, names: Sequence[str]) -> list[Image]:
        """Each frame as (3, H, W) RGB uint8; None where it cannot be read."""
        with self._lock:
            found = {name: self.kept[name] for name in names if name in self.kept}
            coming = {name: self._coming[name] for name in names if name in self._coming}
            mine = [name for name in dict.fromkeys(names) if name not in found and name not in coming]
            self._coming |= {name: Future() for name in mine}
        found |= dict(zip(mine, self._decoded(mine), strict=True))
        found |= {name: future.result() for name, future in coming.items()}
        return [found[name] for name in names]

    def _decoded(self, names: Sequence[str]) -> list[Image]:
        """Frames that nobody else decodes, for all that wait for them, too."""
        try:
            if self.workers == 1 or not names:
                images = [self._decode(name) for name in names]
            else:
                with ThreadPoolExecutor(self.workers) as pool:
                    images = list(pool.map(self._decode, names))
        except BaseException as error:
            with self._lock:
                for name in names:
                    self._coming.pop(name).set_exception(error)
            raise
        with self._lock:
            if len(self.kept) + len(names) <= self.room:
                self.kept |= dict(zip(names, images, strict=True))
            for name, image in zip(names, images, strict=True):
                self._coming.pop(name).set_result(image)
        return images

    def _decode(self, name: str) -> Image:
        frame = read_frame(self.files, name)
        if frame is None:
            return None
        image = np.ascontiguousarray(frame[:, :, ::-1].transpose(2, 0, 1))  # BGR to RGB
        return image if image.shape[1:] == self.size else resized(image, self.size)

    def clips(self, clips: Sequence[Sequence[str]]) -> list[NDArray[np.uint8] | None]:
        """Clips as (T, 3, H, W) each; an unreadable frame is replaced by the nearest readable one of its clip.

        None for a clip without any readable frame.
        """
        frames = iter(self.read([name for names in clips for name in names]))
        return [_filled(list(islice(frames, len(names)))) for names in clips]


def resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(3, H, W) uint8 to another size, bilinear, antialiased where it shrinks: as PIL does, up to 1 in 255."""
    batch = torch.from_numpy(image)[None]
    found: NDArray[np.uint8] = F.interpolate(batch, size, mode="bilinear", antialias=True)[0].numpy()
    return found


def _filled(frames: Sequence[NDArray[np.uint8] | None]) -> NDArray[np.uint8] | None:
    good = {i: frame for i, frame in enumerate(frames) if frame is not None}
    if not good:
        return None
    return np.stack([good[min(good, key=lambda g: (abs(g - i), g))] for i in range(len(frames))])


def sample_frames(
    data: TrainingSet, tracklets: Sequence[int], length: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Frame numbers (B, T) of one random clip of each tracklet."""
    return np.stack([segment_frames(len(data.tracklets[i].frames), length, rng) for i in tracklets])


@dataclass(frozen=True)
class Clips:
    """The clips of a batch, as chance decided.

    Attributes:
        tracklets: positions in the training set, B.
        frames: numbers in the tracklets, (B, T).
        draws: augmentation.
    """

    tracklets: list[int]
    frames: NDArray[np.int64]
    draws: Draws

    def of(self, rows: Sequence[int]) -> "Clips":
        """Some of the clips."""
        return Clips([self.tracklets[k] for k in rows], self.frames[list(rows)], self.draws.of(rows))


def draw_clips(
    data: TrainingSet, tracklets: list[int], length: int, augment: AugmentSettings, rng: np.random.Generator
) -> Clips:
    """A random clip of `length` frames of each tracklet, and how it is augmented."""
    return Clips(tracklets, sample_frames(data, tracklets, length, rng), draw(len(tracklets), length, augment, rng))


def read_clips(data: TrainingSet, clips: Clips, source: FrameSource) -> tuple[Clips, Batch]:
    """A batch of clips, without those of which no frame can be read.

    Returns:
        Which clips are there, and of these: images (B', T, 3, H, W) uint8 RGB, draws, labels (B',), names of tracklets.

    Raises:
        DataError: not one frame of all these clips can be read.
    """
    names = [[data.tracklets[i].frames[f] for f in row] for i, row in zip(clips.tracklets, clips.frames, strict=True)]
    read = source.clips(names)
    kept = clips.of([k for k, images in enumerate(read) if images is not None])
    if not kept.tracklets:
        raise DataError(
            "not one frame of a whole batch can be read",
            where=", ".join(data.tracklets[i].tracklet_id for i in clips.tracklets[:5]),
            fix="check data.root, and the disk that it is on",
        )
    return kept, {
        "images": torch.from_numpy(np.stack([images for images in read if images is not None])),
        "draws": kept.draws,
        "labels": torch.from_numpy(data.labels[kept.tracklets]),
        "names": [data.tracklets[i].tracklet_id for i in kept.tracklets],
    }
