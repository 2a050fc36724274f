"""The page of a pruning: everything that was found is on it, nothing is fetched, and nobody's name writes into it."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from tests.reports.pruning.facts import made_up_facts
from tests.reports.pruning.parsed import ParsedPage
from utils.errors import EngineError
from utils.reports import pruning_page, side_by_side


def shots(names=("cat", "dog")):
    image = np.full((120, 200, 3), 90, np.uint8)
    boxes = np.array([[10.0, 10, 60, 60, 0.9, 0], [80, 20, 150, 90, 0.8, 1]])
    return [side_by_side("street.jpg", image, boxes, boxes[:1], names)]


def test_the_tables_hold_each_figure_before_and_after():
    costs = ParsedPage(pruning_page(made_up_facts())).sections["costs"]
    for words in ("mAP@0.5 0.8123 0.8101 -0.0022", "parameters 3.85 M 911.00 k -76.3 %", "4.123 1.310 -68.2 %",
                  ".weights file 15.41 MB 3.64 MB", "latency, median 40.1 ms 18.3 ms -54.4 %", "torch, 2 threads, 20 runs",
                  "channels that could go 50.0 % 48.0 %", "parameters 76.0 %"):
        assert words in costs


def test_widths_are_bars_in_the_networks_order_and_removed_blocks_are_marked():
    facts = made_up_facts()
    page = ParsedPage(pruning_page(facts))
    whole = [attrs for attrs in page.of_class("whole") if "height" in attrs]
    assert len(whole) == len(facts["summary"]["widths"])
    assert [float(bar["x"]) for bar in whole] == sorted(float(bar["x"]) for bar in whole)
    tall = max(float(bar["height"]) for bar in whole)
    widest = max(row["before"] for row in facts["summary"]["widths"])
    for bar, row in zip(whole, facts["summary"]["widths"], strict=True):
        assert float(bar["height"]) == pytest.approx(tall * row["before"] / widest, abs=0.06)
    assert len([attrs for attrs in page.of_class("band") if "x" in attrs]) == 2
    for words in ("residual block of layer 7: removed", "residual block of layer 12: removed",
                  "residual blocks removed whole: 2", "7 64 removed with its block"):
        assert words in page.sections["widths"]


def test_gammas_are_a_histogram_with_the_threshold_in_it():
    facts = made_up_facts()
    said = ParsedPage(pruning_page(facts)).sections["gammas"]
    assert "threshold 0.0123" in said
    assert "The largest that was removed: 0.0071." in said
    assert "The smallest that was kept: 0.021." in said
    counts = re.findall(r"\|gamma\| \S+ to \S+: (\d+) go, (\d+) stay", said)
    assert [sum(int(count[i]) for count in counts) for i in (0, 1)] == [
        sum(facts["gammas"]["removed"]), sum(facts["gammas"]["kept"])]


def test_the_sweep_is_four_curves_and_names_the_largest_cut_that_is_good_enough():
    page = ParsedPage(pruning_page(made_up_facts()))
    assert "The largest cut that loses at most 0.01 mAP@0.5: --global_percent 0.5" in page.sections["sweep"]
    assert len(page.of_class("curve")) == len(page.of_class("dot")) == 4
    for title in ("mAP@0.5", "GFLOPs", "parameters", "latency"):
        assert any((attrs.get("aria-label") or "").startswith(f"{title} against --global_percent") for _, attrs in page.tags)
    assert "uncut 0.8123" in page.sections["sweep"]
    assert "0.9 0.6660" in page.sections["sweep"]


def test_detections_stand_side_by_side_within_the_page():
    page = ParsedPage(pruning_page(made_up_facts(), shots()))
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert [image["alt"] for image in images] == ["street.jpg before: 1 cat, 1 dog", "street.jpg after: 1 cat"]
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in images)
    assert images[0]["src"] != images[1]["src"]


def test_the_verification_table_holds_every_engine_and_the_command_is_there_word_for_word():
    facts = made_up_facts()
    facts["command_line"] = "python slim_prune.py --cfg 'cfg/my net.cfg' --percent 0.5"
    page = ParsedPage(pruning_page(facts))
    assert "OpenCV verified layer 23 12.5 1.0e-06 8.0e-08 1.6e-06" in page.sections["verification"]
    assert "Darknet cannot run: there is no darknet executable" in page.sections["verification"]
    assert "python slim_prune.py --cfg 'cfg/my net.cfg' --percent 0.5" in page.sections["command"]


def test_a_failed_verification_is_not_called_verified():
    facts = made_up_facts()
    facts["verification"] |= {"status": "not verified", "reason": "no engine could run it"}
    page = ParsedPage(pruning_page(facts))
    assert "Not verified : no engine could run it." in page.sections["verification"]
    assert not page.of_class("good")


def test_nothing_on_the_page_is_fetched():
    text = pruning_page(made_up_facts(), shots())
    page = ParsedPage(text)
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "a", "form", "video", "audio"}
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "xlink:href", "action", "poster", "background"):
            assert (attrs.get(name) or "data:").startswith("data:"), (tag, attrs)
        assert not [name for name in attrs if name.startswith("on")]
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert "url(" not in text
    assert "@import" not in text
    (policy,) = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_names_cannot_write_into_the_page():
    facts, evil = made_up_facts(), "<script>alert(1)</script>\"'&"
    facts["before"]["cfg"] = facts["after"]["cfg"] = f"{evil}.cfg"
    facts["after"]["weights"] = evil
    facts["command_line"] = "python slim_prune.py --cfg '<script>alert(1)</script>.cfg'"
    facts["parameters"]["note"] = facts["strategy"] = facts["fold"]["name"] = evil
    facts["verification"]["engines"][1] |= {"title": evil, "reason": evil}
    facts["sweep"]["flag"] = facts["version"] = evil
    image = np.zeros((40, 40, 3), np.uint8)
    found = np.array([[1.0, 1, 30, 30, 0.9, 0]])
    text = pruning_page(facts, [side_by_side(f"{evil}.jpg", image, found, found, [evil])])
    page = ParsedPage(text)
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script" not in text
    assert all(set(attrs) <= {"src", "width", "height", "alt"} for tag, attrs in page.tags if tag == "img")
    assert f"1 {evil}" in page.sections["pictures"]


@pytest.mark.parametrize("missing", ["sweep", "blocks", "metrics", "verification", "threshold", "gammas", "latency"])
def test_what_was_not_measured_is_left_out(missing):
    facts = made_up_facts(sweep=missing != "sweep", blocks=missing != "blocks")
    match missing:
        case "metrics":
            for side in (facts["before"], facts["after"], facts["sweep"]["uncut"], *facts["sweep"]["points"]):
                side["map50"] = side["map"] = None
            facts["sweep"] |= {"max_drop": None, "largest_within": None, "knee": None}
        case "verification":
            facts["verification"] = None
        case "threshold":
            facts["gammas"]["threshold"] = None
        case "gammas":
            facts["gammas"] |= {"kept": [0, 0], "removed": [0, 0], "edges": [0.1, 1.0, 2.0], "threshold": None,
                                "smallest_kept": None, "largest_removed": None}
        case "latency":
            for side in (facts["before"], facts["after"], facts["sweep"]["uncut"], *facts["sweep"]["points"]):
                side["latency_ms"] = side["latency_p95_ms"] = None
    page = ParsedPage(pruning_page(facts))
    said = " ".join(page.sections.values())
    assert "pictures" not in page.sections  # none were given
    assert ("sweep" in page.sections) == (missing != "sweep")
    assert ("gammas" in page.sections) == (missing != "gammas")
    assert ("blocks removed" in said) == (missing != "blocks")
    assert ("mAP" in said) == (missing != "metrics")
    assert ("told --no-verify" in said) == (missing == "verification")
    assert ("threshold 0.0123" in said) == (missing not in ("threshold", "gammas"))
    assert ("latency" in said) == (missing != "latency")
    assert "None" not in said
    assert "nan" not in said.split()


def test_constants_that_are_not_exact_are_told():
    facts = made_up_facts()
    assert "Approximate" not in ParsedPage(pruning_page(facts)).sections["widths"]
    facts["fold"] = {"name": "beta", "approximate_layers": [3, 9], "adders": []}
    assert "Approximate in 2 layers that read what was removed" in ParsedPage(pruning_page(facts)).sections["widths"]
    facts["fold"] = {"name": "exact", "approximate_layers": [], "adders": [13]}
    assert "adds the constant that nothing else could carry: 13" in ParsedPage(pruning_page(facts)).sections["widths"]
    facts["fold"] = {"name": "none", "approximate_layers": [], "adders": []}
    assert "is dropped, as --fold none asked" in ParsedPage(pruning_page(facts)).sections["widths"]


def test_without_jinja2_a_user_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(EngineError, match='pip install "jinja2"'):
        pruning_page(made_up_facts())
