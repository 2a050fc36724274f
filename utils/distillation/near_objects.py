"""Which places of a map look like an object: where fine-grained imitation compares."""

from __future__ import annotations

import torch
from torch import Tensor

from utils.detection import pairwise_iou, xywh_to_xyxy

THRESHOLD = 0.5  # Wang et al.'s psi


def near_objects(targets: Tensor, anchors: Tensor, images: int, grid: tuple[int, int], *,
                 threshold: float = THRESHOLD) -> Tensor:
    """For each place of a map, how many objects it is near.

    Source: Wang et al., CVPR 2019. A place is near an object if one of its anchors, laid around its centre, has an IoU
    with the object of more than `threshold` times the best that any anchor at any place has. Objects are counted, as in
    the released code.

    Args:
        targets: (n, 6) image, class, centre x, centre y, width, height; the last four as parts of the input's size.
        anchors: (A, 2) width and height as parts of the input's size.
        images: N. grid: (rows, columns) of the map.

    Returns:
        (N, rows, columns) float32.
    """
    rows, columns = grid
    y, x = torch.meshgrid(torch.arange(rows, device=targets.device), torch.arange(columns, device=targets.device),
                          indexing="ij")
    centres = torch.stack(((x + 0.5) / columns, (y + 0.5) / rows), dim=-1).reshape(-1, 1, 2)
    sizes = anchors.to(targets).reshape(1, -1, 2)
    boxes = torch.cat((centres.expand(-1, sizes.shape[1], -1), sizes.expand(len(centres), -1, -1)), dim=-1)
    overlap = pairwise_iou(xywh_to_xyxy(boxes.flatten(0, 1)), xywh_to_xyxy(targets[:, 2:]))
    best_of_place = overlap.view(len(centres), sizes.shape[1], len(targets)).amax(1).t()
    best = best_of_place.amax(-1, keepdim=True)
    near = ((best_of_place > threshold * best) & (best > 0)).float()
    counts = torch.zeros(images, rows * columns, device=targets.device)
    return counts.index_add_(0, targets[:, 0].long(), near).view(images, rows, columns)
