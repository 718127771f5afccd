"""Looking at frames without making anything from them: their digest and size, and whether they can be read."""

import warnings
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from storage.datasets.check.findings import Sizes
from storage.frames.files import DataFiles
from storage.frames.fingerprints import DIGEST_BYTES, Digests, digest_of
from storage.progress import Progress, silent
from storage.threads import of_each

USUAL = ("JPEG", "PNG")
"""Tried first: asking for these alone is four times as fast as asking for all that can be read."""

NOBODY_KNOWS = (0, 0)  # size of a frame without a header
Look = tuple[bytes, tuple[int, int], str]
"""Digest, (width, height), and what is wrong."""


@dataclass(frozen=True)
class Looked:
    """What frames look like from outside, N of them.

    Attributes:
        digests: of their bytes; zeros where they could not be read.
        sizes: zeros where there is no header.
        faults: position -> why a frame cannot be read.
    """

    digests: Digests
    sizes: Sizes
    faults: dict[int, str]


def look(files: DataFiles, names: pa.Array, workers: int, decode: bool = False, progress: Progress = silent) -> Looked:
    """Read every frame once, and its header; decode it if asked.

    Headers and digests took 35 to 45 microseconds of one core a frame, decoding one of 64 x 128 pixels 125.

    Args:
        files: of the data set.
        names: of the frames, which must be there, N strings.
        workers: reading threads.
        decode: whether to decode every frame, and so to find those whose end is missing.
        progress: told frames done of all.

    Raises:
        DataError: a name points outside the data root.
    """
    digests, sizes = np.zeros((len(names), DIGEST_BYTES), np.uint8), np.zeros((len(names), 2), np.int32)
    faults: dict[int, str] = {}
    files.fetch((name.as_py() for name in names), progress)
    looks = of_each(partial(_look, files, decode), names, workers, progress, "decoded" if decode else "read")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # an odd size is a finding, not a warning
        for position, (digest, size, fault) in enumerate(looks):
            digests[position] = np.frombuffer(digest, np.uint8)
            sizes[position] = size
            if fault:
                faults[position] = fault
    return Looked(digests, sizes, faults)


def _look(files: DataFiles, decode: bool, name: str) -> Look:
    try:
        content = files.read(name)
    except OSError as error:
        return bytes(DIGEST_BYTES), NOBODY_KNOWS, f"cannot be read: {error.strerror or error}"
    digest = digest_of(content)
    if not content:
        return digest, NOBODY_KNOWS, "empty"
    try:
        return digest, _size(content, decode), ""
    except UnidentifiedImageError:
        return digest, NOBODY_KNOWS, "not an image"
    except Exception as error:  # a damaged file raises many kinds: OSError, SyntaxError, ValueError, struct.error, ...
        return digest, NOBODY_KNOWS, f"damaged: {error}"


def _size(content: bytes, decode: bool) -> tuple[int, int]:
    try:
        image = Image.open(BytesIO(content), formats=USUAL)
    except UnidentifiedImageError:
        image = Image.open(BytesIO(content))
    if decode:
        image.load()
    return image.size
