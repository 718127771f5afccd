"""Why an artifact is made anew: what differs between two descriptions of what it is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.wording import listed

CODE_SHOWN = 8
MOVED_SHOWN = 1


@dataclass(frozen=True)
class Line:
    """What becomes of one step, and why."""

    label: str  # of the step
    stage: str  # of its artifact
    verdict: str  # in a plan `kept`, `will run` or `may run`; of two runs see `flows.planning.history.Verdict`.
    reason: str  # for a person to read


def as_groups(lines: Sequence[Line]) -> list[tuple[Line, str]]:
    """Lines of one stage, verdict and reason together: (one of them, its part or the number of parts)."""
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault((line.stage, line.verdict, line.reason), []).append(line)
    return [
        (line, line.label.removeprefix(line.stage).strip() if not others else f"{1 + len(others)} parts")
        for line, *others in groups.values()
    ]


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between an earlier artifact's manifest and a step's facts, for a person to read."""
    found = []
    old, new = flat(before.get("settings", {})), flat(now["settings"])
    found += [f"{name}: {old.get(name)} -> {new.get(name)}" for name in _differing(old, new)]
    for kind, verb in (("inputs", "changed"), ("weights", "other weights")):
        names = _differing(before.get(kind, {}), now[kind])
        if names:
            found.append(f"{', '.join(names)} {verb}")
    old, new = before.get("libraries", {}), now["libraries"]
    found += [f"{n} {old.get(n, 'not counted')} -> {new.get(n, 'not counted')}" for n in _differing(old, new)]
    found += _code_changes(before.get("code", {}), now["code"])
    return found


def _code_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What differs between the definitions of two manifests; a name that another module holds now counts as moved."""
    added, removed = ({_last(name): name for name in sorted(a.keys() - b.keys())} for a, b in ((new, old), (old, new)))
    places = {removed[name]: added[name] for name in sorted(removed.keys() & added.keys())}
    moved = [f"{was} -> {now}" for was, now in places.items() if old[was] == new[now]]
    changed = [now for was, now in places.items() if old[was] != new[now]]
    others = [name for name in _differing(old, new) if name not in places and name not in places.values()]
    kinds = (
        ("moved", moved, MOVED_SHOWN),
        ("changed", sorted(changed + [name for name in others if name in old and name in new]), CODE_SHOWN),
        ("added", [name for name in others if name not in old], CODE_SHOWN),
        ("removed", [name for name in others if name not in new], CODE_SHOWN),
    )
    return [f"code {what}: {listed(names, most)}" for what, names, most in kinds if names]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names: `losses.margin`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found
