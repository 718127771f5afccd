"""What a run uses and makes, kept in the store from its first moment on: for `csip runs`, `diff`, `show` and `gc`."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from storage.secrets import without_secrets
from storage.store import manifests
from storage.store.artifacts import Artifact, Store

HOLDING = ("gc", "holding")
"""Lock for a moment: runs say under it what they hold, and `csip gc` takes out of sight under it what none holds."""

RUNNING, COMPLETED, STOPPED, FAILED, DIED = "running", "completed", "stopped", "failed", "died"
PREEMPTED = "preempted"
"""Of a run that was told by SIGTERM to end, and that the next one goes on with."""
DONE = (COMPLETED, STOPPED)
"""Of a run that made all that was asked of it: everything, or up to the stage that it was told to stop after."""

Record = dict[str, Any]
"""What is kept of a run, plain values."""


class RunRecord:
    """The record of one run, written anew whenever the run goes on to other artifacts.

    Args:
        store: where it is kept.
        run: the run's id.
        config: its settings, plain values.
    """

    def __init__(self, store: Store, run: str, config: Mapping[str, Any]) -> None:
        self.store, self.run = store, run
        self.clock = time.monotonic()
        self.content: Record = {
            "run": run,
            "name": config["name"],
            "status": RUNNING,
            "started": datetime.now(UTC).isoformat(timespec="microseconds"),
            "seconds": 0.0,
            "config": dict(config),
            "built": [],
            "artifacts": {},
            "metrics": [],
        }

    @contextmanager
    def alive(self) -> Iterator[None]:
        """While this lasts, others see that the run is going on; its end is what `finish` said, or `failed`."""
        with self.store.lock("run", self.run, f"run {self.run}"):
            self._write()
            try:
                yield
            except BaseException as error:
                if self.content["status"] == RUNNING:
                    self.finish(FAILED, error=without_secrets(str(error)) or type(error).__name__)
                raise

    def hold(self, wanted: Iterable[tuple[str, str, str]]) -> None:
        """Keep (label, stage, key) from being dropped, before they are looked for."""
        fresh = {label: {"stage": stage, "key": key} for label, stage, key in wanted}
        held = self.content["artifacts"]
        if any(held.get(label, {}).get("key") != entry["key"] for label, entry in fresh.items()):
            with self.store.lock(*HOLDING, f"run {self.run}"):
                held |= fresh
                self._write()

    def finish(
        self,
        status: str,
        artifacts: Mapping[str, Artifact] | None = None,
        built: Iterable[str] = (),
        metrics: Iterable[Mapping[str, Any]] = (),
        error: str = "",
    ) -> None:
        """Say how the run ended, with what it made and measured."""
        self.content |= {"status": status, "seconds": round(time.monotonic() - self.clock, 3)}
        if artifacts is not None:
            self.content["artifacts"] = {
                label: {"stage": a.stage, "key": a.key, "digest": a.digest} for label, a in artifacts.items()
            }
            self.content["built"] = list(built)
            self.content["metrics"] = [dict(row) for row in metrics]
        if error:
            self.content["error"] = error
        self._write()

    def _write(self) -> None:
        self.store.place.put(f"runs/{self.run}.json", manifests.written(self.content).encode())


def read_records(store: Store) -> tuple[list[Record], list[str]]:
    """The records of all runs, in the order in which they began, and the names of the files that are damaged."""
    names = [f"runs/{name}" for name in sorted(store.place.listing("runs")) if name.endswith(".json")]
    found, damaged = [], []
    for name, text in store.place.read(names).items():
        try:
            record = manifests.read(text) or _unsealed(text)
            _ = record["name"], record["status"], record["artifacts"].values()
            found.append(((record["started"], record["run"]), record))
        except (ValueError, TypeError, KeyError, AttributeError):
            damaged.append(name.removeprefix("runs/"))
    return [record for _, record in sorted(found, key=lambda pair: pair[0])], damaged


def records(store: Store) -> list[Record]:
    """What is known of each run, in the order in which they began; a damaged record is left out.

    A run whose process is gone without a word has the status `died`.
    """
    return with_status(store, read_records(store)[0])


def with_status(store: Store, found: Iterable[Record]) -> list[Record]:
    """Records, where those of processes that are gone without a word have the status `died`."""
    found = list(found)
    running = {("run", record["run"]) for record in found if record["status"] == RUNNING}
    died = running - store.locked(running)
    return [record | {"status": DIED} if ("run", record["run"]) in died else record for record in found]


def _unsealed(text: bytes) -> Record:
    """A record from before records were sealed; a ValueError where it has what a sealed one has."""
    record: Record = json.loads(text)
    if {manifests.SEAL, "format"} & record.keys():
        raise ValueError("its seal is broken")
    return record
