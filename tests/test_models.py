"""Darknet as a module: what forward gives, how weights go in and out, converting, fusing, errors, memory."""

from __future__ import annotations

import copy
import logging
import os
import shutil
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

import models
from models import (
    Darknet,
    convert,
    get_weights,
    load_checkpoint,
    load_darknet_weights,
    load_model,
    save_checkpoint,
    save_weights,
    set_weights,
)
from tests.shared import SHARED, needs_shared
from utils.darknet import initial_weights, parse_network, read_network, read_weights, write_cfg, write_weights
from utils.errors import BonsaiError, CfgError, OutputError, WeightsError

CONV = "[convolutional]\nbatch_normalize={0}\nfilters={1}\nsize={2}\nstride={3}\npad=1\nactivation={4}\n"
SMALL = ("[net]\nwidth=64\nheight=32\nchannels=3\n"
         + CONV.format(1, 8, 3, 2, "leaky")                                    # 0
         + CONV.format(1, 8, 3, 1, "mish")                                     # 1
         + "[shortcut]\nfrom=-2\nactivation=linear\n"                          # 2
         + CONV.format(1, 12, 3, 2, "swish")                                   # 3
         + CONV.format(0, 14, 1, 1, "linear")                                  # 4
         + "[yolo]\nmask=1,2\nanchors=4,6,10,8,20,30\nclasses=2\nnum=3\n"      # 5
         + "[route]\nlayers=-3\n[upsample]\n[route]\nlayers=-1,2\n"            # 6 7 8
         + CONV.format(0, 7, 1, 1, "linear")                                   # 9
         + "[yolo]\nmask=0\nanchors=4,6,10,8,20,30\nclasses=2\nnum=3\n")       # 10


@pytest.fixture
def network():
    return parse_network(SMALL, "small.cfg")


@pytest.fixture
def pair(tmp_path, network):
    """small.cfg and small.weights in a folder of their own, with header and statistics unlike the initial ones."""
    weights = initial_weights(network, seed=5)
    drawn = np.random.default_rng(0)
    layers = [{name: drawn.uniform(0.5, 1.5, array.shape).astype(np.float32) if name in ("gamma", "var")
               else array + drawn.normal(0, 0.1, array.shape).astype(np.float32) for name, array in arrays.items()}
              for arrays in weights.layers]
    weights = replace(weights, layers=tuple(layers), header=replace(weights.header, seen=64000))
    write_cfg(tmp_path / "small.cfg", network)
    write_weights(tmp_path / "small.weights", network, weights)
    return tmp_path / "small.cfg", tmp_path / "small.weights"


