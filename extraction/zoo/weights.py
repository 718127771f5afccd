"""Pose-model configs and weights: where they are named, found, fetched once and checked.

A config may ship with mmpose's wheel, weights come from its model zoo; both may lie anywhere on this machine, or belong
to this project (`extraction/models`). Neither torch nor mmpose is imported here, so that planning a run stays quick.
"""

import ast
import re
import urllib.parse
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from extraction.zoo.download import fetch
from storage.errors import EnvironmentProblem, WeightsError
from storage.progress import Progress, silent
from storage.settings import Settings, neutral
from storage.store.manifests import file_digest

DEFAULT_CACHE = Path("~/.cache/csip/weights")
PROJECT_MODELS = Path(__file__).parents[1] / "models"
PROJECT = "project:"
ZOO_DIGEST = re.compile(r"-([0-9a-f]{8})(?:_\d{8})?\.pth$")
"""OpenMMLab ends its file names in the first 8 hex digits of the sha256, and often a date."""


class PoseModelSettings(Settings):
    """Which pose model: an mmpose config and the weights for it.

    Their places stay out of artifact keys: the bytes of the files are in them, see `extract.weight_files`.
    """

    config: str = neutral(
        ...,
        "mmpose config: a name relative to mmpose's shipped configs (body_2d_keypoint/...), a local file, "
        "or project:<file> for one of this project's own models",
    )
    weights: str = neutral(
        ...,
        "weights: an https address (OpenMMLab model zoo), a local .pth or .safetensors file, or project:<file>",
    )
    sha256: str | None = neutral(
        None,
        "sha256 of the weights; without it the digits in an OpenMMLab file name are checked",
        pattern=r"^[0-9a-f]{64}$",
    )


def find_config(name: str) -> Path:
    """The file behind `PoseModelSettings.config`.

    Raises:
        WeightsError: there is no such file; names the nearest shipped config.
        EnvironmentProblem: mmpose, which may ship it, is not installed.
    """
    if name.startswith(PROJECT):
        return _project_file(name)
    local = Path(name).expanduser()
    if local.is_file():
        return local
    mmpose = find_spec("mmpose")
    if mmpose is None or mmpose.origin is None:
        raise EnvironmentProblem("mmpose is not installed", fix="install the versions of requirements.lock")
    shipped = Path(mmpose.origin).parent / ".mim" / "configs"
    if (shipped / name.removeprefix("configs/")).is_file():
        return shipped / name.removeprefix("configs/")
    known = {path.name: path for path in shipped.rglob("*.py")}
    near = get_close_matches(Path(name).name, known, n=1)
    hint = f"did you mean {known[near[0]].relative_to(shipped)}?" if near else "check the setting `config`"
    raise WeightsError("no such pose-model config, neither here nor shipped with mmpose", where=name, fix=hint)


def config_files(path: Path) -> tuple[Path, ...]:
    """A config and every file that it inherits from, the config first."""
    found = [path]
    for base in _bases(path):
        found += [file for file in config_files((path.parent / base).resolve()) if file not in found]
    return tuple(found)


def _bases(path: Path) -> list[str]:
    """What a config assigns to `_base_`; mmengine would import torch to say it."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "_base_" for t in node.targets):
            bases = ast.literal_eval(node.value)
            return [bases] if isinstance(bases, str) else list(bases)
    return []


@dataclass(frozen=True)
class Found:
    """What this machine has of a file of weights; damaged means that its sha256 is not the expected one."""

    state: Literal["here", "missing", "damaged"]
    size: int | None = None  # bytes
    sha256: str = ""


def place(settings: PoseModelSettings, cache: Path = DEFAULT_CACHE) -> Path:
    """Where the weights lie on this machine, or would lie once fetched; fetches nothing.

    Raises:
        WeightsError: this project has no such model file.
    """
    name = settings.weights
    if name.startswith(PROJECT):
        return _project_file(name)
    if "://" in name:
        return cache.expanduser() / Path(urllib.parse.urlparse(name).path).name
    return Path(name).expanduser()


def expected_digest(settings: PoseModelSettings) -> str:
    """The sha256 that the weights must have, or its first hex digits; empty where nothing tells."""
    in_name = ZOO_DIGEST.search(settings.weights)
    return settings.sha256 or (in_name[1] if in_name else "")


def look(path: Path, digest: str = "") -> Found:
    """What there is at a `place`, read whole and compared with the `expected_digest`; fetches nothing."""
    if not path.is_file():
        return Found("missing")
    actual = file_digest(path)
    return Found("here" if actual.startswith(digest) else "damaged", path.stat().st_size, actual)


def locate(settings: PoseModelSettings, cache: Path = DEFAULT_CACHE, progress: Progress = silent) -> Path:
    """The file of weights on this machine, fetched into `cache` if no file there has its name yet.

    Raises:
        WeightsError: it is absent and cannot be fetched, or its sha256 is wrong.
    """
    path, digest, remote = place(settings, cache), expected_digest(settings), "://" in settings.weights
    if not path.is_file() and remote:
        fetch(settings.weights, path, digest, progress)
    if not path.is_file():
        raise WeightsError("there are no weights at the place named", where=path, fix="check the setting `weights`")
    if digest and not (actual := file_digest(path)).startswith(digest):
        raise WeightsError(
            f"weights have sha256 {actual}, expected {digest}",
            where=path,
            fix="delete it and run again" if remote else "replace it, or correct the setting",
        )
    return path


def _project_file(name: str) -> Path:
    path = PROJECT_MODELS / name.removeprefix(PROJECT)
    if path.parent != PROJECT_MODELS or not path.is_file():
        known = ", ".join(sorted(file.name for file in PROJECT_MODELS.glob("*.*")))
        raise WeightsError("this project has no such model file", where=name, fix=f"choose from: {known or 'none'}")
    return path
