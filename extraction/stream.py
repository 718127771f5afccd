"""Frames in, skeletons out, as a stream: reading, estimating, lifting and the caller's writing go on at the same time.

Memory holds some batches and the tracklets that are under way, however many there are in all. The order of results is
that of the tracklets, and their bytes depend neither on the batch size nor on the number of threads.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from extraction.lifting.lifter import Lifter
from extraction.pose2d.estimator import Crops, Estimator
from extraction.pose2d.keypoints import Poses2D
from extraction.poses import Thresholds, skeletons_of
from extraction.skeletons import Columns
from storage.frames.images import decode_frame
from storage.tables.tracklets import Tracklet
from storage.threads import in_order

LIFTED_TOGETHER = 8192
"""Frames of whole tracklets that are gathered for a lifter which takes several tracklets at once."""


@dataclass(frozen=True)
class Models:
    """Both models, and `workers` threads that they compute in, see `threads.compute_pool`."""

    estimator: Estimator
    lifter: Lifter
    compute: Executor
    workers: int


@dataclass(frozen=True)
class Stream:
    """How frames become skeletons.

    Attributes:
        models: both of them.
        read: a frame's name to the bytes of its file, empty if there is none.
        thresholds: when a frame counts as what.
        batch_size: frames at once in the estimator.
        readers: threads that read and decode ahead of the models.
    """

    models: Models
    read: Callable[[str], NDArray[np.uint8]]
    thresholds: Thresholds
    batch_size: int
    readers: int

    def skeletons(self, tracklets: Iterable[Tracklet]) -> Iterator[tuple[Tracklet, Columns]]:
        """Each tracklet with its columns of `SKELETONS`, in the order given."""
        for done in in_order(self._lifts(tracklets), 2 * self.models.workers):
            yield from done

    def _lifts(self, tracklets: Iterable[Tracklet]) -> Iterator[Future[list[tuple[Tracklet, Columns]]]]:
        """A lifting job for each tracklet, or for several where the lifter takes them together."""
        wanted = LIFTED_TOGETHER if self.models.lifter.together else 1
        waiting: list[tuple[Tracklet, Poses2D]] = []
        for found in self._whole(tracklets):
            waiting.append(found)
            if sum(len(poses) for _, poses in waiting) >= wanted:
                yield self.models.compute.submit(self._lift, waiting)
                waiting = []
        if waiting:
            yield self.models.compute.submit(self._lift, waiting)

    def _lift(self, found: Sequence[tuple[Tracklet, Poses2D]]) -> list[tuple[Tracklet, Columns]]:
        columns = skeletons_of([poses for _, poses in found], self.models.lifter, self.thresholds)
        return [(tracklet, one) for (tracklet, _), one in zip(found, columns, strict=True)]

    def _whole(self, tracklets: Iterable[Tracklet]) -> Iterator[tuple[Tracklet, Poses2D]]:
        """Each tracklet with what the estimator finds in its frames, once all of them are done."""
        begun: deque[Tracklet] = deque()

        def names() -> Iterator[str]:
            for tracklet in tracklets:
                begun.append(tracklet)
                yield from tracklet.frames

        found = Poses2D.empty(0)
        for poses in self.estimates(names()):
            found = found.followed_by(poses)
            while begun and (frames := len(begun[0].frames)) <= len(found):
                yield begun.popleft(), found[:frames]
                found = found[frames:]
        for tracklet in begun:  # nothing is left but tracklets without a frame
            yield tracklet, found

    def estimates(self, names: Iterator[str]) -> Iterator[Poses2D]:
        """What the estimator finds in frames, a batch after another."""
        with ThreadPoolExecutor(self.readers, thread_name_prefix="frames") as readers:

            def jobs() -> Iterator[Future[Poses2D]]:
                while batch := list(islice(names, self.batch_size)):
                    yield self.models.compute.submit(self._estimate, readers.submit(self._prepare, batch))

            # enough that neither the models nor the readers ever wait, and no more
            yield from in_order(jobs(), 2 * self.models.workers + 1)

    def _prepare(self, names: Sequence[str]) -> tuple[Poses2D, Crops | None]:
        frames = [decode_frame(self.read(name)) for name in names]
        poses = Poses2D.empty(len(frames))
        poses.sizes[:] = [(0, 0) if frame is None else frame.shape[1::-1] for frame in frames]
        readable = [frame for frame in frames if frame is not None]
        return poses, self.models.estimator.crops(readable) if readable else None

    def _estimate(self, prepared: Future[tuple[Poses2D, Crops | None]]) -> Poses2D:
        poses, crops = prepared.result()
        if crops is not None:
            keypoints, scores = self.models.estimator.answer(crops)
            joints, rows = self.models.estimator.joints, poses.sizes[:, 0] > 0
            poses.keypoints[rows] = joints.keypoints(keypoints)
            poses.scores[rows] = joints.scores(scores)
        return poses
