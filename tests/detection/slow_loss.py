"""The detection loss once more, in plain Python floats, one box, one cell, one class after the other."""

from __future__ import annotations

import math

import torch

from utils.detection import HeadLossOptions

Box = tuple[float, float, float, float]
Place = tuple[int, int, int, int]  # image, anchor, row, column


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def similarity(a: Box, b: Box, kind: str) -> float:
    """IoU family of two boxes cx cy w h; a is the predicted one."""
    left, right = max(a[0] - a[2] / 2, b[0] - b[2] / 2), min(a[0] + a[2] / 2, b[0] + b[2] / 2)
    top, bottom = max(a[1] - a[3] / 2, b[1] - b[3] / 2), min(a[1] + a[3] / 2, b[1] + b[3] / 2)
    common = (right - left) * (bottom - top) if right > left and bottom > top else 0.0
    union = a[2] * a[3] + b[2] * b[3] - common
    iou = common / union if union else 0.0
    wide = max(a[0] + a[2] / 2, b[0] + b[2] / 2) - min(a[0] - a[2] / 2, b[0] - b[2] / 2)
    high = max(a[1] + a[3] / 2, b[1] + b[3] / 2) - min(a[1] - a[3] / 2, b[1] - b[3] / 2)
    if kind == "iou":
        return iou
    if kind == "giou":
        return iou - (wide * high - union) / (wide * high)
    diou = iou - ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) / (wide ** 2 + high ** 2)
    if kind == "diou":
        return diou
    v = 4 / math.pi ** 2 * (math.atan(b[2] / b[3]) - math.atan(a[2] / a[3])) ** 2
    return diou - v * v / (v - iou + 1 + 1e-7)


def shape_iou(w: float, h: float, aw: float, ah: float) -> float:
    common = min(w, aw) * min(h, ah)
    return common / (w * h + aw * ah - common)


def slow_assign(targets: torch.Tensor, heads: list[HeadLossOptions], grids: list[tuple[int, int]],
                size: tuple[int, int]) -> list[list[tuple[Place, int, Box]]]:
    """Per head (place, class, truth in cells), in no particular order."""
    def shapes(head, grid, anchors):
        whole = size if head.kind == "yolo" else grid
        return [(w / whole[1], h / whole[0]) for w, h in anchors]

    found: list[list[tuple[Place, int, Box]]] = [[] for _ in heads]
    for image, label, xc, yc, w, h in targets.tolist():
        if w <= 0 or h <= 0:
            continue
        takers = []
        for number, (head, grid) in enumerate(zip(heads, grids, strict=True)):
            own = shapes(head, grid, head.anchors)
            everyone = shapes(head, grid, head.all_anchors or head.anchors)
            mask = head.anchor_mask or tuple(range(len(own)))
            ious = [shape_iou(w, h, *one) for one in everyone]
            best = ious.index(max(ious))
            for a, (aw, ah) in enumerate(own):
                if head.assign == "iou":
                    yes = shape_iou(w, h, aw, ah) > head.assign_threshold
                elif head.assign == "ratio":
                    yes = max(w / aw, aw / w, h / ah, ah / h) < head.assign_threshold
                else:
                    more = head.assign_threshold < 1 and shape_iou(w, h, aw, ah) > head.assign_threshold
                    yes = mask[a] == best or more
                if yes:
                    takers.append((number, a))
        if not takers and heads[0].best_anchor:
            scores = [(shape_iou(w, h, *one), -number, -a) for number, (head, grid) in
                      enumerate(zip(heads, grids, strict=True)) for a, one in enumerate(shapes(head, grid, head.anchors))]
            _, number, a = max(scores)
            takers.append((-number, -a))
        for number, a in takers:
            rows, columns = grids[number]
            x, y = xc * columns, yc * rows
            column, row = min(int(x), columns - 1), min(int(y), rows - 1)
            cells = [(row, column)]
            if heads[number].assign == "ratio":
                if x - column < 0.5 and column > 0:
                    cells.append((row, column - 1))
                if x - column > 0.5 and column < columns - 1:
                    cells.append((row, column + 1))
                if y - row < 0.5 and row > 0:
                    cells.append((row - 1, column))
                if y - row > 0.5 and row < rows - 1:
                    cells.append((row + 1, column))
            for r, c in cells:
                found[number].append(((int(image), a, r, c), int(label), (x, y, w * columns, h * rows)))
    return found


def slow_decode(head: HeadLossOptions, numbers: list[float], place: Place, grid: tuple[int, int],
                size: tuple[int, int]) -> Box:
    """A box in cells."""
    _, a, row, column = place
    aw, ah = head.anchors[a]
    if head.kind == "yolo":
        aw, ah = aw * grid[1] / size[1], ah * grid[0] / size[0]
    x, y, w, h = numbers[:4]
    if not head.new_coords:
        x, y = sigmoid(x), sigmoid(y)
    x, y = (v * head.scale_x_y - (head.scale_x_y - 1) / 2 for v in (x, y))
    if head.new_coords:
        return x + column, y + row, 4 * w * w * aw, 4 * h * h * ah
    return x + column, y + row, math.exp(w) * aw, math.exp(h) * ah


