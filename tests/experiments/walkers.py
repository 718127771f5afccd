"""Are unknown walkers told apart by their skeletons alone? `python -m tests.experiments.walkers`

27 real people before a Kinect v2 (configs/ucalgary.yaml). Walks that do not walk, the source's experiment (OA) and
frames that are not valid are left out. One half of the people trains; of the other half normal walks ask, and all walks
with acted trouble of a leg answer, each as a whole. No camera is left out. Then the halves are swapped, and figures are
the mean of both.

Beside the encoder: a ruler (nearest neighbour by Euclidean distance on mean bone lengths, in standard deviations of the
training half), the same on mean and deviation of bone directions, the skeleton graph transformer on joints in metres,
the encoder's parts, and what it is before its contrast. Again with all bones of one length.

`--validate` compares settings on people of the training half alone: three times it is cut into two halves at random,
and each of them trains once while the other asks and answers.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported

import numpy as np
from numpy.typing import NDArray

from extraction.recordings import FILE_NAME
from flows.config import load_config
from storage.bones import SHORTEST
from storage.store.artifacts import Artifact
from tests.experiments.lab import Lab, Scores, scores_of, table
from tests.experiments.skeletons import SHARED, evaluate
from training.batches.sequences import Recordings, read_recordings

CONFIGS = Path(__file__).parents[2] / "configs"
HALVES = {"even": CONFIGS / "ucalgary.yaml", "odd": CONFIGS / "ucalgary-swapped.yaml"}
"""Which people ask and answer -> the configuration."""
PEOPLE = {"even": tuple(range(1, 28, 2)), "odd": tuple(n for n in range(2, 29, 2) if n != 10)}
"""Who trains then: person 10's files are person 4's, and left out of the data."""

QUICK = ("evaluation.resamples=100",)
SMALL = (
    *("skeleton_only.skeleton.width=32", "skeleton_only.skeleton.depth=2", "skeleton_only.skeleton.heads=2"),
    *("skeleton_only.skeleton.hidden=64", "skeleton_only.skeleton.dropout=0.1", "skeleton_only.projection=32"),
)
GRAPH = (*SMALL, "skeleton_only.body.graph=1", "skeleton_only.epochs=10")
EQUAL = "data.sequences.bone_length=0.25"

ARMS: dict[str, Sequence[str]] = {
    "encoder": (),
    "encoder, before the contrast": ("skeleton_only.epochs=1", "skeleton_only.lr=1.0e-12"),
    "its lengths alone": ("skeleton_only.body.directions=0",),
    "its directions alone": ("skeleton_only.body.lengths=0",),
    "encoder with a graph transformer": GRAPH,
    "graph transformer, joints in metres": (*SMALL, "skeleton_only.body=null", "skeleton_only.epochs=10"),
}
EQUAL_ARMS: dict[str, Sequence[str]] = {
    "encoder": (EQUAL,),
    "encoder, before the contrast": (EQUAL, *ARMS["encoder, before the contrast"]),
    "its motion alone": (EQUAL, "skeleton_only.body={lengths: 0, directions: 0, motion: 1}"),
}
VALIDATED: dict[str, Sequence[str]] = {
    "as shipped": (),
    "before the contrast": ARMS["encoder, before the contrast"],
    "15 epochs": ("skeleton_only.epochs=15",),
    **{f"directions {weight:g}": (f"skeleton_only.body.directions={weight}",) for weight in (0, 0.5, 1, 4)},
    "directions alone": ARMS["its directions alone"],
    "motion 0.3": ("skeleton_only.body.motion=0.3",),
    **{f"shrinkage {share:g}": (f"skeleton_only.body.shrinkage={share}",) for share in (0.05, 0.5)},
    "clips of 50": ("skeleton_only.clip_length=50",),
    "graph 1": GRAPH,
}
COLUMNS = ["Rank-1", "mAP", "even ask: Rank-1", "mAP", "odd ask: Rank-1", "mAP"]


def main() -> None:
    """Print a table for bones as they are and one for equal bones; or how settings do on held-out training people."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "data/gait", help="folder of ucalgary.npz")
    parser.add_argument("--out", type=Path, default=Path("store/walkers"), help="where everything is kept")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--validate", action="store_true", help="on people of the training halves alone")
    parser.add_argument("--only", nargs="*", help="arms, by name")
    chosen = parser.parse_args()
    lab, common = Lab(chosen.out), [f"data.root={chosen.data}", *QUICK]
    if chosen.validate:
        rows = validated(lab, common, chosen.only or VALIDATED)
        print("\nHeld-out people of the training half, 6 cuts, mean, percent\n")
        print(table(["changed", "odd train: Rank-1", "mAP", "even train: Rank-1", "mAP"], rows))
        return
    for title, arms, baseline in (
        ("bones as they are", ARMS, {"a ruler": mean_lengths}),
        ("equal bones", EQUAL_ARMS, {"mean and deviation of directions": direction_statistics}),
    ):
        wanted = {name: how for name, how in arms.items() if not chosen.only or name in chosen.only}
        rows = measured(lab, common, wanted, baseline, chosen.seeds)
        print(f"\n{chosen.seeds} seeds, mean and standard deviation, percent\n")
        print(table([title, *COLUMNS], rows))
        sys.stdout.flush()


