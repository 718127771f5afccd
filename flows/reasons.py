"""Why an artifact is made anew: what differs between two descriptions of what it is made from."""

from collections.abc import Mapping
from typing import Any


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between an earlier artifact's manifest and a step's facts, for a person to read."""
    found = []
    old, new = flat(before.get("settings", {})), flat(now["settings"])
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            found.append(f"{name}: {old.get(name)} -> {new.get(name)}")
    for kind, verb in (("inputs", "changed"), ("weights", "other weights"), ("libraries", "other version")):
        old, new = before.get(kind, {}), now[kind]
        names = sorted(n for n in old.keys() | new.keys() if old.get(n) != new.get(n))
        if names:
            found.append(f"{', '.join(names)} {verb}")
    modules = sorted(
        name
        for name in before.get("code", {}).keys() | now["code"].keys()
        if before.get("code", {}).get(name) != now["code"].get(name)
    )
    if modules:
        found.append("code changed in " + ", ".join(modules))
    return found


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names: `losses.margin`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found
