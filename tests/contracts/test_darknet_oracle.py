"""Every recorded output of AlexeyAB's executable, and real pairs trained by others, against our networks.

The lists come from the folders: a case or probe that is added there is tested here. Differences are measured as
|d| / max(1, |reference|), the worst over all numbers.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from models import Darknet, get_weights, load_model, save_weights
from tests.shared import SHARED, needs_shared
from utils.darknet import read_network, read_weights
from utils.darknet.sections import REFUSED
from utils.errors import CfgError

pytestmark = needs_shared

DARKNET, REAL = SHARED / "darknet", SHARED / "weights"
HEAVY = 280_000_000  # bytes of weights; beyond that a case takes longer than all probes together


def names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []


def cases() -> list:
    marked = []
    for name in names(DARKNET / "cases"):
        size = json.loads((DARKNET / "cases" / f"{name}.json").read_text())["weights_bytes"]
        marked.append(pytest.param(name, marks=pytest.mark.slow if size > HEAVY else ()))
    return marked


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """gen.py and compare.py of the recorded references, imported by path."""
    loaded = {}
    for name in ("gen", "compare"):  # compare imports gen by that name
        spec = importlib.util.spec_from_file_location(name, DARKNET / f"{name}.py")
        loaded[name] = importlib.util.module_from_spec(spec)
        sys.modules[name] = loaded[name]
        spec.loader.exec_module(loaded[name])
    yield loaded
    for name in loaded:
        del sys.modules[name]


class Recorded:
    """One case or probe: its cfg, its spec, its arrays, and the weights and the input made again from their seeds."""

    def __init__(self, tools: dict, folder: str, name: str) -> None:
        stem = DARKNET / folder / name
        self.gen, self.compare = tools["gen"], tools["compare"]
        self.cfg = Path(f"{stem}.cfg")
        self.spec = json.loads(Path(f"{stem}.json").read_text())
        with np.load(f"{stem}.npz") as arrays:
            self.arrays = dict(arrays)

    def weights(self) -> bytes:
        spec = self.spec
        made = self.gen.make_weights(str(self.cfg), spec["weights_seed"], spec["exp"], spec["header"],
                                     spec.get("varmode"))
        assert hashlib.sha256(made).hexdigest() == spec["weights_sha256"], "another numpy draws other weights"
        return made

    def model(self, **options: bool) -> Darknet:
        with tempfile.TemporaryDirectory() as folder:  # not tmp_path: pytest would keep gigabytes
            path = Path(folder, "recorded.weights")
            path.write_bytes(self.weights())
            return load_model(self.cfg, path, **options).eval()

    def image(self) -> torch.Tensor:
        spec = self.spec
        image = self.gen.make_input(spec["input_seed"], spec["channels"], spec["height"], spec["width"])
        assert hashlib.sha256(image.tobytes()).hexdigest() == spec["input_sha256"]
        return torch.from_numpy(image[None])

    def difference(self, got: np.ndarray, reference: np.ndarray) -> float:
        return self.compare.diff(got, reference)[1]


def as_darknet(raw: torch.Tensor) -> np.ndarray:
    """A head's raw output (1, A, gy, gx, E) as the map (A*E, gy, gx) that Darknet feeds it."""
    return raw[0].permute(0, 3, 1, 2).flatten(0, 1).numpy()


@pytest.mark.parametrize("name", cases())
def test_a_detector_computes_what_darknet_computes_fused_and_not(name, tools):
    case = Recorded(tools, "cases", name)
    model = case.model()
    with torch.no_grad():
        raw = model(case.image())[1]
        fused = model.fuse()(case.image())[1]
    del model
    gc.collect()
    assert len(raw) == len(case.spec["heads"])
    for head, got, again in zip(case.spec["heads"], raw, fused, strict=True):
        activated = case.compare.head_activate(as_darknet(got), head)
        assert case.difference(activated, case.arrays[f"head{head['layer']}"]) < 1e-4
        assert case.difference(as_darknet(again), as_darknet(got)) < 1e-4


def refusal(tools: dict, cfg: Path) -> str | None:
    """A word of the message with which a cfg must be refused, or None: sections and comments that we do not read."""
    for kind, options in tools["gen"].read_cfg(cfg)[1:]:
        if kind in REFUSED:
            return rf"\[{kind}\]"
        if "#" in options.get("activation", ""):
            return "comment"
    return None


@pytest.mark.parametrize("name", names(DARKNET / "probes"))
def test_a_single_feature_computes_what_darknet_computes(name, tools):
    probe = Recorded(tools, "probes", name)
    word = refusal(tools, probe.cfg)
    if word:
        with pytest.raises(CfgError, match=rf"{name}\.cfg:\d+: .*{word}"):
            read_network(probe.cfg)
        return
    model = probe.model(darknet_cpu=True)
    last = len(model.layers) - 1
    with torch.no_grad():
        got = model.forward_layers(probe.image(), [last])[last].detach()
    layer = model.network.layers[last]
    if layer.is_head:
        options = tools["gen"].read_cfg(probe.cfg)[-1][1]
        head = {"type": probe.spec["last_layer"][1], "options": options, "shape": as_darknet(got).shape}
        out = probe.compare.head_activate(as_darknet(got), head)
    else:
        out = got[0].numpy()
        assert out.shape == (layer.shape.channels, layer.shape.height, layer.shape.width)
    assert probe.difference(out, probe.arrays["out"]) < 1e-5


@pytest.mark.parametrize("name", [name for name in names(DARKNET / "probes")
                                  if name in ("act_relu6", "shortcut_relu6_cpu", "activation_layer_mish_cpu")])
def test_the_zeros_of_darknets_cpu_build_are_recorded_and_not_our_default(name, tools):
    probe = Recorded(tools, "probes", name)
    assert not probe.arrays["out"].any()
    model = probe.model()
    last = len(model.layers) - 1
    with torch.no_grad():
        assert model.forward_layers(probe.image(), [last])[last].any()


def real_pairs() -> list[str]:
    return sorted(path.parent.name for path in REAL.glob("*/model.weights"))


@pytest.mark.parametrize("name", real_pairs())
def test_a_real_pair_gives_the_recorded_heads_and_its_bytes_back(name, tools, tmp_path):
    cfg, weights = REAL / name / "model.cfg", REAL / name / "model.weights"
    model = load_model(cfg, weights).eval()
    with np.load(REAL / "raw_heads" / f"{name}.npz") as arrays:
        image = torch.from_numpy(arrays["input_u8"].transpose(2, 0, 1)[None].astype(np.float32) / 255)
        with torch.no_grad():
            raw = model(image)[1]
        for head, got in zip(model.network.heads, raw, strict=True):
            assert tools["compare"].diff(as_darknet(got), arrays[f"head_{head.index}"])[1] < 1e-4
    save_weights(model, tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == weights.read_bytes()


@pytest.mark.parametrize("name", real_pairs())
def test_weights_pass_through_a_model_bit_for_bit(name):
    network = read_network(REAL / name / "model.cfg")
    before = read_weights(REAL / name / "model.weights", network)
    after = get_weights(load_model(network, REAL / name / "model.weights"))
    assert after.header == before.header
    for ours, theirs in zip(after.layers, before.layers, strict=True):
        assert {key: value.tobytes() for key, value in ours.items()} == \
            {key: value.tobytes() for key, value in theirs.items()}
