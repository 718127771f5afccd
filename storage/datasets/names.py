"""Names of frames in listings: which files are frames, in which folders, and in which order."""

import re
from collections.abc import Iterable

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
ALL_DIGITS_ALIKE = str.maketrans("123456789", "000000000")
OTHERS_FOLDERS = ("__MACOSX", "@eaDir")
"""Folders with pictures that other programs leave beside a user's own."""


def frames_by_folder(names: Iterable[str]) -> dict[str, list[str]]:
    """The frames among files, by folder; folders and their frames in the order of the numbers in their names.

    A folder that holds files, but no frame, is there with no frames. Hidden files (`._0001.jpg`) and folders are not.
    """
    folders: dict[str, list[str]] = {}
    for name in names:
        folder, _, last = name.rpartition("/")
        frames = folders.setdefault(folder, [])
        if last[-5:].lower().endswith(IMAGES) and not last.startswith("."):
            frames.append(name)
    mine = [f for f in folders if not any(part.startswith(".") or part in OTHERS_FOLDERS for part in f.split("/"))]
    return {folder: _in_order(folders[folder]) for folder in sorted(mine, key=natural)}


def _in_order(frames: list[str]) -> list[str]:
    # names that differ in their digits only are in order as texts: so are most, and millions want no more than that
    alike = len({frame.translate(ALL_DIGITS_ALIKE) for frame in frames}) < 2
    return sorted(frames) if alike else sorted(frames, key=natural)


def unnumbered(frames: Iterable[str]) -> list[str]:
    """What is wrong with frames whose names are not a number each, as `0001.jpg`."""
    numbers = re.compile(r"(.*/)?[0-9]{1,18}\.\w+")
    return [f"{frame!r} is not a frame name like 0001.jpg" for frame in frames if not numbers.fullmatch(frame)]


def natural(text: str) -> tuple[list[tuple[int, str]], str]:
    """A key that sorts numbers in names by their value: frame2 before frame10, and frame01 always before frame1."""
    parts = re.split(r"(\d{1,1000})", text)  # int() takes no more than 4,300 digits
    # only what \d matches has a value: a superscript two is a digit to str.isdigit, and nothing to int()
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts if part], text


def number_in(name: str) -> int | None:
    """The number of `0001`, `cam3` or `person_0007`: digits after nothing but other characters; else None."""
    match = re.fullmatch(r"[^0-9]*([0-9]{1,10})", name)
    return int(match[1]) if match else None
