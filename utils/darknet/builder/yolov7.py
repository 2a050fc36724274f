"""YOLOv7 and YOLOv7-tiny: blocks that join several depths of one branch, ELAN (arXiv 2207.02696)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from utils.darknet.builder.architecture import ANCHORS_416, ANCHORS_512, Architecture, Head, Training
from utils.darknet.builder.blocks import csp_spatial_pyramid, spatial_pyramid, top_down
from utils.darknet.builder.writer import CfgWriter
from utils.darknet.builder.yolov4_csp import scaled_yolo

HEADS = (Head(8, (0, 1, 2)), Head(16, (3, 4, 5)), Head(32, (6, 7, 8)))
TRAINING = Training(subdivisions=8, learning_rate="0.00261", max_batches=2000200, steps=(1600000, 1800000))


def _split(net: CfgWriter, filters: int) -> list[int]:
    """Two 1x1 of the same map; the second goes on. Returns both."""
    start = net.last
    side = net.conv(filters, 1)
    net.route(start)
    return [side, net.conv(filters, 1)]


def _elan(net: CfgWriter, filters: int, out: int) -> int:
    """Four 3x3 after one of two 1x1; every second layer is joined. Returns the last layer."""
    parts = _split(net, filters)
    deep = [net.conv(filters, 3) for _ in range(4)]
    net.route(deep[3], deep[1], *reversed(parts))
    return net.conv(out, 1)


def _wide_elan(net: CfgWriter, filters: int) -> int:
    """The ELAN of the neck: 3x3 of half the filters, and all layers are joined. Returns the last layer."""
    parts = _split(net, filters)
    parts += [net.conv(filters // 2, 3) for _ in range(4)]
    net.route(*reversed(parts))
    return net.conv(filters, 1)


def _tiny_elan(net: CfgWriter, filters: int) -> int:
    """Two 3x3 after one of two 1x1, all four joined; twice the filters come out. Returns the last layer."""
    parts = _split(net, filters)
    parts += [net.conv(filters, 3), net.conv(filters, 3)]
    net.route(*parts)
    return net.conv(2 * filters, 1)


def _halved(net: CfgWriter, filters: int, far: Iterable[int] = ()) -> int:
    """Half the size twice over, by pooling and by stride, joined (and with layers `far`). Returns the route."""
    net.comment("half the size, by max pooling beside a strided convolution")
    start = net.last
    net.maxpool(2, stride=2)
    pooled = net.conv(filters, 1)
    net.route(start)
    net.conv(filters, 1)
    strided = net.conv(filters, 3, stride=2)
    return net.route(strided, pooled, far=far)


def _heads(net: CfgWriter, sources: Iterable[tuple[int, int, int]]) -> None:
    for stride, source, filters in sources:
        net.route(far=[source])
        net.conv(filters, 3)
        net.head(stride, scaled_yolo(1, "1.0", 2), activation="logistic")


def _draw(net: CfgWriter) -> None:
    net.activation = "swish"
    net.conv(32, 3)
    net.conv(64, 3, stride=2)
    net.conv(64, 3)
    net.conv(128, 3, stride=2)
    _elan(net, 64, 256)
    _halved(net, 128)
    eighth = _elan(net, 128, 512)
    _halved(net, 256)
    sixteenth = _elan(net, 256, 1024)
    _halved(net, 512)
    _elan(net, 256, 1024)

    coarse = csp_spatial_pyramid(net, 512, input_first=True)
    top_down(net, 256, sixteenth)
    middle = _wide_elan(net, 256)
    top_down(net, 128, eighth)
    fine = _wide_elan(net, 128)
    _halved(net, 128, far=[middle])
    middle = _wide_elan(net, 256)
    _halved(net, 256, far=[coarse])
    coarse = _wide_elan(net, 512)
    _heads(net, ((8, fine, 256), (16, middle, 512), (32, coarse, 1024)))


def _draw_tiny(net: CfgWriter) -> None:
    net.conv(32, 3, stride=2)
    net.conv(64, 3, stride=2)
    _tiny_elan(net, 32)
    net.maxpool(2, stride=2)
    eighth = _tiny_elan(net, 64)
    net.maxpool(2, stride=2)
    sixteenth = _tiny_elan(net, 128)
    net.maxpool(2, stride=2)
    _tiny_elan(net, 256)

    net.comment("cross-stage partial spatial pyramid pooling")
    side, _ = _split(net, 256)
    spatial_pyramid(net)
    pooled = net.conv(256, 1)
    net.route(side, pooled)
    coarse = net.conv(256, 1)
    top_down(net, 128, sixteenth)
    middle = _tiny_elan(net, 64)
    top_down(net, 64, eighth)
    fine = _tiny_elan(net, 32)
    net.conv(128, 3, stride=2)
    net.route(net.last, far=[middle])
    middle = _tiny_elan(net, 64)
    net.conv(256, 3, stride=2)
    net.route(net.last, far=[coarse])
    coarse = _tiny_elan(net, 128)
    _heads(net, ((8, fine, 128), (16, middle, 256), (32, coarse, 512)))


YOLOV7 = Architecture("yolov7", "ELAN blocks with swish, new_coords", 640, 640, ANCHORS_512,
                      HEADS, TRAINING, _draw)
YOLOV7_TINY = Architecture("yolov7-tiny", "small ELAN blocks, new_coords", 416, 416,
                           ANCHORS_416, HEADS, replace(TRAINING, subdivisions=1), _draw_tiny)
