"""Images and labels: Darknet's resize, lists, label files, VOC, COCO and Oxford hand, the drawn demo set, anchors."""

from utils.datasets.anchors import Anchors, anchor_fit, box_sizes, find_anchors
from utils.datasets.annotations import AnnotatedImage, Annotations, Dropped
from utils.datasets.coco_json import read_coco
from utils.datasets.conversion import conversion_record, conversion_text, joined
from utils.datasets.demo import SHAPES, generate
from utils.datasets.detection_dataset import Batch, DetectionDataset, Sample
from utils.datasets.geometry import Geometry
from utils.datasets.images import IMAGE_SUFFIXES, load_image, prepare
from utils.datasets.labels import label_path, read_labels
from utils.datasets.lists import read_image_list
from utils.datasets.oxford_hand import read_oxford_hand
from utils.datasets.resize import letterbox_darknet, letterbox_size, resize_darknet
from utils.datasets.voc import read_voc, voc_names
from utils.datasets.yolo_writer import YoloFiles, write_yolo

__all__ = [
    "IMAGE_SUFFIXES",
    "SHAPES",
    "Anchors",
    "AnnotatedImage",
    "Annotations",
    "Batch",
    "DetectionDataset",
    "Dropped",
    "Geometry",
    "Sample",
    "YoloFiles",
    "anchor_fit",
    "box_sizes",
    "conversion_record",
    "conversion_text",
    "find_anchors",
    "generate",
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
    "resize_darknet",
    "voc_names",
    "write_yolo",
]
