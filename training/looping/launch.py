"""A stage on several devices: torchrun starts a process for each, and all of them run the stage together.

Several nodes train together by torchrun's own variables (PET_NNODES, PET_NODE_RANK, PET_MASTER_ADDR, ...): the node
that runs the flow has rank 0, and the others run `torchrun -m training.looping.launch JOB` on the job file that its log
names.
"""

import functools
import importlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import torch
import torch.distributed as dist
from pydantic import TypeAdapter

import storage.errors
from storage.errors import CsipError, EnvironmentProblem
from storage.progress import Progress
from storage.settings import Settings
from storage.stop import Request, Stopped
from storage.store.trainings import WORK
from training.looping.distributed import rank

log = logging.getLogger("csip")
JOB, ERRORS, OUTPUT = "job.json", "error-*.json", "processes.log"
Run = Callable[[Any, Any, Path, Progress], None]


def on_all_devices(run: Run) -> Run:
    """Makes a stage's `run` use `inputs.trainer.devices` processes; the calling one only waits and tells progress.

    Raises:
        EnvironmentProblem: fewer GPUs than asked for, or a process died without saying why.
        CsipError: what a process raised.
    """

    @functools.wraps(run)
    def spread(inputs: Any, settings: Settings, out_dir: Path, progress: Progress) -> None:
        nodes = os.environ.get("PET_NNODES", "1")
        if (inputs.trainer.devices == 1 and nodes == "1") or dist.is_initialized():
            run(inputs, settings, out_dir, progress)
        else:
            _launch(run.__module__, inputs, settings, out_dir, progress, alone=nodes == "1")

    return spread


def _launch(module: str, inputs: Any, settings: Settings, out_dir: Path, progress: Progress, *, alone: bool) -> None:
    devices = inputs.trainer.devices
    gpus = torch.cuda.device_count()
    if gpus and devices > gpus:
        raise EnvironmentProblem(
            f"{devices} devices are asked for, and this machine has {gpus} GPUs",
            where="trainer.devices",
            fix=f"set it to {gpus} or less",
        )
    work = out_dir.resolve() / WORK
    work.mkdir(exist_ok=True)
    for old in work.glob(ERRORS):
        old.unlink()
    write_job(work / JOB, module, inputs, settings, out_dir)
    threads = str(max(1, (os.cpu_count() or 1) // devices))
    where = ["--nproc-per-node", str(devices), *(["--standalone"] if alone else [])]
    command = [sys.executable, "-m", "torch.distributed.run", *where, "-m", "training.looping.launch", str(work / JOB)]
    log.info("training on %d devices: %s", devices, work / JOB)
    with (
        (work / OUTPUT).open("w") as output,
        subprocess.Popen(  # noqa: S603 (our own module)
            command, stdout=subprocess.PIPE, stderr=output, text=True, env={"OMP_NUM_THREADS": threads} | os.environ
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                told = _told(line)
                if told is not None:
                    progress(*told)
        except BaseException:
            process.terminate()  # torchrun ends its processes before itself; they save the state of this step
            raise
    if process.returncode:
        raise _error(work, process.returncode)


def write_job(path: Path, module: str, inputs: Any, settings: Settings, out_dir: Path) -> None:
    """Describe a stage's work in a file, for a process that does it."""
    job = {
        "module": module,
        "inputs": TypeAdapter(type(inputs)).dump_python(inputs, mode="json"),
        "settings": settings.model_dump(mode="json"),
        "out_dir": str(out_dir.resolve()),
    }
    path.write_text(json.dumps(job, indent=1))


def read_job(path: Path) -> tuple[ModuleType, Any, Any, Path]:
    """The stage's module, its inputs and settings, and the folder to write to."""
    job = json.loads(path.read_text())
    module = importlib.import_module(job["module"])
    inputs = TypeAdapter(module.Inputs).validate_python(job["inputs"])
    settings = get_type_hints(module.run)["settings"](**job["settings"])
    return module, inputs, settings, Path(job["out_dir"])


def _told(line: str) -> tuple[int, int, str] | None:
    with suppress(ValueError):
        match json.loads(line):
            case {"done": int(done), "total": int(total), "message": str(message)}:
                return done, total, message
    return None


def _error(work: Path, status: int) -> CsipError:
    for path in sorted(work.glob(ERRORS)):
        told = json.loads(path.read_text())
        kind = Stopped if told["kind"] == Stopped.__name__ else getattr(storage.errors, told["kind"], CsipError)
        return kind(told["what"], where=told["where"], fix=told["fix"])
    last = (work / OUTPUT).read_text().splitlines()[-1:]
    return EnvironmentProblem(
        f"a training process ended with status {status}: {' '.join(last)}",
        where=work / OUTPUT,
        fix="look into this file; run again to go on from the last saved state",
    )


def work_on(job: Path) -> None:
    """Run a stage in this process, one of those that torchrun started."""
    module, inputs, settings, out_dir = read_job(job)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    request = Request()

    def tell(done: int, total: int, message: str = "") -> None:
        request.check()
        if rank() == 0:
            # whoever started the training may be gone: then this fails, and the training ends
            print(json.dumps({"done": done, "total": total, "message": message}), flush=True)

    try:
        with request.on_sigterm():
            module.run(inputs, settings, out_dir, tell)
        dist.barrier()
    except CsipError as error:
        about = {"kind": type(error).__name__, "what": error.what, "where": error.where, "fix": error.fix}
        path = job.parent / ERRORS.replace("*", str(rank()))
        path.write_text(json.dumps(about, default=str))
        raise
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    work_on(Path(sys.argv[1]))
