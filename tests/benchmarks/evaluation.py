"""How fast a gallery is ranked and measured, and how large it may be, in one run: `make bench-evaluation`.

At the size of MARS (1,980 queries, a gallery of 9,330, 2,048 values), of random identities, cameras and distractors:
the usual way, which sorts the whole gallery for each query, beside ours, from the same distances and with them. A model
that is about as good as published ones, and one that knows nothing, for which more has to be counted. Then the whole
stage, from a Parquet file, on a gallery that does not fit in memory, in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from evaluation.evaluate import EvaluationSettings, Inputs, run
from evaluation.ranking.distances import Distances, between, given
from evaluation.ranking.embeddings import Embeddings
from evaluation.ranking.metrics import Scores, per_query
from evaluation.ranking.ranks import rank_gallery
from storage.tables.parquet import table_writer
from storage.tables.schema import EMBEDDINGS

QUERIES, GALLERY, DISTRACTORS, IDENTITIES, CAMERAS, WIDTH = 1980, 9330, 3248, 626, 6, 2048
LARGE = 1_000_000
TURNS = 5
TOP = 50
GOOD, CLUELESS = 60.0, 0.0
"""Length of an identity's own direction, beside noise of length sqrt(WIDTH) = 45: about mAP 80, and chance."""
console = Console(highlight=False, width=110)


def people(rng: np.random.Generator, pids: NDArray[np.int32], own: NDArray[np.float32]) -> NDArray[np.float32]:
    """An embedding of each: noise, and more or less of its identity's direction; distractors are noise alone."""
    vectors = rng.standard_normal((len(pids), own.shape[1]), np.float32)
    seen = np.where(pids > 0, rng.random(len(pids), np.float32), 0)
    vectors += seen[:, None] * own[pids]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def directions(rng: np.random.Generator, length: float, width: int) -> NDArray[np.float32]:
    """What is each identity's own; to the left of it nobody's."""
    return rng.standard_normal((IDENTITIES + 1, width), np.float32) * np.float32(length / width**0.5)


def generated(
    rng: np.random.Generator, count: int, name: str, distractors: int, own: NDArray[np.float32]
) -> Embeddings:
    """Random tracklets of random identities."""
    pids = rng.integers(1, IDENTITIES + 1, count).astype(np.int32)
    pids[:distractors] = 0
    camids = rng.integers(1, CAMERAS + 1, count).astype(np.int32)
    ids = np.array([f"{name}{number:07d}" for number in range(count)])
    unknown = np.zeros(count, np.int32)
    splits = np.full(count, "query" if name == "q" else "gallery")
    labels = (pids, camids, unknown, unknown)
    return Embeddings(ids, splits, *labels, people(rng, pids, own), np.zeros(count, bool), np.arange(count))


