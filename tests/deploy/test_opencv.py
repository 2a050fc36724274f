"""OpenCV against Darknet's recordings, and our table of what it cannot do against OpenCV itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.deploy.pairs import TINY, pair
from tests.deploy.recordings import DARKNET, PAIRS, activated, distance, names, recording
from tests.shared import SHARED, needs_shared
from utils.darknet import parse_network, read_network
from utils.deploy import ENGINES, engine_problems, open_engine
from utils.deploy.opencv import OpenCvEngine
from utils.errors import EngineError

pytestmark = pytest.mark.skipif(ENGINES["opencv"].missing() is not None, reason=str(ENGINES["opencv"].missing()))

HEADED_CASES = [name for name in names("cases")]
QUICK = {"yolov3-tiny", "yolov3-tiny__v1header", "yolov4-tiny", "yolov7-tiny", "yolov2-tiny-voc", "yolo-fastest",
         "yolo-fastest-1.1", "enet-coco", "yolov3-tiny-prn", "yolov4-tiny-3l", "Gaussian_yolov3_BDD"}


@pytest.fixture
def unguarded(monkeypatch):
    """Let OpenCV load what our table says it cannot."""
    monkeypatch.setattr("utils.deploy.opencv.opencv_problems", lambda network: [])


def deviation_of_last_layer(recorded) -> float:
    """How far OpenCV is from Darknet at the last layer (of a head: its decoded raw input); inf where it fails."""
    network = read_network(recorded.cfg)
    last = network.layers[-1]
    try:
        engine = OpenCvEngine(recorded.cfg, recorded.weights, epsilon_corrected=True,
                              layers=[last.inputs[0] if last.is_head else last.index])
        (got,) = engine.heads(recorded.image)
    except EngineError:
        return float("inf")
    if last.is_head:
        got = activated(got[0], {"type": recorded.spec["last_layer"][1], "shape": recorded.spec["recorded_out_chw"],
                                 "options": dict((o.key, o.value) for o in network.document.sections[-1].options)})
    return distance(got, recorded.arrays["out"])


@needs_shared
@pytest.mark.parametrize("name", names("probes"))
def test_the_table_knows_what_opencv_computes_as_darknet_does_and_what_not(name, tmp_path, unguarded):
    recorded = recording("probes", name, tmp_path)
    problems = engine_problems("opencv", read_network(recorded.cfg))
    if problems:
        assert all(text.startswith(f"OpenCV cannot run this cfg: {recorded.cfg}:") for text in problems)
        only_the_head = name in ("region_nosoftmax", "yolo_nomask", "yolo_nomask_noanchors")
        assert deviation_of_last_layer(recorded) > 1e-3 or only_the_head
    else:
        assert deviation_of_last_layer(recorded) < 1e-4


@needs_shared
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in HEADED_CASES])
def test_opencv_agrees_with_darknet_on_a_whole_network_once_the_epsilons_are_equal(name, tmp_path):
    problems = engine_problems("opencv", read_network(DARKNET / "cases" / f"{name}.cfg"))
    spec = json.loads((DARKNET / "cases" / f"{name}.json").read_text())
    assert bool(problems) == (spec["second_references"]["opencv"] != "loads")
    if problems:
        return
    recorded = recording("cases", name, tmp_path)
    raw = open_engine("opencv", recorded.cfg, recorded.weights, epsilon_corrected=True).heads(recorded.image)
    for got, head in zip(raw, recorded.spec["heads"], strict=True):
        assert distance(activated(got[0], head), recorded.arrays[f"head{head['layer']}"]) < 1e-4


def recorded_epsilons() -> list[tuple[str, bool, str]]:
    """(pair, whether OpenCV must be corrected, suffix of the recorded heads) for all that was recorded."""
    found = []
    for name in PAIRS:
        with np.load(SHARED / "weights" / "raw_heads" / f"{name}.npz") as truth:
            found.append((name, True, ""))
            found += [(name, False, "_eps1e-6")] * any(key.endswith("_eps1e-6") for key in truth)
    return found


@needs_shared
@pytest.mark.parametrize(("name", "corrected", "suffix"), recorded_epsilons())
def test_a_trained_pair_gives_the_recorded_heads_with_darknets_epsilon_and_with_opencvs_own(name, corrected, suffix):
    folder = SHARED / "weights" / name
    with np.load(SHARED / "weights" / "raw_heads" / f"{name}.npz") as truth:
        x = truth["input_u8"].astype(np.float32).transpose(2, 0, 1)[None] / 255
        engine = open_engine("opencv", folder / "model.cfg", folder / "model.weights", epsilon_corrected=corrected)
        network = read_network(folder / "model.cfg")
        for got, head in zip(engine.heads(x), network.heads, strict=True):
            want = truth[f"head_{head.index}{suffix}"]
            assert np.abs(got - want.reshape(got.shape)).max() < 1e-4 * np.ptp(want)


def test_opencv_5_without_an_importer_says_which_opencv_to_install(tmp_path, monkeypatch):
    import cv2

    monkeypatch.delattr(cv2.dnn, "readNetFromDarknet")
    with pytest.raises(EngineError, match='pip install "opencv-python-headless<5"'):
        open_engine("opencv", *pair(tmp_path))


def test_a_logistic_before_a_head_belongs_to_what_enters_the_head(tmp_path):
    *_, last = open_engine("opencv", *pair(tmp_path)).heads(np.zeros((1, 3, 32, 64), np.float32))
    assert last.min() > 0
    assert last.max() < 1

@pytest.mark.parametrize("network", [
    "[avgpool]\n[convolutional]\nfilters=8\nsize=3\npad=1\ngroups=8\nactivation=linear\n",
    "[maxpool]\nsize=1\nstride=1\npadding=2\n",
    "[connected]\noutput=3\nactivation=linear\n[avgpool]\n",
    "[avgpool]\n[scale_channels]\nfrom=-2\n[connected]\noutput=3\nactivation=linear\n",
    "[softmax]\n",
    "[avgpool]\n[softmax]\ntemperature=3\n",
])
def test_what_no_recording_covers_and_opencv_gets_wrong_is_in_the_table(network, tmp_path, unguarded):
    """Found by random networks against ONNX Runtime; a new OpenCV may put one right, then the row can go."""
    head = TINY[:TINY.index("[maxpool]")]
    cfg, weights = pair(tmp_path, head + network)
    assert engine_problems("opencv", read_network(cfg))
    last = [len(read_network(cfg).layers) - 1]
    x = np.random.default_rng(0).random((1, 3, 32, 64), np.float32)
    (want,) = open_engine("onnxruntime", cfg, weights, layers=last).heads(x)
    try:
        (got,) = OpenCvEngine(cfg, weights, layers=last, epsilon_corrected=True).heads(x)
    except EngineError:
        return
    assert got.shape != want.shape or not np.abs(got - want).max() < 1e-3


def test_the_input_size_counts_a_map_of_one_row_is_too_small_for_its_depthwise_convolutions(tmp_path):
    text = TINY.replace("filters=8\nsize=1", "filters=8\ngroups=8\nsize=3")
    engine = open_engine("opencv", *pair(tmp_path, text))
    with pytest.raises(EngineError, match="its 3x3 depthwise convolution reads past a map of 32x1"):
        engine.heads(np.zeros((1, 3, 2, 64), np.float32))


def test_scale_channels_runs_image_by_image_because_opencv_cannot_batch_it(tmp_path):
    gate = "[avgpool]\n[convolutional]\nfilters=8\nsize=1\nactivation=logistic\n[scale_channels]\nfrom=-3\n"
    cfg, weights = pair(tmp_path, TINY[:TINY.index("[maxpool]")] + gate)
    x = np.random.default_rng(0).random((3, 3, 32, 64), np.float32)
    (got,) = open_engine("opencv", cfg, weights, layers=[3], epsilon_corrected=True).heads(x)
    (want,) = open_engine("torch", cfg, weights, layers=[3]).heads(x)
    np.testing.assert_allclose(got, want, atol=1e-5)



@pytest.mark.parametrize(("old", "new", "said"), [
    ("[net]", "[network]", ":1: [network] is unknown to it, write [net]"),
    ("[maxpool]", "[max]", "[max] is unknown to it, write [maxpool]"),
    ("activation=mish", "activation=gelu", "activation=gelu is unknown to it"),
    ("filters=8\nsize=3", "filters=8\nfilters=9\nsize=3", ":9: filters= is there twice"),
    ("filters=8\nsize=3", "filters=8\nnonsense\nsize=3", ":9: it stops at a line without '=': nonsense"),
    ("batch_normalize=1", "batch_normalize=2", ":7: it takes batch_normalize= for 0 unless it is 1"),
    ("activation=leaky\n", "", ":6: [convolutional] without activation= means linear there and logistic in Darknet"),
    ("size=2\nstride=1", "size=3\n", "[maxpool] without stride= means 2 there and 1 in Darknet"),
    ("size=2\nstride=1", "size=2\nstride=1\nactivation=leaky", "it applies activation= in [maxpool]"),
    ("from=-2", "from=-2\nalpha=2", "it multiplies by alpha="),
    ("from=-2", "from=-2,-3", "it adds only the first layer of from="),
    ("num=3", "num=2", "it wants 2 x num=2 numbers in anchors=, there are 6"),
    ("mask=0,1", "mask=0,1\njitter=", "jitter= has no value"),
])
def test_a_difference_in_reading_is_named_with_its_line(old, new, said):
    text = TINY.replace(old, new, 1)
    problems = engine_problems("opencv", parse_network(text, "my.cfg"))
    assert any(said in problem for problem in problems), problems
    assert problems[0].startswith("OpenCV cannot run this cfg: my.cfg:")


@pytest.mark.parametrize(("old", "new"), [
    ("\n", "\r\n"),
    ("filters=8", " filters\t= 8 # eight"),
    ("[maxpool]", "  [maxpool]"),
    ("size=2\nstride=1", "size=2\nstride=1\nunknown=1"),
])
def test_what_opencv_reads_as_darknet_does_is_no_problem(old, new, tmp_path):
    text = TINY.replace(old, new)
    cfg, weights = pair(tmp_path, text)
    x = np.random.default_rng(0).random((1, 3, 32, 64), np.float32)
    theirs = open_engine("opencv", cfg, weights, epsilon_corrected=True).heads(x)
    for got, want in zip(theirs, open_engine("torch", cfg, weights).heads(x), strict=True):
        np.testing.assert_allclose(got, want, atol=2e-5)
