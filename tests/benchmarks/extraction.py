"""How fast extraction is, against mmpose's own ways, in one run with the same weights: `make bench-extraction`.

Every number is measured here and now; a ratio says how many times as many frames a second are done.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from extraction.zoo.mmpose_compat import import_mmpose
from tests.benchmarks.extraction_cases import Case, estimators, frames, motionbert

console = Console(highlight=False, width=150)
STEPS = ("read", "decode", "preprocess", "2D", "lift", "write")


class Bench:
    """Runs jobs in processes of their own.

    Args:
        data: data root in the MARS layout, or None for rendered people.
        folder: for files on the way.
        loop_frames: how many frames mmpose's ways are given: they are slow, and every frame costs the same.
    """

    def __init__(self, data: Path | None, folder: Path, loop_frames: int) -> None:
        self.data, self.folder, self.loop_frames = data, folder, loop_frames
        self.root, self.tracklets = frames(data, folder)

    def run(self, module: str, job: dict[str, Any], **environment: str) -> Any:
        """What a process answers to a job."""
        path = self.folder / "job.json"
        path.write_text(json.dumps({"folder": str(self.folder), **job}))
        # mmpose's side must find the defaults that its users have
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MALLOC_"))}
        command = [sys.executable, "-m", f"tests.benchmarks.{module}", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, env=clean | environment)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def mmpose(self, job: dict[str, Any]) -> dict[str, float]:
        """Its best times: with all threads, and with one, which small models prefer; `default`: as it comes."""
        usual, single = self.run("mmpose_side", job), self.run("mmpose_side", job, OMP_NUM_THREADS="1")
        default = {"default": usual["loop, flip"]} if "loop, flip" in usual else {}
        return {name: min(usual[name], single[name]) for name in usual} | default

    def ours(self, what: str, settings: dict[str, Any], **job: Any) -> Any:
        """What `our_side` measures."""
        data = str(self.data) if self.data else None
        return self.run("our_side", {"what": what, "settings": settings, "data": data, **job})

    def some_frames(self) -> list[str]:
        """Evenly chosen frames for the slow ones."""
        names = [name for tracklet in self.tracklets for name in tracklet.frames]
        step = max(1, len(names) // self.loop_frames)
        return [str((self.root / name).resolve()) for name in names[::step][: self.loop_frames]]


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f}"


def keypoints(bench: Bench, cases: list[Case]) -> dict[str, dict[str, float]]:
    """The table of 2D; the loop's times for the next."""
    table = Table("2D, ms a frame", "mmpose loop", "inferencer", "ours", "ratio", "to the inferencer", "bf16", "ratio")
    loops = {}
    every = len(bench.tracklets)
    for case in cases:
        model = case.settings.model_dump()
        loop = loops[case.name] = bench.mmpose(
            {"config": model["config"], "weights": weights_of(case), "frames": bench.some_frames()}
        )
        times = {
            (flip, precision): bench.ours(
                "keypoints",
                {"estimator": model | {"flip_test": flip, "precision": precision}, "device": "cpu"},
                count=every,
            )
            for flip in (False, True)
            for precision in ("fp32", "bf16")
        }
        for flip, name in ((False, "loop"), (True, "loop, flip")):
            ours, low = times[flip, "fp32"], times[flip, "bf16"]
            other = loop.get("inferencer, flip" if flip else "inferencer")
            table.add_row(
                f"{case.name}, {'flip test' if flip else 'no flip'}",
                milliseconds(loop[name]),
                milliseconds(other) if other else "",
                milliseconds(ours),
                f"[bold]{loop[name] / ours:.1f}x[/]",
                f"{other / ours:.1f}x" if other else "",
                milliseconds(low),
                f"{loop[name] / low:.1f}x",
            )
        ours = times[False, "fp32"]
        table.add_row(
            f"{case.name}, as users run it: mmpose flips, its own threads",
            milliseconds(loop["default"]),
            "",
            milliseconds(ours),
            f"[bold]{loop['default'] / ours:.1f}x[/]",
            "",
            milliseconds(times[False, "bf16"]),
            f"{loop['default'] / times[False, 'bf16']:.1f}x",
        )
        table.add_section()
    console.print(table)
    return loops


def weights_of(case: Case) -> str:
    from extraction.zoo.weights import locate

    return str(locate(case.settings))


