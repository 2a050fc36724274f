"""`.weights` files: literal bytes, byte-exact round trips, prefixes, and errors that say which layer starves."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.shared import SHARED, needs_shared
from utils.darknet import Header, initial_weights, parse_network, read_network, read_weights, write_weights
from utils.errors import OutputError, WeightsError

NET = "[net]\nwidth=8\nheight=8\nchannels=2\n"
BN = "[convolutional]\nbatch_normalize=1\nfilters=2\nsize=1\nactivation=linear\n"
BIAS = "[convolutional]\nfilters=1\nsize=1\nactivation=linear\n"
PAIRS = sorted(SHARED.glob("weights/*/model.cfg"))


@pytest.fixture
def network():
    return parse_network(NET + BN + "[maxpool]\nsize=2\nstride=2\n" + BIAS + "[dropout]\n", "my.cfg")


def literal(header: str = "00000000 02000000 05000000 4000000000000000") -> bytes:
    """beta, gamma, mean, var and kernel of the first convolution, bias and kernel of the second."""
    return bytes.fromhex(header) + struct.pack("<15f", *range(1, 16))


def test_arrays_are_read_in_darknets_order(network, tmp_path):
    (tmp_path / "a.weights").write_bytes(literal())
    weights = read_weights(tmp_path / "a.weights", network)
    assert weights.header == Header(0, 2, 5, seen=64)
    assert weights.is_whole
    first, _, second, _ = weights.layers
    assert {name: array.ravel().tolist() for name, array in first.items()} == {
        "beta": [1, 2], "gamma": [3, 4], "mean": [5, 6], "var": [7, 8], "weight": [9, 10, 11, 12]}
    assert {name: array.ravel().tolist() for name, array in second.items()} == {"bias": [13], "weight": [14, 15]}


@pytest.mark.parametrize(("header", "expected"), [
    ("00000000 02000000 05000000 4000000000000000", Header(0, 2, 5, 64)),
    ("00000000 01000000 00000000 40000000", Header(0, 1, 0, 64)),
    ("01000000 00000000 00000000 4000000001000000", Header(1, 0, 0, 64 + 2**32)),
])
def test_both_header_versions_come_back_byte_for_byte(network, tmp_path, header, expected):
    raw = literal(header)
    (tmp_path / "a.weights").write_bytes(raw)
    weights = read_weights(tmp_path / "a.weights", network)
    assert weights.header == expected
    write_weights(tmp_path / "b.weights", network, weights)
    assert (tmp_path / "b.weights").read_bytes() == raw


def test_seen_is_written_as_asked(network, tmp_path):
    write_weights(tmp_path / "a.weights", network, initial_weights(network), seen=12345)
    assert read_weights(tmp_path / "a.weights", network).header.seen == 12345


def test_more_images_than_the_old_header_can_count_make_it_a_new_one(network, tmp_path):
    (tmp_path / "a.weights").write_bytes(literal("00000000 01000000 00000000 40000000"))
    old = read_weights(tmp_path / "a.weights", network)
    write_weights(tmp_path / "b.weights", network, old, seen=2**32)
    assert read_weights(tmp_path / "b.weights", network).header == Header(0, 2, 0, 2**32)


@needs_shared
@pytest.mark.parametrize("cfg", PAIRS, ids=lambda p: p.parent.name)
def test_real_pairs_come_back_byte_for_byte(cfg, tmp_path):
    network = read_network(cfg)
    weights = read_weights(cfg.with_suffix(".weights"), network)
    write_weights(tmp_path / "copy.weights", network, weights)
    assert (tmp_path / "copy.weights").read_bytes() == cfg.with_suffix(".weights").read_bytes()


@needs_shared
@pytest.mark.parametrize("cfg", PAIRS, ids=lambda p: p.parent.name)
def test_a_real_file_cut_at_a_layer_border_is_a_backbone(cfg, tmp_path):
    network = read_network(cfg)
    borders = [layer.index + 1 for layer in network.layers if layer.stored]
    held = borders[len(borders) // 2]
    floats = sum(layer.parameters for layer in network.layers[:held])
    path = tmp_path / "backbone.conv"
    path.write_bytes(cfg.with_suffix(".weights").read_bytes()[: 20 + 4 * floats])
    weights = read_weights(path, network, allow_prefix=True)
    assert weights.held == held
    assert not any(weights.layers[held:])
    with pytest.raises(WeightsError, match=f"holds layers 0 to {held - 1} of {len(network.layers)} only"):
        read_weights(path, network)


@needs_shared
def test_a_real_backbone_of_another_cfg_starves_a_layer():
    network = read_network(SHARED / "weights" / "mbv2-yolo-fastest-voc-v0" / "model.cfg")
    with pytest.raises(WeightsError, match=r"ends too early: layer \d+ \(\[convolutional\].*other classes or another cfg"):
        read_weights(SHARED / "weights" / "mbv2-yolo-fastest.conv.57", network, allow_prefix=True)


def test_a_prefix_is_known_by_where_it_ends_not_by_its_name(network, tmp_path):
    path = tmp_path / "whatever.bin"
    path.write_bytes(literal()[: 20 + 4 * 12])
    weights = read_weights(path, network, allow_prefix=True)
    assert weights.held == 1
    assert not weights.is_whole
    assert weights.layers[2] == {}


def test_a_cutoff_reads_the_first_layers_and_does_not_mind_the_rest(network, tmp_path):
    (tmp_path / "long.weights").write_bytes(literal() + b"more that belongs to other classes..")
    weights = read_weights(tmp_path / "long.weights", network, cutoff=2)
    assert weights.held == 2
    assert weights.layers[0]["beta"].tolist() == [1, 2]
    assert weights.layers[2:] == ({}, {})
    assert read_weights(tmp_path / "long.weights", network, cutoff=0).held == 0
    with pytest.raises(WeightsError, match="ends too early"):
        read_weights(write(tmp_path / "short.weights", literal()[:40]), network, cutoff=1)


def write(path, raw: bytes):
    path.write_bytes(raw)
    return path


def test_flipped_kernels_are_stored_transposed(tmp_path):
    plain, flipped = (parse_network(NET + BIAS.replace("filters=1", "filters=3") + extra) for extra in ("", "flipped=1\n"))
    weights = initial_weights(plain, seed=3)
    write_weights(tmp_path / "plain.weights", plain, weights)
    write_weights(tmp_path / "flipped.weights", flipped, weights)
    stored = np.fromfile(tmp_path / "flipped.weights", "<f4", offset=20 + 12)
    np.testing.assert_array_equal(stored.reshape(2, 3), weights.layers[0]["weight"].reshape(3, 2).T)
    again = read_weights(tmp_path / "flipped.weights", flipped)
    np.testing.assert_array_equal(again.layers[0]["weight"], weights.layers[0]["weight"])


def test_layers_that_do_not_load_or_that_share_hold_nothing():
    text = NET + BN + BN + "share_index=0\n" + BN + "dontload=1\n" + BN + "dontloadscales=1\n"
    network = parse_network(text)
    assert [layer.parameters for layer in network.layers] == [12, 0, 0, 6]
    assert [len(layer.arrays) for layer in network.layers] == [5, 0, 5, 5]


def test_initial_kernels_have_the_spread_that_darknet_gives_them():
    network = parse_network("[net]\nwidth=8\nheight=8\nchannels=32\n" + BN.replace("filters=2", "filters=64"))
    kernel = initial_weights(network, seed=1).layers[0]["weight"]
    bound = np.sqrt(2 / 32)
    assert abs(kernel).max() <= bound
    assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)


BAD = {
    "empty": (b"", "is empty"),
    "a few bytes": (b"\0" * 7, "is only 7 bytes long"),
    "header only": (literal()[:20], "holds a header and no numbers"),
    "an LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 1\n", "Git LFS pointer.*git lfs pull"),
    "a web page": (b"\n<!DOCTYPE html>" + b" " * 40, "is an HTML page"),
    "a checkpoint": (b"PK\x03\x04" + b"\0" * 30, "is a PyTorch checkpoint"),
    "cut within a number": (literal()[:-2], r"ends within a number \(2 bytes over\)"),
    "cut within a layer": (literal()[: 20 + 4 * 14],
                           r"layer 2 \(\[convolutional\], my.cfg:13\) wants 2 floats for weight, 1 are left \(14 in the file, 15 wanted\)"),
    "too long": (literal() + b"\0" * 12, "holds 3 floats more than my.cfg asks for"),
    "a prefix": (literal()[: 20 + 4 * 12], "holds layers 0 to 0 of 4 only: a start for training"),
    "NaN": (literal()[:-4] + struct.pack("<f", float("nan")), r"1 of 2 numbers in weight of layer 2 .* are NaN or infinite"),
    "infinity": (literal()[:20] + struct.pack("<f", float("inf")) + literal()[24:], "1 of 2 numbers in beta of layer 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_does_not_fit_is_refused_with_its_reason(name, network, tmp_path):
    raw, message = BAD[name]
    (tmp_path / "a.weights").write_bytes(raw)
    with pytest.raises(WeightsError, match=message):
        read_weights(tmp_path / "a.weights", network)


def test_a_missing_file_and_a_folder_are_told_apart(network, tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        read_weights(tmp_path / "none.weights", network)
    with pytest.raises(WeightsError, match="is a folder"):
        read_weights(tmp_path, network)


def test_a_name_that_is_too_long_is_an_error_of_ours(network):
    with pytest.raises(WeightsError, match="cannot be read"):
        read_weights("x" * 300, network)


def test_a_device_without_an_end_is_refused(network):
    with pytest.raises(WeightsError, match="is a device or a pipe"):
        read_weights("/dev/zero", network)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(network, tmp_path, monkeypatch):
    path = tmp_path / "a.weights"
    path.write_bytes(b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match=r"No space left on device.*nothing was changed"):
        write_weights(path, network, initial_weights(network))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_stop_in_the_middle_leaves_the_old_file_and_nothing_else(network, tmp_path, monkeypatch):
    path = tmp_path / "a.weights"
    path.write_bytes(b"old")

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_weights(path, network, initial_weights(network))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_weights_of_another_cfg_are_not_written(network, tmp_path):
    other = parse_network(NET + BN, "other.cfg")
    with pytest.raises(WeightsError, match="has 4 layers, the weights 1"):
        write_weights(tmp_path / "a.weights", network, initial_weights(other))
    assert not list(tmp_path.iterdir())


def test_an_output_path_that_is_a_folder_or_lies_nowhere_is_refused(network, tmp_path):
    with pytest.raises(OutputError, match="is a folder, not a file"):
        write_weights(tmp_path, network, initial_weights(network))
    with pytest.raises(OutputError, match="cannot be written"):
        write_weights(tmp_path / "no" / "a.weights", network, initial_weights(network))
