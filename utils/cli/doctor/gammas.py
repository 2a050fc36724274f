"""Checks of the batch-norm scales: was there a sparsity training, and does a wanted cut go further than it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np

from utils.cli.doctor.commands import Files, python
from utils.cli.doctor.finding import Finding, fine, look, one_line, wrong
from utils.darknet import Network, Weights
from utils.deploy import is_engine_neutral
from utils.errors import PlanError
from utils.pruning import planned_network, rescued_layers, slim_plan, sparsity_remark
from utils.pruning.slim import slim_cut
from utils.sparsity import SparsityGauge, gauge, pressed_channels

SPARSE = 0.3  # of the gammas below 0.01: a sparsity training that got somewhere
_FAR = 0.1  # by which the share that goes may miss the one that was asked for, without a word
_TARGET = 0.7  # of the gammas; what train.py aims at by itself


def check_gammas(weights: Weights, network: Network, files: Files, percent: float | None) -> Iterator[Finding]:
    """How sparse the network is, how far slim pruning can go, and what a cut of `percent` of the channels would be."""
    if is_engine_neutral(weights):
        text = f"{files.weights} was written with --engine-neutral: its gammas no longer say which channels matter"
        yield (look if percent is None else wrong)("gammas", f"{text}; prune the pair that it was made from")
        return
    try:
        judged = gauge(network, _pressed_gammas(network, weights))
    except PlanError as error:
        yield wrong("gammas", one_line(error))
        return
    yield _check_sparsity(judged, files, percent)
    safe = safe_percent(network, weights)
    yield _check_limit(network, weights, judged, safe)
    if percent is not None:
        yield from _check_cut(network, weights, safe, files, percent)


def _pressed_gammas(network: Network, weights: Weights) -> dict[int, np.ndarray]:
    return {layer: np.abs(weights.layers[layer]["gamma"][flags]) for layer, flags in pressed_channels(network).items()}


def _check_sparsity(judged: SparsityGauge, files: Files, percent: float | None) -> Finding:
    text = (f"{judged.share_1e2:.1%} of the gammas that can go are below 0.01 ({judged.share_1e3:.1%} below 0.001), the median "
            f"is {judged.median_gamma:.3g}")
    if judged.share_1e2 >= SPARSE or percent is not None:  # then the verdict is about that cut
        return fine("gammas", text)
    return look("gammas", f"{text}: trained with little sparsity or none, so a cut by gammas takes channels that matter",
                *_ways_to_sparsity(files, _TARGET))


def _ways_to_sparsity(files: Files, share: float) -> tuple[str, str]:
    """Press the gammas first; or let a repair on images take the place of it."""
    return (python("train.py", *files.with_data, "-sr", "--s", "auto", "--target-sparsity", f"{share:g}"),
            python("compress.py", *files.with_images, "--target", "2x"))


def _check_limit(network: Network, weights: Weights, judged: SparsityGauge, safe: float) -> Finding:
    dead = (f"; {len(judged.collapsed_layers)} layers are dead: all their gammas are below 0.01" if judged.collapsed_layers
            else "")
    first = slim_cut(network, weights, min(safe + 0.01, 0.99), 0.0, "none", "max").rescued
    if not first:
        return fine("limit", f"no --global_percent empties a layer{dead}")
    return fine("limit", f"--global_percent {safe:g} empties no layer, and of more layer {first[0]} would be the first{dead}")


def safe_percent(network: Network, weights: Weights) -> float:
    """The largest share, in whole percent, at which slim pruning need not rescue a layer from being emptied."""
    emptying = bisect_left(range(100), True, key=lambda n: bool(slim_cut(network, weights, n / 100, 0.0, "none", "max").rescued))
    return max(0, emptying - 1) / 100


def _check_cut(network: Network, weights: Weights, safe: float, files: Files, percent: float) -> Iterator[Finding]:
    cut = ("--global_percent", f"{percent:g}")
    try:
        plan = slim_plan(network, weights, percent)
        pruned = planned_network(network, plan)
    except PlanError as error:
        yield wrong("wanted cut", one_line(error))
        return
    unready = sparsity_remark(network, weights, percent)
    if unready is not None:
        yield wrong("wanted cut", f"{percent:.0%}: {unready}", *_ways_to_sparsity(files, percent))
    rescued = rescued_layers(network, weights, plan)
    if rescued:
        shown = ", ".join(map(str, rescued[:8])) + (f" and {len(rescued) - 8} more" if len(rescued) > 8 else "")
        ways = [python("slim_prune.py", *files.with_known_data, *cut, "--layer_keep", "0.1")]
        if safe > 0:
            ways.insert(0, python("slim_prune.py", *files.with_known_data, "--global_percent", f"{safe:g}"))
        yield look("wanted cut", f"{percent:.0%} leaves nothing of layers {shown} but what --layer_keep saves", *ways)
    yield _check_yield(network, pruned, files, percent)
    if unready is None and not rescued:
        yield fine("wanted cut", f"{percent:.0%} takes what sparsity has pressed down, and empties no layer")


def _check_yield(network: Network, pruned: Network, files: Files, percent: float) -> Finding:
    """What a share of channels means in parameters and operations: never the same share."""
    channels = 1 - _width(pruned) / _width(network)
    parameters, work = 1 - pruned.parameters / network.parameters, 1 - pruned.macs / network.macs
    text = (f"{percent:.0%} of the channels that could go would be {channels:.0%} of all channels, {parameters:.0%} of the "
            f"parameters and {work:.0%} of the operations")
    if parameters >= percent - _FAR and work >= percent - _FAR:
        return fine("yield", text)
    times = f"{1 / (1 - percent):.3g}x"
    return look("yield", f"{text}: less than was asked. Where a budget counts, name it",
                python("compress.py", *files.with_images, "--target", f"params:{times}", f"gflops:{times}"))


def _width(network: Network) -> int:
    return sum(layer.shape.channels for layer in network.layers if layer.kind == "convolutional")
