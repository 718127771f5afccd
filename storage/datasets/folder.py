"""A user's own data in folders: one a split, in it one an identity, a camera, a tracklet.

    train/0001/cam1/walk1/0001.jpg            <split>/<pid>/<camera>/<tracklet>/<frame>
    query/..., gallery/...

Identities and cameras are whole numbers, which may follow other characters (`cam3`, `person_0007`). Identity 0 is a
distractor: in the gallery only, and nobody's match.
"""

from collections.abc import Iterator, Mapping, Sequence

from storage.datasets.lists import checked, need
from storage.datasets.names import frames_by_folder, number_in
from storage.frames.files import DataFiles
from storage.tables.tracklets import SPLITS, Tracklet

FIX = "set data.root to the folder that holds train, query and gallery"
DEPTH = 4  # split, identity, camera, tracklet


def read(files: DataFiles, split: int = 0) -> list[Tracklet]:
    """The tracklets of the folders train, query and gallery; frames in the order of the numbers in their names.

    Raises:
        DataError: a folder is missing, or names are not as they must be; everything that is wrong is listed at once.
    """
    need(files, SPLITS, "split/identity/camera/tracklet", FIX)
    folders = frames_by_folder(files.names())
    problems = list(_elsewhere(folders))
    numbers: dict[str, dict[int, str]] = {"identity": {}, "camera": {}}
    tracklets = []
    for folder, frames in folders.items():
        parts = folder.split("/")
        if parts[0] not in SPLITS or len(parts) != DEPTH:
            continue
        pid, camid = (_number(name, kind, numbers, problems) for kind, name in zip(numbers, parts[1:3], strict=True))
        if pid is not None and camid is not None:
            tracklets.append(Tracklet(folder, parts[0], pid, camid, tuple(frames)))
    return checked(files, tracklets, problems)


def _elsewhere(folders: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for folder, frames in folders.items():
        parts = folder.split("/")
        if frames and parts[0] not in SPLITS:
            yield f"{folder or 'the data root'}: holds frames, and is in none of {', '.join(SPLITS)}"
        elif frames and len(parts) != DEPTH:
            yield f"{folder}: holds frames, and is not split/identity/camera/tracklet"


def _number(name: str, kind: str, known: Mapping[str, dict[int, str]], problems: list[str]) -> int | None:
    number = number_in(name)
    if number is None:
        problem = f"{kind} {name!r}: expected digits, after nothing but other characters"
    elif known[kind].setdefault(number, name) != name:
        problem = f"{kind} {number} is called {known[kind][number]!r} and {name!r}: give it one name"
    else:
        return number
    if problem not in problems:
        problems.append(problem)
    return None
