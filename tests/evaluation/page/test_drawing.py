"""Drawings as SVG and PNG: the same bytes each time, in the page's colours, without anything fetched from elsewhere."""

import re
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from evaluation.page.drawing import (
    MOST_POINTS,
    VARIABLES,
    cmc_curve,
    cmc_picture,
    light_colours,
    loss_curve,
    smoothed,
)

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


STEPS = np.arange(200)
LOSSES = 3 * np.exp(-STEPS / 50) + np.random.default_rng(0).normal(size=200) * 0.1


def test_smoothing_keeps_a_straight_line_straight_and_a_constant_constant() -> None:
    np.testing.assert_allclose(smoothed(np.full(50, 2.5)), 2.5)
    np.testing.assert_allclose(smoothed(np.arange(100.0))[10:-10], np.arange(100.0)[10:-10])


def test_smoothing_calms_noise() -> None:
    noise = np.random.default_rng(1).normal(size=500)
    assert smoothed(noise).std() < 0.5 * noise.std()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_values_can_be_drawn(count: int) -> None:
    assert "<path" in loss_curve(np.arange(count), np.ones(count), "short")


def test_same_numbers_same_bytes() -> None:
    assert loss_curve(STEPS, LOSSES, "loss") == loss_curve(STEPS, LOSSES, "loss")


def test_curves_take_their_colours_from_the_page_and_refer_to_nothing_outside() -> None:
    drawings = [
        loss_curve(STEPS, LOSSES, "loss"),
        cmc_curve([1, 2, 3], {"alone": [0.1, 0.2, 0.3], "after": [0.4, 0.5, 0.6]}, [0.1, 0.1, 0.2], "CMC"),
    ]
    for svg in drawings:
        assert "var(--series-1)" in svg
        assert not any(token in svg for token in VARIABLES.values())
        assert not re.search(r"#[0-9a-f]{6}", svg), "a fixed colour would not follow light and dark"
        assert "http" not in svg
        assert "<script" not in svg


def test_a_long_training_does_not_make_a_heavy_curve() -> None:
    count = 100 * MOST_POINTS
    svg = loss_curve(np.arange(count), np.random.default_rng(2).normal(size=count), "long")
    assert len(svg) < 40_000


def test_values_that_are_not_numbers_leave_a_gap() -> None:
    values = LOSSES.copy()
    values[50:60] = np.nan
    assert "nan" not in loss_curve(STEPS, values, "gap")


def test_two_drawings_on_one_page_share_no_ids() -> None:
    one, two = (set(re.findall(r'\bid="([^"]+)"', loss_curve(STEPS, LOSSES, name))) for name in ("a", "b"))
    assert one
    assert not one & two


def test_the_name_is_escaped_and_the_drawing_is_well_formed() -> None:
    svg = loss_curve(STEPS, LOSSES, 'a <b> & "c"')
    root = ElementTree.fromstring(svg.replace("xlink:href", "href"))  # noqa: S314 (made here)
    assert root.attrib["aria-label"] == 'a <b> & "c"'


def test_every_model_of_a_cmc_curve_is_named() -> None:
    svg = cmc_curve([1, 2], {"Visual encoder alone": [0.1, 0.2], "After finetuning": [0.4, 0.5]}, [0.1, 0.1], "CMC")
    assert all(name in svg for name in ("Visual encoder alone", "After finetuning", "Chance"))


@pytest.mark.parametrize("name", [r"a$\foo$", "a$b$c", r"a\$b", "_mine", "<b>&", "%s {0}"])
def test_a_name_is_shown_as_it_is(name: str) -> None:
    curves = {name: [0.1, 0.2], "other": [0.4, 0.5]}
    svg = cmc_curve([1, 2], curves, [0.1, 0.1], "CMC").replace("xlink:href", "href")
    texts = ["".join(part.itertext()).strip() for part in ElementTree.fromstring(svg).iter("text")]  # noqa: S314
    assert texts[-3:] == [name, "other", "Chance"]
    assert cmc_picture([1, 2], curves, [0.1, 0.1]).startswith(b"\x89PNG")
