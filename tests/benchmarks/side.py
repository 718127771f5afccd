"""A stage in a process of its own: prints its speed and the largest memory that the process took, as JSON.

`python -m tests.benchmarks.side JOB`, a job being what `training.looping.launch` writes for several devices.
"""

import json
import resource
import sys
from pathlib import Path

import torch

from storage.progress import silent
from storage.store.trainings import WORK
from training.looping.launch import read_job
from training.looping.loop import SPEED


def main() -> None:
    """Run the stage of the job."""
    module, inputs, settings, out = read_job(Path(sys.argv[1]))
    module.run(inputs, settings, out, silent)
    measured = json.loads((out / WORK / SPEED).read_text())
    measured["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    measured["peak_gpu_mb"] = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
