"""What Bonsai does with each kind of file: the table of readers that the cases go through."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random

import cv2
import numpy as np

from tests.fuzz import commands, starts
from tests.fuzz.edits import EDITS, damaged
from tests.fuzz.guard import Limits, verdict
from tests.fuzz.starts import Start
from tests.generators import random_weights
from utils.cli.class_names import class_names
from utils.cli.pruning.plan_files import load_plan, plan_differences
from utils.darknet import (
    Network,
    Weights,
    classes_in_file,
    head_convolutions,
    head_training,
    net_training,
    parse_network,
    read_data,
    read_names,
    read_network,
    read_weights,
    with_classes,
)
from utils.datasets import read_coco, read_labels, read_voc, scan_images
from utils.datasets.image_header import image_size
from utils.datasets.images import load_image
from utils.datasets.lists import read_image_names
from utils.deploy.darknet_limits import darknet_problems
from utils.deploy.onnx_graph import onnx_problems
from utils.deploy.opencv_limits import opencv_problems
from utils.errors import BonsaiError, DataError
from utils.pruning import (
    LatencyModel,
    Plan,
    apply_plan,
    channel_groups,
    keep_everything,
    layer_plan,
    planned_network,
    slim_plan,
)

Prepare = Callable[[Path, Start, bytes, Random], Callable[[], object]]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    share: of all cases, relative to the other kinds. edits: a key of EDITS. prepare: writes the damaged file into a folder
    and gives back what Bonsai shall do with it. limits: of that. writes: it may; whoever prepares it looks where.
    """

    share: int
    edits: str
    make_starts: Callable[[], Iterable[Start]]
    prepare: Prepare
    limits: Limits = field(default_factory=Limits)
    writes: bool = False

    @cached_property
    def starts(self) -> tuple[Start, ...]:
        """The whole files that cases begin with."""
        return tuple(self.make_starts())

    def taken(self, name: str, folder: Path) -> str | None:
        """What is wrong with how Bonsai takes a case, None if nothing; `folder`, which is empty, becomes the working directory."""
        rng = Random(name)
        start = rng.choice(self.starts)
        data = damaged(rng, start.data, EDITS[self.edits], [start.data for start in self.starts])
        attempt = self.prepare(folder, start, data, rng)
        before = os.getcwd()
        os.chdir(folder)
        try:
            return verdict(attempt, None if self.writes else folder, self.limits)
        finally:
            os.chdir(before)


