"""How a run was made, as rows of a report: artifacts and times, settings, versions. Plain values in and out."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.page.numbers import duration


def lineage_rows(lineage: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a stage: how many artifacts, how long in all, on what, with their keys; in the order of the run."""
    stages: dict[str, list[Mapping[str, Any]]] = {}
    for made in lineage:
        stages.setdefault(made["stage"], []).append(made)
    return [
        {
            "stage": stage,
            "count": len(parts),
            "time": duration(sum(part.get("seconds") or 0.0 for part in parts)),
            "device": ", ".join(sorted({str(part["device"]) for part in parts if part.get("device")})) or "–",
            "made": max((str(part["made"]) for part in parts if part.get("made")), default="–"),
            "parts": [(str(part.get("artifact", stage)), str(part.get("key", ""))) for part in parts],
        }
        for stage, parts in stages.items()
    ]


def version_rows(lineage: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Library -> version that artifacts were made with; several, where some were made before an upgrade; sorted."""
    found: dict[str, set[str]] = {}
    for made in lineage:
        for library, version in made.get("versions", {}).items():
            found.setdefault(library, set()).add(version)
    return [(library, " and ".join(sorted(found[library]))) for library in sorted(found)]


def setting_rows(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, str]]]:
    """Settings that differ from their defaults, and those that do not: `name`, `value` and `default` as texts."""
    rows: dict[str, list[dict[str, str]]] = {"changed": [], "same": []}
    for setting in settings:
        texts = {key: _text(setting[key]) for key in ("value", "default")}
        rows["changed" if setting["differs"] else "same"].append({"name": setting["name"], **texts})
    return rows


def setting(settings: Sequence[Mapping[str, Any]], name: str) -> Any:
    """The value of one setting by its dotted name; None where it is not among them."""
    return next((row["value"] for row in settings if row["name"] == name), None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
