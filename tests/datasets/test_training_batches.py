"""Batches, made by processes or in between."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.datasets.coloured import assert_boxes_fit, write
from utils.datasets import (
    AugmentationOptions,
    ImageCache,
    MultiScale,
    TrainingBatch,
    TrainingBatches,
    TrainingDataset,
    scan_images,
)
from utils.errors import DataError, OptionError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    shapes = np.random.default_rng(0).integers(50, 120, (18, 2)).tolist()
    return scan_images(write(tmp_path_factory.mktemp("set"), shapes, backgrounds=(3, 6)), 6)


@pytest.fixture(scope="module")
def dataset(scan):
    return TrainingDataset(scan, AugmentationOptions())


def same(first: list[TrainingBatch], second: list[TrainingBatch]) -> bool:
    return len(first) == len(second) and all(
        a.indices == b.indices and a.size == b.size and a.number == b.number and torch.equal(a.images, b.images)
        and torch.equal(a.targets, b.targets) for a, b in zip(first, second, strict=True))


def test_a_batch_holds_the_samples_and_says_whose_boxes_they_are(dataset):
    batches = TrainingBatches(dataset, 4, (64, 96), workers=0, seed=5)
    found = list(batches.epoch(1))
    assert len(found) == len(batches) == 5
    assert [len(batch) for batch in found] == [4, 4, 4, 4, 2]
    assert sorted(i for batch in found for i in batch.indices) == list(range(18))
    for batch, request in zip(found, batches.order.requests(1), strict=True):
        assert batch.images.shape == (len(batch), 3, 64, 96)
        assert batch.images.dtype == torch.uint8
        assert batch.targets.dtype == torch.float32
        assert batch.size == (64, 96)
        for i, (index, position) in enumerate(zip(request.indices, request.positions, strict=True)):
            image, labels = dataset.sample(index, position, 1, (64, 96))
            np.testing.assert_array_equal(batch.images[i].numpy(), image)
            np.testing.assert_array_equal(batch.targets[batch.targets[:, 0] == i, 1:].numpy(), labels)


def test_the_batches_are_the_same_whoever_makes_them_and_wherever_one_begins(dataset):
    options = {"seed": 2, "multi_scale": MultiScale(64, 128, every=2), "mosaic_until_epoch": 1}
    plain = TrainingBatches(dataset, 4, (96, 96), workers=0, **options)
    wanted = [list(plain.epoch(epoch)) for epoch in range(2)]
    assert len({batch.size for batch in wanted[0]}) > 1
    assert same(list(plain.epoch(0, start=3)), wanted[0][3:])
    for workers in (1, 2):
        with TrainingBatches(dataset, 4, (96, 96), workers=workers, **options) as batches:
            assert same(list(batches.epoch(0)), wanted[0])
            assert same(list(batches.epoch(1)), wanted[1])
            assert same(list(batches.epoch(1, start=2)), wanted[1][2:])
            early = batches.epoch(0)
            next(early)
            early.close()  # who stops early can begin anew
            assert same(list(batches.epoch(0, start=4)), wanted[0][4:])


def test_boxes_lie_on_their_objects_in_batches_of_every_kind(scan):
    dataset = TrainingDataset(scan, AugmentationOptions(hsv_h=0, hsv_s=0, hsv_v=0), cache=ImageCache.filled(scan, (96, 96)))
    for options in ({"multi_scale": MultiScale(64, 160, every=1)}, {"rect": True},
                    {"rect": True, "multi_scale": MultiScale(64, 160, every=1)}):
        for batch in TrainingBatches(dataset, 4, (96, 96), workers=0, **options).epoch(0):
            for i, image in enumerate(batch.images):
                labels = batch.targets[batch.targets[:, 0] == i, 1:].numpy()
                assert_boxes_fit(image.numpy().transpose(1, 2, 0), labels, 3, 0.055)


def test_the_random_numbers_of_torch_and_numpy_are_left_alone(dataset):
    torch.manual_seed(1)
    np.random.seed(1)
    wanted = torch.rand(3), np.random.rand(3)
    torch.manual_seed(1)
    np.random.seed(1)
    for workers in (0, 1):
        with TrainingBatches(dataset, 6, (64, 64), workers=workers) as batches:
            list(batches.epoch(0))
    assert torch.equal(torch.rand(3), wanted[0])
    assert (np.random.rand(3) == wanted[1]).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_breaks_is_reported_once_or_stops(tmp_path, workers, caplog):
    scan = scan_images(write(tmp_path, [(60, 60)] * 6), 6)
    scan.paths[4].write_bytes(b"nonsense")
    with TrainingBatches(TrainingDataset(scan, AugmentationOptions()), 2, (64, 64), workers=workers) as batches, \
            caplog.at_level(logging.WARNING):
        for epoch in range(3):
            assert len(list(batches.epoch(epoch))) == 3
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"grey takes its place in training: {scan.paths[4]}: is no image")
    strict = TrainingDataset(scan, AugmentationOptions(), strict=True)
    with TrainingBatches(strict, 2, (64, 64), workers=workers) as batches, \
            pytest.raises(DataError, match=r"4.png: is no image") as caught:
        list(batches.epoch(0))
    assert caught.value.remedy == "replace it, or take it off the list"


def workers_of(batches: TrainingBatches) -> list[int]:
    return [worker.pid for worker in batches._loader._iterator._workers]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(what, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.02)
    return what()


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_processes_stay_over_epochs_leave_signals_to_the_training_and_end_with_close(dataset, number):
    with TrainingBatches(dataset, 6, (64, 64), workers=2) as batches:
        list(batches.epoch(0))
        before = workers_of(batches)
        for pid in before:
            os.kill(pid, number)
        list(batches.epoch(1))
        assert workers_of(batches) == before
        assert all(map(alive, before))
    assert wait_until(lambda: not any(map(alive, before)), 5)


class CountsThreads(TrainingDataset):
    """Its samples are full of the number of threads that OpenCV and torch would use."""

    def sample(self, index, position, epoch, size, mosaic=True, *, letterbox=None):
        return np.full((3, *size), max(cv2.getNumThreads(), torch.get_num_threads()), np.uint8), np.zeros((0, 5), np.float32)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes begin with threads of their own")
def test_each_process_computes_with_one_thread(scan):
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(3)
    torch.set_num_threads(3)
    try:
        with TrainingBatches(CountsThreads(scan, AugmentationOptions()), 18, (32, 32), workers=1) as batches:
            assert int(next(batches.epoch(0)).images.max()) <= 1
        assert (cv2.getNumThreads(), torch.get_num_threads()) == (3, 3)
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


@needs_proc
def test_a_process_that_is_killed_is_a_plain_error_and_the_next_epoch_works(dataset):
    with TrainingBatches(dataset, 2, (64, 64), workers=1) as batches:
        running = batches.epoch(0)
        next(running)
        os.kill(workers_of(batches)[0], signal.SIGKILL)
        with pytest.raises(DataError, match=r"reading processes: one of them died .*--workers 0"):
            list(running)
        assert len(list(batches.epoch(0))) == 9


class DiesOnTheWay:
    """A loader whose process dies while the batch it made is handed over."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __iter__(self):
        raise self.error
        yield