def _written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _cfg(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    path = _written(folder, "case.cfg", data)

    def attempt() -> None:
        network = read_network(path)
        assert network.document.to_bytes() == data, "a cfg that is read and written is another"
        again = parse_network(network.document.to_bytes(), str(path))
        assert (again, again.fingerprint) == (network, network.fingerprint)
        assert network.portable().fingerprint == network.fingerprint
        assert network.parameters >= 0
        assert network.bflops >= 0
        for problems in (opencv_problems, darknet_problems, onnx_problems):
            problems(network)
        head_convolutions(network)
        _allowed(lambda: head_training(network))
        _allowed(lambda: net_training(network))
        _allowed(lambda: with_classes(network, 3))
        _allowed(lambda: network.resized(64, 96))
        if sum(layer.shape.channels for layer in network.layers) < 1_000_000:
            channel_groups(network)

    return attempt


def _allowed(attempt: Callable[[], object]) -> None:
    """One of several things to do with a file: that it is refused does not keep the others from being tried."""
    with suppress(BonsaiError):
        attempt()


def _model(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    import torch

    from models import model_with

    def run(network: Network, weights: Weights) -> None:
        shape = network.input_shape
        with torch.no_grad():
            model_with(network, weights)(torch.zeros(1, shape.channels, shape.height, shape.width))

    path = _written(folder, "case.cfg", data)
    seed, share = rng.getrandbits(32), rng.choice((0.2, 0.5, 0.8))

    def attempt() -> None:
        network = read_network(path)
        if not _small(network):
            return
        weights = random_weights(network, seed)
        _allowed(lambda: run(network, weights))
        for plan in (slim_plan(network, weights, share, 0.01), keep_everything(network)):
            smaller, cut = apply_plan(network, weights, plan, "exact")
            assert smaller.parameters <= network.parameters + 10_000
            _allowed(lambda smaller=smaller, cut=cut: run(smaller, cut))
        _allowed(lambda: apply_plan(network, weights, layer_plan(network, weights, 1)))

    return attempt


def _small(network: Network) -> bool:
    """Whether it runs in a moment: what a cfg asks for honestly may take its time."""
    shapes = [network.input_shape, *(layer.shape for layer in network.layers)]
    return len(shapes) < 60 and network.parameters < 100_000 and network.bflops < 0.01 and max(s.size for s in shapes) < 200_000


def _weights(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    path = _written(folder, "case.weights", data)
    network = start.network
    length = rng.choice((None, None, None, 2**40, 2**33 + 20))
    if length is not None:
        with path.open("r+b") as file:
            file.truncate(length)  # sparse: it takes no room
    cutoff = rng.choice((None, None, 0, 1, len(network.layers)))

    def attempt() -> None:
        _allowed(lambda: read_weights(path, network))
        _allowed(lambda: read_weights(path, network, allow_prefix=True))
        _allowed(lambda: read_weights(path, network, cutoff=cutoff))
        _allowed(lambda: classes_in_file(path, network))

    return attempt


def _surroundings(folder: Path) -> None:
    """Two images with labels, a list of them, and names."""
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for i in range(2):
        cv2.imwrite(str(folder / "images" / f"{i}.png"), np.full((12, 20, 3), 90 * i, np.uint8))
        _written(folder / "labels", f"{i}.txt", b"0 0.5 0.5 0.25 0.5\n")
    _written(folder, "train.txt", b"images/0.png\nimages/1.png\n")
    _written(folder, "case.names", b"cat\ndog\n")


def _data(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    _surroundings(folder)
    path = _written(folder, "case.data", data)

    def attempt() -> None:
        found = read_data(path)
        assert found.classes is None or found.classes > 0
        _allowed(lambda: class_names(None, path, 2))
        for source in (found.train, found.valid):
            if source is not None and str(source).strip("/. "):  # not the whole disk
                _allowed(lambda source=source: read_image_names(source, problems=[]))

    return attempt


def _names(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    path = _written(folder, "case.names", data)

    def attempt() -> None:
        assert read_names(path)
        class_names(path, None, 2)

    return attempt


def _labels(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    path = _written(folder, "case.txt", data)

    def attempt() -> None:
        problems: list[DataError] = []
        found = read_labels(path, problems=problems)
        assert np.isfinite(found).all()
        assert found.shape[1:] == (5,)
        assert (found[:, 0] >= 0).all()
        assert (np.abs(found[:, 1:] - 0.5) <= 0.5).all()
        assert all(str(problem) for problem in problems)
        read_labels(path, 3)

    return attempt


def _list(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    _surroundings(folder)
    path = _written(folder, "case.txt", data)

    def attempt() -> None:
        _allowed(lambda: read_image_names(path))
        read_image_names(path, problems=[])
        scan_images(path, 2, cache=None)

    return attempt


def _plan(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    path = _written(folder, "case.json", data)
    network, seed = start.network, rng.getrandbits(32)
    original = Plan.from_json(start.data.decode())

    def attempt() -> None:
        plan = load_plan(path)
        assert Plan.from_json(plan.to_json()) == plan
        plan_differences(plan, original), plan.summary()
        _allowed(lambda: planned_network(network, plan))
        weights = random_weights(network, seed)
        for fold in ("exact", "beta"):
            apply_plan(network, weights, plan, fold)

    return attempt


def _latency(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    network = starts.small_pairs()[0][0]

    def attempt() -> None:
        model = LatencyModel.from_json(data.decode("utf-8", errors="replace"))
        assert LatencyModel.from_json(model.to_json()) == model
        model.predicted_ms(network)

    return attempt


def _checkpoint(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    from models import is_checkpoint, load_checkpoint, load_model
    from utils.training.run_folder import read_resumable

    path = _written(folder, "case.pt", data)
    network = start.network

    def attempt() -> None:
        is_checkpoint(path)
        _allowed(lambda: load_model(network, path))
        _allowed(lambda: read_resumable(path))
        checkpoint = load_checkpoint(path)
        load_model(checkpoint.network(), path)

    return attempt


def _voc(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    _surroundings(folder)
    (folder / "images").rename(folder / "JPEGImages")
    (folder / "Annotations").mkdir()
    _written(folder / "Annotations", "0.xml", data)

    def attempt() -> None:
        for pixels in ("darknet", "exact"):
            found = read_voc(folder, "all", pixels=pixels, difficult="keep")
            for image in found.images:
                _check_boxes(image.labels)

    return attempt


def _check_boxes(labels: np.ndarray) -> None:
    assert np.isfinite(labels).all()
    assert (np.abs(labels[:, 1:3] - 0.5) <= 0.6).all()  # Darknet's script counts from 1, so a centre may lie a pixel outside


def _coco(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    _surroundings(folder)
    path = _written(folder, "case.json", data)

    def attempt() -> None:
        for names in (None, ("dog", "cat")):
            for image in read_coco(path, folder / "images", names, crowd="keep").images:
                _check_boxes(image.labels)

    return attempt


def _image(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    path = _written(folder, rng.choice(("case.png", "case.jpg", "case.bmp")), data)

    def attempt() -> None:
        _allowed(lambda: image_size(path))
        load_image(path)

    return attempt


def _results(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    from utils.reports.training.csv_log import read_results

    path = _written(folder, "results.csv", data)
    return lambda: read_results(path)


KINDS: Mapping[str, Kind] = {
    "cfg": Kind(75, "text", starts.cfg_starts, _cfg),
    "model": Kind(25, "text", starts.model_starts, _model),
    "weights": Kind(40, "weights", starts.weights_starts, _weights),
    "data": Kind(20, "text", starts.data_starts, _data),
    "names": Kind(12, "text", starts.names_starts, _names),
    "labels": Kind(35, "text", starts.label_starts, _labels),
    "list": Kind(20, "text", starts.list_starts, _list),
    "plan": Kind(30, "json", starts.plan_starts, _plan),
    "latency": Kind(6, "json", starts.latency_starts, _latency),
    "checkpoint": Kind(12, "archive", starts.checkpoint_starts, _checkpoint),
    "voc": Kind(10, "text", starts.voc_starts, _voc),
    "coco": Kind(10, "json", starts.coco_starts, _coco),
    "image": Kind(6, "bytes", starts.image_starts, _image),
    "results": Kind(3, "text", starts.results_starts, _results),
    "command": Kind(1, "bytes", commands.command_starts, commands.prepare, Limits(seconds=60, bytes=2 * 2**30), writes=True),
}
