"""The work of `detect.py`: pictures and videos in, the same with boxes out, and what was found as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from utils.atomic import write_bytes
from utils.cli.progress import progress_bar
from utils.cli.sources import Sources
from utils.datasets import load_image
from utils.errors import DataError, OptionError, OutputError
from utils.reports import class_name, draw_detections, plain

_WRITABLE = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


class Detects(Protocol):
    """Whatever finds boxes in pictures; `utils.training.Detector` does."""

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(H, W, 3) uint8 RGB pictures -> per picture (n, 6): x1, y1, x2, y2 in its pixels, score, class."""
        ...


def plan_outputs(sources: Sources, folder: Path) -> dict[Path, Path]:
    """Where the picture of each source goes: its own name in `folder`, `name_2` where two sources have one name.

    Raises:
        OptionError: a picture would overwrite a source.
        OutputError: `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(folder, "is a file, not a folder", "give --output another name")
    inputs = {path.resolve() for path in (*sources.images, *sources.videos)}
    taken: set[str] = set()
    outputs: dict[Path, Path] = {}
    for source in (*sources.images, *sources.videos):
        video = source in sources.videos
        suffix = ".mp4" if video else source.suffix if source.suffix.lower() in _WRITABLE else ".png"
        name, number = source.stem + suffix, 2
        while name.lower() in taken:
            name, number = f"{source.stem}_{number}{suffix}", number + 1
        taken.add(name.lower())
        output = folder / name
        if output.resolve() in inputs:
            raise OptionError("--output", f"{output} would overwrite one of the sources", "choose another folder")
        outputs[source] = output
    return outputs


def look_at_everything(detector: Detects, sources: Sources, outputs: Mapping[Path, Path], names: Sequence[str], *,
                       stage: Path, batch_size: int, quiet: bool = False) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Images first, then videos, each with a progress bar; returns one record per image and one per video.

    Args:
        outputs: where each source's picture will be in the end; until then it lies in `stage` under that name.

    Raises:
        DataError: a source cannot be read. OutputError: a picture cannot be written.
    """
    images: list[dict[str, Any]] = []
    if sources.images:
        with progress_bar("detecting", len(sources.images), quiet=quiet) as advance:
            images += look_at_images(detector, [(path, outputs[path]) for path in sources.images], names, stage=stage,
                                     batch_size=batch_size, advance=advance)
    videos = []
    for path in sources.videos:
        with progress_bar(path.name, frame_count(path), unit="frame", quiet=quiet) as advance:
            videos.append(look_at_video(detector, path, outputs[path], names, stage=stage, batch_size=batch_size,
                                        advance=advance))
    return images, videos


def look_at_images(detector: Detects, outputs: Sequence[tuple[Path, Path]], names: Sequence[str], *, stage: Path,
                   batch_size: int, advance: Callable[[int], None]) -> Iterator[dict[str, Any]]:
    """Detect in images, write each with its boxes, and yield one record per image, in order.

    Args:
        outputs: (image, picture to write).

    Raises:
        DataError: an image cannot be read.
    """
    for start in range(0, len(outputs), batch_size):
        part = outputs[start : start + batch_size]
        images = [load_image(source) for source, _ in part]
        for (source, output), image, found in zip(part, images, detector.detect(images), strict=True):
            write_picture(stage / output.name, draw_detections(image, found, names))
            yield {"file": source, "picture": output, "width": image.shape[1], "height": image.shape[0],
                   "detections": detections_as_records(found, names)}
            advance(1)


def look_at_video(detector: Detects, source: Path, output: Path, names: Sequence[str], *, stage: Path,
                  batch_size: int, advance: Callable[[int], None]) -> dict[str, Any]:
    """Detect in every frame of a video; write it as mp4 with boxes, and beside it one line of JSON per frame.

    Returns:
        The record of the whole video: frames, fps, where its picture and its frames' JSON lines are, and how many
        detections of each class there were.

    Raises:
        DataError: OpenCV cannot read it. OutputError: it cannot be written.
    """
    import cv2

    frames_file = output.with_suffix(".frames.jsonl")
    found_in_all: Counter[str] = Counter()
    count = 0
    with _opened(source) as capture, (stage / frames_file.name).open("wb") as lines, \
            _VideoFile(stage / output.name) as video:
        fps = capture.get(cv2.CAP_PROP_FPS)
        fps = fps if 0 < fps < 1000 else 25.0
        for frames in _batches(capture, batch_size):
            for frame, found in zip(frames, detector.detect(frames), strict=True):
                video.write(draw_detections(frame, found, names), fps)
                records = detections_as_records(found, names)
                lines.write((json.dumps(plain({"frame": count, "second": count / fps, "detections": records}),
                                        ensure_ascii=False) + "\n").encode())
                found_in_all.update(record["name"] for record in records)
                count += 1
                advance(1)
        if not count:
            raise DataError(source, "holds no frame that OpenCV can read", "convert it, for example with ffmpeg, to mp4")
    return {"file": source, "picture": output, "frames_file": frames_file, "frames": count, "fps": fps,
            "found": dict(found_in_all)}


def detections_as_records(detections: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """(n, 6) boxes as JSON objects: class, name, score, and box [x1, y1, x2, y2] in pixels of the picture."""
    return [{"class": int(index), "name": class_name(int(index), names), "score": round(float(score), 5),
             "box": [round(float(value), 2) for value in (x1, y1, x2, y2)]}
            for x1, y1, x2, y2, score, index in detections]


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB in the format that the ending of `path` names, whole or not at all."""
    import cv2

    done, data = cv2.imencode(path.suffix, image[..., ::-1])
    if not done:
        raise OutputError(path, f"OpenCV cannot write {path.suffix} files", "choose .png or .jpg")
    write_bytes(path, data.tobytes())


def frame_count(path: Path) -> int | None:
    """How many frames a video says it has; None where it does not say."""
    import cv2

    with _opened(path) as capture:
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return count if count > 0 else None


@contextmanager
def _opened(source: Path) -> Iterator[Any]:
    import cv2

    capture = cv2.VideoCapture(str(source))
    try:
        if not capture.isOpened():
            raise DataError(source, "cannot be read as a video by OpenCV", "convert it, for example with ffmpeg, to mp4")
        yield capture
    finally:
        capture.release()


def _batches(capture: Any, batch_size: int) -> Iterator[list[np.ndarray]]:
    frames: list[np.ndarray] = []
    while True:
        more, frame = capture.read()
        if more:
            frames.append(np.ascontiguousarray(frame[..., ::-1]))
        if frames and (not more or len(frames) == batch_size):
            yield frames
            frames = []
        if not more:
            return


class _VideoFile:
    """An mp4 whose size is that of its first frame."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer: Any = None

    def __enter__(self) -> _VideoFile:
        return self

    def write(self, image: np.ndarray, fps: float) -> None:
        import cv2

        if self.writer is None:
            self.writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter.fourcc(*"mp4v"), fps,
                                          (image.shape[1], image.shape[0]))
            if not self.writer.isOpened():
                raise OutputError(self.path.name, "OpenCV cannot write mp4 files here", "choose another --output")
        self.writer.write(np.ascontiguousarray(image[..., ::-1]))

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.release()