Describe = Callable[[Recordings], NDArray[np.float64]]


def measured(
    lab: Lab, common: Sequence[str], arms: Mapping[str, Sequence[str]], baseline: Mapping[str, Describe], seeds: int
) -> dict[str, list[list[float]]]:
    """Name -> for each seed its measures, as `COLUMNS` says, with the baselines and chance first."""
    rows: dict[str, list[list[float]]] = {name: [] for name in ("chance", *baseline)}
    for name, overrides in arms.items():
        for seed in range(seeds):
            halves, chances, rulers = [], [], []
            for half, path in HALVES.items():
                config = load_config(path, [*common, f"skeleton_only.seed={seed}", *overrides])
                made = evaluate(lab, config, f"{name}, {half}, seed {seed}")
                found = scores_of(made["metrics recordings"])
                halves.append(found)
                chances.append({"R1": found["chance R1"], "mAP": found["chance mAP"]})
                rulers += [nearest(made, describe) for describe in baseline.values()]
            if not rows["chance"]:
                rows["chance"].append(both(chances))
                for row, other in enumerate(baseline):
                    rows[other].append(both(rulers[row :: len(baseline)]))
            rows.setdefault(name, []).append(both(halves))
            lab.say(f"{name}, seed {seed}: {rows[name][-1]}")
    return rows


def validated(lab: Lab, common: Sequence[str], names: Sequence[str]) -> dict[str, list[list[float]]]:
    """Name -> for each cut Rank-1 and mAP of the held-out people: with odd numbers first, then with even ones."""
    rows: dict[str, list[list[float]]] = {}
    for name in names:
        for cut in range(6):
            row: list[float] = []
            for half, people in PEOPLE.items():
                order = np.random.default_rng(cut // 2).permutation(people).tolist()
                parts = order[: len(order) // 2], order[len(order) // 2 :]
                fit, held = parts[cut % 2], parts[1 - cut % 2]
                chosen = [
                    f"data.sequences.train={{person: {fit}}}",
                    f"data.sequences.query={{person: {held}, condition: N}}",
                    f"data.sequences.gallery={{person: {held}, condition: [AR, AL]}}",
                ]
                config = load_config(HALVES[half], [*common, *chosen, *VALIDATED[name]])
                found = scores_of(evaluate(lab, config, f"{name}, cut {cut}")["metrics recordings"])
                row += [found["R1"], found["mAP"]]
            rows.setdefault(name, []).append(row)
        lab.say(f"{name}: {np.mean(rows[name], axis=0).round(1)}")
    return rows


def both(halves: Sequence[Scores]) -> list[float]:
    """The mean of two halves, then each of them."""
    each = [[half["R1"], half["mAP"]] for half in halves]
    return [*np.mean(each, axis=0).tolist(), *each[0], *each[1]]


def nearest(made: Mapping[str, Artifact], describe: Describe) -> Scores:
    """Nearest neighbours by Euclidean distance, in standard deviations of the training recordings."""
    train, test = (read_recordings([made[f"skeletons {part}-000"].path / FILE_NAME]) for part in ("train", "test"))
    known, vectors = describe(train), describe(test)
    deviation = known.std(0)
    rows = (vectors - known.mean(0)) / np.where(deviation > 0, deviation, 1)
    asks = np.array(test.splits) == "query"
    first, precision = [], []
    for row, pid in zip(rows[asks], test.pids[asks], strict=True):
        order = np.argsort(np.linalg.norm(rows[~asks] - row, axis=1), kind="stable")
        right = test.pids[~asks][order] == pid
        places = np.flatnonzero(right)
        if len(places):
            first.append(right[0])
            precision.append(np.mean(np.arange(1, len(places) + 1) / (places + 1)))
    return {"R1": 100 * float(np.mean(first)), "mAP": 100 * float(np.mean(precision))}


def mean_lengths(recordings: Recordings) -> NDArray[np.float64]:
    """Mean length of each bone over all frames, (N, E), metres."""
    return np.array([np.linalg.norm(bones(recordings, frames), axis=-1).mean(0) for frames in recordings.skeletons])


def direction_statistics(recordings: Recordings) -> NDArray[np.float64]:
    """Mean and standard deviation of bones' directions over all frames, (N, 6 E)."""
    rows = []
    for frames in recordings.skeletons:
        found = bones(recordings, frames)
        found = found / np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), SHORTEST)
        rows.append(np.concatenate([found.mean(0).ravel(), found.std(0).ravel()]))
    return np.array(rows)


def bones(recordings: Recordings, frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """From joint to joint, (T, E, 3)."""
    ends = np.array(recordings.kind.edges)
    return (frames[:, ends[:, 1]] - frames[:, ends[:, 0]]).astype(np.float64)


if __name__ == "__main__":
    main()
