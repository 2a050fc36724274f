"""Both pages in a real browser: no complaint, no request but for the page itself, and nothing wider than the window."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.reports.browser import CHROMIUM, browser_page
from tests.reports.pruning.facts import made_up_facts
from utils.reports import Look, comparison_page, draw_networks, pruning_page, shot, side_by_side

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")]


IMAGE = np.full((120, 200, 3), 90, np.uint8)
BOXES = np.array([[10.0, 10, 60, 60, 0.9, 0]])


def pruning(folder: Path) -> str:
    """A page with everything in it."""
    return pruning_page(made_up_facts(convolutions=75), [side_by_side("a.jpg", IMAGE, BOXES, BOXES, ["cat"])])


def comparison(folder: Path) -> str:
    """A page of twelve networks and three images, as the quickstart writes it."""
    rows = {f"network number {number}": {"map50": 0.5 + number / 40, "map": 0.4, "parameters": 8_000_000 // (number + 1), "gflops": 1.5,
                                         "weights_bytes": 32_000_000, "verified": "verified"} for number in range(12)}
    files = {name: (Path("some/folder/my.cfg"), Path("some/folder/last.weights")) for name in rows}
    draw_networks(rows, {}, folder / "all.png")
    looks = [Look(f"{one}.jpg", dict.fromkeys(rows, shot(IMAGE, BOXES, ["cat"]))) for one in "abc"]
    return comparison_page(rows, files, (folder / "all.png").read_bytes(), looks, measured="one thread",
                           command_line="python compare.py", version="Bonsai 1")


@pytest.fixture(params=[pruning, comparison], ids=lambda made: made.__name__)
def shown(tmp_path, request):
    """A tab, and the file of a page."""
    path = tmp_path / "page.html"
    path.write_text(request.param(tmp_path))
    with browser_page(tmp_path / "profile") as page:
        yield page, path


def test_the_browser_has_nothing_to_complain_about_and_nothing_to_fetch(shown):
    page, path = shown
    page.show(path, 1280)
    assert page.value("document.querySelectorAll('svg, img').length") >= 7
    assert page.value("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    page.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.complaints == []
    assert page.requests == [path.as_uri()]


def test_the_test_would_hear_of_a_complaint_and_of_a_request(shown):
    page, path = shown
    path.write_text('<img src="http://localhost:9/x.png"><script>console.error("no")</script>')
    page.show(path, 1280)
    assert page.requests[1] == "http://localhost:9/x.png"
    assert any("no" in complaint for complaint in page.complaints)
    assert any("ERR_" in complaint for complaint in page.complaints)


@pytest.mark.parametrize("width", [1280, 420, 320])
def test_only_charts_and_tables_scroll_sideways(shown, width):
    page, path = shown
    page.show(path, width)
    assert page.value("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_colour_scheme(shown, scheme):
    page, path = shown
    page.show(path, 800, scheme=scheme)
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert (np.median(picture) > 128) == (scheme == "light")
