"""From the annotations of Pascal VOC and COCO to a training, with real sets that nobody here made."""

from __future__ import annotations

import pytest

from tests.shared import SHARED, needs_shared

VOC = ("data/convert_voc.py", SHARED / "datasets" / "bccd-voc", "--train", "val", "--valid", "test")
COCO = ("data/convert_coco.py", "--train", SHARED / "datasets" / "coco128-train2017" / "instances.json",
        SHARED / "datasets" / "coco128-train2017" / "images")


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize(("converter", "flags", "boxes"), [(VOC[0], VOC[1:], 900), (COCO[0], COCO[1:], 400)],
                         ids=["voc", "coco"])
def test_a_converted_set_trains_without_another_step(command, tmp_path, monkeypatch, capfd, converter, flags, boxes):
    monkeypatch.chdir(tmp_path)
    assert command(converter)([*map(str, flags), "--out", "set", "-q"]) == 0
    data, = (tmp_path / "set").glob("*.data")
    assert command("train.py")([
        "--arch", "yolov3-tiny", "--width-multiple", "0.05", "--img_size", "96", "--data", str(data), "--out", "run",
        "--epochs", "1", "--workers", "0", "--threads", "1", "--tensorboard", "off"]) == 0
    said = capfd.readouterr()
    found = next(line for line in said.err.splitlines() if line.endswith("boxes"))
    assert int(found.split()[-2]) > boxes
    assert (tmp_path / "run" / "last.weights").stat().st_size > 1000
