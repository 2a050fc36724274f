"""Runs one network through libdarknet.so; a process of its own, because Darknet ends the process on every error.

    python darknet_worker.py LIBRARY HEADER CFG WEIGHTS IMAGES.npy LAYERS RESULTS.npz

Standard library and numpy only. The structures `layer` and `network` are read from the darknet.h that came with the
library, so that a package built from other sources still has its fields where we look for them.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_PLAIN = {"int": ctypes.c_int, "float": ctypes.c_float, "size_t": ctypes.c_size_t, "double": ctypes.c_double}
_ENUMERATIONS = re.compile(r"typedef\s+enum\s*\{[^}]*\}\s*(\w+)\s*;")


def structure(name: str, header: str) -> type[ctypes.Structure]:
    """The ctypes layout of `struct name { ... }` in a CPU build; ValueError for a member that it cannot read."""
    found = re.search(rf"struct\s+{name}\s*\{{(.*?)\n\}}", header, re.DOTALL)
    if found is None:
        raise ValueError(f"no struct {name} in darknet.h")
    body = re.sub(r"/\*.*?\*/|//[^\n]*", "", found[1], flags=re.DOTALL)
    types = {**_PLAIN, **{word: ctypes.c_int for word in _ENUMERATIONS.findall(header)}}
    fields: list[tuple[str, object]] = []
    for member in "\n".join(_cpu_lines(body)).split(";"):
        fields += _fields(member.strip(), types)
    return type(name, (ctypes.Structure,), {"_fields_": fields})


def _cpu_lines(body: str) -> list[str]:
    """The lines outside #ifdef ... #endif (GPU and CUDNN members)."""
    depth, kept = 0, []
    for line in body.splitlines():
        word = line.strip()
        depth += word.startswith("#if")
        if not depth and not word.startswith("#"):
            kept.append(line)
        depth -= word.startswith("#endif")
    return kept


def _fields(member: str, types: Mapping[str, object]) -> list[tuple[str, object]]:
    if not member:
        return []
    function = re.match(r"[^(]*\(\s*\*\s*(\w+)\s*\)\s*\(", member)
    if function:
        return [(function[1], ctypes.c_void_p)]
    declared = re.match(r"(?:struct\s+)?(\w+)\b(.*)$", member, re.DOTALL)
    if declared is None:
        raise ValueError(f"cannot read the member '{member}' in darknet.h")
    fields: list[tuple[str, object]] = []
    for variable in declared[2].split(","):
        name = variable.replace("*", "").strip()
        if "*" in variable:
            fields.append((name, ctypes.c_void_p))
        elif declared[1] in types and name.isidentifier():
            fields.append((name, types[declared[1]]))
        else:
            raise ValueError(f"cannot read the member '{member}' in darknet.h")
    return fields


def main(argv: list[str]) -> int:
    """Load, run image after image, write the outputs of the layers asked for, in the order asked for."""
    library, header, cfg, weights, images, wanted, results = argv
    text = Path(header).read_text(encoding="utf-8", errors="replace")
    layer_type, network_type = structure("layer", text), structure("network", text)
    darknet = ctypes.CDLL(library)
    darknet.load_network.restype = ctypes.POINTER(network_type)
    darknet.load_network.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int]
    darknet.set_batch_network.argtypes = [ctypes.c_void_p, ctypes.c_int]
    darknet.network_predict.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    net = darknet.load_network(cfg.encode(), weights.encode(), 0)
    darknet.set_batch_network(net, 1)
    layers = ctypes.cast(net.contents.layers, ctypes.POINTER(layer_type))
    indices = [int(index) for index in wanted.split(",")]
    outputs: list[list[np.ndarray]] = [[] for _ in indices]
    for image in np.load(images):
        darknet.network_predict(net, np.ascontiguousarray(image, np.float32).ctypes.data)
        for collected, index in zip(outputs, indices, strict=True):
            collected.append(_output(layers[index]))
    arrays: dict[str, Any] = {f"output_{i}": np.stack(output) for i, output in enumerate(outputs)}
    np.savez(results, layers=net.contents.n, **arrays)
    return 0


def _output(layer: ctypes.Structure) -> np.ndarray:
    shape = (layer.out_c, layer.out_h, layer.out_w)
    if shape == (0, 0, 0):  # softmax does not say
        shape = (layer.outputs, 1, 1)
    if layer.outputs != np.prod(shape):
        raise ValueError(f"layer has {layer.outputs} outputs and the shape {shape}: darknet.h and the library differ")
    values = ctypes.cast(layer.output, ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(values, (layer.outputs,)).reshape(shape).copy()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
