"""What `--source` means: an image, a video, a folder of them, a pattern such as `shots/*.jpg`, or a list of images."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path

from utils.datasets.images import IMAGE_SUFFIXES as IMAGES
from utils.datasets.lists import read_image_list
from utils.errors import DataError

VIDEOS = frozenset({".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".mpeg", ".webm", ".wmv", ".mjpeg", ".mjpg"})


@dataclass(frozen=True)
class Sources:
    """Files to look at, sorted by name; never both empty."""

    images: tuple[Path, ...]
    videos: tuple[Path, ...]


def find_sources(source: str) -> Sources:
    """The images and videos that a word on the command line means.

    A folder gives the images and videos directly in it; a pattern those that match (`**` searches sub-folders). Other
    files in a folder or behind a pattern are left out. A .txt file is a list, one image per line.

    Raises:
        DataError: nothing there, nothing matches, or a file of another kind.
    """
    path = Path(source)
    if path.is_file():
        if path.suffix.lower() == ".txt":
            return Sources(tuple(dict.fromkeys(read_image_list(path))), ())
        found = [path]
        if path.suffix.lower() not in IMAGES | VIDEOS:
            raise DataError(path, f"is neither an image nor a video, judged by its ending {path.suffix!r}",
                            f"name a file that ends with {', '.join(sorted(IMAGES | VIDEOS))}")
    elif path.is_dir():
        found = sorted(path.iterdir())
    elif glob.has_magic(source):
        found = sorted(Path(name) for name in glob.glob(source, recursive=True))
        if not found:
            raise DataError(source, "matches no file", "check the pattern; quote it, or the shell expands it")
    else:
        raise DataError(path, "does not exist", "give --source an image, a video, a folder, or a pattern in quotes")
    files = [file for file in found if file.is_file()]
    images = tuple(file for file in files if file.suffix.lower() in IMAGES)
    videos = tuple(file for file in files if file.suffix.lower() in VIDEOS)
    if not images and not videos:
        raise DataError(source, f"holds no image and no video ({len(files)} other files)",
                        f"name files that end with {', '.join(sorted(IMAGES | VIDEOS))}")
    return Sources(images, videos)
