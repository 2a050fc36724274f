"""The teacher's losses once more, from their formulas, in plain Python floats: one place, one channel after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.detection.slow_loss import sigmoid, similarity
from utils.distillation import HeadOutputs


def softmax(values: Sequence[float], temperature: float) -> list[float]:
    top = max(values)
    powers = [math.exp((value - top) / temperature) for value in values]
    return [power / sum(powers) for power in powers]


def kl(teacher: Sequence[float], student: Sequence[float], temperature: float) -> float:
    """KL(teacher || student) of two rows of logits."""
    return sum(t * (math.log(t) - math.log(s)) for t, s in
               zip(softmax(teacher, temperature), softmax(student, temperature), strict=True) if t > 0)


def logits(head: HeadOutputs, row: Sequence[float]) -> list[float]:
    return [math.log(p / (1 - p)) for p in row] if head.options.new_coords else list(row)


def rows(head: HeadOutputs):
    """(image, anchor, row, column, student's numbers, teacher's) of every place."""
    ours, theirs = head.student.tolist(), head.teacher.tolist()
    images, anchors, height, width, _ = head.student.shape
    for b in range(images):
        for a in range(anchors):
            for y in range(height):
                for x in range(width):
                    yield b, a, y, x, ours[b][a][y][x], theirs[b][a][y][x]


def hinton(heads: Sequence[HeadOutputs], temperature: float) -> float:
    total = sum(kl(logits(head, t), logits(head, s), temperature) for head in heads for *_, s, t in rows(head))
    return temperature ** 2 * total / heads[0].student.shape[0]


def box(head: HeadOutputs, anchor: int, y: int, x: int, row: Sequence[float], *, cells: bool) -> tuple[float, ...]:
    """Decoded, in cells or pixels."""
    options = head.options
    height, width = head.student.shape[2:4]
    aw, ah = options.anchors[anchor]
    if options.kind == "yolo":
        aw, ah = aw * width / head.size[1], ah * height / head.size[0]
    px, py = row[:2] if options.new_coords else (sigmoid(row[0]), sigmoid(row[1]))
    s = options.scale_x_y
    cx, cy = x + px * s - (s - 1) / 2, y + py * s - (s - 1) / 2
    w, h = (((2 * row[2]) ** 2 * aw, (2 * row[3]) ** 2 * ah) if options.new_coords
            else (math.exp(row[2]) * aw, math.exp(row[3]) * ah))
    fx, fy = (1, 1) if cells else (head.size[1] / width, head.size[0] / height)
    return cx * fx, cy * fy, w * fx, h * fy


def detection(heads: Sequence[HeadOutputs], temperature: float, margin: float) -> tuple[float, float, float]:
    """(classes, boxes, ratio)."""
    classes = boxes = chosen = count = 0.0
    for head in heads:
        classes += sum(kl(logits(head, t)[4:], logits(head, s)[4:], temperature) for *_, s, t in rows(head)) \
            * temperature ** 2 / head.student.shape[0]
        places = head.positives
        for b, a, y, x, truth in zip(places.image.tolist(), places.anchor.tolist(), places.row.tolist(),
                                     places.column.tolist(), places.truth.tolist(), strict=True):
            ours, theirs = (sum((p - q) ** 2 for p, q in zip(box(head, a, y, x, raw[b, a, y, x].tolist(), cells=True),
                                                             truth, strict=True)) for raw in (head.student, head.teacher))
            count += 1
            if ours + margin > theirs:
                chosen += 1
                boxes += ours
    return classes, boxes, chosen / count if count else 0.0


def distance(heads: Sequence[HeadOutputs], norm: int, *, plain: bool) -> float:
    total = 0.0
    for head in heads:
        all_gaps, objectness, weighted, weights = [], [], 0.0, 0.0
        for *_, s, t in rows(head):
            t = logits(head, t)
            gaps = [abs(p - q) ** norm for p, q in zip(logits(head, s), t, strict=True)]
            all_gaps += gaps
            objectness.append(gaps[4])
            sure = sigmoid(t[4])
            weights += sure
            weighted += sure * (sum(gaps[:4]) / 4 + sum(gaps[5:]) / len(gaps[5:]))
        total += sum(all_gaps) / len(all_gaps) if plain else sum(objectness) / len(objectness) + weighted / weights
    return total


def scores(head: HeadOutputs, row: Sequence[float]) -> tuple[float, list[float]]:
    """(objectness, class probabilities)."""
    if head.options.new_coords:
        return row[4], list(row[5:])
    classes = softmax(row[5:], 1.0) if head.options.kind == "region" and head.options.softmax else \
        list(row[5:]) if head.options.kind == "region" else [sigmoid(one) for one in row[5:]]
    return sigmoid(row[4]), classes


def cross_entropy(p: float, target: float) -> float:
    return -target * math.log(p) - (1 - target) * math.log(1 - p)


def align_soft_target(heads: Sequence[HeadOutputs]) -> tuple[float, float, float]:
    """(classes, objectness, boxes)."""
    classes = objectness = boxes = 0.0
    for head in heads:
        for _, a, y, x, s, t in rows(head):
            (o, c), (po, pc) = scores(head, s), scores(head, t)
            gaps = [abs(po * q - o * p) for p, q in zip(c, pc, strict=True)]
            classes += sum(gap * cross_entropy(o * p, po * q) for gap, p, q in zip(gaps, c, pc, strict=True))
            objectness += abs(po - o) * cross_entropy(o, po)
            boxes += max(gaps) * (1 - similarity(box(head, a, y, x, s, cells=False), box(head, a, y, x, t, cells=False), "giou"))
    count = max(1, sum(len(head.positives) for head in heads))
    return classes / count, objectness / count, boxes / count


def channel_wise(student: list, teacher: list, temperature: float) -> float:
    """Of two nested lists (N, C, places)."""
    pairs = [(s, t) for one, other in zip(student, teacher, strict=True) for s, t in zip(one, other, strict=True)]
    return temperature ** 2 * sum(kl(t, s, temperature) for s, t in pairs) / len(pairs)
