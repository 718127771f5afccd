"""What this machine is, for a reader of the report. Cheap to ask: it is told even where nothing runs."""

import os
import platform
import re
from pathlib import Path

GIB = 1 << 30
CPU = Path("/proc/cpuinfo")
GPUS = Path("/proc/driver/nvidia/gpus")


def machine() -> dict[str, str]:
    """Name -> text: system, processor, memory, GPUs where the driver names them, Python."""
    found = {
        "System": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Processor": f"{_processor()}, {os.cpu_count()} cores",
        "Memory": _memory(),
        "GPU": ", ".join(_gpus()),
        "Python": platform.python_version(),
    }
    return {name: text for name, text in found.items() if text}


def _processor() -> str:
    try:
        named = re.search(r"^model name\s*:\s*(.+)$", CPU.read_text(), re.M)
    except OSError:
        named = None
    return named[1].strip() if named else platform.processor() or platform.machine()


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return ""
    return f"{size / GIB:.0f} GiB"


def _gpus() -> list[str]:
    """Names of NVIDIA's GPUs as the driver tells them: a library would take seconds to ask."""
    if not GPUS.is_dir():
        return []
    told = [path.read_text() for path in sorted(GPUS.glob("*/information"))]
    return [named[1].strip() for text in told if (named := re.search(r"^Model:\s*(.+)$", text, re.M))]
