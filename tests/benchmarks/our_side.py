"""Our side of the benchmark: python -m tests.benchmarks.our_side JOB.json, which prints one JSON line."""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import extraction.skeletons
import extraction.stream
from extraction.extract import ExtractionSettings, make_stream, write_skeletons
from extraction.stream import Stream
from storage.frames.files import DataFiles
from storage.progress import silent
from storage.tables.tracklets import Tracklet
from tests.benchmarks.extraction_cases import frames
from tests.benchmarks.stopwatch import Stopwatch


def repeated(tracklets: Sequence[Tracklet], count: int) -> Iterator[Tracklet]:
    """So many tracklets, by going through those given again and again under new names."""
    for number in range(count):
        tracklet = tracklets[number % len(tracklets)]
        yield replace(tracklet, tracklet_id=f"{tracklet.tracklet_id}-{number}")


def end_to_end(stream: Stream, tracklets: Sequence[Tracklet], count: int, folder: Path) -> dict[str, Any]:
    """From files to Parquet: seconds a frame, share of the processors' time by step, and peak memory."""
    warm_up(stream, tracklets)
    watch = Stopwatch()
    stream = watched(stream, watch)
    total = sum(len(tracklet.frames) for tracklet in repeated(tracklets, count))
    start = time.perf_counter()
    write_skeletons(stream, repeated(tracklets, count), total, folder / "skeletons.parquet", silent)
    wall = time.perf_counter() - start
    cores = min(len(os.sched_getaffinity(0)), stream.models.workers)
    return {
        "frames": total,
        "wall": wall,
        "steps": {step: seconds / (wall * cores) for step, seconds in watch.seconds.items()},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def keypoints_only(stream: Stream, tracklets: Sequence[Tracklet]) -> float:
    """From files to keypoints: seconds a frame."""
    warm_up(stream, tracklets)
    names = [name for tracklet in tracklets for name in tracklet.frames]
    start = time.perf_counter()
    for _ in stream.estimates(iter(names)):
        pass
    return (time.perf_counter() - start) / len(names)


def warm_up(stream: Stream, tracklets: Sequence[Tracklet]) -> None:
    """Let every thread do its first batches: libraries choose their kernels then."""
    for _ in stream.skeletons(repeated(tracklets, min(8, len(tracklets)))):
        pass


def watched(stream: Stream, watch: Stopwatch) -> Stream:
    """The same stream, whose steps are counted from now on, in this whole process."""
    steps = (
        (extraction.stream, "decode_frame", "decode"),
        (stream.models.estimator, "crops", "preprocess"),
        (stream.models.estimator, "answer", "2D"),
        (extraction.stream, "skeletons_of", "lift"),
        (extraction.skeletons, "ragged_table", "write"),
    )
    for owner, name, step in steps:
        setattr(owner, name, watch(step)(getattr(owner, name)))
    table_writer = extraction.skeletons.table_writer

    @contextmanager
    def watched_writer(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table, int], None]]:
        with table_writer(path, schema) as write:
            yield watch("write")(write)

    extraction.skeletons.table_writer = watched_writer
    return replace(stream, read=watch("read")(stream.read))


def lifting(stream: Stream, tracklets: Sequence[Tracklet]) -> float:
    """From keypoints to skeletons: wall seconds a frame, all threads at work."""
    from extraction.pose2d.keypoints import Poses2D

    rng = np.random.default_rng(0)
    poses = [
        Poses2D(
            rng.uniform(0, (128, 256), (len(t.frames), 17, 2)).astype(np.float32),
            np.ones((len(t.frames), 17), np.float32),
            np.tile(np.array((128, 256), np.float32), (len(t.frames), 1)),
        )
        for t in tracklets
    ]
    lift = stream.models.lifter
    list(stream.models.compute.map(lift, poses[:2]))
    start = time.perf_counter()
    list(stream.models.compute.map(lift, poses))
    return (time.perf_counter() - start) / sum(len(t.frames) for t in tracklets)


def moved(settings: ExtractionSettings, root: Path, names: Sequence[str]) -> dict[str, float]:
    """What bf16 does to keypoints: how far those that fp32 is sure of (score 0.3) move, in pixels of the frame."""
    answers = []
    for precision in ("fp32", "bf16"):
        chosen = settings.estimator.model_copy(update={"precision": precision})
        stream = make_stream(settings.model_copy(update={"estimator": chosen}), DataFiles(root))
        found = list(stream.estimates(iter(names)))
        answers.append((np.concatenate([f.keypoints for f in found]), np.concatenate([f.scores for f in found])))
    (exact, scores), (low, low_scores) = answers
    sure = scores >= 0.3
    distance = np.linalg.norm(exact - low, axis=-1)[sure]
    return {
        "mean": float(distance.mean()),
        "p95": float(np.percentile(distance, 95)),
        "p99": float(np.percentile(distance, 99)),
        "max": float(distance.max()),
        "score": float(np.abs(scores - low_scores)[sure].max()),
    }


def main() -> None:
    """Do the job in the file named."""
    job = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(job["folder"])
    root, tracklets = frames(Path(job["data"]) if job["data"] else None, folder)
    settings = ExtractionSettings(**job["settings"])
    what = job["what"]
    if what == "moved":
        names = [name for tracklet in tracklets for name in tracklet.frames][:: job["every"]]
        answer: Any = moved(settings, root, names)
    else:
        stream = make_stream(settings, DataFiles(root))
        if what == "keypoints":
            answer = keypoints_only(stream, tracklets[: job["count"]])
        elif what == "lifting":
            answer = lifting(stream, tracklets[: job["count"]])
        else:
            answer = end_to_end(stream, tracklets, job["count"], folder)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
