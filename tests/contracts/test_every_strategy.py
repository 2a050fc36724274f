"""Every strategy on every cfg that is at hand: what is cut computes what was masked, and other engines agree.

Sources: the cfgs that ship, every recorded case, every trained pair. Each meets all five strategies, with a light and a heavy
cut. Inputs are small, so that the border of a map is a large part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.generators import random_weights
from tests.pruning.reference import heads, random_image
from tests.shared import SHARED
from utils.darknet import Network, Weights, parse_network, read_network, read_weights, write_cfg, write_weights
from utils.deploy import verify_pair
from utils.errors import CfgError, PlanError
from utils.pruning import (
    Plan,
    apply_plan,
    carried_out,
    layer_channel_plan,
    layer_plan,
    masked_weights,
    normal_plan,
    residual_blocks,
    shortcut_plan,
    slim_plan,
)

ROOT = Path(__file__).resolve().parents[2]
HEAVY = 12_000_000  # parameters; beyond that a source takes tens of seconds

Strategy = Callable[[Network, Weights], Plan]

STRATEGIES: dict[str, Strategy] = {
    "normal-0.2": lambda n, w: normal_plan(n, w, 0.2),
    "normal-0.8": lambda n, w: normal_plan(n, w, 0.8),
    "shortcut-0.2": lambda n, w: shortcut_plan(n, w, 0.2),
    "shortcut-0.8": lambda n, w: shortcut_plan(n, w, 0.8),
    "slim-0.2": lambda n, w: slim_plan(n, w, 0.2),
    "slim-0.8": lambda n, w: slim_plan(n, w, 0.8),
    "layer-1": lambda n, w: layer_plan(n, w, 1),
    "layer-all": lambda n, w: layer_plan(n, w, len(residual_blocks(n))),
    "layer-channel-light": lambda n, w: layer_channel_plan(n, w, 1, 0.2),
    "layer-channel-heavy": lambda n, w: layer_channel_plan(n, w, len(residual_blocks(n)), 0.8),
}


def sources() -> list:
    """Cfgs, recorded cases and trained pairs; heavy ones are slow."""
    found = sorted((ROOT / "cfg").glob("*.cfg")) + sorted(SHARED.glob("darknet/cases/*.cfg"))
    found += sorted(SHARED.glob("weights/*/model.cfg"))
    marked = []
    for path in found:
        try:
            heavy = read_network(path).parameters > HEAVY
        except CfgError:
            continue  # what this toolkit refuses; the contract of the format names those
        name = path.parent.name if path.stem == "model" else f"{path.parent.name}-{path.stem}"
        marked.append(pytest.param(path, id=name, marks=pytest.mark.slow if heavy else ()))
    return marked


def loaded(cfg: Path) -> tuple[Network, Weights]:
    """The network at a small size, with trained weights where they lie beside it."""
    network = read_network(cfg)
    small = 64 if max(network.net.height, network.net.width) // 64 else 32
    weights = cfg.with_suffix(".weights")
    if weights.is_file():
        arrays = read_weights(weights, network)
    else:
        arrays = random_weights(network, 1)
        for layer in arrays.layers:
            if "gamma" in layer:
                layer["gamma"] *= 0.7  # or the sums of 30 blocks grow until float32's rounding is all that one sees
    return network.resized(small, small), arrays


@pytest.mark.parametrize("cfg", sources())
def test_what_a_strategy_cuts_computes_what_it_masked(cfg, tmp_path):
    network, weights = loaded(cfg)
    x = random_image(network)[:1]
    for name, strategy in STRATEGIES.items():
        if name in ("layer-1", "layer-channel-light") and not residual_blocks(network):
            with pytest.raises(PlanError, match="no residual block that could go"):
                strategy(network, weights)
            continue
        plan = strategy(network, weights)
        smaller, cut = apply_plan(network, weights, plan, "exact")
        assert parse_network(smaller.document.to_bytes(), smaller.path) == smaller
        assert not carried_out(network, weights, plan, "exact").approximate_layers, name
        masked = heads(network, masked_weights(network, weights, plan), x)
        for head, before in zip(heads(smaller, cut, x), masked, strict=True):
            difference = np.abs(head - before).max() / max(1.0, np.ptp(before))
            assert difference < 1e-5, (name, difference)
        write_cfg(tmp_path / "cut.cfg", smaller)
        write_weights(tmp_path / "cut.weights", smaller, cut, seen=0)
        assert (tmp_path / "cut.weights").stat().st_size == 20 + 4 * smaller.parameters
        report = verify_pair(tmp_path / "cut.cfg", tmp_path / "cut.weights", None, ["opencv"])
        assert report.status != "differs", (name, str(report))
