"""Check of the anchors: how well do the cfg's fit the boxes, and how well could as many."""

from __future__ import annotations

import numpy as np

from utils.cli.doctor.commands import change_lines
from utils.cli.doctor.finding import Finding, fine, look, wrong
from utils.darknet import Layer, Network, line_of
from utils.datasets import ImageScan, anchor_fit, box_sizes_in, find_anchors
from utils.errors import DataError

FAR = 0.05  # of mean IoU below what k-means finds: worth a training with other anchors
LOST = 0.25  # of the boxes without an anchor of their size: they can hardly be learned
_ENOUGH = 5000  # boxes for k-means: a second; the fit is measured on all


def check_anchors(network: Network, scan: ImageScan) -> Finding:
    """Mean IoU and best possible recall of the heads' anchors over the boxes, against as many found by k-means."""
    net = network.net
    size = np.array((net.width, net.height), dtype=np.float64)
    shares = box_sizes_in((net.width, net.height), scan.labels, scan.sizes, letterbox=net.letter_box)
    boxes, own = shares * size, _anchors_in_pixels(network)
    mean_iou, recall = anchor_fit(boxes, own)
    text = f"mean IoU {mean_iou:.2f} with the {len(boxes)} boxes, and {recall:.1%} of these have an anchor of about their size"
    try:
        some = shares[:: -(-len(shares) // _ENOUGH)]
        best = find_anchors(some, len(own), (net.width, net.height)).anchors
    except DataError as error:
        return look("anchors", f"{text}; to find better ones is impossible: the boxes {error.problem}")
    best_iou, best_recall = anchor_fit(boxes, best)
    text += f"; as many by k-means have {best_iou:.2f} and {best_recall:.1%}"
    if recall >= 1 - LOST and mean_iou >= best_iou - FAR:
        return fine("anchors", text)
    lines = _lines_of_anchors(network, best)
    mark = wrong if recall < 1 - LOST and best_recall > recall else look
    return mark("anchors", f"{text}. Other anchors mean another training", *([change_lines(network.path, lines)] if lines else []))


def _anchors_in_pixels(network: Network) -> np.ndarray:
    """(k, 2) width and height of the anchors that the heads use, each once."""
    found = [np.asarray(head.options.own_anchors, dtype=np.float64) * _unit(network, head) for head in network.heads]
    return np.unique(np.concatenate(found), axis=0)


def _unit(network: Network, head: Layer) -> np.ndarray:
    """Pixels that an anchor of 1 has: one for [yolo], a cell for [region]. (width, height)."""
    if head.kind != "region":
        return np.ones(2)
    return np.array((network.net.width / head.shape.width, network.net.height / head.shape.height))


def _lines_of_anchors(network: Network, anchors: np.ndarray) -> dict[int, str]:
    """What to write on the anchors= line of each head; nothing where heads have lists of their own."""
    heads = network.heads
    if len({head.options.anchors for head in heads}) > 1 or any(len(head.options.anchors) != len(anchors) for head in heads):
        return {}
    lines = {}
    for head in heads:
        if "anchors" not in network.document.sections[head.index + 1].by_key:
            return {}
        pairs = anchors / _unit(network, head)
        lines[line_of(network, head.index, "anchors")] = "anchors=" + ", ".join(f"{w:.4g},{h:.4g}" for w, h in pairs)
    return lines
