"""`csip show artifact`: which artifact a name means, and all that the store knows of it."""

import difflib
import textwrap
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from flows.commands.options.console import AsJson, command, console, print_json
from flows.commands.options.store import ConfigOption, StoreOption, open_store
from flows.commands.options.tables import SHORT, amount, duration, facts, moment, print_below, print_whole, table
from flows.keys.reasons import flat
from storage.errors import DataError, StoreError
from storage.store.artifacts import Store
from storage.store.lineage import Holders, inputs_of, label_of, read_manifests
from storage.store.manifests import Manifest, Name
from storage.store.runs import records

MOST = 12  # candidates that an error lists
NO_RUN = "no run that is known"
WIDTH = 85  # characters of a line of versions
DIGITS = 12  # of a digest, where it only helps the eye


@command(
    "csip show artifact report",
    "csip show artifact 'skeletons train-003' --config configs/mars.yaml",
    "csip show artifact finetuned/7c7e --store store --json",
)
def artifact(
    name: Annotated[
        str, typer.Argument(help="Its key or the key's beginning, STAGE/KEY, its folder, or a step such as 'report'.")
    ],
    config: ConfigOption = None,
    store: StoreOption = None,
    as_json: AsJson = False,
) -> None:
    """Say what an artifact is, made from what, by which run, and what was made from it."""
    folder = Path(name).resolve()
    if not config and not store:  # a folder of a store says which store
        if "://" in name:
            store = name.partition("/artifacts/")[0]
        elif folder.is_dir() and folder.parents[1].name == "artifacts":
            store = str(folder.parents[2])
    held = open_store(config, store)
    about = _describe(held, _find(held, name))
    if as_json:
        print_json(about)
    else:
        _tell(about)


def _find(store: Store, name: str) -> Name:
    """What a key, its beginning, `stage/key`, a folder, or a step's label (of the newest run with it) means."""
    there = store.names()
    folder = Path(name).resolve()
    if folder.parents and folder.is_relative_to((store.root / "artifacts").resolve()) and folder.is_dir():
        name = f"{folder.parent.name}/{folder.name}"
    elif "://" in name:
        name = name.removeprefix(f"{store.address}/artifacts/").rstrip("/")
    labels: dict[str, Name] = {}
    for record in records(store):
        labels |= {label: (entry["stage"], entry["key"]) for label, entry in record["artifacts"].items()}
    if name in labels:
        if labels[name] not in there:
            raise DataError(
                f"the newest run with {name} has not made it, or it has left the store since",
                where=store.where(*labels[name]),
                fix="`csip run CONFIG` makes it",
            )
        return labels[name]
    found = [(stage, key) for stage, key in there if key.startswith(name) or f"{stage}/{key}".startswith(name)]
    if len(found) == 1:
        return found[0]
    raise _unclear(store, name, found, labels)


def _describe(store: Store, name: Name) -> dict[str, Any]:
    """All that a store knows of one of its artifacts, as plain values."""
    artifact, problems = store.examine(*name)
    if artifact is None:
        raise StoreError(
            f"this artifact cannot be read: {', '.join(problems) or 'it has just left the store'}",
            where=store.where(*name),
            fix="`csip verify --drop` takes it out of the store, and `csip run CONFIG` makes it again",
        )
    manifest = artifact.manifest
    runs = records(store)
    manifests = {n: m for n, m in read_manifests(store, store.names()).items() if m}
    using = [r for r in runs if name in _names(r)]
    label = label_of(name, manifest)
    return {
        "label": label,
        "stage": artifact.stage,
        "part": manifest.get("part", ""),
        "key": artifact.key,
        "digest": artifact.digest,
        "folder": store.where(*name),
        "problems": problems,
        "files": [{"name": file, **entry} for file, entry in manifest["files"].items()],
        "made": manifest["made"],
        "inputs": _inputs(manifest, manifests, set[Name]().union(*map(_names, using))),
        "settings": flat(manifest.get("settings", {})),
        "also": flat(manifest.get("also", {})),
        "weights": manifest.get("weights", {}),
        "code": manifest.get("code", {}),
        "libraries": manifest.get("libraries", {}),
        "built_by": [_run(r) for r in using if label in r["built"]],
        "used_by": [_run(r) for r in using],
        "made_from_it": _made_from_it(name, manifest, manifests),
    }


