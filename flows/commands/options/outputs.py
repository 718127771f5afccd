"""Whether what a command line asks for can be written: asked before the work, whose result would be lost otherwise."""

import os
import tempfile
from pathlib import Path

from storage.errors import DataError, SettingsError


def check_file(path: Path, *, makes_folders: bool = True) -> None:
    """Refuse a file that cannot be written; writes nothing, and leaves what is there.

    Args:
        path: of the file.
        makes_folders: the command makes the folders above it that are missing.

    Raises:
        SettingsError: it is a folder, there is no folder for it, or one in which nothing can be written.
    """
    if path.is_dir():
        raise SettingsError("this is a folder, and a file is written", where=path, fix="name a file in it")
    if not makes_folders and not path.absolute().parent.exists():
        raise SettingsError("there is no such folder", where=path.parent, fix="make it, or name another file")
    if not path.exists():
        _check_room(path.parent)
    elif not os.access(path, os.W_OK):
        raise SettingsError("you may not write this file", where=path, fix="name another one")


def check_folder(path: Path) -> None:
    """As `check_file`, for a folder into which files are written."""
    if path.exists() and not path.is_dir():
        raise SettingsError("this is a file, and a folder is written", where=path, fix="name a folder")
    _check_room(path)


def frames_file(out: Path) -> Path:
    """Where the names of the frames are written that a file of skeletons or embeddings was made of."""
    return out.with_suffix(".frames.parquet")


def check_tables(out: Path, what: str) -> None:
    """As `check_file`, for a file of skeletons or embeddings and those beside it.

    Raises:
        DataError: the name does not end as that of a Parquet file.
    """
    if out.suffix != ".parquet":
        raise DataError(f"{what} are written as Parquet", where=out, fix="name a file that ends in .parquet")
    for file in (out, frames_file(out)):
        check_file(file)


def _check_room(folder: Path) -> None:
    """Whether a file can be made in a folder, or in the nearest one above that is there."""
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise SettingsError("this is a file, so nothing can be below it", where=nearest, fix="name another place")
    try:
        # no permission tells all: root may write anywhere, and yet nothing can be made in /proc or on a read-only disk
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise SettingsError(
            f"nothing can be written here: {error.strerror}", where=nearest, fix="name another place"
        ) from error