def whole(bench: Bench, cases: list[Case], loops: dict[str, dict[str, float]], tracklets: int) -> None:
    """The table of whole extractions with this project's lifter."""
    from extraction.extract import LifterSettings
    from extraction.zoo.weights import locate

    lifter = LifterSettings()
    lift = bench.mmpose({"config": lifter.config, "weights": str(locate(lifter)), "window": 27, "count": 50})["lift"]
    columns = ["files to Parquet", "frames/s", *STEPS, "peak MB", "mmpose loops, frames/s", "ratio"]
    table = Table(*columns, caption="steps: part of the processors' time; mmpose: flip test off, as ours")
    for case in cases:
        found = bench.ours("whole", {"estimator": case.settings.model_dump(), "device": "cpu"}, count=tracklets)
        rate = found["frames"] / found["wall"]
        loop = 1 / (loops[case.name]["loop"] + lift)
        shares = [f"{100 * found['steps'].get(step, 0):.1f} %" for step in STEPS]
        table.add_row(
            case.name, f"{rate:.0f}", *shares, f"{found['peak_mb']:.0f}", f"{loop:.0f}", f"[bold]{rate / loop:.1f}x[/]"
        )
    console.print(table)


def lifting(bench: Bench) -> None:
    """MotionBERT, which answers for every frame of a window."""
    settings = motionbert(bench.folder)
    job = {"config": settings.config, "weights": settings.weights}
    ours = bench.ours(
        "lifting", {"lifter": settings.model_dump(), "device": "cpu"}, count=min(20, len(bench.tracklets))
    )
    table = Table("MotionBERT, ms a frame (both flip)", "mmpose loop", "ours", "ratio")
    for window, name in ((243, "a window of 243 frames for each frame, as it was trained"), (1, "one frame by itself")):
        loop = bench.mmpose({**job, "window": window, "count": 2 if window > 1 else 20})["lift"]
        table.add_row(name, milliseconds(loop), milliseconds(ours), f"[bold]{loop / ours:.1f}x[/]")
    console.print(table)


def memory(bench: Bench, case: Case, counts: tuple[int, ...]) -> None:
    """Peak memory for a few and for many tracklets."""
    table = Table("tracklets", "frames", "peak MB", title=f"memory, {case.name}")
    for count in counts:
        found = bench.ours("whole", {"estimator": case.settings.model_dump(), "device": "cpu"}, count=count)
        table.add_row(f"{count:,}", f"{found['frames']:,}", f"{found['peak_mb']:.0f}")
    console.print(table)


def precision(bench: Bench, cases: list[Case]) -> None:
    """What bf16 does to the keypoints of trained models."""
    table = Table("bf16 moves keypoints by, pixels of the frame", "mean", "95 %", "99 %", "most", "score, most")
    for case in cases:
        if case.real:
            found = bench.ours("moved", {"estimator": case.settings.model_dump(), "device": "cpu"}, every=4)
            table.add_row(
                case.name, *(f"{found[name]:.3f}" for name in ("mean", "p95", "p99", "max")), f"{found['score']:.3f}"
            )
    console.print(table)


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="frames in the MARS layout; rendered people without it")
    parser.add_argument("--weights", type=Path, default=Path("weights"), help="folder with tinypose/, if there is one")
    parser.add_argument("--loop-frames", type=int, default=64, help="frames for mmpose's ways")
    parser.add_argument("--only", choices=("2d", "whole", "lifting", "memory", "precision"), action="append")
    given = parser.parse_args()
    wanted = given.only or ("2d", "whole", "lifting", "memory", "precision")
    import_mmpose()
    data = given.data if given.data and given.data.is_dir() else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = estimators(given.weights, folder)
        bench = Bench(data, folder, given.loop_frames)
        total = sum(len(tracklet.frames) for tracklet in bench.tracklets)
        console.print(
            f"{total:,} frames of {len(bench.tracklets)} tracklets "
            f"({'rendered' if data is None else data.name}), {len(os.sched_getaffinity(0))} cores"
        )
        loops = keypoints(bench, cases) if {"2d", "whole"} & set(wanted) else {}
        if "whole" in wanted:
            whole(bench, cases, loops, len(bench.tracklets))
        if "lifting" in wanted:
            lifting(bench)
        if "memory" in wanted:
            memory(bench, cases[0], (200, 2000))
        if "precision" in wanted:
            precision(bench, cases)


if __name__ == "__main__":
    main()
