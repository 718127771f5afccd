"""Which tracklets and queries are shown, and their pictures: as data URIs, which need no file beside the page."""

import base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.page.pictures import GAP, PANEL, TRUNK, Colour, PosedFrames, absent, joined, panel, pose_sheet, resized
from evaluation.schema import QUERIES, RANKS
from storage.addresses import DataRoot
from storage.frames.files import DataFiles
from storage.frames.images import Frame, read_frame
from storage.tables.parquet import read_ragged, read_table
from storage.tables.schema import SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import Tracklet

TALLEST = 256  # pixels of a picture of one frame; smaller frames stay as they are
QUALITY = 82
POORER = (QUALITY, 65, 45, 25)  # JPEG qualities tried in turn where a picture may not be larger than so much
KINDS = ("easy", "median", "hard")
HEIGHT = 192  # pixels of a cell of a strip of answers, border included
WIDTH = HEIGHT // 2
BORDER = 4
CAPTION = 26
RIGHT, WRONG, PLAIN = (75, 127, 26), (52, 52, 192), (150, 143, 139)
DIMMED = 0.35  # how much is left of an answer that does not count
MARKS = {"match": ("right", RIGHT), "wrong": ("wrong", WRONG)}


def data_uri(picture: Frame, quality: int = QUALITY) -> str:
    """A picture as a JPEG data URI, colours at full resolution."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, encoded = cv2.imencode(".jpg", picture, options)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def small_data_uri(picture: Frame, most: int) -> str:
    """A picture as a data URI of at most `most` characters: first at a lower quality, then at a smaller size."""
    for quality in POORER:
        uri = data_uri(picture, quality)
        if len(uri) <= most:
            return uri
    height, width = picture.shape[:2]
    if min(height, width) == 1:
        return uri  # nothing is left to take away
    return small_data_uri(cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA), most)


def portrait(files: DataFiles, tracklet: Tracklet | None) -> Frame:
    """The middle frame of a tracklet, or the readable one nearest to it; a crossed-out picture if there is none."""
    frames = tracklet.frames if tracklet else ()
    middle = len(frames) // 2
    for position in sorted(range(len(frames)), key=lambda p: (abs(p - middle), p)):
        frame = read_frame(files, frames[position])
        if frame is not None:
            return resized(frame, TALLEST) if frame.shape[0] > TALLEST else frame
    return absent(64, 128)


def shown_tracklets(quality: Mapping[str, Any], count: int) -> dict[str, dict[str, Any]]:
    """The best, median and worst tracklets by score in quality.json, so many of each kind and none twice.

    Returns:
        Tracklet id -> its `kind` and `score`.
    """
    chosen: dict[str, dict[str, Any]] = {}
    for kind, rows in quality.get("ranked", {}).items():
        for row in rows[:count]:
            chosen.setdefault(row["tracklet_id"], {"kind": kind, "score": row.get("mean_score"), **row})
    return chosen


def posed_tracklets(
    root: DataRoot, wanted: Collection[str], shards: Iterable[tuple[Sequence[Tracklet], Path]], frames: int
) -> dict[str, Frame]:
    """Pictures of tracklets' frames with their skeletons, in 2D and 3D: tracklet id -> picture.

    Args:
        root: of the data set.
        wanted: tracklet ids; those that no shard holds are left out.
        shards: of each shard, its tracklets and its skeletons' file, rows in the same order; only the needed are read.
        frames: how many of a tracklet's frames, evenly spaced.
    """
    files, pictures = DataFiles(root), {}
    for tracklets, path in shards:
        chosen = [(row, tracklet) for row, tracklet in enumerate(tracklets) if tracklet.tracklet_id in wanted]
        if not chosen:
            continue
        skeletons = read_ragged([path], SKELETONS, SKELETON_SHAPES)
        for row, tracklet in chosen:
            count = len(tracklet.frames)
            shown = np.linspace(0, count - 1, min(frames, count)).round().astype(int)
            files.fetch(tracklet.frames[t] for t in shown)
            posed = PosedFrames(
                [read_frame(files, tracklet.frames[t]) for t in shown],
                **{column: skeletons.of(row, column)[shown] for column in SKELETON_SHAPES},
            )
            pictures[tracklet.tracklet_id] = pose_sheet(posed)
    return pictures


def choose_queries(rows: Sequence[Mapping[str, Any]], count: int) -> dict[str, list[Mapping[str, Any]]]:
    """Some queries that went well, some in the middle and some that went badly, by average precision; of `QUERIES`.

    Each of another identity as far as there are enough; no query twice; those without a match are left out. `count` of
    each kind, or fewer where there are not enough.
    """
    order = sorted((r for r in rows if r["matches"]), key=lambda r: (-r["average_precision"], r["query_id"]))
    middle = sorted(range(len(order)), key=lambda i: (abs(2 * i - len(order) + 1), i))
    by_kind = {"easy": order, "hard": order[::-1], "median": [order[i] for i in middle]}
    taken: set[str] = set()
    people: set[int] = set()
    chosen: dict[str, list[Mapping[str, Any]]] = {kind: [] for kind in KINDS}
    for kind, candidates in by_kind.items():
        for repeat_people in (False, True):
            for row in candidates:
                known = row["query_id"] in taken or (row["pid"] in people and not repeat_people)
                if len(chosen[kind]) < count and not known:
                    chosen[kind].append(row)
                    taken.add(row["query_id"])
                    people.add(row["pid"])
    return chosen


def answered_queries(results: Mapping[str, Path], queries: int, answers: int) -> list[dict[str, Any]]:
    """Queries with their first gallery answers by the last model, and where the other models had the first match.

    Args:
        results: model -> folder of its evaluation; the last one is shown.
        queries: how many of each kind.
        answers: how many of each query.

    Returns:
        Of each `kind`, `query` (a row of `QUERIES`), `answers` (rows of `RANKS`), and `first`: model -> rank.
    """
    tables = {name: read_table(folder / "queries.parquet", QUERIES) for name, folder in results.items()}
    *others, last = tables
    chosen = choose_queries(tables[last].to_pylist(), queries)
    ranks: dict[str, list[dict[str, Any]]] = {row["query_id"]: [] for part in chosen.values() for row in part}
    table = read_table(results[last] / "ranks.parquet", RANKS)
    for row in table.filter(pc.is_in(table["query_id"], pa.array(ranks, pa.string()))).to_pylist():
        ranks[row["query_id"]].append(row)
    firsts = {
        name: dict(zip(table["query_id"].to_pylist(), table["first_match"].to_pylist(), strict=True))
        for name, table in tables.items()
    }
    return [
        {
            "kind": kind,
            "query": row,
            "first": {name: firsts[name].get(row["query_id"], 0) for name in (last, *others)},
            "answers": ranks[row["query_id"]][:answers],
        }
        for kind, part in chosen.items()
        for row in part
    ]


def portraits(
    root: DataRoot, answered: Sequence[Mapping[str, Any]], tracklets: Mapping[str, Tracklet]
) -> dict[str, Frame]:
    """A picture of each query and each answer of `answered_queries`: tracklet id -> frame."""
    ids = [row["query"]["query_id"] for row in answered]
    ids += [answer["gallery_id"] for row in answered for answer in row["answers"]]
    files, shown = DataFiles(root), {name: tracklets.get(name) for name in ids}
    files.fetch(tracklet.frames[len(tracklet.frames) // 2] for tracklet in shown.values() if tracklet)
    return {name: portrait(files, tracklet) for name, tracklet in shown.items()}


def answer_strip(
    query: Mapping[str, Any], answers: Sequence[Mapping[str, Any]], pictures: Mapping[str, Frame]
) -> Frame:
    """A query (of `QUERIES`) and its answers (of `RANKS`) as one picture, for where there is no page.

    The query on the left, then its answers, nearest first, each with its rank, whether it is right, and the camera.
    """
    cells = [_cell(pictures[query["query_id"]], f"query  c{query['camid']}", PLAIN)]
    cells.append(panel(3 * GAP, HEIGHT + CAPTION))
    for answer in answers:
        frame, (word, colour) = pictures[answer["gallery_id"]], MARKS.get(answer["status"], ("same", PLAIN))
        if answer["status"] not in MARKS:
            grey = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
            frame = cv2.addWeighted(grey, DIMMED, np.full_like(frame, PANEL[0]), 1 - DIMMED, 0)
        rank = f"{answer['rank']} " if answer["rank"] else ""
        cells.append(_cell(frame, f"{rank}{word} c{answer['camid']}", colour))
    return joined(cells, axis=1)


def _cell(frame: Frame, caption: str, colour: Colour) -> Frame:
    """A frame, cut to the shape of a cell, in a border with words below."""
    inside = (WIDTH - 2 * BORDER, HEIGHT - 2 * BORDER)
    picture = cv2.resize(_cut(frame, inside[0] / inside[1]), inside, interpolation=cv2.INTER_AREA)
    picture = cv2.copyMakeBorder(picture, *(BORDER,) * 4, cv2.BORDER_CONSTANT, value=colour)
    below = panel(WIDTH, CAPTION)
    cv2.putText(below, caption, (2, CAPTION - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.4, TRUNK, 1, cv2.LINE_AA)
    return np.concatenate([picture, below])


def _cut(frame: Frame, shape: float) -> Frame:
    """The middle of a frame whose width is `shape` of its height."""
    height, width = frame.shape[:2]
    wide, tall = min(width, max(1, round(height * shape))), min(height, max(1, round(width / shape)))
    left, top = (width - wide) // 2, (height - tall) // 2
    return frame[top : top + tall, left : left + wide]
