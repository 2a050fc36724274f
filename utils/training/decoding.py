"""From the raw head tensors of any engine to boxes: which decoder, anchors and suppression a cfg's heads ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from utils.darknet import Network
from utils.detection import select_detections
from utils.detection.nms import Gate, NmsKind
from utils.errors import CfgError, EngineError
from utils.layers import HeadLayer

MAX_DETECTIONS = 300


@dataclass(frozen=True, slots=True)
class Selection:
    """Which boxes are detections.

    conf: what the probability must exceed. Darknet shows from 0.25 on; for mAP take 0.001.
    iou: a box goes if it overlaps a surer one of its class by more. Darknet's `test` and `map`: 0.45.
    max_detections: only the surest so many of an image; None: all. COCO scores 100 of each class.
    """

    conf: float = 0.25
    iou: float = 0.45
    max_detections: int | None = MAX_DETECTIONS


class HeadDecoder:
    """What the heads of one network mean.

    Args:
        network: gives anchors, classes and options of its heads; its input size does not matter.

    Attributes:
        classes: how many the heads know.

    Raises:
        CfgError: no heads (a classifier), or heads that differ in their number of classes.
    """

    def __init__(self, network: Network) -> None:
        if not network.heads:
            raise CfgError(network.path, "has no [yolo], [Gaussian_yolo] or [region] head, so it detects nothing",
                           "give the cfg of a detector")
        counts = sorted({head.options.classes for head in network.heads})
        if len(counts) > 1:
            raise CfgError(network.heads[-1].where, f"the heads have {' and '.join(map(str, counts))} classes",
                           "give all heads the same classes=")
        self.network = network
        self.classes = counts[0]
        self._heads = tuple(HeadLayer(head) for head in network.heads)
        last = network.heads[-1].options  # Darknet takes its suppression from the last head
        self._kind: NmsKind = getattr(last, "nms_kind", "default")
        self._beta = getattr(last, "beta_nms", 0.6)
        self._gate: Gate = "product" if network.heads[-1].kind == "region" else "objectness"

    def decode(self, heads: Sequence[np.ndarray], height: int, width: int) -> Tensor:
        """Boxes of all heads, one head after the other.

        Args:
            heads: per head what enters it, (N, anchors * entries, gy, gx), in cfg order: what `Engine.heads` gives.
            height, width: of the network's input, pixels.

        Returns:
            (N, boxes, 5 + classes): centre x, centre y, width, height in pixels of the network's input, objectness,
            and the probability of each class given an object.

        Raises:
            EngineError: another number of heads or of channels than the cfg has.
        """
        if len(heads) != len(self._heads):
            raise EngineError(self.network.path, f"the engine gave {len(heads)} heads, the cfg has {len(self._heads)}",
                              "this is not the engine's output for this cfg")
        decoded = []
        for head, raw in zip(self._heads, heads, strict=True):
            if raw.ndim != 4 or raw.shape[1] != head.section.options.channels:
                raise EngineError(head.section.where, f"the engine gave {tuple(raw.shape)} where (N, "
                                  f"{head.section.options.channels}, gy, gx) enters the head",
                                  "this is not the engine's output for this cfg")
            decoded.append(head.decode(head(torch.from_numpy(np.ascontiguousarray(raw, np.float32))), height, width))
        return torch.cat(decoded, dim=1)

    def select(self, predictions: Tensor, selection: Selection, picture: tuple[float, float]) -> np.ndarray:
        """The detections of one image.

        Args:
            predictions: (boxes, 5 + classes) of `decode`.
            picture: width and height, in pixels of the network's input, that the picture fills there.

        Returns:
            (n, 6): x1 y1 x2 y2 in pixels of the network's input, score, class; surest first.
        """
        return select_detections(predictions, conf=selection.conf, iou=selection.iou, kind=self._kind,
                                 beta=self._beta, gate=self._gate, image_size=picture,
                                 max_detections=selection.max_detections)