def _unclear(store: Store, name: str, found: Sequence[Name], labels: Mapping[str, Name]) -> DataError:
    """The error that lists what may have been meant."""
    parts = sorted(label for label in labels if label.startswith(f"{name} "))
    close = difflib.get_close_matches(name, labels, n=MOST, cutoff=0.6)
    candidates = parts or [f"{stage}/{key}" for stage, key in found] or close or sorted(labels)
    what = f"{len(parts or found)} artifacts are called so" if parts or found else "there is no such artifact"
    more = [f"and {len(candidates) - MOST} more"] if len(candidates) > MOST else []
    listed = "\n  ".join([f"{what}: {name}", *candidates[:MOST], *more])
    return DataError(listed, where=store.address, fix="name one of these, or a key, or the folder of an artifact")


def _inputs(
    manifest: Manifest, manifests: Mapping[Name, Manifest], together: Container[Name]
) -> list[dict[str, str | None]]:
    """Each input with the artifact that holds it: one that a run used together with this artifact, else the newest."""
    holders = Holders(manifests)
    found: list[dict[str, str | None]] = []
    for given, digest in inputs_of(manifest):
        candidates = holders.of(digest)
        row: dict[str, str | None] = {"input": given, "digest": digest, "label": None}
        if candidates:
            name, file = ([c for c in candidates if c[0] in together] or candidates)[-1]
            row |= {"label": label_of(name, manifests[name]), "stage": name[0], "key": name[1], "file": file}
        found.append(row)
    return found


def _made_from_it(name: Name, manifest: Manifest, manifests: Mapping[Name, Manifest]) -> list[dict[str, str]]:
    holds = {manifest["digest"], *(entry["sha256"] for entry in manifest["files"].values())}
    return [
        {"label": label_of(other, theirs), "stage": other[0], "key": other[1]}
        for other, theirs in manifests.items()
        if other != name and any(digest in holds for _, digest in inputs_of(theirs))
    ]


def _names(record: Mapping[str, Any]) -> set[Name]:
    return {(entry["stage"], entry["key"]) for entry in record["artifacts"].values()}


def _run(record: Mapping[str, Any]) -> dict[str, str]:
    return {field: record[field] for field in ("run", "name", "status", "started")}


def _tell(about: Mapping[str, Any]) -> None:
    made = about["made"]
    head = [
        ("stage", f"{about['stage']} {about['part']}".strip()),
        ("key", about["key"]),
        ("digest", about["digest"]),
        ("folder", escape(about["folder"])),
        ("made", f"{made['at']} in {duration(made['seconds'])} on {made['device']}"),
    ]
    for word, runs in (("built by", about["built_by"]), ("used by", about["used_by"])):
        said = [f"{run['run'][:SHORT]}  {run['name']}, {moment(run)}, {run['status']}" for run in runs]
        head += [(word if number == 0 else "", escape(text)) for number, text in enumerate(said or [NO_RUN])]
    head += [("[bold red]damaged[/]", escape(problem)) for problem in about["problems"]]
    console.print(f"[bold]{escape(about['label'])}[/]")
    print_whole(facts(head))

    files = [(escape(file["name"]), amount(file["size"]), file["sha256"][:DIGITS]) for file in about["files"]]
    print_below(table("file", ">size", "sha256", rows=files))

    inputs = table("made from", "digest", "which is", "key")
    for row in about["inputs"]:
        named = f"{row['label']}: {row['file']}".removesuffix(": ") if row["label"] else "not an artifact of this store"
        inputs.add_row(escape(row["input"]), row["digest"][:DIGITS], escape(named), row.get("key") or "")
    for weights, digest in about["weights"].items():
        inputs.add_row(escape(f"weights {weights}"), digest[:DIGITS], "a file outside the store", "")
    print_below(inputs)

    settings = [(escape(name), escape(str(value))) for name, value in {**about["settings"], **about["also"]}.items()]
    print_below(table("setting", "value", rows=settings))

    versions = ", ".join(f"{library} {version}" for library, version in about["libraries"].items())
    libraries = escape("\n".join(textwrap.wrap(versions, WIDTH)))
    print_below(facts([("code", f"{len(about['code'])} modules"), ("libraries", libraries)]))

    after = [(escape(row["label"]), row["key"]) for row in about["made_from_it"]]
    print_below(table("made from it", "key", rows=after))
    if not after:
        console.print("\nnothing in this store is made from it")
