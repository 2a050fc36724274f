"""A comparison says verified only if something that is not ours ran and agreed."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from tests.deploy.pairs import OLD, TINY, pair, random_weights
from tests.deploy.recordings import PAIRS
from tests.shared import SHARED, needs_shared
from utils.darknet import parse_network, read_network, read_weights, write_weights
from utils.deploy import ENGINES, VerificationReport, compare_pair, open_engine, random_images, verify_pair
from utils.deploy.network_input import head_inputs
from utils.errors import EngineError, VerificationError, WeightsError

needs_opencv = pytest.mark.skipif(ENGINES["opencv"].missing() is not None, reason=str(ENGINES["opencv"].missing()))
needs_onnxruntime = pytest.mark.skipif(ENGINES["onnxruntime"].missing() is not None,
                                       reason=str(ENGINES["onnxruntime"].missing()))

ONLY_ONNX = TINY.replace("activation=mish", "activation=gelu")


def without(*absent):
    """The table of engines on a machine where some are not installed."""
    return {name: dataclasses.replace(kind, missing=lambda: "pip install it") if name in absent else kind
            for name, kind in ENGINES.items()}


@needs_opencv
@needs_shared
@pytest.mark.parametrize("name", PAIRS)
def test_a_trained_pair_is_verified_by_every_engine_that_can_run_it(name):
    folder = SHARED / "weights" / name
    report = verify_pair(folder / "model.cfg", folder / "model.weights", engines=["opencv", "onnxruntime"], threads=1)
    assert report.status == "verified"
    assert {verdict.engine: verdict.status for verdict in report.engines} == {
        "opencv": "verified", "onnxruntime": "verified" if ENGINES["onnxruntime"].missing() is None else "cannot run"}
    opencv = report.engines[0]
    assert opencv.relative < 1e-5
    assert opencv.own_relative > 3 * opencv.relative  # the epsilon is there to be seen


@needs_opencv
def test_what_opencvs_epsilon_does_is_reported_beside_the_verdict_and_not_held_against_the_pair(tmp_path):
    cfg, weights = pair(tmp_path, smallest_variance=1e-6)
    report = verify_pair(cfg, weights)
    (opencv,) = report.engines
    assert opencv.status == "verified"
    assert opencv.relative < 1e-5
    assert opencv.own_relative > 1e-2


@needs_opencv
@pytest.mark.parametrize("change", [1e-2, 1.0])
def test_one_weight_that_the_engine_sees_otherwise_is_an_error_with_numbers(change, tmp_path, monkeypatch):
    cfg, weights = pair(tmp_path)

    def perturbed(cfg_path, weights_path, **options):
        network = read_network(cfg_path)
        held = read_weights(weights_path, network)
        kernel = held.layers[2]["weight"].copy()
        kernel[3, 4] += change
        other = tmp_path / "other.weights"
        write_weights(other, network, held.with_layers({2: {**held.layers[2], "weight": kernel}}))
        return ENGINES["opencv"].open(cfg_path, other, **options)

    table = {**ENGINES, "opencv": dataclasses.replace(ENGINES["opencv"], open=perturbed)}
    report = compare_pair(cfg, weights, table=table)
    assert report.status == "differs"
    assert report.engines[0].heads[0].relative > 1e-4
    monkeypatch.setattr("utils.deploy.verify.compare_pair", lambda *args, **options: report)
    numbers = r"OpenCV computes something else than torch from this pair: head 5 by \d.* of its range .* allowed are 1e-04"
    with pytest.raises(VerificationError, match=numbers) as caught:
        verify_pair(cfg, weights)
    assert str(cfg) in str(caught.value)


@needs_onnxruntime
def test_when_opencv_cannot_run_the_cfg_it_says_why_and_onnx_runtime_steps_in(tmp_path):
    cfg, weights = pair(tmp_path, ONLY_ONNX)
    report = verify_pair(cfg, weights)
    assert report.status == "verified"
    assert report.ran == ("onnxruntime",)
    if ENGINES["opencv"].missing() is None:
        assert report.engines[0].reason == (f"OpenCV cannot run this cfg: {cfg}:24: activation=gelu is unknown to it")


def test_without_any_other_engine_nothing_is_verified_and_the_reason_is_there(tmp_path):
    report = compare_pair(*pair(tmp_path), table=without("opencv", "onnxruntime", "darknet"))
    assert report.status == "not verified"
    assert report.ran == ()
    assert str(report).startswith("not verified: OpenCV is not installed: pip install it; ONNX Runtime is not installed")


def test_an_engine_that_fails_while_running_is_reported_as_unable(tmp_path):
    def broken(*args, **options):
        raise EngineError("my.cfg", "breaks", "repair it")

    table = {**without("onnxruntime", "darknet"), "opencv": dataclasses.replace(
        ENGINES["opencv"], open=broken, missing=lambda: None, problems=lambda network: [])}
    report = compare_pair(*pair(tmp_path), table=table)
    assert report.status == "not verified"
    assert report.engines[0].reason == "my.cfg: breaks; repair it"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_heads_that_are_not_finite_are_never_verified(bad, tmp_path):
    class Broken:
        name, threads = "opencv", None

        def __init__(self, cfg, weights, **options):
            self.real = open_engine("torch", cfg, weights)

        def heads(self, x):
            heads = self.real.heads(x)
            heads[0][0, 0, 0, 0] = bad
            return heads

    row = dataclasses.replace(ENGINES["opencv"], open=Broken, missing=lambda: None)
    assert compare_pair(*pair(tmp_path), table={**ENGINES, "opencv": row}).status == "differs"


@pytest.mark.parametrize(("off", "status"), [(2e-7, "verified"), (1e-4, "differs")])
def test_rounding_at_a_head_that_is_all_but_constant_is_no_difference(off, status, tmp_path):
    """A network that was never trained, or pruned to its bones: the head is 2 everywhere, give or take one rounding."""
    class Constant:
        name, threads = "opencv", None

        def __init__(self, *files, error=0.0, **options):
            self.real, self.error = open_engine("torch", *files), error

        def heads(self, x):
            heads = [np.full_like(head, 2) for head in self.real.heads(x)]
            for head in heads:
                head[0, 0, 0, 0] += np.float32(2.4e-7 + self.error)
            return heads

    def wrong(*files, **options):
        return Constant(*files, error=off)

    table = {**ENGINES, "torch": dataclasses.replace(ENGINES["torch"], open=Constant),
             "opencv": dataclasses.replace(ENGINES["opencv"], open=wrong, missing=lambda: None)}
    assert compare_pair(*pair(tmp_path), table=table).status == status


def test_weights_that_make_torch_itself_compute_nan_are_told_apart_from_a_disagreement(tmp_path):
    cfg, weights = pair(tmp_path)
    network = read_network(cfg)
    held = read_weights(weights, network)
    var = np.full_like(held.layers[0]["var"], -1)
    write_weights(weights, network, held.with_layers({0: {**held.layers[0], "var": var}}))
    with pytest.raises(EngineError, match=r"model.cfg:\d+: head 5 gets numbers that are NaN or infinite .* in torch"):
        compare_pair(cfg, weights)


def test_a_head_that_reads_the_image_and_a_network_without_one_cannot_be_compared(tmp_path):
    head = "[yolo]\nmask=0\nanchors=8,8\nclasses=2\nnum=1\n"
    for channels, rest, said in ((7, head, "reads the image itself"), (3, "[avgpool]\n", "has no .* head to compare")):
        network = parse_network(f"[net]\nwidth=32\nheight=32\nchannels={channels}\n{rest}", "my.cfg")
        with pytest.raises(EngineError, match=said):
            head_inputs(network)


def test_torch_cannot_vouch_for_itself(tmp_path):
    with pytest.raises(EngineError, match="torch: is what the others are compared with; name opencv, onnxruntime"):
        compare_pair(*pair(tmp_path), engines=["torch"])


def test_the_files_are_read_back_from_disk(tmp_path):
    cfg, weights = pair(tmp_path)
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="ends too early"):
        compare_pair(cfg, weights)


@needs_opencv
def test_images_of_another_size_than_the_cfgs_are_compared_at_their_size(tmp_path):
    report = compare_pair(*pair(tmp_path), random_images(3, 3, 64, 96))
    assert report.image_shape == (3, 3, 64, 96)
    assert report.status == "verified"


@needs_opencv
def test_the_report_goes_to_json_with_all_its_numbers(tmp_path):
    report = compare_pair(*pair(tmp_path))
    assert isinstance(report, VerificationReport)
    plain = json.loads(json.dumps(report.to_dict()))
    head = plain["engines"][0]["heads"][1]
    assert head["layer"] == 9
    assert head["relative"] == pytest.approx(head["max_abs"] / head["value_range"])
    assert plain["status"] == "verified"
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.status = "differs"


def test_a_darknet_of_2018_can_verify_too(tmp_path):
    if ENGINES["darknet"].missing():
        pytest.skip(str(ENGINES["darknet"].missing()))
    report = compare_pair(*pair(tmp_path, OLD, smallest_variance=1e-4), engines=["darknet"])
    assert report.status == "verified"
    assert report.engines[0].own_relative > 100 * report.engines[0].relative


def test_a_variance_of_zero_is_harmless_in_darknet_and_a_catastrophe_in_its_predecessor(tmp_path):
    """Darknet of 2018 divides by sqrt(0) + 1e-6, AlexeyAB's by sqrt(1e-5): a factor of 3162 in one channel."""
    if ENGINES["darknet"].missing():
        pytest.skip(str(ENGINES["darknet"].missing()))
    cfg, weights = pair(tmp_path, OLD)
    network = parse_network(OLD)
    held = random_weights(network)
    var = held.layers[2]["var"].copy()
    var[0] = 0
    write_weights(weights, network, held.with_layers({2: {**held.layers[2], "var": var}}))
    (verdict,) = compare_pair(cfg, weights, engines=["darknet"]).engines
    assert verdict.status == "verified"
    assert verdict.own_relative > 1


@needs_opencv
def test_agreement_on_constant_heads_is_said_to_mean_nothing(tmp_path):
    cfg, weights = pair(tmp_path)
    alive = verify_pair(cfg, weights)
    assert not alive.dead
    assert "detect with" not in str(alive)
    network = read_network(cfg)
    held = read_weights(weights, network)
    write_weights(weights, network, held.with_layers({
        layer.index: {name: np.zeros_like(array) for name, array in held.layers[layer.index].items()}
        for layer in network.layers if layer.kind == "convolutional" and not layer.options.batch_normalize}))
    dead = verify_pair(cfg, weights)
    assert dead.dead
    assert str(dead).endswith("every head is one constant: nothing is left to differ in, or to detect with")
