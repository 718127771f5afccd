"""The index of a configuration's raw data: the quick way where nothing changed, the long way everywhere else.

The store remembers for each configuration what its last scan came to (cache/index-<name>.json): what the scan was made
from (*origin*), what it saw of the frames (the digest of the cache of stamps), and the key of the index. If all three
still hold, the tracklets are not read, fingerprinted or compared. In any doubt they are.
"""

import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flows.config import Config
from flows.keys.libraries import installed_versions, library_versions
from flows.keys.reach import code_digests
from flows.keys.steps import key_of
from storage.disk import write_whole
from storage.frames.files import DataFiles
from storage.frames.fingerprints import unchanged
from storage.index import Scan, reader_of, scan, write_index
from storage.progress import Progress
from storage.store.artifacts import Artifact, Store
from storage.store.manifests import digest_of

INDEXING = "storage.index"


def current_index(store: Store, config: Config, progress: Progress, run: str = "") -> dict[str, str]:
    """Publish the index of the raw data for a run unless the same is there; a reference to it.

    Raises:
        DataError: as `storage.index.scan`.
    """
    if index := kept_index(store, config, progress):
        return {"stage": "index", "key": index.key}
    before = origin(config, DataFiles(config.data.place))
    found = scan(config.data, _cache(store, config), progress)
    made = publish_index(store, config, found, run)
    _remember(store, config, before, found, made["key"])
    return made


def trial_index(store: Store, config: Config, folder: Path, progress: Progress) -> Artifact:
    """The index of the raw data, made in a folder outside the store.

    Raises:
        DataError: as `storage.index.scan`.
    """
    before = origin(config, DataFiles(config.data.place))
    found = scan(config.data, _cache(store, config), progress)
    facts = index_facts(config, found)
    key = key_of("index", facts)
    if store.find("index", key):
        _remember(store, config, before, found, key)
    trial = Store(folder)
    with trial.staging("index", key, resume=False) as staged:
        write_index(found, config.data, staged)
        return trial.publish(staged, "index", key, facts, 0.0)


def kept_index(store: Store, config: Config, progress: Progress) -> Artifact | None:
    """The index of the last scan, if lists, settings, code and the stamp of every frame are as they were then."""
    memory, index = _remembered(store, config)
    files = DataFiles(config.data.place)
    if index is None or memory["origin"] != origin(config, files):
        return None
    return index if unchanged(files, _cache(store, config), memory["stamps"], progress) else None


def last_index(store: Store, config: Config) -> Artifact | None:
    """The index that this configuration's last scan came to; the store's newest where that is not known."""
    return _remembered(store, config)[1] or next(reversed(store.all("index")), None)


def index_facts(config: Config, found: Scan) -> dict[str, Any]:
    """What an index is made from; its key is the digest of this."""
    inputs = {"raw": _rows_digest(found.tracklets), "missing": digest_of(list(found.missing))}
    if found.skeletons:
        files = _rows_digest(found.skeletons.tracklets)
        inputs["skeleton files"] = digest_of([files, list(found.skeletons.extra)])
    return {
        "part": "",
        "settings": config.data.key_fields(),
        "inputs": inputs,
        "weights": {},
        "code": code_digests(INDEXING),
        "libraries": library_versions(INDEXING, counted_as=config.versions),
    }


def publish_index(store: Store, config: Config, scanned: Scan, run: str = "") -> dict[str, str]:
    """Publish the index of scanned tracklets for a run unless the same is there; a reference to it."""
    facts = index_facts(config, scanned)
    key = key_of("index", facts)
    with store.lock("index", key, "index"):
        if store.find("index", key) is None:
            start = time.monotonic()
            with store.staging("index", key, resume=False) as folder:
                write_index(scanned, config.data, folder)
                record = {**facts, "installed": installed_versions(INDEXING)}
                store.publish(folder, "index", key, record, time.monotonic() - start, run=run)
    return {"stage": "index", "key": key}


def origin(config: Config, files: DataFiles) -> str | None:
    """Digest of all that an index is made from, without the frames.

    None where that cannot be said: a list cannot be read, or files must be looked for (`data.skeletons`).
    """
    settings = config.data
    if settings.skeletons:
        return None
    try:
        reader = reader_of(settings.layout)
        lists = [_content(files, name) for name in reader.lists]
        names = [digest_of(files.names(folder)) for folder in reader.folders]
        archives = files.archive_stamps()
    except OSError:
        return None
    versions = library_versions(INDEXING, counted_as=config.versions)
    return digest_of([lists, names, archives, settings.key_fields(), code_digests(INDEXING), versions])


def _rows_digest(rows: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(vars(row)).encode())
    return digest.hexdigest()


def _content(files: DataFiles, name: str) -> str | None:
    try:
        return hashlib.sha256(files.read(name)).hexdigest()
    except FileNotFoundError:
        return None  # which is as much a fact as any content


def _remember(store: Store, config: Config, before: str | None, found: Scan, key: str) -> None:
    if before is None or before != origin(config, DataFiles(config.data.place)):
        return  # the lists changed while they were read: which of the two contents was it?
    memory = json.dumps({"origin": before, "stamps": found.cache_digest, "key": key}) + "\n"
    write_whole(_memory_path(store, config), memory.encode())


def _remembered(store: Store, config: Config) -> tuple[dict[str, str], Artifact | None]:
    """What `_remember` wrote, and the index; none where the one or the other is gone or damaged."""
    try:
        memory = json.loads(_memory_path(store, config).read_text())
    except (OSError, ValueError):
        return {}, None
    whole = isinstance(memory, dict) and memory.keys() == {"origin", "stamps", "key"}
    if not whole or not all(isinstance(value, str) for value in memory.values()):
        return {}, None
    return memory, store.find("index", memory["key"])


def _memory_path(store: Store, config: Config) -> Path:
    split = f"-{config.data.split}" if config.data.split else ""
    return store.root / "cache" / f"index-{config.name}{_folds(config)}{split}.json"


def _cache(store: Store, config: Config) -> Path:
    return store.root / "cache" / f"fingerprints-{config.name}{_folds(config)}.parquet"


def _folds(config: Config) -> str:
    # folds leave the test people out, and would make a scan with them start anew
    return f"-{config.data.folds}-folds" if config.data.folds else ""
