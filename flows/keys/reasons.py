"""Why an artifact is made anew: what differs between two descriptions of what it is made from."""

from collections.abc import Mapping
from typing import Any

from storage.wording import listed

CODE_SHOWN = 8


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between an earlier artifact's manifest and a step's facts, for a person to read."""
    found = []
    old, new = flat(before.get("settings", {})), flat(now["settings"])
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            found.append(f"{name}: {old.get(name)} -> {new.get(name)}")
    for kind, verb in (("inputs", "changed"), ("weights", "other weights")):
        names = _differing(before.get(kind, {}), now[kind])
        if names:
            found.append(f"{', '.join(names)} {verb}")
    old, new = before.get("libraries", {}), now["libraries"]
    found += [f"{n} {old.get(n, 'not counted')} -> {new.get(n, 'not counted')}" for n in _differing(old, new)]
    old, new = before.get("code", {}), now["code"]
    names = _differing(old, new)
    for what, which in (
        ("changed", [n for n in names if n in old and n in new]),
        ("added", [n for n in names if n not in old]),
        ("removed", [n for n in names if n not in new]),
    ):
        if which:
            found.append(f"code {what}: {listed(which, CODE_SHOWN)}")
    return found


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names: `losses.margin`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found
