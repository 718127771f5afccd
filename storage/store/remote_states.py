"""Saved states of trainings at the store's address, so that another machine goes on where one was stopped.

    <address>/trainings/<stage>/<lineage>/state-....pth    the newest state that was sent
    <address>/trainings/<stage>/<lineage>/manifest.json    its name, size and digest; written last, and sealed

A state is sent in the background while the training goes on, and at its end. What cannot be sent or fetched costs steps
that are done again, and never the training.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import copy_context
from pathlib import Path

from storage.disk import whole
from storage.errors import CsipError
from storage.store import manifests
from storage.store.artifact_stamps import Listing
from storage.store.manifests import MANIFEST, file_digest
from storage.store.remote_files import RemoteFiles
from storage.store.trainings import done_of, saved_states, training_lock

log = logging.getLogger("csip")
FOLDER = "trainings"
LOOK_SECONDS = 1.0


class RemoteStates(RemoteFiles, ABC):
    """What a store at an address does with states; each method as `storage.store.artifacts.Store` says."""

    @abstractmethod
    def lock(self, stage: str, key: str, purpose: str = "") -> AbstractContextManager[None]:
        """Hold a lock of the store."""

    @contextmanager
    def sending_states(self, stage: str, lineage: str, work: Path) -> Iterator[None]:
        """Meanwhile, and at the end, bring the newest state in `work` to the address."""
        sent: list[str] = []
        over = threading.Event()

        def send() -> None:
            try:
                states = saved_states(work)
                if states and states[0][1].name not in sent:
                    self._send(stage, lineage, states[0][1])
                    sent.append(states[0][1].name)
            except (CsipError, OSError) as error:  # a state that was removed meanwhile, too: there is a newer one
                log.warning("the state of this training stays on this machine for now: %s", error)

        def watch() -> None:
            while not over.wait(LOOK_SECONDS):
                send()

        watching = threading.Thread(target=copy_context().run, args=(watch,), daemon=True)  # its lines are the step's
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join()
            send()

    def fetch_state(self, stage: str, lineage: str, work: Path) -> None:
        """Bring the state at the address to `work`, if it is newer than those there."""
        folder = f"{FOLDER}/{stage}/{lineage}"
        here = max((done for done, _ in saved_states(work)), default=(0, 0))
        try:
            text = self.read([f"{folder}/{MANIFEST}"]).get(f"{folder}/{MANIFEST}", b"")
            for name, entry in (manifests.read(text) or {"files": {}})["files"].items():
                done = done_of(name)  # of a name that is none, nothing is written
                if done and done > here:
                    self._fetch(f"{folder}/{name}", entry["sha256"], work / name)
        except (CsipError, OSError) as error:  # a state that was replaced or dropped meanwhile, too
            log.warning("the newest state of this training could not be fetched: %s", error)

    def sent_states(self) -> dict[tuple[str, str], Listing]:
        """The files at the address, by stage and lineage."""
        found: dict[tuple[str, str], Listing] = {}
        for path, entry in self.listing(FOLDER).items():
            stage, lineage, name = path.split("/", 2)
            found.setdefault((stage, lineage), {})[name] = entry
        return found

    def withdraw_states(self, stage: str, lineage: str) -> Callable[[], None]:
        """Take states out of sight, their manifest first; what is returned deletes them."""
        self.remove(f"{FOLDER}/{stage}/{lineage}/{MANIFEST}")

        def delete() -> None:
            with suppress(FileNotFoundError), self._told():
                self.files.rm(self._at(FOLDER, stage, lineage), recursive=True)

        return delete

    def _fetch(self, source: str, digest: str, target: Path) -> None:
        with whole(target) as fresh:
            with self._told():
                self.files.get_file(self._at(source), str(fresh))
            if file_digest(fresh) != digest:
                raise FileNotFoundError(f"{source} does not hold what was sent")
        log.info("found a newer state of this training, of another machine: %s", target.name)

    def _send(self, stage: str, lineage: str, state: Path) -> None:
        folder = f"{FOLDER}/{stage}/{lineage}"
        entry = {"size": state.stat().st_size, "sha256": file_digest(state)}
        with self.lock(stage, training_lock(lineage), f"sending a state of {stage}"):
            old = self.listing(folder).keys() - {state.name, MANIFEST}
            with self._told():
                self._make_folder(self._at(folder, state.name))
                self.files.put_file(str(state), self._at(folder, state.name))
            self.put_text(f"{folder}/{MANIFEST}", manifests.written({"files": {state.name: entry}}))
            for name in sorted(old):
                self.remove(f"{folder}/{name}")
