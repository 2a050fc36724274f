"""Recorded networks: cfg, weights and input made again, beside what the real Darknet computed from them."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tests.shared import SHARED

DARKNET = SHARED / "darknet"
PAIRS = tuple(sorted(p.parent.name for p in SHARED.glob("weights/*/model.cfg")))

# AlexeyAB's CPU build gives 0 for these activations in these sections (a missing case in its switch); nobody copies that.
ZEROS_ON_CPU = frozenset({"act_relu6", "shortcut_relu6_cpu", "activation_layer_mish_cpu"})
# Refused by our own reader: a locally connected layer, and a comment that becomes part of an activation's name.
UNREADABLE = frozenset({"local", "syntax_activation_trailing_comment"})


@dataclass(frozen=True)
class Recording:
    """A pair on disk, an image (1, C, H, W), the recorded arrays, and the description that came with them."""

    name: str
    cfg: Path
    weights: Path
    image: np.ndarray
    arrays: dict[str, np.ndarray]
    spec: dict[str, Any]


def names(kind: str) -> list[str]:
    """All recordings of a kind, "probes" or "cases"; none without the folder of references."""
    return sorted(p.stem for p in (DARKNET / kind).glob("*.json") if p.stem not in UNREADABLE)


def recording(kind: str, name: str, folder: Path) -> Recording:
    """Make a recorded network's weights and image again; the weights go to `folder`."""
    gen = module("gen")
    spec = json.loads((DARKNET / kind / f"{name}.json").read_text())
    cfg, weights = DARKNET / kind / f"{name}.cfg", folder / f"{name}.weights"
    weights.write_bytes(gen.make_weights(str(cfg), spec["weights_seed"], spec.get("exp"), spec.get("header", "v2"),
                                         spec.get("varmode")))
    image = gen.make_input(spec["input_seed"], spec["channels"], spec["height"], spec["width"])[None]
    with np.load(DARKNET / kind / f"{name}.npz") as arrays:
        return Recording(name, cfg, weights, image, dict(arrays), spec)


def activated(raw: np.ndarray, head: dict[str, Any]) -> np.ndarray:
    """What Darknet's head layer makes of one image's raw map (C, gy, gx)."""
    return np.asarray(module("compare").head_activate(raw, head))


def distance(got: np.ndarray, want: np.ndarray) -> float:
    """Largest difference, relative to the recorded values where these are above 1; infinite for another size."""
    got, want = np.asarray(got, np.float64).ravel(), np.asarray(want, np.float64).ravel()
    if got.shape != want.shape or not np.isfinite(got).all():
        return float("inf")
    return float((np.abs(got - want) / np.maximum(1, np.abs(want))).max())


@cache
def module(name: str) -> ModuleType:
    """gen.py or compare.py of the folder of references."""
    spec = importlib.util.spec_from_file_location(name, DARKNET / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    if name != "gen":
        module("gen")  # compare.py imports it by this name
    spec.loader.exec_module(loaded)
    return loaded
