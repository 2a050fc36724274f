"""Repair on images: nothing changes but what must, and how the images come does not matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings

from tests.generators import networks, pruning_cases, random_plan, random_weights
from tests.pruning.compared import small_network
from tests.pruning.reference import heads
from tests.pruning.test_offset import act_conv, plan_without
from utils.darknet import Network, Weights, parse_network
from utils.errors import DataError
from utils.layers import ConvolutionalLayer
from utils.pruning import Plan, apply_plan, channel_groups, keep_everything, kept_classes
from utils.training import reconstruction
from utils.training.reconstruction import Reconstruction, Sampling, patches, reconstructed

ALL = Sampling(positions=10**9, held_out=10**9)


def images_of(network: Network, count: int = 8, seed: int = 0) -> np.ndarray:
    shape = network.input_shape
    return np.random.default_rng(seed).random((count, shape.channels, shape.height, shape.width), dtype=np.float32)


def lost(network: Network, weights: Weights, found: Reconstruction) -> float:
    """Largest difference at any head on images of their own, as a share of the head's range; in float64."""
    x = images_of(network, 2, seed=7)
    pairs = zip(heads(network, weights, x), heads(found.network, found.weights, x), strict=True)
    return max(float(np.abs(a - b).max() / np.ptp(a)) for a, b in pairs)


@settings(max_examples=15)
@given(networks(max_blocks=4))
def test_a_plan_that_keeps_everything_changes_nothing(network):
    weights = random_weights(network)
    found = reconstructed(network, weights, keep_everything(network), images_of(network, 2))
    assert found.network.document == network.document
    assert all(new[name] is old[name] for new, old in zip(found.weights.layers, weights.layers, strict=True) for name in old)
    assert (found.residual, found.layers) == (0, {})


def test_a_depthwise_convolution_after_a_cut_that_hurts_is_corrected_channel_by_channel():
    network = small_network(act_conv(8, "mish", 3, 1) + act_conv(6, "mish") + act_conv(6, "leaky", 3, 1, groups=6)
                            + act_conv(5, "mish"), width=24, height=20)
    weights, plan = random_weights(network, 7), plan_without(network, {0: (1, 3, 4, 6)})
    found = reconstructed(network, weights, plan, images_of(network))
    assert set(found.layers) == {1, 2, 3, 4}
    assert found.layers[2].residual < found.layers[2].before
    assert lost(network, weights, found) < lost(network, weights, Reconstruction(*apply_plan(network, weights, plan), {}, ()))


def residual_block() -> tuple[Network, Weights]:
    block = act_conv(4, "leaky") + act_conv(6, "linear") + "[shortcut]; from=-3; activation=linear\n"
    network = small_network(act_conv(6, "leaky", 3, 1) + block + act_conv(5, "leaky", 3, 1), width=24, height=20)
    return network, random_weights(network, 9)


def test_a_residual_block_that_adds_a_linear_function_of_what_it_adds_to_goes_without_loss():
    network, weights = residual_block()
    inside = {**weights.layers[1], "beta": np.full(4, 50, np.float32)}  # leaky is linear there
    weights = weights.with_layers({1: inside})
    network = parse_network(network.document.to_bytes().decode().replace("pad=1", "pad=0"))
    plan = Plan("by hand", {}, network.fingerprint, {}, (3,))
    found = reconstructed(network, weights, plan, images_of(network))
    assert lost(network, weights, found) < 1e-5
    assert len(found.network.layers) == len(network.layers) - 3
    assert set(found.layers) == {4, 5}


def test_blocks_and_channels_can_go_together_and_the_repair_helps():
    network, weights = residual_block()
    channels = plan_without(network, {0: (1,), 4: (2,)})
    plan = Plan("by hand", {}, network.fingerprint, channels.keep | {}, (3,))
    found = reconstructed(network, weights, plan, images_of(network))
    folded = Reconstruction(*apply_plan(network, weights, plan), {}, ())
    assert lost(network, weights, found) < 0.7 * lost(network, weights, folded)


@settings(max_examples=25)
@given(pruning_cases(max_blocks=5))
def test_what_nothing_was_cut_before_keeps_its_bytes_and_the_cfg_is_that_of_the_cut(pruned):
    network, weights, plan = pruned
    found = reconstructed(network, weights, plan, images_of(network, 3), sampling=Sampling(300, 100))
    smaller, cut = apply_plan(network, weights, plan)
    assert found.network.document == smaller.document
    kept = kept_classes(network, (groups := channel_groups(network)), plan)
    touched = {layer.index for layer in network.layers if layer.index in found.layers}
    first = min((layer.index for layer in network.layers if layer.kind == "convolutional" and layer.inputs
                 and not kept[groups.vector(layer.inputs[0])].all()), default=len(network.layers))
    assert min(touched, default=first) >= first
    for index, (old, new) in enumerate(zip(cut.layers, found.weights.layers, strict=True)):
        assert old.keys() == new.keys()
        changed = {name for name in old if old[name].tobytes() != new[name].tobytes()}
        assert changed <= ({"weight", "mean", "bias"} if index in touched else set())
        assert all(np.isfinite(array).all() for array in new.values())


