"""Reading a configuration file as plain values; typed settings, which import every stage, are `flows.config`."""

from pathlib import Path
from typing import Any

import yaml

from storage.errors import SettingsError

WORKSPACE = Path("~/.cache/csip/stores")
"""The setting `workspace`, where none is given."""


def read_settings(path: Path) -> dict[str, Any]:
    """The settings that a YAML file holds.

    Raises:
        SettingsError: the file is missing or holds no settings.
    """
    try:
        values = yaml.safe_load(path.read_text())
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
