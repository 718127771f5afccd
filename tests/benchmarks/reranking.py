"""What k-reciprocal re-ranking costs beside the usual way, in one run: `make bench-evaluation`.

The usual way is the definition as the field runs it: all distances and their full order in memory, a loop over the
items, dense encodings, a loop over the queries. Ours is `evaluation.ranking.reranking`. Both rank the same random
vectors of identities, cameras and noise, as many as MARS's test split unless told otherwise.

Each measurement is a process of its own, which reads the vectors, notes its peak of memory, and then works; added
memory is by how much the peak grew. What comes after the distances uses one thread: its seconds of processor time are
a measure where other programs run too. Ways take turns, and the least of each figure counts.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import scipy.sparse  # noqa: F401 (re-ranking imports it when it needs it, and that is not measured)
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import evaluation.ranking.neighbours
from evaluation.ranking.distances import Floats
from evaluation.ranking.neighbours import distance_blocks
from evaluation.ranking.reranking import RerankSettings, rerank

ITEMS = 11_310  # of MARS's test split, 1,980 of them queries
QUERIES = 1980 / 11310
DIMENSIONS = 2048
TRACKLETS = 16  # of an identity, about as many as in MARS
CAMERAS = 6
LATENT = 48  # directions that identities, cameras and noise share, so that neighbourhoods hold mistakes
NOISE = 1.0
TURNS = 3
MEGABYTE = 1024  # Linux counts memory in kB
CLOSE = 1e-5
VECTORS = "vectors.npy"
WAYS = {"usual": "the usual way", "ours": "evaluation.ranking.reranking"}
COLUMNS = {
    "distances": "distances, s",
    "after": "after them, s",
    "after_cpu": "after them, CPU s",
    "total": "all, s",
    "added_mb": "added MB",
}
console = Console(highlight=False, width=110)


def vectors(items: int) -> Floats:
    """Unit vectors of queries, then gallery: identity + camera + noise in few dimensions, and a little in all."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Floats:
        return rng.standard_normal(shape, np.float32)

    identities, cameras = normal(max(1, items // TRACKLETS), LATENT), 0.5 * normal(CAMERAS, LATENT)
    seen = identities[rng.integers(0, len(identities), items)] + cameras[rng.integers(0, CAMERAS, items)]
    made = (seen + NOISE * normal(items, LATENT)) @ normal(LATENT, DIMENSIONS) + normal(items, DIMENSIONS)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def query_count(items: int) -> int:
    """As large a part as in MARS."""
    return max(1, round(QUERIES * items))


def usual_distances(items: Floats) -> Floats:
    """Squared distances of all items to all, (N, N) float32."""
    distances = items @ items.T
    distances *= -2
    distances += 2
    return np.maximum(distances, 0, out=distances)


def usual_way(distances: Floats, queries: int, settings: RerankSettings) -> Floats:
    """The definition on all squared distances (N, N), of which the first are queries; (Q, G) float32."""
    count = len(distances)
    scaled = np.transpose(distances / np.max(distances, axis=0))
    order = np.argsort(scaled).astype(np.int32)
    encodings = np.zeros_like(scaled)

    def returned(item: int, k: int) -> NDArray[np.int32]:
        nearest = order[item, : k + 1]
        return nearest[np.where(order[nearest, : k + 1] == item)[0]]

    half = int(np.around(settings.k1 / 2))
    for item in range(count):
        own = returned(item, settings.k1)
        members = own
        for candidate in own:
            theirs = returned(candidate, half)
            if len(np.intersect1d(theirs, own)) > 2 / 3 * len(theirs):
                members = np.append(members, theirs)
        members = np.unique(members)
        weights = np.exp(-scaled[item, members])
        encodings[item, members] = weights / np.sum(weights)
    scaled = scaled[:queries]
    if settings.k2 > 1:
        means = np.zeros_like(encodings)
        for item in range(count):
            means[item] = np.mean(encodings[order[item, : settings.k2]], axis=0)
        encodings = means
    holders = [np.where(encodings[:, item] != 0)[0] for item in range(count)]
    jaccard = np.zeros_like(scaled)
    for query in range(queries):
        shared = np.zeros(count, np.float32)
        for item in np.where(encodings[query] != 0)[0]:
            shared[holders[item]] += np.minimum(encodings[query, item], encodings[holders[item], item])
        jaccard[query] = 1 - shared / (2 - shared)
    return np.asarray(jaccard * (1 - settings.weight) + scaled * settings.weight, np.float32)[:, queries:]


def measure(way: str, folder: Path) -> dict[str, float]:
    """Re-rank the vectors in the folder and keep the result there; a figure for each of `COLUMNS`."""
    settings, items = RerankSettings(), np.load(folder / VECTORS)
    queries = query_count(len(items))
    before, whole, clock = _peak(), Clock(), Clock()
    with whole:
        if way == "usual":
            with clock:
                distances = usual_distances(np.concatenate([items[:queries], items[queries:]]))
            found = usual_way(distances, queries, settings)
        else:
            evaluation.ranking.neighbours.distance_blocks = clock.blocks
            found = rerank(items[:queries], items[queries:], settings)
    added = (_peak() - before) / MEGABYTE
    np.save(folder / f"{way}.npy", found)
    rest = {"after": whole.seconds - clock.seconds, "after_cpu": whole.cpu - clock.cpu}
    return {"distances": clock.seconds, **rest, "total": whole.seconds, "added_mb": added}


class Clock:
    """Adds up the seconds spent within it, and those of this thread's processor time."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0

    def __enter__(self) -> None:
        self.seconds -= time.perf_counter()
        self.cpu -= time.thread_time()

    def __exit__(self, *error: object) -> None:
        self.seconds += time.perf_counter()
        self.cpu += time.thread_time()

    def blocks(self, queries: Floats, gallery: Floats) -> Iterator[tuple[int, int, Floats]]:
        """`evaluation.ranking.neighbours.distance_blocks`, within this clock; what is done between blocks is not."""
        blocks = distance_blocks(queries, gallery)
        while True:
            with self:
                block = next(blocks, None)
            if block is None:
                return
            yield block


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def in_process(way: str, folder: Path, items: int = ITEMS) -> dict[str, float]:
    """`measure`, or make the vectors, in a process of its own: Linux counts the memory of the one that starts it too.

    Raises:
        SystemExit: it failed.
    """
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.reranking",
        "--way",
        way,
        "--items",
        str(items),
        "--folder",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return dict(json.loads(done.stdout))


def compare(items: int, turns: int, folder: Path) -> dict[str, dict[str, float]]:
    """The least of each figure of both ways; their results stay in the folder."""
    in_process("vectors", folder, items)
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(turns):
        for way in WAYS:
            taken[way].append(in_process(way, folder))
    return {way: {name: min(turn[name] for turn in runs) for name in runs[0]} for way, runs in taken.items()}


def table(least: Mapping[str, Mapping[str, float]]) -> Table:
    """A row for each way and one for how many times less ours takes."""
    drawn = Table("", *COLUMNS.values())
    for way, name in WAYS.items():
        drawn.add_row(name, *(f"{least[way][column]:,.2f}" for column in COLUMNS))
    drawn.add_row("times less", *(f"{least['usual'][column] / least['ours'][column]:.1f}" for column in COLUMNS))
    return drawn


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ITEMS, help="queries and gallery together")
    parser.add_argument("--turns", type=int, default=TURNS, help="of each way")
    parser.add_argument("--way", choices=("vectors", *WAYS), help="only this, in this process; prints JSON")
    parser.add_argument("--folder", type=Path, help="of --way: where the vectors and results are")
    chosen = parser.parse_args()
    if chosen.way == "vectors":
        np.save(chosen.folder / VECTORS, vectors(chosen.items))
        print(json.dumps({}))
        return
    if chosen.way:
        print(json.dumps(measure(chosen.way, chosen.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = table(compare(chosen.items, chosen.turns, folder))
        apart = np.abs(np.load(folder / "usual.npy") - np.load(folder / "ours.npy"))
    queries, gallery = apart.shape
    console.print(f"{queries:,} queries, {gallery:,} gallery items, {DIMENSIONS} values, best of {chosen.turns} turns")
    console.print(drawn)
    more = f"{np.count_nonzero(apart > CLOSE):,} of {apart.size:,} differ by more than {CLOSE:g}"
    console.print(f"largest difference of the results: {apart.max():.1e}; {more}")


if __name__ == "__main__":
    main()
