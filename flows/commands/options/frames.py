"""Frames that a command line names without a data set: a folder of crops, or a video and its boxes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from flows.commands.options.console import bar
from storage.datasets.crops import folder_tracklets
from storage.errors import DataError
from storage.tables.tracklets import Tracklet

if TYPE_CHECKING:
    from storage.datasets.videos import Boxes

FramesArgument = Annotated[Path, typer.Argument(help="A folder of crops (a folder a tracklet), or a video.")]
BoxesOption = Annotated[
    Path | None,
    typer.Option(help="Boxes of a video: CSV or Parquet with track, frame (from 0), x1, y1, x2, y2 or x, y, w, h."),
]
CropsOption = Annotated[Path | None, typer.Option(help="Keep a video's crops in this folder.")]


class Source(NamedTuple):
    """Where frames come from: a folder of crops, or a video."""

    path: Path
    boxes: Path | None = None  # of the video: a CSV or Parquet table
    crops: Path | None = None  # where the video's crops are kept; None: nowhere

    def check(self) -> None:
        """Refuse what names no frames.

        Raises:
            DataError: there is no such folder or video, or boxes are missing or too many.
        """
        if self.path.is_dir():
            if self.boxes:
                raise DataError("boxes belong to a video, and this is a folder", where=self.path, fix="drop --boxes")
        elif not self.path.exists():
            raise DataError("there is no such folder or video", where=self.path, fix="check the path")
        elif self.boxes is None:
            fix = "give --boxes BOXES.csv (track, frame, ...)"
            raise DataError("a video needs the boxes of its people", where=self.path, fix=fix)

    def frames(self, temporary: str) -> tuple[Path, list[Tracklet], "Boxes | None"]:
        """The folder that frames lie in, their tracklets, and the boxes of a video.

        Args:
            temporary: a folder for the crops of a video, if they are not kept elsewhere.

        Raises:
            DataError: there are no frames, or the boxes make no sense.
        """
        self.check()
        if self.boxes is None:
            return self.path, folder_tracklets(self.path), None
        from storage.datasets.videos import cut, read_boxes

        boxes = read_boxes(self.boxes)
        folder = self.crops or Path(temporary)
        with bar("crops") as progress:
            return folder, cut(self.path, boxes, folder, progress), boxes
