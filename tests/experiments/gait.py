"""Does pretraining learn who somebody is from a skeleton? `python -m tests.experiments.gait`

The people of a generated data set wear the same clothes: limb lengths, build and gait alone tell them apart. The same
model is trained with the skeletons that were extracted from the frames, and with noise in their place.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported

from extraction.skeletons import FILE_NAME
from flows.config import load_config
from flows.keys.steps import Step
from storage.store.artifacts import ArtifactFile
from storage.store.manifests import file_digest
from tests.experiments.lab import (
    Data,
    Lab,
    finetune,
    make_start,
    pretrain,
    read_data,
    score,
    score_skeletons,
    seeded,
    table,
)
from tests.experiments.noise import NoiseSettings

CONFIG = Path(__file__).with_name("gait.yaml")
ARMS = ("skeletons", "noise for skeletons")


def main() -> None:
    """Print two tables: of the skeleton encoder alone, and of the finetuned model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("store/experiments"), help="where everything is kept")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    chosen = parser.parse_args()
    lab = Lab(chosen.out)
    by_skeletons: dict[str, list[list[float]]] = {}
    by_images: dict[str, list[list[float]]] = {}
    for seed in range(chosen.seeds):
        config = load_config(CONFIG, [f"data.root={chosen.out / 'gait-data'}", *seeded(seed)])
        data = read_data(lab, config)
        start = make_start(lab, config, data, f"seed {seed}")
        alone = score(lab, config, data, start.encoder)
        by_images.setdefault("visual encoder alone", []).append([alone["mAP"], alone["R1"]])
        initial = pretrain(lab, config, data, start, data.skeletons["train"], f"seed {seed}", trained=False)
        told = score_skeletons(lab, config, data, initial, data.skeletons["test"])
        by_skeletons.setdefault("initial weights", []).append([told["mAP"], told["R1"]])
        true = true_skeletons(data)
        pretrained = pretrain(lab, config, data, start, true, f"seed {seed}, true joints:")
        told = score_skeletons(lab, config, data, pretrained, true)
        by_skeletons.setdefault("trained and tested with true joints", []).append([told["mAP"], told["R1"]])
        for name in ARMS:
            skeletons = data.skeletons["train"] if name == "skeletons" else noise(lab, data, seed)
            pretrained = pretrain(lab, config, data, start, skeletons, f"seed {seed}, {name}:")
            told = score_skeletons(lab, config, data, pretrained, data.skeletons["test"])
            by_skeletons.setdefault(f"trained with {name}", []).append([told["mAP"], told["R1"]])
            finetuned = finetune(lab, config, data, start, skeletons, pretrained, f"seed {seed}, {name}:")
            found = score(lab, config, data, finetuned)
            by_images.setdefault(f"finetuned with {name}", []).append([found["mAP"], found["R1"]])
            lab.say(f"seed {seed}, {name}: skeleton encoder {told}, model {found}")
        by_skeletons.setdefault("chance", []).append([alone["chance mAP"], alone["chance R1"]])
        by_images.setdefault("chance", []).append([alone["chance mAP"], alone["chance R1"]])
    print(f"{chosen.seeds} seeds, mean and standard deviation, percent\n")
    print(table(["skeleton encoder, on the skeletons of test people", "mAP", "Rank-1"], by_skeletons) + "\n")
    print(table(["model, on the images of test people", "mAP", "Rank-1"], by_images))
    sys.stdout.flush()


def true_skeletons(data: Data) -> ArtifactFile:
    """The joints that the people were drawn from, of all tracklets."""
    path = data.root / "truth" / "skeletons.parquet"
    return ArtifactFile(path, file_digest(path))


def noise(lab: Lab, data: Data, seed: int) -> ArtifactFile:
    """What takes the place of the training people's skeletons."""
    inputs = {"index": data.rows["train"], "skeletons": data.skeletons["train"]}
    step = Step("skeletons", "tests.experiments.noise", NoiseSettings(seed=seed), inputs, part="noise")
    return lab.build(step).file(FILE_NAME)


if __name__ == "__main__":
    main()
