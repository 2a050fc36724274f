"""detect.py from end to end: images, folders and videos in; pictures and JSON out."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from tests.shared import SHARED, needs_shared

REAL = SHARED / "weights"


@pytest.fixture
def detect(command):
    return command("detect.py")


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_folder_of_images_gives_pictures_and_json(pair, detect, capsys):
    before = {path: path.read_bytes() for path in pair.images}
    assert detect([*pair.model, "--names", str(pair.names), "--source", "images", "--conf-thres", "0.1", "-q"]) == 0
    report = read(pair.folder / "output" / "detections.json")
    assert [one["file"] for one in report["images"]] == ["images/0.png", "images/1.png", "images/2.png"]
    assert [(one["width"], one["height"]) for one in report["images"]] == [(60, 40), (32, 32), (48, 90)]
    assert sorted(path.name for path in (pair.folder / "output").iterdir()) == [
        "0.png", "1.png", "2.png", "detections.json"]
    for image in report["images"]:
        assert (pair.folder / image["picture"]).is_file()
        for one in image["detections"]:
            x1, y1, x2, y2 = one["box"]
            assert 0 <= x1 <= x2 <= image["width"]
            assert 0 <= y1 <= y2 <= image["height"]
            assert one["name"] in ("cat", "dog")
            assert 0.1 < one["score"] <= 1
    assert any(image["detections"] for image in report["images"])
    assert "objects in 3 images" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in pair.images} == before


def test_running_again_replaces_the_pictures_and_keeps_other_files(pair, detect):
    (pair.folder / "output").mkdir()
    (pair.folder / "output" / "notes.txt").write_text("mine")
    for _ in range(2):
        assert detect([*pair.model, "--source", "images/*.png", "-q"]) == 0
    assert (pair.folder / "output" / "notes.txt").read_text() == "mine"
    assert not list(pair.folder.glob("**/*.part"))


def test_images_of_one_name_from_two_folders_do_not_overwrite_each_other(pair, detect):
    for folder in ("a", "b"):
        (pair.folder / "two" / folder).mkdir(parents=True)
        (pair.folder / "two" / folder / "x.png").write_bytes(pair.images[1].read_bytes())
    assert detect([*pair.model, "--source", "two/**/*.png", "--output", "out", "-q"]) == 0
    assert sorted(path.name for path in (pair.folder / "out").glob("*.png")) == ["x.png", "x_2.png"]


def test_batches_and_single_images_give_the_same(pair, detect):
    for size in ("1", "2"):
        assert detect([*pair.model, "--source", "images", "--conf", "0.05", "--batch-size", size, "--output",
                       f"by{size}", "-q"]) == 0
    one, two = (read(pair.folder / f"by{size}" / "detections.json")["images"] for size in ("1", "2"))
    for a, b in zip(one, two, strict=True):
        assert [d["class"] for d in a["detections"]] == [d["class"] for d in b["detections"]]
        np.testing.assert_allclose([d["box"] for d in a["detections"]], [d["box"] for d in b["detections"]], atol=0.02)


def test_a_video_becomes_an_mp4_and_a_line_of_json_per_frame(pair, detect, capsys):
    writer = cv2.VideoWriter("clip.avi", cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (48, 32))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write videos")
    random = np.random.default_rng(0)
    for _ in range(5):
        writer.write(random.integers(0, 256, (32, 48, 3), np.uint8))
    writer.release()
    assert detect([*pair.model, "--source", "clip.avi", "--conf", "0.1", "--batch_size", "2", "-q"]) == 0
    lines = [json.loads(line) for line in (pair.folder / "output" / "clip.frames.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4]
    assert lines[4]["second"] == pytest.approx(0.4)
    (record,) = read(pair.folder / "output" / "detections.json")["videos"]
    assert record["frames"] == 5
    assert sum(record["found"].values()) == sum(len(line["detections"]) for line in lines)
    video = cv2.VideoCapture(record["picture"])
    count = 0
    while video.read()[0]:
        count += 1
    assert count == 5
    assert "5 frames of 1 videos" in capsys.readouterr().out


def test_another_input_size_and_letterbox_are_noted(pair, detect):
    assert detect([*pair.model, "--source", "images", "--img-size", "64,32", "--letterbox", "-q"]) == 0
    assert read(pair.folder / "output" / "detections.json")["network_input"] == {
        "width": 64, "height": 32, "letterbox": True}


def test_ctrl_c_leaves_nothing_behind(pair, detect, monkeypatch, capsys):
    import utils.cli.looking as looking

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(looking, "draw_detections", interrupt)
    before = pair.files()
    assert detect([*pair.model, "--source", "images", "-q"]) == 130
    assert capsys.readouterr().err == "interrupted; nothing was written\n"
    assert pair.files() == before
    assert not (pair.folder / "output").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(pair, detect, monkeypatch, capsys):
    import errno

    import utils.atomic

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(utils.atomic.os, "fsync", full)
    before = pair.files()
    assert detect([*pair.model, "--source", "images", "-q"]) == 2
    message = capsys.readouterr().err
    assert "No space left on device" in message
    assert message.count("\n") == 1
    assert pair.files() == before


@needs_shared
@pytest.mark.parametrize("engine", ["torch", "opencv"])
def test_a_real_network_finds_the_dog(engine, detect, tmp_path, capsys):
    folder = REAL / "yolo-fastest-1.1-coco"
    assert detect(["--cfg", str(folder / "model.cfg"), "--weights", str(folder / "model.weights"), "--names",
                   str(folder / "names.txt"), "--source", str(REAL / "images" / "dog.jpg"), "--output", str(tmp_path),
                   "--engine", engine, "-q", "--device", "cpu"]) == 0
    (image,) = read(tmp_path / "detections.json")["images"]
    found = {one["name"]: one for one in reversed(image["detections"])}
    assert {"dog", "car", "bicycle"} <= set(found)
    np.testing.assert_allclose(found["dog"]["box"], [123, 221, 365, 515], atol=12)
    picture = cv2.imread(str(tmp_path / "dog.jpg"))
    assert picture.shape == (576, 768, 3)
    assert "objects in 1 images" in capsys.readouterr().out
