"""YOLOv4: CSPDarknet-53 with mish, SPP, PAN and three heads (arXiv 2004.10934)."""

from __future__ import annotations

from utils.darknet.builder.architecture import ANCHORS_512, Architecture, Head, Training
from utils.darknet.builder.blocks import alternating, csp_stage, spatial_pyramid, top_down
from utils.darknet.builder.writer import CfgWriter


def _draw(net: CfgWriter) -> None:
    net.activation = "mish"
    net.conv(32, 3)
    csp_stage(net, 64, 1, part=64, hidden=32)
    csp_stage(net, 128, 2)
    eighth = csp_stage(net, 256, 8)
    sixteenth = csp_stage(net, 512, 8)
    csp_stage(net, 1024, 4)

    net.activation = "leaky"
    net.comment("spatial pyramid pooling")
    alternating(net, 512, 3)
    spatial_pyramid(net)
    coarse = alternating(net, 512, 3)
    top_down(net, 256, sixteenth)
    middle = alternating(net, 256, 5)
    top_down(net, 128, eighth)
    narrow = alternating(net, 128, 5)
    net.conv(256, 3)
    net.head(8, _yolo("1.2"))
    for stride, filters, joined, scale_x_y, more in ((16, 256, middle, "1.1", {}),
                                                     (32, 512, coarse, "1.05", {"random": 1})):
        net.route(narrow)
        net.conv(filters, 3, stride=2)
        net.route(net.last, joined)
        narrow = alternating(net, filters, 5)
        net.conv(2 * filters, 3)
        net.head(stride, _yolo(scale_x_y, **more))  # Darknet asks the last head alone whether to vary the input size


def _yolo(scale_x_y: str, **more: object) -> dict[str, object]:
    return {"jitter": ".3", "ignore_thresh": ".7", "truth_thresh": 1, **more, "scale_x_y": scale_x_y,
            "iou_thresh": "0.213", "cls_normalizer": "1.0", "iou_normalizer": "0.07", "iou_loss": "ciou",
            "nms_kind": "greedynms", "beta_nms": "0.6", "max_delta": 5}


YOLOV4 = Architecture(
    "yolov4", "CSPDarknet-53 with mish, SPP, PAN", 608, 608, ANCHORS_512,
    (Head(8, (0, 1, 2)), Head(16, (3, 4, 5)), Head(32, (6, 7, 8))),
    Training(subdivisions=8, learning_rate="0.0013", momentum="0.949", max_batches=500500, more={"mosaic": "1"}),
    _draw)
