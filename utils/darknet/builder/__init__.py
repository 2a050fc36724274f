"""Writes the cfg of a detector from a compact description: `build_cfg("yolov4-tiny", classes=3)`."""

from utils.darknet.builder.architecture import Architecture, Head, Training
from utils.darknet.builder.build import COCO_CLASSES, build_cfg
from utils.darknet.builder.table import ARCHITECTURES
from utils.darknet.builder.writer import CfgWriter, Settings, scaled_filters

__all__ = ["ARCHITECTURES", "COCO_CLASSES", "Architecture", "CfgWriter", "Head", "Settings", "Training", "build_cfg",
           "scaled_filters"]
