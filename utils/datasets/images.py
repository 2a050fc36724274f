"""From an image file to the array that a network sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from utils.datasets.geometry import Geometry
from utils.datasets.quiet import QuietOpenCV
from utils.datasets.resize import GREY, letterbox_darknet, resize_darknet
from utils.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"})
"""Endings, in lower case, by which a file counts as an image."""

Method = Literal["darknet", "cv2"]

_QUIET = QuietOpenCV()
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_STRANGERS = (  # what lies in the place of an image when a download went wrong
    (b"version https://git-lfs", "is a Git LFS pointer, not the image itself", "run `git lfs pull`"),
    (b"<!doctype", "is a web page, not an image", "download it again"),
    (b"<html", "is a web page, not an image", "download it again"),
)


def is_image_name(path: str | Path) -> bool:
    """Whether a file counts as an image, judged by its ending."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def load_image(path: str | Path) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8, RGB.

    Grey images get three equal channels, 16 bits per channel become 8, transparency is dropped. The rotation that a
    camera noted in the file (EXIF) is applied, so that boxes fit what people see; Darknet built with OpenCV does the
    same, Darknet built without (stb_image) does not.

    Raises:
        DataError: missing, unreadable, no image, or cut off.
    """
    data = _bytes(path)
    _check_whole(path, data)
    return _decoded(path, data, cv2.IMREAD_COLOR)


def load_reduced(path: str | Path, reduction: Literal[1, 2, 4, 8]) -> np.ndarray:
    """The same as `load_image` at a half, a quarter or an eighth of the width and height, rounded up.

    JPEG is reduced while it is decoded, each pixel a mean, in a fraction of the time. Other formats are decoded in
    full first.

    Raises:
        DataError: as `load_image`.
    """
    data = _bytes(path)
    _check_whole(path, data)
    return _decoded(path, data, {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
                                 8: cv2.IMREAD_REDUCED_COLOR_8}[reduction])


def _decoded(path: str | Path, data: np.ndarray, flags: int) -> np.ndarray:
    """The bytes of a file as (H, W, 3) uint8 RGB."""
    try:
        with _QUIET:
            image = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise DataError(path, f"cannot be decoded ({error.err})", "convert it to 8-bit JPEG or PNG") from error
    if image is None:
        raise DataError(path, f"is no image that OpenCV can decode ({data.size} bytes)",
                        "replace it, or take it off the list")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def prepare(image: np.ndarray, size: tuple[int, int], letterbox: bool = False, *, channels: int = 3,
            method: Method = "darknet") -> tuple[np.ndarray, Geometry]:
    """Bring an image to the size of a network.

    Args:
        image: (H, W, 3) uint8 RGB, as `load_image` gives it.
        size: (height, width) of the network's input, in pixels.
        letterbox: keep the image's shape and fill the rest with grey, instead of stretching it.
        channels: 3 as it is, or 1 for a network that sees grey images (weights of Darknet's stb_image).
        method: "darknet" is Darknet's own arithmetic; "cv2" is OpenCV's bilinear resize on 8 bits, faster, with other
            numbers: good for training, not for comparing engines.

    Returns:
        (channels, height, width) float32 in [0, 1], and how the image lies in it.

    Raises:
        DataError: another kind of array, or sizes below 1.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise DataError("image", f"is an array {image.shape} of {image.dtype}", "give (H, W, 3) uint8, RGB")
    if channels not in (1, 3):
        raise DataError("image", f"cannot be given to a network of {channels} channels", "use channels=3 or 1 in [net]")
    height, width = size
    geometry = Geometry(image.shape[1], image.shape[0], width, height, letterbox)
    if method == "cv2":
        return _prepare_cv2(image, geometry, channels), geometry
    planes = np.stack(_planes(image, channels))
    return (letterbox_darknet if letterbox else resize_darknet)(planes, width, height), geometry


def _planes(image: np.ndarray, channels: int) -> Sequence[np.ndarray]:
    """(H, W, 3) uint8 -> one (H, W) uint8 per channel."""
    return cv2.split(image) if channels == 3 else (grey_image(image),)


def grey_image(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H, W) uint8 with the weights of stb_image's stbi__compute_y."""
    red, green, blue = (image[..., c].astype(np.uint16) for c in range(3))
    return ((red * 77 + green * 150 + blue * 29) >> 8).astype(np.uint8)


def _prepare_cv2(image: np.ndarray, geometry: Geometry, channels: int) -> np.ndarray:
    width, height = geometry.picture_size
    if (width, height) != (image.shape[1], image.shape[0]):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    left, top = (geometry.net_width - width) // 2, (geometry.net_height - height) // 2
    result = np.full((channels, geometry.net_height, geometry.net_width), GREY, dtype=np.float32)
    for plane, out in zip(_planes(image, channels), result, strict=True):
        np.divide(plane, np.float32(255), out=out[top : top + height, left : left + width], dtype=np.float32)
    return result


def _bytes(path: str | Path) -> np.ndarray:
    """The bytes of a file. cv2.imread would do, but not for every name on Windows, and it talks on stderr."""
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError:
        raise DataError(path, "does not exist", "check the path") from None
    except IsADirectoryError:
        raise DataError(path, "is a folder, not an image", "give an image file") from None
    except OSError as error:
        if Path(path).is_dir():  # what Windows calls a denied permission
            raise DataError(path, "is a folder, not an image", "give an image file") from None
        raise DataError(path, f"cannot be read ({error.strerror or error})", "check its permissions") from error
    if not data.size:
        raise DataError(path, "is empty (0 bytes)", "replace it, or take it off the list")
    return data


def _check_whole(path: str | Path, data: np.ndarray) -> None:
    """DataError for what is plainly no image, and for cut-off files: OpenCV fills the missing part with grey."""
    head = data[:64].tobytes()
    for start, problem, remedy in _STRANGERS:
        if head.lstrip().lower().startswith(start):
            raise DataError(path, problem, remedy)
    if head.startswith(_JPEG):
        raw = data.tobytes()
        whole = raw.rfind(b"\xff\xd9") > raw.rfind(b"\xff\xda")  # the end marker after the start of the last scan
    elif head.startswith(_PNG):
        whole = data[-1024:].tobytes().rfind(b"IEND") >= 0
    else:
        return
    if not whole:
        raise DataError(path, f"is cut off after {data.size} bytes", "download or copy it again")
