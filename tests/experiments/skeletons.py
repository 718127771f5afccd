"""Are people told apart by their skeletons alone? `python -m tests.experiments.skeletons`

Real Kinect skeletons (UTD-MHAD, 8 people, 27 actions): trials 1 and 2 train, 3 asks, 4 answers. Every action in every
split, or each action in one only. Beside the trained encoder: its initial weights, one that is given lengths and
directions of bones as two inputs, the mean lengths of bones, an encoder that was trained with identities shuffled among
recordings, and the same where those of probe and gallery are shuffled too (ten times, the mean). That one must be at
chance; what an encoder says of bodies is of use whatever labels it learnt from.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evaluation.ranking.distances import between
from evaluation.ranking.embeddings import queries_and_gallery, read_embeddings
from evaluation.ranking.metrics import per_query
from evaluation.ranking.ranks import rank_gallery
from extraction.recordings import FILE_NAME
from flows.builder import Builder
from flows.config import Config, load_config
from flows.keys.steps import Step
from flows.planning.scan import publish_index
from flows.skeleton_pipeline import skeleton_pipeline
from storage.index import scan
from storage.settings import Settings
from storage.store.artifacts import Artifact
from storage.tables.parquet import read_table
from storage.tables.schema import SEQUENCES
from tests.experiments.lab import Lab, Scores, scores_of, table
from training.settings import TrainerSettings

CONFIG = Path(__file__).with_name("skeletons.yaml")
SHUFFLES = 10
SHARED = Path(__file__).parents[3] / "shared"
EPOCHS = {"same": 6, "different": 18}
"""Epochs for each choice of actions: about as many steps, as there are three times fewer recordings in the second."""


class Evaluated(Exception):
    """The report would come next."""


@dataclass
class Experiment(Builder):
    """Walks the pipeline of skeletons up to the metrics, in a lab."""

    lab: Lab
    title: str
    made: dict[str, Artifact] = field(default_factory=dict)

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        """Build steps."""
        if steps[0].stage == "report":
            raise Evaluated
        built = {step.label: self.lab.build(step, f"{self.title} {step.label}") for step in steps}
        self.made |= built
        return list(built.values())


def main() -> None:
    """Print a table for same and one for different actions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "data/utd-mhad", help="folder of UTD-MHAD's skeletons")
    parser.add_argument("--out", type=Path, default=Path("store/experiments"), help="where everything is kept")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--start-from", type=Path, help="also finetune, and use as it is, this skeleton encoder")
    chosen = parser.parse_args()
    lab = Lab(chosen.out)
    for actions in EPOCHS:
        rows: dict[str, list[list[float]]] = {}
        for seed in range(chosen.seeds):
            for name, scores in arms(lab, chosen.data, actions, seed, chosen.start_from).items():
                rows.setdefault(name, []).append([s[key] for s in scores for key in ("mAP", "R1")])
                lab.say(f"{actions} actions, seed {seed}, {name}: {rows[name][-1]}")
        columns = ["mAP, sequences", "Rank-1", "mAP, recordings", "Rank-1"]
        print(f"\n{actions} actions, {chosen.seeds} seeds, mean and standard deviation, percent\n")
        print(table([f"{actions} actions", *columns], rows))
        sys.stdout.flush()


def arms(lab: Lab, data: Path, actions: str, seed: int, start_from: Path | None) -> Mapping[str, tuple[Scores, Scores]]:
    """What is compared, with one seed: name -> scores of sequences and of recordings."""
    training = [f"skeleton_only.seed={seed}", f"skeleton_only.epochs={EPOCHS[actions]}"]
    common = [f"data.root={data}", f"data.sequences.actions={actions}", *training]
    trained = evaluate(lab, load_config(CONFIG, common), f"seed {seed}")
    found = {"trained": scores(trained)}
    body = load_config(CONFIG, [*common, "skeleton_only.body={}"])
    found["lengths and directions"] = scores(evaluate(lab, body, f"seed {seed} lengths and directions"))
    still = ["skeleton_only.epochs=1", "skeleton_only.lr=1.0e-12"]
    found["initial weights"] = scores(evaluate(lab, load_config(CONFIG, [*common, *still]), f"seed {seed} initial"))
    found["bone lengths"] = ruler(lab, load_config(CONFIG, common), trained)
    if start_from:
        given = [*common, f"skeleton_only.start_from={start_from}"]
        found["of video, finetuned"] = scores(evaluate(lab, load_config(CONFIG, given), f"seed {seed} finetuned"))
        given += ["skeleton_only.epochs=0"]
        found["of video, as it is"] = scores(evaluate(lab, load_config(CONFIG, given), f"seed {seed} as it is"))
    root = lab.store.root / f"shuffled-{actions}-{seed}"
    write_shuffled(trained, seed, root)
    overrides = [f"data.root={root}", "data.layout=skeletons", *training]
    blind = evaluate(lab, load_config(CONFIG, overrides), f"seed {seed} shuffled")
    found["training labels shuffled"] = scores(blind)
    found["all labels shuffled"] = (
        relabelled(blind["embeddings test-000"].path / "sequences.parquet", seed),
        relabelled(blind["embeddings test-000"].path / "recordings.parquet", seed),
    )
    chance = [
        {"mAP": s["chance mAP"], "R1": s["chance R1"], "chance mAP": s["chance mAP"], "chance R1": s["chance R1"]}
        for s in found["trained"]
    ]
    return found | {"chance": (chance[0], chance[1])}


