"""`csip search`: new frames against a gallery of embeddings, as a table and as pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import typer
from rich.markup import escape

from evaluation.search import search_files
from flows.commands.options.config import set_option
from flows.commands.options.console import AsJson, command, console, note, print_json, say, silence
from flows.commands.options.frames import BoxesOption, Source
from flows.commands.options.gallery import Gallery, choose_gallery, gallery_notes
from flows.commands.options.model import (
    CameraOption,
    Model,
    ModelOfConfig,
    ModelOption,
    camera_notes,
    choose_model,
    seen_by,
)
from flows.commands.options.outputs import check_file
from flows.commands.options.tables import table
from storage.errors import DataError, SettingsError
from storage.frames.files import DataFiles
from storage.tables.parquet import write_table
from storage.tables.tracklets import Tracklet, find_tracklets
from storage.wording import many

if TYPE_CHECKING:
    from storage.frames.images import Frame

STRIP = 3  # frames of an answer in a picture
QUALITY = 92  # of a JPEG


@command(
    "csip search walk/ --config configs/mars.yaml --camid 1 --picture found.jpg",
    "csip search a/ b/ --model store/artifacts/finetuned/KEY --gallery street.parquet --frames crops/",
    "csip search today.mp4 --boxes boxes.csv --config configs/mars.yaml --top 20 --out found.csv",
)
def search(
    queries: Annotated[
        list[Path],
        typer.Argument(
            metavar="QUERY...",
            help="Folders of crops (of one tracklet, or a folder a tracklet), or a video.",
            show_default=False,
        ),
    ],
    gallery: Annotated[
        Path | None,
        typer.Option(help="What csip embed wrote; the test tracklets that the newest run embedded without it."),
    ] = None,
    frames: Annotated[Path | None, typer.Option(help="Folder of the frames of --gallery, for pictures.")] = None,
    model: ModelOption = None,
    config: ModelOfConfig = None,
    top: Annotated[int, typer.Option(min=1, help="Answers to a query.")] = 10,
    camid: CameraOption = None,
    other_cameras: Annotated[
        bool, typer.Option("--other-cameras", help="Leave out what camera --camid saw itself.")
    ] = False,
    pid: Annotated[
        int | None, typer.Option(min=1, help="Identity of the queries, to see right and wrong answers in pictures.")
    ] = None,
    boxes: BoxesOption = None,
    picture: Annotated[
        Path | None, typer.Option(help="Picture to write (.jpg, .png); of several queries, each with its name.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Table to write: .csv or .parquet.")] = None,
    overrides: Annotated[list[str] | None, set_option(help="Override a setting, e.g. embed.sampling=rrs.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find people of new frames in a gallery of embeddings: the nearest tracklets, as a table and as pictures."""
    chosen = choose_model(model, config, overrides)
    searched = choose_gallery(gallery, frames, chosen.artifact)
    if boxes and len(queries) > 1:
        raise SettingsError("boxes belong to one video", where="--boxes", fix="search for one video at a time")
    if other_cameras and camid is None:
        raise SettingsError(
            "other cameras than which?", where="--other-cameras", fix="say which one the queries are of: --camid"
        )
    _check_outputs(picture, out, searched)
    sources = [Source(path, boxes) for path in queries]
    for source in sources:
        source.check()
    ready = chosen.load()
    with silence(as_json):
        note(*gallery_notes(searched, ready))
        parts, names = [], set[str]()
        for source in sources:
            with TemporaryDirectory() as temporary:
                root, found, _ = source.frames(temporary)
                asked = [_renamed(query, source.path, names) for query in seen_by(found, ready.about, camid)]
                names |= {query.tracklet_id for query in asked}
                note(*camera_notes(asked, ready.about))
                answers = _nearest(ready, root, asked, searched, top, camid if other_cameras else None)
                parts.append(answers)
                for query in asked:
                    own = answers.filter(pc.equal(answers["query_id"], query.tracklet_id)).to_pylist()
                    if not own:
                        continue  # it has no readable frame
                    _tell(query, own)
                    if picture:
                        alone = len(queries) == len(asked) == 1
                        target = picture if alone else _named(picture, query.tracklet_id)
                        draw_answers(root, query, own, searched, pid, target)
                        say(f"picture: {escape(str(target))}")
        whole = pa.concat_tables(parts)
        if out:
            _write(whole, out)
            say(f"\nanswers: {escape(str(out))}")
    if as_json:
        print_json(whole.to_pylist())


