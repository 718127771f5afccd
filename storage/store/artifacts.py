"""The artifact store: folders of files that appear whole or not at all, found by key, known by content.

    artifacts/<stage>/<key>/manifest.json + files     published; a folder without a manifest does not exist
    staging/<stage>/<key>/                            being made, by the holder of the key's lock
    locks/<stage>.<key>.lock                          who makes it
    runs/<run>.json                                   what a run used and made
    cache/                                            what only saves time

An artifact's *key* says what it is made from; its *digest* says what it holds. Downstream keys use digests, so a stage
that runs again and makes the same bytes changes nothing after it.
"""

import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from storage.disk import is_locked, locked, sync
from storage.errors import DISK_ERRORS, StoreError, as_store_error
from storage.store import manifests
from storage.store.artifact import Artifact
from storage.store.artifact import ArtifactFile as ArtifactFile
from storage.store.artifact_stamps import Listing, Stamp, read_stamps, stamp, write_stamps
from storage.store.manifests import MANIFEST, content_digest, file_digest
from storage.store.manifests import digest_of as digest_of  # keys are digests too
from storage.store.small_files import SmallFiles

NEARLY_FULL = 1 << 20  # bytes
DISCARDED = "discarded-"
"""How folders in `staging` begin that hold what has left the store."""


