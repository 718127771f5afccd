"""Reading a configuration file as plain values; typed settings, which import every stage, are `flows.config`."""

from pathlib import Path
from typing import Any

import yaml

from storage.errors import SettingsError

WORKSPACE = Path("~/.cache/csip/stores")
"""The setting `workspace`, where none is given."""

EXTENDS = "extends"


def read_settings(path: Path) -> dict[str, Any]:
    """The settings that a YAML file holds, over those of the file that it extends.

    `extends: mars` names mars.yaml beside it, or another path from there; sections are merged, setting by setting.

    Raises:
        SettingsError: a file is missing or holds no settings, or files extend each other.
    """
    settings: dict[str, Any] = {}
    seen: list[Path] = []
    where: Path | None = path
    while where is not None:
        if where.resolve() in seen:
            raise SettingsError(
                "configurations extend each other", where=path, fix=f"take `{EXTENDS}` out of one of them"
            )
        seen.append(where.resolve())
        own = _read(where)
        base = own.pop(EXTENDS, None)
        settings = merged(own, settings)
        where = None if base is None else named(base, where)
    return settings


def named(base: Any, by: Path) -> Path:
    """The file that another one names: a name beside it, without `.yaml` if you like, or a path from there.

    Raises:
        SettingsError: it names none.
    """
    if not isinstance(base, str):
        raise SettingsError(f"{EXTENDS}: {base!r} names no file", where=by, fix=f"write one, such as `{EXTENDS}: mars`")
    path = by.parent / base
    return path if path.suffix else path.with_suffix(".yaml")


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Settings of which those of `above` win; mappings on both sides are merged."""
    found = dict(below)
    for name, value in above.items():
        lower = below.get(name)
        found[name] = merged(lower, value) if isinstance(lower, dict) and isinstance(value, dict) else value
    return found


class _EachOnce(yaml.SafeLoader):
    """Reads YAML as `yaml.safe_load`, and refuses a mapping that names something twice: the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{name!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(), Loader=_EachOnce)  # noqa: S506, it is a safe loader
    except OSError as error:
        raise SettingsError(
            f"cannot read the configuration: {error.strerror}", where=path, fix="check the path"
        ) from error
    except yaml.YAMLError as error:
        raise SettingsError(
            f"the configuration is not valid YAML: {error}", where=path, fix="mend the line named"
        ) from error
    if not isinstance(values, dict):
        raise SettingsError("the configuration is not a mapping of settings", where=path, fix="see configs/demo.yaml")
    return values
