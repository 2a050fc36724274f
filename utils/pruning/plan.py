"""The plan: what a strategy decided, as a value that can be printed, compared, saved and applied later."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import index
from types import MappingProxyType
from typing import Any

from utils.darknet import Network
from utils.errors import PlanError
from utils.pruning.keep import Keep

_FORMAT, _VERSION = "bonsai plan", 2  # version 1 knew no blocks

Parameter = int | float | str | bool | None


@dataclass(frozen=True)
class Plan:
    """Which residual blocks go, and which output channels of each other convolution survive.

    Nothing is cut before `apply_plan`.

    strategy, parameters: who decided, and how it was asked.
    fingerprint: `Network.fingerprint` of the only network that it belongs to.
    keep: layer index to Keep. Strategies list every convolution that stays; one that is not listed keeps all it has.
    blocks: the [shortcut] layers whose residual blocks go whole (see blocks.py), in layer order.
    """

    strategy: str
    parameters: Mapping[str, Parameter]
    fingerprint: str
    keep: Mapping[int, Keep] = field(repr=False)
    blocks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        object.__setattr__(self, "keep", MappingProxyType({i: self.keep[i] for i in sorted(self.keep)}))
        object.__setattr__(self, "blocks", tuple(sorted(set(self.blocks))))

    def __hash__(self) -> int:
        return hash((self.strategy, self.fingerprint, tuple(self.keep.items()), self.blocks))

    def __reduce__(self) -> tuple[Any, ...]:
        return Plan, (self.strategy, dict(self.parameters), self.fingerprint, dict(self.keep), self.blocks)

    def __str__(self) -> str:
        return self.summary()

    @property
    def keeps_everything(self) -> bool:
        """Whether nothing goes."""
        return not self.blocks and all(keep.is_whole for keep in self.keep.values())

    def summary(self) -> str:
        """Lines of text: the strategy, the sum, and each layer that loses channels."""
        asked = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        total = sum(keep.filters for keep in self.keep.values())
        kept = sum(len(keep) for keep in self.keep.values())
        lines = [f"{self.strategy}({asked}): {kept} of {total} channels stay"]
        lines += [f"  the residual block of layer {layer} goes" for layer in self.blocks]
        lines += [f"  layer {layer:3d}: {keep.filters:4d} -> {len(keep):4d}"
                  for layer, keep in self.keep.items() if not keep.is_whole]
        return "\n".join(lines)

    def to_json(self) -> str:
        """The plan as JSON text; `from_json` gives back an equal plan."""
        return json.dumps({
            "format": _FORMAT,
            "version": _VERSION,
            "strategy": self.strategy,
            "parameters": dict(self.parameters),
            "fingerprint": self.fingerprint,
            "keep": {str(layer): {"filters": keep.filters, "channels": list(keep.channels)}
                     for layer, keep in self.keep.items()},
            "blocks": list(self.blocks),
        })

    @classmethod
    def from_json(cls, text: str, where: str = "<plan>") -> Plan:
        """Read what `to_json` wrote; `where` names its source in errors.

        Raises:
            PlanError: no JSON, no plan, a plan of a later version, or one that no network could follow.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PlanError(where, f"is not JSON ({error})", "give a file that a pruning command wrote") from None
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise PlanError(where, f'is JSON, but no plan (it lacks "format": "{_FORMAT}")',
                            "give a file that a pruning command wrote")
        if data.get("version") not in (1, _VERSION):
            raise PlanError(where, f"is a plan of version {data.get('version')}, this Bonsai reads 1 to {_VERSION}",
                            "make the plan again, or use the Bonsai that wrote it")
        try:
            return _plan_of_json(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PlanError(where, f"is a damaged plan ({type(error).__name__}: {error})",
                            "make the plan again") from None
        except PlanError as error:
            raise PlanError(where, error.problem, error.remedy) from None


def _plan_of_json(data: Mapping[str, Any]) -> Plan:
    keep = {int(layer): Keep(index(entry["filters"]), tuple(index(c) for c in entry["channels"]))
            for layer, entry in data["keep"].items()}
    parameters = {str(name): _parameter(name, value) for name, value in dict(data["parameters"]).items()}
    return Plan(str(data["strategy"]), parameters, str(data["fingerprint"]), keep,
                tuple(index(block) for block in data.get("blocks", ())))


def _parameter(name: str, value: Any) -> Parameter:
    """A value as strategies write them: commands make file names of some, so a word has no path in it.

    Surgery counts with `round_to`, so that is a whole number from 1 on.

    Raises:
        ValueError: anything else.
    """
    if name == "round_to" and value is not None and (type(value) is not int or value < 1):
        raise ValueError(f"round_to={str(value)[:40]} is no number of channels")
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, str) and re.fullmatch(r"[\w+-][\w.+-]{0,31}", value):
        return value
    raise ValueError(f"{name}={str(value)[:40]} is no parameter of a strategy")


def keep_everything(network: Network) -> Plan:
    """The plan that removes nothing; applying it changes nothing."""
    keep = {layer.index: Keep.all(layer.shape.channels) for layer in network.layers if layer.kind == "convolutional"}
    return Plan("keep_everything", {}, network.fingerprint, keep)
