"""The one way from a pair to a smaller pair that all pruning commands share.

Read, choose, cut, write beside the final place, verify what was written in another engine, measure both, and only then
rename: a pair that disagrees, a full disk or Ctrl-C leaves nothing behind.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.atomic import made_folder, staged_files, write_text
from utils.cli.arguments import data_arguments, engine_argument, model_arguments, positive_int
from utils.errors import BonsaiError, OptionError, PlanError

if TYPE_CHECKING:
    import numpy as np

    from utils.darknet import Network, Weights
    from utils.datasets import DetectionDataset
    from utils.deploy import Latency, VerificationReport
    from utils.detection import Metrics
    from utils.pruning import Plan, PruningSummary

_logger = logging.getLogger(__name__)

Strategy = Callable[["Network", "Weights"], "Plan"]


def pruning_arguments() -> argparse.ArgumentParser:
    """--cfg --weights --data and all that pruning commands have in common, as a parent parser."""
    parser = argparse.ArgumentParser(add_help=False, parents=[model_arguments(), data_arguments(required=False)])
    group = parser.add_argument_group("pruning")
    group.add_argument("--round", type=positive_int, default=1, metavar="N", dest="round_to",
                       help="keep a multiple of N channels in every layer; 8 suits most hardware")
    group.add_argument("--dry-run", action="store_true", help="show what would go and what it would save; write nothing")
    group.add_argument("--plan-out", type=Path, metavar="FILE", help="save the plan as JSON")
    group.add_argument("--plan-in", type=Path, metavar="FILE", help="apply this saved plan instead of choosing anew")
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=Path, metavar="DIR",
                        help="folder for the new pair (default: beside the inputs, under another name)")
    output.add_argument("--engine-neutral", action="store_true",
                        help="rescale batch norms so that every engine computes the same whatever its epsilon; for "
                             "deployment, not for further sparsity training")
    output.add_argument("--verify-engines", default="opencv", metavar="NAMES",
                        help="engines that must agree, separated by commas: opencv, onnxruntime, darknet")
    output.add_argument("--no-verify", action="store_true", help="do not compare with another engine")
    output.add_argument("--repeats", type=positive_int, default=20, metavar="N", help="runs of the latency measurement")
    engine_argument(output)
    return parser


@dataclass(frozen=True)
class PrunedPair:
    """Where the new pair lies, and what the network before and after it measures."""

    cfg: Path
    weights: Path
    report: Path
    summary: PruningSummary
    metrics: tuple[Metrics, Metrics] | None
    latency: tuple[Latency, Latency]
    verification: VerificationReport | None


def run_pruning(args: argparse.Namespace, strategy: Strategy, prefix: Callable[[Mapping[str, Any]], str]) -> int:
    """The body of a pruning command.

    Args:
        args: of `pruning_arguments`.
        strategy: chooses what goes.
        prefix: what the names of the new files begin with, from the plan's parameters.

    Raises:
        BonsaiError: whatever is wrong with the inputs, the plan, the outputs, or the pair that was written.
    """
    from utils.cli.device import prepare_process
    from utils.cli.engines import requested_network
    from utils.pruning import activation_offset, apply_plan, summarize

    args.threads = prepare_process(threads=args.threads, seed=args.seed)
    network = requested_network(args)
    weights = _read_weights(args.weights, network)
    plan = _load_plan(args.plan_in) if args.plan_in else strategy(network, weights)
    smaller, pruned = apply_plan(network, weights, plan)
    summary = summarize(network, smaller, plan)
    finals = output_paths(args, prefix(plan.parameters))
    _print_widths(summary, len(activation_offset(network, weights, plan).approximate_layers))
    if args.dry_run:
        if args.plan_out:
            write_text(args.plan_out, plan.to_json() + "\n")
        _print_costs(summary, None, None)
        print("dry run: nothing was written" + (f" but the plan {args.plan_out}" if args.plan_out else ""))
        return 0
    if args.engine_neutral:
        from utils.deploy import engine_neutral

        pruned = engine_neutral(smaller, pruned)
    pair = _write_measured(args, plan, (network, weights), (smaller.portable(), pruned), summary, finals)
    _print_costs(pair.summary, pair.metrics, pair.latency)
    _print_result(args, pair)
    return 0


def output_paths(args: argparse.Namespace, prefix: str) -> tuple[Path, Path, Path]:
    """The new cfg, weights and JSON report: beside the inputs or in --out, under the ancestor's names.

    Raises:
        OptionError: the inputs' own names would be overwritten, or cfg and weights would be one file.
    """
    cfg = (args.out or args.cfg.parent) / f"{prefix}{args.cfg.name}"
    weights = (args.out or args.weights.parent) / f"{prefix}{args.weights.stem}.weights"
    report = cfg.with_name(f"{cfg.name.removesuffix('.cfg')}.json")
    inputs = {path.resolve() for path in (args.cfg, args.weights, args.data, args.plan_in) if path is not None}
    for path in (cfg, weights, report):
        if path.resolve() in inputs:
            raise OptionError("--out", f"{path} would overwrite an input", "choose another folder")
    if len({path.resolve() for path in (cfg, weights, report)}) < 3:
        raise OptionError("--cfg", f"its name makes {cfg}, {weights} and {report} one file", "rename the inputs")
    if args.plan_out and args.plan_out.resolve() in inputs | {path.resolve() for path in (cfg, weights, report)}:
        raise OptionError("--plan-out", f"{args.plan_out} would overwrite an input or another result",
                          "name another file")
    return cfg, weights, report


def _read_weights(path: Path, network: Network) -> Weights:
    from models import is_checkpoint, load_checkpoint
    from utils.darknet import read_weights

    if is_checkpoint(path):
        return load_checkpoint(path).weights_for(network)
    return read_weights(path, network)


def _load_plan(path: Path) -> Plan:
    from utils.pruning import Plan

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise PlanError(path, f"cannot be read ({reason})", "give a file that --plan-out wrote") from error
    return Plan.from_json(text, str(path))


def _write_measured(args: argparse.Namespace, plan: Plan, before: tuple[Network, Weights],
                    after: tuple[Network, Weights], summary: PruningSummary,
                    finals: tuple[Path, Path, Path]) -> PrunedPair:
    """Write the pair in a staging place, verify and measure it there, and let it appear at its final one."""
    from utils.reports import write_json

    data = _Validation.of(args, before[0])
    results = (*finals, args.plan_out) if args.plan_out else finals
    with made_folder(args.out), staged_files(*results) as (cfg, weights, report, *plan_out):
        old = cfg.with_name("before.cfg"), weights.with_name("before.weights")
        names = {str(cfg): finals[0], str(weights): finals[1], str(old[0]): args.cfg, str(old[1]): args.weights}
        with _final_names(names):
            for (network, arrays), (cfg_path, weights_path), seen in ((before, old, None), (after, (cfg, weights), 0)):
                _write_pair(network, arrays, cfg_path, weights_path, seen)
            verification = None if args.no_verify else _verify(args, data, cfg, weights, names)
            metrics = tuple(data.evaluate(pair, name) for pair, name in ((old, "before"), ((cfg, weights), "after"))
                            ) if data else None
            latency = _latencies(args, before[0], old, (cfg, weights))
        pair = PrunedPair(*finals, summary, metrics, latency, verification)
        write_json(report, _facts(args, pair))
        for place in plan_out:
            write_text(place, plan.to_json() + "\n")
    return pair


@contextmanager
def _final_names(names: Mapping[str, Path]) -> Iterator[None]:
    """Errors inside the block name files as users know them, not by their staging places."""
    try:
        yield
    except BonsaiError as error:
        parts = [_renamed(str(part), names) for part in (error.where, error.problem, error.remedy)]
        raise type(error)(*parts) from error


def _renamed(text: str, names: Mapping[str, Path]) -> str:
    for staged, final in names.items():
        text = text.replace(staged, str(final))
    return text


def _write_pair(network: Network, weights: Weights, cfg_path: Path, weights_path: Path, seen: int | None) -> None:
    from utils.darknet import write_cfg, write_weights

    write_cfg(cfg_path, network)
    write_weights(weights_path, network, weights, seen=seen)


def _verify(args: argparse.Namespace, data: _Validation | None, cfg: Path, weights: Path,
            names: Mapping[str, Path]) -> VerificationReport:
    """Compare the staged pair with other engines; the report names its final place."""
    from utils.deploy import verify_pair

    engines = [name.strip() for name in args.verify_engines.split(",") if name.strip()]
    report = verify_pair(cfg, weights, data.images(2) if data else None, engines, threads=args.threads, seed=args.seed)
    verdicts = tuple(replace(verdict, reason=_renamed(verdict.reason, names)) for verdict in report.engines)
    return replace(report, cfg=_renamed(report.cfg, names), weights=_renamed(report.weights, names),
                   reason=_renamed(report.reason, names), engines=verdicts)


def _latencies(args: argparse.Namespace, network: Network, old: tuple[Path, Path],
               new: tuple[Path, Path]) -> tuple[Latency, Latency]:
    """One image through both networks, in the engine of --engine, on an input that was drawn."""
    from utils.deploy import measure, random_images

    shape = network.input_shape
    x = random_images(1, shape.channels, shape.height, shape.width, args.seed)
    first, second = (measure(_engine(args, pair), x, repeats=args.repeats) for pair in (old, new))
    return first, second


def _engine(args: argparse.Namespace, pair: tuple[Path, Path]) -> Any:
    from utils.cli.engines import open_requested_engine, requested_network

    own = argparse.Namespace(**{**vars(args), "cfg": pair[0], "weights": pair[1]})
    return open_requested_engine(own, requested_network(own))


@dataclass(frozen=True)
class _Validation:
    """The labelled images of --data, ready to measure a pair on."""

    args: argparse.Namespace
    network: Network
    dataset: DetectionDataset
    letterbox: bool

    @classmethod
    def of(cls, args: argparse.Namespace, network: Network) -> _Validation | None:
        """None without --data; DataError where it cannot be used."""
        if args.data is None:
            return None
        from utils.cli.arguments import letterboxed
        from utils.cli.validation import validation_set
        from utils.training import HeadDecoder

        dataset = validation_set(args.data, HeadDecoder(network).classes)
        return cls(args, network, dataset, letterboxed(args.letterbox, network.net.letter_box))

    def images(self, count: int) -> np.ndarray:
        """The first images as the network sees them, (n, C, H, W)."""
        import numpy as np

        from utils.datasets import prepare

        size = self.network.net.height, self.network.net.width
        samples = [self.dataset[i].image for i in range(min(count, len(self.dataset)))]
        channels = self.network.net.channels
        return np.stack([prepare(image, size, self.letterbox, channels=channels)[0] for image in samples])

    def evaluate(self, pair: tuple[Path, Path], name: str) -> Metrics:
        """All figures of a pair."""
        from utils.cli.progress import progress_bar
        from utils.darknet import read_network
        from utils.training import evaluate_engine

        args = self.args
        with progress_bar(f"evaluating {name}", len(self.dataset), quiet=args.quiet) as advance:
            result = evaluate_engine(_engine(args, pair), read_network(pair[0]), self.dataset,
                                     letterbox=self.letterbox, batch_size=args.batch_size, workers=args.workers,
                                     advance=advance)
        return result.metrics


def _print_widths(summary: PruningSummary, approximate: int) -> None:
    from utils.reports import widths_table

    changed = [(w.layer, "convolutional", w.before, w.after) for w in summary.widths if w.after < w.before]
    if changed:
        print(widths_table(changed))
        print(f"{len(summary.widths) - len(changed)} of {len(summary.widths)} convolutions keep their width")
        if approximate:
            print(f"{approximate} padded convolutions read a removed channel's constant, folded into them: exact inside "
                  "the map, approximate at its border")
        print()


def _print_costs(summary: PruningSummary, metrics: tuple[Metrics, Metrics] | None,
                 latency: tuple[Latency, Latency] | None) -> None:
    from utils.reports import before_after_table, ratios_table

    print(before_after_table(*(_costs(summary, metrics, latency, which) for which in (0, 1))))
    print()
    print(ratios_table({"channels that could go": summary.asked_share}, _reached(summary)))


def _costs(summary: PruningSummary, metrics: tuple[Metrics, Metrics] | None,
           latency: tuple[Latency, Latency] | None, which: int) -> dict[str, float | None]:
    cost = (summary.before, summary.after)[which]
    return {
        "map50": metrics[which].map50_coco if metrics else None,
        "map": metrics[which].map if metrics else None,
        "parameters": cost.parameters,
        "gflops": cost.bflops,
        "file_bytes": cost.weights_bytes,
        "latency_ms": latency[which].median_ms if latency else None,
        "latency_p95_ms": latency[which].p95_ms if latency else None,
    }


def _reached(summary: PruningSummary) -> dict[str, float]:
    return {"channels that could go": summary.removed_share, "all channels": summary.removed_channels_share,
            "parameters": summary.removed_parameters_share, "GFLOPs": summary.removed_bflops_share}


def _print_result(args: argparse.Namespace, pair: PrunedPair) -> None:
    print(f"\nlatency: {args.engine}, {args.threads} threads, "
          f"{pair.latency[0].warmup} + {pair.latency[0].repeats} runs")
    if pair.verification is None:
        print("not verified: --no-verify")
    else:
        from utils.reports import verification_table

        print(verification_table(pair.verification.to_dict()))
        print(pair.verification)
    if args.engine_neutral:
        print("batch norms are rescaled for deployment: do not train this pair with sparsity any further")
    if args.img_size is not None:
        print(f"{pair.cfg.name} says width={args.img_size[1]} and height={args.img_size[0]}, as --img_size asked")
    print(f"wrote {pair.cfg}\n      {pair.weights}\n      {pair.report}")


def _facts(args: argparse.Namespace, pair: PrunedPair) -> dict[str, Any]:
    before, after = (_costs(pair.summary, pair.metrics, pair.latency, which) for which in (0, 1))
    return {
        "command": vars(args),
        "before": {**before, "cfg": args.cfg, "weights": args.weights},
        "after": {**after, "cfg": pair.cfg, "weights": pair.weights},
        "asked": {"channels that could go": pair.summary.asked_share},
        "reached": _reached(pair.summary),
        "latency": {"engine": args.engine, "threads": args.threads, "repeats": pair.latency[0].repeats,
                    "warmup": pair.latency[0].warmup},
        "metrics": [one.to_dict() for one in pair.metrics] if pair.metrics else None,
        "summary": pair.summary.to_dict(),
        "verification": pair.verification.to_dict() if pair.verification else None,
    }
