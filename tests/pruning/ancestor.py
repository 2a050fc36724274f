"""The rules of the well-known pruning scripts, from their description and for their kind of network only.

Networks: convolutions, shortcuts of two, routes, maxpools, upsamples. Everything by layer number and by loops; knows nothing
of channel groups. Gives masks, {layer: bool per channel}, of all convolutions with batch norm.
"""

from __future__ import annotations

import numpy as np

from utils.darknet import Network, Weights

Masks = dict[int, np.ndarray]


def gammas_of(weights: Weights) -> Masks:
    return {i: np.abs(arrays["gamma"]) for i, arrays in enumerate(weights.layers) if "gamma" in arrays}


def unprunable(network: Network, *, shortcuts: bool) -> set[int]:
    kinds = [layer.kind for layer in network.layers]
    out = set()
    for i, kind in enumerate(kinds):
        after = [*kinds[i + 1:i + 3], "", ""]
        if kind == "convolutional" and after[0] == "maxpool" and after[1] == "route":
            out.add(i)
        if kind == "convolutional" and after[0] == "route" and network.layers[i + 1].options.groups > 1:
            out.add(i)
        if kind == "upsample":
            out.add(i - 1)
        if kind == "shortcut" and shortcuts:
            out |= {i - 1, _convolution_of(kinds, network.layers[i].inputs[1])}
    return out


def _convolution_of(kinds: list[str], source: int) -> int:
    return source - 1 if kinds[source] == "shortcut" else source


def normal_masks(network: Network, weights: Weights, percent: float) -> Masks:
    gamma, out = gammas_of(weights), unprunable(network, shortcuts=True)
    v = np.sort(np.concatenate([g for i, g in gamma.items() if i not in out]))
    thre = v[int(len(v) * percent)]
    masks = {i: np.ones(len(g), bool) if i in out else g >= thre for i, g in gamma.items()}
    return {i: mask if mask.any() else gamma[i] == gamma[i].max() for i, mask in masks.items()}


def shortcut_masks(network: Network, weights: Weights, percent: float) -> Masks:
    gamma, out = gammas_of(weights), unprunable(network, shortcuts=False)
    kinds = [layer.kind for layer in network.layers]
    leader = {i - 1: _convolution_of(kinds, network.layers[i].inputs[1]) for i, k in enumerate(kinds) if k == "shortcut"}
    v = np.sort(np.concatenate([g for i, g in gamma.items() if i not in out and i not in leader]))
    thre = v[int(len(v) * percent)]
    masks: Masks = {}
    for i, g in gamma.items():
        if i in leader:
            masks[i] = masks[leader[i]]
        else:
            masks[i] = np.ones(len(g), bool) if i in out else g >= thre
            if not masks[i].any():  # once for the leader, which all followers copy: the ancestor chose for each anew
                masks[i] = g == g.max()
    return masks


def slim_masks(network: Network, weights: Weights, percent: float, layer_keep: float, *, exclude: bool = True) -> Masks:
    """exclude: leave alone what the published script does; without it SlimYOLOv3's rule is left."""
    gamma, out = gammas_of(weights), unprunable(network, shortcuts=False) if exclude else set()
    v = np.sort(np.concatenate([g for i, g in gamma.items() if i not in out]))
    thre = v[int(len(v) * percent)]
    masks = {i: np.ones(len(g), bool) if i in out else g > thre for i, g in gamma.items()}
    for i, g in gamma.items():
        least = max(1, int(len(g) * layer_keep))
        if masks[i].sum() < least:
            masks[i][np.argsort(-g)[:least]] = True
    visited: set[int] = set()
    for i in reversed(range(len(network.layers))):
        if network.layers[i].kind != "shortcut" or i in visited:
            continue
        members, here = [], i
        while network.layers[here].kind == "shortcut":
            visited.add(here)
            members.append(here - 1)
            here = network.layers[here].inputs[1]
        members.append(here)
        merged = np.any([masks[m] for m in members], axis=0)
        masks.update(dict.fromkeys(members, merged))
    return masks


def doomed_shortcuts(network: Network, scores: dict[int, float], count: int) -> list[int]:
    """The shortcuts that go, ascending; scores: of each, by the number of the shortcut."""
    return sorted(sorted(scores, key=scores.__getitem__)[:count])
