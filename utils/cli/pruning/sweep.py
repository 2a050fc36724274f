"""--sweep: the same pair cut several times, each cut measured, and the largest that is good enough."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.cli.pruning.cutting import Cutting
from utils.cli.pruning.knee import PER_HALVING, knee
from utils.cli.pruning.measured_network import Measured, check_labelled, lost_map50, measured
from utils.cli.pruning.measuring import Validation
from utils.cli.pruning.staging import final_names
from utils.cli.pruning.steps import steps_like
from utils.errors import OptionError

if TYPE_CHECKING:
    from utils.pruning import Plan


@dataclass(frozen=True)
class Sweep:
    """What a sweep found.

    flag: the flag that was swept. points: in ascending order. max_drop: of mAP@0.5; None: any. chosen: the value of what is
    written, where the plan's parameters do not say.
    """

    flag: str
    uncut: Measured
    points: tuple[Measured, ...]
    max_drop: float | None
    chosen: float | None = None

    @property
    def knee(self) -> Measured | None:
        """See knee.py, by mAP@0.5 where there is one, else by agreement; None where neither was measured."""
        points = [self.uncut, *self.points]
        found = knee([(point.cost.parameters, point.quality) for point in points])
        return None if found is None else points[found]

    @property
    def largest_within(self) -> Measured | None:
        """The largest cut that loses at most `max_drop`, whatever smaller ones lose; None if each loses more."""
        if self.max_drop is None or self.uncut.map50 is None:
            return None
        good = [point for point in self.points if lost_map50(self.uncut, point) <= self.max_drop + 1e-12]
        return good[-1] if good else None

    def named(self) -> Measured:
        """As `largest_within`, a cut with a plan; OptionError where there is none."""
        found = self.largest_within
        if found is None:
            best = min(self.points, key=lambda point: lost_map50(self.uncut, point))
            raise OptionError("--max-drop", f"no cut of the sweep loses at most {self.max_drop:g} mAP@0.5: {self.flag} "
                              f"{best.value:g} loses the least, {lost_map50(self.uncut, best):.4f}",
                              "allow more, begin lower, or train with sparsity first; nothing was written")
        return found


def check_sweep(args: argparse.Namespace) -> None:
    """OptionError where --sweep and --max-drop do not go with the other flags."""
    if args.max_drop is not None and not (args.sweep and args.data):
        missing = "--data to measure it on" if args.sweep else "a --sweep to choose from"
        raise OptionError("--max-drop", f"needs {missing}", "give it, or leave --max-drop out")
    if args.sweep and args.plan_in:
        raise OptionError("--sweep", "a saved plan is one cut", "leave --plan-in out, or --sweep")


def sweep_plans(args: argparse.Namespace, choose: Callable[[argparse.Namespace], Plan], swept: str) -> dict[float, Plan]:
    """The plan for each value of --sweep: chosen first, so that an impossible one is told before anything is measured."""
    values = steps_like(args.sweep, getattr(args, swept), f"--{swept}")
    return {value: choose(argparse.Namespace(**{**vars(args), swept: value})) for value in values}


def run_sweep(args: argparse.Namespace, cutting: Cutting, plans: dict[float, Plan], swept: str,
              validation: Validation | None) -> Sweep:
    """Cut, write, load and measure once per plan, and the uncut pair; everything in a folder that goes afterwards.

    Raises:
        OptionError: --max-drop asks for a mAP, and no label says what would be right.
    """
    from utils.cli.progress import progress_bar

    with (tempfile.TemporaryDirectory(prefix="bonsai-sweep-") as folder,
          progress_bar("sweep", len(plans) + 1, unit="cut", quiet=args.quiet) as advance):
        pair = Path(folder) / "cut.cfg", Path(folder) / "cut.weights"
        with final_names({str(pair[0]): args.cfg, str(pair[1]): args.weights}):
            uncut = measured(args, (cutting.network, cutting.weights), pair, validation, None, None)
            advance(1)
            if args.max_drop is not None:
                check_labelled(args, uncut)
            points = []
            for value, plan in plans.items():
                points.append(measured(args, cutting.cut(plan), pair, validation, value, plan))
                advance(1, f"{swept} {value:g}")
    return Sweep(f"--{swept}", uncut, tuple(points), args.max_drop)


def sweep_facts(sweep: Sweep, chosen: float | None) -> dict[str, Any]:
    """What reports show of a sweep: plain values, the uncut network as the point without a value."""
    within = sweep.largest_within
    return {"flag": sweep.flag, "max_drop": sweep.max_drop, "largest_within": within.value if within else None,
            "chosen": chosen, "knee": _knee_facts(sweep), "uncut": _facts(sweep.uncut), "points": [_facts(point) for point in sweep.points]}


def _knee_facts(sweep: Sweep) -> dict[str, Any] | None:
    """value: None if quality falls from the first cut on. seen: whether it falls faster beyond."""
    point = sweep.knee
    if point is None:
        return None
    smallest = min(one.cost.parameters for one in sweep.points)
    return {"value": point.value, "quality": "agreement" if point.map50 is None else "mAP@0.5", "limit": PER_HALVING,
            "seen": point.cost.parameters > smallest}


def _facts(point: Measured) -> dict[str, Any]:
    return {"value": point.value, "map50": point.map50,
            "map": point.evaluation.metrics.map if point.evaluation else None, "parameters": point.cost.parameters,
            "gflops": point.cost.bflops, "agreement": point.agreement, "missed": point.missed,
            "file_bytes": point.cost.weights_bytes, "latency_ms": point.latency.median_ms}
