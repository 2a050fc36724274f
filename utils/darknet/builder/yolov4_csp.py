"""YOLOv4-CSP: cross-stage blocks in the neck too, heads without exponentials (Scaled-YOLOv4, arXiv 2011.08036)."""

from __future__ import annotations

from utils.darknet.builder.architecture import ANCHORS_512, Architecture, Head, Training
from utils.darknet.builder.blocks import csp_block, csp_spatial_pyramid, csp_stage, residual_stage, top_down
from utils.darknet.builder.writer import CfgWriter


def scaled_yolo(objectness_smooth: int, obj_normalizer: str, max_delta: int) -> dict[str, object]:
    """The head that YOLOv4-CSP and YOLOv7 share (new_coords=1: the convolution before it ends in a logistic)."""
    return {"jitter": ".1", "scale_x_y": "2.0", "objectness_smooth": objectness_smooth, "ignore_thresh": ".7",
            "truth_thresh": 1, "resize": "1.5", "iou_thresh": "0.2", "iou_normalizer": "0.05", "cls_normalizer": "0.5",
            "obj_normalizer": obj_normalizer, "iou_loss": "ciou", "nms_kind": "diounms", "beta_nms": "0.6",
            "new_coords": 1, "max_delta": max_delta}


def _draw(net: CfgWriter) -> None:
    net.activation = "mish"
    net.conv(32, 3)
    residual_stage(net, 64, 1)
    csp_stage(net, 128, 2)
    eighth = csp_stage(net, 256, 8)
    sixteenth = csp_stage(net, 512, 8)
    csp_stage(net, 1024, 4)

    coarse = csp_spatial_pyramid(net, 512)
    top_down(net, 256, sixteenth)
    middle = csp_block(net, 256)
    top_down(net, 128, eighth)
    narrow = csp_block(net, 128)
    _head(net, 8, 256, scaled_yolo(0, "4.0", 5))
    for stride, filters, joined, options in ((16, 256, middle, scaled_yolo(1, "1.0", 5)),
                                             (32, 512, coarse, scaled_yolo(1, "0.4", 2))):
        net.route(narrow)
        net.conv(filters, 3, stride=2)
        net.route(net.last, joined)
        narrow = csp_block(net, filters)
        _head(net, stride, 2 * filters, options)


def _head(net: CfgWriter, stride: int, filters: int, options: dict[str, object]) -> None:
    net.conv(filters, 3)
    net.head(stride, options, activation="logistic")


YOLOV4_CSP = Architecture(
    "yolov4-csp", "yolov4, cross-stage neck, new_coords", 512, 512, ANCHORS_512,
    (Head(8, (0, 1, 2)), Head(16, (3, 4, 5)), Head(32, (6, 7, 8))),
    Training(subdivisions=8, momentum="0.949", max_batches=500500,
             more={"mosaic": "1", "letter_box": "1", "ema_alpha": "0.9998"}),
    _draw)
