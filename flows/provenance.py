"""What the report says of a run and its key does not count: how, on what and when it was made."""

import os
import platform
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from flows.config import Config
from flows.keys.reasons import flat

GIB = 1 << 30
CPU = Path("/proc/cpuinfo")
GPUS = Path("/proc/driver/nvidia/gpus")


def run_facts(
    config: Config, sections: Collection[str], not_run: tuple[str, ...], lineage: tuple[dict[str, Any], ...]
) -> dict[str, Any]:
    """Fields of `evaluation.report.Inputs`, of a run that used these sections of its configuration."""
    settings = counted_settings(config, sections)
    return {"lineage": lineage, "settings": settings, "machine": machine(), "not_run": not_run}


def counted_settings(config: Config, sections: Collection[str]) -> tuple[dict[str, Any], ...]:
    """Name, value and default of each setting that can change a result, and whether they differ, in order."""
    values, defaults = (
        flat({name: fields for name, fields in each.key_fields().items() if name in sections})
        for each in (config, Config(name=config.name))
    )
    return tuple(
        {
            "name": name,
            "value": value,
            "default": defaults.get(name),
            "differs": name not in defaults or value != defaults[name],
        }
        for name, value in values.items()
    )


def machine() -> dict[str, str]:
    """Name -> text: system, processor, memory, GPUs where the driver names them, Python.

    Cheap to ask, as it is asked even where nothing runs: a library would take seconds to find the GPUs.
    """
    gpus = [_named(path, "Model") for path in sorted(GPUS.glob("*/information"))]
    found = {
        "System": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Processor": f"{_named(CPU, 'model name') or platform.processor() or platform.machine()}, "
        f"{os.cpu_count()} cores",
        "Memory": _memory(),
        "GPU": ", ".join(name for name in gpus if name),
        "Python": platform.python_version(),
    }
    return {name: text for name, text in found.items() if text}


def _named(file: Path, field: str) -> str:
    """The first `field: value` of a file of the kernel; empty without one."""
    try:
        found = re.search(rf"^{field}\s*:\s*(.+)$", file.read_text(), re.M)
    except OSError:
        return ""
    return found[1].strip() if found else ""


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return ""
    return f"{size / GIB:.0f} GiB"
