"""A query and its first answers as one picture, for where there is no page: right green, wrong red, the rest greyed."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from evaluation.page.pictures import GAP, PANEL, TRUNK, Colour
from storage.frames.images import Frame

HEIGHT = 192  # pixels of a cell, border included
WIDTH = HEIGHT // 2
BORDER = 4
CAPTION = 26
RIGHT: Colour = (75, 127, 26)
WRONG: Colour = (52, 52, 192)
PLAIN: Colour = (150, 143, 139)
DIMMED = 0.35  # how much is left of an answer that does not count
MARKS = {"match": ("right", RIGHT), "wrong": ("wrong", WRONG)}


def answer_strip(
    query: Mapping[str, Any], answers: Sequence[Mapping[str, Any]], pictures: Mapping[str, Frame]
) -> Frame:
    """The query on the left, then its answers, nearest first, each with its rank, whether it is right, and the camera.

    Args:
        query: a row of `QUERIES`.
        answers: rows of `RANKS`.
        pictures: tracklet id -> frame.
    """
    cells = [_cell(pictures[query["query_id"]], f"query  c{query['camid']}", PLAIN)]
    cells.append(np.full((HEIGHT + CAPTION, 3 * GAP, 3), PANEL, np.uint8))
    for answer in answers:
        frame, (word, colour) = pictures[answer["gallery_id"]], MARKS.get(answer["status"], ("same", PLAIN))
        if answer["status"] not in MARKS:
            grey = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
            frame = cv2.addWeighted(grey, DIMMED, np.full_like(frame, PANEL[0]), 1 - DIMMED, 0)
        rank = f"{answer['rank']} " if answer["rank"] else ""
        cells.append(_cell(frame, f"{rank}{word} c{answer['camid']}", colour))
    space = np.full((HEIGHT + CAPTION, GAP, 3), PANEL, np.uint8)
    return np.concatenate([part for cell in cells for part in (cell, space)][:-1], axis=1)


def _cell(frame: Frame, caption: str, colour: Colour) -> Frame:
    """A frame, cut to the shape of a cell, in a border with words below."""
    inside = (WIDTH - 2 * BORDER, HEIGHT - 2 * BORDER)
    picture = cv2.resize(_cut(frame, inside[0] / inside[1]), inside, interpolation=cv2.INTER_AREA)
    picture = cv2.copyMakeBorder(picture, *(BORDER,) * 4, cv2.BORDER_CONSTANT, value=colour)
    below = np.full((CAPTION, WIDTH, 3), PANEL, np.uint8)
    where = (2, CAPTION - 9)
    cv2.putText(below, caption, where, cv2.FONT_HERSHEY_SIMPLEX, 0.4, TRUNK, 1, cv2.LINE_AA)
    return np.concatenate([picture, below])


def _cut(frame: Frame, shape: float) -> Frame:
    """The middle of a frame whose width is `shape` of its height."""
    height, width = frame.shape[:2]
    wide, tall = min(width, max(1, round(height * shape))), min(height, max(1, round(width / shape)))
    left, top = (width - wide) // 2, (height - tall) // 2
    return frame[top : top + tall, left : left + wide]
