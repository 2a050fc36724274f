"""Plans as files of a pruning command: read and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from utils.errors import PlanError

if TYPE_CHECKING:
    from utils.pruning import Plan


def load_plan(path: Path) -> Plan:
    """The plan that --plan-out wrote; PlanError where it is none."""
    from utils.pruning import Plan

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise PlanError(path, f"cannot be read ({reason})", "give a file that --plan-out wrote") from error
    return Plan.from_json(text, str(path))


def plan_differences(plan: Plan, other: Plan) -> str:
    """Lines of text: in what `other` differs from `plan`; one line where they choose the same."""
    from utils.reports import table

    lines = [f"{name}: {_asked(one)}" for name, one in (("this plan", plan), ("the other", other))]
    if plan.fingerprint != other.fingerprint:
        lines.append("they belong to different networks: what follows compares layers by their number only")
    for block in sorted(set(plan.blocks) ^ set(other.blocks)):
        which = "this plan" if block in plan.blocks else "the other"
        lines.append(f"the residual block of layer {block} goes in {which} only")
    rows = [row for layer in sorted(set(plan.keep) | set(other.keep)) if (row := _row(plan, other, layer))]
    if rows:
        lines += ["", table(rows, ("layer", "filters", "this plan", "the other", "only in this", "only in the other"))]
    same = plan.blocks == other.blocks and not rows
    lines.append("both choose the same" if same else f"{len(rows)} layers differ")
    return "\n".join(lines)


def _asked(plan: Plan) -> str:
    return f"{plan.strategy}({', '.join(f'{name}={value}' for name, value in plan.parameters.items())})"


def _row(plan: Plan, other: Plan, layer: int) -> tuple[object, ...] | None:
    """The widths of a layer in both plans, and how many channels only one of them keeps; None where they are equal."""
    filters = (plan.keep.get(layer) or other.keep[layer]).filters
    first, second = (_channels(one, layer, filters) for one in (plan, other))
    if first == second:
        return None
    return layer, filters, len(first) or "gone", len(second) or "gone", len(first - second), len(second - first)


def _channels(plan: Plan, layer: int, filters: int) -> set[int]:
    """What a plan keeps of a layer; one that it does not list stays whole, unless residual blocks go."""
    if layer in plan.keep:
        return set(plan.keep[layer].channels)
    return set() if plan.blocks else set(range(filters))
