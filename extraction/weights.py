"""Pose-model configs and weights: where they are named, found, fetched once and checked.

A model is a pair: an mmpose config (a Python file) and a file of weights. The config may ship with mmpose's wheel, the
weights come from its model zoo; both may lie anywhere on this machine, or belong to this project (`extraction/models`).
Neither torch nor mmpose is imported here, so that planning a run stays quick.
"""

import hashlib
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from storage.errors import EnvironmentProblem, WeightsError
from storage.settings import Settings, neutral

DEFAULT_CACHE = Path("~/.cache/csip/weights")
PROJECT_MODELS = Path(__file__).parent / "models"
PROJECT = "project:"
ZOO_DIGEST = re.compile(r"-([0-9a-f]{8})(?:_\d{8})?\.pth$")
"""OpenMMLab ends its file names in the first 8 hex digits of the sha256, and often a date."""

FETCH_TIMEOUT = 30  # seconds without a byte


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


def shipped_configs() -> Path:
    """The folder of configs inside mmpose's wheel."""
    spec = find_spec("mmpose")
    if spec is None or spec.origin is None:
        raise EnvironmentProblem("mmpose is not installed", fix="install the versions of requirements.lock")
    return Path(spec.origin).parent / ".mim" / "configs"


def find_config(name: str) -> Path:
    """The file behind `PoseModelSettings.config`.

    Raises:
        WeightsError: there is no such file; names the nearest shipped config.
    """
    if name.startswith(PROJECT):
        return _project_file(name)
    local = Path(name).expanduser()
    if local.is_file():
        return local
    shipped = shipped_configs() / name.removeprefix("configs/")
    if shipped.is_file():
        return shipped
    known = {path.name: path for path in shipped_configs().rglob("*.py")}
    near = get_close_matches(Path(name).name, known, n=1)
    hint = f"did you mean {known[near[0]].relative_to(shipped_configs())}?" if near else "check the setting `config`"
    raise WeightsError("no such pose-model config, neither here nor shipped with mmpose", where=name, fix=hint)


def config_files(path: Path) -> tuple[Path, ...]:
    """A config and every file that it inherits from, the config first."""
    found = [path]
    if "_base_" not in path.read_text():
        return (path,)
    from mmengine.config import Config  # takes seconds, and this project's own configs inherit from nothing

    for base in Config._get_base_files(str(path)):
        base_path = Path(base) if Path(base).is_absolute() else path.parent / base
        found += [file for file in config_files(base_path.resolve()) if file not in found]
    return tuple(found)


def locate(settings: PoseModelSettings, cache: Path = DEFAULT_CACHE) -> Path:
    """The file of weights on this machine, fetched into `cache` if it is an address and not there yet.

    Raises:
        WeightsError: it is absent and cannot be fetched, or its sha256 is wrong.
    """
    name = settings.weights
    cached = None
    if name.startswith(PROJECT):
        path = _project_file(name)
    elif "://" in name:
        cached = cache.expanduser() / Path(urllib.parse.urlparse(name).path).name
        path = cached if cached.is_file() else _fetch(settings, cached)
    else:
        path = Path(name).expanduser()
        if not path.is_file():
            raise WeightsError("there are no weights at the place named", where=path, fix="check the setting `weights`")
    _check_digest(path, settings, "delete it and run again" if cached else "replace it, or correct the setting")
    return path


def _project_file(name: str) -> Path:
    path = PROJECT_MODELS / name.removeprefix(PROJECT)
    if path.parent != PROJECT_MODELS or not path.is_file():
        known = sorted(p.name for p in PROJECT_MODELS.glob("*.*")) if PROJECT_MODELS.is_dir() else []
        raise WeightsError(
            "this project has no such model file", where=name, fix=f"choose from: {', '.join(known) or 'none'}"
        )
    return path


def _expected_digest(settings: PoseModelSettings) -> str:
    if settings.sha256:
        return settings.sha256
    match = ZOO_DIGEST.search(settings.weights)
    return match.group(1) if match else ""


def _check_digest(path: Path, settings: PoseModelSettings, fix: str) -> None:
    expected = _expected_digest(settings)
    if not expected:
        return
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if not actual.startswith(expected):
        raise WeightsError(f"weights have sha256 {actual}, expected {expected}", where=path, fix=fix)


def _fetch(settings: PoseModelSettings, target: Path) -> Path:
    address = settings.weights
    if not address.startswith("https://") and not (address.startswith("http://") and settings.sha256):
        raise WeightsError(
            "weights are fetched over https, or over http with a sha256",
            where=address,
            fix="set `sha256`, or use https",
        )
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(address, timeout=FETCH_TIMEOUT) as answer, part.open("wb") as file:  # noqa: S310 (scheme checked above)
            while chunk := answer.read(1 << 20):
                file.write(chunk)
        _check_digest(part, settings, "try again; if it stays so, the address or the sha256 is wrong")
        os.replace(part, target)
    except (urllib.error.URLError, OSError) as error:
        raise WeightsError(
            f"weights cannot be fetched: {error}",
            where=address,
            fix=f"download {address} on a machine with network and put it at {target}",
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return target
