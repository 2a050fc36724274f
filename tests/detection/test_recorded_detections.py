"""Our decoding and suppression against the detections that Darknet itself made from the same head outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.shared import SHARED, needs_shared
from utils.detection import (
    darknet_rows,
    decode_gaussian_yolo,
    decode_region,
    decode_yolo,
    select_detections,
    xywh_to_xyxy,
)

DARKNET = SHARED / "darknet"
NMS = 0.45  # what `detector test` uses

pytestmark = needs_shared


@dataclass(frozen=True)
class Recorded:
    """One recorded net: its heads as Darknet holds them, and what get_network_boxes gave."""

    spec: dict[str, Any]
    arrays: dict[str, np.ndarray]
    heads: list[tuple[dict[str, Any], np.ndarray]]  # (type, shape, options), Darknet's l.output

    @property
    def size(self) -> tuple[int, int]:
        return self.spec["width"], self.spec["height"]

    @property
    def selection(self) -> dict[str, Any]:
        last = self.heads[-1][0]
        return {
            "conf": self.spec["thresh"],
            "kind": last["options"].get("nms_kind", "default"),
            "beta": float(last["options"].get("beta_nms", 0.6)),
            "gate": "product" if last["type"] == "REGION" else "objectness",
            "image_size": self.size,
        }


def section(cfg: Path) -> dict[str, str]:
    """The options of the last section of a cfg."""
    lines = ["".join(line.split()) for line in cfg.read_text().splitlines()]
    start = max(i for i, line in enumerate(lines) if line.startswith("["))
    return dict(line.split("=", 1) for line in lines[start + 1:] if "=" in line and not line.startswith("#"))


def recorded_case(path: Path) -> Recorded:
    spec, arrays = json.loads(path.read_text()), dict(np.load(path.with_suffix(".npz")))
    return Recorded(spec, arrays, [(head, arrays[f"head{head['layer']}"]) for head in spec["heads"]])


def recorded_probe(path: Path) -> Recorded:
    spec, arrays = json.loads(path.read_text()), dict(np.load(path.with_suffix(".npz")))
    head = {"type": spec["last_layer"][1], "shape": spec["recorded_out_chw"],
            "options": section(path.with_suffix(".cfg"))}
    return Recorded(spec, arrays, [(head, arrays["out"])])


def recordings(folder: str) -> Iterator[Any]:
    for path in sorted((DARKNET / folder).glob("*.json")):
        with np.load(path.with_suffix(".npz")) as arrays:
            if "dets_pre" not in arrays.files:
                continue
        read = recorded_case if folder == "cases" else recorded_probe
        yield pytest.param(read, path, id=f"{folder}-{path.stem}")


RECORDINGS = [*recordings("cases"), *recordings("probes")] if DARKNET.is_dir() else []


def logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return np.log(p) - np.log1p(-p)


def raw_head(head: dict[str, Any], output: np.ndarray) -> torch.Tensor:
    """Undo what the head did: Darknet's l.output -> what entered the head, (1, A, gy, gx, entries), float64."""
    options, (channels, rows, columns) = head["options"], head["shape"]
    count = len(options["mask"].split(",")) if "mask" in options else int(options.get("num", 1))
    entries, spread = channels // count, float(options.get("scale_x_y", 1))
    output = output.astype(np.float64)
    if head["type"] == "REGION":  # (cell, anchor, entry); x and y are still raw
        values = output.reshape(rows, columns, count, entries).transpose(2, 0, 1, 3).copy()
        values[..., 4] = logit(values[..., 4])
        if options.get("softmax") == "1":
            values[..., 5:] = np.log(np.maximum(values[..., 5:], 1e-300))
        return torch.from_numpy(values[None])
    values = output.reshape(count, entries, rows, columns).transpose(0, 2, 3, 1).copy()
    gaussian = head["type"] == "GAUSSIAN_YOLO"
    centre = [0, 2] if gaussian else [0, 1]
    squashed = [0, 1, 2, 3, 5, 7, *range(8, entries)] if gaussian else [0, 1, *range(4, entries)]
    values[..., centre] = (values[..., centre] + 0.5 * (spread - 1)) / spread
    if options.get("new_coords") != "1":
        values[..., squashed] = logit(values[..., squashed])
    return torch.from_numpy(values[None])


