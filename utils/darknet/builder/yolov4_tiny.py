"""YOLOv4-tiny and its three-headed sister: cross-stage blocks on half of the channels (arXiv 2011.08036)."""

from __future__ import annotations

from functools import partial

from utils.darknet.builder.architecture import ANCHORS_512, ANCHORS_TINY, Architecture, Head, Training
from utils.darknet.builder.blocks import upsampled
from utils.darknet.builder.writer import CfgWriter

YOLO = {"jitter": ".3", "scale_x_y": "1.05", "cls_normalizer": "1.0", "iou_normalizer": "0.07", "iou_loss": "ciou",
        "ignore_thresh": ".7", "truth_thresh": 1, "random": 0, "resize": "1.5", "nms_kind": "greedynms",
        "beta_nms": "0.6"}


def _half_stage(net: CfgWriter, filters: int) -> int:
    """Two 3x3 on the second half of the channels, joined with the whole map, then half the size.

    Returns the 1x1 convolution that closes the short branch: the layer that finer heads read.
    """
    net.comment("cross-stage partial stage on half of the channels")
    start = net.conv(filters, 3, halvable=True)
    net.route(start, groups=2, group_id=1)
    first = net.conv(filters // 2, 3)
    second = net.conv(filters // 2, 3)
    net.route(second, first)
    joined = net.conv(filters, 1)
    net.route(start, joined)
    net.maxpool(2, stride=2)
    return joined


def _draw(net: CfgWriter, *, heads: int) -> None:
    net.conv(32, 3, stride=2)
    net.conv(64, 3, stride=2)
    _half_stage(net, 64)
    eighth = _half_stage(net, 128)
    sixteenth = _half_stage(net, 256)
    net.conv(512, 3)
    narrow = net.conv(256, 1)
    net.conv(512, 3)
    net.head(32, YOLO)
    for stride, filters, backbone in ((16, 128, sixteenth), (8, 64, eighth))[:heads - 1]:
        net.route(narrow)
        up = upsampled(net, filters)
        net.route(up, far=[backbone])
        narrow = net.conv(2 * filters, 3)
        net.head(stride, YOLO)


YOLOV4_TINY = Architecture(
    "yolov4-tiny", "cross-stage blocks on half channels", 416, 416, ANCHORS_TINY,
    (Head(32, (3, 4, 5)), Head(16, (1, 2, 3))),
    Training(subdivisions=1, learning_rate="0.00261", max_batches=2000200, steps=(1600000, 1800000)),
    partial(_draw, heads=2))
YOLOV4_TINY_3L = Architecture(
    "yolov4-tiny-3l", "yolov4-tiny with a third, finer head", 608, 608, ANCHORS_512,
    (Head(32, (6, 7, 8)), Head(16, (3, 4, 5)), Head(8, (0, 1, 2))),
    Training(subdivisions=4, learning_rate="0.00261"), partial(_draw, heads=3))
