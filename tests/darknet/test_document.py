"""A cfg survives reading and writing byte for byte, and an edit changes only what it edits."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shared import SHARED, needs_shared, recorded_tool
from utils.darknet import CfgDocument, parse_network
from utils.errors import CfgError

CFGS = sorted(SHARED.glob("darknet/*/*.cfg")) + sorted(SHARED.glob("weights/*/model.cfg"))

BLANKS = st.text(" \t", max_size=3)
WORDS = st.from_regex(r"[A-Za-z0-9_.,\-]{1,8}", fullmatch=True)
ENDS = st.sampled_from(["\n", "\r\n"])
COMMENTS = st.builds(lambda mark, text: mark + text, st.sampled_from("#;"),
                     st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=12))


@st.composite
def option_lines(draw) -> str:
    return "".join((draw(BLANKS), draw(WORDS), draw(BLANKS), "=", draw(BLANKS), draw(WORDS), draw(BLANKS)))


@st.composite
def cfg_texts(draw) -> str:
    lines = [draw(BLANKS) + "[net]"]
    lines += draw(st.lists(st.one_of(option_lines(), COMMENTS, BLANKS, WORDS.map("[{}]".format)), max_size=20))
    text = "".join(line + draw(ENDS) for line in lines)
    return text if draw(st.booleans()) else text.rstrip("\r\n")


@given(cfg_texts())
def test_reading_and_writing_gives_back_every_byte(text):
    raw = text.encode("utf-8")
    assert CfgDocument.parse(raw).to_bytes() == raw


@given(st.binary(max_size=60))
def test_any_bytes_either_come_back_or_are_refused(tail):
    raw = b"[net]\n" + tail
    assert CfgDocument.parse(raw).to_bytes() == raw


@given(cfg_texts(), st.data())
def test_an_edit_changes_one_value_and_nothing_else(text, data):
    before = CfgDocument.parse(text)
    places = [(n, key) for n, section in enumerate(before.sections) for key in section.by_key]
    if not places:
        return
    number, key = data.draw(st.sampled_from(places))
    after = before.edited({number: {key: "NEW"}})
    line = before.sections[number].by_key[key].line
    changed = [n for n, (a, b) in enumerate(zip(before.lines, after.lines, strict=True), start=1) if a != b]
    assert changed in ([line], [])
    assert after.sections[number].get(key) == "NEW"
    others = [(n, k) for n, k in places if (n, k) != (number, key)]
    assert all(after.sections[n].get(k) == before.sections[n].get(k) for n, k in others)


def test_an_edit_keeps_spacing_comment_and_line_end():
    text = b"[net]\r\nwidth = 32 # trailing words\r\n\tfilters\t=  8;eight\r\n"
    after = CfgDocument.parse(text).edited({0: {"width": "64", "filters": "5"}})
    assert after.to_bytes() == b"[net]\r\nwidth = 64 # trailing words\r\n\tfilters\t=  5;eight\r\n"


def test_a_new_option_goes_below_the_last_one_in_the_dialect_of_its_section():
    spaced = CfgDocument.parse(b"[net]\r\nwidth = 32\r\n# end\r\n[conv]\r\nsize=3")
    after = spaced.edited({0: {"letter_box": "1"}, 1: {"groups": "4"}})
    assert after.to_bytes() == b"[net]\r\nwidth = 32\r\nletter_box = 1\r\n# end\r\n[conv]\r\nsize=3\ngroups=4\n"


def test_another_section_in_the_place_of_one_leaves_all_other_lines():
    before = "[net]\nwidth = 4\n\n# a sum\n[shortcut]\nfrom = -3\n; of two\nactivation=linear\n\n"
    after = "[yolo]\n"
    document = CfgDocument.parse(before + after).with_section(1, "dropout", {"probability": ".5", "cost": "1"})
    assert document.to_bytes().decode() == (
        "[net]\nwidth = 4\n\n# a sum\n[dropout]\nprobability=.5\ncost=1\n\n" + after)
    assert [section.name for section in document.sections] == ["net", "dropout", "yolo"]
    assert CfgDocument.parse("[net]\r\n[a]").with_section(1, "b", {"c": "1"}).to_bytes() == b"[net]\r\n[b]\nc=1\n"


def test_darknet_reads_the_first_of_a_repeated_key_and_no_blanks():
    document = CfgDocument.parse("[ net ]\nwid th = 3 2\nwidth=99\n")
    assert document.sections[0].name == "net"
    assert document.sections[0].get("width") == "32"


def test_a_byte_order_mark_is_read_over_and_kept():
    raw = b"\xef\xbb\xbf[net]\nwidth=32\n"
    document = CfgDocument.parse(raw)
    assert document.sections[0].name == "net"
    assert document.to_bytes() == raw


def test_a_line_that_is_no_option_is_told(caplog):
    with caplog.at_level(logging.WARNING):
        CfgDocument.parse("[net]\nwidth=32\nstray words\n", "my.cfg")
    assert "my.cfg:3: 'straywords' is neither an option nor a comment" in caplog.text


def test_an_option_before_the_first_section_is_refused():
    with pytest.raises(CfgError, match=r"my\.cfg:1: 'width=3' stands before the first section"):
        CfgDocument.parse("width=3\n[net]\n", "my.cfg")


def test_unknown_options_can_be_commented_out_for_engines_that_abort_on_them():
    text = "[net]\nwidth=32\nheight=32\nchannels=3\nmax_epochs=300\n[conv]\nfilters=2\nmy_note = 1\n"
    network = parse_network(text).portable()
    assert network.document.to_bytes().decode() == (
        "[net]\nwidth=32\nheight=32\nchannels=3\n# max_epochs=300\n[conv]\nfilters=2\n# my_note = 1\n")
    assert not network.unknown_options
    assert network.portable() is network


@needs_shared
@pytest.mark.parametrize("path", CFGS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_real_cfgs_come_back_and_read_as_an_independent_reader_reads_them(path):
    raw = path.read_bytes()
    document = CfgDocument.parse(raw)
    assert document.to_bytes() == raw
    ours = [(s.name, {k: o.value for k, o in s.by_key.items()}) for s in document.sections]
    assert ours == recorded_tool("gen").read_cfg(path)
