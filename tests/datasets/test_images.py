"""Reading image files of all sorts, and saying what is wrong with the others."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from tests.shared import SHARED, needs_shared
from utils.datasets import load_image
from utils.errors import DataError

PICTURE = np.random.default_rng(5).integers(0, 256, (13, 17, 3), dtype=np.uint8)


def png(rows: list[bytes], width: int, depth: int, colour: int) -> bytes:
    """A PNG file by its specification: colour 0 grey, 2 RGB, 4 grey + alpha, 6 RGB + alpha."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + r for r in rows)))
            + chunk(b"IEND", b""))


@pytest.mark.parametrize(("data", "pixel"), [
    (png([bytes([10, 20, 30])], 1, 8, 2), (10, 20, 30)),
    (png([bytes([77])], 1, 8, 0), (77, 77, 77)),
    (png([bytes([10, 20, 30, 5])], 1, 8, 6), (10, 20, 30)),
    (png([bytes([99, 0])], 1, 8, 4), (99, 99, 99)),
    (png([struct.pack(">HHH", 0x0A00, 0x14FF, 0x1E80)], 1, 16, 2), (10, 20, 30)),
    (png([struct.pack(">H", 0x4D10)], 1, 16, 0), (77, 77, 77)),
], ids=["rgb", "grey", "rgb+alpha", "grey+alpha", "rgb 16 bit", "grey 16 bit"])
def test_a_png_written_by_hand_gives_its_pixels_as_rgb(tmp_path, data, pixel):
    (tmp_path / "a.png").write_bytes(data)
    image = load_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    assert image.tolist() == [[list(pixel)]]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_formats_without_loss_give_what_was_written(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(cv2.imencode(suffix, PICTURE[..., ::-1])[1].tobytes())
    np.testing.assert_array_equal(load_image(path), PICTURE)


@pytest.mark.parametrize("name", ["with blanks .png", "grün 図.png", "a'b;c&d.png", "[x]{y}%s.png"])
def test_any_file_name_will_do(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(cv2.imencode(".png", PICTURE)[1].tobytes())
    assert load_image(path).shape == PICTURE.shape
    assert load_image(str(path)).shape == PICTURE.shape


def test_the_rotation_that_a_camera_noted_is_applied(tmp_path):
    jpeg = cv2.imencode(".jpg", PICTURE)[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6: turn right
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
    assert load_image(tmp_path / "a.jpg").shape == (17, 13, 3)


JPEG, PNG = (cv2.imencode(suffix, PICTURE)[1].tobytes() for suffix in (".jpg", ".png"))


@pytest.mark.parametrize(("data", "message"), [
    (b"", "is empty (0 bytes); replace it, or take it off the list"),
    (b"hello", "is no image that OpenCV can decode (5 bytes); replace it, or take it off the list"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
     "is a Git LFS pointer, not the image itself; run `git lfs pull`"),
    (b"\n<!DOCTYPE html><html>", "is a web page, not an image; download it again"),
    (JPEG[:-40], f"is cut off after {len(JPEG) - 40} bytes; download or copy it again"),
    (JPEG[:30], "is cut off after 30 bytes; download or copy it again"),
    (PNG[:-40], f"is cut off after {len(PNG) - 40} bytes; download or copy it again"),
    (PNG[:60] + bytes(20) + PNG[80:],
     f"is no image that OpenCV can decode ({len(PNG)} bytes); replace it, or take it off the list"),
], ids=["empty", "text", "lfs", "html", "half jpeg", "jpeg head", "half png", "damaged png"])
def test_what_is_no_image_is_named_with_the_reason(tmp_path, data, message):
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        load_image(path)
    assert str(caught.value) == f"{path}: {message}"


def test_a_jpeg_with_bytes_behind_its_end_is_fine(tmp_path):
    (tmp_path / "a.jpg").write_bytes(JPEG + b"\0\0trailer of some camera")
    assert load_image(tmp_path / "a.jpg").shape == PICTURE.shape


@pytest.mark.parametrize(("name", "message"), [
    ("nowhere.jpg", "does not exist; check the path"),
    ("", "is a folder, not an image; give an image file"),
])
def test_what_is_not_there_is_named(tmp_path, name, message):
    with pytest.raises(DataError) as caught:
        load_image(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: {message}"


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(np, "fromfile", denied)  # the tests may run as root, who may read all
    with pytest.raises(DataError, match=r"a.jpg: cannot be read \(Permission denied\); check its permissions"):
        load_image(tmp_path / "a.jpg")


def test_opencv_does_not_talk_about_broken_files(tmp_path, capfd):
    tiff = cv2.imencode(".tiff", PICTURE)[1].tobytes()
    (tmp_path / "a.tiff").write_bytes(tiff[: len(tiff) // 2])
    level = cv2.utils.logging.getLogLevel()

    def read(_: int) -> None:
        with pytest.raises(DataError):
            load_image(tmp_path / "a.tiff")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, range(20)))
    assert capfd.readouterr().err == ""
    assert cv2.utils.logging.getLogLevel() == level, "as loud as before"


@needs_shared
def test_all_images_of_a_real_set_can_be_read_the_grey_one_too():
    folder = SHARED / "datasets" / "coco128-train2017" / "images"
    images = sorted(folder.glob("*.jpg"))
    assert len(images) == 128
    for path in images[::16]:
        assert load_image(path).shape[2] == 3
    grey = load_image(folder / "000000000086.jpg")  # quirks.json: colour mode L
    assert (grey[..., 0] == grey[..., 1]).all()
    assert (grey[..., 0] == grey[..., 2]).all()
