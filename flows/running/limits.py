"""How much may happen at once across runs and machines: limits that the Prefect server keeps, by name.

A holder's slot is a lease that its process renews. If the process dies, its machine vanishes, or the server no longer
hears of it, the slot is free again after `LEASE_SECONDS` and the server's next look (15 s). Where the server has no
limit of such a name, nobody waits: `csip deploy` makes them.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import PurePosixPath

from prefect.concurrency.sync import concurrency

from flows.stages import WITH_MODELS

GPU_LIMIT = "CSIP_GPU_LIMIT"
"""The environment variable that names the limit on tasks that use a GPU; without it there is none."""

LEASE_SECONDS = 60
"""The shortest that Prefect's server grants."""


def store_limit(store: str, folder: str) -> str:
    """Name of the limit of one run a store: readable, and another for each address; a path starts from `folder`."""
    address = store if "://" in store else str(PurePosixPath(folder) / store)
    readable = re.sub(r"[^a-z0-9]+", "-", address.lower()).strip("-")[-40:].strip("-")
    return f"csip-store-{readable}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"


@contextmanager
def slot(name: str, count: int = 1) -> Iterator[None]:
    """Hold slots of a limit; waits for them as long as it takes.

    A lease that could not be renewed costs nobody the work of hours: the worst is that two do at once what is safe at
    once, if slower.
    """
    with concurrency(name, count, lease_duration=LEASE_SECONDS, strict=False, raise_on_lease_renewal_failure=False):
        yield


def gpu_slot(stage: str, gpus: int = 1) -> AbstractContextManager[None]:
    """Hold GPUs while a task of a stage runs; waits for none where the stage uses none, or where no limit is set."""
    name = os.environ.get(GPU_LIMIT) if stage in WITH_MODELS else None
    return slot(name, gpus) if name else nullcontext()