class Store(SmallFiles):
    """A folder of artifacts; looking at it makes and changes nothing.

    Args:
        root: the folder; made once something is written.

    Attributes:
        root: the folder on this machine.
        anywhere: the folder as other machines are told of it: a `~` is theirs.
        address: how a configuration names the store.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.anywhere = root.absolute()
        self.address = str(root)
        self._checked: set[tuple[str, str, str, Stamp]] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        # another process opens the store for itself; all that is sent to it shares one
        return opened_here, (type(self), (self.anywhere,))

    def prepare(self) -> None:
        """Make sure that the store can be written, before work is begun that could not be kept.

        Raises:
            StoreError: it cannot.
        """
        try:
            (self.root / "staging").mkdir(parents=True, exist_ok=True)
            probe = self.root / "staging" / f"probe-{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise as_store_error(error, self.root) from error

    def path(self, stage: str, key: str) -> Path:
        """Where the artifact of a stage and key lies, or would lie, on this machine."""
        return self.root / "artifacts" / stage / key

    def where(self, stage: str, key: str) -> str:
        """Where the store itself keeps an artifact, or would, for a person to read."""
        return f"{self.address}/artifacts/{stage}/{key}"

    def find(self, stage: str, key: str) -> Artifact | None:
        """The published artifact, or None if there is none or it is visibly damaged."""
        artifact, problems = self.examine(stage, key)
        return None if problems else artifact

    def examine(self, stage: str, key: str) -> tuple[Artifact | None, list[str]]:
        """The published artifact, if there is one, and what is wrong with it, file by file.

        Files that look as they did when they were last compared with the manifest are not read; others are.
        """
        folder = self.path(stage, key)
        manifest, problem = _read_manifest(folder, key)
        if manifest is None:
            return None, [problem] if problem else []
        artifact = Artifact(self, stage, key, manifest["digest"], manifest)
        remembered = read_stamps(self._stamps(stage, key))
        stamps: dict[str, Stamp] = {}
        problems = []
        for name, entry in manifest["files"].items():
            try:
                stamps[name] = stamp(folder / name)
                if stamps[name][0] != entry["size"]:
                    problems.append(f"{name} has {stamps[name][0]} bytes in place of {entry['size']}")
                elif stamps[name] != remembered.get(name) and file_digest(folder / name) != entry["sha256"]:
                    problems.append(f"{name} does not hold the bytes that were published")
            except OSError as error:
                problems.append(f"{name}: {error.strerror}")
        if not problems and stamps != remembered:
            write_stamps(self._stamps(stage, key), stamps)
        return artifact, problems

    def examine_many(self, names: Sequence[tuple[str, str]]) -> list[tuple[Artifact | None, list[str]]]:
        """What `examine` says of each stage and key."""
        return [self.examine(*name) for name in names]

    def all(self, stage: str | None = None) -> list[Artifact]:
        """Every artifact that is not visibly damaged, oldest first."""
        found = [artifact for artifact, problems in self._examined(stage) if artifact and not problems]
        return sorted(found, key=lambda a: (a.manifest["made"]["at"], a.key))

    def names(self, stage: str | None = None) -> list[tuple[str, str]]:
        """Stage and key of all that lies where artifacts do, sound or not; sorted."""
        return sorted((p.parent.name, p.name) for p in (self.root / "artifacts").glob(f"{stage or '*'}/*"))

    def lying(self) -> dict[tuple[str, str], Listing]:
        """The files of all that `names` names."""
        return {(stage, key): self.listing(f"artifacts/{stage}/{key}") for stage, key in self.names()}

    def half(self) -> dict[tuple[str, str], Listing]:
        """Files that lie where artifacts do and that no manifest names yet or any more; in a folder that is damage."""
        return {}

    def copies(self) -> list[tuple[str, str]]:
        """Stage and key of copies on this machine of what is not in the store."""
        return []

    def place(self, artifact: Artifact, name: str) -> str:
        """Where, below an artifact's folder, one of its files lies."""
        return name

    def length(self, artifact: Artifact, name: str) -> int:
        """Bytes of one of the artifact's files in the store.

        Raises:
            OSError: there is none.
        """
        return (self.path(artifact.stage, artifact.key) / name).stat().st_size

    def damage(self, artifact: Artifact) -> list[str]:
        """Names of the artifact's files whose bytes are not what was published; reads every byte."""
        return self.check(artifact, artifact.manifest["files"], again=True)

    def check(self, artifact: Artifact, names: Iterable[str], *, again: bool = False) -> list[str]:
        """Which of these files of an artifact do not hold what was published, by reading them.

        Args:
            artifact: a published one.
            names: of its files.
            again: read even what this object has already read.
        """
        bad = []
        for name in names:
            path = self.path(artifact.stage, artifact.key) / name
            try:
                seen = (artifact.stage, artifact.key, name, stamp(path))
                if again or seen not in self._checked:
                    if file_digest(path) != artifact.manifest["files"][name]["sha256"]:
                        bad.append(name)
                    else:
                        self._checked.add(seen)
            except OSError:
                bad.append(name)
        return bad

    def fetch(self, artifact: Artifact, names: Iterable[str]) -> Path:
        """The artifact's folder on this machine, with these files in it."""
        return self.path(artifact.stage, artifact.key)

    def discard(self, stage: str, key: str) -> None:
        """Take an artifact out of the store: at once for all who look, then byte by byte.

        Raises:
            StoreError: the store cannot be written.
        """
        delete = self.withdraw(stage, key)
        if delete:
            delete()

    def withdraw(self, stage: str, key: str) -> Callable[[], None] | None:
        """Take an artifact out of sight, at once for all who look; what is returned deletes it. None if there is none.

        Raises:
            StoreError: the store cannot be written.
        """
        delete = self.set_aside(self.path(stage, key))
        if delete:
            self._stamps(stage, key).unlink(missing_ok=True)
        return delete

    def set_aside(self, folder: Path) -> Callable[[], None] | None:
        """As `withdraw`, for any folder of the store on this machine."""
        aside = self.root / "staging" / f"{DISCARDED}{uuid.uuid4().hex}"
        try:
            aside.parent.mkdir(exist_ok=True)
            folder.rename(aside)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise as_store_error(error, folder) from error
        return partial(shutil.rmtree, aside, ignore_errors=True)

    @contextmanager
    def lock(self, stage: str, key: str, purpose: str = "") -> Iterator[None]:
        """Hold the key's lock; waits for another holder, and says for whom. A holder that dies loses it.

        Raises:
            StoreError: the store cannot be written.
        """
        path = self._lock(stage, key)
        with ExitStack() as held:
            try:
                held.enter_context(locked(path, purpose or f"{stage} {key}"))
            except OSError as error:
                raise as_store_error(error, path) from error
            yield

    def is_locked(self, stage: str, key: str) -> bool:
        """Whether somebody holds the key's lock."""
        return is_locked(self._lock(stage, key))

    def locked(self, names: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Those of these keys whose lock somebody holds."""
        return frozenset(name for name in names if self.is_locked(*name))

    @contextmanager
    def staging(self, stage: str, key: str, *, resume: bool) -> Iterator[Path]:
        """A folder to make an artifact in; kept after a failure only if the stage can `resume` from it.

        Raises:
            StoreError: the disk is full or the store read-only, in place of the OSError.
        """
        folder = self.root / "staging" / stage / key
        try:
            if folder.exists() and not resume:
                shutil.rmtree(folder)
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise
            raise as_store_error(error, folder) from error
        except Exception as error:
            # libraries that write in native code report a full disk as errors of their own
            if shutil.disk_usage(self.root).free > NEARLY_FULL:
                raise
            raise as_store_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), folder) from error
        finally:
            if not resume:
                shutil.rmtree(folder, ignore_errors=True)

    def publish(
        self,
        staged: Path,
        stage: str,
        key: str,
        facts: Mapping[str, Any],
        seconds: float,
        device: str = "cpu",
        run: str = "",
    ) -> Artifact:
        """Make a staged folder the artifact of (stage, key): sync, manifest, rename.

        Args:
            staged: the folder of finished files.
            stage: name of the stage.
            key: digest of what it was made from.
            facts: settings, inputs, code and versions, for the manifest.
            seconds: how long it took to make.
            device: kind of device it was made on; the same bytes are promised on one kind only.
            run: id of the run that made it.

        Raises:
            StoreError: the stage made no file, or the store cannot be written.
        """
        files = {}
        for path in sorted(p for p in staged.rglob("*") if p.is_file() and p.name != MANIFEST):
            files[path.relative_to(staged).as_posix()] = {"size": path.stat().st_size, "sha256": file_digest(path)}
        if not files:
            raise StoreError(
                f"stage {stage} made no file", where=staged, fix="this is a defect of the stage; report it"
            )
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = manifests.written(
            {
                "stage": stage,
                "key": key,
                "digest": content_digest(files),
                "files": files,
                **facts,
                "made": {"at": at, "seconds": round(seconds, 3), "device": device, "run": run},
            }
        )
        return self.adopt(staged, stage, key, text)

    def adopt(self, staged: Path, stage: str, key: str, text: str) -> Artifact:
        """Make a staged folder an artifact with this manifest, by a rename; for the holder of the key's lock.

        Args:
            staged: the folder of finished files, and no others.
            stage: name of the stage.
            key: digest of what it was made from.
            text: of the manifest, as `manifests.written` makes it.

        Raises:
            StoreError: the store cannot be written.
        """
        target = self.path(stage, key)
        manifest = manifests.read(text) or {}
        try:
            (staged / MANIFEST).write_text(text)
            for name in (*manifest["files"], MANIFEST):
                sync(staged / name)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.discard(stage, key)  # what lies here is damaged or forced anew: the holder of the lock decides
            staged.rename(target)
            sync(target.parent)
        except OSError as error:
            raise as_store_error(error, target) from error
        write_stamps(self._stamps(stage, key), {name: stamp(target / name) for name in manifest["files"]})
        artifact = Artifact(self, stage, key, manifest["digest"], manifest)
        self._publish_files(artifact)
        return artifact

    def fetch_state(self, stage: str, lineage: str, work: Path) -> None:
        """Bring the state that another machine has saved of a training, if it is newer than those in `work`."""

    def sending_states(self, stage: str, lineage: str, work: Path) -> AbstractContextManager[None]:
        """Meanwhile, bring the newest state in `work` to where other machines find it: a store in a folder is there."""
        return nullcontext()

    def sent_states(self) -> dict[tuple[str, str], Listing]:
        """The files of states that were sent, by stage and lineage."""
        return {}

    def withdraw_states(self, stage: str, lineage: str) -> Callable[[], None] | None:
        """As `withdraw`, for sent states."""
        return None

    def _publish_files(self, artifact: Artifact) -> None:
        """Bring what now lies in the artifact's folder to where others find it: a store in a folder is there."""

    def _examined(self, stage: str | None) -> list[tuple[Artifact | None, list[str]]]:
        """What `examine` says of every name."""
        return [self.examine(*name) for name in self.names(stage)]

    def _stamps(self, stage: str, key: str) -> Path:
        return self.root / "cache" / "stamps" / f"{stage}.{key}.json"

    def _lock(self, stage: str, key: str) -> Path:
        return self.root / "locks" / f"{stage}.{key}.lock"


@lru_cache(maxsize=8)
def opened_here(kind: type[Store], arguments: tuple[Any, ...]) -> Store:
    """The store of a process that was sent one."""
    return kind(*arguments)


def _read_manifest(folder: Path, key: str) -> tuple[dict[str, Any] | None, str]:
    """A folder's manifest, or None and what is wrong with it; nothing is, where there is no folder."""
    try:
        text = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return None, f"{MANIFEST} is missing" if folder.exists() else ""
    except OSError as error:
        return None, f"{MANIFEST}: {error.strerror}"
    manifest = manifests.read(text)
    if manifest is None or manifest.get("key") != key:
        return None, f"{MANIFEST} is not what was written"
    return manifest, ""
