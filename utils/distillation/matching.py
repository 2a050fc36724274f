"""Which head and which map of the teacher belong to which of the student, and what stands in the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from utils.darknet import IMAGE, Layer, Network
from utils.errors import CfgError, OptionError

_BACK_THROUGH = ("route", "activation", "implicit_add", "implicit_mul", "shift_channels", "control_channels", "dropout")
_ANCHOR_TOLERANCE = 1e-3  # of a pixel; a cfg writes three digits at most


@dataclass(frozen=True)
class LayerPair:
    """A map of the student and the teacher's that it shall resemble: layer indices."""

    student: int
    teacher: int


def matched_heads(student: Network, teacher: Network) -> tuple[int, ...]:
    """For each head of the student the teacher's head (a layer index) with the same stride.

    Both networks at the same input size. Heads may come in another order, and the teacher may have more. Of several with
    one stride that with the same anchors is taken, or else the next in order.

    Raises:
        CfgError: there is no such head; says which strides there are.
    """
    strides: dict[tuple[float, float], list[Layer]] = {}
    for head in teacher.heads:
        strides.setdefault(_stride(head, teacher), []).append(head)
    found = []
    for head in student.heads:
        stride = _stride(head, student)
        if not strides.get(stride):
            raise CfgError(head.where, f"the student's head {head.index} has a cell per {_shown(stride)} pixels, and "
                           f"{teacher.path} has heads with {', '.join(map(_shown, strides)) or 'none'}",
                           "give a teacher with the same heads, or compare maps: --distill cwd --distill-layers ...")
        best = next((one for one in strides[stride] if _same_anchors(head, one)), strides[stride][0])
        strides[stride].remove(best)
        found.append(best.index)
    return tuple(found)


def check_same_heads(student: Network, teacher: Network, heads: Sequence[int]) -> None:
    """Whether what enters the heads means the same in both networks.

    Args:
        heads: of the teacher, by the student's heads, from `matched_heads`.

    Raises:
        CfgError: kind, classes, anchors or decoding differ; names the first head and says what differs.
    """
    for ours, index in zip(student.heads, heads, strict=True):
        theirs = teacher.layers[index]
        different = _difference(ours, theirs)
        if different:
            raise CfgError(ours.where, f"the student's head {ours.index} has {different[0]}, the teacher's "
                           f"({theirs.where}) {different[1]}", "take the network before pruning as teacher, or a method "
                           "that compares maps: --distill cwd, mgd or mimic")


def _difference(ours: Layer, theirs: Layer) -> tuple[str, str] | None:
    """What the two say of the first thing in which they differ."""
    if ours.kind != theirs.kind:
        return f"kind [{ours.kind}]", f"[{theirs.kind}]"
    for name, default in (("classes", 0), ("scale_x_y", 1.0), ("new_coords", False), ("softmax", True)):
        one, other = (getattr(head.options, name, default) for head in (ours, theirs))
        if one != other:
            return f"{name}={_number(one)}", f"{name}={_number(other)}"
    if _same_anchors(ours, theirs):
        return None
    return f"the anchors {_sizes(ours.options.own_anchors)}", _sizes(theirs.options.own_anchors)


def _same_anchors(ours: Layer, theirs: Layer) -> bool:
    one, other = ours.options.own_anchors, theirs.options.own_anchors
    return len(one) == len(other) and all(abs(a - b) <= _ANCHOR_TOLERANCE for first, second in zip(one, other, strict=True)
                                          for a, b in zip(first, second, strict=True))


def head_inputs(student: Network, teacher: Network) -> tuple[LayerPair, ...]:
    """The maps that the convolutions before the heads read, head by head.

    Raises:
        CfgError: as `matched_heads`, or a head that no convolution leads to.
    """
    heads = matched_heads(student, teacher)
    return tuple(LayerPair(_map_before(student, head), _map_before(teacher, teacher.layers[other]))
                 for head, other in zip(student.heads, heads, strict=True))


def _map_before(network: Network, head: Layer) -> int:
    layer = network.layers[head.inputs[0]]
    while layer.kind != "convolutional":
        if layer.kind not in _BACK_THROUGH or len(layer.inputs) < 1 or layer.inputs[-1] == IMAGE:
            raise CfgError(head.where, f"head {head.index} reads a [{layer.kind}], so there is no map before its convolution",
                           "name the layers to compare: --distill-layers STUDENT:TEACHER,...")
        layer = network.layers[layer.inputs[-1]]
    if layer.inputs[0] == IMAGE:
        raise CfgError(head.where, f"the convolution before head {head.index} reads the image itself",
                       "name the layers to compare: --distill-layers STUDENT:TEACHER,...")
    return layer.inputs[0]


def check_pairs(student: Network, teacher: Network, pairs: Sequence[LayerPair]) -> None:
    """OptionError for a layer that there is not, is a head, or whose map has another height or width than its partner's."""
    for pair in pairs:
        ours, theirs = _layer(student, pair.student, "student"), _layer(teacher, pair.teacher, "teacher")
        if (ours.shape.height, ours.shape.width) != (theirs.shape.height, theirs.shape.width):
            raise OptionError("--distill-layers", f"layer {pair.student} of the student gives a map of "
                              f"{ours.shape.width}x{ours.shape.height}, layer {pair.teacher} of the teacher one of "
                              f"{theirs.shape.width}x{theirs.shape.height}", "pair layers with equal maps (compare.py "
                              "and the tables of the pruning commands number them)")


def _layer(network: Network, index: int, whose: str) -> Layer:
    if not 0 <= index < len(network.layers):
        raise OptionError("--distill-layers", f"the {whose} ({network.path}) has layers 0 to {len(network.layers) - 1}, and "
                          f"no layer {index}", "write STUDENT:TEACHER as the two cfgs number their layers, from 0")
    if index in {head.index for head in network.heads}:
        raise OptionError("--distill-layers", f"layer {index} of the {whose} is a head and gives no map",
                          "name the layer before, or compare heads: --distill detection")
    return network.layers[index]


def _stride(head: Layer, network: Network) -> tuple[float, float]:
    shape = head.input_shapes[0]
    return network.net.width / shape.width, network.net.height / shape.height


def _shown(stride: tuple[float, float]) -> str:
    return f"{stride[0]:g}" if stride[0] == stride[1] else f"{stride[0]:g}x{stride[1]:g}"


def _number(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _sizes(anchors: Sequence[Sequence[float]]) -> str:
    return ", ".join(f"{width:g}x{height:g}" for width, height in anchors)
