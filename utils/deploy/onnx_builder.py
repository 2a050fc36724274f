"""A small hand for writing ONNX graphs: nodes and constants get their names here."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np


class GraphBuilder:
    """Collects nodes and constants; every method returns the name of the tensor that it made."""

    def __init__(self, onnx: ModuleType, opset: int, prefix: str = "") -> None:
        self.onnx, self.opset, self.prefix = onnx, opset, prefix
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        name = self._name(op.lower())
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, values: np.ndarray, hint: str = "constant") -> str:
        """Add an array."""
        name = self._name(hint)
        self.initializers.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def scalar(self, value: float) -> str:
        """A float32 number, stored once."""
        return self._once(np.array(value, np.float32))

    def integers(self, values: Sequence[int]) -> str:
        """An int64 list (axes, shapes, pads), stored once."""
        return self._once(np.array(values, np.int64))

    def affine(self, x: str, factor: float, summand: float = 0.0) -> str:
        """factor * x + summand."""
        y = self.node("Mul", x, self.scalar(factor)) if factor != 1 else x
        return self.node("Add", y, self.scalar(summand)) if summand else y

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """Each image to `shape`; the batch axis stays as it is."""
        return self.node("Reshape", x, self.integers((0, *shape)))

    def _once(self, values: np.ndarray) -> str:
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._constants:
            self._constants[key] = self.constant(values)
        return self._constants[key]

    def _name(self, hint: str) -> str:
        self._count += 1
        return f"{self.prefix}{hint}_{self._count}"
