"""Images and labels: Darknet's resize, lists, label files, training samples, VOC, COCO and Oxford hand, the drawn demo set, anchors."""

from utils.datasets.anchors import Anchors, anchor_fit, box_sizes, box_sizes_in, find_anchors
from utils.datasets.annotations import AnnotatedImage, Annotations, Dropped
from utils.datasets.augmentation import AugmentationOptions
from utils.datasets.batch_order import BatchOrder, BatchRequest, MultiScale
from utils.datasets.calibration import CalibrationImages, calibration_images
from utils.datasets.class_weights import class_weights, image_weights
from utils.datasets.coco_json import read_coco
from utils.datasets.conversion import conversion_record, conversion_text, joined
from utils.datasets.demo import SHAPES, generate
from utils.datasets.detection_dataset import Batch, DetectionDataset, Sample
from utils.datasets.geometry import Geometry
from utils.datasets.image_cache import ImageCache, cache_bytes, free_memory
from utils.datasets.image_header import image_size
from utils.datasets.images import IMAGE_SUFFIXES, load_image, prepare
from utils.datasets.label_cache import ImageScan, scan_images
from utils.datasets.labels import label_path, read_labels
from utils.datasets.lists import read_image_list
from utils.datasets.oxford_hand import read_oxford_hand
from utils.datasets.rectangles import rect_shape
from utils.datasets.resize import letterbox_darknet, letterbox_size, resize_darknet
from utils.datasets.training_batches import TrainingBatch, TrainingBatches
from utils.datasets.training_dataset import TrainingDataset
from utils.datasets.voc import read_voc, voc_names
from utils.datasets.yolo_writer import YoloFiles, write_yolo

__all__ = [
    "IMAGE_SUFFIXES",
    "SHAPES",
    "Anchors",
    "AnnotatedImage",
    "Annotations",
    "AugmentationOptions",
    "Batch",
    "BatchOrder",
    "BatchRequest",
    "CalibrationImages",
    "DetectionDataset",
    "Dropped",
    "Geometry",
    "ImageCache",
    "ImageScan",
    "MultiScale",
    "Sample",
    "TrainingBatch",
    "TrainingBatches",
    "TrainingDataset",
    "YoloFiles",
    "anchor_fit",
    "box_sizes",
    "box_sizes_in",
    "cache_bytes",
    "calibration_images",
    "class_weights",
    "conversion_record",
    "conversion_text",
    "find_anchors",
    "free_memory",
    "generate",
    "image_size",
    "image_weights",
    "joined",
    "label_path",
    "letterbox_darknet",
    "letterbox_size",
    "load_image",
    "prepare",
    "read_coco",
    "read_image_list",
    "read_labels",
    "read_oxford_hand",
    "read_voc",
    "rect_shape",
    "resize_darknet",
    "scan_images",
    "voc_names",
    "write_yolo",
]
