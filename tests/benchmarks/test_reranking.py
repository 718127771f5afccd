import subprocess
import sys

import numpy as np
import pytest

from evaluation.ranking.reranking import RerankSettings, rerank
from tests.benchmarks.reranking import (
    COLUMNS,
    DIMENSIONS,
    WAYS,
    compare,
    query_count,
    usual_distances,
    usual_way,
    vectors,
)


@pytest.mark.parametrize("k2", [1, 6])
def test_the_usual_way_comes_to_what_ours_does(k2: int) -> None:
    items, queries, settings = vectors(250), query_count(250), RerankSettings(k2=k2)
    usual = usual_way(usual_distances(items), queries, settings)
    np.testing.assert_allclose(rerank(items[:queries], items[queries:], settings), usual, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_both_ways_are_measured_in_processes_of_their_own(tmp_path) -> None:
    least = compare(300, 1, tmp_path)
    assert np.load(tmp_path / "vectors.npy").shape == (300, DIMENSIONS)
    for way in WAYS:
        assert least[way].keys() == COLUMNS.keys()
        assert least[way]["total"] == pytest.approx(least[way]["distances"] + least[way]["after"])
        assert least[way]["after_cpu"] > 0
        assert 0 < least[way]["distances"] < least[way]["total"]


@pytest.mark.slow
def test_the_benchmark_prints_figures_and_how_far_results_are_apart() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.reranking", "--items", "2000", "--turns", "1"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "350 queries, 1,650 gallery items" in said
    assert "times less" in said
    assert "0 of 577,500 differ by more than 1e-05" in said
