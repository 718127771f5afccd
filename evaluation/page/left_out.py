"""What a run did not do, did not count, or cannot say: each a line that follows from its artifacts."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.page.embedding_map import Map
from evaluation.page.run_rows import setting
from storage.tables.tracklets import DISTRACTOR_PID
from storage.wording import be, have, many

FRAMES = {"unreadable": "cannot be read", "no_person": "show nobody that the pose estimator would find"}
TRAININGS = ("visual", "pretrain", "finetune", "skeleton_only")


def left_out(
    check: Mapping[str, Any],
    quality: Mapping[str, Any],
    metrics: Mapping[str, Any],
    queries: Sequence[Mapping[str, Any]],
    not_run: Sequence[str],
    settings: Sequence[Mapping[str, Any]],
    shown: Map | None,
) -> list[str]:
    """Sentences, from the data to the statistics; none of what does not apply.

    Args:
        check: summary.json of the index.
        quality: quality.json of the skeletons; empty without images.
        metrics: metrics.json of the last model.
        queries: its `QUERIES`.
        not_run: stages of the pipeline that this run had no use for.
        settings: as `setting_rows` takes them.
        shown: the embedding map, if there is one.
    """
    lines = []
    if problems := sum(finding["problem"] for finding in check["findings"]):
        lines.append(f"{many(problems, 'problem')} of the data set {have(problems)} not been mended: see Data set.")
    if missing := check["missing_frames"]["count"]:
        lines.append(f"{many(missing, 'listed frame')} {be(missing)} not on disk.")
    for key, says in FRAMES.items():
        if count := (quality.get(key) or {"count": 0})["count"]:
            lines.append(f"{many(count, 'frame')} of {quality['frames']:,}: {says}.")
    lines += _ranking(metrics, queries)
    if not_run:
        lines.append(f"Stages that were not run: {', '.join(not_run)}.")
    if shown is None:
        lines.append("There are too few embedded tracklets for a map.")
    elif shown.left_out:
        lines.append(f"The map leaves out {many(shown.left_out, 'tracklet')} of the identities that it shows.")
    return [*lines, *_statistics(check, metrics, settings)]


def _ranking(metrics: Mapping[str, Any], queries: Sequence[Mapping[str, Any]]) -> list[str]:
    kept = metrics["protocol"]["gallery"] == "with_queries"  # each query of somebody meets itself
    ignored = sum(metrics["gallery"] - row["candidates"] - (kept and row["pid"] != DISTRACTOR_PID) for row in queries)
    mean = f" ({ignored / len(queries):.1f} for each query)" if queries else ""
    lines = [f"Answers that do not count: {metrics['protocol']['left_out']}{mean}."]
    if blank := metrics["without_embedding"]["count"]:
        lines.append(f"{many(blank, 'tracklet')} of the test {have(blank)} no embedding.")
    if unmatched := metrics["queries_without_match"]:
        asked = f"{'1 query' if unmatched == 1 else f'{unmatched:,} queries'} of {metrics['queries']:,}"
        lines.append(f"{asked} {have(unmatched)} no match that counts, and no part in any mean.")
    return lines


def _statistics(
    check: Mapping[str, Any], metrics: Mapping[str, Any], settings: Sequence[Mapping[str, Any]]
) -> list[str]:
    lines = []
    splits = check.get("split_count", 1)
    if check.get("cross_validation"):
        lines.append(f"Training people, one part of {splits}, stood in for the test people, who were not looked at.")
    elif splits > 1:
        lines.append(f"This is one split of {splits}; published results on such data sets are means over all of them.")
    if seeds := {setting(settings, f"{name}.seed") for name in TRAININGS} - {None}:
        named = " and ".join(f"{seed}" for seed in sorted(seeds))
        lines.append(f"One training, with seed {named}: how much another seed would change is not known from this run.")
    if intervals := metrics["intervals"]:
        lines.append(
            f"The intervals say how much other people like the {intervals['identities']:,} of the test would change "
            "the numbers, and nothing of other cameras, other trainings or other data sets."
        )
    else:
        lines.append("There are no intervals: one identity alone has queries with a match.")
    return lines
