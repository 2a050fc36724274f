"""Measures a LatencyModel: the layers of a network, each kind by itself, in the engine that will run it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from utils.darknet import Layer, Network, initial_weights
from utils.deploy.layer_probe import Probe, added_ms, opened
from utils.pruning import apply_plan, channel_groups, completed, plan_of
from utils.pruning.latency_model import ALIGNMENT, LatencyModel, LayerTable, places_of

SHARES = (1 / 8, 1 / 4, 1 / 2, 1)  # of the widest layer of a geometry
STEPS = (16, 8, 4)
SWEPT = (*range(48, 82, 2), 49, 65)  # widths that tell steps of 16, 8 and 4 from each other and from none
SWEPT_BESIDE = 32    # the other width meanwhile
SWEPT_PIXELS = 676   # on the map whose size is nearest to this
PENALTY = 1.1        # slower than this beside aligned widths: they have a way of their own
COPIES, LARGE_MACS = 3, 20e6  # a layer is in its probe so often, unless it is as large as this
PASSES = 2           # over all tables: a neighbour on the machine who slows one is seldom there for the other
WHOLE_SHARES = (1 / 2, 1 / 4)  # of the channels, in cut networks that are timed as a whole beside the network itself
WHOLE_MS, WHOLE_TIMES = 3000.0, (3, 60)  # for one run of all of these: how often that is repeated between tables
WHOLE_RUNS = 3       # each time; the first finds its weights gone from the caches

Times = Callable[[Sequence[Probe]], list[float]]


@dataclass(frozen=True)
class Widths:
    """What an engine does to the widths of one kind of convolution; the words are LayerTable's."""

    input_step: int = 1
    output_step: int = 1
    aligned_apart: bool = False


def measure_latency_model(network: Network, engine: str = "opencv", *, threads: int | None = None,
                          progress: Callable[[int, int], None] = lambda done, total: None) -> LatencyModel:
    """Time the layers of `network` at its own input size, and the network as a whole, cut networks of it too.

    Fastest runs count, on one thread in the CPU's time: what an otherwise idle machine takes. The weights do not matter.

    Args:
        engine: a key of utils.deploy.ENGINES.
        threads: CPU threads; None leaves the choice to the engine.
        progress: called with (tables that are done, tables in all); each is measured twice.

    Raises:
        EngineError: the engine is missing, or it cannot run this network.
    """
    def times(probes: Sequence[Probe]) -> list[float]:
        return added_ms(probes, engine, threads)

    subjects = _subjects(network)
    wholes = [network, *(_narrowed(network, share) for share in WHOLE_SHARES)]
    runs = [opened(whole, None, engine, threads) for whole in wholes]
    whole_ms = np.array([run() for run in runs])
    total = PASSES * len(subjects)
    pause = max(1, round(total / np.clip(WHOLE_MS / whole_ms.sum(), *WHOLE_TIMES)))
    kinds: dict[tuple[object, ...], Widths] = {(): Widths()}
    measured: dict[str, list[np.ndarray]] = {}
    for done, (geometry, subject) in enumerate(PASSES * list(subjects.items())):
        progress(done, total)
        if done % pause == 0:
            whole_ms = np.minimum(whole_ms, [min(run() for _ in range(WHOLE_RUNS)) for run in runs])
        if subject.kind not in kinds:
            kinds[subject.kind] = _widths(_nearest(subjects.values(), subject.kind), times)
        measured.setdefault(geometry, []).append(_matrices(subject, kinds[subject.kind], times))
    progress(total, total)
    tables = {geometry: _table(subject, kinds[subject.kind], np.min(measured[geometry], axis=0))
              for geometry, subject in subjects.items()}
    alone = LatencyModel(engine, threads, tables, ((1.0, 1.0),))
    return replace(alone, wholes=_rising_wholes([alone.summed_ms_of(whole) for whole in wholes], whole_ms.tolist()))


@dataclass(frozen=True)
class Subject:
    """A geometry of a network: its widest layer, with the widths that are to be measured.

    inputs: (0,) where they follow from the outputs. A single width is one that no pruning changes.
    """

    network: Network
    layer: Layer
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def two_axes(self) -> bool:
        """Whether inputs count beside outputs."""
        return self.inputs != (0,)

    @property
    def kind(self) -> tuple[object, ...]:
        """What an engine chooses its way by; () for all but dense and depthwise convolutions."""
        options = self.layer.options
        if self.layer.kind != "convolutional" or options.groups != (1 if self.two_axes else options.filters):
            return ()
        return options.size, options.stride_x, options.stride_y, options.dilation, self.two_axes

    def probe(self, inputs: int, outputs: int) -> Probe:
        """The layer at two widths, or near them where its kind does not allow them."""
        layer, section = self.layer, self.network.document.sections[self.layer.index + 1]
        if layer.kind != "convolutional":
            share, block = outputs / layer.shape.channels, layer.options.groups if layer.kind == "route" else 1
            shapes = tuple(replace(x, channels=max(block, round(x.channels * share / block) * block))
                           for x in layer.input_shapes)
            return Probe(layer, section, shapes, {})
        (x,), options, filters = layer.input_shapes, {"filters": outputs}, layer.options.filters
        macs = layer.macs * outputs / filters
        if self.two_axes:
            macs *= inputs / x.channels
        else:
            inputs = options["groups"] = outputs // (filters // layer.options.groups)
        return Probe(layer, section, (replace(x, channels=inputs),), options, 1 if macs > LARGE_MACS else COPIES)


