"""Small networks that residual blocks, channels and constants can be cut from, and the pruning commands as functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import layer_channel_prune
import layer_prune
import prune
import shortcut_prune
import slim_prune

CFG = """# a comment that stays
[net]
width=64
height=64
channels=3
max_epochs=3

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=16
size=3
stride=1
pad=1
activation=mish

[shortcut]
from=-2
activation=linear

[maxpool]
size=2
stride=2

[convolutional]
filters=14
size=1
activation=linear

[yolo]
mask=0,1
anchors=8,8, 20,24
classes=2
num=2
"""



def _convolution(filters: int, size: int, stride: int = 1) -> str:
    return (f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\n"
            "activation=leaky\n\n")


def _block(filters: int) -> str:
    return _convolution(filters // 2, 1) + _convolution(filters, 3) + "[shortcut]\nfrom=-3\nactivation=linear\n\n"


# two stages of two residual blocks as in yolov3; their [shortcut]s are the layers 3, 6, 10 and 13
RESIDUAL_CFG = (
    "[net]\nwidth=64\nheight=64\nchannels=3\n\n" + _convolution(16, 3, 2) + 2 * _block(16) + _convolution(32, 3, 2)
    + 2 * _block(32) + "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n\n"
    "[yolo]\nmask=0,1\nanchors=8,8, 20,24\nclasses=2\nnum=2\n"
)


@dataclass(frozen=True)
class Command:
    """A pruning command. words: a cut of the residual pair, and the prefix that it gives to names. defaults: of its flags."""

    name: str
    main: Callable[[list[str]], int]
    strategy: str
    words: tuple[object, ...]
    prefix: str
    defaults: dict[str, object]

    def __call__(self, pair: tuple[Path, Path], *words: object) -> int:
        cfg, weights = pair
        return self.main(["--cfg", str(cfg), "--weights", str(weights), "--repeats", "1", *map(str, words)])

    def cut(self, pair: tuple[Path, Path], out: Path, *words: object) -> tuple[Path, Path]:
        """The pair that the command's own cut writes into `out`."""
        assert self(pair, *self.words, "--out", out, *words) == 0
        return out / f"{self.prefix}{pair[0].name}", out / f"{self.prefix}{pair[1].stem}.weights"


COMMANDS = {command.name: command for command in (
    Command("prune.py", prune.main, "normal", ("--percent", 0.4), "prune_0.4_", {"percent": 0.8}),
    Command("shortcut_prune.py", shortcut_prune.main, "shortcut", ("--percent", 0.4), "prune_0.4_", {"percent": 0.6}),
    Command("slim_prune.py", slim_prune.main, "slim", ("--global_percent", 0.4, "--layer_keep", 0.1), "prune_0.4_keep_0.1_",
            {"global_percent": 0.8, "layer_keep": 0.01}),
    Command("layer_prune.py", layer_prune.main, "layer", ("--shortcuts", 2), "prune_2_shortcut_", {"shortcuts": 8}),
    Command("layer_channel_prune.py", layer_channel_prune.main, "layer_channel", ("--shortcuts", 1, "--global_percent", 0.4),
            "prune_0.4_keep_0.01_1_shortcut_", {"shortcuts": 8, "global_percent": 0.6, "layer_keep": 0.01}),
)}


def run(cfg: Path, weights: Path, *words: object) -> int:
    """slim_prune.py with the flags that each run needs, and these."""
    return COMMANDS["slim_prune.py"]((cfg, weights), *words)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}
