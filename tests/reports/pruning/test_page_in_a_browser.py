"""The page in a real browser: no complaint, no request but for the page itself, and nothing wider than the window."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.reports.pruning.browser import CHROMIUM, browser_page
from tests.reports.pruning.facts import made_up_facts
from utils.reports import pruning_page, side_by_side

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")]


@pytest.fixture
def shown(tmp_path):
    """A tab, and the file of a page with everything in it."""
    image = np.full((120, 200, 3), 90, np.uint8)
    boxes = np.array([[10.0, 10, 60, 60, 0.9, 0]])
    path = tmp_path / "page.html"
    path.write_text(pruning_page(made_up_facts(convolutions=75), [side_by_side("a.jpg", image, boxes, boxes, ["cat"])]))
    with browser_page(tmp_path / "profile") as page:
        yield page, path


def test_the_browser_has_nothing_to_complain_about_and_nothing_to_fetch(shown):
    page, path = shown
    page.show(path, 1280)
    assert page.value("document.querySelectorAll('svg').length") == 6
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
