"""What a teacher does to a training, in words."""

from __future__ import annotations

from collections.abc import Mapping

WEAK, STRONG = 0.05, 2.0  # of the detection loss; useful parts lie between a tenth of it and all of it


def teacher_remarks(losses: Mapping[str, float]) -> tuple[str, ...]:
    """One line on the size of each part that weighs anything, and one if all together are out of proportion.

    Args:
        losses: means over an epoch, under the names of `Soft.log`.
    """
    ratios = {name[len("kd_"):-len("_ratio")]: value for name, value in losses.items()
              if name.startswith("kd_") and name.endswith("_ratio") and value > 0}
    if not ratios:
        return ()
    lines = ["the teacher's part of the loss, over the detection loss: "
             + ", ".join(f"{name} {ratio:.2g}" for name, ratio in ratios.items())]
    total = sum(ratios.values())
    if total < WEAK:
        lines.append(f"together {total:.2g}: the teacher hardly counts; weights {0.3 / total:.2g} times as large would give it "
                     "a say")
    elif total > STRONG:
        lines.append(f"together {total:.2g}: the teacher drowns the labels; divide its weights by {total / 0.5:.0f}")
    return tuple(lines)
