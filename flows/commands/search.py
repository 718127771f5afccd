"""`csip search`: new frames against a gallery of embeddings, as a table and as pictures."""

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evaluation.page.search_sheet import Shown, search_sheet
from evaluation.page.showcase import portrait
from evaluation.search import search_files
from flows.commands.embed import Model, camera_notes, labelled
from flows.commands.given.gallery import Gallery, gallery_notes
from flows.commands.given.outputs import check_file
from flows.commands.given.sources import Source, source_frames
from flows.commands.given.store_choice import table
from storage.addresses import DataRoot
from storage.errors import DataError, SettingsError
from storage.frames.files import DataFiles
from storage.frames.images import Frame, read_frame
from storage.tables.parquet import write_table
from storage.tables.tracklets import Tracklet, find_tracklets
from storage.wording import many
from training.embed import embed_tracklets, without_readable_frame

STRIP = 3  # frames of an answer in a picture
QUALITY = 92  # of a JPEG


@dataclass(frozen=True)
class Asked:
    """What is asked of a search.

    Attributes:
        queries: folders of crops, or one video.
        boxes: of the video.
        top: answers to a query.
        camid: the camera of the queries, where it is known.
        other_cameras: leave out answers by that camera.
        pid: the identity of the queries, where it is known: pictures tell right answers from wrong ones then.
        picture: a picture of each query to write.
        out: a table of all answers to write.
    """

    queries: tuple[Path, ...]
    boxes: Path | None = None
    top: int = 10
    camid: int | None = None
    other_cameras: bool = False
    pid: int | None = None
    picture: Path | None = None
    out: Path | None = None


def check_asked(asked: Asked, gallery: Gallery) -> None:
    """Refuse what cannot be done, before a model is loaded for it.

    Raises:
        SettingsError: options contradict each other, or what is asked for cannot be written.
    """
    if asked.boxes and len(asked.queries) > 1:
        raise SettingsError("boxes belong to one video", where="--boxes", fix="search for one video at a time")
    if asked.other_cameras and asked.camid is None:
        raise SettingsError(
            "other cameras than which?", where="--other-cameras", fix="say which one the queries are of: --camid"
        )
    if asked.picture and gallery.root is None:
        raise SettingsError("pictures need the gallery's frames", where="--frames", fix="--frames FOLDER of its frames")
    if asked.picture and not cv2.haveImageWriter(str(asked.picture)):
        raise SettingsError("this is no picture's name", where=asked.picture, fix="name a .jpg or .png file")
    if asked.out and asked.out.suffix not in (".csv", ".parquet"):
        raise SettingsError("answers are written as CSV or Parquet", where=asked.out, fix="name such a file")
    for file in (asked.picture, asked.out):
        if file:
            check_file(file)


def search_and_tell(model: Model, gallery: Gallery, asked: Asked, console: Console) -> pa.Table:
    """Search for every query, print its answers, and write what is asked for; all answers as an `ANSWERS` table.

    Raises:
        DataError: there are no frames, no query has a readable one, or the gallery does not fit the model.
        SettingsError: the model does not know the camera.
        StoreError: the gallery is damaged.
    """
    _note(gallery_notes(gallery, model), console)
    parts, names = [], set[str]()
    for path in asked.queries:
        with tempfile.TemporaryDirectory() as temporary:
            root, found, _ = source_frames(Source(path, asked.boxes), Path(temporary), console)
            queries = [_renamed(query, path, names) for query in labelled(found, model.about, asked.camid)]
            names |= {query.tracklet_id for query in queries}
            _note(camera_notes(queries, model.about), console)
            answers = search(model, root, queries, gallery, asked, console)
            parts.append(answers)
            for query, own in by_query(queries, answers):
                console.print(f"\n[bold]{escape(query.tracklet_id)}[/] ({many(len(query.frames), 'frame')})")
                console.print(answers_table(own))
                if asked.picture:
                    alone = len(asked.queries) == len(queries) == 1
                    target = asked.picture if alone else _named(asked.picture, query.tracklet_id)
                    draw_answers(root, query, own, gallery, asked.pid, target)
                    console.print(f"picture: {escape(str(target))}", soft_wrap=True)
    whole = pa.concat_tables(parts)
    if asked.out:
        write_answers(whole, asked.out)
        console.print(f"\nanswers: {escape(str(asked.out))}", soft_wrap=True)
    return whole


