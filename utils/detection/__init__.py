"""Detections: boxes, what a head's numbers mean, suppression, and how good the result is."""

from utils.detection.assignment import AnchorRule, Positives, assign
from utils.detection.average_precision import DEFINITIONS, class_average_precision, mean_average_precision
from utils.detection.boxes import clip_boxes, pairwise_iou, xywh_to_xyxy, xyxy_to_xywh
from utils.detection.coco_map import CocoMap, evaluate_coco
from utils.detection.decode import decode_gaussian_yolo, decode_region, decode_yolo
from utils.detection.evaluation import ClassMetrics, Metrics, evaluate
from utils.detection.ground_truth import GroundTruth
from utils.detection.iou_loss import box_loss, iou_family
from utils.detection.loss import DetectionLoss, HeadLossOptions, LossParts, predicted_boxes, prior_biases
from utils.detection.matching import Matches, match_detections
from utils.detection.nms import darknet_rows, select_detections
from utils.detection.precision_recall import OperatingPoint, PrecisionRecall, best_common_confidence

__all__ = [
    "DEFINITIONS",
    "AnchorRule",
    "ClassMetrics",
    "CocoMap",
    "DetectionLoss",
    "GroundTruth",
    "HeadLossOptions",
    "LossParts",
    "Matches",
    "Metrics",
    "OperatingPoint",
    "Positives",
    "PrecisionRecall",
    "assign",
    "best_common_confidence",
    "box_loss",
    "class_average_precision",
    "clip_boxes",
    "darknet_rows",
    "decode_gaussian_yolo",
    "decode_region",
    "decode_yolo",
    "evaluate",
    "evaluate_coco",
    "iou_family",
    "match_detections",
    "mean_average_precision",
    "pairwise_iou",
    "predicted_boxes",
    "prior_biases",
    "select_detections",
    "xywh_to_xyxy",
    "xyxy_to_xywh",
]
