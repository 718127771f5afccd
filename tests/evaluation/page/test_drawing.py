"""Drawings as PNG, with the page's own light colours."""

import cv2
import numpy as np

from evaluation.page.curves import cmc_curve, cmc_picture
from evaluation.page.drawing import VARIABLES, light_colours

CURVES = {"Visual encoder alone": [0.1, 0.2, 0.3], "After finetuning": [0.4, 0.5, 0.6]}
CHANCE = [0.1, 0.1, 0.2]


def test_the_page_gives_every_colour_that_a_drawing_may_use() -> None:
    colours = light_colours()
    assert VARIABLES.keys() <= colours.keys()
    people = [colours[name] for name in VARIABLES if name.startswith("--person")]
    assert len(set(people)) == len(people), "no two people have the same colour"


def test_a_png_has_the_colours_of_the_page_and_is_always_the_same() -> None:
    data = cmc_picture([1, 2, 3], CURVES, CHANCE)
    assert data == cmc_picture([1, 2, 3], CURVES, CHANCE)
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    shown = {f"#{r:02x}{g:02x}{b:02x}" for b, g, r in np.unique(picture.reshape(-1, 3), axis=0).tolist()}
    colours = light_colours()
    assert {colours[name] for name in ("--card", "--series-1", "--series-2")} <= shown


def test_long_names_stand_below_each_other_and_leave_the_curves_their_room() -> None:
    def height(names: list[str]) -> float:
        svg = cmc_curve([1, 2, 3], {name: [0.1, 0.2, 0.3] for name in names}, CHANCE, "CMC")
        return float(svg.partition('viewBox="')[2].partition('"')[0].split()[3])

    assert height(["alone", "after"]) < height(["Visual encoder alone, re-ranked", "After finetuning, re-ranked"])
