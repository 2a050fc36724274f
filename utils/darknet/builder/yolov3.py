"""YOLOv3 and YOLOv3-SPP: Darknet-53 and three heads (arXiv 1804.02767)."""

from __future__ import annotations

from functools import partial

from utils.darknet.builder.architecture import ANCHORS_416, Architecture, Head, Training
from utils.darknet.builder.blocks import alternating, residual_stage, spatial_pyramid, upsampled
from utils.darknet.builder.writer import CfgWriter

YOLO = {"jitter": ".3", "ignore_thresh": ".7", "truth_thresh": 1, "random": 1}
HEADS = (Head(32, (6, 7, 8)), Head(16, (3, 4, 5)), Head(8, (0, 1, 2)))


def _draw(net: CfgWriter, *, spp: bool) -> None:
    net.conv(32, 3)
    residual_stage(net, 64, 1)
    residual_stage(net, 128, 2)
    eighth = residual_stage(net, 256, 8)
    sixteenth = residual_stage(net, 512, 8)
    residual_stage(net, 1024, 4)
    if spp:
        alternating(net, 512, 3)
        spatial_pyramid(net)
        narrow = alternating(net, 512, 3)
    else:
        narrow = alternating(net, 512, 5)
    _head(net, 32, 512)
    for stride, filters, backbone in ((16, 256, sixteenth), (8, 128, eighth)):
        net.route(narrow)
        up = upsampled(net, filters)
        net.route(up, far=[backbone])
        narrow = alternating(net, filters, 5)
        _head(net, stride, filters)


def _head(net: CfgWriter, stride: int, filters: int) -> None:
    net.conv(2 * filters, 3)
    net.head(stride, YOLO)


YOLOV3 = Architecture("yolov3", "Darknet-53", 416, 416, ANCHORS_416, HEADS,
                      Training(subdivisions=16), partial(_draw, spp=False))
YOLOV3_SPP = Architecture("yolov3-spp", "yolov3 with spatial pyramid pooling", 608, 608,
                          ANCHORS_416, HEADS, Training(subdivisions=16), partial(_draw, spp=True))
