"""How long one image takes in an engine, from tables of measured times: a cost that a budget can be solved for.

A layer's time depends on its geometry (kernel, strides, dilation, groups, activation, height and width) and on its widths.
Each geometry has a table over widths, measured in the engine itself (utils/deploy/latency_table.py); between measured
widths the time is bilinear, as multiply-adds (inputs * filters) and memory traffic (inputs, filters) are.

Two things that engines do to widths are not bilinear, and a table says which of them it has. Vectors are filled up: with
an output step of 16, 33 to 48 filters take the same time. And a fast way may be closed to some widths: ONNX Runtime's
blocked convolutions want multiples of ALIGNMENT channels, others take up to three times as long.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from utils.darknet import Layer, Network
from utils.errors import PlanError

_FORMAT, _VERSION = "bonsai latency model", 1
ALIGNMENT = 4
_FREE = frozenset({"dropout", "empty", "implicit"})
_WIRING = frozenset({"layers", "sources", "source"})  # options that say which layers are read, not what is done

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a layer's time stands: a row of the tables, and the widths to look up there.

    inputs: channels that it reads; 0 where they follow from its outputs (depthwise, and all but convolutions).
    """

    geometry: str
    inputs: int
    outputs: int


@dataclass(frozen=True)
class LayerTable:
    """Milliseconds of one layer of a geometry, ms[i][j] at inputs[i] and outputs[j].

    inputs: (0,) where a layer's outputs say everything (see Place). input_step, output_step: widths between multiples
    of these take as long as the next one. unaligned_ms: for inputs (outputs, where inputs do not count) that are no
    multiple of ALIGNMENT, or None where these make no difference; no steps apply there.

    Raises:
        PlanError: axes that do not increase, or a matrix that is not theirs.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    ms: Matrix
    unaligned_ms: Matrix | None = None
    input_step: int = 1
    output_step: int = 1

    def __post_init__(self) -> None:
        for axis in (self.inputs, self.outputs):
            if not axis or any(b <= a for a, b in pairwise(axis)):
                raise PlanError("", f"the widths {list(axis)} of a latency table do not increase", "measure it again")
        if min(self.input_step, self.output_step) < 1:
            raise PlanError("", "a step of a latency table is below 1", "measure it again")
        for matrix in (self.ms, self.unaligned_ms):
            if matrix is None:
                continue
            if len(matrix) != len(self.inputs) or any(len(row) != len(self.outputs) for row in matrix):
                raise PlanError("", "a latency table has another size than its widths", "measure it again")
            if not all(math.isfinite(ms) and ms >= 0 for row in matrix for ms in row):
                raise PlanError("", "a latency table holds a time that is no number of milliseconds from 0",
                                "measure it again")

    def ms_at(self, inputs: int, outputs: int) -> float:
        """The time at two widths; outside the measured ones along the nearest cell's lines, never below 0."""
        matrix = self._matrix(inputs, outputs)
        if matrix is self.ms:
            inputs = _stepped(inputs, self.input_step, self.inputs[-1])
            outputs = _stepped(outputs, self.output_step, self.outputs[-1])
        return max(0.0, _bilinear(self.inputs, self.outputs, matrix, inputs, outputs)[0])

    def slopes_at(self, inputs: int, outputs: int) -> tuple[float, float]:
        """ms per output channel and per input channel below these widths, steps evened out; never negative."""
        _, by_output, by_input = _bilinear(self.inputs, self.outputs, self._matrix(inputs, outputs), inputs, outputs)
        return max(0.0, by_output), max(0.0, by_input)

    def _matrix(self, inputs: int, outputs: int) -> Matrix:
        aligned = (inputs or outputs) % ALIGNMENT == 0
        return self.ms if aligned or self.unaligned_ms is None else self.unaligned_ms


