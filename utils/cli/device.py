"""From `--device`, `--threads` and `--seed` to torch: chosen once, in a command's main."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from utils.errors import OptionError

if TYPE_CHECKING:
    import torch


def select_device(text: str = "auto") -> torch.device:
    """The device a user asked for: `auto`, `cpu`, `cuda`, `cuda:1`; the ancestor's `0` and `` (auto) work too.

    Raises:
        OptionError: no such device here, or the word means none.
    """
    import torch  # a command that is only asked for --help should not wait for it

    word = text.strip().lower()
    word = f"cuda:{word}" if word.isdigit() else word
    if word in ("auto", ""):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if word == "cpu":
        return torch.device("cpu")
    kind, _, number = word.partition(":")
    if kind != "cuda" or (":" in word and not number.isdigit()):
        raise OptionError("--device", f"{text!r} is no device that we know", "write cpu, cuda, cuda:1 or auto")
    if not torch.cuda.is_available():
        built = torch.version.cuda is not None
        raise OptionError("--device", f"{text} is not available: "
                          + ("torch finds no NVIDIA GPU or driver" if built else "this torch was built for CPUs only"),
                          "write --device cpu" + ("" if built else ", or install a CUDA build of torch"))
    if number and int(number) >= torch.cuda.device_count():
        raise OptionError("--device", f"there is no {word}: this machine has {torch.cuda.device_count()} GPU(s), "
                          "counted from 0", "write cuda:0 or cpu")
    return torch.device(word)


def prepare_process(*, threads: int | None, seed: int) -> int:
    """Set what one process has one of: torch's and OpenCV's thread counts, and the seeds. For commands, not libraries.

    FFmpeg, inside OpenCV, is told to keep quiet (OPENCV_FFMPEG_LOGLEVEL overrides it): a video that cannot be read is
    an error of ours, in one line.

    Args:
        threads: CPU threads; None takes what OMP_NUM_THREADS says, else the cores this process may use.
        seed: for `random`, numpy and torch.

    Returns:
        The number of threads.
    """
    import random

    import cv2
    import numpy as np
    import torch

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    count = threads or int(os.environ.get("OMP_NUM_THREADS") or 0) or usable_cores()
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return count


def tame_openmp() -> None:
    """Let idle OpenMP threads sleep within about 0.1 ms instead of spinning; works only before torch is imported.

    Spinning threads of one library keep the cores from another's (NNPACK, OpenCV), and on a machine that does
    something else besides they slow torch several times. What the user has set in the environment stays.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def usable_cores() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
