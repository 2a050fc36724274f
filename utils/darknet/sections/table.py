"""The table of section kinds. A new kind is a class with the answers of `Section` and a row here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from utils.darknet.sections.base import Section
from utils.darknet.sections.convolutional import Convolutional
from utils.darknet.sections.heads import GaussianYolo, Region, Yolo
from utils.darknet.sections.plain import (
    ActivationLayer,
    Batchnorm,
    Connected,
    Dropout,
    Empty,
    Implicit,
    Reorg,
    Reorg3d,
    Softmax,
    Upsample,
)
from utils.darknet.sections.pooling import Avgpool, LocalAvgpool, Maxpool
from utils.darknet.sections.wiring import Route, Sam, ScaleChannels, Shortcut

SECTIONS: Mapping[str, type[Section]] = MappingProxyType({
    kind.kind: kind
    for kind in (
        Convolutional, Connected, Batchnorm, ActivationLayer, Implicit,
        Maxpool, LocalAvgpool, Avgpool,
        Route, Shortcut, ScaleChannels, Sam,
        Upsample, Reorg, Reorg3d, Dropout, Empty, Softmax,
        Yolo, GaussianYolo, Region,
    )
})

KIND_OF_NAME: Mapping[str, type[Section]] = MappingProxyType({
    name: kind for kind in SECTIONS.values() for name in kind.names
})

HEADS = frozenset({Yolo.kind, GaussianYolo.kind, Region.kind})

# Kinds that Darknet has and we do not, each with what a user should know.
REFUSED: Mapping[str, str] = MappingProxyType({
    "local": "locally connected layers are not supported",
    "crnn": "recurrent layers are not supported", "rnn": "recurrent layers are not supported",
    "lstm": "recurrent layers are not supported", "gru": "recurrent layers are not supported",
    "conv_lstm": "recurrent layers are not supported", "history": "recurrent layers are not supported",
    "contrastive": "contrastive heads are not supported",
    "detection": "YOLOv1 heads are not supported",
    "cost": "classifiers' cost layers are not supported", "crop": "crop layers are not supported",
    "lrn": "response normalisation is not supported", "normalization": "response normalisation is not supported",
    "deconvolutional": "transposed convolutions are not supported (AlexeyAB's Darknet has none)",
    "deconv": "transposed convolutions are not supported (AlexeyAB's Darknet has none)",
})
