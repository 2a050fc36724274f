"""What a training leaves on disk: checkpoints and Darknet weights, each file whole or not there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models import load_checkpoint, save_checkpoint, save_weights
from utils.darknet import Network, write_cfg
from utils.errors import OutputError, WeightsError
from utils.training.trainer import Trainer

NAMES = ("last", "best")
_STATE = "training"


@dataclass(frozen=True)
class Resumable:
    """A checkpoint from which a training can go on.

    arguments: what it was started with, plain values. state: for `Trainer.load_state`.
    """

    path: Path
    network: Network
    arguments: Mapping[str, Any]
    state: Mapping[str, Any]


class RunFolder:
    """The files of one run: NAME.cfg, last.pt, last.weights, and best.pt, best.weights of its best epoch.

    last.pt carries all that a training needs to go on; best.pt only the network. The .weights files hold the same
    network for Darknet and OpenCV; their `seen` counts the images of this run.

    Args:
        path: the folder; it must exist.
        cfg_name: of the copy of the cfg.
    """

    def __init__(self, path: Path, cfg_name: str) -> None:
        self.path, self.cfg = path, path / cfg_name

    def begin(self, network: Network) -> None:
        """Write the cfg; OutputError if the folder takes no files."""
        write_cfg(self.cfg, network)

    def save(self, trainer: Trainer, arguments: Mapping[str, Any], *, is_best: bool = False) -> None:
        """Write last.* and, for the best epoch so far, best.*; OutputError leaves the files of before."""
        model = trainer.result
        seen = trainer.progress.images
        model.header = replace(model.header, seen=seen)
        state = trainer.state()
        if trainer.ema is None:
            state["model"] = None  # it is the network itself
        if is_best:
            save_weights(model, self.path / "best.weights", seen=seen)
            save_checkpoint(self.path / "best.pt", model, arguments=dict(arguments), epoch=trainer.progress.epoch)
        save_weights(model, self.path / "last.weights", seen=seen)
        # The last one, because a run goes on from it: were it there before best.*, a crash in between would lose those.
        save_checkpoint(self.path / "last.pt", model, arguments=dict(arguments), **{_STATE: state})

    def written(self) -> list[Path]:
        """The checkpoints and weights that are there."""
        files = [self.path / f"{name}{ending}" for name in NAMES for ending in (".pt", ".weights")]
        return [file for file in files if file.exists()]


def read_resumable(path: Path) -> Resumable:
    """Read a checkpoint to go on from.

    Raises:
        WeightsError: no such file, or it holds a network but no training.
    """
    checkpoint = load_checkpoint(path)
    state = checkpoint.extra.get(_STATE)
    if not isinstance(state, Mapping) or "progress" not in state:
        raise WeightsError(path, "holds a network, but no training to go on with",
                           "give the last.pt of a run, or start a new training with --weights instead of --resume")
    if state.get("model") is None:
        state = {**state, "model": dict(checkpoint.state)}
    return Resumable(path, checkpoint.network(), checkpoint.extra.get("arguments", {}), state)


def new_folder(base: Path, name: str | None) -> Path:
    """Make the folder of a new run: base/name, which must not exist yet; without a name base/train, train2, ...

    Raises:
        OutputError: there is such a run, or the folder cannot be made.
    """
    try:
        if name is not None:
            (base / name).mkdir(parents=True)
            return base / name
        for number in range(1, 100_000):
            with suppress(FileExistsError):
                folder = base / (f"train{number}" if number > 1 else "train")
                folder.mkdir(parents=True)
                return folder
    except FileExistsError:
        raise OutputError(base / str(name), "is there already", "choose another --name, or go on with it: "
                          f"--resume {base / str(name) / 'last.pt'}") from None
    except OSError as error:
        raise OutputError(base, f"cannot be made a folder ({error.strerror})", "choose another one with --out") from error
    raise OutputError(base, "holds too many runs", "choose another folder with --out")


def link_results(run: RunFolder, folder: Path, suffix: str = "") -> list[Path]:
    """Let folder/last.pt, last.weights, best.pt and best.weights point to the files of this run.

    Where notes written for the ancestor look for results. Only links are replaced: a file of the user's own under such
    a name stays, and is returned.
    """
    kept = []
    for file in run.written():
        link = folder / f"{file.stem}{suffix}{file.suffix}"
        if link.exists() and not link.is_symlink():
            kept.append(link)
            continue
        with suppress(OSError):  # a read-only checkout, or a system without links: the run has the files anyway
            beside = link.with_name(f".{link.name}.{os.getpid()}.part")
            beside.symlink_to(os.path.relpath(file.absolute(), folder.absolute()))
            os.replace(beside, link)
    return kept
