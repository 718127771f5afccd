"""What a machine keeps of artifacts in `cache/`, so that they need not be read again: stamps of files, manifests."""

import json
from contextlib import suppress

from storage.errors import StoreError
from storage.store import manifests
from storage.store.bucket import Bucket
from storage.store.folder import Folder
from storage.store.manifests import MANIFEST, Manifest, folder_of
from storage.store.place import Listing


def stamps_of(stage: str, key: str) -> str:
    """Where it is kept how an artifact's files looked when they were last compared with the manifest."""
    return f"cache/stamps/{stage}.{key}.json"


def read_stamps(here: Folder, name: str) -> Listing:
    """How the files looked; nothing where that is not known."""
    try:
        stamps = json.loads(here.read([name]).get(name, b""))
        return {file: (size, f"{changed} {inode}") for file, (size, changed, inode) in stamps.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def write_stamps(here: Folder, name: str, files: Listing) -> None:
    """Keep how the files look; in a store that cannot be written, they are read again the next time."""
    stamps = {file: [size, *map(int, mark.split())] for file, (size, mark) in files.items()}
    with suppress(StoreError):
        here.put(name, json.dumps(stamps).encode())


def read_manifest(away: Bucket, stage: str, key: str, mark: str) -> Manifest | None:
    """The manifest of an artifact in a bucket; kept on this machine, under all that the service says of the object."""
    kept, original = f"cache/manifests/{stage}.{key}.{mark}", f"{folder_of(stage, key)}/{MANIFEST}"
    manifest = manifests.read(away.here.read([kept]).get(kept, b""))
    if manifest is None:
        content = away.read([original]).get(original, b"")
        manifest = manifests.read(content)
        if manifest:
            with suppress(StoreError):
                away.here.put(kept, content)
    return manifest
