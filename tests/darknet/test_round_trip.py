"""Whatever network is generated: its cfg and weights come back from disk byte for byte."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generators import networks, random_weights
from utils.darknet import Header, Weights, parse_network, read_network, read_weights, write_cfg, write_weights

HEADERS = st.builds(Header, major=st.just(0), minor=st.integers(0, 9), revision=st.integers(0, 9),
                    seen=st.integers(0, 2**32 - 1))


@settings(max_examples=60)
@given(networks(), st.integers(0, 1000), HEADERS)
def test_a_generated_pair_comes_back_byte_for_byte(network, seed, header):
    arrays = random_weights(network, seed)
    weights = Weights(header, arrays.layers, arrays.held)
    with tempfile.TemporaryDirectory() as folder:
        cfg, first, second = (Path(folder, name) for name in ("a.cfg", "a.weights", "b.weights"))
        write_cfg(cfg, network)
        write_weights(first, network, weights)
        read = read_network(cfg)
        assert read.fingerprint == network.fingerprint
        assert cfg.read_bytes() == network.document.to_bytes()
        assert first.stat().st_size == len(header.to_bytes()) + 4 * network.parameters
        again = read_weights(first, read)
        assert again.header == header
        write_weights(second, read, again)
        assert second.read_bytes() == first.read_bytes()


@settings(max_examples=60)
@given(networks(), st.sampled_from([64, 128, 192]), st.sampled_from([64, 128, 192]))
def test_resizing_there_and_back_changes_no_byte(network, height, width):
    before = network.net
    back = network.resized(height, width).resized(before.height, before.width)
    assert back.document.to_bytes() == network.resized(before.height, before.width).document.to_bytes()
    assert parse_network(back.document.to_bytes()).fingerprint == network.fingerprint
