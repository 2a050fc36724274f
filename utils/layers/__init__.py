"""Darknet's sections as torch modules: a table of builders, activations, weights in and out, fusing."""

from utils.layers.activations import ACTIVATIONS, Activate, missing_on_cpu
from utils.layers.base import DarknetLayer, Surroundings, channels_last
from utils.layers.checkpoint import Checkpoint, is_checkpoint, read_checkpoint, write_checkpoint
from utils.layers.convolution import ConvolutionalLayer
from utils.layers.fusing import folded, fuse_layers
from utils.layers.heads import HeadLayer
from utils.layers.table import LAYERS, Builder, build_layer
from utils.layers.transfer import fill_layer, lacks, layer_arrays

__all__ = [
    "ACTIVATIONS", "LAYERS", "Activate", "Builder", "Checkpoint", "ConvolutionalLayer", "DarknetLayer", "HeadLayer",
    "Surroundings", "build_layer", "channels_last", "fill_layer", "folded", "fuse_layers", "is_checkpoint", "lacks", "layer_arrays",
    "missing_on_cpu", "read_checkpoint", "write_checkpoint",
]