def _check_outputs(picture: Path | None, out: Path | None, gallery: Gallery) -> None:
    """Refuse what cannot be written, before a model is loaded for it."""
    if picture:
        import cv2

        if gallery.root is None:
            fix = "--frames FOLDER of its frames"
            raise SettingsError("pictures need the gallery's frames", where="--frames", fix=fix)
        if not cv2.haveImageWriter(str(picture)):
            raise SettingsError("this is no picture's name", where=picture, fix="name a .jpg or .png file")
    if out and out.suffix not in (".csv", ".parquet"):
        raise SettingsError("answers are written as CSV or Parquet", where=out, fix="name such a file")
    for file in (picture, out):
        if file:
            check_file(file)


def _nearest(
    model: Model, root: Path, queries: Sequence[Tracklet], gallery: Gallery, top: int, not_by: int | None
) -> pa.Table:
    """The nearest gallery tracklets of each query tracklet, an `ANSWERS` table; none by the camera `not_by`."""
    from training.embed import embed_tracklets, without_readable_frame

    rows = embed_tracklets(root, queries, model.embed, model.about.size, model.settings)
    blank = without_readable_frame(queries, rows)
    if len(blank) == len(queries):
        raise DataError("no query has a readable frame", where=root, fix="check that the files are whole images")
    if blank:
        note(f"without a readable frame, and not searched for: {', '.join(blank)}")
    vectors = np.stack([row for row in rows if row is not None])
    names = [query.tracklet_id for query, row in zip(queries, rows, strict=True) if row is not None]
    return search_files(names, vectors, gallery.embeddings, top, not_by)


def _tell(query: Tracklet, answers: Sequence[Mapping[str, Any]]) -> None:
    """Print the answers to one query; - where an identity or a camera is not known."""
    shown = table(">rank", "tracklet", ">pid", ">camid", ">distance")
    for row in answers:
        pid, camid = str(row["pid"]) if row["pid"] > 0 else "-", str(row["camid"]) if row["camid"] >= 0 else "-"
        shown.add_row(str(row["rank"]), escape(row["tracklet_id"]), pid, camid, f"{row['distance']:.4f}")
    console.print(f"\n[bold]{escape(query.tracklet_id)}[/] ({many(len(query.frames), 'frame')})")
    console.print(shown)


def draw_answers(
    root: Path, query: Tracklet, answers: Sequence[Mapping[str, Any]], gallery: Gallery, pid: int | None, out: Path
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
    import cv2

    from evaluation.page.search_sheet import Shown, search_sheet
    from evaluation.page.showcase import portrait

    known = find_tracklets(gallery.indexes, {row["tracklet_id"] for row in answers})
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
        for row in answers
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    asked = Shown([portrait(DataFiles(root), query)], query.tracklet_id, many(len(query.frames), "frame"), "Query")
    jpeg = out.suffix.lower() in (".jpg", ".jpeg")
    if not cv2.imwrite(str(out), search_sheet(asked, shown), [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if jpeg else []):
        raise DataError("the picture cannot be written", where=out, fix="check the folder and the disk")


def _strip(files: DataFiles, tracklet: Tracklet | None) -> "list[Frame | None]":
    """Frames from the whole of a tracklet, evenly spaced; None for one that cannot be read."""
    from storage.frames.images import read_frame

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


def _write(answers: pa.Table, out: Path) -> None:
    """Write all answers as Parquet if the file's name ends so, else as CSV."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".parquet":
        write_table(answers, out)
    else:
        pa.csv.write_csv(answers, out)


def _renamed(query: Tracklet, path: Path, names: set[str]) -> Tracklet:
    """A query that is called as one of another folder is, with that folder before its name."""
    return replace(query, tracklet_id=f"{path}/{query.tracklet_id}") if query.tracklet_id in names else query


def _named(picture: Path, query_id: str) -> Path:
    return picture.with_name(f"{picture.stem}-{query_id.strip('/').replace('/', '_')}{picture.suffix}")
