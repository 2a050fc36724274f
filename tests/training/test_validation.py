"""What a training measures in between is what test.py would measure, and it leaves the network as it was."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from models import Darknet
from tests.training.small_trainer import cfg
from utils.darknet import parse_network
from utils.datasets import DetectionDataset
from utils.datasets.demo import generate
from utils.detection import evaluate
from utils.training.distributed import Processes
from utils.training.evaluation import detect_dataset
from utils.training.model_engine import ModelEngine
from utils.training.trainer import StopEvaluation
from utils.training.validation import Validation

NAMES = ("circle", "square")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> DetectionDataset:
    """Nine drawn images of different shapes."""
    data = generate(tmp_path_factory.mktemp("drawn"), images=18, size=(40, 64), classes=NAMES, seed=3, valid_share=0.5)
    return DetectionDataset.read(data.parent / "valid.txt", NAMES)


def validation(dataset: DetectionDataset, processes: Processes | None = None, *, shown: list | None = None, **options) -> Validation:
    """Without a bar; `shown` collects what it would show."""
    @contextmanager
    def bar(description, total):
        yield (shown if shown is not None else []).append

    return Validation(dataset, parse_network(cfg()), NAMES, bar=bar, workers=0,
                      processes=processes or Processes(), **{"letterbox": False, "rect": False, "batch_size": 4, **options})


@pytest.fixture
def model() -> Darknet:
    """A network whose batch norms have seen something, and whose boxes are found somewhere."""
    torch.manual_seed(0)
    model = Darknet(parse_network(cfg()), init=False).initialise(1).train()
    for _ in range(20):
        model(torch.rand(4, 3, 32, 32))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


@pytest.mark.parametrize(("letterbox", "rect"), [(False, False), (True, False), (True, True)])
def test_the_figures_are_those_of_an_evaluation_of_the_plain_network(dataset, model, letterbox, rect):
    check = validation(dataset, letterbox=letterbox, rect=rect)
    before = copy.deepcopy(model.state_dict())
    figures = check(model)
    found = detect_dataset(ModelEngine(model), model.network, dataset, letterbox=letterbox, rect=rect, batch_size=3)
    expected = evaluate(found.detections, found.labels, found.sizes, NAMES)
    assert figures["map50"] == pytest.approx(expected.map50_coco, abs=1e-6)
    assert figures["map"] == pytest.approx(expected.map, abs=1e-6)
    assert figures["f1"] == pytest.approx(expected.f1, abs=1e-6)
    assert sum(map(len, check.last)) == sum(map(len, found.detections)) > 20
    assert model.training
    assert not model.fused
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_it_ends_early_where_it_is_asked_to(dataset, model):
    shown: list[int] = []
    with pytest.raises(StopEvaluation):
        validation(dataset, shown=shown)(model, lambda: True)
    assert sum(shown) == 4, "one batch of nine images"



def test_two_shares_make_the_whole_and_statistics_are_the_main_ones(dataset, model):
    """Each process detects in every second image, with its own statistics before this and with those of rank 0 after it."""
    alone = validation(dataset)
    expected = alone(model)
    said: dict[int, list] = {}
    heard: list = []

    class Two(Processes):
        def broadcast(self, value):
            if self.rank == 0:
                heard.append(value)
            return heard[-1] if self.rank == 0 else heard[0]

        def gather(self, value):
            said[self.rank] = value
            return [said[0], said[1]] if self.rank == 0 and 1 in said else None

    other = copy.deepcopy(model)
    for buffer in other.buffers():
        buffer.mul_(3)  # what rank 1 has seen
    validation(dataset, Two(rank=0, world=2))(model)  # for its statistics
    validation(dataset, Two(rank=1, world=2))(other)
    check = validation(dataset, Two(rank=0, world=2))
    assert check(model) == pytest.approx(expected)
    for ours, theirs in zip(check.last, alone.last, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
