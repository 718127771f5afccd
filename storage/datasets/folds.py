"""Cross-validation: training people stand in for test people, so that a choice of settings never looks at the test."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from storage.errors import DataError
from storage.tables.tracklets import Tracklet


def fold_of(tracklets: Sequence[Tracklet], folds: int, fold: int) -> list[Tracklet]:
    """The training people alone, every `folds`-th of them, from the `fold`-th on, held out as queries and gallery.

    The first tracklet of each held-out identity that two cameras saw is a query; all its others, and those of held-out
    identities that one camera saw, are the gallery.

    Args:
        tracklets: of a data set, any order.
        folds: parts into which the training identities are cut.
        fold: the part that is held out, from 0.

    Raises:
        DataError: fewer than two identities are left to train on, or none that is held out was seen by two cameras.
    """
    trained = [tracklet for tracklet in tracklets if tracklet.split == "train"]
    held_out = set(sorted({tracklet.pid for tracklet in trained})[fold::folds])
    where = f"data.folds={folds}, data.split={fold}"
    if len({tracklet.pid for tracklet in trained} - held_out) < 2:
        fix = "give more training identities"
        raise DataError("fewer than two identities are left to train on", where=where, fix=fix)
    seen = defaultdict[int, list[Tracklet]](list)
    for tracklet in sorted(trained, key=lambda tracklet: tracklet.tracklet_id):
        if tracklet.pid in held_out:
            seen[tracklet.pid].append(tracklet)
    queries = {own[0].tracklet_id for own in seen.values() if len({tracklet.camid for tracklet in own}) > 1}
    if not queries:
        fix = "lower data.folds, so that more are held out"
        raise DataError("no held-out identity was seen by two cameras: nothing to ask for", where=where, fix=fix)
    return [
        tracklet
        if tracklet.pid not in held_out
        else replace(tracklet, split="query" if tracklet.tracklet_id in queries else "gallery")
        for tracklet in trained
    ]
