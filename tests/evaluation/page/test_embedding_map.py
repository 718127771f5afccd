"""The map of embeddings: who is on it, that like lies by like, and that it is always the same."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluation.page.drawing import PEOPLE
from evaluation.page.embedding_map import DISTRACTORS, FEWEST, MOST, drawn, embedding_map, positions, spread
from evaluation.ranking.embeddings import Embeddings
from tests.evaluation.made import made

ROOT = Path(__file__).parents[3]
DIMENSIONS = 16
IN_ANOTHER_PROCESS = """
import hashlib, sys
import numpy as np
from evaluation.page.embedding_map import positions
vectors = np.random.default_rng(0).normal(size=(120, 16)).astype(np.float32)
print(hashlib.sha256(positions(vectors).tobytes()).hexdigest())
"""


def people(count: int, cameras: int = 2, takes: int = 2, distractors: int = 0, seed: int = 0) -> Embeddings:
    """Tracklets of people who lie far apart, and of nobody."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count + 1, DIMENSIONS)) * 10
    rows = [(pid, camid) for pid in range(1, count + 1) for camid in range(1, cameras + 1) for _ in range(takes)]
    rows += [(0, 1 + k % cameras) for k in range(distractors)]
    pids, camids = (np.array(column, np.int32) for column in zip(*rows, strict=True))
    vectors = (centres[pids] + rng.normal(size=(len(rows), DIMENSIONS))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return made([f"t{number:04d}" for number in range(len(rows))], vectors, pids, camids)


def without(embeddings: Embeddings, rows: slice) -> Embeddings:
    vectors = np.array(embeddings.vectors)
    vectors[rows] = 0
    return made(embeddings.ids, vectors, embeddings.pids, embeddings.camids)


@pytest.mark.parametrize(
    ("count", "most", "chosen"), [(0, 3, []), (3, 5, [0, 1, 2]), (10, 3, [0, 4, 9]), (5, 1, [0]), (4, 0, [])]
)
def test_positions_are_spread_evenly(count: int, most: int, chosen: list[int]) -> None:
    assert spread(count, most).tolist() == chosen


def test_tracklets_of_a_person_lie_nearer_to_each_other_than_to_anybody_else() -> None:
    found = embedding_map(people(12, cameras=3), 20)
    distances = np.linalg.norm(found.positions[:, None] - found.positions[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    pids = found.tracklets.pids
    assert (pids[distances.argmin(axis=1)] == pids).mean() > 0.95


def test_all_tracklets_of_as_many_people_as_asked_for_are_shown_spread_over_all_of_them() -> None:
    found = embedding_map(people(9), 3)
    assert sorted(set(found.tracklets.pids.tolist())) == [1, 5, 9]
    assert len(found.tracklets) == 3 * 4
    assert (found.identities, found.candidates, found.left_out) == (3, 9, 0)


def test_people_of_one_camera_are_left_out_where_others_have_several() -> None:
    several, lonely = people(3), people(5, cameras=1)
    keep = np.flatnonzero(lonely.pids > 3)
    pids, camids, vectors = (
        np.concatenate([getattr(several, name), getattr(lonely, name)[keep]]) for name in ("pids", "camids", "vectors")
    )
    found = embedding_map(made([f"t{row}" for row in range(len(pids))], vectors, pids, camids), 20)
    assert set(found.tracklets.pids.tolist()) == {1, 2, 3}
    assert embedding_map(lonely, 20).identities == 5


def test_distractors_are_few_and_tracklets_are_not_too_many() -> None:
    found = embedding_map(people(20, cameras=4, takes=6, distractors=300), 20)
    nobody = found.tracklets.pids == 0
    assert np.count_nonzero(nobody) == DISTRACTORS
    assert np.count_nonzero(~nobody) == MOST
    assert found.left_out == 20 * 4 * 6 - MOST


def test_what_has_no_embedding_has_no_place() -> None:
    found = embedding_map(without(people(6), slice(0, 4)), 20)
    assert set(found.tracklets.pids.tolist()) == {2, 3, 4, 5, 6}


def test_too_few_tracklets_make_no_map() -> None:
    assert embedding_map(people(1, cameras=1, takes=FEWEST - 1), 20) is None
    assert embedding_map(people(6), 0) is None
    assert drawn(embedding_map(people(1, cameras=1, takes=FEWEST), 20)).startswith("<svg")


def test_equal_embeddings_can_be_placed() -> None:
    assert np.isfinite(positions(np.ones((12, 4), np.float32))).all()


@pytest.mark.parametrize("threads", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_another_process_with_any_number_of_threads_gives_the_same_bytes(threads: str) -> None:
    import hashlib

    vectors = np.random.default_rng(0).normal(size=(120, DIMENSIONS)).astype(np.float32)
    here = hashlib.sha256(positions(vectors).tobytes()).hexdigest()
    environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
    there = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS], capture_output=True, text=True, env=environment, check=True
    )
    assert there.stdout.strip() == here


def test_a_person_is_a_colour_and_a_number_a_camera_a_shape_and_nobody_is_faint() -> None:
    svg = drawn(embedding_map(people(3, cameras=2, distractors=5), 20))
    assert all(f"var({name})" in svg for name in PEOPLE[:3])
    assert f"var({PEOPLE[3]})" not in svg
    words = re.findall(r">([^<>]+)</text>", svg)
    assert {"1", "2", "3", "camera 1", "camera 2", "distractor"} <= {word.strip() for word in words}
    assert svg == drawn(embedding_map(people(3, cameras=2, distractors=5), 20))
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
