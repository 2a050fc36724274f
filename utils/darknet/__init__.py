"""Darknet's formats as text and numbers: cfg documents, typed networks, .weights, .data and .names."""

from utils.darknet.activations import ACTIVATIONS, Activation
from utils.darknet.data_file import DataFile, read_data, read_names
from utils.darknet.document import CfgDocument
from utils.darknet.network import Layer, Net, Network, parse_network, read_network, write_cfg
from utils.darknet.other_classes import (
    classes_for_length,
    classes_in_file,
    head_convolutions,
    line_of,
    lines_for_classes,
    with_classes,
)
from utils.darknet.removal import without_layers
from utils.darknet.rules import Concat, Fixed, Fresh, Rule, Same, Slice, Tied
from utils.darknet.sections import HEADS, SECTIONS, ArraySpec
from utils.darknet.shape import IMAGE, Shape
from utils.darknet.training_options import HeadTraining, NetTraining, RegionTraining, head_training, net_training
from utils.darknet.weights import (
    Header,
    Weights,
    check_arrays,
    float_count,
    initial_weights,
    read_header,
    read_weights,
    write_weights,
)

__all__ = [
    "ACTIVATIONS", "HEADS", "IMAGE", "SECTIONS", "Activation", "ArraySpec", "CfgDocument", "Concat", "DataFile",
    "Fixed", "Fresh", "HeadTraining", "Header", "Layer", "Net", "NetTraining", "Network", "RegionTraining", "Rule",
    "Same", "Shape", "Slice", "Tied", "Weights", "check_arrays", "classes_for_length", "classes_in_file",
    "float_count", "head_convolutions", "head_training", "initial_weights", "line_of", "lines_for_classes",
    "net_training", "parse_network", "read_data", "read_header", "read_names", "read_network", "read_weights",
    "with_classes", "without_layers", "write_cfg", "write_weights",
]
