"""The activation offset: exact where it says so, and elsewhere wrong by exactly what the docstring says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.generators import SMOOTH_ACTIVATIONS, random_plan, random_weights
from tests.pruning.compared import compared, small_network
from tests.pruning.test_groups import CFG
from utils.darknet import ACTIVATIONS, SECTIONS, Fixed, Network, parse_network, read_network
from utils.pruning import Keep, Plan, apply_plan, masked_weights
from utils.pruning.constants import PASSED_ON


def act_conv(filters: int, activation: str, size: int = 1, pad: int = 0, **options: object) -> str:
    extra = "; ".join(f"{key}={value}" for key, value in {"batch_normalize": 1, **options}.items())
    return f"[convolutional]; filters={filters}; size={size}; pad={pad}; activation={activation}; {extra}\n"


def plan_without(network: Network, removed: dict[int, tuple[int, ...]]) -> Plan:
    keep = {i: Keep(network.layers[i].shape.channels,
                    tuple(c for c in range(network.layers[i].shape.channels) if c not in gone))
            for i, gone in removed.items()}
    return Plan("by hand", {}, network.fingerprint, keep)


def every_wiring(activation: str, size: int) -> Network:
    """Shortcut, routes of 2 and 4, a route of halves, upsample, maxpools, and unpadded kernels of `size`."""
    c = lambda filters, k=1: act_conv(filters, activation, k)  # noqa: E731
    return small_network(
        c(6, size) + c(4) + c(6) + f"[shortcut]; from=-3; activation={activation}\n"
        + "[maxpool]; size=3; stride=1\n[maxpool]; size=5; stride=1\n[maxpool]; size=2; stride=1\n"
        + "[route]; layers=-1,-2,-3,-4\n" + c(8, size)
        + "[route]; layers=-1; groups=2; group_id=1\n" + c(4) + "[upsample]; stride=2\n[route]; layers=-1,11\n"
        + c(4, size), width=16, height=12)


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if not ACTIVATIONS[name].over_channels])
def test_with_1x1_kernels_the_fold_is_exact_for_every_activation(activation):
    network = every_wiring(activation, 1)
    found = compared(network, random_weights(network, 3), random_plan(network, 5))
    assert found.offset.exact
    assert found.worst < 1e-9


@pytest.mark.parametrize("activation", SMOOTH_ACTIVATIONS)
def test_with_3x3_kernels_without_padding_the_fold_is_exact(activation):
    network = every_wiring(activation, 3)
    found = compared(network, random_weights(network, 4), random_plan(network, 6))
    assert found.offset.exact
    assert found.worst < 1e-9


def test_under_zero_padding_the_border_is_wrong_by_the_taps_outside_and_the_rest_is_exact():
    network = small_network(act_conv(5, "mish") + act_conv(3, "linear", 3, pad=1, batch_normalize=0))
    weights = random_weights(network, 7)
    found = compared(network, weights, plan_without(network, {0: (1, 4)}))
    assert found.offset.approximate_layers == (1,)
    assert found.difference(1, (slice(1, -1), slice(1, -1))) < 1e-9
    beta = weights.layers[0]["beta"][[1, 4]].astype(np.float64)
    constants = torch.from_numpy(ACTIVATIONS["mish"].function(beta))[None, :, None, None].expand(1, 2, 10, 12)
    kernel = torch.from_numpy(weights.layers[1]["weight"][:, [1, 4]].astype(np.float64))
    inside = F.conv2d(constants, kernel, padding=1)
    everywhere = kernel.sum((2, 3)) @ constants[0, :, 0, 0]
    taps_outside = (everywhere[None, :, None, None] - inside).numpy()
    error = found.masked[1] - found.compact[1]
    assert np.abs(error).max() > 0.05
    np.testing.assert_allclose(error, np.broadcast_to(-taps_outside, error.shape), atol=1e-9)


def test_a_stride_2_kernel_on_an_even_map_lacks_taps_above_and_left_only():
    network = small_network(act_conv(5, "leaky") + act_conv(3, "linear", 3, pad=1, stride=2))
    found = compared(network, random_weights(network, 8), plan_without(network, {0: (0,)}))
    assert found.difference(1, (slice(1, None), slice(1, None))) < 1e-9
    assert found.difference(1) > 1e-3


@pytest.mark.parametrize("name", ["yolov3-tiny", "yolov4-tiny",
                                  *(pytest.param(n, marks=pytest.mark.slow) for n in ("yolov3", "yolov4"))])
def test_where_removed_channels_have_beta_0_real_networks_are_exact_to_the_border(name):
    network = read_network(CFG / f"{name}.cfg").resized(64, 64)
    weights = random_weights(network, 9)
    plan = random_plan(network, 10, share=0.6)
    for layer, keep in plan.keep.items():
        if "beta" in weights.layers[layer]:
            weights.layers[layer]["beta"][~keep.flags] = 0
    found = compared(network, weights, plan)
    assert found.offset.exact
    assert max(found.difference(head.index) for head in network.heads) < 1e-6


def test_a_maxpool_of_size_2_and_stride_1_keeps_a_negative_constant():
    """Darknet pads with minus infinity; zeros would raise the last row and column to 0."""
    network = small_network(act_conv(4, "leaky") + "[maxpool]; size=2; stride=1\n" + act_conv(3, "leaky"))
    weights = random_weights(network, 11)
    weights.layers[0]["beta"][:] = -5
    found = compared(network, weights, plan_without(network, {0: (0, 2)}))
    assert found.offset.constants[1].values.tolist() == [-0.5, 0, -0.5, 0]
    assert found.offset.exact
    assert found.worst < 1e-9
    zero_padded = F.max_pool2d(F.pad(torch.full((1, 1, 4, 4), -0.5), (0, 1, 0, 1)), 2, 1)
    assert zero_padded[0, 0, -1, -1] == 0


@pytest.mark.parametrize("normalize", [0, 1])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_a_depthwise_convolution_makes_a_new_constant_with_its_own_gamma(normalize, multiplier):
    network = small_network(act_conv(4, "swish") + act_conv(4 * multiplier, "mish", 3, groups=4,
                                                            batch_normalize=normalize) + act_conv(3, "leaky"))
    weights = random_weights(network, 12)
    plan = plan_without(network, {0: (1, 3), 1: tuple(c for c in range(4 * multiplier) if c // multiplier in (1, 3))})
    found = compared(network, weights, plan)
    assert found.offset.exact
    assert found.worst < 1e-9
    assert found.smaller.layers[1].options.groups == 2
    np.testing.assert_array_equal(masked_weights(network, weights, plan).layers[1]["weight"],
                                  weights.layers[1]["weight"])


def test_a_padded_depthwise_convolution_emits_at_the_border_what_it_emits_inside():
    network = small_network(act_conv(4, "swish") + act_conv(4, "linear", 3, pad=1, groups=4) + act_conv(3, "leaky"))
    found = compared(network, random_weights(network, 13), plan_without(network, {0: (2,), 1: (2,)}))
    assert found.offset.constants[1].exact.all()
    assert found.offset.exact
    assert found.worst < 1e-9


@pytest.mark.parametrize("antialiasing", [1, 2])
def test_the_blur_of_antialiasing_pads_with_zeros_only_in_its_3x3_form(antialiasing):
    body = act_conv(4, "mish", 3, pad=1, stride=2, antialiasing=antialiasing) + act_conv(3, "leaky")
    network = small_network(body)
    found = compared(network, random_weights(network, 14), plan_without(network, {0: (2,)}))
    assert found.offset.exact is (antialiasing == 2)
    assert found.difference(1, (slice(1, -1), slice(1, -1))) < 1e-9


def test_a_grouped_convolution_folds_within_each_group():
    network = small_network(act_conv(8, "mish") + act_conv(6, "leaky", 3, groups=2) + act_conv(3, "leaky"))
    found = compared(network, random_weights(network, 15), plan_without(network, {0: (1, 4), 1: (0, 5)}))
    assert found.offset.exact
    assert found.worst < 1e-9
    assert found.smaller.layers[1].options.groups == 2


def test_a_detection_convolution_takes_the_constant_into_its_bias():
    network = small_network(act_conv(3, "logistic"))
    weights = random_weights(network, 16)
    _, cut = apply_plan(network, weights, plan_without(network, {0: (1,)}))
    beta = float(weights.layers[0]["beta"][1])
    expected = weights.layers[1]["bias"] + weights.layers[1]["weight"][:, 1, 0, 0] / (1 + np.exp(-beta))
    np.testing.assert_allclose(cut.layers[1]["bias"], expected, rtol=1e-6)
    np.testing.assert_array_equal(cut.layers[1]["weight"], weights.layers[1]["weight"][:, [0, 2]])


def test_batch_norm_consumers_change_in_their_mean_only():
    network = small_network(act_conv(3, "relu") + act_conv(2, "relu"))
    weights = random_weights(network, 17)
    weights.layers[0]["beta"][1] = 0.75
    _, cut = apply_plan(network, weights, plan_without(network, {0: (1,)}))
    for name in ("beta", "gamma", "var"):
        np.testing.assert_array_equal(cut.layers[1][name], weights.layers[1][name])
    expected = weights.layers[1]["mean"] - 0.75 * weights.layers[1]["weight"][:, 1, 0, 0]
    np.testing.assert_allclose(cut.layers[1]["mean"], expected, rtol=1e-5)


def test_a_removed_output_keeps_the_constant_of_its_own_beta_whatever_is_folded_into_its_layer():
    network = small_network(act_conv(3, "relu") + act_conv(2, "linear") + act_conv(2, "linear"))
    weights = random_weights(network, 18)
    found = compared(network, weights, plan_without(network, {0: (1,), 1: (0,)}))
    assert found.offset.constants[1].values[0] == weights.layers[1]["beta"][0]
    assert found.worst < 1e-9


@pytest.mark.parametrize("kind", SECTIONS)
def test_every_kind_of_section_either_passes_constants_on_or_is_fixed(kind):
    """A new kind must say what it makes of a constant, or it could not be pruned around."""
    if kind == "convolutional":
        return
    bodies = {"connected": "[connected]; output=6", "implicit": "[implicit]; filters=6", "softmax": "[softmax]",
              "reorg": "[reorg]; stride=2", "yolo": "[yolo]; classes=1; num=1", "region": "[region]; classes=1; num=1",
              "gaussian_yolo": "[Gaussian_yolo]; classes=1; num=1"}
    if kind in PASSED_ON:
        assert kind not in bodies
        return
    filters = {"gaussian_yolo": 10, "reorg": 4}.get(kind, 6)
    text = f"[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters={filters}\nsize=1\n" + bodies[kind]
    layer = parse_network(text.replace("; ", "\n")).layers[1]
    assert layer.kind == kind
    assert isinstance(layer.rule, Fixed)


def test_the_fold_reads_only_the_columns_of_removed_channels():
    """NaN in the kept columns must not reach the offset."""
    network = small_network(act_conv(4, "relu") + act_conv(3, "relu"))
    weights = random_weights(network, 19)
    weights.layers[0]["beta"][:] = 1
    kernel = weights.layers[1]["weight"].copy()
    kernel[:, [0, 1, 3]] = np.nan
    broken = weights.with_layers({1: {**weights.layers[1], "weight": kernel}})
    plan = plan_without(network, {0: (2,)})
    assert np.isfinite(apply_plan(network, broken, plan)[1].layers[1]["mean"]).all()
