"""The ONNX file of a pair: run by OpenCV's own importer and by ONNX Runtime, and only there if it is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.deploy.pairs import TINY, pair, random_weights
from tests.deploy.recordings import PAIRS
from tests.shared import SHARED, needs_shared
from utils.darknet import read_network, write_weights
from utils.darknet.sections import HEADS
from utils.deploy import ENGINES, export_onnx, onnx_model, random_images
from utils.deploy.onnx_activations import ACTIVATIONS
from utils.deploy.onnx_decoding import DECODERS
from utils.errors import EngineError, OutputError, VerificationError

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(ENGINES["onnxruntime"].missing() is not None,
                                reason=str(ENGINES["onnxruntime"].missing()))
needs_opencv = pytest.mark.skipif(ENGINES["opencv"].missing() is not None, reason=str(ENGINES["opencv"].missing()))

CENTRES = TINY.replace("num=3\n\n[route]", "num=3\nscale_x_y=1.1\n\n[route]")
GAUSSIAN = TINY.replace("filters=14", "filters=22").replace("[yolo]\nmask=0,1", "[Gaussian_yolo]\nmask=0,1")
REGION = TINY[:TINY.index("[yolo]")] + "[region]\nanchors=1.1,1.4, 2.3,2.7\nclasses=2\nnum=2\nsoftmax=1\n"


def forward(file, x, names):
    """The outputs of an ONNX file in OpenCV."""
    import cv2

    net = cv2.dnn.readNetFromONNX(str(file))
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.setInput(x, "images")
    return net.forward(names)


def predictions(file, x):
    import onnxruntime

    (boxes,) = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]).run(["predictions"], {"images": x})
    return boxes


# -- other people's arithmetic ----------------------------------------------------------------------------------------

@needs_opencv
@pytest.mark.parametrize("name", ["yolov3-tiny", "yolov4-tiny", "yolov7-tiny"])
def test_opencv_imports_the_file_of_a_shipped_cfg_and_computes_the_same(name, tmp_path):
    cfg, weights, file = ROOT / "cfg" / f"{name}.cfg", tmp_path / "model.weights", tmp_path / "model.onnx"
    network = read_network(cfg).resized(64, 96)
    write_weights(weights, network, random_weights(network))
    done = export_onnx(cfg, weights, file, size=(64, 96), threads=1)
    x = random_images(2, 3, 64, 96, seed=3)
    expected = ENGINES["torch"].open(cfg, weights, threads=1).heads(x)
    for images in (x, x[:1]):
        for got, want in zip(forward(file, images, list(done.outputs)), expected, strict=True):
            assert np.abs(got - want[: len(images)]).max() < 1e-5 * np.ptp(want)


@needs_opencv
@needs_shared
@pytest.mark.parametrize("name", PAIRS)
def test_opencv_computes_the_recorded_heads_from_the_file_of_a_real_pair(name, tmp_path):
    folder, file = SHARED / "weights" / name, tmp_path / "model.onnx"
    done = export_onnx(folder / "model.cfg", folder / "model.weights", file, threads=1)
    with np.load(SHARED / "weights" / "raw_heads" / f"{name}.npz") as truth:
        x = truth["input_u8"].astype(np.float32).transpose(2, 0, 1)[None] / 255
        for output, got in zip(done.outputs, forward(file, x, list(done.outputs)), strict=True):
            want = truth[output]
            assert np.abs(got - want.reshape(got.shape)).max() < 1e-4 * np.ptp(want)


@needs_opencv
@pytest.mark.parametrize("text", [TINY, CENTRES, REGION], ids=["yolo", "scale_x_y", "region"])
def test_boxes_are_those_of_the_heads_that_opencv_has_for_darknet(text, tmp_path):
    """OpenCV lists boxes by row, column and anchor, in shares of the image, and class scores times objectness."""
    import cv2

    cfg, weights = pair(tmp_path, text)
    network = read_network(cfg)
    file = tmp_path / "model.onnx"
    export_onnx(cfg, weights, file, decoded=True, threads=1)
    x = random_images(1, 3, 32, 64, seed=5)
    boxes = predictions(file, x)[0]
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.setInput(x)
    start = 0
    for head, theirs in zip(network.heads, net.forward(net.getUnconnectedOutLayersNames()), strict=True):
        grid, anchors = head.input_shapes[0], head.options.per_cell
        ours = boxes[start:start + len(theirs)].reshape(anchors, grid.height, grid.width, -1).transpose(1, 2, 0, 3)
        ours, start = ours.reshape(theirs.shape), start + len(theirs)
        np.testing.assert_allclose(ours[:, :4] / [64, 32, 64, 32], theirs[:, :4], rtol=1e-3, atol=1e-4)
        product = ours[:, 5:] * ours[:, 4:5]
        seen = theirs[:, 5:] > 0  # it writes 0 for what is below its thresh=, and for what a [region] suppresses
        assert seen.any()
        np.testing.assert_allclose(product[seen], theirs[:, 5:][seen], atol=1e-4)
    assert start == len(boxes)


@pytest.mark.parametrize("text", [TINY, CENTRES, GAUSSIAN, REGION, REGION.replace("softmax=1", "softmax=0")],
                         ids=["yolo", "scale_x_y", "gaussian", "region", "region without softmax"])
def test_boxes_are_those_of_darknet_in_torch(text, tmp_path):
    import torch

    from models import load_model

    cfg, weights = pair(tmp_path, text)
    file = tmp_path / "model.onnx"
    done = export_onnx(cfg, weights, file, size=(64, 32), decoded=True, threads=1)
    x = random_images(3, 3, 64, 32, seed=5)
    with torch.inference_mode():
        want, _ = load_model(cfg, weights).eval()(torch.from_numpy(x))
    assert done.outputs == {"predictions": ("N", *want.shape[1:])}
    np.testing.assert_allclose(predictions(file, x), want.numpy(), rtol=1e-4, atol=1e-4)


def test_every_kind_of_head_can_be_decoded():
    assert set(DECODERS) == set(HEADS)


# -- what is in the file ----------------------------------------------------------------------------------------------

def test_a_number_of_images_can_be_fixed(tmp_path):
    import onnx
    import onnxruntime

    file = tmp_path / "model.onnx"
    done = export_onnx(*pair(tmp_path), file, batch=3, opset=15, threads=1)
    assert done.inputs == {"images": (3, 3, 32, 64)}
    assert done.outputs == {"head_5": (3, 14, 16, 32), "head_9": (3, 7, 8, 16)}
    assert done.report.image_shape == (3, 3, 32, 64)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert {one.name: tuple(one.shape) for one in session.get_outputs()} == done.outputs
    assert onnx.load(file).opset_import[0].version == 15
    onnx.checker.check_model(str(file), full_check=True)


def test_any_number_of_images_is_the_default_and_is_checked_with_two_batches(tmp_path):
    done = export_onnx(*pair(tmp_path), tmp_path / "model.onnx", threads=1)
    assert done.inputs == {"images": ("N", 3, 32, 64)}
    assert done.report.image_shape[0] == 3  # a batch of two, and one more
    assert done.report.ran == ("onnxruntime",)


# -- nothing half-written ---------------------------------------------------------------------------------------------

@pytest.fixture
def before(tmp_path):
    """A pair, and what an older file holds; checks that nothing else appears in the folder."""
    files = pair(tmp_path)
    old = tmp_path / "model.onnx"
    old.write_bytes(b"old")
    yield *files, old
    assert old.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.cfg", "model.onnx", "model.weights"]


@pytest.mark.parametrize("decoded", [False, True])
def test_a_file_that_computes_something_else_does_not_appear(decoded, before, monkeypatch):
    wrong = {**ACTIVATIONS, "mish": ACTIVATIONS["swish"]}
    monkeypatch.setattr("utils.deploy.onnx_layers.ACTIVATIONS", wrong)
    with pytest.raises(VerificationError, match=r"ONNX Runtime computes something else .*nothing was written"):
        export_onnx(*before, decoded=decoded, threads=1)


def test_boxes_a_tenth_of_a_pixel_beside_their_place_do_not_appear(before, monkeypatch):
    from utils.deploy import onnx_decoding

    monkeypatch.setattr(onnx_decoding, "_spread", lambda b, xy, scale: b.affine(xy, scale, -0.5 * (scale - 1) + 0.05))
    with pytest.raises(VerificationError, match="nothing was written"):
        export_onnx(*before, decoded=True, threads=1)


def test_a_file_that_onnx_runtime_refuses_does_not_appear(before, monkeypatch):
    def broken(*args, **options):
        model = onnx_model(*args, **options)
        model.graph.node[0].op_type = "Unheard"
        return model

    monkeypatch.setattr("utils.deploy.onnx_export.onnx_model", broken)
    with pytest.raises(EngineError, match="not verified: .*ONNX Runtime refuses the graph"):
        export_onnx(*before, threads=1)


def test_an_interruption_leaves_nothing(before, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("utils.deploy.onnx_export.compare_pair", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_onnx(*before, threads=1)


def test_a_full_disk_leaves_nothing(before, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device"):
        export_onnx(*before, threads=1)
