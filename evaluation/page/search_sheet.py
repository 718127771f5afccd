"""What a search found, as one picture: the query, and its answers in the order of their ranks, each a few frames.

Pictures are (H, W, 3) uint8 BGR, as OpenCV has them. Text is set in the typeface that matplotlib brings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from evaluation.page.pictures import absent
from storage.frames.images import Frame

# RGB, as all colours here
PAPER, INK, QUIET, LINE = (255, 255, 255), (28, 30, 36), (118, 122, 132), (222, 224, 230)
RIGHT, WRONG = (38, 148, 82), (205, 62, 58)

FRAME_HEIGHT = 168  # pixels of an answer's frames
FRAME_WIDTH = FRAME_HEIGHT // 2  # people stand upright
SEAM = 3  # between the frames of a strip
GAP = 26  # between answers
MARGIN = 32
HEADING = 52  # two lines of text
COLUMNS = 5
BORDER = 4
TITLE, TEXT, SMALL = 20, 15, 13  # sizes of type


@dataclass(frozen=True)
class Shown:
    """A tracklet in the picture."""

    frames: Sequence[Frame | None]  # a few, None where one cannot be read
    title: str  # first line above it
    text: str  # second line
    number: str  # of an answer's rank, or a word, in bold before the title
    distance: str = ""  # from the query, at the right of the second line; empty for the query
    right: bool | None = None  # whether it shows the query's person; None where that is not known


def search_sheet(query: Shown, answers: Sequence[Shown]) -> Frame:
    """The query at the left, as tall as two rows of answers, and the answers in rows of `COLUMNS`."""
    strip = max((len(answer.frames) for answer in answers), default=1)
    width = strip * (FRAME_WIDTH + SEAM) - SEAM
    row = HEADING + FRAME_HEIGHT + GAP
    rows = -(-len(answers) // COLUMNS)
    tall = max(row * min(rows, 2) - HEADING - GAP, FRAME_HEIGHT)
    left = MARGIN + tall // 2 + 2 * GAP
    columns = min(COLUMNS, len(answers))
    size = (left + columns * (width + GAP) - GAP + MARGIN, 2 * MARGIN + max(rows * row - GAP, HEADING + tall))
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    _heading(draw, (MARGIN, MARGIN), tall // 2, query)
    _paste(picture, (MARGIN, MARGIN + HEADING), (tall // 2, tall), query.frames[0])
    rule = left - GAP
    draw.line((rule, MARGIN, rule, size[1] - MARGIN), fill=LINE, width=2)
    for number, answer in enumerate(answers):
        x = left + number % COLUMNS * (width + GAP)
        y = MARGIN + number // COLUMNS * row
        _heading(draw, (x, y), width, answer)
        for place, frame in enumerate(answer.frames):
            spot = (x + place * (FRAME_WIDTH + SEAM), y + HEADING)
            _paste(picture, spot, (FRAME_WIDTH, FRAME_HEIGHT), frame)
        if answer.right is not None:
            around = (x - BORDER, y + HEADING - BORDER, x + width + BORDER - 1, y + HEADING + FRAME_HEIGHT + BORDER - 1)
            draw.rectangle(around, outline=RIGHT if answer.right else WRONG, width=BORDER)
    return np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])


def _heading(draw: ImageDraw.ImageDraw, place: tuple[int, int], width: int, shown: Shown) -> None:
    """Number and title on one line, text and distance below, cut to the width."""
    x, y = place
    draw.text((x, y), shown.number, INK, _font(TITLE, bold=True))
    indent = round(draw.textlength(shown.number, _font(TITLE, bold=True))) + 9
    draw.text((x + indent, y + TITLE - TEXT), _cut(draw, shown.title, TEXT, width - indent), INK, _font(TEXT))
    below = y + TITLE + 6
    room = width - round(draw.textlength(shown.distance, _font(SMALL)))
    draw.text((x, below), _cut(draw, shown.text, SMALL, room), QUIET, _font(SMALL))
    draw.text((x + room, below), shown.distance, INK, _font(SMALL))


def _cut(draw: ImageDraw.ImageDraw, text: str, size: int, width: int) -> str:
    """Text without its beginning where it is too long: the end of a tracklet's name says more."""
    if draw.textlength(text, _font(size)) <= width:
        return text
    short = next((text[i:] for i in range(len(text)) if draw.textlength("…" + text[i:], _font(size)) <= width), "")
    return "…" + short


def _paste(picture: Image.Image, place: tuple[int, int], size: tuple[int, int], frame: Frame | None) -> None:
    """A frame in a cell, whole, its shape kept; what the cell has more is grey."""
    width, height = size
    cell = np.full((height, width, 3), LINE, np.uint8)
    shown = absent(width, height) if frame is None else frame
    scale = min(width / shown.shape[1], height / shown.shape[0])
    inner = max(1, round(shown.shape[1] * scale)), max(1, round(shown.shape[0] * scale))
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    resized = cv2.resize(shown, inner, interpolation=method)
    top, side = (height - inner[1]) // 2, (width - inner[0]) // 2
    cell[top : top + inner[1], side : side + inner[0]] = resized[:, :, ::-1]
    picture.paste(Image.fromarray(cell), place)


@lru_cache(maxsize=8)
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    import matplotlib  # slow to import

    name = f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf" / name), size)
