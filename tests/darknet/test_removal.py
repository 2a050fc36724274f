"""Layers cut out of a cfg: what is read is what was read, in the style in which it was written, and no other byte moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generators import networks
from utils.darknet import IMAGE, SECTIONS, Network, parse_network, without_layers
from utils.darknet.removal import REFERENCES
from utils.errors import CfgError

NET = "[net]\nwidth=16\nheight=16\nchannels=4\n"
CONV = "[convolutional]\nfilters=4\nactivation=linear\n"
HEAD = "[convolutional]\nfilters=6\nactivation=linear\n[yolo]\nmask=0\nanchors=5,5\nclasses=1\nnum=1\n"
PASSING = ("dropout", "empty", "activation", "batchnorm", "maxpool", "local_avgpool")

COMMENTED = b"""\
# about the file\r
[net]\r
width=16\r
height=16\r
channels=4\r
\r
[convolutional]\r
filters = 4\r
# filters=8 was tried\r
activation=linear\r
# touches the layer above\r
\r
# stands alone above the dropout\r
\r
# touches the dropout
[dropout]
probability=.2
# touches the dropout's options

# stands alone above the route

[route]
\tlayers = 0 ,-1,  - 2 ; three
# between two sections
[empty]
[convolutional]
filters=4
activation=linear
[shortcut]
from= -2 # the empty one, or what stood before it
activation=linear"""


def test_only_the_sections_and_the_references_change():
    network = parse_network(COMMENTED)
    assert [layer.inputs for layer in network.layers] == [(-1,), (0,), (0, 1, 0), (2,), (3,), (4, 3)]
    # 4 channels in the last convolution, 12 in what it is added to: Darknet adds those that both have
    after = without_layers(network, {1: 0, 3: 2})
    assert [layer.inputs for layer in after.layers] == [(-1,), (0, 0, 0), (1,), (2, 1)]
    expected = COMMENTED
    for gone in (b"# stands alone above the dropout\r\n\r\n# touches the dropout\n[dropout]\nprobability=.2\n"
                 b"# touches the dropout's options\n\n", b"# between two sections\n[empty]\n"):
        assert gone in expected
        expected = expected.replace(gone, b"")
    expected = expected.replace(b"0 ,-1,  - 2 ; three", b"0 ,-1,  -1 ; three")
    assert after.document.to_bytes() == expected


def test_a_list_keeps_its_blanks_and_what_need_not_change_is_not_touched():
    text = NET + CONV + "[dropout]\n" + CONV + "[route]\nlayers= -1 ,+0,\t 2.0 , - 3\n" + HEAD
    after = without_layers(parse_network(text), {1: 0})
    assert after.document.to_bytes().decode() == (text.replace("[dropout]\n", "")
                                                  .replace("layers= -1 ,+0,\t 2.0 , - 3", "layers= -1 ,+0,\t 1.0 , -2"))


def test_the_last_section_goes_with_everything_below_it():
    text = NET + CONV + "# kept?\n\n# above\n[dropout]\n\n# the end\n"
    after = without_layers(parse_network(text), {1: 0})
    assert after.document.to_bytes().decode() == NET + CONV + "# kept?\n\n"


def test_nothing_to_remove_changes_nothing():
    network = parse_network(NET + CONV + HEAD)
    assert without_layers(network, {}) is network


def test_a_chain_of_stand_ins_ends_at_a_layer_that_stays():
    network = parse_network(NET + CONV + "[dropout]\n" * 3 + CONV + "[route]\nlayers=3,-2,1\n" + HEAD)
    after = without_layers(network, {3: 2, 2: 1, 1: 0})
    assert after.document.sections[3].get("layers") == "0,-2,0"
    assert after.layers[2].inputs == (0, 0, 0)


def test_shared_weights_are_those_of_the_same_layer():
    text = (NET + CONV + "[dropout]\n" + CONV + CONV.replace("filters", "share_index=2\nfilters") + "[dropout]\n"
            + CONV.replace("filters", "share_index=-2\nfilters") + HEAD)
    network = parse_network(text)
    assert [network.layers[index].options.share_index for index in (3, 5)] == [2, 2]
    after = without_layers(network, {1: 0, 4: 3})
    assert [after.layers[index].options.share_index for index in (2, 3)] == [1, 1]
    assert [after.document.sections[number].get("share_index") for number in (3, 4)] == ["1", "-1"]
    # layer 5 names layer 3, which goes but owned nothing
    after = without_layers(network, {3: 2, 4: 2})
    assert after.layers[3].options.share_index == 2
    assert after.document.sections[4].get("share_index") == "-1"


def test_a_head_keeps_the_layer_of_its_embeddings():
    text = NET + CONV + "[dropout]\n" + CONV + HEAD
    for written, expected in (("-2", "-2"), ("-4", "-3"), ("2", "1"), ("0", "0"), ("999999", "999999"), ("9" * 5000,) * 2):
        network = parse_network(text + f"embedding_layer={written}\n")
        assert without_layers(network, {1: 0}).document.sections[-1].get("embedding_layer") == expected


@pytest.mark.parametrize(("body", "stand_ins", "message"), [
    ("", {9: 0}, "my.cfg: has 6 layers, so layer 9 cannot be removed"),
    ("", {1: 1}, r"my.cfg:8: layer 1 cannot stand in for layer 1; name an earlier layer"),
    ("", {1: 2}, r"my.cfg:8: layer 2 cannot stand in for layer 1"),
    ("", {1: IMAGE}, r"my.cfg:8: layer -1 cannot stand in for layer 1"),
    ("", {1: None}, r"my.cfg:9: layer 2 reads layer 1, which would go without a stand-in"),
    ("", {0: None}, r"my.cfg:8: layer 1 reads layer 0, which would go without a stand-in"),
    ("[route]\nlayers=1\n", {3: 1}, r"my.cfg:14: layer 4 reads the layer before it, which would be layer 2 instead of 1"),
    ("[shortcut]\nfrom=-2\n", {1: None, 2: None}, r"my.cfg:12: layer 3 reads layer 2, which would go without a stand-in"),
    ("[shortcut]\nfrom=-2\n", {2: 0}, r"my.cfg:12: layer 3 reads the layer before it, which would be layer 1 instead of 0"),
    ("[convolutional]\nshare_index=2\nfilters=4\n", {2: 1}, r"my.cfg:12: layer 3 shares the weights of layer 2, which would"),
    ("", dict.fromkeys(range(6)), "my.cfg: has no layers below"),
])
def test_what_cannot_be_done_is_refused_with_the_line(body, stand_ins, message):
    text = NET + CONV + "[dropout]\n" + CONV + body + (HEAD if body else CONV + HEAD)
    network = parse_network(text, "my.cfg")
    with pytest.raises(CfgError, match=message):
        without_layers(network, stand_ins)


def test_a_stand_in_of_another_shape_is_a_cfg_error_with_its_line():
    network = parse_network(NET + CONV + CONV.replace("4", "6") + "[yolo]\nmask=0\nclasses=1\n", "my.cfg")
    with pytest.raises(CfgError, match=r"my\.cfg:8: \[yolo\] \(layer 1\) reads 4 channels"):
        without_layers(network, {1: 0})


def test_every_kind_that_names_layers_is_in_the_table():
    naming = {"from", "layers", "share_index", "embedding_layer"}
    named = {kind: key for kind, section in SECTIONS.items() for key in section.keys & naming}
    assert named.items() <= REFERENCES.items()
    assert set(named.values()) == naming


def references(network: Network, index: int) -> list[int] | None:
    """The numbers that a layer writes, as text has them."""
    key = REFERENCES.get(network.layers[index].kind)
    text = None if key is None else network.document.sections[index + 1].get(key)
    return None if text is None else [int(item) for item in text.split(",")]


def restyled(network: Network, styles: list[bool]) -> Network:
    """The same network with each reference written as an absolute or a negative number."""
    changes = {}
    for layer in network.layers:
        written = references(network, layer.index)
        if written is not None:
            absolute = [value if value >= 0 else layer.index + value for value in written]
            shown = [t if styles[(layer.index + n) % len(styles)] else t - layer.index for n, t in enumerate(absolute)]
            changes[layer.index] = {REFERENCES[layer.kind]: ",".join(map(str, shown))}
    return network.with_options(changes)


@given(networks(), st.data())
def test_what_stays_reads_what_it_read_in_the_style_in_which_it_was_written(network, data):
    network = restyled(network, data.draw(st.lists(st.booleans(), min_size=1, max_size=7)))
    candidates = [layer.index for layer in network.layers
                  if layer.kind in PASSING and layer.inputs != (IMAGE,) and layer.shape == layer.input_shapes[0]]
    gone = data.draw(st.sets(st.sampled_from(candidates))) if candidates else set()
    try:
        after = without_layers(network, {index: index - 1 for index in gone})
    except CfgError as error:
        if "Darknet reads past its end" not in error.problem:
            raise
        return  # a shortcut whose narrower source now has another input
    kept = [layer for layer in network.layers if layer.index not in gone]
    assert len(after.layers) == len(kept)
    for place, (old, new) in enumerate(zip(kept, after.layers, strict=True)):
        reads = []
        for source in old.inputs:
            while source in gone:
                source -= 1
            reads.append(source if source == IMAGE else [layer.index for layer in kept].index(source))
        assert new.inputs == tuple(reads)
        assert (new.kind, new.shape) == (old.kind, old.shape)
        before, now = references(network, old.index), references(after, place)
        assert [value < 0 for value in before or ()] == [value < 0 for value in now or ()]
    assert rest(after, set()) == rest(network, gone)


def rest(network: Network, gone: set[int]) -> list[tuple[str, ...]]:
    """The lines of the sections that stay, without those that name layers."""
    sections = network.document.sections
    ends = [section.line for section in sections[1:]] + [len(network.document.lines) + 1]
    return [tuple(line for line in network.document.lines[section.line - 1:end - 1]
                  if line.split("=")[0] not in ("from", "layers"))
            for number, (section, end) in enumerate(zip(sections, ends, strict=True)) if number - 1 not in gone]
