"""The divergence of two softened distributions, which several losses are made of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def softened_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) along the last dimension, summed over all others.

    T^2 keeps the gradient's size where T grows (Hinton et al., 2015). Both are logarithms all along, so that nothing
    underflows. 0 where both are equal; no gradient reaches the teacher.
    """
    ours = F.log_softmax(student / temperature, dim=-1)
    theirs = F.log_softmax(teacher.detach() / temperature, dim=-1)
    return temperature ** 2 * F.kl_div(ours, theirs, reduction="sum", log_target=True)
