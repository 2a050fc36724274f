"""YOLOv3-tiny: seven convolutions with max pooling, two heads."""

from __future__ import annotations

from utils.darknet.builder.architecture import ANCHORS_TINY, Architecture, Head, Training
from utils.darknet.builder.blocks import upsampled
from utils.darknet.builder.writer import CfgWriter

YOLO = {"jitter": ".3", "ignore_thresh": ".7", "truth_thresh": 1, "random": 1}


def _draw(net: CfgWriter) -> None:
    for filters in (16, 32, 64, 128):
        net.conv(filters, 3)
        net.maxpool(2, stride=2)
    sixteenth = net.conv(256, 3)
    net.maxpool(2, stride=2)
    net.conv(512, 3)
    net.maxpool(2, stride=1)
    net.conv(1024, 3)
    narrow = net.conv(256, 1)
    net.conv(512, 3)
    net.head(32, YOLO)
    net.route(narrow)
    up = upsampled(net, 128)
    net.route(up, far=[sixteenth])
    net.conv(256, 3)
    net.head(16, YOLO)


YOLOV3_TINY = Architecture("yolov3-tiny", "seven convolutions with max pooling", 416, 416, ANCHORS_TINY,
                           (Head(32, (3, 4, 5)), Head(16, (0, 1, 2))), Training(subdivisions=2), _draw)