def entropy(x: float, t: float, positive_weight: float, probability: bool) -> float:
    p = x if probability else sigmoid(x)
    return -positive_weight * t * math.log(p) - (1 - t) * math.log(1 - p)


def focused(loss: float, head: HeadLossOptions) -> float:
    return loss * head.focal_alpha * (1.000001 - math.exp(-loss)) ** head.focal_gamma if head.focal == "modulated" else loss


def slow_loss(heads: list[HeadLossOptions], raw: list[torch.Tensor], targets: torch.Tensor,
              size: tuple[int, int]) -> tuple[float, float, float, int]:
    """Box, objectness, classes, positives."""
    grids = [tuple(one.shape[2:4]) for one in raw]
    images = raw[0].shape[0]
    totals, count = [0.0, 0.0, 0.0], 0
    assigned = slow_assign(targets, heads, grids, size)
    for head, one, grid, positives in zip(heads, raw, grids, assigned, strict=True):
        values = one.tolist()
        count += len(positives)
        wanted: dict[Place, float] = {}
        boxes, classes = [], []
        for place, label, truth in positives:
            b, a, row, column = place
            numbers = values[b][a][row][column]
            predicted = slow_decode(head, numbers, place, grid, size)
            target = 1.0 if head.objectness_target == "one" else similarity(predicted, truth, "iou")
            wanted[place] = max(wanted.get(place, 0.0), target)
            boxes.append(slow_box(head, numbers, predicted, truth, place, grid, size))
            classes += slow_classes(head, numbers[5:], label)
        objectness = []
        for b in range(images):
            truths = [(x * grid[1], y * grid[0], w * grid[1], h * grid[0])
                      for image, _, x, y, w, h in targets.tolist() if int(image) == b]
            for a in range(one.shape[1]):
                for row in range(grid[0]):
                    for column in range(grid[1]):
                        place, numbers = (b, a, row, column), values[b][a][row][column]
                        predicted = slow_decode(head, numbers, place, grid, size)
                        covered = max([similarity(predicted, truth, "iou") for truth in truths], default=0.0)
                        if place not in wanted and head.ignore_thresh < 1 and covered > head.ignore_thresh:
                            objectness.append(0.0)
                            continue
                        loss = entropy(numbers[4], wanted.get(place, 0.0), head.obj_pw, head.new_coords)
                        objectness.append(focused(loss, head))
        for number, (gain, losses) in enumerate(((head.box_gain, boxes), (head.obj_gain, objectness),
                                                 (head.cls_gain, classes))):
            share = images / 64 / max(len(losses), 1) if head.reduction == "mean" else 1 / images
            totals[number] += gain * sum(losses) * share
    return (*totals, count)


def slow_box(head: HeadLossOptions, numbers: list[float], predicted: Box, truth: Box, place: Place,
             grid: tuple[int, int], size: tuple[int, int]) -> float:
    if head.iou_loss != "mse":
        return 1 - similarity(predicted, truth, head.iou_loss)
    aw, ah = head.anchors[place[1]]
    if head.kind == "yolo":
        aw, ah = aw * grid[1] / size[1], ah * grid[0] / size[0]
    if head.new_coords:
        tw, th = math.sqrt(truth[2] / aw / 4), math.sqrt(truth[3] / ah / 4)
    else:
        tw, th = math.log(truth[2] / aw), math.log(truth[3] / ah)
    squares = ((predicted[0] - truth[0]) ** 2 + (predicted[1] - truth[1]) ** 2
               + (numbers[2] - tw) ** 2 + (numbers[3] - th) ** 2)
    weight = 1.0 if head.kind == "region" else 2 - truth[2] * truth[3] / (grid[0] * grid[1])
    return 0.5 * squares * weight


def slow_classes(head: HeadLossOptions, numbers: list[float], label: int) -> list[float]:
    """What one positive adds to the list over which the class part is summed or averaged."""
    if head.kind == "region" and head.softmax:
        p = math.exp(numbers[label]) / sum(map(math.exp, numbers))
        return [-0.5 * (1 - p) ** 2 * math.log(p)] if head.focal == "darknet" else [focused(-math.log(p), head)]
    if head.kind == "region":
        return [focused(0.5 * (x - (k == label)) ** 2, head) for k, x in enumerate(numbers)]
    probabilities = numbers if head.new_coords else [sigmoid(x) for x in numbers]
    if head.focal == "darknet":
        p = probabilities[label]
        g = (1 - p) * (1 - p - 2 * p * math.log(p))
        return [-0.5 * (1 - p) ** 2 * math.log(p) if k == label else -0.5 * g * math.log(1 - q)
                for k, q in enumerate(probabilities)]
    eps = head.label_smooth_eps
    return [focused(entropy(x, (k == label) * (1 - eps) + eps / 2, head.cls_pw, head.new_coords), head)
            for k, x in enumerate(numbers)]