def search(
    model: Model, root: Path, queries: Sequence[Tracklet], gallery: Gallery, asked: Asked, console: Console
) -> pa.Table:
    """The nearest gallery tracklets of each query tracklet, an `ANSWERS` table.

    Raises:
        DataError: no query has a readable frame, or the gallery does not fit the model.
        StoreError: the gallery is damaged.
    """
    rows = embed_tracklets(root, queries, model.embed, model.about.encoder, model.settings)
    blank = without_readable_frame(queries, rows)
    if len(blank) == len(queries):
        raise DataError("no query has a readable frame", where=root, fix="check that the files are whole images")
    _note([f"without a readable frame, and not searched for: {', '.join(blank)}"] if blank else [], console)
    vectors = np.stack([row for row in rows if row is not None])
    names = [query.tracklet_id for query, row in zip(queries, rows, strict=True) if row is not None]
    return search_files(names, vectors, gallery.embeddings, asked.top, asked.camid if asked.other_cameras else None)


def by_query(queries: Sequence[Tracklet], answers: pa.Table) -> Iterator[tuple[Tracklet, pa.Table]]:
    """Each query that was searched for, with its answers."""
    for query in queries:
        own = answers.filter(pc.equal(answers["query_id"], query.tracklet_id))
        if len(own):
            yield query, own


def draw_answers(
    root: DataRoot, query: Tracklet, answers: pa.Table, gallery: Gallery, pid: int | None, out: Path
) -> None:
    """Write a picture of one query and its answers.

    Args:
        root: folder of the query's frames.
        query: a tracklet.
        answers: rows of `ANSWERS` of this query.
        gallery: one whose frames are known.
        pid: the query's identity, where it is known.
        out: a picture file.

    Raises:
        DataError: the picture cannot be written.
    """
    rows = answers.to_pylist()
    known = find_tracklets(gallery.indexes, {row["tracklet_id"] for row in rows})
    files = DataFiles(gallery.root or Path())
    shown = [
        Shown(
            _strip(files, known.get(row["tracklet_id"])),
            row["tracklet_id"],
            _who(row),
            str(row["rank"]),
            f"{row['distance']:.3f}",
            None if pid is None else row["pid"] == pid,
        )
        for row in rows
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    asked = Shown([portrait(DataFiles(root), query)], query.tracklet_id, many(len(query.frames), "frame"), "Query")
    sheet = search_sheet(asked, shown)
    jpeg = out.suffix.lower() in (".jpg", ".jpeg")
    if not cv2.imwrite(str(out), sheet, [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if jpeg else []):
        raise DataError("the picture cannot be written", where=out, fix="check the folder and the disk")


def _strip(files: DataFiles, tracklet: Tracklet | None) -> list[Frame | None]:
    """Frames from the whole of a tracklet, evenly spaced; None for one that cannot be read."""
    if tracklet is None:
        return [None] * STRIP
    spread = (np.arange(STRIP) + 0.5) * len(tracklet.frames) / STRIP
    names = [tracklet.frames[int(position)] for position in spread]
    files.fetch(names)
    return [read_frame(files, name) for name in names]


def _who(row: Mapping[str, Any]) -> str:
    """Identity and camera of an answer, as far as they are known."""
    person = [f"person {row['pid']}"] if row["pid"] > 0 else []
    return " · ".join(person + ([f"camera {row['camid']}"] if row["camid"] >= 0 else []))


def answers_table(answers: pa.Table) -> Table:
    """The answers to one query, for the terminal; - where an identity or a camera is not known."""
    shown = table(">rank", "tracklet", ">pid", ">camid", ">distance")
    for row in answers.to_pylist():
        pid, camid = str(row["pid"]) if row["pid"] > 0 else "-", str(row["camid"]) if row["camid"] >= 0 else "-"
        shown.add_row(str(row["rank"]), escape(row["tracklet_id"]), pid, camid, f"{row['distance']:.4f}")
    return shown


def write_answers(answers: pa.Table, out: Path) -> None:
    """Write all answers as CSV, or as Parquet if the file's name ends so."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".parquet":
        write_table(answers, out)
    else:
        pa.csv.write_csv(answers, out)


def _renamed(query: Tracklet, path: Path, names: Collection[str]) -> Tracklet:
    """A query that is called as one of another folder is, with that folder before its name."""
    return replace(query, tracklet_id=f"{path}/{query.tracklet_id}") if query.tracklet_id in names else query


def _named(picture: Path, query_id: str) -> Path:
    return picture.with_name(f"{picture.stem}-{query_id.strip('/').replace('/', '_')}{picture.suffix}")


def _note(notes: Sequence[str] | Iterator[str], console: Console) -> None:
    for note in notes:
        console.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
