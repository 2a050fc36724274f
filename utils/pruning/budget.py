"""Budgets: as few steps of an order as bring a network within its limits, after ties, multiples and floors.

With several limits the order itself is chosen so that all are met at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from utils.darknet import Network
from utils.errors import TargetError
from utils.pruning.completion import completed
from utils.pruning.elimination import Step
from utils.pruning.groups import ChannelGroups, channel_groups
from utils.pruning.plan import Parameter, Plan
from utils.pruning.selection import plan_of
from utils.pruning.surgery import planned_network

_BALANCINGS = 5  # orders that are tried at most
_SHARPNESS = 6   # to this power is a limit's weight multiplied with how near it was come to
_NEAR = 0.99    # what is near enough


@dataclass(frozen=True)
class Limit:
    """What a network may cost. name: of the cost, for messages. cost: of a network. most: what it may be at most."""

    name: str
    cost: Callable[[Network], float]
    most: float

    def excess(self, network: Network) -> float:
        """The network's cost in units of what it may be: above 1 it is too much."""
        return self.cost(network) / self.most


def plan_after(network: Network, order: Sequence[Step], count: int, strategy: str, parameters: Mapping[str, Parameter], *,
               round_to: int = 1, groups: ChannelGroups | None = None) -> Plan:
    """The plan of the first `count` steps; what they cut too far, the last of them give back (see completion.py)."""
    groups = groups or channel_groups(network)
    kept = np.ones(groups.count, dtype=bool)
    rank = np.full(groups.count, float(len(order)))
    for number, step in enumerate(order):
        if step.class_id is not None:
            rank[step.class_id] = number
            kept[step.class_id] &= number >= count
    blocks = tuple(step.block for step in order[:count] if step.block is not None)
    return plan_of(network, groups, completed(network, groups, kept, rank, round_to=round_to), strategy, parameters, blocks)


def plan_within(network: Network, order: Sequence[Step], limits: Sequence[Limit], strategy: str,
                parameters: Mapping[str, Parameter], *, round_to: int = 1) -> Plan:
    """The plan of the fewest steps that meets all limits.

    Raises:
        TargetError: the network meets them as it is, or not even all steps do; says what would be reached.
    """
    groups = channel_groups(network)

    def plan(count: int) -> Plan:
        return plan_after(network, order, count, strategy, parameters, round_to=round_to, groups=groups)

    def meets(count: int) -> bool:
        smaller = planned_network(network, plan(count))
        return all(limit.excess(smaller) <= 1 for limit in limits)

    if all(limit.excess(network) <= 1 for limit in limits):
        has = ", ".join(f"{limit.cost(network):.6g} {limit.name} (asked: at most {limit.most:.6g})" for limit in limits)
        raise TargetError(network.path, f"has {has} as it is", "ask for less")
    if not meets(len(order)):
        smallest = planned_network(network, plan(len(order)))
        missed = max(limits, key=lambda limit: limit.excess(smallest))
        reached = _rounded_up(missed.cost(smallest))
        raise TargetError(network.path, f"cannot be brought to {missed.most:.6g} {missed.name}: with a channel left in each "
                          f"layer it still has {reached}", f"ask for {reached} or more")
    low, high = 0, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if meets(middle) else (middle, high)
    return plan(high)


def balanced_plan(network: Network, order: Callable[[Sequence[float]], Sequence[Step]], limits: Sequence[Limit], strategy: str,
                  parameters: Mapping[str, Parameter], *, round_to: int = 1) -> Plan:
    """The plan that meets all limits and falls below none of them for nothing.

    An order is as good as the balance of what its steps save: where one limit is met long before another, its saving gets
    less weight and the other's more, as Lagrange multipliers do, until both are met at once or the first costs nothing.

    Args:
        order: what can go, in the order for these weights of the limits' savings, one per limit.

    Raises:
        TargetError: as `plan_within`.
    """
    weights = np.ones(len(limits))
    plans: list[tuple[float, Plan]] = []
    while len(plans) < _BALANCINGS:
        plan = plan_within(network, order(weights.tolist()), limits, strategy, parameters, round_to=round_to)
        smaller = planned_network(network, plan)
        excess = np.array([limit.excess(smaller) for limit in limits])
        plans.append((float(excess.prod()), plan))
        if excess.min() > _NEAR or (len(plans) > 1 and plan == plans[-2][1]):
            break
        weights *= excess ** _SHARPNESS
    return max(plans, key=lambda one: one[0])[1]


def _rounded_up(number: float) -> str:
    """Short, and no less than the number: who asks for it gets it."""
    if number >= 1000:
        return str(math.ceil(number))
    unit = 10.0 ** (math.floor(math.log10(number)) - 4) if number > 0 else 1.0
    return f"{math.ceil(number / unit) * unit:.5g}"