class Remembered:
    """Distances that are worked out the first time that they are asked for."""

    def __init__(self, measure: Distances) -> None:
        self.measure, self.known = measure, dict[tuple[int, int], NDArray[np.float32]]()

    def __call__(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
        """See `evaluation.ranking.distances.Distances`."""
        asked = int(rows[0]), int(columns[0])
        if asked not in self.known:
            self.known[asked] = self.measure(rows, columns)
        return self.known[asked]


def usual(distances: NDArray[np.float32], queries: Embeddings, gallery: Embeddings) -> Scores:
    """As the field does it: sort the gallery for each query, and walk down the list."""
    indices = np.argsort(distances, axis=1)
    matches = (gallery.pids[indices] == queries.pids[:, None]).astype(np.int32)
    precisions, penalties, curves = [], [], []
    for query in range(len(queries)):
        order = indices[query]
        removed = (gallery.pids[order] == queries.pids[query]) & (gallery.camids[order] == queries.camids[query])
        right = matches[query][~removed]
        if not right.any():
            continue
        found = right.cumsum()
        penalties.append(right.sum() / (np.flatnonzero(right).max() + 1))
        precisions.append((found / (np.arange(len(found)) + 1.0) * right).sum() / right.sum())
        found[found > 1] = 1
        curves.append(found[:TOP])
    return Scores(float(np.mean(precisions)), float(np.mean(penalties)), np.mean(curves, axis=0))


def ours(distances: Distances, queries: Embeddings, gallery: Embeddings, top: int = 0) -> Scores:
    """Ours, with ties and pairs of cameras; with the nearest `top` of each query."""
    ranking = rank_gallery(queries, gallery, distances, top)
    return per_query(ranking.ranks, ranking.starts).mean(TOP)


def best(work: Callable[[], object]) -> float:
    """Seconds of the best turn."""
    seconds = []
    for _ in range(TURNS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def compare(title: str, length: float) -> None:
    """Print times of a model of some worth."""
    rng = np.random.default_rng(0)
    own = directions(rng, length, WIDTH)
    queries, gallery = generated(rng, QUERIES, "q", 0, own), generated(rng, GALLERY, "g", DISTRACTORS, own)
    measure = between(queries.vectors, gallery.vectors)
    rows, columns = np.arange(QUERIES), np.arange(GALLERY)
    matrix = measure(rows, columns)
    known = Remembered(measure)
    a, b = usual(matrix, queries, gallery), ours(given(matrix), queries, gallery)
    ours(known, queries, gallery)
    differ = max(
        abs(a.mean_average_precision - b.mean_average_precision),
        abs(a.mean_inverse_negative_penalty - b.mean_inverse_negative_penalty),
        float(np.abs(a.cmc - b.cmc).max()),
    )
    ways: dict[str, Callable[[], object]] = {
        "distances": lambda: measure(rows, columns),
        "usual loop": lambda: usual(matrix, queries, gallery),
        "ours": lambda: ours(known, queries, gallery),
        f"ours, with the {TOP} nearest listed": lambda: ours(known, queries, gallery, TOP),
    }
    times = {name: best(work) for name, work in ways.items()}
    table = Table(title, "after the distances, s", "faster", "with distances, s", "faster", title_justify="left")
    loop, base = times["usual loop"], times.pop("distances")
    for name, seconds in times.items():
        ratios = loop / seconds, (loop + base) / (seconds + base)
        table.add_row(name, f"{seconds:.3f}", f"{ratios[0]:.1f} x", f"{seconds + base:.2f}", f"{ratios[1]:.1f} x")
    console.print(table)
    console.print(
        f"mAP {100 * b.mean_average_precision:.1f}, mINP {100 * b.mean_inverse_negative_penalty:.1f}, "
        f"Rank-1 {100 * b.cmc[0]:.1f}; the two differ by at most {differ:.1g}\n"
    )


def write_large(path: Path, gallery: int) -> None:
    """A shard of the queries and a large gallery, mostly of distractors."""
    rng = np.random.default_rng(0)
    own = directions(rng, GOOD, WIDTH)
    parts = [(QUERIES, "q", 0), (GALLERY, "g", DISTRACTORS)]
    some = 20_000
    parts += [(min(some, gallery - start), f"x{start}-", some) for start in range(GALLERY, gallery, some)]
    with table_writer(path, EMBEDDINGS) as write:
        for count, name, distractors in parts:
            made = generated(rng, count, name, distractors, own)
            labels = [made.ids, made.splits, made.pids, made.camids, made.clothes, made.frames]
            arrays = [pa.array(values, field.type) for values, field in zip(labels, EMBEDDINGS, strict=False)]
            flat = pa.array(made.vectors[:].ravel())
            lists = pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * WIDTH, flat)
            write(pa.table([*arrays, lists.cast(EMBEDDINGS.field("embedding").type)], schema=EMBEDDINGS), 4096)


def rank_large(path: Path) -> None:
    """The whole stage on a shard; prints what it cost as JSON."""
    start, before = time.perf_counter(), peak()
    with tempfile.TemporaryDirectory(dir=path.parent) as out:
        run(Inputs((path,)), EvaluationSettings(), Path(out))
        metrics = json.loads((Path(out) / "metrics.json").read_text())
    spent = {"seconds": time.perf_counter() - start, "before": before, "peak": peak()}
    print(json.dumps(spent | {"gallery": metrics["gallery"], "mAP": metrics["mAP"]}))


def peak() -> int:
    """The most memory that this process has had so far, bytes."""
    # what getrusage tells begins with what the parent had
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", type=int, default=LARGE, help="tracklets of the large gallery; 0: none")
    parser.add_argument("--scratch", type=Path, help="folder for it, 16 GB for a million (default: the system's)")
    parser.add_argument("--rank", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.rank:
        rank_large(chosen.rank)
        return
    console.print(f"{QUERIES:,} queries, gallery of {GALLERY:,}, {WIDTH:,} values; best of {TURNS} turns\n")
    compare("a model about as good as published ones", GOOD)
    compare("a model that knows nothing", CLUELESS)
    if chosen.large:
        with tempfile.TemporaryDirectory(dir=chosen.scratch) as folder:
            path = Path(folder) / "embeddings.parquet"
            write_large(path, chosen.large)
            own_process = [sys.executable, "-m", "tests.benchmarks.evaluation", "--rank", str(path)]
            told = subprocess.run(own_process, check=True, capture_output=True, text=True)
            found = json.loads(told.stdout.splitlines()[-1])
            size = path.stat().st_size
        console.print(
            f"gallery of {found['gallery']:,} with {QUERIES:,} queries, from a file of {size / 1e9:.1f} GB: "
            f"{found['seconds']:.0f} s, at most {found['peak'] / 2**30:.2f} GB of memory "
            f"({found['before'] / 2**30:.2f} GB before), mAP {100 * found['mAP']:.1f}"
        )


if __name__ == "__main__":
    main()
