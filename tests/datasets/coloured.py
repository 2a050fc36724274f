"""Images whose pixels say where their objects are: solid rectangles in colours of their own, on black."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from utils.datasets.yolo_writer import label_text

COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255)], dtype=np.uint8)
"""Of the classes. Border grey is none of them, nor is any mixture with black or grey up to one half."""


def draw(random: np.random.Generator, width: int, height: int, classes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 RGB with one rectangle per class, and (n, 5) labels; each lies in a strip of its own."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    labels = []
    edges = np.linspace(0, width, len(classes) + 1).astype(int)
    for c, left, right in zip(classes, edges[:-1], edges[1:], strict=True):
        room = right - left
        w, h = int(random.integers(room * 0.4, room * 0.8)), int(random.integers(height * 0.2, height * 0.6))
        x, y = left + int(random.integers(1, room - w)), int(random.integers(1, height - h))
        image[y : y + h, x : x + w] = COLOURS[c]
        labels.append((c, (x + w / 2) / width, (y + h / 2) / height, w / width, h / height))
    return image, np.array(labels, dtype=np.float32).reshape(-1, 5)


def write(folder: Path, shapes: list[tuple[int, int]], *, backgrounds: tuple[int, ...] = (), seed: int = 0) -> Path:
    """A list of PNG images of these (width, height), image i with classes i and i + 2; `backgrounds` have no object."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "labels").mkdir(exist_ok=True)
    names = []
    for i, (width, height) in enumerate(shapes):
        classes = [] if i in backgrounds else [i % 6, (i + 2) % 6]
        image, labels = draw(np.random.default_rng((seed, i)), width, height, classes) if classes else (
            np.zeros((height, width, 3), dtype=np.uint8), np.zeros((0, 5), dtype=np.float32))
        names.append(folder / "images" / f"{i}.png")
        names[-1].write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
        if i % 2 or classes:  # every other background has no label file, the rest an empty one
            (folder / "labels" / f"{i}.txt").write_text(label_text(labels))
    source = folder / "train.txt"
    source.write_text("".join(f"{name}\n" for name in names))
    return source


def pixels_of(image: np.ndarray, c: int) -> np.ndarray:
    """(H, W) bool: where an (H, W, 3) image shows class c by half or more."""
    return ((image >= 128) == (COLOURS[c] == 255)).all(axis=-1)


def assert_boxes_fit(image: np.ndarray, labels: np.ndarray, within: float = 1.5, unseen: float = 0.01) -> None:
    """Each box ends where the pixels of its class end, and no object of noticeable size is without a box.

    image: (H, W, 3) RGB. labels: (n, 5) class xc yc w h relative to it. within: pixels.
    unseen: share of the image that a remainder without a box may cover.
    """
    height, width = image.shape[:2]
    covered = np.zeros((len(COLOURS), height, width), dtype=bool)
    for row in labels:
        c, (xc, yc, w, h) = int(row[0]), row[1:] * (width, height, width, height)
        box = np.array([xc - w / 2, yc - h / 2, xc + w / 2, yc + h / 2])
        assert (box >= -1e-3).all()
        assert (box <= np.array([width, height, width, height]) + 1e-3).all()
        near = np.zeros((height, width), dtype=bool)
        x1, y1 = np.maximum(np.floor(box[:2] - 3), 0).astype(int)
        x2, y2 = np.ceil(box[2:] + 3).astype(int)
        near[y1:y2, x1:x2] = True
        covered[c] |= near
        found = pixels_of(image, c) & near
        columns, rows = np.flatnonzero(found.any(axis=0)), np.flatnonzero(found.any(axis=1))
        assert len(columns), f"nothing of class {c} in the box {box}"
        truth = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        assert np.abs(truth - box).max() <= within, f"class {c}: the box is {box}, the pixels {truth}"
    for c in range(len(COLOURS)):
        left = (pixels_of(image, c) & ~covered[c]).astype(np.uint8)
        for _, _, w, h, _ in cv2.connectedComponentsWithStats(left)[2][1:]:
            assert min(w, h) <= 5 or w * h < unseen * height * width or max(w, h) > 9 * min(w, h), \
                f"class {c} has no box for {w}x{h} pixels"
