"""The numbers of a training recipe: the ancestor's by default, those of [net] where the cfg's heads say how they train."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from utils.darknet import Network, net_training
from utils.datasets import AugmentationOptions
from utils.errors import OptionError


@dataclass(frozen=True)
class Hyperparameters:
    """Under the ancestor's names (its `hyp`), found by it with an evolutionary search on COCO.

    lr0, momentum, weight_decay: of the optimiser. giou, cls, obj: gains of the loss parts; cls_pw, obj_pw: weights of
    the positives in their cross-entropies. iou_t: what IoU of shapes makes an anchor responsible for a box; anchor_t:
    what ratio of sides, where the cfg says new_coords. fl_gamma: focal loss, 0 is none. hsv_*, degrees, translate,
    scale, shear: strength of the augmentation; fliplr, flipud, mosaic: its probabilities.
    """

    lr0: float = 0.002324
    momentum: float = 0.97
    weight_decay: float = 0.0004569
    giou: float = 1.582
    cls: float = 27.76
    cls_pw: float = 1.446
    obj: float = 21.35
    obj_pw: float = 3.941
    iou_t: float = 0.2635
    anchor_t: float = 4.0
    fl_gamma: float = 0.0
    hsv_h: float = 0.10
    hsv_s: float = 0.5703
    hsv_v: float = 0.3174
    degrees: float = 1.113
    translate: float = 0.06797
    scale: float = 0.1059
    shear: float = 0.5768
    fliplr: float = 0.5
    flipud: float = 0.0
    mosaic: float = 1.0

    def changed(self, changes: Mapping[str, float]) -> Hyperparameters:
        """The same with some numbers replaced; OptionError for a name that there is not, or a number out of range."""
        known = [field.name for field in fields(self)]
        for name, value in changes.items():
            if name not in known:
                raise OptionError("--hyp", f"there is no {name!r}", f"choose from {', '.join(known)}")
            limit = 1.0 if name in ("momentum", "iou_t", "fliplr", "flipud", "mosaic") else math.inf
            if not (math.isfinite(value) and 0 <= value <= limit):
                raise OptionError("--hyp", f"{name}={value:g} is out of range",
                                  f"give 0 to {limit:g}" if limit == 1 else "give 0 or more")
        return replace(self, **changes)

    def as_dict(self) -> dict[str, float]:
        """Plain numbers by name."""
        return asdict(self)

    def augmentation(self, *, literal_mosaic: bool = False) -> AugmentationOptions:
        """The part that changes images; literal_mosaic as there."""
        names = ("hsv_h", "hsv_s", "hsv_v", "degrees", "translate", "scale", "shear", "mosaic")
        return AugmentationOptions(**{name: getattr(self, name) for name in names}, flip_left_right=self.fliplr,
                                   flip_up_down=self.flipud, literal_mosaic=literal_mosaic)


def hyperparameters(network: Network, recipe: str) -> Hyperparameters:
    """The defaults for a network: with the recipe "darknet", learning rate, momentum and decay are those of [net]."""
    if recipe != "darknet":
        return Hyperparameters()
    net = net_training(network)
    return Hyperparameters(lr0=net.learning_rate, momentum=net.momentum, weight_decay=net.decay)