def image(height: int = 32, width: int = 64, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def same_numbers(a, b) -> bool:
    return all(x.keys() == y.keys() and all(x[key].tobytes() == y[key].tobytes() for key in x)
               for x, y in zip(a.layers, b.layers, strict=True))


# What forward gives


def test_training_gives_the_raw_heads_that_the_loss_needs(network):
    raw = Darknet(network).train()(image())
    assert [tuple(head.shape) for head in raw] == [(2, 2, 8, 16, 7), (2, 1, 16, 32, 7)]
    assert all(head.requires_grad for head in raw)


def test_eval_gives_boxes_of_all_heads_in_pixels_and_the_raw_heads(network):
    model = Darknet(network).eval()
    with torch.no_grad():
        boxes, raw = model(image())
    assert boxes.shape == (2, 2 * 8 * 16 + 16 * 32, 7)
    assert len(raw) == 2
    entry = raw[0][1, 1, 3, 5]  # second image, anchor 2 of the cfg (20 x 30), row 3, column 5; 4 pixels per cell
    box = boxes[1, 1 * 8 * 16 + 3 * 16 + 5]
    expected = torch.cat(((entry[:2].sigmoid() + torch.tensor([5.0, 3.0])) * 4,
                          entry[2:4].exp() * torch.tensor([20.0, 30.0]), entry[4:].sigmoid()))
    torch.testing.assert_close(box, expected)


def test_the_raw_head_is_the_map_before_it_regrouped(network):
    out = Darknet(network).eval().forward_layers(image(), [4, 5])
    torch.testing.assert_close(out[5][:, 1, :, :, 3], out[4][:, 7 + 3])


def test_a_network_without_heads_gives_its_last_layer():
    model = Darknet(parse_network("[net]\nwidth=8\nheight=8\nchannels=3\n[avgpool]\n[softmax]\n"))
    for mode in (True, False):
        out = model.train(mode)(image(8, 8))
        torch.testing.assert_close(out.sum((1, 2, 3)), torch.ones(2))


@pytest.mark.parametrize(("height", "width"), [(32, 64), (64, 32), (96, 36), (4, 4)])
def test_any_size_that_the_strides_divide_will_do(network, height, width):
    with torch.no_grad():
        boxes, _ = Darknet(network).eval()(image(height, width))
    assert boxes.shape[1] == 2 * (height // 4) * (width // 4) + (height // 2) * (width // 2)


def test_a_size_that_does_not_fit_names_the_line(network):
    with pytest.raises(CfgError, match=r"small\.cfg:\d+: \[route\] .*unequal.*stride"):
        Darknet(network).eval()(image(34, 64))
    with pytest.raises(CfgError, match=r"small\.cfg"):
        Darknet(network, img_size=(34, 64))
    assert Darknet(network, img_size=96).network.net.width == 96


def test_images_of_the_wrong_shape_are_refused(network):
    with pytest.raises(CfgError, match=r"small\.cfg: reads images of shape \(N, 3, H, W\), got \(2, 1, 32, 64\)"):
        Darknet(network).eval()(image()[:, :1])
    with pytest.raises(CfgError, match="no layer 11"):
        Darknet(network).forward_layers(image(), [11])


def test_heads_with_different_classes_are_refused():
    text = SMALL.replace("classes=2", "classes=3", 1).replace("filters=14", "filters=16")
    with pytest.raises(CfgError, match="different numbers of classes"):
        Darknet(parse_network(text))


def test_a_map_is_freed_behind_its_last_reader(network):
    model = Darknet(network).eval()
    seen: dict[int, weakref.ref] = {}
    alive_at: dict[int, set[int]] = {}

    def watch(module, inputs, output):
        index = module.section.index
        alive_at[index] = {i for i, ref in seen.items() if ref() is not None}
        seen[index] = weakref.ref(output)

    for layer in model.layers:
        layer.register_forward_hook(watch)
    with torch.no_grad():
        model(image())
    assert alive_at[4] == {2, 3}      # 0 and 1 went into the shortcut; 3 is read again by layer 6
    assert alive_at[9] == {4, 5, 8}   # the raw head is a view of 4; 2, 6 and 7 went into layer 8
    assert not {2, 3, 6, 7} & alive_at[10]


# Weights in and out


def test_weights_come_out_bit_for_bit(pair, tmp_path):
    model = load_model(*pair)
    assert same_numbers(get_weights(model), read_weights(pair[1], model.network))
    save_weights(model, tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == pair[1].read_bytes()
    save_weights(model, tmp_path / "fresh.weights", seen=0)
    assert read_weights(tmp_path / "fresh.weights", model.network).header.seen == 0


def test_what_get_weights_gave_does_not_change_with_the_model(pair):
    model = load_model(*pair)
    before = get_weights(model)
    kept = copy.deepcopy(before)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert same_numbers(before, kept)


def test_arrays_that_are_read_only_go_in_without_a_warning(network):
    weights = initial_weights(network, seed=2)
    for arrays in weights.layers:
        for array in arrays.values():
            array.flags.writeable = False
    model = Darknet(network, init=False)
    set_weights(model, weights)
    assert same_numbers(get_weights(model), weights)


def test_initial_weights_are_sensible_and_the_same_each_time(network):
    model = Darknet(network)
    assert same_numbers(get_weights(model), initial_weights(network, seed=0))
    assert same_numbers(get_weights(model), get_weights(load_model(network)))
    assert not same_numbers(get_weights(model), get_weights(Darknet(network).initialise(seed=1)))
    assert all(torch.isfinite(head).all() for head in model.train()(image()))


def test_a_prefix_file_fills_the_first_layers_and_the_rest_keeps_its_initial_weights(pair, tmp_path, caplog):
    model = load_model(*pair)
    save_weights(model, tmp_path / "small.conv.4", cutoff=4)
    with caplog.at_level(logging.INFO, logger="models"):
        started = load_model(pair[0], tmp_path / "small.conv.4", allow_prefix=True)
        loaded = load_darknet_weights(Darknet(model.network), tmp_path / "small.conv.4")
    assert caplog.text.count("holds layers 0 to 3 of 11; the others keep their initial weights") == 2
    assert (loaded.held, loaded.layers, loaded.whole) == (4, 11, False)
    with pytest.raises(WeightsError, match="a start for training"):
        load_model(pair[0], tmp_path / "small.conv.4")
    trained, initial = get_weights(model), get_weights(Darknet(model.network))
    for index, arrays in enumerate(get_weights(started).layers):
        origin = trained if index < 4 else initial
        assert all(np.array_equal(arrays[name], origin.layers[index][name]) for name in arrays)


def test_with_a_cutoff_the_heads_of_the_file_may_be_for_other_classes(pair):
    trained = load_model(*pair)
    other = parse_network(SMALL.replace("classes=2", "classes=4").replace("filters=14", "filters=18")
                          .replace("filters=7", "filters=9"), "other.cfg")
    model = Darknet(other)
    with pytest.raises(WeightsError, match=r"small\.weights"):
        load_darknet_weights(model, pair[1])
    loaded = load_darknet_weights(model, pair[1], cutoff=4)
    assert (loaded.held, loaded.header.seen) == (4, 64000)
    assert torch.equal(model.layers[3].weight, trained.layers[3].weight)
    assert torch.equal(model.layers[4].weight, Darknet(other).layers[4].weight)
    assert load_darknet_weights(trained, pair[1], cutoff=99).whole


def test_a_cutoff_beyond_a_short_file_names_the_file_itself(pair, tmp_path):
    (tmp_path / "short.weights").write_bytes(pair[1].read_bytes()[:200])
    with pytest.raises(WeightsError, match=str(tmp_path / "short.weights")):
        load_darknet_weights(Darknet(pair[0]), tmp_path / "short.weights", cutoff=3)
    with pytest.raises(WeightsError, match="none"):
        load_darknet_weights(Darknet(pair[0]), tmp_path / "none.weights", cutoff=3)


def test_weights_of_another_cfg_name_the_layer(network):
    model = Darknet(network)
    other = initial_weights(parse_network(SMALL.replace("filters=12", "filters=10")))
    with pytest.raises(WeightsError, match=r"small\.cfg:\d+: layer 3 has shape"):
        set_weights(model, other)
    with pytest.raises(WeightsError, match="has 11 layers, the weights 2"):
        set_weights(model, replace(other, layers=other.layers[:2]))


@needs_shared
def test_a_real_prefix_file_of_another_network_can_lend_its_first_layers():
    model = Darknet(SHARED / "weights" / "mbv2-yolo-fastest-voc-v0" / "model.cfg")
    path = SHARED / "weights" / "mbv2-yolo-fastest.conv.57"
    with pytest.raises(WeightsError, match="ends too early"):
        load_darknet_weights(model, path)
    assert load_darknet_weights(model, path, cutoff=10).held == 10
    assert all((arrays["var"] > 0).all() for arrays in get_weights(model).layers[:10] if "var" in arrays)


# Converting


def test_convert_goes_to_weights_and_back_beside_the_input(pair, tmp_path):
    model = load_model(*pair)
    folder = tmp_path / "weights"
    folder.mkdir()
    save_checkpoint(folder / "last.pt", model, epoch=9)
    assert convert(pair[0], str(folder / "last.pt")) == folder / "last.weights"
    assert (folder / "last.weights").read_bytes() == pair[1].read_bytes()
    assert (folder / "converted.weights").read_bytes() == pair[1].read_bytes()
    back = convert(str(pair[0]), folder / "last.weights", output=folder / "again.pt")
    assert load_checkpoint(back).extra == {}
    assert same_numbers(get_weights(load_model(pair[0], back)), get_weights(model))
    assert sorted(path.name for path in folder.iterdir()) == ["again.pt", "converted.weights", "last.pt", "last.weights"]


def test_convert_overwrites_nothing_unasked_and_never_its_input(pair, tmp_path):
    save_checkpoint(tmp_path / "small.pt", load_model(*pair))
    before = pair[1].read_bytes()
    pair[1].write_bytes(b"another")
    with pytest.raises(OutputError, match=r"small\.weights: is there already"):
        convert(pair[0], tmp_path / "small.pt", output=pair[1])
    for _ in range(2):
        assert convert(pair[0], tmp_path / "small.pt") == tmp_path / "converted.weights"
        assert (tmp_path / "converted.weights").read_bytes() == before
    assert pair[1].read_bytes() == b"another"
    assert convert(pair[0], tmp_path / "small.pt", overwrite=True) == pair[1]
    with pytest.raises(OutputError):
        convert(pair[0], tmp_path / "small.pt", output=tmp_path / "small.pt", overwrite=True)


def test_convert_works_where_files_cannot_have_two_names(pair, tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError("no links here")

    shutil.move(pair[1], tmp_path / "old.weights")
    save_checkpoint(tmp_path / "small.pt", load_model(pair[0], tmp_path / "old.weights"))
    monkeypatch.setattr(os, "link", no_links)
    convert(pair[0], tmp_path / "small.pt")
    assert (tmp_path / "converted.weights").read_bytes() == (tmp_path / "small.weights").read_bytes()


def test_the_notes_import_convert_with_a_star(pair):
    names: dict[str, object] = {}
    exec("from models import *", names)
    assert names["convert"] is models.convert
    assert "np" not in names


# Fusing, copying, moving


def test_a_fused_model_predicts_the_same_and_refuses_the_rest(pair, tmp_path):
    model = load_model(*pair).eval()
    with torch.no_grad():
        expected, _ = model(image())
        fused, _ = model.fuse()(image())
    torch.testing.assert_close(fused, expected, rtol=1e-4, atol=1e-4)
    assert model.eval() is model
    for forbidden in (model.train, lambda: save_weights(model, tmp_path / "x.weights"), lambda: get_weights(model),
                      lambda: save_checkpoint(tmp_path / "x.pt", model),
                      lambda: load_darknet_weights(model, pair[1])):
        with pytest.raises(BonsaiError, match=r"small\.cfg: a fused model cannot .*; build it again"):
            forbidden()
    assert not list(tmp_path.glob("x.*"))


def test_a_copy_is_independent_and_trains(pair):
    model = load_model(*pair).train()
    twin = copy.deepcopy(model)
    sum(head.square().sum() for head in twin(image())).backward()
    assert all(parameter.grad is not None for parameter in twin.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not torch.equal(twin.layers[0].bn.running_mean, model.layers[0].bn.running_mean)


def test_double_precision_agrees_with_single(pair):
    model = load_model(*pair).eval()
    with torch.no_grad():
        single, _ = model(image())
        double, _ = model.double()(image().double())
    torch.testing.assert_close(double.float(), single, rtol=1e-4, atol=1e-4)


def test_a_model_in_bfloat16_still_has_its_anchors_to_the_digit(network):
    model = Darknet(network).eval().bfloat16()
    with torch.no_grad():
        boxes, raw = model(image().bfloat16())
    assert boxes.dtype == torch.float32
    torch.testing.assert_close(boxes[:, 0, 2:4], raw[0][:, 0, 0, 0, 2:4].float().exp() * torch.tensor([10.0, 8.0]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_the_gpu_computes_the_same_fused_and_not(pair):
    model = load_model(*pair).eval()
    with torch.no_grad():
        expected, _ = model(image())
        on_gpu = model.to("cuda")(image().cuda())[0].cpu()
        fused = model.fuse()(image().cuda())[0].cpu()
    torch.testing.assert_close(on_gpu, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(fused, expected, rtol=1e-3, atol=1e-3)


def test_sync_batch_norm_keeps_the_arrays(pair):
    model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(load_model(*pair))
    assert same_numbers(get_weights(model), read_weights(pair[1], read_network(pair[0])))
