"""Copies a data set in the MARS layout with frames of test tracklets spoiled: what trackers that lose people hand in.

python -m tests.experiments.spoiled --data ../shared/data/mars-tiles --out data/mars-tiles-spoiled

Of each test tracklet, every frame is replaced with the given probability: half of these by a frame of another test
person, half by a blank one (its own mean colour). Training frames and lists stay as they are.
"""

import argparse
import shutil
from pathlib import Path

import cv2
import numpy as np

from storage.disk import whole


def spoil(data: Path, out: Path, share: float, seed: int) -> tuple[int, int]:
    """Write the copy; gives how many frames were replaced by another person's, and by a blank.

    Args:
        data: a data set in the MARS layout.
        out: where the copy goes; must not be there.
        share: probability that a test frame is replaced.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    counts = {"other": 0, "blank": 0}
    with whole(out) as fresh:
        shutil.copytree(data, fresh, dirs_exist_ok=True)
        frames = sorted((fresh / "bbox_test").glob("*/*.jpg"))
        for frame in frames:
            if rng.random() >= share:
                continue
            if rng.random() < 0.5:
                others = [other for other in frames if other.parent != frame.parent]
                # what it is replaced by is read from the data set itself: that frame may be spoiled by now
                chosen = others[rng.integers(len(others))].relative_to(fresh)
                shutil.copyfile(data / chosen, frame)
                counts["other"] += 1
            else:
                image = cv2.imread(str(frame))
                cv2.imwrite(str(frame), np.broadcast_to(image.mean((0, 1)), image.shape).astype(np.uint8))
                counts["blank"] += 1
    return counts["other"], counts["blank"]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data set in the MARS layout")
    parser.add_argument("--out", type=Path, required=True, help="where the copy goes")
    parser.add_argument("--share", type=float, default=0.3, help="of the test frames")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    other, blank = spoil(chosen.data, chosen.out, chosen.share, chosen.seed)
    print(f"{other} test frames are another person's now, {blank} are blank")


if __name__ == "__main__":
    main()
