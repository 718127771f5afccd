"""`csip data`: what a raw data set holds and what is wrong with it, on a terminal, as JSON or as a page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.markup import escape

from evaluation.page.check_rows import COLUMNS, count_rows, extent, finding_rows, length_rows, published, sizes, verdict
from flows.commands.options.config import load
from flows.commands.options.console import bar, command, console, note, plain_errors, say, silence
from flows.commands.options.outputs import check_file
from flows.commands.options.tables import print_below, table
from storage.addresses import DataRoot, data_root
from storage.errors import SettingsError

SHOWN, ON_A_PAGE = 10, 50
"""Names of each finding without --all, on the terminal and on a page."""

WORKERS = 4  # reading threads, as many as data.scan_workers has by default
BAR, THIN, WIDTH = "█", "▏", 40  # of the histogram


class Target(NamedTuple):
    """What is checked, and by how many reading threads."""

    root: DataRoot
    layout: str
    split: int
    workers: int = WORKERS


@command(
    "csip data check /data/MARS --layout mars",
    "csip data check MARS.zip --layout mars --decode --all",
    "csip data check s3://bucket/MARS --layout mars",
    "csip data check /data/MARS --layout mars --lists",
    "csip data check --config configs/mars.yaml --report check.html",
    "csip data check /data/MARS --layout mars --json | jq -r '.findings[] | select(.problem) | .items[].names[]'",
)
def check(
    root: Annotated[
        str | None, typer.Argument(help="Folder or archive of the data set, or its address.", show_default=False)
    ] = None,
    layout: Annotated[str | None, typer.Option(help="How it is laid out, e.g. mars.", show_default=False)] = None,
    config: Annotated[
        Path | None, typer.Option(help="A YAML file that names root and layout, instead of these.", show_default=False)
    ] = None,
    split: Annotated[
        int | None,
        typer.Option(min=0, help="Which of the layout's splits, from 0; the first without it.", show_default=False),
    ] = None,
    lists: Annotated[
        bool, typer.Option("--lists", help="The lists alone: looks for no frame, and none need be there.")
    ] = False,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode every frame, which finds cut-off ones too; without, only headers.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help=f"Every name, not the first {SHOWN} of each kind.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as one JSON object.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write it as a page, too.", show_default=False)
    ] = None,
) -> None:
    """Check a raw data set and list every problem at once; writes nothing into it.

    Ends with status 0 if there is no problem, 1 if there is any, 2 if the command line is wrong.
    """
    with plain_errors(status=2):
        if lists and decode:
            raise SettingsError(
                "no frame is read, or all of each", where="--lists, --decode", fix="give one of the two"
            )
        if report:
            check_file(report, makes_folders=False)
        with silence(as_json):
            target = _target(root, layout, config, split)
    from storage.datasets.check.check import check as check_data

    limit = None if everything or as_json else ON_A_PAGE
    with silence(as_json), bar("checking") as progress:
        found = check_data(
            *(target.root, target.layout, target.split),
            frames=not lists,
            decode=decode,
            workers=target.workers,
            limit=limit,
            progress=progress,
        ).as_json()
    if report:
        from evaluation.page.html import write_check

        write_check(found, f"Data set {Path(str(target.root)).resolve().name}", report)
    if as_json:
        # a million names: rich would look at every one
        typer.echo(json.dumps({"root": str(target.root), "split": target.split, **found}, indent=2))
    else:
        _tell(target.root, found, None if everything else SHOWN)
        if report:
            say(f"wrote {escape(str(report))}")
    if _has_problem(found):
        raise typer.Exit(1)


def _has_problem(check: Mapping[str, Any]) -> bool:
    return any(finding["problem"] for finding in check["findings"])


def _tell(root: DataRoot, check: Mapping[str, Any], most: int | None) -> None:
    """Print what a check found, with so many names of each finding; None for all."""
    say(f"[bold]{escape(str(root))}[/], layout {check['layout']}")
    if check["splits"]:
        _tell_counts(check)
        _tell_lengths(check)
    if read := sizes(check):
        say(f"\nwidth x height of frames: {read}")
    for row in finding_rows(check):
        word = "[bold red]problem:[/]" if row["problem"] else "[yellow]note:[/]"
        say(f"\n{word} {escape(row['says'])}")
        # of lists that contradict themselves, every contradiction: who mends one only to hear of the next mends none
        items = row["items"] if row["kind"] == "refused" else row["items"][:most]
        console.print(*(f"  {item}" for item in items), sep="\n", soft_wrap=True, markup=False)
        if more := row["more"] + len(row["items"]) - len(items):
            console.print(f"  [dim]... and {more:,} more (--all)[/]")
    console.print(f"\n[{'bold red' if _has_problem(check) else 'green'}]{verdict(check)}[/]")


def _tell_counts(check: Mapping[str, Any]) -> None:
    shown = table("", *(f">{column}" for column in COLUMNS))
    for row in count_rows(check):
        faint = row["kind"] == "faint"
        cells = []
        for column, value in zip(COLUMNS, row["values"], strict=True):
            style = "bold red" if column in row["wrong"] else "dim" if faint else ""
            cells.append(f"[{style}]{value}[/]" if style and value else value)
        shown.add_row(f"[dim]  {row['name']}[/]" if faint else row["name"], *cells)
    print_below(shown)
    if told := published(check):
        say(told)


def _tell_lengths(check: Mapping[str, Any]) -> None:
    shown = table(">frames", ">tracklets", "")
    for row in length_rows(check):
        bar = BAR * round(WIDTH * row["share"]) or (THIN if row["share"] else "")
        shown.add_row(row["frames"], row["tracklets"], f"[cyan]{bar}[/]")
    print_below(shown)
    console.print(extent(check))


def _target(root: str | None, layout: str | None, config: Path | None, split: int | None) -> Target:
    """What the command line names; a `SettingsError` if it names nothing, two things, or what is not there."""
    from storage.datasets.readers import READERS
    from storage.frames.files import DataFiles

    if config and not root and not layout:
        data = load(config).data
        configured = 0 if data.split == "all" or data.folds else data.split
        if data.folds:
            note("data.folds is not looked at: the whole data set is checked, test people too")
        target = Target(data.place, data.layout, configured if split is None else split, data.scan_workers)
    elif root and not config:
        target = Target(data_root(root), layout or "", split or 0)
    else:
        raise SettingsError(
            "one data set is checked, named by its root and layout or by a configuration",
            where="ROOT, --layout, --config",
            fix="write csip data check ROOT --layout mars, or csip data check --config configs/mars.yaml",
        )
    if target.layout not in READERS:
        fix = f"give --layout one of {', '.join(READERS)}"
        what = f"{target.layout!r} is no layout with images" if target.layout else "the layout is not named"
        raise SettingsError(what, where="--layout", fix=fix)
    if target.split >= READERS[target.layout].splits:
        there = READERS[target.layout].splits
        raise SettingsError(
            f"layout {target.layout} has no split {target.split}", where="--split", fix=f"give one of 0 to {there - 1}"
        )
    if not DataFiles(target.root).there():
        raise SettingsError("the data set is not there", where=target.root, fix="name its folder, archive or address")
    return target
