"""Every reader against damaged trees: it says what is wrong, or what it read is what a plain second reading finds.

Never another exception, never a tracklet that is lost without a word. Seeded: a failure names tree and seed.
"""

from collections import Counter
from itertools import islice

import pytest

from storage.datasets.readers import READERS
from storage.errors import DataError
from storage.tables.tracklets import SPLITS, Tracklet
from tests.storage.datasets import oracles, trees
from tests.storage.datasets.mutations import damaged_trees
from tests.storage.datasets.trees import MemoryFiles, Tree

CASES = {
    **trees.LAYOUTS,
    "prid2011 with splits": trees.prid2011_with_splits,
    "manifest in parquet": lambda: trees.manifest("parquet"),
    "manifest of needed columns": lambda: trees.manifest(columns=trees.COLUMNS[:5]),
}
DAMAGED = 250  # trees a case


def told(tracklets: list[Tracklet]) -> oracles.Known:
    return {t.tracklet_id: (t.split, t.pid, t.camid, t.frames) for t in tracklets}


def expected(layout: str, tree: Tree, found: oracles.Known) -> oracles.Known:
    if layout == "ilidsvid":
        return oracles.ilidsvid(tree, 0)
    return oracles.prid2011(tree, found) if layout == "prid2011" else getattr(oracles, layout)(tree)


def check_index(layout: str, tree: Tree, tracklets: list[Tracklet]) -> None:
    found = told(tracklets)
    assert found == expected(layout, tree, found)
    frames = [frame for t in tracklets for frame in t.frames]
    assert max(Counter(frames).values()) == 1, "a frame is of one tracklet"
    assert len(found) == len(tracklets), "names are unique"
    assert [t.split for t in tracklets] == sorted((t.split for t in tracklets), key=SPLITS.index)
    assert {t.split for t in tracklets} == set(SPLITS)
    assert not {t.pid for t in tracklets if t.split == "train"} & {t.pid for t in tracklets if t.split != "train"}
    if layout not in ("mars", "manifest"):  # whose lists name frames, which fingerprinting then misses
        assert set(frames) <= set(tree)


@pytest.mark.parametrize("case", CASES)
def test_a_sound_tree_reads_as_its_layout_says(case: str) -> None:
    layout, tree = case.split()[0], CASES[case]()
    check_index(layout, tree, READERS[layout].read(MemoryFiles(tree), 0))


@pytest.mark.parametrize("case", CASES)
def test_damage_is_told_or_does_no_harm(case: str) -> None:
    layout, sound = case.split()[0], CASES[case]()
    outcomes: Counter[str] = Counter()
    for tree, how in islice(damaged_trees(sound), DAMAGED):
        try:
            tracklets = READERS[layout].read(MemoryFiles(tree), 0)
        except DataError as error:
            outcomes["told" if str(error).isascii() else "told in characters that a terminal may not have"] += 1
            continue
        except Exception as error:
            error.add_note(how)
            raise
        try:
            check_index(layout, tree, tracklets)
        except Exception as error:
            error.add_note(how)
            raise
        outcomes["read"] += 1
    assert outcomes.keys() == {"told", "read"}
    assert min(outcomes["told"], outcomes["read"]) >= 20, f"the damage is too little or too much: {outcomes}"
