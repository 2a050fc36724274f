"""What is in the table of engines keeps the table's promises."""

from __future__ import annotations

import numpy as np
import pytest

from tests.deploy.pairs import OLD, pair
from utils.darknet import read_network
from utils.deploy import ENGINES, Engine, engine_problems, open_engine, random_images
from utils.errors import EngineError


@pytest.fixture(params=sorted(ENGINES))
def name(request):
    missing = ENGINES[request.param].missing()
    if missing:
        pytest.skip(f"{request.param} is not installed: {missing}")
    return request.param


@pytest.mark.parametrize(("height", "width"), [(32, 64), (64, 64), (48, 96)])
def test_an_engine_gives_what_enters_each_head_at_any_input_size(name, height, width, tmp_path):
    cfg, weights = pair(tmp_path, OLD)
    x = random_images(2, 3, height, width)
    engine = open_engine(name, cfg, weights, epsilon_corrected=True, threads=1)
    assert isinstance(engine, Engine)
    assert engine.name == name
    heads = engine.heads(x)
    assert [head.shape for head in heads] == [(2, 14, height // 2, width // 2), (2, 7, height // 4, width // 4)]
    assert all(head.dtype == np.float32 for head in heads)
    for got, want in zip(heads, open_engine("torch", cfg, weights).heads(x), strict=True):
        assert np.abs(got - want).max() < 1e-5 * np.ptp(want)


def test_an_engine_can_be_asked_for_any_layer_and_for_another_size_after_the_first(name, tmp_path):
    cfg, weights = pair(tmp_path, OLD)
    engine = open_engine(name, cfg, weights, layers=[0, 3, 1])
    for height, width in ((32, 64), (64, 32), (32, 64)):
        shapes = [array.shape for array in engine.heads(random_images(1, 3, height, width))]
        assert shapes == [(1, 8, height // 2, width // 2)] * 3


def test_an_engine_answers_every_image_of_a_batch_as_if_it_were_alone(name, tmp_path):
    cfg, weights = pair(tmp_path, OLD)
    x = random_images(3, 3, 32, 64, seed=5)
    engine = open_engine(name, cfg, weights)
    for together, alone in zip(engine.heads(x), engine.heads(x[1:2]), strict=True):
        np.testing.assert_allclose(together[1:2], alone, atol=1e-5)


def test_an_engine_refuses_images_with_other_channels(name, tmp_path):
    cfg, weights = pair(tmp_path, OLD)
    with pytest.raises(EngineError, match=r"\(1, 4, 32, 64\), the network reads \(N, 3, H, W\)"):
        open_engine(name, cfg, weights).heads(random_images(1, 4, 32, 64))


def test_an_engine_without_problems_says_so(name, tmp_path):
    cfg, _ = pair(tmp_path, OLD)
    assert engine_problems(name, read_network(cfg)) == []


def test_an_engine_refuses_weights_that_are_too_short_even_where_its_own_loader_would_not(name, tmp_path):
    cfg, weights = pair(tmp_path, OLD)
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(Exception, match="ends too early"):
        open_engine(name, cfg, weights)


def test_a_network_without_heads_is_named(name, tmp_path):
    cfg, weights = pair(tmp_path, OLD.split("[yolo]")[0])
    with pytest.raises(EngineError, match="no \\[yolo\\]"):
        open_engine(name, cfg, weights)


def test_an_unknown_engine_is_an_error_with_the_known_ones_in_it(tmp_path):
    with pytest.raises(EngineError, match="tensorflow: is no engine; choose among torch, opencv"):
        open_engine("tensorflow", *pair(tmp_path))


def test_a_missing_package_is_an_error_with_its_install_line(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.deploy.optional.importlib.util.find_spec", lambda name: None)
    cfg, weights = pair(tmp_path)
    with pytest.raises(EngineError, match='not installed; pip install "opencv-python-headless<5"'):
        open_engine("opencv", cfg, weights)
    with pytest.raises(EngineError, match="not installed; pip install onnx onnxruntime"):
        open_engine("onnxruntime", cfg, weights)


def test_threads_are_put_back_after_a_run(tmp_path):
    cv2 = pytest.importorskip("cv2")
    import torch

    cfg, weights = pair(tmp_path)
    before = cv2.getNumThreads(), torch.get_num_threads()
    for name in ("opencv", "torch"):
        open_engine(name, cfg, weights, threads=before[0] + 3).heads(random_images(1, 3, 32, 64))
    assert (cv2.getNumThreads(), torch.get_num_threads()) == before


def test_no_temporary_file_is_left_behind(name, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    engine = open_engine(name, *pair(tmp_path, OLD), epsilon_corrected=True)
    engine.heads(random_images(1, 3, 64, 64))
    assert list(folder.iterdir()) == []
