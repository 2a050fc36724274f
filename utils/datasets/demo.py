"""The demo data set: coloured shapes on rough backgrounds, drawn on the spot, the same bytes for the same seed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from utils.atomic import write_bytes, write_text
from utils.datasets.yolo_writer import Paths, label_text, make_folder, write_lists
from utils.errors import OptionError

Outline = Callable[[], np.ndarray]

BACKGROUND_SHARE = 0.1
"""Part of the images without objects."""


def _polygon(corners: int, turn: float = 0.0, inner: float = 1.0) -> np.ndarray:
    """(n, 2) corners on the unit circle; with `inner` < 1 every second one is pulled in, which makes a star."""
    angles = turn + 2 * math.pi * np.arange(corners) / corners
    radii = np.where(np.arange(corners) % 2 == 0, 1.0, inner)
    return np.stack((np.cos(angles), np.sin(angles)), axis=1) * radii[:, None]


def _cross() -> np.ndarray:
    arm, reach = 0.32, 0.95
    quarter = np.array([(arm, arm), (arm, reach), (-arm, reach)])
    turns = [np.array([(math.cos(a), -math.sin(a)), (math.sin(a), math.cos(a))]) for a in
             (0, math.pi / 2, math.pi, 3 * math.pi / 2)]
    return np.concatenate([quarter @ turn.T for turn in turns])


SHAPES: Mapping[str, Outline] = {
    "circle": lambda: _polygon(64),
    "square": lambda: _polygon(4, math.pi / 4),
    "triangle": lambda: _polygon(3, -math.pi / 2),
    "star": lambda: _polygon(10, -math.pi / 2, 0.45),
    "cross": _cross,
    "hexagon": lambda: _polygon(6),
}
"""Outlines of the shapes that can be drawn, around 0 with radius 1."""


def generate(folder: str | Path, images: int = 200, size: int | tuple[int, int] = (128, 256),
             classes: Sequence[str] = ("circle", "square", "triangle"), seed: int = 0, *, valid_share: float = 0.2,
             paths: Paths = "relative", advance: Callable[[int], object] | None = None) -> Path:
    """Draw a data set: images/, labels/, train.txt, valid.txt, demo.names and demo.data.

    One image in ten has no objects (and an empty label file); the others have one to five, rarely overlapping. Boxes
    are tight: the label is measured on the pixels that were drawn. Every image has its own random stream, so the
    first 100 images are the same whether 100 or 200 are asked for.

    Args:
        folder: made if missing; files of an earlier run are replaced.
        images: how many, 2 or more.
        size: width and height in pixels; or (least, most), and each side is drawn in between.
        classes: keys of SHAPES.
        seed: same seed, same bytes (with the same OpenCV and numpy).
        valid_share: part of the images that go to valid.txt, the last ones; at least one.
        paths: as in `write_yolo`.
        advance: called with 1 after each image.

    Returns:
        The path of demo.data.

    Raises:
        OptionError: too few images, sizes below 32, unknown shapes. OutputError: something cannot be written.
    """
    least, most = (size, size) if isinstance(size, int) else size
    _check_options(images, least, most, classes, valid_share)
    folder = make_folder(Path(os.path.abspath(folder)))
    for name in ("images", "labels"):
        make_folder(folder / name)
    digits = len(str(images - 1))
    files = []
    for i in range(images):
        image, labels = draw_sample(np.random.default_rng((seed, i)), least, most, classes,
                                    empty=i % round(1 / BACKGROUND_SHARE) == 3)
        files.append(folder / "images" / f"{i:0{max(4, digits)}d}.png")
        encoded = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 3])[1]
        write_bytes(files[-1], encoded.tobytes())
        write_text(folder / "labels" / f"{files[-1].stem}.txt", label_text(labels))
        if advance is not None:
            advance(1)
    held_back = max(1, round(images * valid_share))
    return write_lists(folder, "demo", classes, {"train": files[:-held_back], "valid": files[-held_back:]}, paths).data


def draw_sample(random: np.random.Generator, least: int, most: int, classes: Sequence[str], *,
                empty: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """One image (H, W, 3) uint8 RGB and its labels (n, 5) float32 class xc yc w h, relative."""
    width, height = (int(random.integers(least, most + 1)) for _ in range(2))
    image = _background(random, width, height)
    covered = np.zeros((height, width), dtype=bool)
    labels: list[tuple[float, ...]] = []
    for _ in range(0 if empty else int(random.integers(1, 6))):
        label = int(random.integers(len(classes)))
        mask = _mask(random, SHAPES[classes[label]](), width, height)
        if labels and (covered & mask).sum() > 0.1 * mask.sum():
            continue  # would hide too much of what is there
        covered |= mask
        _paint(random, image, mask)
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
        labels.append((label, (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width,
                       (bottom - top) / height))
    return image, np.array(labels, dtype=np.float32).reshape(-1, 5)


def _background(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Large soft spots of colour, with grain."""
    cells = random.integers(40, 200, (int(random.integers(2, 6)), int(random.integers(2, 6)), 3), dtype=np.uint8)
    image = cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.int16)
    grain = random.integers(-18, 19, (height, width, 1), dtype=np.int16)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def _mask(random: np.random.Generator, outline: np.ndarray, width: int, height: int) -> np.ndarray:
    """(H, W) bool: a shape of random size, turned by up to 20 degrees, wholly inside the image."""
    short = min(width, height)
    radius = random.uniform(max(6.0, 0.07 * short), 0.25 * short)
    centre = random.uniform(radius + 1, width - radius - 1), random.uniform(radius + 1, height - radius - 1)
    angle = random.uniform(-math.pi / 9, math.pi / 9)
    turn = np.array([(math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))])
    corners = np.rint(outline @ turn.T * radius + centre).astype(np.int32)
    mask = np.zeros((height, width), dtype=np.uint8)
    cv2.fillPoly(mask, [corners], 1)
    return mask.astype(bool)


def _paint(random: np.random.Generator, image: np.ndarray, mask: np.ndarray) -> None:
    """Fill a shape with one grainy colour that stands out from what is below."""
    below = image[mask].mean(axis=0)
    colours = random.integers(0, 256, (8, 3))
    colour = colours[np.abs(colours - below).sum(axis=1).argmax()]
    grain = random.integers(-10, 11, (int(mask.sum()), 1))
    image[mask] = np.clip(colour + grain, 0, 255).astype(np.uint8)


def _check_options(images: int, least: int, most: int, classes: Sequence[str], valid_share: float) -> None:
    if images < 2:
        raise OptionError("images", f"{images} cannot be split into train and valid", "draw 2 or more")
    if not 32 <= least <= most:
        raise OptionError("size", f"{least} to {most} pixels cannot be drawn", "give 32 or more, the smaller one first")
    unknown = [name for name in classes if name not in SHAPES]
    if unknown or not classes or len(set(classes)) < len(classes):
        problem = f"there is no shape {unknown[0]!r}" if unknown else "name each shape once, and at least one"
        raise OptionError("classes", problem, f"choose from {', '.join(SHAPES)}")
    if not 0 < valid_share < 1:
        raise OptionError("valid share", f"{valid_share} is not between 0 and 1", "give for example 0.2")
