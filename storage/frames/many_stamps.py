"""Stamps of very many files, by several processes: asking the file system is all that an unchanged data set costs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.frames.stamps import BETWEEN, WIDTH, Stamps, read_stamps
from storage.progress import Progress, silent

FRAMES_AT_ONCE = 1 << 15
FRAMES_A_PROCESS = 200_000
"""Of fewer, the start of a process takes longer than they do."""

MOST_PROCESSES = 8


def read_many(root: Path, names: pa.Array, progress: Progress = silent, processes: int | None = None) -> Stamps:
    """Stamps of files, in the order given.

    Args:
        root: data root.
        names: paths relative to it, strings.
        progress: told of files.
        processes: this one and its helpers; without it, as many as there are cores and work for.
    """
    if processes is None:
        processes = min(len(os.sched_getaffinity(0)), MOST_PROCESSES, 1 + len(names) // FRAMES_A_PROCESS)
    bounds = [len(names) * part // processes for part in range(processes + 1)]
    parts = [names.slice(start, end - start) for start, end in pairwise(bounds)]
    with _helping(root, parts[1:]) as helpers:
        stamps = [_read(root, parts[0], progress, len(names))]
        stamps += [_answer(helper, part, root) for helper, part in zip(helpers, parts[1:], strict=True)]
    progress(len(names), len(names), "frames")
    return np.concatenate(stamps)


def _read(root: Path, names: pa.Array, progress: Progress, total: int) -> Stamps:
    parts = [np.zeros((0, WIDTH), np.int64)]
    for start in range(0, len(names), FRAMES_AT_ONCE):
        parts.append(read_stamps(root, names.slice(start, FRAMES_AT_ONCE).to_pylist()))
        progress(start * total // len(names), total, "frames")
    return np.concatenate(parts)


Helper = tuple["subprocess.Popen[bytes]", IO[bytes]]


@contextmanager
def _helping(root: Path, parts: list[pa.Array]) -> Iterator[list[Helper]]:
    """Processes that each read one part, and where each leaves what it read; none outlives this."""
    command = [sys.executable, "-m", "storage.frames.stamps", str(root.resolve())]
    helpers: list[Helper] = []
    try:
        for part in parts:
            asked, read = TemporaryFile(), TemporaryFile()  # noqa: SIM115 - they go with their last user
            asked.write(BETWEEN.join(part.to_pylist()).encode())
            asked.seek(0)
            process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                cwd=Path(__file__).parents[2],
                stdin=asked,
                stdout=read,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the command, which then ends its helpers
            )
            helpers.append((process, read))
        yield helpers
    finally:
        for process, read in helpers:
            process.kill()
            process.wait()
            read.close()


def _answer(helper: Helper, part: pa.Array, root: Path) -> NDArray[np.int64]:
    process, read = helper
    failed = process.wait() != 0
    read.seek(0)
    told = read.read()
    if failed or len(told) != len(part) * WIDTH * 8:  # whatever it died of, its part can be read here
        return _read(root, part, silent, len(part))
    return np.frombuffer(told, np.int64).reshape(-1, WIDTH)
