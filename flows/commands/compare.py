"""`csip compare`: evaluated models beside each other, of runs and of others' evaluations, on a page and a terminal."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.markup import escape

from flows.commands.options.console import AsJson, command, note, say
from flows.commands.options.outputs import check_file
from flows.commands.options.store import ConfigOption, StoreOption, open_store
from flows.commands.options.tables import SHORT, moment, print_whole, table
from flows.planning.history import Record, differing, find_run, seed_groups
from flows.stages import EVALUATED
from storage.errors import DataError, SettingsError, StoreError
from storage.store.artifacts import Store
from storage.store.runs import records

if TYPE_CHECKING:
    from evaluation.results.files import Result

PAGE = Path("compare.html")
METRICS = "metrics"  # the stage
UNKNOWN = "not known"  # settings of what somebody else evaluated
COLOURS = {"better": "green", "worse": "red"}


class Compared(NamedTuple):
    """One of the results."""

    name: str  # short, for columns
    whole: str  # the whole id of its run, or the whole path; no other result has it
    about: str  # what it is, in a few words
    folder: Path  # where its evaluation lies
    config: Mapping[str, Any] | None = None  # settings of its run, where they are known
    data: str | None = None  # digest of the index of its run's data set, where it is known


@command(
    "csip compare previous last",
    "csip compare 3f2a 91c0 77de --against 91c0 --store store",
    "csip compare last:visual last:finetuned",
    "csip compare last their-model/ --out compare.html",
)
def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="A run's id or its beginning, 'last' or 'previous', with :MODEL behind it for another model than "
            "--model; or a folder that an evaluation wrote (metrics.json, cmc.parquet, queries.parquet).",
        ),
    ],
    against: Annotated[
        str | None, typer.Option(metavar="RUN", help="The reference; the first without it.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="|".join(EVALUATED), help="Which model of runs; the last without it.", show_default=False),
    ] = None,
    split: Annotated[int, typer.Option(min=0, help="Which split, of a run over all splits.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Compare what was measured by other rules, too.")] = False,
    out: Annotated[
        Path | None, typer.Option(help=f"Page to write; {PAGE} without it, none with --json.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    as_json: AsJson = False,
) -> None:
    """Compare evaluated models: metrics with intervals, differences with p-values, and which queries changed."""
    target = out or (None if as_json else PAGE)
    if target:
        check_file(target, makes_folders=False)
    if model and model not in EVALUATED:
        raise SettingsError(f"there is no model {model!r}", where="--model", fix=f"models are: {', '.join(EVALUATED)}")

    @cache
    def opened() -> tuple[Store, list[dict[str, Any]]]:  # folders alone need no store
        held = open_store(config, store)
        return held, records(held)

    wanted = [_find(name, model, split, opened) for name in ([against] if against else []) + names]
    results = _told_apart(wanted)
    found, reference = _compare(results, force)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _tell(found)
    if target:
        from evaluation.page.comparison_page import render

        abouts = {one.name: one.about for one in results}
        target.write_text(render(found, abouts, found["settings"], found["seeds"], reference.metrics))
        if not as_json:
            say(f"\nwrote {escape(str(target))}")


def _told_apart(wanted: Sequence[Compared]) -> list[Compared]:
    """Each result once, where it was first named; short names of several become whole ones."""
    once: dict[str, Compared] = {}
    for one in wanted:
        once.setdefault(one.whole, one)
    times = Counter(one.name for one in once.values())
    return [one._replace(name=one.whole) if times[one.name] > 1 else one for one in once.values()]


def _compare(wanted: Sequence[Compared], force: bool) -> tuple[dict[str, Any], "Result"]:
    """What is found, with settings that differ and groups of seeds; and the reference."""
    from evaluation.results.comparison import compare, over_seeds
    from evaluation.results.files import read_result

    results = [read_result(one.folder, one.name) for one in wanted]
    found = compare(results, force=force)
    runs = [number for number, one in enumerate(wanted) if one.config is not None]
    configs = [dict(one.config) for one in wanted if one.config is not None]
    settings = {}
    for name, values in differing(configs).items() if configs else ():
        known = dict(zip(runs, values, strict=True))
        settings[name] = [known.get(number, UNKNOWN) for number in range(len(wanted))]
    groups = [[runs[number] for number in group] for group in seed_groups(configs)]
    seeds = [
        {
            "results": [wanted[number].name for number in group],
            "metrics": over_seeds([found["results"][number] for number in group]),
        }
        for group in groups
    ]
    notices = [*_other_data(wanted), *found["notices"]]
    return {**found, "notices": notices, "settings": settings, "seeds": seeds}, results[0]


def _other_data(wanted: Sequence[Compared]) -> list[str]:
    """Whose data set is not that of the first run: queries of one name may show other people there."""
    known = [one for one in wanted if one.data]
    others = [one.name for one in known if one.data != known[0].data]
    if not others:
        return []
    return [
        f"The index of the data set is not that of {known[0].name} in {', '.join(others)}: frames or labels differ, or "
        "another version has read them (`csip diff` says more)"
    ]


def _find(name: str, model: str | None, split: int, opened: Callable[[], tuple[Store, Sequence[Record]]]) -> Compared:
    """What a name on the command line means."""
    from evaluation.results.files import FILES, is_result

    folder = Path(name)
    if is_result(folder):
        resolved = folder.resolve()
        return Compared(resolved.name, str(resolved), str(folder), folder)
    begin, _, word = name.rpartition(":")
    run, model = (begin, word) if word in EVALUATED and begin else (name, model)
    if folder.is_dir():
        raise DataError(
            "no evaluation was written into this folder: it has no metrics.json",
            where=folder,
            fix="name a folder with metrics.json, cmc.parquet and queries.parquet, or a run",
        )
    if folder.name != name:
        raise DataError("there is no such folder", where=name, fix="name a folder that an evaluation wrote, or a run")
    try:
        store, known = opened()
    except StoreError as error:
        what = f"there is no such folder, and no run can be looked for: {error.what}"
        raise StoreError(f"{name}: {what}", where=error.where, fix=error.fix) from error
    record = find_run(known, run)
    label = _label(record, model, split)
    part = label.rpartition(" ")[2]
    entry = record["artifacts"][label]
    artifact = store.find(entry["stage"], entry["key"])
    if artifact is None:
        raise StoreError(
            f"{label} of this run is not in the store any more, or damaged",
            where=store.where(entry["stage"], entry["key"]),
            fix="`csip run CONFIG` makes it again",
        )
    for file in FILES:
        place = artifact.file(file).path.parent
    about = f"{record['name']}, {moment(record)}, {EVALUATED.get(part, part)}"
    index = record["artifacts"].get(f"{label.partition(METRICS)[0]}index", {}).get("digest")
    named = f" {part}" if run != name else ""
    return Compared(
        f"{record['run'][:SHORT]}{named}", f"{record['run']} {label}", about, place, record["config"], index
    )


def _label(record: Record, model: str | None, split: int) -> str:
    """The step of a run that evaluated a model: `finetuned` without one, or else the last."""
    there: list[str] = [label for label, entry in record["artifacts"].items() if entry["stage"] == METRICS]
    if any(label.startswith("split ") for label in there):
        there = [label for label in there if label.startswith(f"split {split} ")]
    found = [label for label in there if label.rpartition(" ")[2] == (model or "finetuned")]
    if not found and (model or not there):
        parts = ", ".join(label.rpartition(" ")[2] for label in there)
        what = f"evaluated no model {model!r}" if there else "has no evaluation"
        raise DataError(
            f"run {record['run'][:SHORT]} ({record['status']}) {what}",
            fix=f"it evaluated: {parts}" if parts else "run it to its end: csip run CONFIG",
        )
    return (found or there)[-1]


def _tell(found: Mapping[str, Any]) -> None:
    from evaluation.page.comparison_page import difference_rows, interval
    from evaluation.page.numbers import level, percent

    for notice in found["notices"]:
        note(f"{notice}\n")
    limits = f"{level(found['level'])} interval"
    shown = table("", *(f">{metric}" for metric in found["metrics"]))
    for result in found["results"]:
        cells = [result["metrics"][metric] for metric in found["metrics"]]
        shown.add_row(f"[bold]{escape(result['name'])}[/]", *(f"[bold]{percent(cell['value'])}[/]" for cell in cells))
        shown.add_row(f"  {limits}", *(f"[dim]{interval(cell['interval'])}[/]" for cell in cells))
    print_whole(shown)
    queries = found["queries"]
    say(
        f"percent; {queries['compared']:,} queries of {queries['identities']:,} identities\n",
        f"[bold]differences from {escape(found['reference'])}[/], points",
    )
    several = len(found["results"]) > 2
    shown = table("", "", ">difference", limits, ">p", *([">corrected"] if several else []), "")
    last = None
    for row in difference_rows(found):
        verdict = f"[{COLOURS[row['kind']]}]{row['verdict']}[/]" if row["kind"] else row["verdict"]
        shown.add_row(
            escape(row["name"]) if row["name"] != last else "",
            row["metric"],
            row["difference"],
            row["interval"],
            row["p"].removeprefix("=\u00a0"),
            *([row["p_corrected"].removeprefix("=\u00a0")] if several else []),
            verdict,
        )
        last = row["name"]
    print_whole(shown)
    for group in found["seeds"]:
        told = ", ".join(
            f"{metric} {percent(row['mean'])} ± {percent(row['deviation'])}" for metric, row in group["metrics"].items()
        )
        say(f"\nover seeds, {escape(', '.join(group['results']))}: {told}")
