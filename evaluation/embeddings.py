"""Embeddings with their labels: read from shards, checked, brought to unit length, split into queries and gallery."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.errors import DataError
from storage.schema import EMBEDDINGS
from storage.tables import read_table

SHOWN = 5
GalleryKind = Literal["with_queries", "without_queries"]
SAMPLING_KEY = b"csip.sampling"


@dataclass(frozen=True)
class Embeddings:
    """Unit-length embeddings of N tracklets and what is known of them.

    Attributes:
        ids: tracklet ids, N.
        splits: query or gallery, (N,) str.
        pids: identities, (N,) int32; 0 is a distractor.
        camids: cameras, (N,) int32.
        clothes: which of the identity's own clothes, (N,) int32; 0 where that is not known.
        vectors: (N, D) float32, each of length 1, or zeros where a tracklet has none (no readable frame).
    """

    ids: tuple[str, ...]
    splits: NDArray[np.str_]
    pids: NDArray[np.int32]
    camids: NDArray[np.int32]
    clothes: NDArray[np.int32]
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def blank(self) -> list[str]:
        """Ids of the tracklets that have no embedding."""
        return [name for name, vector in zip(self.ids, self.vectors, strict=True) if not vector.any()]

    def take(self, rows: NDArray[np.intp]) -> "Embeddings":
        """The tracklets at `rows`, in that order."""
        ids = tuple(self.ids[row] for row in rows)
        labels = (self.splits[rows], self.pids[rows], self.camids[rows], self.clothes[rows])
        return Embeddings(ids, *labels, self.vectors[rows])


def read_embeddings(paths: Sequence[Path]) -> Embeddings:
    """Read embedding shards and bring every vector to unit length; rows sorted by tracklet id.

    Sorted, so that the answer does not depend on how the data set was cut into shards. A tracklet without a readable
    frame has no embedding: its zeros stay, at right angles to every other vector, and it is ranked like that.

    Raises:
        DataError: vectors of different dimension, not finite or all zero, or a tracklet listed twice.
        StoreError: a file is damaged.
    """
    table = read_table(list(paths), EMBEDDINGS)
    ids = np.array(table["tracklet_id"].to_pylist(), dtype=str)
    twice = [name for name, count in Counter(ids.tolist()).items() if count > 1]
    if twice:
        raise of_tracklets(f"{len(twice)} tracklets are embedded more than once", twice, "list each shard once")
    column = table["embedding"].combine_chunks()
    lengths = np.diff(column.offsets.to_numpy()) if len(ids) else np.zeros(0, np.int32)
    if len(set(lengths.tolist())) > 1:
        usual = Counter(lengths.tolist()).most_common(1)[0][0]
        others = ids[lengths != usual].tolist()
        raise of_tracklets(
            f"{len(others)} embeddings are not of {usual} values like the others", others, "embed them again"
        )
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    vectors = flat.reshape(len(ids), -1) if len(ids) else np.zeros((0, 0), np.float32)
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    useless = ids[~np.isfinite(norms)].tolist()
    if useless:
        fix = "train again, with a lower learning rate"
        raise of_tracklets(f"{len(useless)} embeddings hold values that are not finite", useless, fix)
    if len(ids) and not norms.any():
        raise of_tracklets(
            "every embedding is zero", ids.tolist(), "check that the frames can be read, and train again"
        )
    unit = (vectors / np.where(norms > 0, norms, 1)[:, None]).astype(np.float32)
    order = np.argsort(ids, kind="stable")
    pids, camids, clothes = (np.asarray(table[name].to_pylist(), np.int32) for name in ("pid", "camid", "clothes"))
    splits = np.array(table["split"].to_pylist(), dtype=str)
    return Embeddings(tuple(ids.tolist()), splits, pids, camids, clothes, unit).take(order)


def of_tracklets(what: str, names: list[str], fix: str) -> DataError:
    """An error that names the first tracklets concerned."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return DataError(what, where=", ".join(names[:SHOWN]) + more, fix=fix)


def queries_and_gallery(embeddings: Embeddings, kind: GalleryKind) -> tuple[Embeddings, Embeddings]:
    """Queries, and the gallery with or without the query tracklets kept in it.

    Raises:
        DataError: there are no queries or no gallery tracklets.
    """
    is_query = embeddings.splits == "query"
    in_gallery = embeddings.splits == "gallery"
    for name, rows in (("query", is_query), ("gallery", in_gallery)):
        if not rows.any():
            raise DataError(
                f"there is no {name} tracklet among the embeddings", fix="give the shards of the test split"
            )
    if kind == "with_queries":
        in_gallery = in_gallery | is_query
    return embeddings.take(np.flatnonzero(is_query)), embeddings.take(np.flatnonzero(in_gallery))


def sampling_of(paths: Sequence[Path]) -> str | None:
    """How frames were sampled for these embeddings (rrs, dense), where their files say so in their metadata."""
    found = {(pq.read_schema(path).metadata or {}).get(SAMPLING_KEY, b"").decode() for path in paths}
    return " and ".join(sorted(found - {""})) or None
