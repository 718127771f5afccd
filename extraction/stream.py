"""Frames in, skeletons out, as a stream: reading, estimating, lifting and the caller's writing go on at the same time.

Memory holds some batches and the tracklets that are under way, however many there are in all. The order of results is
that of the tracklets, and their bytes depend neither on the batch size nor on the number of threads.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extraction.lifting.lifter import Lifter
from extraction.pose2d.estimator import Crops, Estimator
from extraction.poses import Estimates, Thresholds, skeletons_of
from extraction.stopwatch import Stopwatch
from storage.frames.images import Frame, decode_frame
from storage.tables.tracklets import Tracklet
from storage.threads import in_order

Columns = dict[str, NDArray[Any]]
Read = Callable[[str], NDArray[np.uint8]]

LIFTED_TOGETHER = 8192
"""Frames of whole tracklets that are gathered for a lifter which takes several tracklets at once."""


@dataclass(frozen=True)
class Models:
    """Both models, and the threads that they compute in.

    Attributes:
        estimator: of keypoints.
        lifter: of skeletons.
        compute: threads whose torch operators use one thread each, see `parallel.compute_pool`.
        workers: how many.
    """

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
        watch: where the time goes.
    """

    models: Models
    read: Read
    thresholds: Thresholds
    batch_size: int
    readers: int
    watch: Stopwatch = field(default_factory=Stopwatch)

    def skeletons(self, tracklets: Iterable[Tracklet]) -> Iterator[tuple[Tracklet, Columns]]:
        """Each tracklet with its columns of `SKELETONS`, in the order given."""
        for done in in_order(self._lifts(tracklets), 2 * self.models.workers):
            yield from done

    def _lifts(self, tracklets: Iterable[Tracklet]) -> Iterator[Future[list[tuple[Tracklet, Columns]]]]:
        """A lifting job for each whole tracklet, or for several."""
        begun: deque[Tracklet] = deque()
        gathered = _Gathered(self.models.lifter.together)
        found = Estimates.empty(0)
        for estimates in self.estimates(_names(tracklets, begun)):
            found = found.followed_by(estimates)
            while begun and len(begun[0].frames) <= len(found):
                tracklet = begun.popleft()
                gathered.add(tracklet, found.rows(0, len(tracklet.frames)))
                found = found.rows(len(tracklet.frames))
                if gathered.full:
                    yield self._lift(gathered.take())
        for tracklet in begun:  # nothing is left but tracklets without a frame
            gathered.add(tracklet, found)
        if gathered.waiting:
            yield self._lift(gathered.take())

    def _lift(self, waiting: Sequence[tuple[Tracklet, Estimates]]) -> Future[list[tuple[Tracklet, Columns]]]:
        return self.models.compute.submit(self._lift_now, waiting)

    def _lift_now(self, waiting: Sequence[tuple[Tracklet, Estimates]]) -> list[tuple[Tracklet, Columns]]:
        with self.watch("lift"):
            columns = skeletons_of([found for _, found in waiting], self.models.lifter, self.thresholds)
        return [(tracklet, one) for (tracklet, _), one in zip(waiting, columns, strict=True)]

    def estimates(self, names: Iterator[str]) -> Iterator[Estimates]:
        """What the estimator finds in frames, a batch after another."""
        with ThreadPoolExecutor(self.readers, thread_name_prefix="frames") as readers:

            def jobs() -> Iterator[Future[Estimates]]:
                while batch := list(islice(names, self.batch_size)):
                    yield self.models.compute.submit(self._estimate, readers.submit(self._prepare, batch))

            # enough that neither the models nor the readers ever wait, and no more
            yield from in_order(jobs(), 2 * self.models.workers + 1)

    def _prepare(self, names: Sequence[str]) -> tuple[Estimates, Crops | None]:
        with self.watch("read"):
            files = [self.read(name) for name in names]
        with self.watch("decode"):
            frames = [decode_frame(file) for file in files]
        with self.watch("preprocess"):
            estimates = Estimates.empty(len(frames))
            readable: list[Frame] = []
            for row, frame in enumerate(frames):
                if frame is not None:
                    estimates.sizes[row] = (frame.shape[1], frame.shape[0])
                    readable.append(frame)
            return estimates, self.models.estimator.crops(readable) if readable else None

    def _estimate(self, prepared: Future[tuple[Estimates, Crops | None]]) -> Estimates:
        estimates, crops = prepared.result()
        if crops is not None:
            with self.watch("2D"):
                keypoints, scores = self.models.estimator.answer(crops)
                joints = self.models.estimator.joints
                rows = estimates.sizes[:, 0] > 0
                estimates.keypoints[rows] = joints.keypoints(keypoints)
                estimates.scores[rows] = joints.scores(scores)
        return estimates


def _names(tracklets: Iterable[Tracklet], begun: deque[Tracklet]) -> Iterator[str]:
    """Frames of one tracklet after another; a tracklet joins `begun` before its first frame is given."""
    for tracklet in tracklets:
        begun.append(tracklet)
        yield from tracklet.frames


class _Gathered:
    """Whole tracklets that wait to be lifted: one, or several where the lifter takes them together."""

    def __init__(self, together: bool) -> None:
        self.wanted = LIFTED_TOGETHER if together else 1
        self.waiting: list[tuple[Tracklet, Estimates]] = []

    def add(self, tracklet: Tracklet, found: Estimates) -> None:
        self.waiting.append((tracklet, found))

    @property
    def full(self) -> bool:
        return sum(len(found) for _, found in self.waiting) >= self.wanted

    def take(self) -> list[tuple[Tracklet, Estimates]]:
        taken, self.waiting = self.waiting, []
        return taken
