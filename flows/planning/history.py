"""Comparing runs: which one a name means, the settings in which they differ, what became of each artifact, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from flows.keys.reasons import Line, changes, flat
from storage.errors import DataError
from storage.store.artifacts import Store
from storage.store.lineage import read_manifests
from storage.store.manifests import Manifest
from storage.store.runs import DONE

Record = Mapping[str, Any]
Verdict = Literal["the same", "same content", "other content", "only before", "only now"]
"""Of a step in two runs: the same artifact; another key with the same bytes, or other ones; or in one run alone."""

ABSENT = "-"  # where a run has no such setting
SET = "set"
NOT_TRAINED = ("data", "evaluation")  # sections of the settings


def find_run(records: Sequence[Record], name: str) -> Record:
    """The run that a name means.

    Args:
        records: of all runs, in the order in which they began.
        name: an id, its beginning, `last` or `previous`.

    Raises:
        DataError: no run or several are called so; lists those that may be meant.
    """
    words = {"last": 1, "previous": 2}
    if name in words:
        if len(records) >= words[name]:
            return records[-words[name]]
        raise DataError(f"there is no {name} run: {len(records)} in this store", fix="csip run CONFIG")
    found = [record for record in records if record["run"].startswith(name)] if name else []
    if len(found) == 1:
        return found[0]
    listed = "\n  ".join(f"{r['run']}  {r['name']}, {r['started'][:16]}" for r in found or records[-12:])
    what = f"{len(found)} runs begin so" if found else "there is no such run"
    raise DataError(f"{what}: {name}\n  {listed}", fix="name more of an id; `csip runs` lists them")


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Dotted name of each setting that is not the same in all configurations -> its value in each.

    A section that one of them leaves out is one setting, `set` in the others.
    """
    every = [flat(config) for config in configs]
    names = list(dict.fromkeys(name for config in every for name in config))
    for section in [name for name in names if any(other.startswith(f"{name}.") for other in names)]:
        every = [
            {name: value for name, value in config.items() if not name.startswith(f"{section}.")}
            | ({} if section in config else {section: SET})
            for config in every
        ]
        names = [name for name in names if not name.startswith(f"{section}.")]
    values = {name: [config.get(name, ABSENT) for config in every] for name in names}
    return {name: given for name, given in values.items() if any(value != given[0] for value in given)}


def seed_groups(configs: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Positions of configurations that differ in seeds only, and do differ; groups of two or more.

    A seed is any setting whose last name is `seed`, but for those that make data or measure: with other ones the model
    is the same, or what it is asked is not. Of configurations with the same seeds too, the first counts.
    """
    groups: dict[str, dict[str, int]] = {}
    for number, config in enumerate(configs):
        seeds: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for name, value in flat(config).items():
            trains = name.rpartition(".")[2] == "seed" and name.partition(".")[0] not in NOT_TRAINED
            (seeds if trains else others)[name] = value
        groups.setdefault(repr(sorted(others.items())), {}).setdefault(repr(sorted(seeds.items())), number)
    return [list(group.values()) for group in groups.values() if len(group) > 1]


def compared(store: Store, old: Record, new: Record) -> list[Line]:
    """What became of each step from one run to another, in the order of the newer one."""
    before, now = old["artifacts"], new["artifacts"]
    labels = [*now, *(label for label in before if label not in now)]
    return [_compare(store, label, before.get(label), now.get(label)) for label in labels]


def metric_differences(old: Record, new: Record) -> list[dict[str, Any]]:
    """Each metric of each model that either run measured: model, metric, before, now, difference (None if unknown)."""
    before, now = (_metrics(record) for record in (old, new))
    rows = []
    for model, metric in dict.fromkeys([*now, *before]):
        a, b = before.get((model, metric)), now.get((model, metric))
        change = None if a is None or b is None else b - a
        rows.append({"model": model, "metric": metric, "before": a, "now": b, "difference": change})
    return rows


def summary(record: Record) -> dict[str, Any]:
    """What `csip runs --json` says of a run, but its settings."""
    done = record["status"] in DONE
    return {
        **{field: record[field] for field in ("run", "name", "started", "seconds", "status")},
        "built": len(record["built"]) if done else None,
        "kept": len(record["artifacts"]) - len(record["built"]) if done else None,
        "metrics": record["metrics"],
        "error": record.get("error", ""),
    }


def as_json(store: Store, old: Record, new: Record) -> dict[str, Any]:
    """What `csip diff --json` says."""
    settings = differing([old["config"], new["config"]])
    return {
        "before": summary(old),
        "now": summary(new),
        "settings": {name: {"before": a, "now": b} for name, (a, b) in settings.items()},
        "artifacts": [asdict(step) for step in compared(store, old, new)],
        "metrics": metric_differences(old, new),
    }


def _metrics(record: Record) -> dict[tuple[str, str], float]:
    return {
        (row["model"], metric): value for row in record["metrics"] for metric, value in row.items() if metric != "model"
    }


def _compare(store: Store, label: str, before: Mapping[str, str] | None, now: Mapping[str, str] | None) -> Line:
    if not before or not now:
        there = now or before or {}
        return Line(label, there["stage"], "only now" if now else "only before", "")
    if before["key"] == now["key"]:
        return Line(label, now["stage"], "the same", "")
    names = [(entry["stage"], entry["key"]) for entry in (before, now)]
    old, new = read_manifests(store, names).values()
    digests = [entry.get("digest") or (manifest or {}).get("digest") for entry, manifest in ((before, old), (now, new))]
    verdict: Verdict = "same content" if digests[0] and digests[0] == digests[1] else "other content"
    return Line(label, now["stage"], verdict, _reason(old, new))


def _reason(old: Manifest | None, new: Manifest | None) -> str:
    if not old or not new:
        return f"unknown: {'the earlier' if not old else 'the later'} artifact is not in the store"
    also = differing([old.get("also", {}), new.get("also", {})])
    return "; ".join([*changes(old, new), *(f"{name}: {a} -> {b}" for name, (a, b) in also.items())])