def evaluate(lab: Lab, config: Config, title: str) -> dict[str, Artifact]:
    """The artifacts of the pipeline, up to the metrics."""
    found = publish_index(lab.store, config, scan(config.data, lab.store.root / "cache" / "skeletons.parquet"))
    index = lab.store.find("index", found["key"])
    if index is None:
        raise RuntimeError("the index vanished from the store")
    walk = Experiment(lab, title)
    quiet = config.model_copy(update={"trainer": TrainerSettings(loggers=())})
    with suppress(Evaluated):
        skeleton_pipeline(quiet, index, walk)
    return walk.made


def scores(made: Mapping[str, Artifact]) -> tuple[Scores, Scores]:
    """Of sequences, and of recordings."""
    return scores_of(made["metrics sequences"]), scores_of(made["metrics recordings"])


def ruler(lab: Lab, config: Config, made: Mapping[str, Artifact]) -> tuple[Scores, Scores]:
    """Scores of bone lengths."""
    shards = {part: made[f"skeletons {part}-000"].file(FILE_NAME) for part in ("train", "test")}
    embeddings = lab.build(Step("embeddings", "tests.experiments.bone_lengths", Settings(), shards))
    steps = [
        Step("metrics", "evaluation.evaluate", config.evaluation, {"embeddings": [embeddings.file(f"{name}.parquet")]})
        for name in ("sequences", "recordings")
    ]
    of_sequences, of_recordings = (scores_of(lab.build(step)) for step in steps)
    return of_sequences, of_recordings


def write_shuffled(made: Mapping[str, Artifact], seed: int, root: Path) -> None:
    """The recordings as a Parquet data set, with the training identities shuffled among the training recordings."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        source = read_table(made[f"skeletons {part}-000"].path / FILE_NAME, SEQUENCES)
        pids = source["pid"].to_numpy()
        columns = {name: source[name] for name in ("tracklet_id", "split", "camid")}
        columns |= {"pid": pa.array(rng.permutation(pids) if part == "train" else pids)}
        columns |= {"keypoints": source["keypoints_3d"], "skeleton": pa.array(["kinect20"] * len(pids))}
        pq.write_table(pa.table(columns), root / f"{part}.parquet")


def relabelled(embeddings: Path, seed: int) -> Scores:
    """Mean scores where identities are shuffled among the recordings of the probe, and among those of the gallery."""
    found, rng = read_embeddings([embeddings]), np.random.default_rng(seed)
    names = np.array([name.split("#")[0] for name in found.ids])
    _, first, owner = np.unique(names, return_index=True, return_inverse=True)
    pids, splits = found.pids[first], found.splits[first]
    reached = []
    for _ in range(SHUFFLES):
        for split in ("query", "gallery"):
            pids[splits == split] = rng.permutation(pids[splits == split])
        shuffled = replace(found, pids=pids[owner])
        queries, gallery = queries_and_gallery(shuffled, "without_queries")
        ranking = rank_gallery(queries, gallery, between(queries.vectors, gallery.vectors), 1)
        measured = per_query(ranking.ranks, ranking.starts).mean(1)
        reached.append((measured.mean_average_precision, measured.cmc[0]))
    precision, rank1 = 100 * np.mean(reached, axis=0)
    return {"mAP": float(precision), "R1": float(rank1)}


if __name__ == "__main__":
    main()