@pytest.mark.parametrize("error", [ConnectionResetError(104, "Connection reset by peer"), EOFError()])
def test_a_process_that_dies_while_it_hands_a_batch_over_is_the_same_error(dataset, error, monkeypatch):
    monkeypatch.setattr("utils.datasets.training_batches._loader", lambda *args: DiesOnTheWay(error))
    with TrainingBatches(dataset, 2, (64, 64), workers=1) as batches, \
            pytest.raises(DataError, match="one of them died"):
        list(batches.epoch(0))


SCRIPT = """
import sys, time, torch
from utils.datasets import AugmentationOptions, TrainingBatches, TrainingDataset, scan_images
torch.ones(400, 400) @ torch.ones(400, 400)
batches = TrainingBatches(TrainingDataset(scan_images(sys.argv[1], 6), AugmentationOptions()), 2, (64, 64), workers=2)
for epoch in range(10**6):
    for batch in batches.epoch(epoch):
        if epoch == batch.number == 0:
            print(*(worker.pid for worker in batches._loader._iterator._workers), flush=True)
        time.sleep(0.01)
"""


def started(scan) -> tuple[subprocess.Popen, list[int]]:
    """A process in a group of its own that trains on and on, and the processes that read for it."""
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, scan.source], cwd=ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    return process, [int(word) for word in process.stdout.readline().split()]


@needs_proc
def test_sigterm_to_all_of_them_ends_the_training_and_with_it_those_that_read(scan):
    """As `docker stop` or a scheduler sends it; this training does nothing about it."""
    terminated, readers = started(scan)
    os.killpg(terminated.pid, signal.SIGTERM)
    _, said = terminated.communicate(timeout=20)
    assert terminated.returncode == -signal.SIGTERM
    assert "Traceback" not in said
    assert wait_until(lambda: not any(map(alive, readers)), 5)


@needs_proc
def test_ctrl_c_is_heard_once_and_a_killed_training_leaves_no_processes(scan):
    interrupted, readers = started(scan)
    killed, orphans = started(scan)
    assert len(readers) == len(orphans) == 2
    killed.kill()
    os.killpg(interrupted.pid, signal.SIGINT)
    _, said = interrupted.communicate(timeout=20)
    assert "KeyboardInterrupt" in said
    assert "Process-" not in said  # so a reading process begins what it says, had it heard Ctrl-C
    assert wait_until(lambda: not any(map(alive, readers)), 5)
    killed.communicate()
    assert wait_until(lambda: not any(map(alive, orphans)), 4)


def test_what_makes_no_sense_is_refused(dataset):
    with pytest.raises(OptionError, match="workers: -1 processes cannot be; give 0 or more"):
        TrainingBatches(dataset, 2, (64, 64), workers=-1)
    with pytest.raises(OptionError, match="batch size: 0"):
        TrainingBatches(dataset, 0, (64, 64))


def test_the_room_stays_free_of_torch_until_batches_are_made():
    code = "import sys, utils.datasets; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "False\n"
