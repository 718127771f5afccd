"""`csip experiment`: arms that differ in settings, each with several seeds, and what their differences say."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from flows.commands.options.config import Overrides
from flows.commands.options.console import command, note, say
from flows.commands.options.flow_runs import LogOption, flow_runs
from flows.commands.options.outputs import check_folder
from flows.commands.options.tables import print_whole, table
from storage.disk import write_whole
from storage.wording import listed

if TYPE_CHECKING:
    from flows.experiments.experiment import Experiment
    from flows.experiments.trials import Outcome

FOLDER = Path("experiments")
COLOURS = {"better": "green", "worse": "red"}
ENDINGS = ("html", "md", "json")


@command(
    "csip experiment configs/experiments/parts.yaml",
    "csip experiment mine.yaml --set data.root=/data/MARS --set store=/data/store --out results",
    "csip plan configs/experiments/parts.yaml",
)
def experiment(
    file: Annotated[Path, typer.Argument(help="A YAML file with `base`, `arms` and `seeds`.", show_default=False)],
    overrides: Overrides = None,
    out: Annotated[
        Path, typer.Option(help="Folder of what is found: NAME.html, NAME.md and NAME.json, as far as it is done.")
    ] = FOLDER,
    log: LogOption = "",
) -> None:
    """Run every arm of an experiment with every seed, and compare them; what is done is not done again."""
    from flows.experiments.experiment import read_experiment
    from flows.experiments.trials import UNTIL, run_trials

    asked, trials = read_experiment(file, overrides or ())
    check_folder(out)
    say(f"{len(asked.arms)} arms, {len(asked.seeds)} seeds, one store: {escape(trials[0].config.store)}")
    outcomes: list[Outcome] = []
    with flow_runs(trials[0].config, log):
        from flows.rebuild import rebuild

        for outcome in run_trials(trials, lambda trial: rebuild(trial.config, UNTIL, title=trial.label).artifacts):
            outcomes.append(outcome)
            _tell(outcome, len(outcomes), len(trials))
            last_of_seed = len(outcomes) == len(trials) or trials[len(outcomes)].seed != outcome.trial.seed
            if last_of_seed:
                found = _compared(asked, outcomes)
                _write(asked, file, trials[0].config.data.root, found, outcomes, out)
    for gallery, of_gallery in found.items():
        _show(gallery, of_gallery)
    failed = {outcome.trial.label for outcome in outcomes if outcome.error}
    say(f"\npage: {escape(str(out / asked.name))}.html")
    if failed:
        note(f"failed: {listed(sorted(failed))}; the same command runs these again, when what is named above is mended")
        raise typer.Exit(1)


def _tell(outcome: "Outcome", done: int, total: int) -> None:
    trial = outcome.trial
    if outcome.error:
        say(f"[bold red]failed[/]  {done} of {total}: {escape(trial.label)}: {escape(outcome.error.what)}")
        return
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in outcome.folders]
    reached = sum(each["mAP"] for each in metrics) / len(metrics)
    say(f"{done} of {total}: {escape(trial.label)}, gallery {trial.gallery}: mAP {100 * reached:.1f} %")


def _compared(asked: "Experiment", outcomes: Sequence["Outcome"]) -> dict[str, dict[str, Any]]:
    """Gallery protocol -> what can be said of the arms that have a result."""
    from evaluation.results.arms import compare_arms
    from evaluation.results.files import read_result

    found: dict[str, dict[str, Any]] = {}
    for gallery in dict.fromkeys(outcome.trial.gallery for outcome in outcomes):
        arms: dict[str, dict[int, Any]] = {}
        for outcome in outcomes:
            trial = outcome.trial
            if trial.gallery == gallery and outcome.folders:
                results = [read_result(folder, trial.label) for folder in outcome.folders]
                arms.setdefault(trial.arm, {})[trial.seed] = results
        if arms:  # where the reference has failed, the others have their figures all the same
            reference = asked.reference if asked.reference in arms else next(iter(arms))
            found[gallery] = compare_arms(arms, asked.measures, reference)
    return found


def _write(
    asked: "Experiment",
    file: Path,
    root: object,
    found: Mapping[str, Mapping[str, Any]],
    outcomes: Sequence["Outcome"],
    out: Path,
) -> None:
    from evaluation.page.experiment_page import headline, markdown, render

    facts = [
        ("Base", asked.base),
        *([("Over it, in all arms", "; ".join(_as_yaml(asked.settings)))] if asked.settings else []),
        ("Data", str(root)),
        ("Seeds", ", ".join(map(str, asked.seeds))),
        ("Once more", f"csip experiment {file}"),
        ("csip", version("csip-reid")),
    ]
    failures = {one.trial.label: one.error.what for one in outcomes if one.error}
    settings = {arm: _as_yaml(own or {}) for arm, own in asked.arms.items()}
    curves = {gallery: _curves(outcomes, gallery, asked.measures[0]) for gallery in found}
    page = render(asked.name, asked.about, found, settings, failures, facts, curves)
    tables = "\n\n".join(f"{headline(gallery)}:\n\n{markdown(each)}" for gallery, each in found.items())
    told = {"experiment": asked.model_dump(mode="json"), "found": found, "failures": failures}
    out.mkdir(parents=True, exist_ok=True)
    for ending, text in zip(ENDINGS, (page, tables + "\n", json.dumps(told, indent=2) + "\n"), strict=True):
        write_whole(out / f"{asked.name}.{ending}", text.encode())


def _as_yaml(settings: Mapping[str, Any]) -> list[str]:
    """`finetune.use_pfu: false`, ... of settings in sections or with dotted names."""
    from flows.keys.reasons import flat

    return [f"{name}: {json.dumps(value)}" for name, value in flat(settings).items()]


def _curves(outcomes: Sequence["Outcome"], gallery: str, measure: str) -> str:
    from evaluation.page.experiment_page import validation_curves

    metrics: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for outcome in outcomes:
        if outcome.trial.gallery == gallery and outcome.trial.model == "finetuned":
            for epoch, folders in outcome.validation.items():
                read = [json.loads((folder / "metrics.json").read_text()) for folder in folders]
                metrics.setdefault(outcome.trial.arm, {}).setdefault(epoch, []).extend(read)
    return validation_curves(metrics, measure)


def _show(gallery: str, found: Mapping[str, Any]) -> None:
    from evaluation.page.experiment_page import arm_rows, headline

    measure = found["measures"][0]
    columns = (f">{name}" for name in found["measures"])
    shown = table("", *columns, f">{measure}, points", ">p", "")
    for row in arm_rows(found):
        first = row["cells"][0]
        verdict = f"[{COLOURS[first['kind']]}]{first['verdict']}[/]" if first["kind"] else first["verdict"]
        means = (cell["mean"] for cell in row["cells"])
        shown.add_row(escape(row["name"]), *means, first["difference"], first["p"].removeprefix("=\u00a0"), verdict)
    say(f"\n[bold]{headline(gallery)}[/], {found['queries']:,} queries, percent, over seeds")
    print_whole(shown)
