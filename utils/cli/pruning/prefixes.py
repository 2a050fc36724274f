"""What the names of new files begin with: the ancestor's form for each strategy, whichever command applies its plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from utils.pruning import Plan


def name_prefix(plan: Plan) -> str:
    """`prune_0.5_keep_0.01_` and the like; `pruned_` for a plan of nobody here, or with other parameters."""
    known = {name: value for name, value in plan.parameters.items() if value is not None}
    try:
        return _PREFIXES[plan.strategy](known)
    except KeyError:
        return "pruned_"


def _percent(asked: Mapping[str, Any]) -> str:
    return f"prune_{asked['percent']}_{_round(asked)}"


def _slim(asked: Mapping[str, Any]) -> str:
    return f"prune_{asked['global_percent']}_keep_{asked['layer_keep']}_{_round(asked)}"


def _layer(asked: Mapping[str, Any]) -> str:
    return f"prune_{asked['shortcuts']}_shortcut_"


def _layer_channel(asked: Mapping[str, Any]) -> str:
    return f"{_slim(asked)}{asked['shortcuts']}_shortcut_"


def compressed(asked: Mapping[str, Any]) -> str:
    """`compressed_4x_`: what compress.py was asked for."""
    return f"compressed_{asked['target']}_"


def _round(asked: Mapping[str, Any]) -> str:
    """`round_8_` where a multiple was asked for; the ancestor's names have nothing there."""
    multiple = asked.get("round_to")
    return f"round_{multiple}_" if multiple not in (None, 1) else ""


_PREFIXES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "normal": _percent, "shortcut": _percent, "slim": _slim, "layer": _layer, "layer_channel": _layer_channel,
    "compress": compressed,
}
