"""Completing a choice of channels: add the best dropped ones until layers, blocks and multiples come out even."""

from __future__ import annotations

import numpy as np

from utils.darknet import Network
from utils.errors import PlanError
from utils.pruning.groups import ChannelGroups
from utils.pruning.selection import overread_shortcuts


def completed(network: Network, groups: ChannelGroups, kept: np.ndarray, scores: np.ndarray, *,
              round_to: int = 1) -> np.ndarray:
    """Add dropped classes, best score first, until the network can follow the choice.

    Kept afterwards: one channel of every layer; equally many channels in each block of a grouped convolution or of
    what a route with groups reads; a multiple of `round_to` (or the whole width) of every convolution; no shortcut
    that Darknet would read past its end. Nothing that was kept is given up, so the result always exists: at worst it is
    the whole network. Among equal scores the class that comes first in the network is added first.

    Args:
        kept: bool per class, shape (groups.count,); fixed classes are added if they are missing.
        scores: a number per class, shape (groups.count,); higher is better.

    Raises:
        PlanError: round_to is less than 1.
    """
    if round_to < 1:
        raise PlanError("", f"round_to={round_to} is no multiple", "give 1, 8, 16 or another positive whole number")
    kept = kept | groups.fixed
    while True:
        before = int(kept.sum())
        _fill_layers(network, groups, kept, scores, round_to)
        _fill_blocks(groups, kept, scores)
        if int(kept.sum()) == before:
            _leave_fast_path(network, groups, kept, scores)
        if int(kept.sum()) == before:
            return kept


def _fill_layers(network: Network, groups: ChannelGroups, kept: np.ndarray, scores: np.ndarray, round_to: int) -> None:
    for layer in network.layers:
        vector = groups.vectors[layer.index]
        count = int(kept[vector].sum())
        multiple = round_to if layer.kind == "convolutional" else 1
        goal = min(len(vector), max(1, -(-count // multiple)) * multiple)
        _keep_at_least(goal, vector, kept, scores)


def _fill_blocks(groups: ChannelGroups, kept: np.ndarray, scores: np.ndarray) -> None:
    for balance in groups.balances:
        while True:
            counts = balance.counts(kept)
            goal = int(counts.max())
            if (counts == goal).all():
                break
            for block in balance.classes.reshape(balance.blocks, -1):
                _keep_at_least(goal, block, kept, scores)


def _keep_at_least(goal: int, vector: np.ndarray, kept: np.ndarray, scores: np.ndarray) -> None:
    """Keep `goal` channels of `vector`, or a few more where one class stands in it several times."""
    short = goal - int(kept[vector].sum())
    if short <= 0:
        return
    dropped, times = np.unique(vector[~kept[vector]], return_counts=True)
    order = np.argsort(-scores[dropped], kind="stable")
    needed = int(np.searchsorted(np.cumsum(times[order]), short)) + 1
    kept[dropped[order[:needed]]] = True


def _leave_fast_path(network: Network, groups: ChannelGroups, kept: np.ndarray, scores: np.ndarray) -> None:
    """Widen what the source of an overread shortcut reads, or the sum, by one class."""
    for layer, _ in overread_shortcuts(network, lambda index: int(kept[groups.vector(index)].sum())):
        source = network.layers[layer.inputs[1]]
        read, total = groups.vector(source.inputs[0]), groups.vectors[layer.index]
        dropped = np.array([], dtype=np.intp)
        for candidates in (np.setxor1d(read, total), np.union1d(read, total)):
            dropped = dropped if len(dropped) else candidates[~kept[candidates]]
        kept[dropped[np.argmax(scores[dropped])]] = True
