"""What does each part of the method give on real people? `python -m tests.experiments.ablation`

The parts are switched on one after another, as an ablation of the paper would: five models a seed.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported

from flows.config import load_config
from tests.experiments.lab import Lab, finetune, make_start, pretrain, read_data, score, seeded, table

CONFIG = Path(__file__).with_name("mars-tiles.yaml")
SHARED = Path("../shared")
ARMS = {  # name -> SGTM, PFU, pretrained
    "+ stage 2 without skeletons": (False, False, False),
    "+ SGTM": (True, False, False),
    "+ PFU": (True, True, False),
    "+ pretraining": (True, True, True),
}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("store/experiments"), help="where everything is kept")
    parser.add_argument("--data", type=Path, default=SHARED / "data/mars-tiles", help="tracklets in the MARS layout")
    parser.add_argument("--weights", type=Path, default=SHARED / "weights", help="the folder that holds tinypose/")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    chosen = parser.parse_args()
    lab = Lab(chosen.out)
    rows: dict[str, list[list[float]]] = {}
    for seed in range(chosen.seeds):
        places = [
            f"data.root={chosen.data}",
            f"extraction.estimator.config={chosen.weights}/tinypose/td-hm_litehrnet-widernaive_pptinypose_coco-256x192.py",
            f"extraction.estimator.weights={chosen.weights}/tinypose/tinypose_256x192_litehrnet_widernaive_mmpose.pth",
        ]
        config = load_config(CONFIG, places + seeded(seed))
        data = read_data(lab, config)
        start = make_start(lab, config, data, f"seed {seed}")
        alone = score(lab, config, data, start.encoder)
        rows.setdefault("visual encoder alone", []).append([alone["mAP"], alone["R1"]])
        lab.say(f"seed {seed}: visual encoder alone {alone}")
        skeletons = data.skeletons["train"]
        for name, (sgtm, pfu, trained) in ARMS.items():
            switches = {"use_sgtm": sgtm, "use_pfu": pfu, "use_skeletons": sgtm or pfu}
            arm = config.model_copy(update={"finetune": config.finetune.model_copy(update=switches)})
            pretrained = pretrain(lab, arm, data, start, skeletons, f"seed {seed}", trained=trained)
            finetuned = finetune(lab, arm, data, start, skeletons, pretrained, f"seed {seed}, {name}:")
            found = score(lab, arm, data, finetuned)
            rows.setdefault(name, []).append([found["mAP"], found["R1"]])
            lab.say(f"seed {seed}: {name} {found}")
        rows.setdefault("chance", []).append([alone["chance mAP"], alone["chance R1"]])
    print(f"{chosen.seeds} seeds, mean and standard deviation, percent\n")
    print(table(["model", "mAP", "Rank-1"], rows))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
