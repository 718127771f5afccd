"""The file that extraction makes: what its columns say of a frame, and writing it a tracklet after another."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.tables.parquet import ROWS_PER_GROUP, ragged_table, table_writer
from storage.tables.schema import FRAME_STATUS, SKELETONS

FILE_NAME = "skeletons.parquet"
OK, LOW_CONFIDENCE, NO_PERSON, UNREADABLE = range(len(FRAME_STATUS))

Columns = dict[str, NDArray[Any]]
"""A tracklet's columns of `SKELETONS`, (T, ...) each."""


def has_skeleton(status: NDArray[np.uint8], filled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which frames have a pose, seen or interpolated: (T,) and (T,) -> (T,)."""
    return (status <= LOW_CONFIDENCE) | filled


@contextmanager
def skeleton_writer(path: Path) -> Iterator[Callable[[str, Columns], None]]:
    """Write a `SKELETONS` file; no more than a row group of it is held in memory.

    Yields:
        A function that adds a tracklet: its id and its columns.
    """
    group: list[tuple[str, Columns]] = []
    with table_writer(path, SKELETONS) as write:

        def flush() -> None:
            columns = {name: [found[name] for _, found in group] for name in SKELETONS.names[2:]}
            write(ragged_table([tracklet_id for tracklet_id, _ in group], columns, SKELETONS), ROWS_PER_GROUP)
            group.clear()

        def add(tracklet_id: str, columns: Columns) -> None:
            group.append((tracklet_id, columns))
            if len(group) == ROWS_PER_GROUP:
                flush()

        yield add
        if group:
            flush()