def _subjects(network: Network) -> dict[str, Subject]:
    """Per geometry, in the order of the cfg."""
    groups = channel_groups(network)
    alike: dict[str, list[Layer]] = {}
    for layer in network.layers:
        for place in places_of(layer)[:1]:
            alike.setdefault(place.geometry, []).append(layer)
    subjects = {}
    for geometry, layers in alike.items():
        places = [places_of(layer)[0] for layer in layers]
        widest = max(layers, key=lambda layer: layer.shape.channels)
        block = _block(widest, two_axes=places[0].inputs > 0)
        read = [groups.fixed[np.concatenate([groups.vector(source) for source in layer.inputs])] for layer in layers]
        made = [groups.fixed[groups.vectors[layer.index]] for layer in layers]
        subject = Subject(network, widest, _axis([place.inputs for place in places], read, block),
                          _axis([place.outputs for place in places], made, block))
        if widest.kind != "convolutional":
            shapes = [subject.probe(0, outputs).inputs for outputs in subject.outputs]
            subject = replace(subject, outputs=tuple(sorted({widest.options.output(x).channels for x in shapes})))
        subjects[geometry] = subject
    return subjects


def _axis(widths: Sequence[int], fixed: Sequence[np.ndarray], block: int) -> tuple[int, ...]:
    """The widths to measure: those that are there if none can change, else multiples of a vector up to the widest."""
    if all(flags.all() for flags in fixed) or max(widths) == 0:
        return tuple(sorted(set(widths)))
    unit = math.lcm(16 if max(widths) >= 64 else ALIGNMENT, block)
    wanted = {unit, 2 * unit, *(math.ceil(max(widths) * share / unit) * unit for share in SHARES)}
    return tuple(sorted(wanted))


def _block(layer: Layer, *, two_axes: bool) -> int:
    """Widths of the layer are multiples of this."""
    if layer.kind != "convolutional":
        return 1
    return layer.options.groups if two_axes else layer.options.filters // layer.options.groups


def _nearest(subjects: Iterable[Subject], kind: tuple[object, ...]) -> Subject:
    """The geometry of a kind whose map is neither large and slow nor too small to time."""
    return min((subject for subject in subjects if subject.kind == kind),
               key=lambda subject: abs(subject.layer.shape.height * subject.layer.shape.width - SWEPT_PIXELS))


def _widths(subject: Subject, times: Times) -> Widths:
    """Found by sweeping each width of a kind of convolution."""
    by_output = times([subject.probe(SWEPT_BESIDE, width) for width in SWEPT])
    if not subject.two_axes:
        apart, step = _input_way(by_output)
        return Widths(1, step, apart)
    apart, step = _input_way(times([subject.probe(width, SWEPT_BESIDE) for width in SWEPT]))
    return Widths(step, _step(SWEPT, by_output), apart)


def _input_way(ms: Sequence[float]) -> tuple[bool, int]:
    """Whether SWEPT widths that are not aligned take longer than those beside them, and the step."""
    widths, times = np.array(SWEPT), np.array(ms)
    aligned = widths % ALIGNMENT == 0
    line = np.polyval(np.polyfit(widths[aligned], times[aligned], 1), widths[~aligned])
    if np.median(times[~aligned] - PENALTY * line) > 0:
        return True, _step(widths[aligned], times[aligned])
    return False, _step(widths, times)


def _step(widths: ArrayLike, ms: ArrayLike) -> int:
    """The step that explains the times, 1 unless another leaves less than half of the error."""
    times = np.asarray(ms)

    def error(step: int) -> float:
        stepped = np.ceil(np.asarray(widths) / step) * step
        return float(np.square(np.polyval(np.polyfit(stepped, times, 1), stepped) - times).sum())

    best = min(STEPS, key=error)
    return best if error(best) < error(1) / 2 else 1


def _matrices(subject: Subject, widths: Widths, times: Times) -> np.ndarray:
    """The times at the subject's widths, and where it matters at widths that are not aligned: (1 or 2, inputs, outputs)."""
    def matrix(fewer: int) -> list[list[float]]:
        less_in, less_out = (fewer, 0) if subject.two_axes else (0, fewer)
        return [times([subject.probe(inputs - less_in, outputs - less_out) for outputs in subject.outputs])
                for inputs in subject.inputs]

    changes = len(subject.inputs if subject.two_axes else subject.outputs) > 1
    return np.array([matrix(fewer) for fewer in ((0, 1) if widths.aligned_apart and changes else (0,))])


def _table(subject: Subject, widths: Widths, ms: np.ndarray) -> LayerTable:
    aligned, *unaligned = [tuple(map(tuple, _rising(matrix).tolist())) for matrix in ms]
    return LayerTable(subject.inputs, subject.outputs, aligned, unaligned[0] if unaligned else None,
                      widths.input_step, widths.output_step)


def _rising(ms: np.ndarray) -> np.ndarray:
    """The times halfway between the tightest rising tables above and below them: a wider layer is never faster."""
    above, below = ms, ms
    for axis in range(ms.ndim):
        above = np.maximum.accumulate(above, axis)
        below = np.flip(np.minimum.accumulate(np.flip(below, axis), axis), axis)
    return (above + below) / 2


def _narrowed(network: Network, share: float) -> Network:
    """The network with about a share of the channels that pruning may remove left, drawn at random."""
    groups = channel_groups(network)
    scores = np.random.default_rng(0).random(groups.count)
    plan = plan_of(network, groups, completed(network, groups, scores < share, -scores), "random", {})
    return apply_plan(network, initial_weights(network), plan)[0]


def _rising_wholes(sums: Sequence[float], times: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """(sum, time) of whole networks as LatencyModel wants them; the first is the network itself.

    One that is not larger than those before it, in both, says nothing and is left out.
    """
    kept = [(sums[0], times[0])]
    for point in sorted(zip(sums[1:], times[1:], strict=True), reverse=True):
        if point[0] < kept[-1][0] and point[1] < kept[-1][1]:
            kept.append(point)
    return tuple(reversed(kept))
