"""Versions of third-party libraries that can change results: those that a stage imports, and no others."""

from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flows.keys.reach import ROOT, Reach, reach

Pins = Mapping[str, str | None]
"""Library -> the version that it counts as, whatever is installed; None leaves it out."""

LIBRARIES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "timm": "timm",
    "mmpose": "mmpose",
    "mmengine": "mmengine",
    "mmcv": "mmcv-lite",
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "pyarrow": "pyarrow",
    "matplotlib": "matplotlib",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
}
"""Name in imports -> name of the library. Versions are compared as major.minor."""

BUILT_ON = {
    "torchvision": ("torch",),
    "timm": ("torch", "torchvision"),
    "mmengine": ("torch", "numpy", "cv2"),
    "mmcv": ("mmengine",),
    "mmpose": ("mmcv", "torchvision"),
    "safetensors": ("torch",),
    "scipy": ("numpy",),
    "sklearn": ("numpy", "scipy"),
}
"""Libraries that compute with others, by their names in imports."""


def library_versions(module: str, root: Path = ROOT, counted_as: Pins | None = None) -> dict[str, str]:
    """Library -> major.minor, or what it is counted as, for the installed ones that a stage's module reaches."""
    versions = {name: major_minor(full) for name, full in installed_versions(module, root).items()}
    pinned = {name: pin for name, pin in (counted_as or {}).items() if name in versions}
    return {name: pin for name, pin in (versions | pinned).items() if pin is not None}


def installed_versions(module: str, root: Path = ROOT) -> dict[str, str]:
    """Library -> version as installed, for those that a stage's module reaches; not to be changed."""
    return _versions(reach(module, root))


@lru_cache(maxsize=64)
def _versions(whole: Reach) -> dict[str, str]:
    reached: set[str] = set()
    waiting = list(whole.libraries)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(BUILT_ON.get(name, ()))
    found = {library: _version(library) for name, library in LIBRARIES.items() if name in reached}
    return {library: full for library, full in found.items() if full is not None}


def all_versions() -> dict[str, str | None]:
    """Library -> major.minor, or None if it is not installed, for every one that can change results."""
    found = {library: _version(library) for library in LIBRARIES.values()}
    return {library: full and major_minor(full) for library, full in found.items()}


def major_minor(full: str) -> str:
    """`2.15` of `2.15.1+cpu`."""
    return ".".join(full.split("+")[0].split(".")[:2])


@cache  # of what this process imported, whatever is installed meanwhile; each look reads a file of metadata
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
