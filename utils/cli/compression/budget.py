"""From the words of --target to limits that a plan can be held to, and to what cuts should save."""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from utils.cli.compression.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from utils.darknet import Network
    from utils.pruning import LatencyModel, Limit
    from utils.pruning.class_costs import CostUnit
    from utils.pruning.orders import Units

_logger = logging.getLogger(__name__)

_WITHIN = 0.05  # what a limit that is met already counts as having to go; the logarithm of a ratio


class Budget:
    """What is asked of a compressed network. latency: the model behind a latency target, None without one."""

    def __init__(self, args: argparse.Namespace, network: Network, targets: Sequence[Target]) -> None:
        self._network, self._targets = network, tuple(targets)
        self.latency: LatencyModel | None = None
        if any(target.quantity == "latency" for target in targets):
            self.latency = _latency_model(args, network)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """One per target."""
        from utils.pruning import Limit

        result = []
        for target in self._targets:
            name, cost = self._cost(target.quantity)
            most = target.most * cost(self._network) if target.relative else target.most
            result.append(Limit(name, cost, most))
        return tuple(result)

    def units(self, network: Network) -> Units:
        """What a cut of `network` should save: each targeted quantity by how far it still has to go.

        A quantity that is within its limit counts a little: what others ask for should not be had at its cost.
        """
        result: list[tuple[CostUnit, float]] = []
        for target, limit in zip(self._targets, self.limits, strict=True):
            quantity, distance = target.quantity, max(_WITHIN, math.log(limit.excess(network)))
            weight = distance / limit.cost(self._network)
            if quantity == "latency" and self.latency is not None:
                result.append((_marginal(self.latency.marginal_ms(network)), weight))
            elif quantity == "gflops":
                result.append(("macs", distance / self._network.macs))
            else:
                result.append(("parameters", distance / self._network.parameters))
        return tuple(result)

    def _cost(self, quantity: str) -> tuple[str, Callable[[Network], float]]:
        from utils.pruning import NetworkCost

        if quantity == "latency" and self.latency is not None:
            return "ms", self.latency.predicted_ms
        if quantity == "gflops":
            return "GFLOPs", lambda network: network.bflops
        if quantity == "size":
            return "bytes of weights", lambda network: NetworkCost.of(network).weights_bytes
        return "parameters", lambda network: network.parameters


def _marginal(milliseconds: Mapping[int, tuple[float, float]]) -> CostUnit:
    """What a channel of each layer, written and read, saves."""
    return lambda layer, filters, channels: milliseconds.get(layer.index, (0.0, 0.0))


def _latency_model(args: argparse.Namespace, network: Network) -> LatencyModel:
    from utils.cli.progress import progress_bar
    from utils.deploy import measure_latency_model

    done = 0
    with progress_bar("timing layers", None, unit="table", quiet=args.quiet) as advance:
        def progress(now: int, total: int) -> None:
            nonlocal done
            advance(now - done, f"of {total}")
            done = now

        model = measure_latency_model(network, args.engine, threads=args.threads, progress=progress)
    _logger.info("%s takes %.2f ms for one image in %s", network.path, model.measured_ms, args.engine)
    return model
