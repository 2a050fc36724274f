"""Losses on feature maps: Mimic, MGD, CWD. Each brings the layers that a student needs to be compared with its teacher."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import cast

import torch
from torch import Tensor, nn

from utils.distillation.masked_convolution import masked_convolution
from utils.distillation.softened import softened_divergence


class FeatureLoss(nn.Module, ABC):
    """One method at one pair of layers.

    `forward` makes of the student's map what is compared with the teacher's; its layers learn with the student and are
    never exported. `loss` compares, in float32.

    Args:
        student, teacher: channels of the two maps.
    """

    def __init__(self, student: int, teacher: int) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher

    @abstractmethod
    def forward(self, student: Tensor) -> Tensor:
        """(N, Cs, H, W) -> (N, Ct, H, W)."""

    @abstractmethod
    def loss(self, made: Tensor, teacher: Tensor, near: Tensor | None = None) -> Tensor:
        """How far what `forward` made is from the teacher's map, a tensor without dimensions.

        Args:
            made, teacher: (N, Ct, H, W). near: (N, H, W), how many objects each place is near, for methods that ask.
        """


class Mimic(FeatureLoss):
    """Mean squared difference of the maps (FitNets; Li et al., CVPR 2017).

    With `near`: sum over places of near * sum over channels of squared differences / (2 * sum of near), so that only
    places that look like an object count (Wang et al., CVPR 2019); 0 where there is none.

    Args:
        adapt: a 1x1 convolution before the comparison; without it channels must be the same ones.
    """

    def __init__(self, student: int, teacher: int, *, adapt: bool = True) -> None:
        super().__init__(student, teacher)
        self.adaptor = _adaptor(student, teacher, adapt)

    def forward(self, student: Tensor) -> Tensor:
        return self.adaptor(student)

    def loss(self, made: Tensor, teacher: Tensor, near: Tensor | None = None) -> Tensor:
        squares = (made.float() - teacher.detach().float()).square()
        if near is None:
            return squares.mean()
        return (squares.sum(1) * near).sum() / (2 * near.sum()).clamp(min=1)


class MaskedGeneration(FeatureLoss):
    """MGD: from a map of which most places are missing the student has to make the teacher's (Yang et al., ECCV 2022).

        M = 0 where r > 1 - masked, r ~ U(0, 1) for each place; G = 3x3 convolution, ReLU, 3x3 convolution
        loss = sum (G(M * align(F_s)) - F_t)^2 / images

    As in the released code the sum over channels and places is no mean, so large maps weigh more.

    Args:
        adapt: as in `Mimic`; even then there is no 1x1 convolution where the widths agree, as in the released code.
        masked: share of the places that are missing; the paper's 0.65 for one-stage detectors.
    """

    def __init__(self, student: int, teacher: int, *, adapt: bool = True, masked: float = 0.65) -> None:
        super().__init__(student, teacher)
        self.masked = masked
        self.adaptor = _adaptor(student, teacher, adapt and student != teacher)
        self.generation = nn.Sequential(nn.Conv2d(teacher, teacher, 3, padding=1), nn.ReLU(inplace=True),
                                        nn.Conv2d(teacher, teacher, 3, padding=1))

    def forward(self, student: Tensor) -> Tensor:
        aligned = self.adaptor(student)
        stays = torch.rand_like(aligned[:, :1], dtype=torch.float32) <= 1 - self.masked
        first, relu, second = self.generation
        return second(relu(masked_convolution(cast(nn.Conv2d, first), aligned, stays)))

    def loss(self, made: Tensor, teacher: Tensor, near: Tensor | None = None) -> Tensor:
        return (made.float() - teacher.detach().float()).square().sum() / len(made)


class ChannelWise(FeatureLoss):
    """CWD: each channel is a distribution over its places, and the student's shall be the teacher's (Shu et al., ICCV 2021).

        loss = T^2 / (images * channels) * sum over both of KL(softmax(F_t / T) || softmax(F_s / T))

    Args:
        adapt: as in `MaskedGeneration`. temperature: T; 1 in mmrazor's detectors.
    """

    def __init__(self, student: int, teacher: int, *, adapt: bool = True, temperature: float = 1.0) -> None:
        super().__init__(student, teacher)
        self.temperature = temperature
        self.adaptor = _adaptor(student, teacher, adapt and student != teacher)

    def forward(self, student: Tensor) -> Tensor:
        return self.adaptor(student)

    def loss(self, made: Tensor, teacher: Tensor, near: Tensor | None = None) -> Tensor:
        ours, theirs = made.float().flatten(2), teacher.float().flatten(2)
        return softened_divergence(ours, theirs, self.temperature) / (made.shape[0] * made.shape[1])


def _adaptor(student: int, teacher: int, adapt: bool) -> nn.Module:
    """A 1x1 convolution, or nothing."""
    if adapt:
        return nn.Conv2d(student, teacher, 1)
    if student != teacher:
        raise ValueError(f"{student} channels of the student cannot be compared with {teacher} of the teacher as they are")
    return nn.Identity()
