"""A small pair that residual blocks, channels and constants can be cut from, and slim_prune.py as a function."""

from __future__ import annotations

from pathlib import Path

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


def run(cfg: Path, weights: Path, *words: object) -> int:
    return slim_prune.main(["--cfg", str(cfg), "--weights", str(weights), "--repeats", "1", *map(str, words)])


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}
