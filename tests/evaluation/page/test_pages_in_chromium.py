"""The report in a real browser: it asks for nothing, complains of nothing, shows its pictures, and fits a phone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from evaluation.page.comparison_page import render
from evaluation.page.html import write_check
from evaluation.report import Inputs, ReportSettings, run
from evaluation.results.comparison import compare, over_seeds
from evaluation.results.files import read_result
from tests.browser import Page, browser, chromium
from tests.evaluation.small_report import small_check
from tests.evaluation.small_results import evaluated

PHONE, DESKTOP = (390, 844), (1280, 900)
TALLEST = 4000  # pixels of a kept picture
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
EMPTY_PICTURES = "[...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).length"
TOO_WIDE = """[...document.querySelectorAll("body *")]
  .filter(e => e.matches(".scroll") || !e.closest(".scroll"))
  .filter(e => e.getBoundingClientRect().right > WIDTH + 1)
  .map(e => e.outerHTML.slice(0, 120))"""
ASTRAY = """[...document.querySelectorAll("td *, .track *")].filter(e => {
  const own = e.getBoundingClientRect(), cell = e.closest("td, .track").getBoundingClientRect();
  return own.width && (own.top < cell.top - 5 || own.bottom > cell.bottom + 5);
}).map(e => e.outerHTML.slice(0, 120))"""

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser") / "chromium") as tab:
        yield tab


@pytest.fixture
def report(make_inputs: Callable[..., Inputs], tmp_path: Path) -> Path:
    run(make_inputs(unreadable=("a/very/long/name/of/a/frame" * 8 + ".jpg",)), ReportSettings(), tmp_path)
    return tmp_path / "report.html"


def look(page: Page, file: Path, size: tuple[int, int], name: str, *, dark: bool = False) -> str:
    """Open a page, check what must hold of every page at every size, keep its picture; gives its background."""
    page.requested.clear()
    page.complaints.clear()
    page.open(file, *size, dark=dark, phone=size == PHONE)
    assert set(page.requested) <= {file.as_uri(), "data:image/jpeg;base64"}, "nothing but itself"
    assert page.requested[0] == file.as_uri()
    assert page.complaints == []
    assert page.evaluate(EMPTY_PICTURES) == 0
    assert page.evaluate("innerWidth") == size[0]
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate(TOO_WIDE.replace("WIDTH", str(size[0]))) == []
    assert page.evaluate(ASTRAY) == []
    page.screenshot(file.parent / f"{name}.png", height=TALLEST)
    picture = cv2.imread(str(file.parent / f"{name}.png"))
    assert picture.shape[1] == size[0] * (2 if size == PHONE else 1)
    assert len({tuple(colour) for colour in picture[::40, ::20].reshape(-1, 3).tolist()}) > 10, "something is drawn"
    return page.evaluate(BACKGROUND)


def test_the_report_opens_from_disk_alone_and_fits_a_phone_in_light_and_dark(page: Page, report: Path) -> None:
    light = {look(page, report, PHONE, "phone"), look(page, report, DESKTOP, "desktop")}
    dark = {
        look(page, report, PHONE, "phone-dark", dark=True),
        look(page, report, DESKTOP, "desktop-dark", dark=True),
    }
    assert page.evaluate("document.images.length") > 10
    assert len(light) == len(dark) == 1
    assert light != dark


def test_text_can_be_read_on_its_ground_in_light_and_dark(page: Page, report: Path) -> None:
    for dark in (False, True):
        page.open(report, *DESKTOP, dark=dark)
        ink = page.evaluate("getComputedStyle(document.body).color")
        ground = page.evaluate(BACKGROUND)
        assert contrast(ink, ground) > 7
        quiet = page.evaluate("getComputedStyle(document.querySelector('.note')).color")
        assert contrast(quiet, ground) > 4.5
        for cell in page.evaluate(
            "[...document.querySelectorAll('.heat td')].map(e => getComputedStyle(e).backgroundColor)"
        ):
            assert contrast(ink, cell, ground) > 4.5


def test_the_check_of_a_data_set_opens_from_disk_alone_and_fits_a_phone(page: Page, tmp_path: Path) -> None:
    write_check(small_check("a problem", "frames/" + "long" * 40 + ".jpg"), "Data set", tmp_path / "check.html")
    look(page, tmp_path / "check.html", PHONE, "check")


def test_a_comparison_opens_from_disk_alone_and_fits_a_phone(page: Page, tmp_path: Path) -> None:
    results = [read_result(evaluated(tmp_path / name, noise), name) for name, noise in (("old", 2.0), ("new", 0.5))]
    found = compare(results)
    seeds = [{"results": ["old", "new"], "metrics": over_seeds(found["results"])}]
    settings = {"a.setting.of.some.length": ["a value of some length", None]}
    text = render(found, {"old": "an old one", "new": "a new one"}, settings, seeds, results[0].metrics)
    (tmp_path / "compare.html").write_text(text)
    look(page, tmp_path / "compare.html", PHONE, "compare-phone")
    look(page, tmp_path / "compare.html", DESKTOP, "compare", dark=True)
    assert page.evaluate("document.querySelectorAll('td svg').length") >= len(found["metrics"])


def test_a_page_that_asks_for_something_or_is_too_wide_would_be_found(page: Page, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    wide = "<meta name=viewport content='width=device-width'><p style='width:600px'>wide</p>"
    stray = "<table><td>0<i style='position: absolute; top: 500px'>1</i></table>"
    bad.write_text(f"{wide}{stray}<img src='http://example.org/picture.png'><script>missing()</script>")
    page.requested.clear()
    page.complaints.clear()
    page.open(bad, *PHONE, phone=True)
    assert "http://example.org/picture.png" in page.requested
    assert any("missing is not defined" in told for told in page.complaints)
    assert page.evaluate(EMPTY_PICTURES) == 1
    assert len(page.evaluate(TOO_WIDE.replace("WIDTH", str(PHONE[0])))) == 1
    assert len(page.evaluate(ASTRAY)) == 1


def contrast(ink: str, ground: str, below: str = "rgb(0, 0, 0)") -> float:
    """WCAG's contrast of two CSS colours; where the ground lets something through, on what is below it."""
    (red, green, blue, alpha), under = colour(ground), colour(below)
    mixed = tuple(alpha * c + (1 - alpha) * u for c, u in zip((red, green, blue), under, strict=False))
    high, low = sorted((luminance(colour(ink)), luminance(mixed)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def colour(css: str) -> tuple[float, ...]:
    """Red, green, blue and opacity, 0 to 1, of `rgb(1, 2, 3)` or `rgba(1, 2, 3, 0.5)`."""
    red, green, blue, *alpha = (float(value) for value in css[css.index("(") + 1 : -1].split(","))
    return red / 255, green / 255, blue / 255, *(alpha or [1.0])


def luminance(rgb: tuple[float, ...]) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
