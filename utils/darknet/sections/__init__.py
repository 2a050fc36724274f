"""The kinds of sections that a cfg is made of."""

from utils.darknet.sections.base import ArraySpec, Section, ShapeError
from utils.darknet.sections.convolutional import Convolutional
from utils.darknet.sections.heads import GaussianYolo, Region, Yolo
from utils.darknet.sections.table import HEADS, KIND_OF_NAME, REFUSED, SECTIONS

__all__ = ["HEADS", "KIND_OF_NAME", "REFUSED", "SECTIONS", "ArraySpec", "Convolutional", "GaussianYolo", "Region",
           "Section", "ShapeError", "Yolo"]
