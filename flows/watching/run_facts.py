"""What the report tells of a run and its key does not count: how, on what and when it was made."""

from collections.abc import Collection
from typing import Any

from flows.config import Config
from flows.keys.reasons import flat
from flows.watching.machine import machine


def run_told(
    config: Config, sections: Collection[str], not_run: tuple[str, ...], lineage: tuple[dict[str, Any], ...]
) -> dict[str, Any]:
    """Fields of `evaluation.report.Inputs`.

    Args:
        config: of the run.
        sections: of the configuration, that its stages used.
        not_run: stages that it had no use for.
        lineage: what was made so far.
    """
    told = told_settings(config, sections)
    return {"lineage": lineage, "settings": told, "machine": machine(), "not_run": not_run}


def told_settings(config: Config, sections: Collection[str]) -> tuple[dict[str, Any], ...]:
    """Name, value and default of each setting that can change a result, and whether they differ, in order."""
    values, defaults = (flat(_of(each, sections)) for each in (config, Config(name=config.name)))
    return tuple(
        {
            "name": name,
            "value": value,
            "default": defaults.get(name),
            "differs": name not in defaults or value != defaults[name],
        }
        for name, value in values.items()
    )


def _of(config: Config, sections: Collection[str]) -> dict[str, Any]:
    return {name: fields for name, fields in config.key_fields().items() if name in sections}