@dataclass(frozen=True)
class LatencyModel:
    """The tables of an engine for the geometries of one network at one input size, and how well they add up.

    engine: its name in utils.deploy.ENGINES. threads: as it was opened with; None is its own choice.
    wholes: (sum of the tables, fastest run as a whole) in ms, of cut networks and last of the network itself; both increase. A
    predicted sum is carried over to a time along the lines between these, and in proportion below the first.

    Raises:
        PlanError: no whole network was measured, or its times are not as said above.
    """

    engine: str
    threads: int | None
    tables: Mapping[str, LayerTable]
    wholes: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", MappingProxyType(dict(self.tables)))
        times = [(0.0, 0.0), *self.wholes]
        if not self.wholes or not all(a < b < math.inf for one, next_one in pairwise(times)
                                      for a, b in zip(one, next_one, strict=True)):
            raise PlanError("", f"the (summed, measured) times {list(self.wholes)} of whole networks do not increase from 0",
                            "measure the latency again")

    def __reduce__(self) -> tuple[Any, ...]:
        return LatencyModel, (self.engine, self.threads, dict(self.tables), self.wholes)

    @property
    def summed_ms(self) -> float:
        """The sum of the tables for the network that was measured."""
        return self.wholes[-1][0]

    @property
    def measured_ms(self) -> float:
        """The time of the network that was measured, as a whole."""
        return self.wholes[-1][1]

    def predicted_ms(self, network: Network) -> float:
        """Milliseconds for one image, for a network that pruning made of the one that was measured.

        Raises:
            PlanError: a layer of a geometry that was not measured: another cfg, another input size, or an adder (adders.py).
        """
        return self._carried_over(self.summed_ms_of(network))[0]

    def summed_ms_of(self, network: Network) -> float:
        """The sum of the tables for a network, before it is carried over to the time of a whole; errors as there."""
        return sum(table.ms_at(place.inputs, place.outputs) for _, place, table in self._placed(network))

    def marginal_ms(self, network: Network) -> dict[int, tuple[float, float]]:
        """Per layer that takes time: (ms saved per output channel removed, ms saved per input channel removed).

        At the present widths, the one while the other stays, with the engine's steps evened out; never negative. The
        second is 0 where inputs follow from outputs, and either where a width cannot change. A channel's removal saves
        the first number of every layer that it is an output of and the second of every layer that reads it.

        Raises:
            PlanError: as `predicted_ms`.
        """
        rate = self._carried_over(self.summed_ms_of(network))[1]
        slopes = {index: table.slopes_at(place.inputs, place.outputs) for index, place, table in self._placed(network)}
        return {index: (rate * by_output, rate * by_input) for index, (by_output, by_input) in slopes.items()}

    def _carried_over(self, summed: float) -> tuple[float, float]:
        """The time of a whole network for a sum of tables, and its slope below that sum."""
        sums, times = zip((0.0, 0.0), *self.wholes, strict=True)
        i, end, along, width = _cell(sums, summed)
        rise = times[end] - times[i]
        return times[i] + along * rise, rise / width

    def _placed(self, network: Network) -> Iterator[tuple[int, Place, LayerTable]]:
        for layer in network.layers:
            places = places_of(layer)
            found = next((place for place in places if place.geometry in self.tables), None)
            if found is not None:
                yield layer.index, found, self.tables[found.geometry]
            elif places:
                raise PlanError(layer.where, f"the latency of layer {layer.index} ({places[0].geometry}) was not "
                                f"measured in {self.engine}", "measure this network, at this input size")

    def to_json(self) -> str:
        """The model as JSON text; `from_json` gives back an equal one."""
        return json.dumps({
            "format": _FORMAT, "version": _VERSION, "engine": self.engine, "threads": self.threads,
            "wholes": self.wholes,
            "tables": {geometry: asdict(table) for geometry, table in self.tables.items()},
        }, indent=1)

    @classmethod
    def from_json(cls, text: str, where: str = "<latency model>") -> LatencyModel:
        """Read what `to_json` wrote; `where` names its source in errors.

        Raises:
            PlanError: no JSON, no latency model, one of another version, or a damaged one.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PlanError(where, f"is not JSON ({error})", "measure the latency again") from None
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise PlanError(where, f'is JSON, but no latency model (it lacks "format": "{_FORMAT}")',
                            "give a file that a latency measurement wrote")
        if data.get("version") != _VERSION:
            raise PlanError(where, f"is a latency model of version {data.get('version')}, this Bonsai reads {_VERSION}",
                            "measure the latency again, or use the Bonsai that wrote it")
        try:
            threads = None if data["threads"] is None else int(data["threads"])
            tables = {str(geometry): _table_of_json(entry) for geometry, entry in data["tables"].items()}
            wholes = tuple((float(summed), float(measured)) for summed, measured in data["wholes"])
            return cls(str(data["engine"]), threads, tables, wholes)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise PlanError(where, f"is a damaged latency model ({type(error).__name__}: {error})",
                            "measure the latency again") from None
        except PlanError as error:
            raise PlanError(where, error.problem, error.remedy) from None


def places_of(layer: Layer) -> tuple[Place, ...]:
    """Where to look a layer up, the best place first; none for a layer that takes no time, as heads: nothing is decoded.

    A depthwise convolution cut to one channel is no longer depthwise in its cfg, and a grouped one cut to one channel a group is
    depthwise there; each was measured as what it was.
    """
    if layer.kind == "convolutional":
        return _convolution_places(layer)
    if layer.is_head or layer.kind in _FREE or (layer.kind == "route" and len(layer.inputs) == 1 and layer.options.groups == 1):
        return ()
    words = [f"{field.name}={getattr(layer.options, field.name)}" for field in fields(layer.options)
             if field.name not in _WIRING]
    sizes = "+".join(f"{shape.height}x{shape.width}" for shape in layer.input_shapes)
    return (Place(" ".join([layer.kind, *words, sizes]), 0, layer.shape.channels),)


def _convolution_places(layer: Layer) -> tuple[Place, ...]:
    options, (x,) = layer.options, layer.input_shapes
    words = [f"convolutional {options.size}x{options.size}", f"stride={options.stride_y}x{options.stride_x}",
             f"padding={options.padding}"]
    words += [f"dilation={options.dilation}"] if options.dilation > 1 else []
    words += [f"antialiasing={options.antialiasing}"] if options.antialiasing else []
    tail = f"{options.activation} {x.height}x{x.width}"
    kind = "dense" if options.groups == 1 else f"groups={options.groups}"
    places = [Place(" ".join([*words, kind, tail]), x.channels, options.filters)]
    if options.groups == x.channels:
        depthwise = f"depthwise={options.filters // options.groups}"
        places.insert(0 if options.groups > 1 else 1, Place(" ".join([*words, depthwise, tail]), 0, options.filters))
    return tuple(places)


def _bilinear(inputs: Sequence[int], outputs: Sequence[int], ms: Matrix, x: float, y: float
              ) -> tuple[float, float, float]:
    """The value at (x, y), and its slopes along y and along x, in the cell below (x, y)."""
    i, next_i, u, width = _cell(inputs, x)
    j, next_j, v, height = _cell(outputs, y)
    left = ms[i][j] + v * (ms[i][next_j] - ms[i][j])
    right = ms[next_i][j] + v * (ms[next_i][next_j] - ms[next_i][j])
    low = ms[i][j] + u * (ms[next_i][j] - ms[i][j])
    high = ms[i][next_j] + u * (ms[next_i][next_j] - ms[i][next_j])
    return left + u * (right - left), (high - low) / height, (right - left) / width


def _cell(axis: Sequence[float], x: float) -> tuple[int, int, float, float]:
    """The two ends of the cell of `axis` in which, or nearest to which, x is, how far it is along it, and its width."""
    if len(axis) == 1:
        return 0, 0, 0.0, 1
    end = min(max(bisect_left(axis, x), 1), len(axis) - 1)
    width = axis[end] - axis[end - 1]
    return end - 1, end, (x - axis[end - 1]) / width, width


def _stepped(width: int, step: int, measured: int) -> int:
    """The next multiple of `step`, but not beyond the widest that was measured: its own step is in its time."""
    return max(width, min(-(-width // step) * step, measured))


def _table_of_json(entry: Mapping[str, Any]) -> LayerTable:
    unaligned = entry["unaligned_ms"]
    return LayerTable(tuple(int(width) for width in entry["inputs"]), tuple(int(width) for width in entry["outputs"]),
                      _matrix_of_json(entry["ms"]), None if unaligned is None else _matrix_of_json(unaligned),
                      int(entry["input_step"]), int(entry["output_step"]))


def _matrix_of_json(rows: Sequence[Sequence[float]]) -> Matrix:
    return tuple(tuple(float(ms) for ms in row) for row in rows)