def test_the_same_seed_gives_the_same_bytes_and_another_one_others():
    network, weights = residual_block()
    plan, images = random_plan(network, 1), images_of(network)
    runs = [reconstructed(network, weights, plan, images, sampling=Sampling(200, 60, seed=seed)) for seed in (3, 3, 4)]
    kernels = [run.weights.layers[4]["weight"].tobytes() for run in runs]
    assert kernels[0] == kernels[1] != kernels[2]
    assert runs[0].heads == runs[1].heads


@pytest.mark.parametrize("count", [2, 3, 11])
def test_how_many_images_pass_together_does_not_matter(count, monkeypatch):
    network, weights = residual_block()
    plan, images = random_plan(network, 1), images_of(network, count)
    found = []
    for size in (1, 2, 100):
        monkeypatch.setattr(reconstruction, "IMAGES_PER_BLOCK", size)
        found.append(reconstructed(network, weights, plan, images, sampling=ALL))
    for other in found[1:]:
        assert other.heads == pytest.approx(found[0].heads, rel=1e-5)
        for a, b in zip(found[0].weights.layers, other.weights.layers, strict=True):
            assert all(np.allclose(a[name], b[name], rtol=1e-5, atol=1e-6) for name in a)


def test_little_memory_means_fewer_images_in_the_first_layers_and_hardly_a_worse_network():
    network, weights = residual_block()
    plan, images = random_plan(network, 1), images_of(network, 40)
    tight, wide = (reconstructed(network, weights, plan, images, sampling=Sampling(memory=memory)) for memory in (1, 1 << 30))
    assert tight.residual < 1.2 * wide.residual
    assert tight.residual != wide.residual


def test_few_images_give_as_many_positions_as_many():
    seen = []

    class Spy(reconstruction._Sample):
        def result(self):
            moments, held_out = super().result()
            seen.append((moments.count, len(held_out.inputs)))
            return moments, held_out

    network, weights = residual_block()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruction, "_Sample", Spy)
        for count in (4, 30):
            reconstructed(network, weights, plan_without(network, {4: (1,)}), images_of(network, count),
                          sampling=Sampling(600, 200))
    (few, few_held), (many, many_held) = seen
    assert (few, few_held) == (600, 200)
    assert 600 <= many <= 630  # a whole number from each image
    assert 200 <= many_held <= 208


def test_shared_kernels_are_left_alone():
    text = (act_conv(6, "leaky") + act_conv(6, "leaky") + act_conv(6, "leaky", share_index=1) + act_conv(5, "leaky"))
    network = small_network(text)
    weights = random_weights(network, 2)
    plan = random_plan(network, 3)
    found = reconstructed(network, weights, plan, images_of(network))
    assert 1 not in found.layers
    assert 2 not in found.layers


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_images_are_refused(count):
    network, weights = residual_block()
    with pytest.raises(DataError, match="give two or more images"):
        reconstructed(network, weights, random_plan(network, 1), images_of(network, count))


@pytest.mark.parametrize("where", ["weights", "images"])
def test_numbers_that_are_none_are_an_error_that_names_the_layer(where):
    network, weights = residual_block()
    images = images_of(network)
    if where == "images":
        images[:, 0] = np.nan
    else:
        weights = weights.with_layers({0: {**weights.layers[0], "gamma": np.full(6, np.nan, np.float32)}})
    with pytest.raises(DataError, match="NaN or infinite on the calibration images"):
        reconstructed(network, weights, random_plan(network, 1), images)


def test_images_without_any_contrast_are_no_reason_to_fail():
    network, weights = residual_block()
    found = reconstructed(network, weights, random_plan(network, 1), np.full_like(images_of(network), 0.5))
    assert all(np.isfinite(array).all() for arrays in found.weights.layers for array in arrays.values())


def test_progress_counts_the_layers_of_the_old_network():
    network, weights = residual_block()
    steps: list[int] = []
    reconstructed(network, weights, random_plan(network, 1), images_of(network, 2), advance=steps.append)
    assert steps == [1] * len(network.layers)


@pytest.mark.parametrize("options", [
    {"size": 1}, {"size": 3, "pad": 1}, {"size": 3, "pad": 0}, {"size": 3, "pad": 1, "stride": 2},
    {"size": 3, "pad": 1, "stride_x": 2, "stride_y": 1}, {"size": 3, "pad": 1, "dilation": 2}, {"size": 5, "pad": 1, "stride": 3},
    {"size": 2, "padding": 1},
])
def test_patches_are_those_that_torch_unfolds(options):
    lines = "; ".join(f"{key}={value}" for key, value in options.items())
    network = small_network(f"[convolutional]; filters=4; activation=linear; {lines}\n", width=13, height=10)
    module = ConvolutionalLayer(network.layers[0])
    x = torch.from_numpy(images_of(network, 3))
    size = module.weight.shape[2]
    with torch.no_grad():
        height, width = module.convolved(x).shape[2:]
    whole = F.unfold(x, size, module.dilation, module.padding, module.stride).transpose(1, 2).reshape(3 * height * width, -1)
    chosen = torch.from_numpy(np.random.default_rng(0).permutation(len(whole))[:50])
    assert torch.equal(patches(x, module, chosen, (height, width)), whole[chosen])
