"""Keep OpenCV from talking on stderr about files that we report ourselves."""

from __future__ import annotations

import threading
from types import TracebackType

import cv2


class QuietOpenCV:
    """`with quiet:` no log lines from OpenCV while at least one thread is inside; afterwards its level is as before.

    OpenCV has one log level per process, so the threads that decode images have to share one of these. What libjpeg
    and libpng themselves write cannot be held back from here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = cv2.utils.logging.setLogLevel(0)  # returns the level that was set
            self._inside += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                cv2.utils.logging.setLogLevel(self._before)
