"""Sizes from headers, against the decoded image."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from tests.shared import SHARED, needs_shared
from utils.datasets import image_header, image_size, load_image
from utils.errors import DataError

PICTURE = np.random.default_rng(5).integers(0, 256, (13, 17, 3), dtype=np.uint8)
JPEG, PNG = (cv2.imencode(suffix, PICTURE)[1].tobytes() for suffix in (".jpg", ".png"))


def exif(order: str, orientation: int) -> bytes:
    """An APP1 segment with two entries, the second of which is the orientation."""
    mark = b"MM" if order == ">" else b"II"
    tiff = mark + struct.pack(f"{order}HIH", 42, 8, 2) + struct.pack(f"{order}HHIHH", 0x0100, 3, 1, 99, 0) + struct.pack(
        f"{order}HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)
    return b"\xff\xe1" + struct.pack(">H", 8 + len(tiff)) + b"Exif\0\0" + tiff


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A chunk behind IHDR."""
    return png[:33] + struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) + png[33:]


CASES = {
    "jpeg": JPEG,
    "progressive jpeg": cv2.imencode(".jpg", PICTURE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes(),
    "grey jpeg": cv2.imencode(".jpg", PICTURE[..., 0])[1].tobytes(),
    "jpeg with fill bytes": JPEG[:2] + b"\xff\xff" + JPEG[2:],
    "jpeg with a trailer": JPEG + b"\0" * 9000,
    "jpeg with a long comment": JPEG[:2] + b"\xff\xfe\xff\xff" + b"x" * 65533 + JPEG[2:],
    **{f"turned {order}{n}": JPEG[:2] + exif(order, n) + JPEG[2:] for order in "<>" for n in (1, 3, 5, 6, 8, 9)},
    "exif without entries": JPEG[:2] + b"\xff\xe1\x00\x10Exif\0\0MM\0*\0\0\0\x08" + JPEG[2:],
    "png": PNG,
    "png with text": with_chunk(PNG, b"tEXt", b"a\0b"),
    "png with exif": with_chunk(PNG, b"eXIf", exif(">", 6)[10:]),
    "bmp": cv2.imencode(".bmp", PICTURE)[1].tobytes(),
    "webp": cv2.imencode(".webp", PICTURE)[1].tobytes(),
}


@pytest.mark.parametrize("case", CASES)
def test_the_header_tells_what_decoding_gives(tmp_path, case):
    (tmp_path / "a.jpg").write_bytes(CASES[case])
    image = load_image(tmp_path / "a.jpg")
    assert image_size(tmp_path / "a.jpg") == (image.shape[1], image.shape[0])


@pytest.mark.parametrize("case", ["jpeg", "progressive jpeg", "turned <6", "png"])
def test_usual_files_are_not_decoded(tmp_path, case, monkeypatch):
    monkeypatch.setattr(image_header, "load_image", None)
    (tmp_path / "a.jpg").write_bytes(CASES[case])
    assert image_size(tmp_path / "a.jpg") == ((13, 17) if case == "turned <6" else (17, 13))


@pytest.mark.parametrize("data", [b"", b"hello", JPEG[:-40], JPEG[:30], JPEG[:3], PNG[:-40], PNG[:20],
                                  b"version https://git-lfs.github.com/spec/v1\n"])
def test_what_is_no_whole_image_is_refused_in_the_words_of_load_image(tmp_path, data):
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(DataError) as wanted:
        load_image(tmp_path / "a.jpg")
    with pytest.raises(DataError) as caught:
        image_size(tmp_path / "a.jpg")
    assert str(caught.value) == str(wanted.value)
    with pytest.raises(DataError, match="does not exist"):
        image_size(tmp_path / "b.jpg")


@needs_shared
def test_the_sizes_of_a_real_set():
    for path in sorted((SHARED / "datasets" / "coco128-train2017" / "images").glob("*.jpg"))[::8]:
        assert image_size(path) == load_image(path).shape[1::-1]
