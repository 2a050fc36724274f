"""What a comparison of engines found, as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["verified", "differs", "not verified"]
EngineStatus = Literal["verified", "differs", "cannot run"]


@dataclass(frozen=True, slots=True)
class HeadDifference:
    """How far an engine is from the reference at what one head reads, over all images.

    layer: index of the head. value_range: max - min of the reference. max_abs: with the same batch-norm epsilon.
    own_max_abs: with the engine's own epsilon, which is what its users see. magnitude: max |reference|.
    """

    layer: int
    channels: int
    value_range: float
    max_abs: float
    own_max_abs: float
    magnitude: float = 0.0

    @property
    def relative(self) -> float:
        """max_abs in units of the reference's range."""
        return self.max_abs / self._unit

    @property
    def own_relative(self) -> float:
        """own_max_abs in units of the reference's range."""
        return self.own_max_abs / self._unit

    @property
    def _unit(self) -> float:
        """The range; at least 1 % of the magnitude, because a head that is all but constant varies by rounding alone."""
        return max(self.value_range, 0.01 * self.magnitude) or 1.0


@dataclass(frozen=True, slots=True)
class EngineVerdict:
    """What one engine gave. reason: why it could not run; empty otherwise."""

    engine: str
    title: str
    status: EngineStatus
    heads: tuple[HeadDifference, ...] = ()
    reason: str = ""

    @property
    def relative(self) -> float | None:
        """The largest difference at any head, relative to its range; None if it did not run."""
        return max((head.relative for head in self.heads), default=None)

    @property
    def own_relative(self) -> float | None:
        """The same with the engine's own epsilon."""
        return max((head.own_relative for head in self.heads), default=None)


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """Whether engines that are not ours compute from a written pair what we do.

    status: "verified" if at least one engine ran and none differs. reason: why it is not, in words.
    image_shape: (N, C, H, W) of what was compared.
    """

    cfg: str
    weights: str
    reference: str
    status: Status
    reason: str
    tolerance: float
    image_shape: tuple[int, int, int, int]
    engines: tuple[EngineVerdict, ...]

    @property
    def ran(self) -> tuple[str, ...]:
        """The engines that ran."""
        return tuple(verdict.engine for verdict in self.engines if verdict.status != "cannot run")

    @property
    def dead(self) -> bool:
        """Whether every head is one constant whatever the image, so that agreeing means nothing."""
        heads = [head for verdict in self.engines for head in verdict.heads]
        return bool(heads) and all(head.value_range == 0 for head in heads)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the relative differences spelled out."""
        plain = asdict(self)
        for verdict, row in zip(self.engines, plain["engines"], strict=True):
            row["relative"], row["own_relative"] = verdict.relative, verdict.own_relative
            for head, entry in zip(verdict.heads, row["heads"], strict=True):
                entry["relative"], entry["own_relative"] = head.relative, head.own_relative
        return plain

    def __str__(self) -> str:
        names = ", ".join(f"{v.title} ({v.relative:.1e} of the range)" for v in self.engines if v.relative is not None)
        if self.status == "verified":
            dead = "; every head is one constant: nothing is left to differ in, or to detect with" if self.dead else ""
            return f"verified against {names}{dead}"
        return f"{self.status}: {self.reason}"
