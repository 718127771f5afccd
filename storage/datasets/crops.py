"""Any folder of crops as tracklets: for who wants skeletons or embeddings without making a data set first."""

import os
from pathlib import Path

from storage.datasets.mars import FRAME_NAME
from storage.datasets.names import IMAGES, natural
from storage.errors import DataError
from storage.tables.tracklets import Tracklet

NOBODY = -1  # the pid and camid of who is not known


def folder_tracklets(root: Path) -> list[Tracklet]:
    """Every folder that holds images as one tracklet, named by its path; frames in the order of their numbers.

    A folder of images with MARS names (0001C1T0001F001.jpg) becomes the tracklets that the names tell of.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    if not root.is_dir():
        raise DataError("this is not a folder of frames", where=root, fix="name a folder that holds images")
    tracklets = []
    for path, _, files in os.walk(root):
        folder = Path(path)
        groups: dict[str, list[str]] = {}
        for name in sorted((name for name in files if name.lower().endswith(IMAGES)), key=natural):
            mars = FRAME_NAME.fullmatch(name)
            relative = (folder / name).relative_to(root).as_posix()
            groups.setdefault(name.rpartition("F")[0] if mars else "", []).append(relative)
        place = folder.relative_to(root).as_posix()
        for part, frames in groups.items():
            name = "/".join(piece for piece in (place.removeprefix("."), part) if piece) or root.resolve().name
            tracklets.append(Tracklet(name, "", NOBODY, NOBODY, tuple(frames)))
    if not tracklets:
        raise DataError("there is no image in this folder", where=root, fix=f"frames end in {', '.join(IMAGES)}")
    return sorted(tracklets, key=lambda tracklet: natural(tracklet.tracklet_id))
