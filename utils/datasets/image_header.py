"""Width and height of an image file from its first bytes, without decoding it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Literal

from utils.datasets.images import load_image

_TAIL = 4096  # bytes at the end of a file in which its end marker is looked for first

_START, _END, _SCAN, _EXIF = 0xD8, 0xD9, 0xDA, 0xE1
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15 without DHT, JPG and DAC


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height that `load_image` would give, in pixels.

    JPEG and PNG tell them in their headers (JPEG: with the rotation that a camera noted); a file of another format,
    or one whose header or end is not as usual, is decoded.

    Raises:
        DataError: as `load_image`: missing, unreadable, no image, or cut off. Damage between header and end is not
            seen here.
    """
    try:
        with open(path, "rb") as file:
            size = _size(file)
    except (OSError, IndexError, ValueError):  # load_image says what is wrong
        size = None
    if size is None or min(size) < 1:
        height, width = load_image(path).shape[:2]
        return width, height
    return size


def _size(file: BinaryIO) -> tuple[int, int] | None:
    """Width and height of a whole JPEG or PNG file; None where only decoding can tell."""
    start = file.read(2)
    if start == bytes((0xFF, _START)):
        size = _jpeg_size(file)
        tail = _tail(file)
        return size if tail.rfind(b"\xff\xd9") > tail.rfind(b"\xff\xda") else None
    if start + file.read(6) == b"\x89PNG\r\n\x1a\n":
        size = _png_size(file)
        return size if b"IEND" in _tail(file)[-1024:] else None
    return None


def _tail(file: BinaryIO) -> bytes:
    length = file.seek(0, 2)
    file.seek(max(0, length - _TAIL))
    return file.read(_TAIL)


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    """Walks from segment to segment up to the first scan. Source: ITU-T T.81, annex B."""
    size, turned = None, None
    while True:
        if file.read(1) != b"\xff":
            return None
        marker = 0xFF
        while marker == 0xFF:  # any number of fill bytes
            marker = file.read(1)[0]
        if marker in _WITHOUT_LENGTH:
            continue
        if marker in (_SCAN, _END):
            break
        length = int.from_bytes(file.read(2), "big") - 2
        if length < 0:
            return None
        if marker in _FRAMES:
            data = file.read(length)
            size = int.from_bytes(data[3:5], "big"), int.from_bytes(data[1:3], "big")
        elif marker == _EXIF and turned is None:
            data = file.read(length)
            turned = _on_its_side(data[6:]) if data.startswith(b"Exif\0\0") else None
        else:
            file.seek(length, 1)
    return size[::-1] if size and turned else size


def _on_its_side(tiff: bytes) -> bool:
    """Whether an EXIF block asks for a turn by 90 degrees to either side: orientation, tag 0x0112, from 5 to 8."""
    if tiff[:4] not in (b"II*\0", b"MM\0*"):
        return False
    order: Literal["little", "big"] = "little" if tiff[:1] == b"I" else "big"

    def number(offset: int, length: int) -> int:
        return int.from_bytes(tiff[offset : offset + length], order)

    first = number(4, 4)
    for entry in range(first + 2, first + 2 + 12 * number(first, 2), 12):
        if entry + 12 > len(tiff):
            return False
        if number(entry, 2) == 0x0112:
            return 5 <= number(entry + 8, 2) <= 8
    return False


def _png_size(file: BinaryIO) -> tuple[int, int] | None:
    """From IHDR; None where an eXIf chunk before the pixels may turn the image. Source: W3C PNG, section 11.2."""
    size = None
    while True:
        length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        if kind == b"IHDR":
            if length != 13:
                return None
            data = file.read(length)
            size = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
            file.seek(4, 1)
        elif kind in (b"IDAT", b"IEND"):
            return size
        elif kind in (b"eXIf", b""):
            return None
        else:
            file.seek(length + 4, 1)