def head_anchors(head: dict[str, Any]) -> list[list[float]]:
    """The anchors of one head; Darknet's default is half a pixel (or cell)."""
    options = head["options"]
    count = int(options.get("num", 1))
    numbers = [float(n) for n in options.get("anchors", "").split(",") if n] or [0.5] * (2 * count)
    pairs = [numbers[i:i + 2] for i in range(0, len(numbers), 2)]
    mask = [int(m) for m in options["mask"].split(",")] if "mask" in options else range(count)
    return [pairs[m] for m in mask]


def decode(recorded: Recorded, head: dict[str, Any], output: np.ndarray) -> torch.Tensor:
    raw, options = raw_head(head, output), head["options"]
    width, height = recorded.size
    common: dict[str, Any] = {"anchors": head_anchors(head), "stride": (width / raw.shape[3], height / raw.shape[2])}
    if head["type"] == "REGION":
        return decode_region(raw, softmax=options.get("softmax") == "1", **common)
    common["scale_x_y"] = float(options.get("scale_x_y", 1))
    if head["type"] == "GAUSSIAN_YOLO":
        return decode_gaussian_yolo(raw, **common)
    return decode_yolo(raw, new_coords=options.get("new_coords") == "1", **common)


def predictions(recorded: Recorded) -> torch.Tensor:
    """All boxes of a recording in Darknet's order: head, row, column, anchor."""
    parts = []
    for head, output in recorded.heads:
        _, rows, columns = head["shape"]
        boxes = decode(recorded, head, output)[0]
        parts.append(boxes.unflatten(0, (-1, rows * columns)).transpose(0, 1).flatten(0, 1))
    return torch.cat(parts).float()


def as_recorded(rows: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Our rows in the eight columns of the recording."""
    probability = rows[:, 5:]
    best = np.where(probability.max(1) > 0, probability.argmax(1), -1)
    return np.column_stack((rows[:, :4] / (*size, *size), rows[:, 4], best, probability.max(1),
                            (probability > 0).sum(1)))


def in_one_order(rows: np.ndarray) -> np.ndarray:
    return rows[np.lexsort(np.round(rows[:, [3, 2, 1, 0]].T.astype(np.float64), 3))]


@pytest.mark.parametrize(("read", "path"), RECORDINGS)
def test_decoding_gives_darknets_boxes_in_darknets_order(read, path):
    recorded = read(path)
    rows = darknet_rows(predictions(recorded), iou=None, **recorded.selection)
    mine, theirs = as_recorded(rows, recorded.size), recorded.arrays["dets_pre"]
    assert mine.shape == theirs.shape
    np.testing.assert_array_equal(mine[:, [5, 7]], theirs[:, [5, 7]])
    np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("read", "path"), RECORDINGS)
def test_suppression_leaves_what_darknet_leaves(read, path):
    """Darknet reorders its rows while it suppresses; both lists are sorted by position before they are compared."""
    recorded = read(path)
    rows = darknet_rows(predictions(recorded), iou=NMS, **recorded.selection)
    mine, theirs = in_one_order(as_recorded(rows, recorded.size)), in_one_order(recorded.arrays["dets_post"])
    np.testing.assert_array_equal(mine[:, [5, 7]], theirs[:, [5, 7]])
    np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("read", "path"), RECORDINGS)
def test_the_selected_detections_are_the_probabilities_that_darknet_left(read, path):
    recorded = read(path)
    selected = select_detections(predictions(recorded), iou=NMS, max_candidates=None, **recorded.selection)
    left = recorded.arrays["dets_post"]
    assert len(selected) == left[:, 7].sum()
    surest = left[left[:, 7] > 0][:, [0, 1, 2, 3, 6, 5]]
    boxes = xywh_to_xyxy(torch.from_numpy(surest[:, :4])).numpy() * np.tile(recorded.size, 2)
    expected = np.column_stack((boxes, surest[:, 4:]))
    for row in expected:  # the recording names only the surest class of a box
        assert np.abs(selected - row).max(1).min() < 1e-3
    if len(selected):
        assert selected[0, 4] == pytest.approx(surest[:, 4].max(), rel=2e-5)
        assert (np.diff(selected[:, 4]) <= 0).all()


def test_every_kind_of_head_and_of_suppression_is_among_the_recordings():
    everything = [parameters.values[0](parameters.values[1]) for parameters in RECORDINGS]
    heads = {head["type"] for recorded in everything for head, _ in recorded.heads}
    kinds = {recorded.selection["kind"] for recorded in everything}
    assert heads == {"YOLO", "GAUSSIAN_YOLO", "REGION"}
    assert kinds == {"default", "greedynms", "diounms"}
    assert len(everything) >= 40
