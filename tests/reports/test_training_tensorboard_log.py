"""TensorBoard's own reader finds everything that was logged."""

from __future__ import annotations

import logging
import sys

import cv2
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.reports.training_reports import epoch_report
from utils.errors import EngineError, OutputError
from utils.reports.training import TensorBoardLog, open_tensorboard


def read(folder):
    reader = EventAccumulator(str(folder), size_guidance={"histograms": 0, "images": 0, "scalars": 0})
    reader.Reload()
    return reader


def test_scalars_of_every_epoch_come_back_under_their_names(tmp_path):
    with TensorBoardLog(tmp_path) as log:
        log.epoch(epoch_report(0))
        log.epoch(epoch_report(1, metrics=None, s=None, sparsity=None))
    reader = read(tmp_path)
    want = {"train/box", "train/obj", "train/cls", "train/total", "lr", "sparsity/s", "sparsity/share_1e2",
            "sparsity/share_1e3", "sparsity/largest_share_limit", "sparsity/mean_gamma", "metrics/precision",
            "metrics/recall", "metrics/f1", "metrics/map50", "metrics/map", "speed/images_per_second"}
    assert want <= set(reader.Tags()["scalars"])
    assert [(one.step, one.value) for one in reader.Scalars("train/box")] == [(0, 1.25), (1, 0.625)]
    assert [one.step for one in reader.Scalars("metrics/map50")] == [0]
    assert reader.Scalars("lr")[1].value == pytest.approx(0.001)


def test_a_histogram_counts_every_gamma_in_its_bin(tmp_path):
    gammas = np.random.default_rng(0).normal(0, 1, 500).astype(np.float32)
    with TensorBoardLog(tmp_path) as log:
        log.gammas(3, gammas)
        log.gammas(4, np.append(gammas, [np.nan, np.inf]))
        log.gammas(5, np.ones(7))
        log.gammas(6, np.zeros(0))
    events = read(tmp_path).Histograms("bn_weights/hist")
    assert [event.step for event in events] == [3, 4, 5]
    sizes = np.abs(gammas.astype(float))
    for event in events[:2]:
        got = event.histogram_value
        assert (got.num, got.min, got.max) == (500, sizes.min(), sizes.max())
        assert got.sum == pytest.approx(sizes.sum())
        assert got.sum_squares == pytest.approx((sizes**2).sum())
        lower = 0.0
        for upper, count in zip(got.bucket_limit, got.bucket, strict=True):
            inside = (sizes >= lower) & ((sizes < upper) | (upper == got.bucket_limit[-1]))
            assert count == inside.sum()
            lower = upper
    assert sum(events[2].histogram_value.bucket) == 7


@pytest.mark.parametrize("tag", ["before_train_perlayer_bn_weights", "after_train_perlayer_bn_weights"])
def test_histograms_of_layers_have_the_layer_as_step(tmp_path, tag):
    with TensorBoardLog(tmp_path) as log:
        log.layer_gammas(tag, {0: np.ones(4), 7: np.full(3, 0.5), 12: np.zeros(2)})
    events = read(tmp_path).Histograms(f"{tag}/hist")
    assert [(event.step, event.histogram_value.num) for event in events] == [(0, 4), (7, 3), (12, 2)]


def test_a_picture_comes_back_pixel_by_pixel(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    with TensorBoardLog(tmp_path) as log:
        log.image("train_batch", picture, 2)
    (event,) = read(tmp_path).Images("train_batch")
    assert (event.step, event.height, event.width) == (2, 20, 30)
    decoded = cv2.imdecode(np.frombuffer(event.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert (decoded == picture).all()


def test_an_epoch_can_be_read_before_the_log_is_closed(tmp_path):
    log = TensorBoardLog(tmp_path)
    log.epoch(epoch_report(0))
    assert read(tmp_path).Scalars("train/box")[0].value == 1.25
    log.close()


def test_the_folder_is_made_and_a_file_in_its_place_is_an_error(tmp_path):
    TensorBoardLog(tmp_path / "runs" / "a").close()
    assert len(list((tmp_path / "runs" / "a").iterdir())) == 1
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="log cannot be written"):
        TensorBoardLog(tmp_path / "file")


def test_off_writes_nothing_and_needs_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert open_tensorboard(tmp_path, "off") is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_with_the_package_there_is_a_log(tmp_path, mode):
    log = open_tensorboard(tmp_path, mode)
    assert isinstance(log, TensorBoardLog)
    log.close()


@pytest.mark.parametrize("missing", ["tensorboard", "tensorboard.summary.writer.event_file_writer"])
def test_without_the_package_auto_tells_and_on_refuses(tmp_path, monkeypatch, caplog, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "tensorboard":
        for name in [name for name in sys.modules if name.startswith("tensorboard.")]:
            monkeypatch.delitem(sys.modules, name)
    with caplog.at_level(logging.INFO):
        assert open_tensorboard(tmp_path, "auto") is None
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert 'pip install "tensorboard"' in record.getMessage()
    with pytest.raises(EngineError, match='pip install "tensorboard"'):
        open_tensorboard(tmp_path, "on")
    assert not list(tmp_path.iterdir())
