"""A pruned network repaired on images, without labels and without training: each convolution is fitted to the old one.

The old and the new network run in lockstep. At every convolution that something was cut before, its kernel is corrected so
that it gives, from what the new network has, what the old one gave before batch norm; the rest goes into the running mean
or the bias. Then the new network goes on with its own repaired maps, so later layers mend what earlier ones could not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models import get_weights, model_with
from utils.darknet import Fresh, Layer, Network, Weights
from utils.errors import DataError
from utils.layers import ConvolutionalLayer, channels_last
from utils.layers.normalisation import batch_norm_arrays
from utils.pruning import ChannelGroups, Plan, apply_plan, channel_groups, kept_classes
from utils.pruning.reconstruction import Correction, Moments, Positions, corrected
from utils.pruning.selection import chosen_blocks, removed_layers
from utils.training.lockstep import Lane, blocks_at, on_device

IMAGES_PER_BLOCK = 4
_HELD_OUT_EVERY = 4  # of so many images, one is not used to solve anything

Advance = Callable[..., None]


@dataclass(frozen=True)
class Sampling:
    """How much of the images is looked at.

    positions: of a convolution's output, over all images. held_out: of these, on images that the solution does not see.
    memory: for the maps of both networks, in bytes. seed: of the random choice of positions.
    """

    positions: int = 12_000
    held_out: int = 3_000
    memory: int = 1 << 30
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A repaired pair.

    layers: what became of each convolution that was corrected, by its index in the old network; the kernels are left out.
    heads: per head, in cfg order, the share of the variance of what it reads that the new network misses, on held-out images.
    """

    network: Network
    weights: Weights
    layers: Mapping[int, Correction]
    heads: tuple[float, ...]

    @property
    def residual(self) -> float:
        """The mean over the heads: 0 is a network that does what it did."""
        return float(np.mean(self.heads)) if self.heads else 0.0


def reconstructed(network: Network, weights: Weights, plan: Plan, images: np.ndarray, *,
                  start: tuple[Network, Weights] | None = None, device: str = "cpu", sampling: Sampling | None = None,
                  advance: Advance | None = None) -> Reconstruction:
    """Carry a plan out and repair what is left; a plan that keeps everything changes nothing.

    Args:
        images: (N, C, H, W) float32 in [0, 1], at the network's size, 2 or more. Of every four the second is held out.
        start: the new network as it is before the repair, for example from an earlier round; None cuts it from the old one.
        advance: called with 1 after each layer of the old network.

    Raises:
        PlanError, WeightsError: as `apply_plan`. DataError: fewer than two images, or a network that computes NaN on them.
    """
    if len(images) < 2:
        raise DataError("calibration", f"has {len(images)} image, and one must be held out", "give two or more images")
    smaller, cut = start or apply_plan(network, weights, plan, "beta")
    if plan.keeps_everything:
        return Reconstruction(smaller, cut, {}, (0.0,) * len(network.heads))
    run = _Run(network, weights, plan, smaller, cut, torch.device(device), sampling or Sampling())
    return run.through(images, advance or (lambda *_: None))


