"""Frames that a user names on the command line, without a data set: a folder of crops, or a video and its boxes."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from flows.watching.bar import progress_bar
from storage.datasets.crops import folder_tracklets
from storage.datasets.videos import Boxes, cut, read_boxes
from storage.errors import DataError
from storage.tables.tracklets import Tracklet


@dataclass(frozen=True)
class Source:
    """Where frames come from.

    Attributes:
        path: a folder of crops, or a video.
        boxes: of the video: a CSV or Parquet table.
        crops: where the video's crops are kept; in a temporary folder, and gone afterwards, where None.
    """

    path: Path
    boxes: Path | None = None
    crops: Path | None = None


def source_frames(source: Source, temporary: Path, console: Console) -> tuple[Path, list[Tracklet], Boxes | None]:
    """The folder that frames lie in, their tracklets, and the boxes of a video.

    Args:
        source: what the user named.
        temporary: where crops of a video are cut to, if they are not kept elsewhere.
        console: for a bar.

    Raises:
        DataError: there are no frames, or the boxes make no sense.
    """
    if source.path.is_dir():
        if source.boxes:
            raise DataError("boxes belong to a video, and this is a folder", where=source.path, fix="drop --boxes")
        return source.path, folder_tracklets(source.path), None
    if not source.path.exists():
        raise DataError("there is no such folder or video", where=source.path, fix="check the path")
    if source.boxes is None:
        raise DataError(
            "a video needs the boxes of its people", where=source.path, fix="give --boxes BOXES.csv (track, frame, ...)"
        )
    boxes = read_boxes(source.boxes)
    folder = source.crops or temporary
    with progress_bar(console, "crops") as progress:
        return folder, cut(source.path, boxes, folder, progress), boxes


def frames_file(out: Path) -> Path:
    """Where the names of the frames are written that a file of skeletons or embeddings was made of."""
    return out.with_suffix(".frames.parquet")
