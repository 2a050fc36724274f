"""A cfg and its weights as an ONNX model, written node by node from the two files' contents; no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from utils.darknet import IMAGE, Layer, Network, Weights
from utils.deploy.network_input import head_inputs
from utils.deploy.onnx_activations import ACTIVATIONS
from utils.deploy.onnx_builder import GraphBuilder
from utils.deploy.onnx_decoding import decoded_head
from utils.deploy.onnx_layers import LAYERS
from utils.deploy.optional import optional_module
from utils.errors import EngineError

OPSETS = range(13, 18)
INPUT_NAME = "images"
PREDICTIONS_NAME = "predictions"

Output = tuple[str, tuple[int, ...]]  # name, shape without the batch axis


def onnx_model(network: Network, weights: Weights, *, opset: int = 13, layers: Sequence[int] | None = None,
               batch: int | None = None, decoded: bool = False) -> Any:
    """Write the network as an onnx.ModelProto, batch norms folded into the convolutions in float64.

    Input `images` (N, C, H, W) float32 in [0, 1]; height and width are the network's (use `network.resized` for
    others). Outputs: for each head, in cfg order, the map that it reads, (N, C, gy, gx), named `head_<layer>`.
    Suppression is not in the graph, and decoding only if asked for.

    Args:
        opset: 13 to 17; the graph itself is the same in all of them.
        layers: outputs of these layers instead of what the heads read, named `layer_<index>`.
        batch: N; None takes any.
        decoded: one output instead of the maps, `predictions` (N, boxes, 5 + classes): the boxes of all heads one after
            the other, as `models.Darknet` gives them: cx cy w h in pixels of the input, objectness, class scores.

    Raises:
        EngineError: onnx is not installed, the opset is another one, or a layer has no ONNX form (named with its line).
    """
    onnx = optional_module("onnx", "onnx")
    if opset not in OPSETS:
        raise EngineError("opset", f"{opset} is not supported", f"choose {OPSETS[0]} to {OPSETS[-1]}")
    chosen = _outputs(network, layers)
    last = max(index for _, index in chosen)
    builder = GraphBuilder(onnx, opset)
    names = {IMAGE: INPUT_NAME}
    for layer in network.layers[: last + 1]:
        if layer.is_head:
            continue
        builder.prefix = f"layer{layer.index}/"
        names[layer.index] = _written(builder, network, weights, layer, [names[i] for i in layer.inputs])
    outputs: dict[str, tuple[str, tuple[int, ...]]]
    if decoded:
        outputs = {PREDICTIONS_NAME: _predictions(builder, network, names)}
    else:
        outputs = {name: (names[index], _map_shape(network, index)) for name, index in chosen}
    for name, (source, _) in outputs.items():
        builder.nodes.append(onnx.helper.make_node("Identity", [source], [name], name=name))
    return _model(onnx, builder, network, [(name, shape) for name, (_, shape) in outputs.items()], batch)


def onnx_problems(network: Network) -> list[str]:
    """Why `onnx_model` could not write this network, one `path:line: ...` per layer; empty if it can."""
    problems = []
    for layer in network.layers:
        if not layer.is_head and layer.kind not in LAYERS:
            problems.append(f"{layer.where}: [{layer.kind}] has no ONNX form here")
        activation = getattr(layer.options, "activation", "linear")
        if activation not in ACTIVATIONS:
            problems.append(f"{layer.where}: activation={activation} has no ONNX form here")
        if getattr(layer.options, "dontload", False):
            problems.append(f"{layer.where}: dontload=1: the weights file does not hold this layer's numbers")
    return problems


def _outputs(network: Network, layers: Sequence[int] | None) -> list[tuple[str, int]]:
    if layers is not None:
        return [(f"layer_{index}", index) for index in layers]
    sources = head_inputs(network)
    return [(f"head_{head.index}", source) for head, source in zip(network.heads, sources, strict=True)]


def _map_shape(network: Network, index: int) -> tuple[int, int, int]:
    shape = network.layers[index].shape
    return shape.channels, shape.height, shape.width


def _predictions(builder: GraphBuilder, network: Network, names: Mapping[int, str]) -> tuple[str, tuple[int, int]]:
    """The tensor with the boxes of all heads, and its shape without the batch axis."""
    boxes = []
    for head in network.heads:
        builder.prefix = f"head{head.index}/"
        boxes.append(decoded_head(builder, head, names[head.inputs[0]], network.input_shape))
    builder.prefix = ""
    count = sum(boxes_of(head) for head in network.heads)
    everything = builder.node("Concat", *boxes, axis=1) if len(boxes) > 1 else boxes[0]
    return everything, (count, 5 + network.heads[0].options.classes)


def boxes_of(head: Layer) -> int:
    """How many boxes a head gives for one image."""
    grid = head.input_shapes[0]
    return head.options.per_cell * grid.height * grid.width


def _written(builder: GraphBuilder, network: Network, weights: Weights, layer: Layer, inputs: list[str]) -> str:
    write = LAYERS.get(layer.kind)
    if write is None or getattr(layer.options, "activation", "linear") not in ACTIVATIONS:
        raise EngineError(layer.where, f"[{layer.kind}] has no ONNX form here",
                          "replace the layer, or run the network in another engine")
    arrays = weights.layers[_owner(network, layer)]
    if layer.arrays and not arrays:
        raise EngineError(layer.where, f"the weights hold nothing for layer {layer.index} (dontload=1, or a file that "
                          "ends before it)", "give the whole weights of a trained network")
    return write(builder, layer, inputs, arrays)


def _owner(network: Network, layer: Layer) -> int:
    """The layer whose arrays this one uses: itself, or the end of its chain of share_index."""
    shared = getattr(layer.options, "share_index", None)
    return layer.index if shared is None else _owner(network, network.layers[shared])


def _model(onnx: Any, builder: GraphBuilder, network: Network, chosen: list[Output], batch: int | None) -> Any:
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    shape, many = network.input_shape, "N" if batch is None else batch
    image = helper.make_tensor_value_info(INPUT_NAME, float32, [many, shape.channels, shape.height, shape.width])
    outputs = [helper.make_tensor_value_info(name, float32, [many, *sides]) for name, sides in chosen]
    graph = helper.make_graph(builder.nodes, "darknet", [image], outputs, initializer=builder.initializers)
    opsets = [helper.make_opsetid("", builder.opset)]
    model = helper.make_model(graph, producer_name="bonsai", opset_imports=opsets,
                              ir_version=helper.find_min_ir_version_for(opsets))
    helper.set_model_props(model, {"cfg_fingerprint": network.fingerprint})
    return model