class _Run:
    """One pass through both networks."""

    def __init__(self, network: Network, weights: Weights, plan: Plan, smaller: Network, cut: Weights,
                 device: torch.device, sampling: Sampling) -> None:
        self._network, self._smaller, self._cut, self._device, self._sampling = network, smaller, cut, device, sampling
        self._old = Lane(channels_last(model_with(network, weights).to(device)))
        self._new = Lane(channels_last(model_with(smaller, cut).to(device)))
        groups = channel_groups(network)
        kept = kept_classes(network, groups, plan)
        self._kept = [torch.from_numpy(np.flatnonzero(kept[vector])).to(device) for vector in groups.vectors]
        gone = removed_layers(chosen_blocks(network, plan.blocks))
        self._place = {layer.index: number for number, layer in
                       enumerate(layer for layer in network.layers if layer.index not in gone)}
        self._touched = _touched(network, gone, groups, kept)
        self._shared = {layer.options.share_index for layer in network.layers
                        if getattr(layer.options, "share_index", None) is not None}
        self._generator = np.random.default_rng(sampling.seed)
        self._blocks: list[_Block] = []
        self._corrections: dict[int, Correction] = {}
        self._heads: list[float] = []

    def through(self, images: np.ndarray, advance: Advance) -> Reconstruction:
        """Layer by layer; before each, as many blocks of images join as memory then has room for."""
        blocks = _blocks(len(images))
        schedule = blocks_at((self._network, self._smaller), len(blocks), IMAGES_PER_BLOCK, self._sampling.memory)
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for layer in self._network.layers:
                while len(self._blocks) < schedule[layer.index]:
                    self._blocks.append(blocks[len(self._blocks)])
                    block = on_device(images[self._blocks[-1].images], self._device)
                    self._old.join(block, layer.index)
                    self._new.join(block, self._place.get(layer.index, self._next_place(layer.index)))
                self._layer(layer)
                advance(1)
        repaired = get_weights(self._new.model.cpu())
        changes = {place: repaired.layers[place] for place in map(self._place.__getitem__, self._corrections)}
        return Reconstruction(self._smaller, self._cut.with_layers(changes), self._corrections, tuple(self._heads))

    def _next_place(self, index: int) -> int:
        """Where in the new network a layer would stand that went."""
        return sum(old < index for old in self._place)

    def _layer(self, layer: Layer) -> None:
        index, place = layer.index, self._place.get(layer.index)
        if layer.is_head:
            self._heads.append(self._missed_at_head(index, self._place[index]))
        if place is not None and self._is_repaired(layer):
            self._repair(index, place)
        else:
            for number in range(len(self._blocks)):
                self._old.step(number, index)
        if place is None:
            return
        for number in range(len(self._blocks)):
            self._new.step(number, place)

    def _repair(self, index: int, place: int) -> None:
        """Run a convolution of the old network, and correct that of the new one by what it gives."""
        old, new = self._old.model.layers[index], self._new.model.layers[place]
        assert isinstance(old, ConvolutionalLayer)
        assert isinstance(new, ConvolutionalLayer)
        sample = _Sample(new, self._kept[index], self._quota(), self._generator)
        for number, block in enumerate(self._blocks):
            before_norm = old.convolved(self._old.inputs(number, index)[0])
            sample.add(self._new.inputs(number, place)[0], before_norm, held_out=block.held_out)
            self._old.put(number, index, old.finished(before_norm))
        self._corrections[index] = _correct(new, old, self._kept[index], *sample.result())

    def _is_repaired(self, layer: Layer) -> bool:
        return (layer.kind == "convolutional" and layer.index in self._touched and len(layer.stored) == len(layer.arrays)
                and layer.index not in self._shared and layer.options.share_index is None)

    def _quota(self) -> tuple[int, int]:
        """Positions to take from each image: of those that solve, and of those that are held out."""
        held_out = sum(len(block.images) for block in self._blocks if block.held_out)
        others = sum(len(block.images) for block in self._blocks) - held_out
        return -(-self._sampling.positions // others), -(-self._sampling.held_out // held_out)

    def _missed_at_head(self, index: int, place: int) -> float:
        """Share of the variance of what a head reads that the new network misses, per channel, on held-out images."""
        held_out = [number for number, block in enumerate(self._blocks) if block.held_out]
        old, new = (torch.cat([lane.inputs(number, at)[0] for number in held_out]).double()
                    for lane, at in ((self._old, index), (self._new, place)))
        error = float((old - new).square().sum())
        total = float((old - old.mean(dim=(0, 2, 3), keepdim=True)).square().sum())
        return error / total if total > 0 else float(error > 0)


class _Sample:
    """Positions of one convolution's output: what the new network reads there, and what the old one gave.

    module: of the new network. kept: those of the old filters that are left. quota: positions per image, see `_quota`.
    """

    def __init__(self, module: ConvolutionalLayer, kept: Tensor, quota: tuple[int, int],
                 generator: np.random.Generator) -> None:
        self._module, self._kept, self._quota, self._generator = module, kept, quota, generator
        self._sums: _Sums | None = None
        self._held_out: list[tuple[Tensor, Tensor]] = []

    def add(self, x: Tensor, y: Tensor, *, held_out: bool) -> None:
        """x: (N, C, H, W) of the new network. y: (N, filters, H', W') of the old one, before batch norm."""
        count = y.shape[0] * y.shape[2] * y.shape[3]
        wanted = min(count, self._quota[held_out] * len(y))
        chosen = torch.from_numpy(np.sort(self._generator.choice(count, wanted, replace=False))).to(x.device)
        targets = y.permute(0, 2, 3, 1).reshape(count, -1)[chosen][:, self._kept]
        groups = self._module.groups
        inputs = patches(x, self._module, chosen, (y.shape[2], y.shape[3])).reshape(wanted, groups, -1)
        targets = targets.reshape(wanted, groups, -1)
        if not (torch.isfinite(targets).all() and torch.isfinite(inputs).all()):
            raise DataError(self._module.section.where, "computes numbers that are NaN or infinite on the calibration images",
                            "take weights from before the training diverged, or other images")
        if held_out:
            self._held_out.append((inputs, targets))
            return
        if self._sums is None:
            self._sums = _Sums(inputs[0].shape, targets[0].shape, inputs.device)
        self._sums.add(inputs, targets)

    def result(self) -> tuple[Moments, Positions]:
        """What was seen, and what was held out."""
        inputs, targets = (torch.cat(part).cpu().numpy() for part in zip(*self._held_out, strict=True))
        assert self._sums is not None  # since the first images that are not held out
        return self._sums.moments(), Positions(inputs, targets)


class _Sums:
    """Moments that grow; sums are kept in float64, about a first guess of the means."""

    def __init__(self, inputs: torch.Size, targets: torch.Size, device: torch.device) -> None:
        (groups, d), (_, o) = inputs, targets
        wide = torch.float32 if groups * d * d > _LARGE else torch.float64
        self._gram = torch.zeros(groups, d, d, dtype=wide, device=device)
        self._cross = torch.zeros(groups, d, o, dtype=wide, device=device)
        self._input_sum = torch.zeros(groups, d, dtype=torch.float64, device=device)
        self._target_sum = torch.zeros(groups, o, dtype=torch.float64, device=device)
        self._guess: tuple[Tensor, Tensor] | None = None
        self._count = 0

    def add(self, inputs: Tensor, targets: Tensor) -> None:
        """(m, groups, d) and (m, groups, o)."""
        if self._guess is None:
            self._guess = inputs.mean(dim=0), targets.mean(dim=0)
        x, y = ((part - guess).transpose(0, 1).to(self._gram.dtype)
                for part, guess in zip((inputs, targets), self._guess, strict=True))
        self._gram.baddbmm_(x.transpose(1, 2), x)
        self._cross.baddbmm_(x.transpose(1, 2), y)
        self._input_sum += x.sum(dim=1, dtype=torch.float64)
        self._target_sum += y.sum(dim=1, dtype=torch.float64)
        self._count += len(inputs)

    def moments(self) -> Moments:
        """The sums as means and covariances; the sums are used up."""
        x, y = self._input_sum / self._count, self._target_sum / self._count
        gram = self._gram.div_(self._count).sub_((x[:, :, None] * x[:, None, :]).to(self._gram.dtype))
        cross = self._cross.div_(self._count).sub_((x[:, :, None] * y[:, None, :]).to(self._cross.dtype))
        assert self._guess is not None  # since the first rows
        of_x, of_y = self._guess
        return Moments(gram.cpu().numpy(), cross.cpu().numpy(), (x + of_x).cpu().numpy(), (y + of_y).cpu().numpy(),
                       self._count)


_LARGE = 6000**2  # numbers in a covariance from which on it is kept in float32


def patches(x: Tensor, module: ConvolutionalLayer, chosen: Tensor, size: tuple[int, int]) -> Tensor:
    """What a convolution reads at positions of its output, zero padding included: (m, C * taps), a channel's taps together.

    Args:
        x: (N, C, H, W). chosen: positions (image * H' + row) * W' + column, (m,). size: (H', W') of the output.
    """
    (height, width), (stride_y, stride_x) = size, module.stride
    pad, dilation = module.padding, module.dilation
    image, row, column = chosen // (height * width), chosen // width % height, chosen % width
    padded = F.pad(x, (pad, pad, pad, pad)).permute(0, 2, 3, 1)
    taps = [padded[image, row * stride_y + dy * dilation, column * stride_x + dx * dilation]
            for dy in range(module.weight.shape[2]) for dx in range(module.weight.shape[3])]
    return torch.stack(taps, dim=2).reshape(len(chosen), -1)


def _correct(module: ConvolutionalLayer, old: ConvolutionalLayer, kept: Tensor, moments: Moments,
             held_out: Positions) -> Correction:
    """Correct a convolution of the new network in place; returns what was done, without the kernel."""
    kernel = module.weight.cpu().numpy().reshape(len(moments.gram), -1, moments.gram.shape[1])
    found = corrected(moments, held_out, kernel)
    module.weight.copy_(torch.from_numpy(found.kernel).reshape(module.weight.shape))
    intercept = torch.from_numpy(found.intercept.reshape(-1)).to(module.weight.device)
    if module.bn is not None and old.bn is not None:
        batch_norm_arrays(module.bn)["mean"].copy_(batch_norm_arrays(old.bn)["mean"][kept] - intercept)
    elif module.bias is not None:
        module.bias.copy_(intercept)
    return replace(found, kernel=np.empty(0), intercept=np.empty(0))


def _touched(network: Network, gone: Collection[int], groups: ChannelGroups, kept: np.ndarray) -> set[int]:
    """The layers whose kept output channels are not what they were, before anything is repaired."""
    touched: set[int] = set()
    for layer in network.layers:
        lost = layer.kind == "convolutional" and isinstance(layer.rule, Fresh) and not kept[groups.vector(layer.inputs[0])].all()
        if layer.index in gone or lost or any(source in touched for source in layer.inputs):
            touched.add(layer.index)
    return touched


@dataclass(frozen=True)
class _Block:
    """Indices of images that pass a layer together, and whether all of them are held out."""

    images: list[int]
    held_out: bool


def _blocks(count: int) -> list[_Block]:
    """Images 1, 5, 9 ... are held out; blocks of both kinds follow each other so that the first two are one of each."""
    blocks = []
    for held_out in (False, True):
        images = [image for image in range(count) if (image % _HELD_OUT_EVERY == 1) == held_out]
        blocks += [_Block(images[start:start + IMAGES_PER_BLOCK], held_out) for start in range(0, len(images), IMAGES_PER_BLOCK)]
    return sorted(blocks, key=lambda block: (block.images[0], block.held_out))
