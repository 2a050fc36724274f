"""The Python on docs/deploying.md is run, and finds in a picture what was recorded."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from pathlib import Path

import numpy as np
import pytest

from tests.shared import SHARED, needs_shared
from utils.datasets.images import load_image, prepare
from utils.deploy import ENGINES, export_onnx

cv2 = pytest.importorskip("cv2")

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "deploying.md").read_text(encoding="utf-8")
REAL = SHARED / "weights"
NAME, PICTURE = "yolo-fastest-1.1-coco", "dog.jpg"

pytestmark = [needs_shared, *(pytest.mark.skipif(ENGINES[name].missing() is not None, reason=str(ENGINES[name].missing()))
                              for name in ("opencv", "onnxruntime"))]


def snippets(heading):
    """The Python below a heading: indented blocks that begin with an import."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"(?:^(?: {4,}.*)?\n)+", section, re.MULTILINE)
    return [code for code in (textwrap.dedent(block).strip() for block in blocks) if code.startswith("import ")]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a snippet on a real pair of 320x320 and a picture; returns its variables."""
    monkeypatch.chdir(tmp_path)
    for ending in ("cfg", "weights"):
        shutil.copyfile(REAL / NAME / f"model.{ending}", f"my.{ending}")
    shutil.copyfile(REAL / "images" / PICTURE, "picture.jpg")
    export_onnx("my.cfg", "my.weights", "my.onnx", decoded=True, threads=1)

    def run(code):
        assert code.count("(416, 416)") == 1
        variables = {}
        exec(code.replace("(416, 416)", "(320, 320)"), variables)
        return variables

    return run


def assert_recorded(found, epsilon, pixels):
    """found: class, score, x, y, w, h of each detection."""
    recorded = json.loads((REAL / "expected" / f"{NAME}.json").read_text())["images"][PICTURE][epsilon]
    assert len(found) == len(recorded) == 7
    for one in recorded:
        x1, y1, x2, y2 = one["box"]
        assert any(cls == one["cls"] and abs(score - one["conf"]) < 1e-3
                   and np.allclose([x, y, x + w, y + h], [x1, y1, x2, y2], atol=pixels)
                   for cls, score, x, y, w, h in found), one


def test_opencv_4(run):
    plain, _ = snippets("OpenCV 4")
    found = run(plain)
    assert_recorded([(cls, score, *box) for cls, score, box in zip(found["classes"], found["scores"], found["boxes"],
                                                                   strict=True)], "bn_eps_1e-6_opencv", 2.5)


def test_onnx_runtime(run):
    (code,) = snippets("ONNX Runtime")
    found = run(code)
    assert_recorded([(found["classes"][i], found["scores"][i], *found["boxes"][i]) for i in found["kept"]],
                    "bn_eps_1e-5_alexeyab", 0.1)


def test_opencv_5_in_the_opencv_that_is_here(run):
    (code,), (runtime,) = snippets("OpenCV 5"), snippets("ONNX Runtime")
    np.testing.assert_allclose(run(code)["predictions"], run(runtime)["predictions"], rtol=1e-3, atol=5e-3)


def test_the_letterbox_is_darknets(run):
    _, code = snippets("OpenCV 4")
    want, geometry = prepare(load_image("picture.jpg"), (320, 320), True)
    got = run(code)["blob"][0]
    grey = (320 - geometry.picture_size[1]) // 2
    assert np.abs(got[:, :grey] - want[:, :grey]).max() < 0.01
    assert np.abs(got - want).mean() < 0.02  # OpenCV's resize is not Darknet's
