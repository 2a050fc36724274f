"""Cross-entropies of objectness and classes, on logits and on probabilities, plain and focused on what is hard."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Form = Literal["logits", "probabilities"]

_SMALLEST = 1e-12  # below it a probability counts as this in a logarithm: -log is 27.6 at most
_DARKNET_ALPHA = 0.5


def cross_entropy(x: Tensor, target: Tensor, *, form: Form = "logits", positive_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy of each element: -positive_weight t log(p) - (1 - t) log(1 - p).

    Probabilities may be exactly 0 or 1. Their own gradient is large near 0 and 1, and harmless only behind a logistic
    in float32: a half-precision logistic is exactly 1 from about 9 on, and passes no gradient then.

    Args:
        x: logits, or with form="probabilities" what a logistic made of them, in [0, 1]; any shape. float16 and bfloat16
            are computed in float32.
        target: in [0, 1], same shape.
        positive_weight: of the first term.

    Returns:
        Same shape, float32 or float64.
    """
    x = full_precision(x)
    target = target.to(x.dtype)
    if form == "logits":
        weight = None if positive_weight == 1 else x.new_tensor(positive_weight)
        return F.binary_cross_entropy_with_logits(x, target, pos_weight=weight, reduction="none")
    return (-positive_weight * target * x.clamp(min=_SMALLEST).log()
            - (1 - target) * (1 - x).clamp(min=_SMALLEST).log())


def focal_modulation(loss: Tensor, gamma: float, alpha: float = 1.0) -> Tensor:
    """loss * alpha (1.000001 - exp(-loss))^gamma, the ancestor's focal loss (after Lin et al., ICCV 2017).

    exp(-loss) is the probability of the truth where no weight is on the cross-entropy. gamma=0 changes nothing but
    alpha.
    """
    return loss * alpha if gamma == 0 else loss * (alpha * (1.000001 - torch.exp(-loss)) ** gamma)


def darknet_focal_classes(x: Tensor, classes: Tensor, *, form: Form = "logits") -> Tensor:
    """The class loss of Darknet's focal_loss=1: gamma 2, alpha 0.5 (AlexeyAB/darknet, yolo_layer.c: delta_yolo_class).

    Darknet has no such loss, only its gradient: with p the probability of the true class, every class's p_k - y_k is
    multiplied by alpha g, g = (1 - p)(1 - p - 2 p log p). This is what has that gradient with regard to logits:

        alpha ( -(1 - p)^2 log(p) - g sum over the other classes of log(1 - p_k) ),   g held constant

    Args:
        x: (n, C) logits, or probabilities.
        classes: (n,) the true ones, int64.

    Returns:
        (n,) float32 or float64.
    """
    x = full_precision(x)
    truth = F.one_hot(classes, x.shape[1]).bool()
    minus_logs = cross_entropy(x, truth, form=form)
    own = minus_logs.gather(1, classes[:, None])[:, 0]
    p = torch.exp(-own)
    with torch.no_grad():
        focus = (1 - p) * (1 - p + 2 * p * own)
    others = minus_logs.masked_fill(truth, 0).sum(-1)
    return _DARKNET_ALPHA * ((1 - p) ** 2 * own + focus * others)


def darknet_focal_softmax(logits: Tensor, classes: Tensor) -> Tensor:
    """The same for a [region] with softmax=1: -alpha (1 - p)^2 log(p) of (n, C) logits, (n,).

    Its gradient is Darknet's delta (region_layer.c: delta_region_class) without a detour.
    """
    own = F.cross_entropy(full_precision(logits), classes, reduction="none")
    return _DARKNET_ALPHA * (1 - torch.exp(-own)) ** 2 * own


def full_precision(x: Tensor) -> Tensor:
    """float16 and bfloat16 as float32; others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
