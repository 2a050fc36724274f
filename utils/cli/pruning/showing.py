"""What a pruning command prints."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from utils.cli.pruning.facts import costs, reached_shares
from utils.cli.pruning.pruned_pair import PrunedPair
from utils.cli.pruning.sweep import Sweep, sweep_facts

if TYPE_CHECKING:
    from utils.cli.pruning.cutting import CutPair, Cutting
    from utils.deploy import Latency
    from utils.detection import Metrics
    from utils.pruning import Plan, PruningSummary


def print_widths(summary: PruningSummary, plan: Plan, fold: str | None = None, approximate: Sequence[int] = (),
                 adders: Sequence[int] = ()) -> None:
    """The layers that lose channels or go, what stays in their place, and what of it is not exact; see `CutPair`."""
    from utils.reports import widths_table

    changed = [(w.layer, "convolutional", w.before, w.after) for w in summary.widths if w.after < w.before]
    if not changed:
        return
    print(widths_table(changed))
    print(f"{len(summary.widths) - len(changed)} of {len(summary.widths)} convolutions keep their width")
    if plan.blocks:
        print(f"{len(plan.blocks)} residual blocks go whole: those of layers {', '.join(map(str, plan.blocks))}")
    if adders:
        print(f"{len(adders)} of them leave{'' if len(adders) > 1 else 's'} a depthwise 1x1 convolution behind, which adds the "
              f"constant that nothing else could carry: {', '.join(map(str, adders))}")
    if fold == "none":
        print("what removed channels still emitted is dropped, as --fold none asked")
    if approximate:
        print(f"approximate in {len(approximate)} layer{'s' if len(approximate) > 1 else ''} that read what was removed: padded "
              "convolutions at the border of the map, layers that bend a constant everywhere")
    print()


def print_repair(cutting: Cutting, cut: CutPair) -> None:
    """What was done on images to what is left, and how near it came."""
    count = len(cutting.images) if cutting.images else 0
    if cutting.repair == "bn":
        print(f"batch norms measured anew on {count} images\n")
    elif cut.heads:
        missed = ", ".join(f"{100 * share:.2g} %" for share in cut.heads)
        print(f"repaired on {count} images without labels: of the variance that the heads read, {missed} is missed "
              "on those held out\n")


def print_costs(summary: PruningSummary, metrics: tuple[Metrics, Metrics] | None = None,
                latency: tuple[Latency, Latency] | None = None) -> None:
    """Both networks side by side, and the shares that were asked for and reached."""
    from utils.reports import before_after_table, ratios_table

    print(before_after_table(*(costs(summary, metrics, latency, which) for which in (0, 1))))
    print()
    print(ratios_table({"channels that could go": summary.asked_share}, reached_shares(summary)))


def print_sweep(sweep: Sweep) -> None:
    """One row per cut, and the largest that is good enough."""
    from utils.reports import knee_sentence, sweep_table

    facts = sweep_facts(sweep, None)
    print(sweep_table(facts))
    if facts["knee"]:
        print(knee_sentence(facts))
    if sweep.largest_within:
        print(f"the largest cut that loses at most {sweep.max_drop:g} mAP@0.5: {sweep.flag} {sweep.largest_within.value:g}")
    print()


def print_result(args: argparse.Namespace, pair: PrunedPair) -> None:
    """How it was measured, what other engines say, and where everything lies."""
    print(f"\nlatency: {args.engine}, {args.threads} thread{'s' if args.threads != 1 else ''}, "
          f"{pair.latency[0].warmup} + {pair.latency[0].repeats} runs")
    if pair.verification is None:
        print("not verified: --no-verify")
    else:
        from utils.reports import verification_table

        print(verification_table(pair.verification.to_dict()))
        print(pair.verification)
    if args.engine_neutral:
        print("batch norms are rescaled for deployment: neither cut this pair further nor train it with sparsity")
    if args.img_size is not None:
        print(f"{pair.outputs.cfg.name} says width={args.img_size[1]} and height={args.img_size[0]}, as --img_size asked")
    print("wrote " + "\n      ".join(str(path) for path in pair.outputs.files if path != pair.outputs.plan))
