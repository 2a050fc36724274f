"""The ONNX graph, run by ONNX Runtime, against Darknet's recordings."""

from __future__ import annotations

import numpy as np
import pytest

from tests.deploy.pairs import TINY, pair, random_weights
from tests.deploy.recordings import PAIRS, ZEROS_ON_CPU, activated, distance, names, recording
from tests.shared import SHARED, needs_shared
from utils.darknet import parse_network, read_network, read_weights
from utils.darknet.activations import ACTIVATIONS
from utils.darknet.sections import HEADS, SECTIONS
from utils.deploy import ENGINES, onnx_model, onnx_problems, open_engine
from utils.deploy.onnx_activations import ACTIVATIONS as ONNX_ACTIVATIONS
from utils.deploy.onnx_layers import LAYERS
from utils.errors import EngineError

pytestmark = pytest.mark.skipif(ENGINES["onnxruntime"].missing() is not None,
                                reason=str(ENGINES["onnxruntime"].missing()))

QUICK = {"yolov3-tiny", "yolov4-tiny", "yolov7-tiny", "yolov2-tiny-voc", "yolo-fastest", "yolo-fastest-1.1", "enet-coco",
         "yolov3-tiny-prn"}


def run(model, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": x})


@needs_shared
@pytest.mark.parametrize("name", sorted(set(names("probes")) - ZEROS_ON_CPU))
def test_every_feature_that_darknet_recorded_has_its_graph(name, tmp_path):
    import onnx

    recorded = recording("probes", name, tmp_path)
    network = read_network(recorded.cfg)
    assert onnx_problems(network) == []
    last = network.layers[-1]
    model = onnx_model(network, read_weights(recorded.weights, network),
                       layers=[last.inputs[0] if last.is_head else last.index])
    onnx.checker.check_model(model, full_check=True)
    (got,) = run(model, np.concatenate([recorded.image, recorded.image[:, :, ::-1]]))[0][:1]
    if last.is_head:
        got = activated(got, {"type": recorded.spec["last_layer"][1], "shape": recorded.spec["recorded_out_chw"],
                              "options": {o.key: o.value for o in network.document.sections[-1].options}})
    # variances of 1e-7 make a filter a thousand times larger: its products keep fewer digits
    assert distance(got, recorded.arrays["out"]) < (1e-4 if name == "bn_smallvar" else 1e-5)


@needs_shared
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names("cases")])
def test_a_whole_network_agrees_with_darknet(name, tmp_path):
    recorded = recording("cases", name, tmp_path)
    raw = open_engine("onnxruntime", recorded.cfg, recorded.weights, threads=1).heads(recorded.image)
    for got, head in zip(raw, recorded.spec["heads"], strict=True):
        assert distance(activated(got[0], head), recorded.arrays[f"head{head['layer']}"]) < 1e-4


@needs_shared
@pytest.mark.parametrize("name", PAIRS)
def test_a_trained_pair_gives_the_recorded_heads(name):
    folder = SHARED / "weights" / name
    network = read_network(folder / "model.cfg")
    model = onnx_model(network, read_weights(folder / "model.weights", network))
    with np.load(SHARED / "weights" / "raw_heads" / f"{name}.npz") as truth:
        x = truth["input_u8"].astype(np.float32).transpose(2, 0, 1)[None] / 255
        for got, head in zip(run(model, x), network.heads, strict=True):
            want = truth[f"head_{head.index}"]
            assert np.abs(got - want.reshape(got.shape)).max() < 1e-4 * np.ptp(want)


@pytest.mark.parametrize("opset", [13, 14, 15, 16, 17])
def test_the_opset_asked_for_is_the_opset_written_and_computes_the_same(opset, tmp_path):
    network = read_network(pair(tmp_path)[0])
    weights = random_weights(network)
    x = np.random.default_rng(0).random((2, 3, 32, 64), np.float32)
    model = onnx_model(network, weights, opset=opset)
    assert [entry.version for entry in model.opset_import] == [opset]
    for got, want in zip(run(model, x), run(onnx_model(network, weights), x), strict=True):
        np.testing.assert_array_equal(got, want)


def test_other_opsets_are_refused():
    network = parse_network(TINY)
    with pytest.raises(EngineError, match="18 is not supported; choose 13 to 17"):
        onnx_model(network, random_weights(network), opset=18)


def test_the_table_covers_every_section_and_activation_that_we_read():
    assert set(LAYERS) == set(SECTIONS) - set(HEADS)
    assert set(ONNX_ACTIVATIONS) == set(ACTIVATIONS)


def test_outputs_are_named_after_the_heads_and_batch_norms_are_folded():
    network = parse_network(TINY)
    model = onnx_model(network, random_weights(network))
    assert [output.name for output in model.graph.output] == ["head_5", "head_9"]
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    convolutions = [layer for layer in network.layers if layer.kind == "convolutional"]
    folded = sum(spec.size for layer in convolutions for spec in layer.arrays if spec.name == "weight")
    stored = sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer if tensor.data_type == 1)  # float32
    assert stored == folded + sum(layer.options.filters for layer in convolutions)


def test_an_unknown_kind_is_an_error_with_its_line(monkeypatch):
    monkeypatch.setattr("utils.deploy.onnx_graph.LAYERS", {k: v for k, v in LAYERS.items() if k != "maxpool"})
    network = parse_network(TINY, "my.cfg")
    assert onnx_problems(network) == ["my.cfg:14: [maxpool] has no ONNX form here"]
    with pytest.raises(EngineError, match=r"my.cfg:14: \[maxpool\] has no ONNX form here"):
        onnx_model(network, random_weights(network))


def test_a_layer_whose_weights_no_file_holds_is_an_error_with_its_line():
    network = parse_network(TINY.replace("filters=8\nsize=1", "dontload=1\nfilters=8\nsize=1"), "my.cfg")
    assert "my.cfg:18: dontload=1" in onnx_problems(network)[0]
    weights = random_weights(network).with_layers({2: {}})
    with pytest.raises(EngineError, match="the weights hold nothing for layer 2"):
        onnx_model(network, weights)
