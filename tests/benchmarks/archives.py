"""How fast frames are read from archives beside loose files, in one run: `make bench-archives`.

The same frames loose, in a zip (packed, as zips of data sets are, and stored) and in a tar, read in one random order:
as the pipeline reads them (bytes and decoding), and the bytes alone. Files are in the system's memory, so that the disk
does not blur the comparison; each way takes its turn several times, and the best time counts. Then how long it takes to
open an archive of as many members as half of MARS.
"""

import argparse
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from storage.frames.archives import Archive
from storage.frames.files import DataFiles
from storage.frames.images import decode_frame, read_bytes

TURNS = 5
MEMBERS = 500_000
console = Console(highlight=False, width=110)


def pack(data: Path, names: Sequence[str], folder: Path) -> dict[str, Path]:
    """The frames in each kind of archive: kind -> data root."""
    roots = {"loose files": data}
    for kind, method in (("zip, packed", zipfile.ZIP_DEFLATED), ("zip, stored", zipfile.ZIP_STORED)):
        roots[kind] = folder / f"{method}.zip"
        with zipfile.ZipFile(roots[kind], "w", method) as packed:
            for name in names:
                packed.write(data / name, name)
    roots["tar"] = folder / "frames.tar"
    with tarfile.open(roots["tar"], "w") as tar:
        for name in names:
            tar.add(data / name, name)
    return roots


def seconds(work: Callable[[], object]) -> float:
    """Of one turn."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of frames")
    parser.add_argument("--members", type=int, default=MEMBERS, help="of the large archive that is opened")
    chosen = parser.parse_args()
    names = [name for name in DataFiles(chosen.data).names() if name.endswith((".jpg", ".png"))]
    order = [names[i] for i in np.random.default_rng(0).permutation(len(names))]
    with tempfile.TemporaryDirectory() as folder:
        files = {kind: DataFiles(root) for kind, root in pack(chosen.data, names, Path(folder)).items()}
        ways: dict[str, Callable[[DataFiles, str], object]] = {
            "bytes and decoding": lambda held, name: decode_frame(read_bytes(held, name)),
            "bytes alone": read_bytes,
        }
        best = {way: dict.fromkeys(files, np.inf) for way in ways}
        for _ in range(TURNS):
            for way, read in ways.items():
                for kind, held in files.items():
                    took = seconds(lambda held=held, read=read: [read(held, name) for name in order])
                    best[way][kind] = min(best[way][kind], took)
        table = Table("", *(f"{way}, frames/s" for way in ways), *(f"{way}, of loose" for way in ways))
        for kind in files:
            rates = [len(order) / best[way][kind] for way in ways]
            shares = [best[way]["loose files"] / best[way][kind] for way in ways]
            table.add_row(kind, *(f"{rate:,.0f}" for rate in rates), *(f"{100 * share:.0f} %" for share in shares))
        console.print(f"{len(names):,} frames of {chosen.data}, one thread, best of {TURNS} turns")
        console.print(table)
        large = Path(folder) / "large.zip"
        with zipfile.ZipFile(large, "w") as packed:
            for number in range(chosen.members):
                packed.writestr(f"bbox_train/{number // 400:04d}/{number:09d}.jpg", b"")
        console.print(f"opening a zip of {chosen.members:,} members: {seconds(lambda: Archive(large)):.1f} s")


if __name__ == "__main__":
    main()
