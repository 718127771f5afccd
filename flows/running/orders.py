"""A step on its way to a worker, and what the worker makes sure of before it builds it."""

import hashlib
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from flows.keys.libraries import all_versions
from flows.keys.reach import ROOT
from flows.keys.steps import Step
from flows.keys.syntax import PACKAGES
from storage.errors import EnvironmentProblem
from storage.store.artifacts import Store


class Order:
    """A step to build into a store. Prefect takes it for one value and does not look into it.

    Artifacts and store are sent as what they are called; a worker opens the store for itself.
    """

    interrupted = False  # whether its worker is told to stop by SIGINT, as those of Ray are

    def __init__(self, step: Step, store: Store) -> None:
        self.step, self.store, self.label = step, store, step.label
        self.sender = os.getpid()
        self.folder = os.getcwd()
        self.threads = os.environ.get("OMP_NUM_THREADS") or str(len(os.sched_getaffinity(0)))

    def __getstate__(self) -> dict[str, Any]:
        _ = self.step.key  # a worker is told the key, and need not work it out
        return self.__dict__ | {"installed": installed()}

    def arrive(self) -> None:
        """Make a worker's process ready: same code, same folder if it is there, same number of threads.

        Raises:
            EnvironmentProblem: the worker has other code or libraries, and would make something else.
        """
        if os.getpid() == self.sender and "installed" not in self.__dict__:
            return
        if Path(self.folder).is_dir():
            os.chdir(self.folder)
        differing = [
            f"{name} {here or 'missing'} in place of {there}"
            for (name, here), there in zip(installed().items(), self.__dict__["installed"].values(), strict=True)
            if here != there
        ]
        if differing:
            raise EnvironmentProblem(
                f"this worker has other code than the run: {', '.join(differing)}",
                where=os.uname().nodename,
                fix="install the same version of csip and the same requirements.lock on every machine; "
                "`csip doctor --cluster` lists them",
            )
        _use_threads(int(self.threads))


@cache
def installed() -> dict[str, str | None]:
    """Digest of this project's own code, and library -> version, as this process has them."""
    digest = hashlib.sha256()
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return {"csip": digest.hexdigest()[:12], **all_versions()}


@cache
def _use_threads(count: int) -> None:
    """The last bits of a training depend on it, and Ray gives each worker one."""
    os.environ["OMP_NUM_THREADS"] = str(count)  # read when torch is imported
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
