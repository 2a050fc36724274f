"""The architectures that `build_cfg` knows, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from utils.darknet.builder.architecture import Architecture
from utils.darknet.builder.yolov3 import YOLOV3, YOLOV3_SPP
from utils.darknet.builder.yolov3_tiny import YOLOV3_TINY
from utils.darknet.builder.yolov4 import YOLOV4
from utils.darknet.builder.yolov4_csp import YOLOV4_CSP
from utils.darknet.builder.yolov4_tiny import YOLOV4_TINY, YOLOV4_TINY_3L
from utils.darknet.builder.yolov7 import YOLOV7, YOLOV7_TINY

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType({
    architecture.name: architecture
    for architecture in (YOLOV3, YOLOV3_SPP, YOLOV3_TINY, YOLOV4, YOLOV4_TINY, YOLOV4_TINY_3L, YOLOV4_CSP, YOLOV7,
                         YOLOV7_TINY)
})
